//! What is needed to write to a table, in one request: its names, columns, the lengths of its texts, its lookups, its bulk messages.

use std::collections::BTreeMap;

use serde_json::Value;

use super::bulk::{Bulk, BulkSupport, support_filter};
use super::{Dataverse, EntityMetadata, Operation, Part, PartOutcome, name, query};
use crate::connect::ConnectError;

/// A path below the service root, and its options.
type Read = (String, String);

impl Dataverse {
    /// Returns a table's outline, and which bulk operations it has. No keys, no options, nothing about column security.
    ///
    /// # Errors
    /// [`ConnectError::NotFound`] for an unknown table; others as they come.
    pub async fn outline(&self, logical_name: &str) -> Result<(EntityMetadata, BulkSupport), ConnectError> {
        const KINDS: [&str; 2] = ["String", "Memo"];
        let table = format!("EntityDefinitions(LogicalName='{}')", name(&logical_name.replace('\'', "''")));
        let select = |columns: &str| query(&[("$select", columns)]);
        let mut reads: Vec<Read> = vec![
            (table.clone(), select("LogicalName,EntitySetName,PrimaryIdAttribute,IsActivity")),
            (format!("{table}/Attributes"), select("LogicalName,AttributeType,IsValidForCreate")),
            (
                format!("{table}/ManyToOneRelationships"),
                select("ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName"),
            ),
        ];
        let casts = KINDS.map(|kind| format!("{table}/Attributes/Microsoft.Dynamics.CRM.{kind}AttributeMetadata"));
        reads.extend(casts.map(|path| (path, select("LogicalName,MaxLength"))));
        reads.extend([Bulk::Create, Bulk::Update].map(|bulk| ("sdkmessagefilters".to_owned(), support_filter(bulk, logical_name))));
        let mut answers = self.read_all(&reads).await?.into_iter();
        let mut list = || match answers.next() {
            Some(Value::Object(mut object)) => match object.remove("value") {
                Some(Value::Array(rows)) => rows,
                // The definition is an object by itself.
                _ => vec![Value::Object(object)],
            },
            _ => Vec::new(),
        };
        let definition = list().pop().unwrap_or_default();
        let (attributes, many_to_one) = (list(), list());
        let casts: BTreeMap<String, Vec<Value>> = KINDS.iter().map(|kind| ((*kind).to_owned(), list())).collect();
        let support = BulkSupport { create: !list().is_empty(), update: !list().is_empty() };
        Ok((EntityMetadata { definition, attributes, casts, many_to_one, keys: Vec::new(), secured: BTreeMap::new() }, support))
    }

    /// Reads several things in one `$batch`, or one by one if that is refused.
    async fn read_all(&self, reads: &[Read]) -> Result<Vec<Value>, ConnectError> {
        let parts: Vec<Part> = reads.iter().map(|(path, options)| Part::Single(Operation::read(path, options))).collect();
        match self.batch(&parts, false).await {
            Ok(outcomes) => {
                let mut answers = Vec::new();
                for outcome in outcomes {
                    match outcome {
                        PartOutcome::Done(answer) => answers.extend(answer.first().and_then(|a| serde_json::from_slice(&a.body).ok())),
                        PartOutcome::Failed { error: ConnectError::Rejected { .. } | ConnectError::Protocol { .. }, .. } => break,
                        PartOutcome::Failed { error, .. } => return Err(error),
                        PartOutcome::NotBegun => break,
                    }
                }
                if answers.len() == reads.len() {
                    return Ok(answers);
                }
            }
            Err(ConnectError::Rejected { .. } | ConnectError::NotFound { .. } | ConnectError::Protocol { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut answers = Vec::new();
        for (path, options) in reads {
            answers.push(self.get(self.url(path, options)?).await?);
        }
        Ok(answers)
    }
}
