//! What an upsert carries: target path → JSON value, and which of the paths go with the initial load only.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::StoreError;
use super::members::{Entries, Name};
use crate::json::push_string;

/// The text of a JSON value: a part of a longer text that the values of a record share, so that a record costs one allocation and not
/// one for each of its fields. A clone shares the text too.
#[derive(Clone)]
pub struct JsonText {
    whole: Arc<str>,
    part: Range<usize>,
}

impl JsonText {
    /// The part of a text at these bytes, which must be a JSON value.
    pub fn part(whole: &Arc<str>, part: Range<usize>) -> JsonText {
        debug_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&whole[part.clone()]).is_ok(), "not JSON");
        JsonText { whole: whole.clone(), part }
    }

    /// The text.
    pub fn get(&self) -> &str {
        &self.whole[self.part.clone()]
    }
}

impl From<Box<RawValue>> for JsonText {
    fn from(value: Box<RawValue>) -> JsonText {
        let whole: Arc<str> = value.get().into();
        JsonText { part: 0..whole.len(), whole }
    }
}

/// One target field's value.
#[derive(Clone)]
pub struct Field {
    /// The target path, dotted for nested fields: `location.city`.
    pub path: Arc<str>,
    /// The value as JSON text. Two texts that differ are two values here (`1` and `1.0`), so whoever makes them must be
    /// consistent; a difference of spelling costs one needless write, never a missed one.
    pub value: JsonText,
    /// Marked `@initial`: written on create and on replay, never on an incremental update.
    pub initial_only: bool,
    /// Written when the record is made and never again, not even on replay.
    pub create_only: bool,
    /// Which of the source columns that the field reads have a value, as bits 0 to 6 in the order in which it reads them; none where the
    /// value is empty whenever the columns are (no default, one column).
    pub filled: Option<u8>,
    /// For a link to another target record: the mapping that writes that one. The value is then its source id.
    pub link: Option<Arc<str>>,
    /// For a link: what happens while the other record is not at the target.
    pub absent: IfAbsent,
}

/// What happens to a link while the record that it leads to is not at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IfAbsent {
    /// The record waits for the other one.
    #[default]
    Wait,
    /// The record is written, and its link is empty.
    Null,
    /// The record is written, and its link follows.
    Later,
}

impl IfAbsent {
    /// The word in the outbox; none for waiting.
    fn word(self) -> Option<&'static str> {
        match self {
            IfAbsent::Wait => None,
            IfAbsent::Null => Some("null"),
            IfAbsent::Later => Some("later"),
        }
    }
}

/// The values of one target record. Paths are unique; a path left out is left alone at the target.
#[derive(Clone, Default)]
pub struct Payload {
    /// Where an outline has built it and nothing has changed it since; `fields` is empty then.
    built: Option<Built>,
    fields: Vec<Field>,
}

/// The payload of an [`Outline`], whose text is known. A record that is new needs nothing else, so the fields are made when they are
/// asked for.
#[derive(Clone)]
struct Built {
    outline: Arc<Outline>,
    parts: Vec<Part>,
    text: Arc<str>,
    fields: OnceLock<Vec<Field>>,
}

/// A field of the outline that has a value: its number, the place of the value in the text, and [`Field::filled`].
#[derive(Clone)]
struct Part {
    field: usize,
    value: Range<usize>,
    filled: Option<u8>,
}

impl Built {
    fn fields(&self) -> &[Field] {
        self.fields.get_or_init(|| {
            let field = |part: &Part| self.outline.fields[part.field].field(JsonText::part(&self.text, part.value.clone()), part.filled);
            self.parts.iter().map(field).collect()
        })
    }

    fn into_fields(self) -> Vec<Field> {
        self.fields();
        self.fields.into_inner().unwrap_or_default()
    }
}

/// What the payloads of all records of a mapping have in common: their fields in order. It writes the text of the outbox while the
/// values are written, so that the text is built once.
#[derive(Debug)]
pub struct Outline {
    fields: Vec<OutlineField>,
    /// Whether a field has more than a value: the text says it after the values.
    marked: bool,
    /// Whether a field is a link.
    linked: bool,
}

