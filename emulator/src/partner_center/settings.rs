//! The settings of the Partner Center emulator. What Microsoft's documents leave open is a setting whose default is the best guess.

use std::time::Duration;

use serde::Deserialize;

/// How the Partner Center emulator is set up. Start from [`PartnerCenterConfig::default`].
#[derive(Clone, Debug)]
pub struct PartnerCenterConfig {
    /// The port of the referrals API and of the sign-in service (`api.partner.microsoft.com`, `login.microsoftonline.com`); 0 takes a
    /// free one.
    pub referrals_port: u16,
    /// The port of the webhooks API (`api.partnercenter.microsoft.com`); 0 takes a free one.
    pub webhooks_port: u16,
    /// The port from which the signing certificate is served over HTTPS; 0 takes a free one.
    pub certificates_port: u16,
    /// Whether a call needs a token with the `mfa` claim. Documented since 2026-04-01; on by default.
    pub require_mfa: bool,
    /// Whether interactive sign-ins put `mfa` into the tokens.
    pub mfa_at_sign_in: bool,
    /// The name of the response header that says whether the MFA claim was seen. The name is assumed.
    pub mfa_header: String,
    /// Whether the password grant works. Microsoft's documents show it, but its tokens carry no `mfa` claim; off by default.
    pub password_grant: bool,
    /// Whether a refresh token works only once. Entra ID keeps old ones valid; off by default.
    pub single_use_refresh: bool,
    /// How long a refresh token lives, on the virtual clock (90 days).
    pub refresh_lifetime: Duration,
    /// How a device code gets its user.
    pub device_sign_in: DeviceSignIn,
    /// The time to wait between two polls of a device code; a faster poll is answered `slow_down`. 5 seconds in the service.
    pub device_interval: Duration,
    /// Referrals on a page (100).
    pub page_size: usize,
    /// Whether `@odata.nextLink` has the form of the documents' samples: another path (`/v1.0/referrals`), which leads nowhere.
    pub odd_next_link: bool,
    /// Whether names are HTML-escaped in answers, as seen in live data.
    pub escape_names: bool,
    /// Whether Marketplace leads (Independent, Direct) are in lists. The documents leave them out; off by default.
    pub list_marketplace_leads: bool,
    /// The HTTP status of a create: 200 or 201. 201 is assumed.
    pub create_status: u16,
    /// The HTTP status of a PUT without `If-Match`. 400 is assumed.
    pub missing_if_match_status: u16,
    /// Whether `Won` and `Lost` are only allowed from `Active`. Assumed.
    pub close_only_from_active: bool,
    /// Whether a co-sell request needs a solution, a customer contact, a member of the team and the consents. Documented.
    pub check_co_sell: bool,
    /// Whether a deal registration needs a deal that was won at least 72 hours after its creation. Documented.
    pub check_registrations: bool,
    /// The spelling of the nested error: `innerError` or `innererror`; both are in the documents.
    pub inner_error: String,
    /// The error code of a 401: `unauthenticated` or `unAuthorized`; both are in the documents.
    pub unauthenticated_code: String,
    /// How long an invitation waits for an answer before it expires, on the virtual clock (14 days).
    pub answer_within: Duration,
    /// What the Microsoft seller does with each new invitation.
    pub seller: SellerScript,
    /// Whether a second registration of webhooks is refused with 409. Not documented; by default it replaces the first.
    pub refuse_second_registration: bool,
    /// Whether a webhook URL may begin with `http://`. The service's documents show https only; on by default for local use.
    pub http_webhooks: bool,
    /// The largest number of attempts to deliver an event (10).
    pub delivery_attempts: u32,
    /// The pause before the second attempt, in real time; it doubles with each attempt. Not documented; 500 ms by default.
    pub delivery_backoff: Duration,
    /// How long the emulator waits for the answer to a delivery. Not documented; 10 seconds by default.
    pub delivery_timeout: Duration,
    /// A certificate (PEM) that deliveries to an https address trust in addition to the system's.
    pub delivery_root: Option<String>,
    /// Whether `X-MS-Certificate-Url` leads to the plain HTTP port instead of the HTTPS one.
    pub certificate_over_http: bool,
    /// The address in `ResourceUri` of events; the webhooks API of the emulator when absent.
    pub resource_root: Option<String>,
}

