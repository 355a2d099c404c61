//! The key with which the emulator signs. It is made once for a process, since RSA keys take long to make.

use std::sync::OnceLock;

use rcgen::{KeyPair, PKCS_RSA_SHA256, SigningKey as _};

fn key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    // The library makes RSA keys of 2048 bits whenever the machine has randomness.
    KEY.get_or_init(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap_or_else(|error| panic!("no RSA key can be made: {error}")))
}

/// Signs with RSA PKCS#1 v1.5 and SHA-256.
pub(super) fn sign(message: &[u8]) -> Vec<u8> {
    key().sign(message).unwrap_or_default()
}