/// A field of an [`Outline`].
#[derive(Debug)]
struct OutlineField {
    /// The path as the text has it before a value: `"email":`.
    name: String,
    path: Arc<str>,
    initial_only: bool,
    create_only: bool,
    link: Option<Arc<str>>,
    absent: IfAbsent,
}

impl Outline {
    /// An outline without fields.
    pub fn with_capacity(capacity: usize) -> Outline {
        Outline { fields: Vec::with_capacity(capacity), marked: false, linked: false }
    }

    /// Adds a field; see [`Field`] for what it has. A path is added once.
    pub fn push(&mut self, path: Arc<str>, initial_only: bool, create_only: bool, link: Option<(Arc<str>, IfAbsent)>) {
        debug_assert!(self.fields.iter().all(|have| have.path != path), "`{path}` twice in a payload");
        let mut name = String::with_capacity(path.len() + 3);
        push_string(&mut name, &path);
        name.push(':');
        self.marked |= initial_only || create_only || link.is_some();
        self.linked |= link.is_some();
        let (link, absent) = link.map_or((None, IfAbsent::Wait), |(link, absent)| (Some(link), absent));
        self.fields.push(OutlineField { name, path, initial_only, create_only, link, absent });
    }

    /// The payload of a record. `values`: what `write` needs for each field, in order. `write` appends a value as JSON and returns
    /// [`Field::filled`]; for a field that is left alone at the target it returns `None` and appends nothing.
    pub fn payload<V>(
        self: &Arc<Self>,
        values: impl Iterator<Item = V>,
        mut write: impl FnMut(V, &mut String) -> Option<Option<u8>>,
    ) -> Payload {
        let mut text = String::with_capacity(512);
        text.push_str("{\"fields\":{");
        let mut parts: Vec<Part> = Vec::with_capacity(self.fields.len());
        let mut marked = self.marked;
        for ((number, field), value) in self.fields.iter().enumerate().zip(values) {
            let end = text.len();
            if !parts.is_empty() {
                text.push(',');
            }
            text.push_str(&field.name);
            let start = text.len();
            match write(value, &mut text) {
                Some(filled) => {
                    marked |= filled.is_some();
                    parts.push(Part { field: number, value: start..text.len(), filled });
                }
                None => text.truncate(end),
            }
        }
        text.push('}');
        if marked {
            push_marks(&mut text, parts.iter().map(|part| self.fields[part.field].marks(part.filled)));
        }
        text.push('}');
        let built = Built { outline: self.clone(), parts, text: text.into(), fields: OnceLock::new() };
        Payload { built: Some(built), fields: Vec::new() }
    }
}

impl OutlineField {
    fn field(&self, value: JsonText, filled: Option<u8>) -> Field {
        Field {
            path: self.path.clone(),
            value,
            initial_only: self.initial_only,
            create_only: self.create_only,
            filled,
            link: self.link.clone(),
            absent: self.absent,
        }
    }

    fn marks(&self, filled: Option<u8>) -> Marks<'_> {
        Marks {
            path: &self.path,
            create_only: self.create_only,
            initial_only: self.initial_only,
            filled,
            link: self.link.as_deref(),
            absent: self.absent,
        }
    }
}

/// What the text of the outbox says of a field after the values.
#[derive(Clone, Copy)]
struct Marks<'f> {
    path: &'f str,
    create_only: bool,
    initial_only: bool,
    filled: Option<u8>,
    link: Option<&'f str>,
    absent: IfAbsent,
}

impl Field {
    fn marks(&self) -> Marks<'_> {
        Marks {
            path: &self.path,
            create_only: self.create_only,
            initial_only: self.initial_only,
            filled: self.filled,
            link: self.link.as_deref(),
            absent: self.absent,
        }
    }
}