impl Default for PartnerCenterConfig {
    fn default() -> PartnerCenterConfig {
        let day = 24 * 3600;
        PartnerCenterConfig {
            referrals_port: 0,
            webhooks_port: 0,
            certificates_port: 0,
            require_mfa: true,
            mfa_at_sign_in: true,
            mfa_header: "isMfaCompliant".to_owned(),
            password_grant: false,
            single_use_refresh: false,
            refresh_lifetime: Duration::from_secs(90 * day),
            device_sign_in: DeviceSignIn::default(),
            device_interval: Duration::from_secs(5),
            page_size: 100,
            odd_next_link: true,
            escape_names: true,
            list_marketplace_leads: false,
            create_status: 201,
            missing_if_match_status: 400,
            close_only_from_active: true,
            check_co_sell: true,
            check_registrations: true,
            inner_error: "innerError".to_owned(),
            unauthenticated_code: "unauthenticated".to_owned(),
            answer_within: Duration::from_secs(14 * day),
            seller: SellerScript::default(),
            refuse_second_registration: false,
            http_webhooks: true,
            delivery_attempts: 10,
            delivery_backoff: Duration::from_millis(500),
            delivery_timeout: Duration::from_secs(10),
            delivery_root: None,
            certificate_over_http: false,
            resource_root: None,
        }
    }
}

/// How a device code gets its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceSignIn {
    /// The Referrals admin signs in after this number of polls that are answered `authorization_pending`.
    AfterPolls(u32),
    /// Somebody signs in: on the page of the sign-in service, or by the admin interface.
    ByHand,
}

impl Default for DeviceSignIn {
    fn default() -> DeviceSignIn {
        DeviceSignIn::AfterPolls(1)
    }
}

/// What the Microsoft seller does with a referral.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SellerAction {
    /// Accepts the invitation and gives the deal an identifier in Microsoft's own CRM.
    Accept,
    /// Declines the invitation.
    Decline,
    /// Lets the invitation expire.
    Expire,
    /// Marks the deal as won.
    Win,
    /// Marks the deal as lost.
    Lose,
}

/// What the Microsoft seller does with each new invitation, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SellerScript {
    /// The actions in their order; without one the invitation waits until it expires.
    #[serde(default)]
    pub steps: Vec<SellerStep>,
}

/// One action of the Microsoft seller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SellerStep {
    /// What the seller does.
    pub action: SellerAction,
    /// Hours after the invitation, on the virtual clock; 0 for at once.
    #[serde(default)]
    pub hours: u32,
}

/// A person with an account in the partner's tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerUser {
    /// The name to sign in with; it is also the e-mail address.
    pub name: String,
    /// The password, for the password grant.
    pub password: String,
}

/// What to sign in to Partner Center with. The secrets are printed in the documentation and open only the emulator.
#[derive(Clone, Debug)]
pub struct PartnerCredentials {
    /// The directory's tenant id.
    pub tenant: String,
    /// The id of an application that is a public client: it has no secret.
    pub public_client: String,
    /// The id of a confidential client.
    pub client: String,
    /// The secret of the confidential client.
    pub client_secret: String,
    /// A person with the role Referrals admin.
    pub admin: PartnerUser,
    /// A person with the role Referrals user, who sees only the referrals whose team has the person's e-mail address.
    pub user: PartnerUser,
    /// The audience of tokens for the referrals API.
    pub referrals_audience: String,
    /// The audience of tokens for the webhooks API.
    pub webhooks_audience: String,
}
