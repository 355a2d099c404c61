//! The section `connections.campaign.journal`: the journal of Adobe I/O Events.

use serde::Deserialize;
use url::Url;

use super::reader::Reader;
use crate::yaml::Spanned;

/// The journal of an event registration. It is read with the credential of the Adobe project, that of Campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConnection {
    /// The registration's own address, as Adobe's developer console shows it.
    pub url: Url,
    /// The organisation, `…@AdobeOrg`.
    pub ims_organization: String,
    /// The scopes of its token; those of Campaign's connection where none are written.
    pub scope: Option<String>,
    /// How the payload's fields are called.
    pub fields: JournalFields,
}

/// Names of an event's fields, with dots for nested ones. What is `None` has the connector's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalFields {
    /// The log's own id.
    pub id: Option<String>,
    /// What happened.
    pub kind: Option<String>,
    /// The profile's `externalId`.
    pub external_id: Option<String>,
    /// When it happened.
    pub at: Option<String>,
    /// The delivery's name.
    pub delivery: Option<String>,
    /// The delivery's label.
    pub delivery_label: Option<String>,
    /// The campaign's name.
    pub campaign: Option<String>,
    /// The campaign's label.
    pub campaign_label: Option<String>,
    /// The mirror page.
    pub mirror_page: Option<String>,
    /// The address that was opened.
    pub url: Option<String>,
    /// How a message failed.
    pub failure_type: Option<String>,
    /// Campaign's words for a failure.
    pub failure_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct JournalDoc {
    url: Spanned<String>,
    ims_organization: Spanned<String>,
    scope: Option<Spanned<String>>,
    #[serde(default)]
    fields: FieldsDoc,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct FieldsDoc {
    id: Option<Spanned<String>>,
    r#type: Option<Spanned<String>>,
    external_id: Option<Spanned<String>>,
    at: Option<Spanned<String>>,
    delivery: Option<Spanned<String>>,
    delivery_label: Option<Spanned<String>>,
    campaign: Option<Spanned<String>>,
    campaign_label: Option<Spanned<String>>,
    mirror_page: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
    failure_type: Option<Spanned<String>>,
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
                "this is not the id of an Adobe organisation",
                "not an id",
                "write it as the developer console shows it: `0123456789ABCDEF@AdobeOrg`",
            );
        }
        let fields = JournalFields {
            id: self.name(&f.id),
            kind: self.name(&f.r#type),
            external_id: self.name(&f.external_id),
            at: self.name(&f.at),
            delivery: self.name(&f.delivery),
            delivery_label: self.name(&f.delivery_label),
            campaign: self.name(&f.campaign),
            campaign_label: self.name(&f.campaign_label),
            mirror_page: self.name(&f.mirror_page),
            url: self.name(&f.url),
            failure_type: self.name(&f.failure_type),
            failure_reason: self.name(&f.failure_reason),
        };
        Some(JournalConnection {
            url: url?,
            ims_organization: ims_organization.value.trim().to_owned(),
            scope: scope.as_ref().map(|s| s.value.clone()),
            fields,
        })
    }
}
