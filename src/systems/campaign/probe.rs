//! Looks at an instance for diagnosis: each asks one question, reads only, and takes every answer for a finding.
//!
//! Source: Campaign Standard API, *Metadata*, *Profiles* (custom key), *Troubleshooting*.

use reqwest::Method;
use url::Url;

use super::Campaign;
use crate::connect::ConnectError;
use crate::connect::http::{Look, Miss};

impl Campaign {
    /// The address of the API, with the endpoint of resources that are named without one.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub fn api_root(&self) -> Option<Url> {
        self.0.root.join(&format!("{}/", self.0.api)).ok()
    }

    /// Gets a token.
    ///
    /// # Errors
    /// [`ConnectError::Token`] when the token service refuses the client; others as they come.
    pub async fn sign_in(&self) -> Result<(), ConnectError> {
        self.0.token.prove().await
    }

    /// Looks at a resource's description.
    ///
    /// # Errors
    /// [`Miss`].
    pub async fn look_resource(&self, resource: &str) -> Result<Look, Miss> {
        let place = self.place(resource).await?;
        self.look([&*place.api, "resourceType", place.resource]).await
    }

    /// Looks for a record by its custom key.
    ///
    /// # Errors
    /// [`Miss`].
    pub async fn look_record(&self, resource: &str, key: &str) -> Result<Look, Miss> {
        let place = self.place(resource).await?;
        self.look([&*place.api, place.resource, key]).await
    }

    async fn look(&self, path: [&str; 3]) -> Result<Look, Miss> {
        let request = self.request(Method::GET, self.address(path, [])?, None);
        self.0.http.look(&request).await
    }
}
