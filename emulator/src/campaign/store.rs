//! The resources with their records, their indexes by identification key, and their opaque primary keys.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::fields::{Cardinality, Cell, Fields, Kind, To};
use super::filter::Filter;
use super::history::Event;

/// How deep links are followed to find out whether a record is hidden.
const DEPTH: u32 = 8;
/// Sealing domains below the resources' own.
pub(super) const LINE: u64 = 2;
pub(super) const CRYPTED: u64 = 3;
pub(super) const TYPE: u64 = 4;
pub(super) const EVENT: u64 = 5;
const ROWS: u64 = 1 << 16;
const NESTED: u64 = 1 << 17;

/// A record. Cells are sorted by attribute.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Milliseconds since 1970.
    pub(super) created: i64,
    pub(super) modified: i64,
    pub(super) cells: Box<[(u16, Cell)]>,
}

impl Row {
    pub(super) fn cell(&self, field: u16) -> Option<&Cell> {
        self.cells.binary_search_by_key(&field, |(index, _)| *index).ok().map(|at| &self.cells[at].1)
    }

    pub(super) fn text(&self, field: u16) -> &str {
        if let Some(Cell::Text(text)) = self.cell(field) { text } else { "" }
    }
}

/// Attributes to set; `None` empties.
pub(super) type Changes = Vec<(u16, Option<Cell>)>;

/// Under which endpoints a resource is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The product's own: `profileAndServices` and `profileAndServicesExt`.
    BuiltIn,
    /// Linked to the profile: `profileAndServicesExt`. [D]
    Linked,
    /// Everything else: `customResources`, and not under the extended endpoint. [D]
    Free,
    /// Reached by the records that own them alone.
    Owned,
}

/// The records that have a text in an attribute.
type RecordsByText = HashMap<Box<str>, BTreeSet<u64>>;

/// A resource with its records.
pub(crate) struct Resource {
    pub(super) name: String,
    pub(super) label: String,
    /// `nms:recipient`, `cus:product`.
    pub(super) schema: String,
    pub(super) reach: Reach,
    pub(super) fields: Fields,
    /// The identification keys: attributes that together name one record.
    pub(super) keys: Vec<Vec<u16>>,
    pub(super) filters: Vec<Filter>,
    /// Texts by which a filter of one parameter finds records that are equal, each with its records.
    searched: Vec<(u16, RecordsByText)>,
    pub(super) rows: BTreeMap<u64, Row>,
    by_key: Vec<HashMap<Box<str>, u64>>,
    /// Records by a link and the record that it leads to, of a resource whose records are owned.
    by_owner: HashMap<(u16, u64), BTreeSet<u64>>,
    /// Records that changed since they were kept last; `None` when nothing is kept.
    pub(super) touched: Option<BTreeSet<u64>>,
}

impl Resource {
    pub(crate) fn new(
        name: &str,
        label: &str,
        schema: &str,
        fields: Fields,
        keys: &[Vec<String>],
        filters: Vec<Filter>,
    ) -> Result<Resource, String> {
        let mut indexes = Vec::new();
        for key in keys {
            let mut parts = Vec::new();
            for part in key {
                let index = fields.find(part).filter(|index| !matches!(fields.at(*index).kind, Kind::Link | Kind::Collection | Kind::Item));
                parts.push(index.ok_or_else(|| format!("the identification key `{part}` is not an attribute of the {name}"))?);
            }
            if parts.is_empty() {
                return Err(format!("an identification key of the {name} has no attribute"));
            }
            indexes.push(parts);
        }
        let resource = Resource {
            name: name.to_owned(),
            label: label.to_owned(),
            schema: schema.to_owned(),
            reach: if name.starts_with("cus") { Reach::Free } else { Reach::BuiltIn },
            searched: filters
                .iter()
                .filter_map(Filter::equal_to)
                .filter_map(|(_, field)| fields.find(field).filter(|index| fields.at(*index).kind == Kind::String))
                .collect::<BTreeSet<u16>>()
                .into_iter()
                .map(|field| (field, HashMap::new()))
                .collect(),
            by_key: vec![HashMap::new(); indexes.len()],
            by_owner: HashMap::new(),
            keys: indexes,
            fields,
            filters,
            rows: BTreeMap::new(),
            touched: None,
        };
        for (number, filter) in resource.filters.iter().enumerate() {
            filter.check(&resource)?;
            if resource.filters[..number].iter().any(|other| other.name == filter.name) {
                return Err(format!("the filter `{}` is there twice", filter.name));
            }
        }
        Ok(resource)
    }

