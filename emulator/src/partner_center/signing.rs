//! The keys and certificates with which the emulator signs: tokens, and deliveries to webhooks.
//!
//! The certificates are a chain as Microsoft's: a root, an issuing authority whose name has `O=Microsoft Corporation`, and a leaf that
//! names the issuer's address. The keys are made once for a process, since RSA keys take long to make; the certificates once for each
//! start.

use std::sync::OnceLock;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, SigningKey as _,
};

/// The keys of a process.
struct Keys {
    root: KeyPair,
    /// The root of an untrusted chain.
    foreign: KeyPair,
    issuer: KeyPair,
    leaf: KeyPair,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        // The library makes RSA keys of 2048 bits whenever the machine has randomness.
        let key = || KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap_or_else(|error| panic!("no RSA key can be made: {error}"));
        Keys { root: key(), foreign: key(), issuer: key(), leaf: key() }
    })
}

/// Signs with RSA PKCS#1 v1.5 and SHA-256.
pub(super) fn sign(message: &[u8]) -> Vec<u8> {
    keys().leaf.sign(message).unwrap_or_default()
}

/// The certificates of one start.
pub(super) struct Chain {
    pub(super) root_pem: String,
    pub(super) root_der: Vec<u8>,
    pub(super) issuer_pem: String,
    pub(super) issuer_der: Vec<u8>,
    pub(super) leaf_der: Vec<u8>,
    /// The leaf of a chain with the same names and another root.
    pub(super) foreign_der: Vec<u8>,
    pub(super) foreign_issuer_der: Vec<u8>,
    /// The certificate of the server from which the others are fetched.
    pub(super) server_der: Vec<u8>,
}

impl Chain {
    /// Makes the certificates. The leaf says that its issuer's certificate is at `issuer_url`.
    pub(super) fn make(issuer_url: &str, foreign_issuer_url: &str) -> Result<Chain, rcgen::Error> {
        let keys = keys();
        let root = CertifiedIssuer::self_signed(authority("Emulated Microsoft Root Certificate Authority"), &keys.root)?;
        let issuer = CertifiedIssuer::signed_by(authority("Emulated Microsoft Azure Issuing CA"), &keys.issuer, &root)?;
        let leaf = leaf(&issuer, issuer_url)?;
        let foreign_root = CertifiedIssuer::self_signed(authority("Emulated Microsoft Root Certificate Authority"), &keys.foreign)?;
        let foreign_issuer = CertifiedIssuer::signed_by(authority("Emulated Microsoft Azure Issuing CA"), &keys.issuer, &foreign_root)?;
        let foreign = self::leaf(&foreign_issuer, foreign_issuer_url)?;
        let mut server = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        server.distinguished_name = name("localhost");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        dates(&mut server);
        let server = server.signed_by(&keys.leaf, &issuer)?;
        Ok(Chain {
            root_pem: root.pem(),
            root_der: root.der().to_vec(),
            issuer_pem: issuer.pem(),
            issuer_der: issuer.der().to_vec(),
            leaf_der: leaf.der().to_vec(),
            foreign_der: foreign.der().to_vec(),
            foreign_issuer_der: foreign_issuer.der().to_vec(),
            server_der: server.der().to_vec(),
        })
    }
}

/// The private key of the leaf and of the server, as PKCS#8.
pub(super) fn server_key() -> Vec<u8> {
    keys().leaf.serialize_der()
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, "US");
    name.push(DnType::OrganizationName, "Microsoft Corporation");
    name.push(DnType::CommonName, common);
    name
}

fn dates(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
}

fn authority(common: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(common);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    dates(&mut params);
    params
}

fn leaf(issuer: &CertifiedIssuer<'_, &KeyPair>, issuer_url: &str) -> Result<Certificate, rcgen::Error> {
    let mut params = CertificateParams::new(vec!["webhooks.partnercenter.microsoft.com".to_owned()])?;
    params.distinguished_name = name("webhooks.partnercenter.microsoft.com");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], issuers(issuer_url))];
    dates(&mut params);
    params.signed_by(&keys().leaf, issuer)
}

/// The content of the extension Authority Information Access with one address of the issuer's certificate (RFC 5280, 4.2.2.1).
fn issuers(url: &str) -> Vec<u8> {
    let wrap = |tag: u8, content: &[u8]| {
        let mut out = vec![tag];
        match u8::try_from(content.len()) {
            Ok(short) if short < 0x80 => out.push(short),
            Ok(long) => out.extend([0x81, long]),
            Err(_) => out.extend([0x82, (content.len() >> 8) as u8, content.len() as u8]),
        }
        out.extend_from_slice(content);
        out
    };
    let method = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];
    let access = wrap(0x30, &[&method[..], &wrap(0x86, url.as_bytes())].concat());
    wrap(0x30, &access)
}
