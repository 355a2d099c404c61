//! `$metadata`: the organization's types as CSDL.
//!
//! The outline is the documented one: `mscrm.crmbaseentity` as the base of all types and `mscrm.activitypointer` as that of activities,
//! lookups as a Guid and a navigation property bound to it, alternate keys as annotations. With `?annotations=true` it says what is
//! computed and which sets track changes. [D; the order of elements is K]

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use quick_xml::escape::escape;

use super::error::{Fail, Result};
use super::metadata::edm;
use super::relate::collection_name;
use super::store::Store;
use super::table::{Column, Table, Type};
use crate::net;

/// The columns that an activity has from its base type.
const POINTER: &str = "activitypointer";

fn property(out: &mut String, column: &Column, annotations: bool) {
    let more = match column.kind {
        Type::String | Type::Memo | Type::EntityName | Type::MultiSelect => " Unicode=\"false\"",
        Type::Decimal | Type::Money | Type::Double => " Scale=\"Variable\"",
        Type::Integer
        | Type::BigInt
        | Type::Boolean
        | Type::Picklist
        | Type::State
        | Type::Status
        | Type::DateTime
        | Type::Uniqueidentifier
        | Type::Lookup
        | Type::Customer
        | Type::Owner
        | Type::Image
        | Type::File
        | Type::Virtual => "",
    };
    let _ = write!(out, "<Property Name=\"{}\" Type=\"{}\"{more}", escape(&column.property), edm(column));
    let read_only = column.kind.is_lookup() || !(column.has('c') || column.has('u'));
    if annotations && read_only {
        out.push_str(
            "><Annotation Term=\"Org.OData.Core.V1.Computed\" Bool=\"true\" /><Annotation Term=\"Org.OData.Core.V1.Permissions\">\
             <EnumMember>Org.OData.Core.V1.PermissionType/Read</EnumMember></Annotation></Property>",
        );
    } else {
        out.push_str(" />");
    }
}

fn key(out: &mut String, name: &str) {
    let _ = write!(out, "<Key><PropertyRef Name=\"{}\" /></Key>", escape(name));
}

fn columns(table: &Table) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(|column| column.is_readable())
}

/// What all activities have: no custom column, none of the lookups that bear the activity's name.
fn inherited(column: &Column) -> bool {
    !column.has('x')
}

fn keys(out: &mut String, table: &Table) {
    let active: Vec<_> = table.keys.iter().filter(|key| key.status == super::table::KeyStatus::Active).collect();
    if active.is_empty() {
        return;
    }
    out.push_str("<Annotation Term=\"OData.Community.Keys.V1.AlternateKeys\"><Collection>");
    for key in active {
        out.push_str("<Record Type=\"OData.Community.Keys.V1.AlternateKey\"><PropertyValue Property=\"Key\"><Collection>");
        for index in &key.indexes {
            let name = escape(&table.at(*index).property);
            let _ = write!(
                out,
                "<Record Type=\"OData.Community.Keys.V1.PropertyRef\"><PropertyValue Property=\"Alias\" String=\"{name}\" /><PropertyValue Property=\"Name\" \
                 PropertyPath=\"{name}\" /></Record>"
            );
        }
        out.push_str("</Collection></PropertyValue></Record>");
    }
    out.push_str("</Collection></Annotation>");
}

/// The table that a relation leads to, when this organization has it.
fn target<'a>(store: &'a Store, name: &str) -> Option<&'a Table> {
    store.by_name(if name == "owner" { "systemuser" } else { name }).map(|index| &store.tables[index].table)
}

fn collections<'a>(store: &'a Store, table: &'a Table) -> impl Iterator<Item = (&'a str, &'a Table, &'a str)> {
    let others = store.tables.iter().map(|rows| &rows.table).filter(|other| !other.dropped);
    others.flat_map(move |other| {
        let here = other.many_to_one.iter().filter(move |relation| relation.table == table.name);
        here.map(move |relation| (collection_name(relation), other, relation.nav.as_str()))
    })
}

fn entity(out: &mut String, store: &Store, table: &Table, annotations: bool) {
    let base = if table.activity { POINTER } else { "crmbaseentity" };
    let _ = write!(out, "<EntityType Name=\"{}\" BaseType=\"mscrm.{base}\">", escape(&table.name));
    if !table.activity {
        key(out, &table.id);
    }
    for column in columns(table).filter(|column| !(table.activity && inherited(column))) {
        property(out, column, annotations);
    }
    for relation in &table.many_to_one {
        let Some(to) = target(store, &relation.table) else { continue };
        let kind = if relation.table == "owner" { "principal" } else { to.name.as_str() };
        let partner = match kind {
            "principal" => String::new(),
            _ => format!(" Partner=\"{}\"", escape(collection_name(relation))),
        };
        let id = if relation.table == "owner" { "ownerid" } else { to.id.as_str() };
        let _ = write!(
            out,
            "<NavigationProperty Name=\"{}\" Type=\"mscrm.{}\" Nullable=\"true\"{partner}><ReferentialConstraint Property=\"_{}_value\" \
             ReferencedProperty=\"{}\" /></NavigationProperty>",
            escape(&relation.nav),
            escape(kind),
            escape(&relation.column),
            escape(id),
        );
    }
    for (name, other, partner) in collections(store, table) {
        let _ = write!(
            out,
            "<NavigationProperty Name=\"{}\" Type=\"Collection(mscrm.{})\" Partner=\"{}\" />",
            escape(name),
            escape(&other.name),
            escape(partner)
        );
    }
    keys(out, table);
    out.push_str("</EntityType>");
}

