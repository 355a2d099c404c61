//! Properties of metadata that nothing here depends on: Dataverse documents them for every table and column, and discovery tools
//! select them. [D: EntityMetadata and AttributeMetadata entity types] Their values are those of a plain table of an organization
//! as it comes. [C]

use serde_json::{Map, Value as Json, json};

use super::metadata::{managed, object};
use super::table::{Column, Table, Type};

const CREATED: &str = "1900-01-01T00:00:00Z";

/// Properties of a table that are null.
const UNSET: &[&str] = &[
    "DataProviderId",
    "DataSourceId",
    "EntityColor",
    "EntityHelpUrl",
    "ExternalCollectionName",
    "ExternalName",
    "IconLargeName",
    "IconMediumName",
    "IconSmallName",
    "IconVectorName",
    "MobileOfflineFilters",
    "OwnerId",
    "OwnerIdType",
    "OwningBusinessUnit",
    "RecurrenceBaseEntityLogicalName",
    "SettingOf",
];

/// Properties of a table that are false.
const OFF: &[&str] = &[
    "AutoCreateAccessTeams",
    "AutoRouteToOwnerQueue",
    "EnforceStateTransitions",
    "EntityHelpUrlEnabled",
    "HasEmailAddresses",
    "HasFeedback",
    "IsActivityParty",
    "IsArchivalEnabled",
    "IsBPFEntity",
    "IsBusinessProcessEnabled",
    "IsChildEntity",
    "IsDocumentManagementEnabled",
    "IsDocumentRecommendationsEnabled",
    "IsEnabledForExternalChannels",
    "IsEnabledForTrace",
    "IsInteractionCentricEnabled",
    "IsIntersect",
    "IsKnowledgeManagementEnabled",
    "IsLogicalEntity",
    "IsMSTeamsIntegrationEnabled",
    "IsOneNoteIntegrationEnabled",
    "IsQuickCreateEnabled",
    "IsRetentionEnabled",
    "IsRetrieveAuditEnabled",
    "IsRetrieveMultipleAuditEnabled",
    "IsSLAEnabled",
    "IsSolutionAware",
    "SyncToExternalSearchIndex",
    "UsesBusinessDataLabelTable",
];

/// Properties of a table that are true.
const ON: &[&str] = &[
    "CanTriggerWorkflow",
    "HasNotes",
    "IsAIRUpdated",
    "IsEnabledForCharts",
    "IsImportable",
    "IsReadingPaneEnabled",
    "IsValidForAdvancedFind",
];

/// Properties of a table.
pub(super) fn entity(table: &Table) -> Map<String, Json> {
    let image = table.columns.iter().find(|column| column.kind == Type::Image).map(|column| column.name.as_str());
    let stateful = table.columns.iter().any(|column| column.kind == Type::State);
    let mut map = object(json!({
        "ClusterMode": "Local", "CreatedOn": CREATED, "DaysSinceRecordLastModified": 0, "HasActivities": !table.activity,
        "IntroducedVersion": "5.0.0.0", "IsStateModelAware": stateful, "ModifiedOn": CREATED, "PrimaryImageAttribute": image,
        "ReportViewName": format!("Filtered{}", table.schema),
    }));
    let fixed = [(UNSET, Json::Null), (OFF, Json::Bool(false)), (ON, Json::Bool(true))];
    map.extend(fixed.iter().flat_map(|(names, value)| names.iter().map(move |name| ((*name).to_owned(), value.clone()))));
    let settings = [
        ("CanBeInCustomEntityAssociation", true),
        ("CanBeInManyToMany", true),
        ("CanBePrimaryEntityInRelationship", true),
        ("CanBeRelatedEntityInRelationship", true),
        ("CanChangeHierarchicalRelationship", true),
        ("CanCreateAttributes", true),
        ("CanCreateCharts", true),
        ("CanCreateForms", true),
        ("CanCreateViews", true),
        ("CanEnableSyncToExternalSearchIndex", true),
        ("CanModifyAdditionalSettings", true),
        ("IsAuditEnabled", false),
        ("IsConnectionsEnabled", true),
        ("IsCustomizable", true),
        ("IsDuplicateDetectionEnabled", true),
        ("IsMailMergeEnabled", true),
        ("IsMappable", true),
        ("IsOfflineInMobileClient", false),
        ("IsReadOnlyInMobileClient", false),
        ("IsRenameable", true),
        ("IsValidForQueue", false),
        ("IsVisibleInMobile", false),
        ("IsVisibleInMobileClient", true),
    ];
    map.extend(settings.map(|(name, value)| (name.to_owned(), managed(value))));
    map
}

/// Properties of a column.
pub(super) fn attribute(column: &Column) -> Map<String, Json> {
    let shown = column.has('r') && !column.has('l');
    let mut map = object(json!({
        "AutoNumberFormat": null, "CanBeSecuredForCreate": column.has('c'), "CanBeSecuredForRead": column.has('r'),
        "CanBeSecuredForUpdate": column.has('u'), "CreatedOn": CREATED, "DeprecatedVersion": null, "ExternalName": null,
        "HasChanged": null, "InheritsFrom": null, "IntroducedVersion": "5.0.0.0", "IsDataSourceSecret": false, "IsFilterable": false,
        "IsRequiredForForm": false, "IsRetrievable": column.has('r'), "IsSearchable": false, "IsValidForForm": shown,
        "IsValidForGrid": shown, "LinkedAttributeId": null, "ModifiedOn": CREATED, "SourceType": null,
    }));
    let settings = [
        ("CanModifyAdditionalSettings", true),
        ("IsAuditEnabled", true),
        ("IsCustomizable", true),
        ("IsGlobalFilterEnabled", false),
        ("IsRenameable", true),
        ("IsSortableEnabled", false),
        ("IsValidForAdvancedFind", shown),
    ];
    map.extend(settings.map(|(name, value)| (name.to_owned(), managed(value))));
    map
}
