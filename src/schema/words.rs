//! The words of schema files for types, and what each may carry.
//!
//! A word says the vendor's type and the kind of value in one: `money` is a [`FieldType::Decimal`] that Dataverse calls
//! `Money`. What a word leaves unsaid (a range, a scale) has the defaults below, which are the vendor's own.

use rust_decimal::Decimal;

use super::model::{FieldType, SystemId};

/// What a word stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Integer,
    BigInt,
    Decimal,
    Money,
    Double,
    Text,
    Date,
    DateTime,
    LocalDateTime,
    Guid,
    Choice,
    MultiChoice,
    Enumeration,
    Lookup,
    Link,
    Collection,
    Item,
    Unsupported,
}

impl Kind {
    /// The keys that say more about a field of this kind, beside those that every field has.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Kind::Boolean => &["labels"],
            Kind::Integer | Kind::BigInt => &["min", "max"],
            Kind::Decimal | Kind::Money => &["scale", "min", "max"],
            Kind::Text => &["max"],
            Kind::Choice | Kind::MultiChoice => &["options"],
            Kind::Enumeration => &["values"],
            Kind::Lookup => &["targets"],
            Kind::Link | Kind::Collection => &["target"],
            Kind::Item => &["fields"],
            Kind::Double | Kind::Date | Kind::DateTime | Kind::LocalDateTime | Kind::Guid | Kind::Unsupported => &[],
        }
    }
}

/// One word, the type that Dataverse calls so, and the systems that have it.
pub(super) struct Word {
    pub(super) word: &'static str,
    pub(super) dataverse: &'static str,
    pub(super) kind: Kind,
    systems: Has,
}

/// Which systems have a type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    /// All.
    All,
    /// Those that name types as Dataverse does.
    Dataverse,
    /// The others.
    Others,
}

use Has::{All as ALL, Dataverse as D365, Others as OTHERS};

const fn word(word: &'static str, dataverse: &'static str, kind: Kind, systems: Has) -> Word {
    Word { word, dataverse, kind, systems }
}

/// Dataverse Web API: `AttributeType` and `AttributeTypeName`; Campaign: the `type` of resource metadata.
pub(super) const WORDS: &[Word] = &[
    word("string", "String", Kind::Text, ALL),
    word("memo", "Memo", Kind::Text, ALL),
    word("boolean", "Boolean", Kind::Boolean, ALL),
    word("integer", "Integer", Kind::Integer, ALL),
    word("bigint", "BigInt", Kind::BigInt, ALL),
    word("decimal", "Decimal", Kind::Decimal, ALL),
    word("money", "Money", Kind::Money, ALL),
    word("double", "Double", Kind::Double, ALL),
    word("date", "DateTime", Kind::Date, ALL),
    word("datetime", "DateTime", Kind::DateTime, ALL),
    word("local-datetime", "DateTime", Kind::LocalDateTime, ALL),
    word("guid", "Uniqueidentifier", Kind::Guid, ALL),
    word("picklist", "Picklist", Kind::Choice, D365),
    word("state", "State", Kind::Choice, D365),
    word("status", "Status", Kind::Choice, D365),
    word("multi-picklist", "MultiSelectPicklist", Kind::MultiChoice, D365),
    word("lookup", "Lookup", Kind::Lookup, D365),
    word("customer", "Customer", Kind::Lookup, D365),
    word("owner", "Owner", Kind::Lookup, D365),
    word("enumeration", "enumeration", Kind::Enumeration, OTHERS),
    word("link", "link", Kind::Link, OTHERS),
    word("collection", "collection", Kind::Collection, OTHERS),
    word("item", "item", Kind::Item, OTHERS),
    word("unsupported", "Virtual", Kind::Unsupported, ALL),
];

impl Word {
    /// The words that tables of a system can use.
    pub(super) fn of(system: SystemId) -> impl Iterator<Item = &'static Word> {
        WORDS.iter().filter(move |w| match w.systems {
            Has::All => true,
            Has::Dataverse => system.has_dataverse_types(),
            Has::Others => !system.has_dataverse_types(),
        })
    }

    /// The word with this spelling.
    pub(super) fn find(text: &str, system: SystemId) -> Option<&'static Word> {
        Word::of(system).find(|w| w.word == text)
    }

    /// The vendor's name of the type, where a file does not say another.
    pub(super) fn vendor(&self, system: SystemId) -> &'static str {
        if system.has_dataverse_types() { self.dataverse } else { self.word }
    }

    /// The word for a type; among several the one that the vendor calls so.
    pub(super) fn for_type(ty: &FieldType, vendor: &str, system: SystemId) -> &'static Word {
        let kinds: &[Kind] = match ty {
            FieldType::Boolean { .. } => &[Kind::Boolean],
            FieldType::Integer { min, max } => {
                // A range that no `integer` has can only be a bigint, whatever the vendor's name.
                if i32::try_from(*min).is_ok() && i32::try_from(*max).is_ok() { &[Kind::Integer, Kind::BigInt] } else { &[Kind::BigInt] }
            }
            FieldType::Decimal { .. } => &[Kind::Decimal, Kind::Money],
            FieldType::Double => &[Kind::Double],
            FieldType::Text { .. } => &[Kind::Text],
            FieldType::Date => &[Kind::Date],
            FieldType::DateTime => &[Kind::DateTime],
            FieldType::LocalDateTime => &[Kind::LocalDateTime],
            FieldType::Guid => &[Kind::Guid],
            FieldType::Choice(_) => &[Kind::Choice],
            FieldType::MultiChoice(_) => &[Kind::MultiChoice],
            FieldType::Enumeration(_) => &[Kind::Enumeration],
            FieldType::Lookup { .. } => &[Kind::Lookup],
            FieldType::Link { .. } => &[Kind::Link],
            FieldType::Collection { .. } => &[Kind::Collection],
            FieldType::Item(_) => &[Kind::Item],
            FieldType::Unsupported => &[Kind::Unsupported],
        };
        let fitting = || WORDS.iter().filter(|w| kinds.contains(&w.kind));
        fitting().find(|w| w.vendor(system) == vendor).or_else(|| fitting().next()).unwrap_or(&WORDS[WORDS.len() - 1])
    }
}

/// The range of a whole number where none is given.
pub(super) fn integer_range(kind: Kind) -> (i64, i64) {
    if kind == Kind::BigInt { (i64::MIN, i64::MAX) } else { (i64::from(i32::MIN), i64::from(i32::MAX)) }
}

/// Scale and range of a decimal where none are given: those that Dataverse gives a new column of the type.
pub(super) fn decimal_range(kind: Kind) -> (u32, Decimal, Decimal) {
    let (scale, limit) = if kind == Kind::Money { (2, 922_337_203_685_477_i64) } else { (10, 100_000_000_000) };
    (scale, Decimal::from(-limit), Decimal::from(limit))
}
