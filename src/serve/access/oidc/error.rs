//! Why somebody could not sign in with the service.

use crate::connect::ConnectError;

/// Why an id token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::serve::access) enum TokenError {
    #[error("it cannot be read")]
    Unreadable,
    #[error("its type is `{0}`, and not `JWT`")]
    Type(String),
    #[error("it has parameters that must be understood, and are not")]
    Critical,
    #[error("the service has no key for its signature")]
    NoKey,
    #[error("its algorithm does not fit the key: RS256, PS256, ES256 and EdDSA are accepted")]
    Algorithm,
    #[error("its signature is wrong")]
    Signature,
    #[error("its claim `{0}` is missing, or has another type")]
    Claim(&'static str),
    #[error("it was issued by `{0}`")]
    Issuer(String),
    #[error("it is for another application")]
    Audience,
    #[error("it has expired. If it is new, the clocks of this machine and of the service differ")]
    Expired,
    #[error("it is from the future, or older than this sign-in. If it is new, the clocks of this machine and of the service differ")]
    Time,
    #[error("it belongs to another sign-in")]
    Nonce,
}

/// Why somebody could not sign in.
#[derive(Debug, thiserror::Error)]
pub(in crate::serve::access) enum SignInError {
    /// The service does not answer, or refuses.
    #[error("the service to sign in with cannot be reached, or refuses the request ({what})")]
    Service {
        /// What was asked for.
        what: &'static str,
        source: Box<ConnectError>,
    },
    /// An answer makes no sense.
    #[error("the answer of the service to sign in with cannot be used ({what}): {problem}")]
    Answer { what: &'static str, problem: &'static str },
    /// The configuration at the issuer is that of another one.
    #[error("the issuer calls itself `{0}`: write this address as `issuer` in the project file")]
    Issuer(String),
    /// The browser has begun no sign-in, or another one, or too long ago.
    #[error("this sign-in was not begun in this browser, is older than ten minutes, or was overtaken by another one")]
    NotBegun,
    /// The person or the service has refused.
    #[error("the service has refused the sign-in: {0}")]
    Refused(String),
    /// The id token is not accepted.
    #[error("the id token of the service is not accepted: {0}")]
    Token(#[from] TokenError),
    /// No role.
    #[error("no role: the claim `{claim}` has none of the values of the project file")]
    NoRole {
        /// The person.
        name: String,
        /// The claim that was looked at.
        claim: String,
        /// Its values; `None` if the token does not have it.
        found: Option<Vec<String>>,
    },
}
