//! The sections `deliveries`, `tracking` and `opt-outs` of `connections.campaign.sftp`: which files of the exports are what, and how
//! their columns are called.
//!
//! No document of the vendor fixes names: files and columns are chosen in Campaign's workflow. A kind of export is read if its section is
//! present, and what the section leaves out has the defaults of the connector (`connect::sftp`), whose own types the sections become; these defaults are our own.

use encoding_rs::{Encoding, UTF_8};
use schemars::JsonSchema;
use serde::Deserialize;

use super::reader::Reader;
use crate::connect::sftp::{CsvFormat, DeliveryLogColumns, Files, LogColumns, OptOutColumns, OptOutLayout, TrackingLogColumns};
use crate::yaml::Spanned;

/// A columns section of a log: what both logs share, and what one of them has beside it.
macro_rules! log_columns {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident),* $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        struct $name {
            /// The column of the log's own id. Default: logId.
            id: Option<Spanned<String>>,
            /// The column of the profile's externalId. Default: externalId.
            external_id: Option<Spanned<String>>,
            /// The column of the time. Default: eventDate.
            at: Option<Spanned<String>>,
            /// The column of the delivery's name. Default: deliveryId.
            delivery: Option<Spanned<String>>,
            /// The column of the delivery's label. Default: deliveryLabel.
            delivery_label: Option<Spanned<String>>,
            /// The column of the campaign's name. Default: campaignId.
            campaign: Option<Spanned<String>>,
            /// The column of the campaign's label. Default: campaignLabel.
            campaign_label: Option<Spanned<String>>,
            /// The column of the address of the mirror page. Default: mirrorPage.
            mirror_page: Option<Spanned<String>>,
            $($(#[$doc])* $field: Option<Spanned<String>>,)*
        }

        impl $name {
            fn log(&self, reader: &mut Reader<'_>, zoneless_is_utc: bool) -> LogColumns {
                let d = LogColumns::default();
                LogColumns {
                    id: reader.name(&self.id, d.id),
                    external_id: reader.name(&self.external_id, d.external_id),
                    at: reader.name(&self.at, d.at),
                    delivery_id: reader.name(&self.delivery, d.delivery_id),
                    delivery_label: reader.name(&self.delivery_label, d.delivery_label),
                    campaign_id: reader.name(&self.campaign, d.campaign_id),
                    campaign_label: reader.name(&self.campaign_label, d.campaign_label),
                    mirror_page: reader.name(&self.mirror_page, d.mirror_page),
                    zoneless_is_utc,
                }
            }
        }
    };
}

log_columns! {
    /// Columns of delivery logs.
    DeliveryColumnsDoc {
        /// The column that says what happened. Default: status.
        status,
        /// The column that says how a message failed. Default: failureType.
        failure_type,
        /// The column of Campaign's reason for a failure. Default: failureReason.
        failure_reason,
    }
}

log_columns! {
    /// Columns of tracking logs.
    TrackingColumnsDoc {
        /// The column that says what the link was. Default: type.
        r#type,
        /// The column of the address behind the link. Default: url.
        url,
    }
}

/// What the files of each kind say of their form.
macro_rules! files_doc {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $of:ty),* $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub(super) struct $name {
            /// The names of the files, with `*` and `?`, without a folder.
            files: Spanned<String>,
            /// Between two fields: one character, or the word `tab`. Default: a comma.
            delimiter: Option<Spanned<String>>,
            /// Around a field that has a delimiter or a line break: one character. Default: a double quotation mark.
            quote: Option<Spanned<String>>,
            /// The names of the columns, only where the files have no first line with them.
            header: Option<Vec<Spanned<String>>>,
            /// The encoding: `utf-8` (default), or one of a byte per character, such as `windows-1252`.
            encoding: Option<Spanned<String>>,
            /// `utc`: times without a zone are in UTC. Without this key they are errors.
            times: Option<Spanned<String>>,
            $($(#[$doc])* #[serde(default)] $field: $of,)*
        }

        impl $name {
            fn form(&self) -> Form<'_> {
                let $name { files, delimiter, quote, header, encoding, times, .. } = self;
                Form { files, delimiter, quote, header, encoding, times }
            }
        }
    };
}

files_doc! {
    /// The files of delivery logs: sends and bounces.
    DeliveriesDoc {
        /// The names of the columns.
        columns: DeliveryColumnsDoc,
        /// The words that stand for what happened. A list takes the place of the default list.
        words: DeliveryWordsDoc,
    }
}

files_doc! {
    /// The files of tracking logs: opens and clicks.
    TrackingDoc {
        /// The names of the columns.
        columns: TrackingColumnsDoc,
        /// The words that stand for what happened. A list takes the place of the default list.
        words: TrackingWordsDoc,
    }
}

