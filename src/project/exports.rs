//! The sections `deliveries`, `tracking` and `opt-outs` of `connections.campaign.sftp`: which files of the exports are what, and how
//! their columns are called.
//!
//! No document of the vendor fixes names: files and columns are chosen in Campaign's workflow. A kind of export is read where its section
//! stands, and what the section leaves out has the defaults of the reader (`connect::sftp`), which are our own.

use encoding_rs::{Encoding, UTF_8};
use serde::Deserialize;

use super::reader::Reader;
use crate::yaml::Spanned;

/// The exports of Campaign's workflow that a project reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportKinds {
    /// Delivery logs: sends and bounces.
    pub deliveries: Option<ExportFiles<DeliveryNames>>,
    /// Tracking logs: opens and clicks.
    pub tracking: Option<ExportFiles<TrackingNames>>,
    /// Changes of opt-outs.
    pub opt_outs: Option<ExportFiles<OptOutNames>>,
}

/// The files of one kind of export. What is `None` has the reader's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFiles<N> {
    /// The files' names, with `*` and `?`.
    pub files: String,
    /// Between two fields, an ASCII character.
    pub delimiter: Option<u8>,
    /// Around a field, an ASCII character.
    pub quote: Option<u8>,
    /// The columns of files that have no first line with their names.
    pub header: Option<Vec<String>>,
    /// The encoding; UTF-8 unless set.
    pub encoding: Option<&'static Encoding>,
    /// Whether times without a zone are in UTC.
    pub zoneless_is_utc: bool,
    /// How the columns are called, and which words they hold.
    pub names: N,
}

/// Columns that delivery and tracking logs share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogNames {
    /// The log's own id.
    pub id: Option<String>,
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
}

/// Columns and words of delivery logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryNames {
    /// What tracking logs have as well.
    pub log: LogNames,
    /// What happened.
    pub status: Option<String>,
    /// How it failed.
    pub failure_type: Option<String>,
    /// Campaign's words for a failure.
    pub failure_reason: Option<String>,
    /// Values of the status for a message that was sent.
    pub sent: Option<Vec<String>>,
    /// For one that failed.
    pub failed: Option<Vec<String>>,
    /// Values of the failure's type for a hard bounce.
    pub hard: Option<Vec<String>>,
    /// Values of the status that are passed over.
    pub passed_over: Option<Vec<String>>,
}

/// Columns and words of tracking logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackingNames {
    /// What delivery logs have as well.
    pub log: LogNames,
    /// What the link was.
    pub kind: Option<String>,
    /// The address behind it.
    pub url: Option<String>,
    /// Values of the type for an open.
    pub open: Option<Vec<String>>,
    /// For a click.
    pub click: Option<Vec<String>>,
    /// Values that are passed over.
    pub passed_over: Option<Vec<String>>,
}

