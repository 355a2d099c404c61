//! What steps and fields are, in few words: completion, hovers and hints say the same.

use crate::count::counted;
use crate::schema::{Field, FieldType};
use crate::steps::{FORMULA_FUNCTIONS, FUNCTIONS, STEPS};

/// The use of a step or function, and what it does (Markdown).
pub fn of_step(name: &str) -> Option<String> {
    let info = STEPS.iter().chain(FUNCTIONS).chain(FORMULA_FUNCTIONS).find(|s| s.name == name)?;
    Some(format!("`{}`\n\n{}", info.usage, info.summary))
}

/// What a field holds, in few words.
pub fn type_text(field: &Field) -> String {
    match &field.ty {
        FieldType::Boolean { .. } => "true or false".to_owned(),
        FieldType::Integer { min, max } => format!("whole number {min} to {max}"),
        FieldType::Decimal { scale, .. } => format!("number, {scale} decimals"),
        FieldType::Double => "floating-point number".to_owned(),
        FieldType::Text { max: Some(max) } => format!("text({max})"),
        FieldType::Text { max: None } => "text".to_owned(),
        FieldType::Date => "date".to_owned(),
        FieldType::DateTime => "date with time".to_owned(),
        FieldType::LocalDateTime => "date with time, no zone".to_owned(),
        FieldType::Guid => "GUID".to_owned(),
        FieldType::Choice(set) => format!("one of {}", counted(set.options.len(), "option")),
        FieldType::MultiChoice(set) => format!("several of {}", counted(set.options.len(), "option")),
        FieldType::Enumeration(values) => format!("one of {}", counted(values.len(), "value")),
        FieldType::Lookup { targets } => {
            let names: Vec<&str> = targets.iter().map(|t| t.table.as_str()).collect();
            format!("lookup to {}", if names.is_empty() { "a record".to_owned() } else { names.join(", ") })
        }
        FieldType::Link { target } => format!("link to {}", target.as_deref().unwrap_or("a record")),
        FieldType::Collection { .. } => "many records".to_owned(),
        FieldType::Item(inner) => counted(inner.len(), "field"),
        FieldType::Unsupported => "unknown type".to_owned(),
    }
}
