//! The headers of a delivery: signature, algorithm, and where the certificate is.
//!
//! The signature is in `Authorization`, or in `x-ms-signature` if the registration asks for that, since some servers do not pass
//! `Authorization` on.

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The longest signature, in characters: that of a key of 8192 bits.
const SIGNATURE_LIMIT: usize = 1400;
/// The longest address of a certificate.
const ADDRESS_LIMIT: usize = 2000;

/// What the headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    /// The signature.
    pub(super) signature: Vec<u8>,
    /// Where the certificate is, not checked.
    pub(super) certificate: String,
}

/// What is wrong with the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHeader {
    /// There is no signature.
    #[error("the delivery has no signature")]
    NoSignature,
    /// A header is missing.
    #[error("the header `{0}` is missing")]
    Missing(&'static str),
    /// A header has another form than is documented.
    #[error("the header `{0}` is not as documented")]
    Malformed(&'static str),
    /// The signature is of another kind.
    #[error("the algorithm of the signature is not rsa-sha256")]
    Algorithm,
}

const OWN: &str = "x-ms-signature";
const AUTHORIZATION: &str = "authorization";
const ADDRESS: &str = "x-ms-certificate-url";
const ALGORITHM: &str = "x-ms-signature-algorithm";

impl Signed {
    pub(super) fn read(headers: &HeaderMap) -> Result<Signed, BadHeader> {
        let name = if headers.contains_key(OWN) { OWN } else { AUTHORIZATION };
        let value = one(headers, name)?.ok_or(BadHeader::NoSignature)?;
        let (scheme, text) = value.trim().split_once(' ').ok_or(BadHeader::NoSignature)?;
        if !scheme.eq_ignore_ascii_case("Signature") || text.len() > SIGNATURE_LIMIT {
            return Err(BadHeader::NoSignature);
        }
        let signature = STANDARD.decode(text.trim()).map_err(|_| BadHeader::Malformed(name))?;
        let certificate = one(headers, ADDRESS)?.ok_or(BadHeader::Missing(ADDRESS))?;
        if certificate.len() > ADDRESS_LIMIT {
            return Err(BadHeader::Malformed(ADDRESS));
        }
        let algorithm = one(headers, ALGORITHM)?.ok_or(BadHeader::Missing(ALGORITHM))?;
        if !algorithm.trim().eq_ignore_ascii_case("rsa-sha256") {
            return Err(BadHeader::Algorithm);
        }
        Ok(Signed { signature, certificate: certificate.trim().to_owned() })
    }
}

/// The value of a header that must not be repeated.
fn one<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, BadHeader> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| BadHeader::Malformed(name)),
        (Some(_), Some(_)) => Err(BadHeader::Malformed(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Result<Signed, BadHeader> {
        Signed::read(&headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
    }

    const REST: [(&str, &str); 2] = [(ADDRESS, "https://h/a.cer"), (ALGORITHM, "rsa-sha256")];

    #[test]
    fn the_signature_is_read_from_either_header() {
        for name in [AUTHORIZATION, OWN] {
            let signed = read(&[(name, "Signature AQID"), REST[0], REST[1]]).unwrap();
            assert_eq!((signed.signature, signed.certificate), (vec![1, 2, 3], "https://h/a.cer".to_owned()));
        }
        // A server in front may need `Authorization` for itself.
        let both = read(&[(AUTHORIZATION, "Basic eDp5"), (OWN, "signature AQID"), REST[0], REST[1]]).unwrap();
        assert_eq!(both.signature, [1, 2, 3]);
    }

    #[test]
    fn a_header_that_is_missing_repeated_or_of_another_kind_is_named() {
        assert_eq!(read(&REST), Err(BadHeader::NoSignature));
        assert_eq!(read(&[(AUTHORIZATION, "Bearer AQID"), REST[0], REST[1]]), Err(BadHeader::NoSignature));
        assert_eq!(read(&[(AUTHORIZATION, "Signature"), REST[0], REST[1]]), Err(BadHeader::NoSignature));
        assert_eq!(read(&[(OWN, "Signature *"), REST[0], REST[1]]), Err(BadHeader::Malformed(OWN)));
        assert_eq!(read(&[(OWN, "Signature AQID"), REST[1]]), Err(BadHeader::Missing(ADDRESS)));
        assert_eq!(read(&[(OWN, "Signature AQID"), REST[0]]), Err(BadHeader::Missing(ALGORITHM)));
        for algorithm in ["rsa-sha1", "none", "hmac-sha256", ""] {
            assert_eq!(read(&[(OWN, "Signature AQID"), REST[0], (ALGORITHM, algorithm)]), Err(BadHeader::Algorithm), "{algorithm}");
        }
        let mut headers: HeaderMap = HeaderMap::new();
        for value in ["https://h/a.cer", "https://h/b.cer"] {
            headers.append(ADDRESS, value.parse().unwrap());
        }
        headers.insert(OWN, "Signature AQID".parse().unwrap());
        assert_eq!(Signed::read(&headers), Err(BadHeader::Malformed(ADDRESS)));
    }
}