    /// The same as one whose records are reached by the records that own them alone.
    pub(super) fn owned(self) -> Resource {
        Resource { reach: Reach::Owned, ..self }
    }

    /// The records whose link leads to this record.
    pub(super) fn owned_by(&self, via: u16, owner: u64) -> Vec<u64> {
        self.by_owner.get(&(via, owner)).map(|ids| ids.iter().copied().collect()).unwrap_or_default()
    }

    /// The owners of a record, each with the link that leads to it.
    fn owners(&self, row: &Row) -> Vec<(u16, u64)> {
        let links = row.cells.iter().filter(|_| self.reach == Reach::Owned);
        links.filter_map(|(field, cell)| if let Cell::Link(To::Row(id)) = cell { Some((*field, *id)) } else { None }).collect()
    }

    /// The text by which an identification key names a record; none when all its parts are empty.
    pub(super) fn key_of(&self, key: &[u16], row: &Row) -> Option<Box<str>> {
        let parts: Vec<String> =
            key.iter().map(|field| row.cell(*field).map(|cell| cell.key_text(self.fields.at(*field))).unwrap_or_default()).collect();
        if parts.iter().all(String::is_empty) { None } else { Some(parts.join("\u{1f}").into()) }
    }

    /// The first key of one attribute, which is used in addresses and identifies a record in links.
    pub(super) fn address_key(&self) -> Option<u16> {
        self.keys.iter().find(|key| key.len() == 1).map(|key| key[0])
    }

    pub(super) fn by_key(&self, text: &str) -> Option<u64> {
        let number = self.keys.iter().position(|key| key.len() == 1)?;
        self.by_key.get(number)?.get(text).copied()
    }

    /// The record whose key attribute `name` has this value.
    pub(super) fn by_attribute(&self, name: &str, text: &str) -> Option<u64> {
        let field = self.fields.find(name)?;
        let number = self.keys.iter().position(|key| key.as_slice() == [field])?;
        self.by_key.get(number)?.get(text).copied()
    }

    /// Whether an attribute alone is an identification key.
    pub(super) fn is_key(&self, field: u16) -> bool {
        self.keys.iter().any(|key| key.as_slice() == [field])
    }

    /// The records that may have this text in an attribute, where the resource keeps an index of it: letter case does not matter.
    pub(super) fn by_text(&self, field: &str, text: &str) -> Option<Vec<u64>> {
        let field = self.fields.find(field)?;
        let (_, index) = self.searched.iter().find(|(known, _)| *known == field)?;
        Some(index.get(text.to_lowercase().as_str()).map(|ids| ids.iter().copied().collect()).unwrap_or_default())
    }

    fn index(&mut self, id: u64, row: &Row) {
        for owner in self.owners(row) {
            self.by_owner.entry(owner).or_default().insert(id);
        }
        for number in 0..self.keys.len() {
            if let Some(key) = self.key_of(&self.keys[number], row) {
                self.by_key[number].insert(key, id);
            }
        }
        for (field, index) in &mut self.searched {
            let text = row.text(*field);
            if !text.is_empty() {
                index.entry(text.to_lowercase().into()).or_default().insert(id);
            }
        }
    }

