//! Programs that use the API, each with a token.

use secrecy::{ExposeSecret, SecretString};

use super::secret::Digest;
use crate::project::Role;

/// The shortest token that is accepted: 32 characters of base64 have 192 bits.
pub(super) const SHORTEST_TOKEN: usize = 32;

/// A program that uses the API.
#[derive(Clone, Debug)]
pub struct ApiClient {
    /// Its name, for the audit log.
    pub name: String,
    /// Its token.
    pub token: SecretString,
    /// What it may do.
    pub role: Role,
}

/// The clients, by the hash of their tokens.
pub(super) struct Clients(Vec<(Digest, String, Role)>);

impl Clients {
    pub(super) fn new(clients: &[ApiClient]) -> Clients {
        Clients(clients.iter().map(|c| (Digest::of(c.token.expose_secret()), c.name.clone(), c.role)).collect())
    }

    /// Returns the client with a token. Every client is compared, whether one matches or not.
    pub(super) fn find(&self, token: &str) -> Option<(String, Role)> {
        let given = Digest::of(token);
        let matching = self.0.iter().filter(|(hash, ..)| hash.matches(&given)).fold(None, |found, client| found.or(Some(client)));
        matching.map(|(_, name, role)| (name.clone(), *role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_its_whole_token() {
        let client = |name: &str, role| ApiClient { name: name.to_owned(), token: SecretString::from(name.repeat(16)), role };
        let clients = Clients::new(&[client("ci", Role::Operator), client("db", Role::Viewer)]);
        assert_eq!(clients.find(&"db".repeat(16)), Some(("db".to_owned(), Role::Viewer)));
        assert_eq!(clients.find(&"db".repeat(15)), None);
        assert_eq!(clients.find(""), None);
    }
}
