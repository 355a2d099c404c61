//! The keyed hashes that stand for values.
//!
//! The hash is SipHash-1-3 under a random key of the store, so that values chosen from outside cannot be made to collide
//! (which would hide a change), and hashes of two stores cannot be compared. By chance, one changed field in 2^64
//! goes unseen. The key is in the same store: this is not encryption.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// The hash that stands for "nothing known of this path"; a value that hashes to it takes 1.
pub(super) const UNKNOWN: u64 = 0;

/// The store's key of the hashes.
#[derive(Clone, Copy)]
pub(super) struct HashKey(pub(super) [u8; 16]);

impl HashKey {
    pub fn random() -> Self {
        HashKey(rand::random())
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(HashKey)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hash of one path's value (JSON text).
    pub fn hash(&self, path: &str, json: &str) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(path.as_bytes());
        hasher.write_u8(0xff); // no UTF-8 text has it: path and value cannot run into each other
        hasher.write(json.as_bytes());
        match hasher.finish() {
            UNKNOWN => 1,
            hash => hash,
        }
    }
}
