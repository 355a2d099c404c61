//! What was last written to a target record, without keeping it: one keyed 64-bit hash per target path.
//!
//! A mapping's paths have slots, given out once and never changed; a fingerprint is the hashes in slot order. A row
//! written before a path came to the plan is simply shorter, and reads as "not known" there.

use crate::store::fingerprint::UNKNOWN;

/// The hashes of what was last written to a record, by slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<u64>);

impl Fingerprint {
    pub(super) fn from_blob(blob: &[u8]) -> Self {
        // A blob whose length is not a multiple of eight is damaged at its end; what is missing reads as unknown, which
        // costs a write and hides nothing.
        Fingerprint(blob.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect())
    }

    pub(super) fn to_blob(&self) -> Vec<u8> {
        self.0.iter().flat_map(|hash| hash.to_le_bytes()).collect()
    }

    /// Whether this very hash was last written at the slot.
    pub(super) fn has(&self, slot: u32, hash: u64) -> bool {
        self.0.get(slot as usize) == Some(&hash)
    }

    /// The hash of what was last written at the slot, if that is known.
    pub(super) fn at(&self, slot: u32) -> Option<u64> {
        self.0.get(slot as usize).copied().filter(|hash| *hash != UNKNOWN)
    }

    /// Notes what has been written; the other slots keep what they had.
    pub(super) fn write(&mut self, slot: u32, hash: u64) {
        let slot = slot as usize;
        if self.0.len() <= slot {
            self.0.resize(slot + 1, UNKNOWN);
        }
        self.0[slot] = hash;
    }

    /// Forgets what was written at a slot.
    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(hash) = self.0.get_mut(slot as usize) {
            *hash = UNKNOWN;
        }
    }

    /// How many paths are known.
    #[cfg(test)]
    pub fn known_paths(&self) -> usize {
        self.0.iter().filter(|hash| **hash != UNKNOWN).count()
    }
}

/// For each slot, which of the source columns that its field reads had a value at the last write. A column that the user may no
/// longer read is empty in every record; where a mapping has a default, the target still shows a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FilledColumns(Vec<u8>);

/// Set in a byte that is known.
const KNOWN: u8 = 0x80;

impl FilledColumns {
    pub fn from_blob(blob: &[u8]) -> Self {
        FilledColumns(blob.to_vec())
    }

    pub fn as_blob(&self) -> &[u8] {
        &self.0
    }

    /// The columns that had a value, as bits; none if that is not known, or the field cannot have a value without them.
    pub fn at(&self, slot: u32) -> Option<u8> {
        self.0.get(slot as usize).filter(|byte| **byte & KNOWN != 0).map(|byte| byte & !KNOWN)
    }

    /// The columns that had a value and have none now, as bits.
    pub fn lost(&self, slot: u32, now: Option<u8>) -> u8 {
        match (self.at(slot), now) {
            (Some(before), Some(now)) => before & !now,
            (None, _) | (_, None) => 0,
        }
    }

    /// Notes what a field was written from.
    pub fn write(&mut self, slot: u32, filled: Option<u8>) {
        let slot = slot as usize;
        let byte = filled.map_or(0, |bits| bits | KNOWN);
        if self.0.len() <= slot {
            if byte == 0 {
                return;
            }
            self.0.resize(slot + 1, 0);
        }
        self.0[slot] = byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fingerprint::HashKey;

    #[test]
    fn the_same_value_at_another_path_or_under_another_key_has_another_hash() {
        let (a, b) = (HashKey([1; 16]), HashKey([2; 16]));
        assert_eq!(a.hash("x", "1"), a.hash("x", "1"));
        assert_ne!(a.hash("x", "1"), a.hash("y", "1"));
        assert_ne!(a.hash("x", "1"), b.hash("x", "1"));
        assert_ne!(a.hash("x1", "2"), a.hash("x", "12"));
    }

    #[test]
    fn a_column_is_lost_if_it_had_a_value_at_the_last_write_and_has_none_now() {
        let mut filled = FilledColumns::default();
        filled.write(0, None);
        assert!(filled.as_blob().is_empty());
        filled.write(2, Some(0b11));
        filled.write(1, Some(0));
        let filled = FilledColumns::from_blob(filled.as_blob());
        assert_eq!((filled.at(0), filled.at(1), filled.at(2), filled.at(9)), (None, Some(0), Some(0b11), None));
        assert_eq!((filled.lost(2, Some(0b10)), filled.lost(2, Some(0b11)), filled.lost(2, None)), (0b01, 0, 0));
        assert_eq!((filled.lost(1, Some(0)), filled.lost(0, Some(0))), (0, 0), "nothing is known of slot 0");
    }

    #[test]
    fn a_partial_write_keeps_the_hashes_of_the_paths_it_left_out() {
        let mut print = Fingerprint::default();
        print.write(0, 10);
        print.write(3, 13);
        print.write(0, 20);
        assert!(print.has(0, 20) && print.has(3, 13) && !print.has(1, 20) && !print.has(9, 1));
        assert_eq!(print.known_paths(), 2);
        assert_eq!(Fingerprint::from_blob(&print.to_blob()), print);
    }

    #[test]
    fn a_blob_cut_short_reads_as_unknown_and_not_as_equal() {
        let mut print = Fingerprint::default();
        print.write(0, 10);
        print.write(1, 11);
        let blob = print.to_blob();
        let cut = Fingerprint::from_blob(&blob[..12]);
        assert!(cut.has(0, 10) && !cut.has(1, 11));
    }
}
