//! How Partner Center is reached: its two hosts, each with a separate audience, and the sign-in that serves both.
//!
//! Source: Partner Center, *Referrals API*, *Partner Center webhooks*, *API authentication*.

use url::Url;

use crate::connect::{ConnectError, Delegated, DelegatedCredential, Http, SignInConfig};

/// The address of the referrals API, which is its audience too.
pub const REFERRALS: &str = "https://api.partner.microsoft.com";
/// The address of the webhooks API, which is its audience too.
pub const WEBHOOKS: &str = "https://api.partnercenter.microsoft.com";
/// The address of a deal in the portal. Assumed: only that of the list of leads is documented.
pub const PORTAL_LINK: &str = "https://partner.microsoft.com/dashboard/referrals/v2/coselldeals/{id}";
/// What stands for the id of the referral in such an address.
pub const ID_IN_LINK: &str = "{id}";

/// A connection to Partner Center. `C` is the credential, or where it is kept.
#[derive(Debug, Clone)]
pub struct PartnerCenterConfig<C = DelegatedCredential> {
    /// The root of the referrals API, without a path.
    pub url: Url,
    /// The audience of tokens for the referrals API.
    pub audience: String,
    /// The root of the webhooks API, without a path.
    pub webhooks_url: Url,
    /// The audience of tokens for the webhooks API.
    pub webhooks_audience: String,
    /// The address of a deal in the portal, with `{id}`; `None` if opportunities get no link.
    pub portal_link: Option<String>,
    /// The app and the directory that a person signs in to.
    pub sign_in: SignInConfig,
    /// The secret of the app, if it has one, and the refresh token of the person.
    pub credential: C,
}

impl<C> PartnerCenterConfig<C> {
    /// The same with another credential, such as the one that was kept where the first one says.
    pub fn with_credential<D>(&self, credential: D) -> PartnerCenterConfig<D> {
        let PartnerCenterConfig { url, audience, webhooks_url, webhooks_audience, portal_link, sign_in, .. } = self;
        PartnerCenterConfig {
            url: url.clone(),
            audience: audience.clone(),
            webhooks_url: webhooks_url.clone(),
            webhooks_audience: webhooks_audience.clone(),
            portal_link: portal_link.clone(),
            sign_in: sign_in.clone(),
            credential,
        }
    }
}

impl PartnerCenterConfig {
    /// The access of the app with the person who signed in, to both audiences. Makes no call.
    ///
    /// # Errors
    /// [`ConnectError::Config`].
    pub fn access(&self, http: Http) -> Result<Delegated, ConnectError> {
        Delegated::new(http, self.sign_in.clone(), self.credential.clone())
    }
}