/// Paths only: the values are people's data and must not end in a log.
impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.fields().iter().map(|field| &field.path)).finish()
    }
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Field").field("path", &self.path).field("initial_only", &self.initial_only).finish_non_exhaustive()
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        let flat = |field: &Field| {
            let link = (field.link.clone(), field.absent);
            (field.path.clone(), field.value.get().to_owned(), field.initial_only, field.create_only, field.filled, link)
        };
        self.fields().len() == other.fields().len() && self.fields().iter().zip(other.fields()).all(|(a, b)| flat(a) == flat(b))
    }
}

impl Payload {
    /// An empty payload with room for `capacity` fields.
    #[cfg(any(test, feature = "internals"))]
    pub fn with_capacity(capacity: usize) -> Self {
        Payload { built: None, fields: Vec::with_capacity(capacity) }
    }

    /// A payload of these fields; of a path given twice the later value counts.
    pub fn from_fields(fields: impl IntoIterator<Item = Field>) -> Self {
        let mut by_path: IndexMap<Arc<str>, Field> = IndexMap::new();
        for field in fields {
            by_path.insert(field.path.clone(), field);
        }
        Payload { built: None, fields: by_path.into_values().collect() }
    }

    /// Adds a field whose path is not in the payload yet (a plan writes each target once).
    #[cfg(any(test, feature = "internals"))]
    pub fn push(&mut self, field: Field) {
        debug_assert!(self.fields().iter().all(|have| have.path != field.path), "`{}` twice in a payload", field.path);
        self.fields_mut().push(field);
    }

    /// Adds a value given as a JSON value.
    ///
    /// # Errors
    /// None in practice: a `serde_json::Value` can always be written.
    #[cfg(any(test, feature = "internals"))]
    pub fn push_value(
        &mut self,
        path: impl Into<Arc<str>>,
        value: &serde_json::Value,
        initial_only: bool,
    ) -> Result<(), serde_json::Error> {
        self.push(Field {
            path: path.into(),
            value: serde_json::value::to_raw_value(value)?.into(),
            initial_only,
            create_only: false,
            filled: None,
            link: None,
            absent: IfAbsent::Wait,
        });
        Ok(())
    }

    /// The fields in the order given.
    pub fn fields(&self) -> &[Field] {
        self.built.as_ref().map_or(self.fields.as_slice(), Built::fields)
    }

    fn into_fields(self) -> Vec<Field> {
        self.built.map_or(self.fields, Built::into_fields)
    }

    /// The fields to be changed. The text of the payload is not known any more.
    fn fields_mut(&mut self) -> &mut Vec<Field> {
        if let Some(built) = self.built.take() {
            self.fields = built.into_fields();
        }
        &mut self.fields
    }

    /// The links among the fields.
    pub(super) fn links_mut(&mut self) -> impl Iterator<Item = &mut Field> {
        let linked = match &self.built {
            Some(built) => built.outline.linked,
            None => true,
        };
        let fields = if linked { self.fields_mut().as_mut_slice() } else { &mut [] };
        fields.iter_mut().filter(|field| field.link.is_some())
    }

    /// Two upserts one after the other are one upsert: the newer's values, and the older's where the newer has none.
    /// Dropping those would lose a change that was waiting (a field under `or keep` is left out of the newer).
    pub(super) fn followed_by(self, newer: Payload) -> Payload {
        Payload::from_fields(self.into_fields().into_iter().chain(newer.into_fields()))
    }

