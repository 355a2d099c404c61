//! The section `connections.campaign.journal`: the journal of Adobe I/O Events.

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::reader::Reader;
use crate::connect::journal::JournalFields;
use crate::yaml::Spanned;

/// The journal of an event registration. It is read with the credential of the Adobe project, that of Campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConnection {
    /// The registration's own address, as Adobe's developer console shows it.
    pub url: Url,
    /// The organization, `…@AdobeOrg`.
    pub ims_organization: String,
    /// The scopes of its token; those of Campaign's connection where none are written.
    pub scope: Option<String>,
    /// How the payload's fields are named.
    pub fields: JournalFields,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct JournalDoc {
    /// The journaling address of the event registration, as Adobe's developer console shows it.
    url: Spanned<String>,
    /// The id of the organization, `…@AdobeOrg`.
    ims_organization: Spanned<String>,
    /// The scopes of the journal's token. Default: those of the connection.
    scope: Option<Spanned<String>>,
    /// The names of the payload's fields, with dots for nested ones. No document of the vendor fixes them.
    #[serde(default)]
    fields: FieldsDoc,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct FieldsDoc {
    /// The log's own id, the same as in exported logs. Default: data.logId.
    id: Option<Spanned<String>>,
    /// What happened. Default: type.
    r#type: Option<Spanned<String>>,
    /// The profile's externalId. Default: data.externalId.
    external_id: Option<Spanned<String>>,
    /// When it happened. Default: data.eventDate.
    at: Option<Spanned<String>>,
    /// The delivery's name. Default: data.deliveryId.
    delivery: Option<Spanned<String>>,
    /// The delivery's label. Default: data.deliveryLabel.
    delivery_label: Option<Spanned<String>>,
    /// The campaign's name. Default: data.campaignId.
    campaign: Option<Spanned<String>>,
    /// The campaign's label. Default: data.campaignLabel.
    campaign_label: Option<Spanned<String>>,
    /// The address of the mirror page. Default: data.mirrorPage.
    mirror_page: Option<Spanned<String>>,
    /// The address that was opened. Default: data.url.
    url: Option<Spanned<String>>,
    /// How a message failed. Default: data.failureType.
    failure_type: Option<Spanned<String>>,
    /// Campaign's reason for a failure. Default: data.failureReason.
    failure_reason: Option<Spanned<String>>,
}

impl Reader<'_> {
    pub(super) fn journal(&mut self, doc: &JournalDoc) -> Option<JournalConnection> {
        let JournalDoc { url: address, ims_organization, scope, fields: f } = doc;
        let url = self.url(address);
        if let Some(url) = &url
            && matches!(url.path(), "" | "/")
        {
            self.problem(
                &address.span,
                "the address of the journal names no registration",
                "without a path",
                "copy the journaling address of the event registration from Adobe's developer console",
            );
        }
        for text in [Some(ims_organization), scope.as_ref()].into_iter().flatten() {
            self.word(text);
        }
        if !ims_organization.value.trim().ends_with("@AdobeOrg") {
            self.problem(
                &ims_organization.span,
                "this is not the id of an Adobe organization",
                "not an id",
                "write it as the developer console shows it: `0123456789ABCDEF@AdobeOrg`",
            );
        }
        let d = JournalFields::default();
        let fields = JournalFields {
            id: self.name(&f.id, d.id),
            kind: self.name(&f.r#type, d.kind),
            external_id: self.name(&f.external_id, d.external_id),
            at: self.name(&f.at, d.at),
            delivery: self.name(&f.delivery, d.delivery),
            delivery_label: self.name(&f.delivery_label, d.delivery_label),
            campaign: self.name(&f.campaign, d.campaign),
            campaign_label: self.name(&f.campaign_label, d.campaign_label),
            mirror_page: self.name(&f.mirror_page, d.mirror_page),
            url: self.name(&f.url, d.url),
            failure_type: self.name(&f.failure_type, d.failure_type),
            failure_reason: self.name(&f.failure_reason, d.failure_reason),
        };
        Some(JournalConnection {
            url: url?,
            ims_organization: ims_organization.value.trim().to_owned(),
            scope: scope.as_ref().map(|s| s.value.clone()),
            fields,
        })
    }
}
