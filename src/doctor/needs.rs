//! What the flows of a plan need of the services: which tables they read and write, by which keys, and which resources.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Direction, ExecutionPlan, LinkedRecord, LinkedRows, Otherwise, Side};
use crate::system::SystemId;

/// The needs of all flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The systems that flows read or write.
    pub systems: BTreeSet<SystemId>,
    /// By the logical name of the Dataverse table: `contact`.
    pub tables: BTreeMap<String, TableNeeds>,
    /// By the Campaign resource as an address names it: `profile`.
    pub resources: BTreeMap<String, ResourceNeeds>,
    /// The services of Campaign that topics name.
    pub services: BTreeSet<String>,
}

/// What flows need of a Dataverse table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableNeeds {
    /// The entity set in the URL, `contacts`.
    pub set: String,
    /// The primary key's property.
    pub primary_key: String,
    /// Whether its changes are followed.
    pub tracked: bool,
    /// Whether it is read.
    pub read: bool,
    /// What is done to its rows.
    pub writes: BTreeSet<Verb>,
    /// The flows.
    pub flows: BTreeSet<String>,
}

/// What flows need of a Campaign resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceNeeds {
    /// The attributes that flows address its records by.
    pub keys: BTreeSet<String>,
    /// The attributes that records without a key are searched by.
    pub searches: BTreeSet<String>,
    /// The flows.
    pub flows: BTreeSet<String>,
}

/// A right to a table's rows, by the word in the privilege's name (Dataverse: *Security concepts*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// `prvCreate…`
    Create,
    /// `prvWrite…`
    Write,
    /// `prvDelete…`
    Delete,
    /// `prvAppend…`: to attach it to another row.
    Append,
    /// `prvAppendTo…`: to attach another row to it.
    AppendTo,
}

impl Verb {
    /// The word in a privilege's name.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Create => "Create",
            Verb::Write => "Write",
            Verb::Delete => "Delete",
            Verb::Append => "Append",
            Verb::AppendTo => "AppendTo",
        }
    }
}

/// The table whose privileges hold for all activities (Dataverse: *Activity tables*). Assumed for custom activities too.
pub const ACTIVITY: &str = "activity";

impl Needs {
    /// What a plan's flows need.
    pub fn of(plan: &ExecutionPlan) -> Needs {
        let mut needs = Needs::default();
        if !(plan.ingress.is_empty() && plan.optouts.is_empty() && plan.events.is_empty()) {
            needs.systems.extend([SystemId::D365, SystemId::Campaign]);
        }
        for flow in &plan.ingress {
            if let Some(table) = needs.table(&flow.source.table, &flow.name) {
                let key = usize::try_from(flow.source.primary_key).ok().and_then(|n| flow.source.slots.get(n));
                table.set.clone_from(&flow.source.collection);
                table.primary_key = key.map(|slot| slot.wire.clone()).unwrap_or_default();
                table.read = true;
                table.tracked |= flow.source.change_tracking;
            }
            for related in &flow.related.tables {
                if let Some(table) = needs.table(&related.table, &flow.name) {
                    table.set.clone_from(&related.collection);
                    table.primary_key.clone_from(&related.primary_key);
                    (table.read, table.tracked) = (true, true);
                }
            }
            let resource = needs.resources.entry(flow.target.collection.clone()).or_default();
            resource.flows.insert(flow.name.clone());
            resource.keys.insert(flow.key.path.join("."));
            resource.searches.extend(flow.adopt.iter().map(|by| by.attribute.clone()));
        }
        for flow in &plan.optouts {
            let writes = match flow.direction {
                Direction::CampaignToD365 | Direction::Bidirectional => true,
                Direction::Disabled | Direction::D365ToCampaign => false,
            };
            if flow.topics {
                needs.services.extend(flow.pairs.iter().map(|pair| pair.target.clone()));
            }
            let source = plan.flow(&flow.mapping).map(|f| f.source.table.clone());
            if writes
                && let Some(source) = source
                && let Some(table) = needs.table(&source, &flow.mapping)
            {
                table.writes.insert(Verb::Write);
            }
        }
        for flow in &plan.events {
            if let Some(table) = needs.table(&flow.table, &flow.name) {
                table.writes.insert(Verb::AppendTo);
            }
            if let Some(table) = needs.table(&format!("d365.{ACTIVITY}"), &flow.name) {
                table.writes.extend([Verb::Create, Verb::Append]);
                if flow.completed {
                    table.writes.insert(Verb::Write);
                }
            }
            // That they are there; their privileges are those of all activities.
            for activity in &flow.activities {
                needs.table(&format!("d365.{}", activity.table), &flow.name);
            }
        }
        for flow in &plan.two_way {
            needs.side(&flow.left, &flow.name);
            needs.side(&flow.right, &flow.name);
            for link in &flow.links {
                needs.link(&flow.right, link, &flow.name);
            }
            for rows in &flow.rows {
                needs.rows(&flow.right, rows, &flow.name);
            }
        }
        needs
    }

