//! Which files of the exports hold what, and how they are read: what a project says of Campaign's workflow.

use super::{CsvFormat, DeliveryLogColumns, OptOutColumns, TrackingLogColumns};

/// The files of one kind of export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files<C> {
    /// Their names, with `*` and `?`, as [`Sftp::settled`](super::Sftp::settled) takes it.
    pub pattern: String,
    /// Their form.
    pub format: CsvFormat,
    /// Their columns and words.
    pub columns: C,
}

impl<C> Files<C> {
    /// Whether a file of this name is one of them.
    pub fn fits(&self, name: &str) -> bool {
        super::host_key::matches(&self.pattern, name)
    }
}

/// The kinds of exports that are read; a kind that is `None` is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportFiles {
    /// Delivery logs: sends and bounces.
    pub deliveries: Option<Files<DeliveryLogColumns>>,
    /// Tracking logs: opens and clicks.
    pub tracking: Option<Files<TrackingLogColumns>>,
    /// Changes of opt-outs.
    pub opt_outs: Option<Files<OptOutColumns>>,
}