files_doc! {
    /// The files of opt-out changes.
    OptOutsDoc {
        /// The names of the columns, with one attribute a line.
        columns: OptOutColumnsDoc,
        /// With one profile a line: what is added to an attribute's name for the column of its change.
        changed_suffix: Option<Spanned<String>>,
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct DeliveryWordsDoc {
    /// Values of the status for a message that was sent.
    sent: Option<Vec<Spanned<String>>>,
    /// Values of the status for a message that failed.
    failed: Option<Vec<Spanned<String>>>,
    /// Values of the failure type for a hard bounce.
    hard: Option<Vec<Spanned<String>>>,
    /// Values of the status that are skipped.
    passed_over: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct TrackingWordsDoc {
    /// Values of the type for an open.
    open: Option<Vec<Spanned<String>>>,
    /// Values of the type for a click.
    click: Option<Vec<Spanned<String>>>,
    /// Values of the type that are skipped.
    passed_over: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct OptOutColumnsDoc {
    /// The column of the profile's externalId. Default: externalId.
    external_id: Option<Spanned<String>>,
    /// The column of the attribute's name. Default: attribute.
    attribute: Option<Spanned<String>>,
    /// The column of its value. Default: value.
    value: Option<Spanned<String>>,
    /// The column of the time at which it changed. Default: lastModified.
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
    pub(super) fn deliveries(&mut self, doc: &DeliveriesDoc) -> Files<DeliveryLogColumns> {
        let DeliveriesDoc { columns: c, words, .. } = doc;
        let d = DeliveryLogColumns::default();
        self.export(&doc.form(), |reader, zoneless_is_utc| DeliveryLogColumns {
            log: c.log(reader, zoneless_is_utc),
            status: reader.name(&c.status, d.status),
            failure_type: reader.name(&c.failure_type, d.failure_type),
            failure_reason: reader.name(&c.failure_reason, d.failure_reason),
            sent: reader.names(&words.sent).unwrap_or(d.sent),
            failed: reader.names(&words.failed).unwrap_or(d.failed),
            hard: reader.names(&words.hard).unwrap_or(d.hard),
            passed_over: reader.names(&words.passed_over).unwrap_or(d.passed_over),
        })
    }

    pub(super) fn tracking(&mut self, doc: &TrackingDoc) -> Files<TrackingLogColumns> {
        let TrackingDoc { columns: c, words, .. } = doc;
        let d = TrackingLogColumns::default();
        self.export(&doc.form(), |reader, zoneless_is_utc| TrackingLogColumns {
            log: c.log(reader, zoneless_is_utc),
            kind: reader.name(&c.r#type, d.kind),
            url: reader.name(&c.url, d.url),
            open: reader.names(&words.open).unwrap_or(d.open),
            click: reader.names(&words.click).unwrap_or(d.click),
            passed_over: reader.names(&words.passed_over).unwrap_or(d.passed_over),
        })
    }

    pub(super) fn opt_outs(&mut self, doc: &OptOutsDoc) -> Files<OptOutColumns> {
        let OptOutsDoc { columns: c, changed_suffix, .. } = doc;
        if changed_suffix.is_some()
            && let Some(other) = [&c.attribute, &c.value, &c.at].into_iter().flatten().next()
        {
            self.problem(
                &other.span,
                "an export of opt-outs has one attribute per line or one profile per line, not both",
                "beside `changed-suffix`",
                "with one profile per line the columns have the names of the attributes: leave this one out",
            );
        }
        let d = OptOutColumns::default();
        self.export(&doc.form(), |reader, zoneless_is_utc| OptOutColumns {
            external_id: reader.name(&c.external_id, d.external_id),
            layout: match changed_suffix {
                Some(suffix) => {
                    reader.word(suffix);
                    OptOutLayout::Wide { suffix: suffix.value.trim().to_owned() }
                }
                None => match d.layout {
                    OptOutLayout::Long { attribute, value, at } => OptOutLayout::Long {
                        attribute: reader.name(&c.attribute, attribute),
                        value: reader.name(&c.value, value),
                        at: reader.name(&c.at, at),
                    },
                    wide @ OptOutLayout::Wide { .. } => wide,
                },
            },
            zoneless_is_utc,
        })
    }

    fn export<C>(&mut self, form: &Form<'_>, columns: impl FnOnce(&mut Self, bool) -> C) -> Files<C> {
        self.word(form.files);
        if form.files.value.contains(['/', '\\']) {
            self.problem(
                &form.files.span,
                "the names of files must not have a folder",
                "with a folder",
                "write the names alone, as in `delivery_*.csv`; the folder is `exports`",
            );
        }
        let zoneless_is_utc = form.times.as_ref().is_some_and(|times| {
            let known = times.value.eq_ignore_ascii_case("utc");
            if !known {
                self.problem(
                    &times.span,
                    format!("`{}` is not a time zone that is supported here", times.value),
                    "not a zone",
                    "write `utc`, or have the workflow write times with their zone",
                );
            }
            known
        });
        let d = CsvFormat::default();
        let (delimiter, quote) = (self.character(form.delimiter).unwrap_or(d.delimiter), self.character(form.quote).unwrap_or(d.quote));
        if let Some(given) = form.quote
            && delimiter == quote
        {
            self.problem(
                &given.span,
                "the delimiter and the quotation mark are the same character",
                "the delimiter too",
                "write another one",
            );
        }
        let format = CsvFormat {
            delimiter,
            quote,
            columns: self.names(form.header),
            encoding: self.encoding(form.encoding).unwrap_or(d.encoding),
            longest_record: d.longest_record,
        };
        Files { pattern: form.files.value.trim().to_owned(), format, columns: columns(self, zoneless_is_utc) }
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

    /// The name that is given, or else the default.
    pub(super) fn name(&mut self, given: &Option<Spanned<String>>, default: String) -> String {
        let Some(given) = given else { return default };
        self.word(given);
        given.value.trim().to_owned()
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