fn bulk_actions(out: &mut String, table: &Table) {
    let name = escape(&table.name);
    for message in ["CreateMultiple", "UpdateMultiple", "UpsertMultiple"] {
        let _ = write!(
            out,
            "<Action Name=\"{message}\" IsBound=\"true\"><Parameter Name=\"entityset\" Type=\"Collection(mscrm.{name})\" Nullable=\"false\" /><Parameter \
             Name=\"Targets\" Type=\"Collection(mscrm.crmbaseentity)\" Nullable=\"false\" />"
        );
        if message == "CreateMultiple" {
            out.push_str("<ReturnType Type=\"mscrm.CreateMultipleResponse\" Nullable=\"false\" />");
        }
        out.push_str("</Action>");
    }
}

/// The document.
fn document(store: &Store, annotations: bool) -> String {
    let tables: Vec<&Table> = store.tables.iter().map(|rows| &rows.table).filter(|table| !table.dropped).collect();
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><edmx:Edmx Version=\"4.0\" xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\"><edmx:Reference \
         Uri=\"http://vocabularies.odata.org/OData.Community.Keys.V1.xml\"><edmx:Include Namespace=\"OData.Community.Keys.V1\" Alias=\"Keys\" />\
         <edmx:IncludeAnnotations TermNamespace=\"OData.Community.Keys.V1\" /></edmx:Reference><edmx:DataServices><Schema \
         Namespace=\"Microsoft.Dynamics.CRM\" Alias=\"mscrm\" xmlns=\"http://docs.oasis-open.org/odata/ns/edm\"><EntityType Name=\"crmbaseentity\" \
         Abstract=\"true\" /><EntityType Name=\"principal\" BaseType=\"mscrm.crmbaseentity\">",
    );
    key(&mut out, "ownerid");
    out.push_str("<Property Name=\"ownerid\" Type=\"Edm.Guid\" /></EntityType>");
    if let Some(activity) = tables.iter().find(|table| table.activity) {
        let _ = write!(out, "<EntityType Name=\"{POINTER}\" BaseType=\"mscrm.crmbaseentity\">");
        key(&mut out, "activityid");
        for column in columns(activity).filter(|column| inherited(column)) {
            property(&mut out, column, annotations);
        }
        out.push_str("</EntityType>");
    }
    for table in &tables {
        entity(&mut out, store, table, annotations);
    }
    out.push_str(
        "<ComplexType Name=\"WhoAmIResponse\"><Property Name=\"BusinessUnitId\" Type=\"Edm.Guid\" Nullable=\"false\" /><Property Name=\"UserId\" \
         Type=\"Edm.Guid\" Nullable=\"false\" /><Property Name=\"OrganizationId\" Type=\"Edm.Guid\" Nullable=\"false\" /></ComplexType><ComplexType \
         Name=\"CreateMultipleResponse\"><Property Name=\"Ids\" Type=\"Collection(Edm.Guid)\" /></ComplexType><Function Name=\"WhoAmI\"><ReturnType \
         Type=\"mscrm.WhoAmIResponse\" Nullable=\"false\" /></Function>",
    );
    for table in tables.iter().filter(|table| table.bulk && !table.read_only) {
        bulk_actions(&mut out, table);
    }
    out.push_str("<EntityContainer Name=\"System\">");
    for table in &tables {
        let _ = write!(out, "<EntitySet Name=\"{}\" EntityType=\"Microsoft.Dynamics.CRM.{}\">", escape(&table.set), escape(&table.name));
        for relation in &table.many_to_one {
            if let Some(to) = target(store, &relation.table).filter(|_| relation.table != "owner") {
                let _ = write!(out, "<NavigationPropertyBinding Path=\"{}\" Target=\"{}\" />", escape(&relation.nav), escape(&to.set));
            }
        }
        for (name, other, _) in collections(store, table) {
            let _ = write!(out, "<NavigationPropertyBinding Path=\"{}\" Target=\"{}\" />", escape(name), escape(&other.set));
        }
        if annotations && table.tracking {
            out.push_str(
                "<Annotation Term=\"Org.OData.Capabilities.V1.ChangeTracking\"><Record><PropertyValue Property=\"Supported\" Bool=\"true\" /></Record></Annotation>",
            );
        }
        out.push_str("</EntitySet>");
    }
    out.push_str("<FunctionImport Name=\"WhoAmI\" Function=\"Microsoft.Dynamics.CRM.WhoAmI\" /></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>");
    out
}

/// `GET $metadata`, `GET $metadata?annotations=true`.
pub(super) fn answer(store: &Store, query: Option<&str>) -> Result<Response<Body>> {
    let pairs = net::query(query).ok_or_else(|| Fail::query("The query string is not UTF-8."))?;
    let annotations = pairs.iter().any(|(name, value)| name == "annotations" && value.eq_ignore_ascii_case("true"));
    Ok(net::body(StatusCode::OK, "application/xml", document(store, annotations)))
}