    fn forget(&mut self, id: u64, row: &Row) {
        for owner in self.owners(row) {
            if let Some(ids) = self.by_owner.get_mut(&owner) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_owner.remove(&owner);
                }
            }
        }
        for number in 0..self.keys.len() {
            if let Some(key) = self.key_of(&self.keys[number], row) {
                self.by_key[number].remove(&key);
            }
        }
        for (field, index) in &mut self.searched {
            let text = row.text(*field).to_lowercase();
            if let Some(ids) = index.get_mut(text.as_str()) {
                ids.remove(&id);
                if ids.is_empty() {
                    index.remove(text.as_str());
                }
            }
        }
    }

    /// The key that another record has already.
    fn clash(&self, row: &Row, own: Option<u64>) -> Option<String> {
        self.keys.iter().enumerate().find_map(|(number, key)| {
            let text = self.key_of(key, row)?;
            let holder = self.by_key[number].get(&text)?;
            (Some(*holder) != own).then(|| text.replace('\u{1f}', " / "))
        })
    }

    /// Changes a record that is there; the key it clashes with is given back otherwise.
    pub(super) fn update(&mut self, id: u64, changes: Changes, now: i64) -> Result<(), String> {
        let Some(old) = self.rows.get(&id).cloned() else { return Ok(()) };
        let mut cells: BTreeMap<u16, Cell> = old.cells.iter().cloned().collect();
        for (field, cell) in changes {
            match cell {
                Some(cell) => cells.insert(field, cell),
                None => cells.remove(&field),
            };
        }
        let row = Row { created: old.created, modified: now, cells: cells.into_iter().collect() };
        if let Some(key) = self.clash(&row, Some(id)) {
            return Err(key);
        }
        self.forget(id, &old);
        self.put(id, row);
        Ok(())
    }

    /// Puts a record in its place.
    pub(super) fn put(&mut self, id: u64, row: Row) {
        self.index(id, &row);
        self.rows.insert(id, row);
        self.touch(id);
    }

    fn touch(&mut self, id: u64) {
        if let Some(touched) = &mut self.touched {
            touched.insert(id);
        }
    }

    pub(super) fn delete(&mut self, id: u64) {
        if let Some(row) = self.rows.remove(&id) {
            self.forget(id, &row);
            self.touch(id);
        }
    }
}

/// All resources of the instance.
pub(crate) struct World {
    pub(super) resources: Vec<Resource>,
    by_name: HashMap<String, usize>,
    pub(super) next: u64,
    seed: u64,
    /// Primary keys given out in an earlier epoch are not known any more.
    pub(crate) epoch: u64,
    /// Whether profiles without an organizational unit are invisible to the API's user.
    pub(super) org_units: bool,
    /// Marketing history by profile, oldest event first.
    pub(super) history: HashMap<u64, Vec<Event>>,
    /// How many events were kept last.
    pub(super) events_kept: usize,
}