    fn side(&mut self, side: &Side, flow: &str) {
        self.systems.extend(side.system());
        if let Some(table) = self.table(&side.table, flow) {
            table.set.clone_from(&side.collection);
            table.primary_key.clone_from(&side.primary_key);
            table.read = true;
            table.tracked = true;
            table.writes.extend([Verb::Create, Verb::Write]);
        }
    }

    /// A record that a lookup of the right side leads to.
    fn link(&mut self, right: &Side, link: &LinkedRecord, flow: &str) {
        if let Some(table) = self.table(&right.table, flow) {
            table.writes.insert(Verb::Append);
        }
        if let Some(table) = self.table(&link.table, flow) {
            table.set.clone_from(&link.collection);
            table.primary_key.clone_from(&link.primary_key);
            table.read = true;
            table.writes.insert(Verb::AppendTo);
            if link.otherwise == Otherwise::Create {
                table.writes.insert(Verb::Create);
            }
        }
    }

    /// The rows that are the items of a list.
    fn rows(&mut self, right: &Side, rows: &LinkedRows, flow: &str) {
        let written = !rows.forward.is_empty();
        if written && let Some(table) = self.table(&right.table, flow) {
            table.writes.insert(Verb::AppendTo);
        }
        if let Some(table) = self.table(&rows.table, flow) {
            table.set.clone_from(&rows.collection);
            table.primary_key.clone_from(&rows.primary_key);
            table.read = true;
            table.tracked = true;
            if written {
                table.writes.extend([Verb::Create, Verb::Write, Verb::Delete, Verb::Append]);
            }
        }
    }

    fn table(&mut self, name: &str, flow: &str) -> Option<&mut TableNeeds> {
        let table = self.tables.entry(name.strip_prefix("d365.")?.to_owned()).or_default();
        table.flows.insert(flow.to_owned());
        Some(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{At, FieldProgram, Fit, IngressFlow, OptoutFlow, Policy, Slot, SlotKind, Source, SourceQuery, TargetResource};

    #[test]
    fn what_a_flow_reads_and_writes_is_what_is_asked_for() {
        let at = At { file: 0, line: 1, column: 1, start: 0, end: 0 };
        let slot = |wire: &str| Slot { field: wire.to_owned(), wire: wire.to_owned(), kind: SlotKind::Guid, related: false, at };
        let key = FieldProgram {
            at,
            path: vec!["externalId".to_owned()],
            source: Source::Constant(crate::plan::Const::Null),
            steps: Vec::new(),
            fit: Fit::Text { max: None },
            initial: false,
            create_only: false,
            present: false,
            link_to: None,
        };
        let flow = IngressFlow {
            name: "contacts".to_owned(),
            at,
            source: SourceQuery {
                table: "d365.contact".to_owned(),
                collection: "contacts".to_owned(),
                primary_key: 1,
                change_tracking: true,
                slots: vec![slot("lastname"), slot("contactid")],
            },
            related: crate::plan::Related::default(),
            target: TargetResource { table: "campaign.cusPerson".to_owned(), collection: "customResources/cusPerson".to_owned() },
            filter: None,
            key,
            adopt: Vec::new(),
            fields: Vec::new(),
            policy: Policy::default(),
            depends_on: Vec::new(),
        };
        let optout = |direction| OptoutFlow { mapping: "contacts".to_owned(), at, direction, pairs: Vec::new(), topics: false };
        let mut plan = ExecutionPlan {
            format: crate::plan::FORMAT,
            files: Vec::new(),
            tables: Vec::new(),
            ingress: vec![flow],
            optouts: vec![optout(Direction::D365ToCampaign)],
            events: Vec::new(),
            two_way: Vec::new(),
        };
        let needs = Needs::of(&plan);
        let table = &needs.tables["contact"];
        assert_eq!((table.set.as_str(), table.primary_key.as_str(), table.tracked, table.read), ("contacts", "contactid", true, true));
        assert!(table.writes.is_empty());
        assert!(needs.resources["customResources/cusPerson"].keys.contains("externalId"));

        // A table that is followed for values through lookups.
        plan.ingress[0].related.tables.push(crate::plan::RelatedTable {
            table: "d365.systemuser".to_owned(),
            collection: "systemusers".to_owned(),
            primary_key: "systemuserid".to_owned(),
            columns: vec!["fullname".to_owned()],
        });
        let needs = Needs::of(&plan);
        let followed = &needs.tables["systemuser"];
        assert_eq!((followed.set.as_str(), followed.tracked, followed.read), ("systemusers", true, true));

        plan.optouts = vec![optout(Direction::Bidirectional)];
        plan.events = vec![crate::plan::EventFlow {
            name: "email".to_owned(),
            at,
            table: "d365.contact".to_owned(),
            types: Vec::new(),
            activities: Vec::new(),
            columns: Vec::new(),
            completed: false,
        }];
        let needs = Needs::of(&plan);
        assert_eq!(needs.tables["contact"].writes, BTreeSet::from([Verb::Write, Verb::AppendTo]));
        assert_eq!(needs.tables[ACTIVITY].writes, BTreeSet::from([Verb::Create, Verb::Append]));
    }
}
