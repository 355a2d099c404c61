//! What is found out about a table by trying it once.

use std::sync::atomic::{AtomicU8, Ordering};

/// Something that is found out by trying it.
#[derive(Debug, Default)]
pub(super) struct Trial(AtomicU8);

/// What is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Nothing,
    Works,
    Fails,
}

impl Trial {
    /// Something that does not work.
    pub(super) fn failed() -> Trial {
        Trial(AtomicU8::new(2))
    }

    pub(super) fn known(&self) -> Known {
        match self.0.load(Ordering::Relaxed) {
            0 => Known::Nothing,
            1 => Known::Works,
            _ => Known::Fails,
        }
    }

    pub(super) fn note(&self, works: bool) {
        self.0.store(if works { 1 } else { 2 }, Ordering::Relaxed);
    }
}