impl World {
    /// The first resource is the profile.
    pub(crate) fn new(mut resources: Vec<Resource>, org_units: bool, seed: u64) -> Result<World, String> {
        let mut by_name = HashMap::new();
        for (number, resource) in resources.iter().enumerate() {
            if by_name.insert(resource.name.clone(), number).is_some() {
                return Err(format!("the resource `{}` is there twice", resource.name));
            }
        }
        for resource in &resources {
            for field in resource.fields.list.iter().filter(|field| field.via.is_some() || (field.custom && field.kind == Kind::Link)) {
                let target = field.target.as_deref().unwrap_or_default();
                let target = by_name.get(target).map(|number| &resources[*number]);
                let target = target.ok_or_else(|| format!("attribute `{}` of `{}`: no resource to lead to", field.name, resource.name))?;
                if let Some(via) = &field.via {
                    let back = target.fields.find(via).map(|index| target.fields.at(index));
                    if !back.is_some_and(|back| back.kind == Kind::Link && back.target.as_deref() == Some(&resource.name)) {
                        return Err(format!("attribute `{}` of `{}`: `{via}` is not a link back", field.name, resource.name));
                    }
                }
            }
        }
        if org_units && resources.first().and_then(|profile| profile.fields.find("orgUnit")).is_none() {
            return Err("`orgUnitRequired` needs a profile that is extended with the link `orgUnit` to `orgUnitBase`".to_owned());
        }
        // A resource is reached through the profile where links join the two, whichever way they point and over how many steps.
        let mut linked = vec![false; resources.len()];
        let mut at = vec![0];
        while let Some(number) = at.pop() {
            if std::mem::replace(&mut linked[number], true) {
                continue;
            }
            for (other, resource) in resources.iter().enumerate() {
                let leads = |from: &Resource, to: &Resource| {
                    from.fields.list.iter().any(|field| field.kind == Kind::Link && field.target.as_deref() == Some(&to.name))
                };
                let own = |resource: &Resource| resource.reach != Reach::BuiltIn;
                if !linked[other]
                    && own(resource)
                    && (number == 0 || own(&resources[number]))
                    && (leads(&resources[number], resource) || leads(resource, &resources[number]))
                {
                    at.push(other);
                }
            }
        }
        for (number, resource) in resources.iter_mut().enumerate() {
            if resource.reach == Reach::Free && linked[number] {
                resource.reach = Reach::Linked;
            }
        }
        Ok(World { resources, by_name, next: 1, seed, epoch: 0, org_units, history: HashMap::new(), events_kept: 0 })
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    fn mac(&self, domain: u64, id: u64) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.seed ^ domain, self.epoch);
        hasher.write_u64(id);
        hasher.finish()
    }

    /// An opaque text for a number: not the number, not to be guessed, and dead when the epoch changes.
    pub(super) fn seal(&self, domain: u64, id: u64) -> String {
        let mac = self.mac(domain, id);
        format!("@{:016x}{mac:016x}", id ^ mac.rotate_left(17))
    }

    pub(super) fn unseal(&self, domain: u64, text: &str) -> Option<u64> {
        let digits = text.strip_prefix('@').filter(|digits| digits.len() == 32 && digits.is_ascii())?;
        let mac = u64::from_str_radix(&digits[16..], 16).ok()?;
        let id = u64::from_str_radix(&digits[..16], 16).ok()? ^ mac.rotate_left(17);
        (self.mac(domain, id) == mac).then_some(id)
    }

    pub(super) fn pkey(&self, resource: usize, id: u64) -> String {
        self.seal(ROWS + resource as u64, id)
    }

    /// The key in the addresses of a record's collections: another text than the record's own. [C]
    pub(super) fn nested_pkey(&self, resource: usize, id: u64) -> String {
        self.seal(NESTED + resource as u64, id)
    }

    /// The record behind a PKey, hidden or not.
    pub(super) fn by_pkey(&self, resource: usize, pkey: &str) -> Option<u64> {
        let number = resource as u64;
        let id = self.unseal(ROWS + number, pkey).or_else(|| self.unseal(NESTED + number, pkey))?;
        self.resources[resource].rows.contains_key(&id).then_some(id)
    }

    /// The visible record that an address names: by PKey, or by identification key.
    pub(super) fn find(&self, resource: usize, key: &str) -> Option<u64> {
        let id = if key.starts_with('@') { self.by_pkey(resource, key)? } else { self.resources[resource].by_key(key)? };
        self.visible(resource, id).then_some(id)
    }

    /// The record that a link leads to.
    pub(super) fn target(&self, resource: usize, field: u16, row: &Row) -> Option<(usize, u64)> {
        let Some(Cell::Link(to)) = row.cell(field) else { return None };
        let target = self.number(self.resources[resource].fields.at(field).target.as_deref()?)?;
        let id = match to {
            To::Row(id) => Some(*id).filter(|id| self.resources[target].rows.contains_key(id)),
            To::Key(key) => self.resources[target].by_key(key),
        };
        id.map(|id| (target, id))
    }

    /// Whether a record is seen through the API: each link of cardinality 1 must lead to a visible record, and a profile must have
    /// an organizational unit where those are required.
    pub(super) fn visible(&self, resource: usize, id: u64) -> bool {
        self.visible_to(resource, id, DEPTH)
    }

    fn visible_to(&self, number: usize, id: u64, depth: u32) -> bool {
        let resource = &self.resources[number];
        let Some(row) = resource.rows.get(&id) else { return false };
        if depth == 0 {
            return true;
        }
        let needs = |field: &super::fields::Field| {
            field.kind == Kind::Link
                && (field.cardinality == Cardinality::One || (number == 0 && self.org_units && field.name == "orgUnit"))
        };
        (resource.fields.list.iter().enumerate())
            .filter(|(_, field)| needs(field))
            .all(|(index, _)| self.target(number, index as u16, row).is_some_and(|(to, id)| self.visible_to(to, id, depth - 1)))
    }

    /// Creates a record; the key it clashes with is given back otherwise.
    pub(super) fn insert(&mut self, resource: usize, changes: Changes, now: i64) -> Result<u64, String> {
        let cells: BTreeMap<u16, Cell> = changes.into_iter().filter_map(|(field, cell)| Some((field, cell?))).collect();
        let row = Row { created: now, modified: now, cells: cells.into_iter().collect() };
        let resource = &mut self.resources[resource];
        if let Some(key) = resource.clash(&row, None) {
            return Err(key);
        }
        let id = self.next;
        self.next += 1;
        resource.put(id, row);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(name: &str, fields: &str, keys: &[Vec<String>]) -> Resource {
        let fields = Fields::custom(serde_json::from_str(fields).unwrap(), true).unwrap();
        Resource::new(name, name, name, fields, keys, Vec::new()).unwrap()
    }

    fn profile() -> Resource {
        let fields = Fields::profile(Vec::new()).unwrap();
        Resource::new("profile", "Profile", "nms:recipient", fields, &[vec!["externalId".to_owned()]], Filter::of_profile()).unwrap()
    }

    #[test]
    fn a_sealed_number_opens_in_its_epoch_only() {
        let mut world = World::new(vec![profile()], false, 5).unwrap();
        let sealed = world.seal(1, 42);
        assert_eq!(world.unseal(1, &sealed), Some(42));
        assert_eq!(world.unseal(2, &sealed), None);
        world.epoch += 1;
        assert_eq!(world.unseal(1, &sealed), None);
    }

    #[test]
    fn a_resource_is_linked_to_the_profile_over_any_number_of_steps_in_either_direction() {
        let link = |target: &str| format!(r#"[{{"name": "l", "type": "link", "target": "{target}"}}]"#);
        let world = World::new(
            vec![
                profile(),
                resource("cusTransaction", &link("profile"), &[]),
                resource(
                    "cusDetail",
                    &link("cusTransaction").replace('}', r#"}, {"name": "p", "type": "link", "target": "cusProduct"}"#),
                    &[],
                ),
                resource("cusProduct", "[]", &[]),
                resource("cusBrand", "[]", &[]),
                resource("cusShop", &link("cusBrand"), &[]),
            ],
            false,
            1,
        )
        .unwrap();
        let reach: Vec<Reach> = world.resources.iter().map(|resource| resource.reach).collect();
        assert_eq!(reach, [Reach::BuiltIn, Reach::Linked, Reach::Linked, Reach::Linked, Reach::Free, Reach::Free]);
    }

    #[test]
    fn a_key_of_two_parts_is_unique_as_a_whole() {
        let fields = r#"[{"name": "a", "type": "string"}, {"name": "b", "type": "integer"}]"#;
        let mut world = World::new(vec![profile(), resource("cusX", fields, &[vec!["a".into(), "b".into()]])], false, 1).unwrap();
        let field = |name: &str| world.resources[1].fields.find(name).unwrap();
        let (a, b) = (field("a"), field("b"));
        let row = |text: &str, number| vec![(a, Some(Cell::Text(text.into()))), (b, Some(Cell::Int(number)))];
        world.insert(1, row("x", 1), 0).unwrap();
        let second = world.insert(1, row("x", 2), 0).unwrap();
        assert_eq!(world.insert(1, row("x", 1), 0), Err("x / 1".to_owned()));
        assert_eq!(world.resources[1].update(second, row("x", 1), 0), Err("x / 1".to_owned()));
        assert!(world.insert(1, row("y", 1), 0).is_ok());
    }
}