    /// `{"fields":{"email":"a@b","location.city":null},"initial":["location.city"]}`, and `"links":{"owner":"accounts"}` where
    /// there are any: what the outbox keeps.
    pub fn to_json(&self) -> Cow<'_, str> {
        if let Some(built) = &self.built {
            return Cow::Borrowed(&built.text);
        }
        let fields = &self.fields;
        let mut text = String::with_capacity(64 + fields.iter().map(|f| 2 * f.path.len() + f.value.get().len() + 10).sum::<usize>());
        text.push_str("{\"fields\":{");
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            push_string(&mut text, &field.path);
            text.push(':');
            text.push_str(field.value.get());
        }
        text.push('}');
        push_marks(&mut text, fields.iter().map(Field::marks));
        text.push('}');
        Cow::Owned(text)
    }

    pub(super) fn from_json(text: &str) -> Result<Payload, StoreError> {
        Payload::from_shared(&text.into(), |path| path.into())
    }

    /// Reads what [`Payload::to_json`] has written. The values stay where they are in `text`; `path` gives the name of a target path.
    pub(super) fn from_shared(text: &Arc<str>, mut path: impl FnMut(&str) -> Arc<str>) -> Result<Payload, StoreError> {
        #[derive(Deserialize)]
        struct Stored<'a> {
            #[serde(borrow)]
            fields: Entries<'a, &'a RawValue>,
            #[serde(borrow, default)]
            initial: Vec<Name<'a>>,
            #[serde(borrow, default)]
            create: Vec<Name<'a>>,
            #[serde(borrow, default)]
            filled: Entries<'a, u8>,
            #[serde(borrow, default)]
            links: Entries<'a, Arc<str>>,
            #[serde(borrow, default)]
            absent: Entries<'a, IfAbsent>,
        }
        let stored: Stored<'_> =
            serde_json::from_str(text).map_err(|e| StoreError::Damaged { what: format!("a payload of the outbox cannot be read: {e}") })?;
        let fields = stored.fields.0.iter().map(|(name, value)| {
            let start = value.get().as_ptr().addr() - text.as_ptr().addr();
            Field {
                path: path(&name.0),
                value: JsonText::part(text, start..start + value.get().len()),
                initial_only: stored.initial.contains(name),
                create_only: stored.create.contains(name),
                filled: stored.filled.get(name).copied(),
                link: stored.links.get(name).cloned(),
                absent: stored.absent.get(name).copied().unwrap_or_default(),
            }
        });
        Ok(Payload { built: None, fields: fields.collect() })
    }
}

/// Appends what there is to say of fields beside their values.
fn push_marks<'f>(text: &mut String, fields: impl Iterator<Item = Marks<'f>> + Clone) {
    let of = || fields.clone();
    push_list(text, "create", of().filter(|field| field.create_only));
    push_list(text, "initial", of().filter(|field| field.initial_only));
    push_map(text, "filled", of().filter_map(|field| Some((field, field.filled?))), |text, bits| {
        // A text can always be written to.
        let _ = write!(text, "{bits}");
    });
    push_map(text, "links", of().filter_map(|field| Some((field, field.link?))), push_string);
    push_map(text, "absent", of().filter_map(|field| Some((field, field.absent.word()?))), push_string);
}

/// Appends `,"name":["path",…]`; nothing if there are no fields.
fn push_list<'f>(text: &mut String, name: &str, fields: impl Iterator<Item = Marks<'f>>) {
    let mut separator = '[';
    for field in fields {
        if separator == '[' {
            push_name(text, name);
        }
        text.push(separator);
        push_string(text, field.path);
        separator = ',';
    }
    if separator == ',' {
        text.push(']');
    }
}

