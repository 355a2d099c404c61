//! `link campaign.TABLE`: a link to a record that the target has already, named by its key.

use super::Context;
use super::entry::Checker;
use super::keys::identifying_fields;
use super::names::{self, TargetField};
use super::types::{Ty, fit_of, list};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::plan::{FieldProgram, Fit, KeyAbsent, LinkTo};
use crate::schema::{FieldType, Table};
use crate::syntax::ast::{self, FieldMapping, LiteralValue, Operand, OrKind};

impl Checker<'_> {
    /// Checks an entry that links to a record of the target by its key.
    pub(super) fn link_to(
        &mut self,
        field: &FieldMapping,
        step: &ast::Step,
        target: &TargetField,
        context: &mut Context<'_>,
    ) -> Option<FieldProgram> {
        let Some(Operand::LinkTo { table: name, by }) = &step.operand else { return None };
        let unfit = |span: Span, what: String, label: &str, help: String| Diagnostic::new(Code::D542, span, what, label).help(help);
        if let Some(last) = field.steps.last().filter(|last| last.span != step.span) {
            let help = "write the steps that make the key before `link`".to_owned();
            context.report(unfit(last.span, "a step after `link`".to_owned(), "a link has no value for it", help));
            return None;
        }
        let table = names::table(name, context)?;
        let FieldType::Link { target: linked } = &target.field.ty else {
            let help = format!("`{}` holds a value: remove `link`, or write to a field of type link", field.target.text());
            context.report(unfit(field.target.span, format!("`{}` is not a link", field.target.text()), "holds a value", help));
            return None;
        };
        if table.id.system != self.target.id.system || linked.as_ref().is_some_and(|linked| *linked != table.id.name) {
            let help = match linked {
                Some(linked) => format!("write `link {}.{linked}`", self.target.id.system),
                None => "name the resource of Campaign that the link leads to".to_owned(),
            };
            context.report(unfit(name.span, format!("`{}` does not lead to `{}`", field.target.text(), table.id), "another table", help));
            return None;
        }
        let (key, fit) = self.linked_key(name.span, by.as_ref(), &table, context)?;
        let absent = absent(step, &key, &fit, context)?;
        // The steps before it make the key, and are checked against the field that holds it.
        let value = FieldMapping { steps: field.steps[..field.steps.len() - 1].to_vec(), ..field.clone() };
        let holds = TargetField { path: target.path.clone(), fit: fit.clone(), required: false, field: target.field.clone() };
        let flagged = |name: &str| field.flags.iter().any(|flag| flag.text == name);
        let piped = self.converted(&value, Some(&holds), context)?;
        Some(FieldProgram {
            at: context.at(field.span),
            path: target.path.clone(),
            source: piped.source,
            steps: piped.steps,
            fit,
            initial: flagged("initial"),
            create_only: false,
            present: flagged("present"),
            link_to: Some(LinkTo { table: table.id.to_string(), collection: table.collection.clone(), key, absent }),
        })
    }

    /// How a value becomes a link to a record that Campaign has, if it can be the key of one. Lookups are linked by a mapping.
    pub(super) fn linked_by(&self, ty: &Ty, target: &TargetField) -> Option<String> {
        let FieldType::Link { target: linked } = &target.field.ty else { return None };
        let resource = linked.as_deref().unwrap_or("TABLE");
        matches!(ty, Ty::Text { .. } | Ty::Words(_) | Ty::Integer { .. }).then(|| {
            format!(
                "if the value is the key of a record that Campaign has, write `| link {}.{resource} or reject`; `or null` writes an empty link \
                 instead",
                self.target.id.system
            )
        })
    }

    /// The field that identifies a record of the other table, and what it holds.
    fn linked_key(&self, span: Span, by: Option<&ast::Path>, table: &Table, context: &mut Context<'_>) -> Option<(String, Fit)> {
        let identifying = identifying_fields(table);
        let known = || list(identifying.iter().copied(), 4);
        let (name, span) = match (by, identifying.as_slice()) {
            (Some(by), _) => (by.text(), by.span),
            (None, [one]) => ((*one).to_owned(), span),
            (None, []) => {
                context.report(
                    Diagnostic::new(Code::D542, span, format!("no key of `{}` is known", table.id), "which field identifies a record?")
                        .help(format!(
                            "Campaign does not tell keys: write the identification key into the schema file of `{}`, such as \
                             `alternate-keys: {{ key: [name] }}`",
                            table.id
                        )),
                );
                return None;
            }
            (None, [first, ..]) => {
                context.report(Diagnostic::new(Code::D542, span, format!("`{}` has several keys", table.id), "which one?").help(format!(
                    "write `link {} by {first}`; the keys are {}",
                    table.id,
                    known()
                )));
                return None;
            }
        };
        let field = table.field(&name.split('.').collect::<Vec<_>>());
        let fit = field.filter(|_| identifying.contains(&name.as_str())).and_then(|field| fit_of(&field.ty));
        if let Some(fit @ (Fit::Text { .. } | Fit::Integer { .. })) = fit {
            return Some((name, fit));
        }
        let help = if identifying.is_empty() {
            format!("write the identification key into the schema file of `{}`: `alternate-keys: {{ key: [{name}] }}`", table.id)
        } else {
            format!("the keys are {}", known())
        };
        context.report(
            Diagnostic::new(Code::D542, span, format!("`{name}` does not identify a record of `{}`", table.id), "not a key").help(help),
        );
        None
    }
}

/// What happens if there is no such record.
fn absent(step: &ast::Step, key: &str, fit: &Fit, context: &mut Context<'_>) -> Option<KeyAbsent> {
    let all = "write `or reject` to make the record a dead letter, `or null` to write an empty link, or `or default(…)` for the key of another record";
    let Some(or) = &step.or else {
        context.report(
            Diagnostic::new(Code::D206, step.span, "Campaign may have no record of this key", "what happens then is not said").help(all),
        );
        return None;
    };
    match &or.kind {
        OrKind::Reject => Some(KeyAbsent::Reject),
        OrKind::Null => Some(KeyAbsent::Null),
        OrKind::Default(literal) => {
            let text = match &literal.value {
                LiteralValue::Text(text) => Some(text.clone()),
                LiteralValue::Integer(number) => Some(number.to_string()),
                _ => None,
            };
            let fits = text.filter(|text| match fit {
                Fit::Text { max: Some(max) } => text.encode_utf16().count() <= *max as usize && !text.is_empty(),
                _ => !text.is_empty(),
            });
            if fits.is_none() {
                context.report(
                    Diagnostic::new(Code::D213, literal.span, format!("this is not a key that `{key}` can hold"), "not a key")
                        .help("write the key of a record that Campaign has"),
                );
            }
            fits.map(KeyAbsent::Default)
        }
        OrKind::Keep | OrKind::Later => {
            let what = if or.kind == OrKind::Later {
                "no mapping writes the other record, so it is not known when it comes"
            } else {
                "the key is not a link"
            };
            context.report(Diagnostic::new(Code::D213, or.span, what, "not possible here").help(all));
            None
        }
    }
}