/// Columns of opt-out changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptOutNames {
    /// The profile's `externalId`.
    pub external_id: Option<String>,
    /// With one attribute a line: the column of its name.
    pub attribute: Option<String>,
    /// With one attribute a line: the column of its value.
    pub value: Option<String>,
    /// With one attribute a line: the column of its change's time.
    pub at: Option<String>,
    /// With one profile a line: what is added to an attribute's name for the column of its change.
    pub changed_suffix: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct DeliveriesDoc {
    files: Spanned<String>,
    delimiter: Option<Spanned<String>>,
    quote: Option<Spanned<String>>,
    header: Option<Vec<Spanned<String>>>,
    encoding: Option<Spanned<String>>,
    times: Option<Spanned<String>>,
    #[serde(default)]
    columns: DeliveryColumnsDoc,
    #[serde(default)]
    words: DeliveryWordsDoc,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct DeliveryColumnsDoc {
    id: Option<Spanned<String>>,
    external_id: Option<Spanned<String>>,
    at: Option<Spanned<String>>,
    delivery: Option<Spanned<String>>,
    delivery_label: Option<Spanned<String>>,
    campaign: Option<Spanned<String>>,
    campaign_label: Option<Spanned<String>>,
    mirror_page: Option<Spanned<String>>,
    status: Option<Spanned<String>>,
    failure_type: Option<Spanned<String>>,
    failure_reason: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct DeliveryWordsDoc {
    sent: Option<Vec<Spanned<String>>>,
    failed: Option<Vec<Spanned<String>>>,
    hard: Option<Vec<Spanned<String>>>,
    passed_over: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TrackingDoc {
    files: Spanned<String>,
    delimiter: Option<Spanned<String>>,
    quote: Option<Spanned<String>>,
    header: Option<Vec<Spanned<String>>>,
    encoding: Option<Spanned<String>>,
    times: Option<Spanned<String>>,
    #[serde(default)]
    columns: TrackingColumnsDoc,
    #[serde(default)]
    words: TrackingWordsDoc,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct TrackingColumnsDoc {
    id: Option<Spanned<String>>,
    external_id: Option<Spanned<String>>,
    at: Option<Spanned<String>>,
    delivery: Option<Spanned<String>>,
    delivery_label: Option<Spanned<String>>,
    campaign: Option<Spanned<String>>,
    campaign_label: Option<Spanned<String>>,
    mirror_page: Option<Spanned<String>>,
    r#type: Option<Spanned<String>>,
    url: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct TrackingWordsDoc {
    open: Option<Vec<Spanned<String>>>,
    click: Option<Vec<Spanned<String>>>,
    passed_over: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct OptOutsDoc {
    files: Spanned<String>,
    delimiter: Option<Spanned<String>>,
    quote: Option<Spanned<String>>,
    header: Option<Vec<Spanned<String>>>,
    encoding: Option<Spanned<String>>,
    times: Option<Spanned<String>>,
    #[serde(default)]
    columns: OptOutColumnsDoc,
    changed_suffix: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct OptOutColumnsDoc {
    external_id: Option<Spanned<String>>,
    attribute: Option<Spanned<String>>,
    value: Option<Spanned<String>>,
    at: Option<Spanned<String>>,
}

/// The keys that every kind has.
struct Form<'d> {
    files: &'d Spanned<String>,
    delimiter: &'d Option<Spanned<String>>,
    quote: &'d Option<Spanned<String>>,
    header: &'d Option<Vec<Spanned<String>>>,
    encoding: &'d Option<Spanned<String>>,
    times: &'d Option<Spanned<String>>,
}

impl Reader<'_> {
    pub(super) fn deliveries(&mut self, doc: &DeliveriesDoc) -> ExportFiles<DeliveryNames> {
        let DeliveriesDoc { files, delimiter, quote, header, encoding, times, columns: c, words } = doc;
        let log = LogNames {
            id: self.name(&c.id),
            external_id: self.name(&c.external_id),
            at: self.name(&c.at),
            delivery: self.name(&c.delivery),
            delivery_label: self.name(&c.delivery_label),
            campaign: self.name(&c.campaign),
            campaign_label: self.name(&c.campaign_label),
            mirror_page: self.name(&c.mirror_page),
        };
        let names = DeliveryNames {
            log,
            status: self.name(&c.status),
            failure_type: self.name(&c.failure_type),
            failure_reason: self.name(&c.failure_reason),
            sent: self.names(&words.sent),
            failed: self.names(&words.failed),
            hard: self.names(&words.hard),
            passed_over: self.names(&words.passed_over),
        };
        self.export(&Form { files, delimiter, quote, header, encoding, times }, names)
    }

    pub(super) fn tracking(&mut self, doc: &TrackingDoc) -> ExportFiles<TrackingNames> {
        let TrackingDoc { files, delimiter, quote, header, encoding, times, columns: c, words } = doc;
        let log = LogNames {
            id: self.name(&c.id),
            external_id: self.name(&c.external_id),
            at: self.name(&c.at),
            delivery: self.name(&c.delivery),
            delivery_label: self.name(&c.delivery_label),
            campaign: self.name(&c.campaign),
            campaign_label: self.name(&c.campaign_label),
            mirror_page: self.name(&c.mirror_page),
        };
        let names = TrackingNames {
            log,
            kind: self.name(&c.r#type),
            url: self.name(&c.url),
            open: self.names(&words.open),
            click: self.names(&words.click),
            passed_over: self.names(&words.passed_over),
        };
        self.export(&Form { files, delimiter, quote, header, encoding, times }, names)
    }

    pub(super) fn opt_outs(&mut self, doc: &OptOutsDoc) -> ExportFiles<OptOutNames> {
        let OptOutsDoc { files, delimiter, quote, header, encoding, times, columns: c, changed_suffix } = doc;
        if changed_suffix.is_some()
            && let Some(other) = [&c.attribute, &c.value, &c.at].into_iter().flatten().next()
        {
            self.problem(
                &other.span,
                "opt-outs stand one attribute a line or one profile a line, not both",
                "beside `changed-suffix`",
                "with one profile a line the columns have the attributes' names: leave this one out",
            );
        }
        let names = OptOutNames {
            external_id: self.name(&c.external_id),
            attribute: self.name(&c.attribute),
            value: self.name(&c.value),
            at: self.name(&c.at),
            changed_suffix: self.name(changed_suffix),
        };
        self.export(&Form { files, delimiter, quote, header, encoding, times }, names)
    }

    fn export<N>(&mut self, form: &Form<'_>, names: N) -> ExportFiles<N> {
        self.word(form.files);
        if form.files.value.contains(['/', '\\']) {
            self.problem(
                &form.files.span,
                "the names of files have no folder",
                "with a folder",
                "write the names alone, as in `delivery_*.csv`; the folder is `exports`",
            );
        }
        let zoneless_is_utc = form.times.as_ref().is_some_and(|times| {
            let known = times.value.eq_ignore_ascii_case("utc");
            if !known {
                self.problem(
                    &times.span,
                    format!("`{}` is no zone of times here", times.value),
                    "not a zone",
                    "write `utc`, or have the workflow write times with their zone",
                );
            }
            known
        });
        let (delimiter, quote) = (self.character(form.delimiter), self.character(form.quote));
        if let (Some(given), Some(mark)) = (form.quote, quote)
            && delimiter.unwrap_or(b',') == mark
        {
            self.problem(&given.span, "a field ends and is quoted by the same character", "the delimiter too", "write another one");
        }
        let header = self.names(form.header);
        let encoding = self.encoding(form.encoding);
        ExportFiles { files: form.files.value.trim().to_owned(), delimiter, quote, header, encoding, zoneless_is_utc, names }
    }

    /// An encoding by one of its names (WHATWG, *Encoding*: `windows-1252`, `latin1`, `iso-8859-15`). Files are split at bytes, so that
    /// those of several bytes per character, but for UTF-8, are not among them.
    fn encoding(&mut self, given: &Option<Spanned<String>>) -> Option<&'static Encoding> {
        let given = given.as_ref()?;
        let known = Encoding::for_label(given.value.trim().as_bytes()).filter(|e| e.is_single_byte() || *e == UTF_8);
        if known.is_none() {
            self.problem(
                &given.span,
                format!("`{}` is not an encoding in which exports can be read", given.value),
                "not a supported encoding",
                "write `utf-8`, or one of a byte per character, such as `windows-1252` or `iso-8859-15`",
            );
        }
        known
    }

    pub(super) fn name(&mut self, given: &Option<Spanned<String>>) -> Option<String> {
        let given = given.as_ref()?;
        self.word(given);
        Some(given.value.trim().to_owned())
    }

    fn names(&mut self, given: &Option<Vec<Spanned<String>>>) -> Option<Vec<String>> {
        let given = given.as_ref()?;
        given.iter().for_each(|name| self.word(name));
        Some(given.iter().map(|name| name.value.trim().to_owned()).collect())
    }

    /// One ASCII character, or the word `tab`.
    fn character(&mut self, given: &Option<Spanned<String>>) -> Option<u8> {
        let given = given.as_ref()?;
        match given.value.as_bytes() {
            b"tab" => Some(b'\t'),
            [one] if one.is_ascii_graphic() || *one == b'\t' => Some(*one),
            _ => {
                self.problem(&given.span, "this is not one character", "not a character", "write one, as in `\";\"`, or the word `tab`");
                None
            }
        }
    }
}
