//! From the project file's words on exports and on the journal to those of their readers: what the project leaves out has the readers' defaults.

use crate::connect::journal::JournalFields;
use crate::connect::sftp::{
    CsvFormat, DeliveryLogColumns, ExportFiles, Files, LogColumns, OptOutColumns, OptOutLayout, TrackingLogColumns,
};
use crate::project::{self, DeliveryNames, ExportKinds, LogNames, OptOutNames, TrackingNames};

/// How the fields of the journal's events are called.
pub fn journal_fields(names: &project::JournalFields) -> JournalFields {
    let d = JournalFields::default();
    JournalFields {
        id: or(&names.id, d.id),
        kind: or(&names.kind, d.kind),
        external_id: or(&names.external_id, d.external_id),
        at: or(&names.at, d.at),
        delivery: or(&names.delivery, d.delivery),
        delivery_label: or(&names.delivery_label, d.delivery_label),
        campaign: or(&names.campaign, d.campaign),
        campaign_label: or(&names.campaign_label, d.campaign_label),
        mirror_page: or(&names.mirror_page, d.mirror_page),
        url: or(&names.url, d.url),
        failure_type: or(&names.failure_type, d.failure_type),
        failure_reason: or(&names.failure_reason, d.failure_reason),
    }
}

/// The exports that a project reads.
pub fn files(kinds: &ExportKinds) -> ExportFiles {
    ExportFiles {
        deliveries: kinds.deliveries.as_ref().map(|e| with(e, deliveries(&e.names, e.zoneless_is_utc))),
        tracking: kinds.tracking.as_ref().map(|e| with(e, tracking(&e.names, e.zoneless_is_utc))),
        opt_outs: kinds.opt_outs.as_ref().map(|e| with(e, opt_outs(&e.names, e.zoneless_is_utc))),
    }
}

fn with<N, C>(export: &project::ExportFiles<N>, columns: C) -> Files<C> {
    let defaults = CsvFormat::default();
    let format = CsvFormat {
        delimiter: export.delimiter.unwrap_or(defaults.delimiter),
        quote: export.quote.unwrap_or(defaults.quote),
        columns: export.header.clone(),
        longest_record: defaults.longest_record,
        encoding: export.encoding.unwrap_or(defaults.encoding),
    };
    Files { pattern: export.files.clone(), format, columns }
}

fn or<T: Clone>(given: &Option<T>, default: T) -> T {
    given.clone().unwrap_or(default)
}

fn log(names: &LogNames, zoneless_is_utc: bool) -> LogColumns {
    let d = LogColumns::default();
    LogColumns {
        id: or(&names.id, d.id),
        external_id: or(&names.external_id, d.external_id),
        at: or(&names.at, d.at),
        delivery_id: or(&names.delivery, d.delivery_id),
        delivery_label: or(&names.delivery_label, d.delivery_label),
        campaign_id: or(&names.campaign, d.campaign_id),
        campaign_label: or(&names.campaign_label, d.campaign_label),
        mirror_page: or(&names.mirror_page, d.mirror_page),
        zoneless_is_utc,
    }
}

fn deliveries(names: &DeliveryNames, zoneless_is_utc: bool) -> DeliveryLogColumns {
    let d = DeliveryLogColumns::default();
    DeliveryLogColumns {
        log: log(&names.log, zoneless_is_utc),
        status: or(&names.status, d.status),
        failure_type: or(&names.failure_type, d.failure_type),
        failure_reason: or(&names.failure_reason, d.failure_reason),
        sent: or(&names.sent, d.sent),
        failed: or(&names.failed, d.failed),
        hard: or(&names.hard, d.hard),
        passed_over: or(&names.passed_over, d.passed_over),
    }
}

fn tracking(names: &TrackingNames, zoneless_is_utc: bool) -> TrackingLogColumns {
    let d = TrackingLogColumns::default();
    TrackingLogColumns {
        log: log(&names.log, zoneless_is_utc),
        kind: or(&names.kind, d.kind),
        url: or(&names.url, d.url),
        open: or(&names.open, d.open),
        click: or(&names.click, d.click),
        passed_over: or(&names.passed_over, d.passed_over),
    }
}

fn opt_outs(names: &OptOutNames, zoneless_is_utc: bool) -> OptOutColumns {
    let d = OptOutColumns::default();
    let layout = match (&names.changed_suffix, d.layout) {
        (Some(suffix), OptOutLayout::Long { .. } | OptOutLayout::Wide { .. }) => OptOutLayout::Wide { suffix: suffix.clone() },
        (None, OptOutLayout::Long { attribute, value, at }) => {
            OptOutLayout::Long { attribute: or(&names.attribute, attribute), value: or(&names.value, value), at: or(&names.at, at) }
        }
        (None, wide @ OptOutLayout::Wide { .. }) => wide,
    };
    OptOutColumns { external_id: or(&names.external_id, d.external_id), layout, zoneless_is_utc }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_project_leaves_out_has_the_readers_defaults() {
        let plain = |names| project::ExportFiles {
            files: "o_*.csv".to_owned(),
            delimiter: None,
            quote: None,
            header: None,
            encoding: None,
            zoneless_is_utc: false,
            names,
        };
        let kinds = ExportKinds { opt_outs: Some(plain(OptOutNames::default())), ..ExportKinds::default() };
        let read = files(&kinds);
        assert_eq!((&read.deliveries, &read.tracking), (&None, &None));
        let defaults = Files { pattern: "o_*.csv".to_owned(), format: CsvFormat::default(), columns: OptOutColumns::default() };
        assert_eq!(read.opt_outs, Some(defaults));
        let wide = OptOutNames { changed_suffix: Some("Changed".to_owned()), ..OptOutNames::default() };
        let read = files(&ExportKinds { opt_outs: Some(plain(wide)), ..ExportKinds::default() });
        assert_eq!(read.opt_outs.map(|f| f.columns.layout), Some(OptOutLayout::Wide { suffix: "Changed".to_owned() }));
    }
}