/// Appends `,"name":{"path":value,…}`; `push` appends the value. Nothing if there are no fields.
fn push_map<'f, T>(text: &mut String, name: &str, fields: impl Iterator<Item = (Marks<'f>, T)>, push: impl Fn(&mut String, T)) {
    let mut separator = '{';
    for (field, value) in fields {
        if separator == '{' {
            push_name(text, name);
        }
        text.push(separator);
        push_string(text, field.path);
        text.push(':');
        push(text, value);
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
}

/// Appends `,"name":`.
fn push_name(text: &mut String, name: &str) {
    text.push_str(",\"");
    text.push_str(name);
    text.push_str("\":");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn payload(fields: &[(&str, serde_json::Value, bool)]) -> Payload {
        let mut payload = Payload::default();
        for (path, value, initial_only) in fields {
            payload.push_value(*path, value, *initial_only).unwrap();
        }
        payload
    }

    #[test]
    fn a_payload_comes_back_from_its_json_text_as_it_was() {
        let before = payload(&[
            ("email", json!("a\"b\\c\u{1}@x"), false),
            ("location.city", json!(null), true),
            ("odd \"name\"\\", json!(1.50), true),
        ]);
        assert_eq!(Payload::from_json(&before.to_json()).unwrap(), before);
        let begun = Payload::from_fields(before.fields().iter().map(|field| Field { create_only: true, ..field.clone() }));
        assert_eq!(Payload::from_json(&begun.to_json()).unwrap(), begun);
        assert_eq!(Payload::from_json(&Payload::default().to_json()).unwrap(), Payload::default());
        let defaulted = Payload::from_fields(before.fields().iter().map(|field| Field { filled: Some(5), ..field.clone() }));
        assert_eq!(Payload::from_json(&defaulted.to_json()).unwrap(), defaulted);
        let mut linked = before;
        linked.push(Field { link: Some("accounts".into()), ..payload(&[("owner", json!("a-1"), false)]).fields()[0].clone() });
        assert_eq!(Payload::from_json(&linked.to_json()).unwrap(), linked);
        for absent in [IfAbsent::Null, IfAbsent::Later] {
            let later = Payload::from_fields(linked.fields().iter().map(|field| Field { absent, ..field.clone() }));
            assert_eq!(Payload::from_json(&later.to_json()).unwrap(), later);
        }
    }

    #[test]
    fn an_outline_writes_the_text_that_its_payload_has() {
        let mut outline = Outline::with_capacity(4);
        outline.push("email".into(), false, false, None);
        outline.push("odd \"name\"".into(), true, false, None);
        outline.push("kept".into(), false, true, None);
        outline.push("owner".into(), false, false, Some(("accounts".into(), IfAbsent::Later)));
        let outline = Arc::new(outline);
        let values = [Some(("\"a@b\"", None)), Some(("1.50", Some(5))), None, Some(("\"a-1\"", None))];
        let payload = outline.payload(values.into_iter(), |value, text| {
            let (json, filled) = value?;
            text.push_str(json);
            Some(filled)
        });
        assert_eq!(payload.fields().len(), 3);
        let built = Payload::from_fields(payload.fields().iter().cloned());
        assert_eq!(payload.to_json(), built.to_json());
        assert_eq!(Payload::from_json(&payload.to_json()).unwrap(), built);
        let none = outline.payload([None; 4].into_iter(), |value: Option<()>, _| value.map(|()| None));
        assert_eq!(none.to_json(), Payload::default().to_json());
    }

    #[test]
    fn a_payload_that_is_changed_has_another_text() {
        let mut outline = Outline::with_capacity(1);
        outline.push("owner".into(), false, false, Some(("accounts".into(), IfAbsent::Wait)));
        let mut payload = Arc::new(outline).payload([()].into_iter(), |(), text| {
            text.push_str("\"a-1\"");
            Some(None)
        });
        let before = payload.to_json().into_owned();
        payload.links_mut().for_each(|field| field.link = Some("people".into()));
        assert_ne!(payload.to_json(), before);
        payload.push(Field { path: "b".into(), ..payload.fields()[0].clone() });
        assert!(payload.to_json().contains("\"b\""));
    }

    #[test]
    fn of_two_upserts_the_newer_value_counts_and_a_field_it_leaves_out_is_kept() {
        let merged = payload(&[("a", json!(1), false), ("b", json!(1), true)]).followed_by(payload(&[("a", json!(2), false)]));
        assert_eq!(merged, payload(&[("a", json!(2), false), ("b", json!(1), true)]));
    }

    #[test]
    fn the_debug_form_of_a_payload_shows_no_value() {
        let text = format!("{:?}", payload(&[("email", json!("ada@example.com"), false)]));
        assert!(text.contains("email") && !text.contains("ada"), "{text}");
    }
}
