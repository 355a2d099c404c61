//! Where the emulators are reached, and what to log in with.

use super::campaign::TechnicalAccount;
use super::partner_center::{self, PartnerCredentials};
use super::tokens::Client;
use super::{ORGANIZATION, TENANT, journal};

/// What to log in with. The secrets are printed in the documentation and open only the emulator.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The directory's tenant id.
    pub tenant: String,
    /// The integration's application in Dataverse.
    pub dataverse: Client,
    /// Another application, for changes that are not the integration's own.
    pub dataverse_other: Client,
    /// The integration's client in Campaign; its id is the `X-Api-Key` too.
    pub campaign: Client,
    /// The scopes to ask the IMS for.
    pub campaign_scope: String,
    /// The deprecated service account of that client; its keys are given by [`Config::jwt_keys`] and the admin interface.
    pub campaign_account: TechnicalAccount,
    /// Campaign's organization.
    pub organization: String,
    /// The applications and people of Partner Center.
    pub partner: PartnerCredentials,
}

/// The emulators' own, well-known credentials.
pub fn credentials() -> Credentials {
    let user = |n: u128| uuid::Uuid::from_u128(0x5e12_0000_0000_4000_8000_0000_0000_0000 + n);
    Credentials {
        tenant: TENANT.to_owned(),
        dataverse: Client {
            id: "d365d365-0000-4000-8000-000000000001".to_owned(),
            secret: "emulator-dataverse-secret".to_owned(),
            user: user(1),
        },
        dataverse_other: Client {
            id: "d365d365-0000-4000-8000-000000000002".to_owned(),
            secret: "emulator-sales-secret".to_owned(),
            user: user(2),
        },
        campaign: Client {
            id: "emulatedcampaignclient".to_owned(),
            secret: "emulator-campaign-secret".to_owned(),
            user: uuid::Uuid::nil(),
        },
        campaign_scope: "openid,AdobeID,campaign_sdk,campaign_config_server_general".to_owned(),
        campaign_account: TechnicalAccount {
            organization: "D365D365D365D365@AdobeOrg".to_owned(),
            account: "E3A1E3A1E3A1E3A1@techacct.adobe.com".to_owned(),
            metascopes: vec!["ent_campaign_sdk".to_owned()],
            keys: Vec::new(),
        },
        organization: ORGANIZATION.to_owned(),
        partner: partner_center::credentials(),
    }
}

/// Where the emulators are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub(super) dataverse: u16,
    pub(super) campaign: u16,
    pub(super) admin: u16,
    pub(super) journal: u16,
    pub(super) public: Option<String>,
    /// The ports of Partner Center's two APIs and of the certificates, if it is started.
    pub(super) partner: Option<[u16; 3]>,
}

impl Addresses {
    /// The addresses of emulators whose ports are fixed. The admin interface is left out.
    pub fn new(dataverse: u16, campaign: u16, journal: u16) -> Addresses {
        Addresses { dataverse, campaign, admin: 0, journal, public: None, partner: None }
    }

    /// The environment's root; the API is under `/api/data/v9.2/`.
    pub fn dataverse_url(&self) -> String {
        self.public.clone().unwrap_or_else(|| self.dataverse_listen())
    }

    /// The address Dataverse's port listens at, whatever its public one is.
    pub fn dataverse_listen(&self) -> String {
        format!("http://127.0.0.1:{}", self.dataverse)
    }

    /// Where Dataverse's access tokens are issued.
    pub fn dataverse_token_url(&self) -> String {
        format!("{}/{TENANT}/oauth2/v2.0/token", self.dataverse_url())
    }

    /// The instance's root; the API is under `/campaign/`.
    pub fn campaign_url(&self) -> String {
        format!("http://127.0.0.1:{}/{ORGANIZATION}", self.campaign)
    }

    /// Where Campaign's access tokens are issued.
    pub fn campaign_token_url(&self) -> String {
        format!("http://127.0.0.1:{}/ims/token/v3", self.campaign)
    }

    /// Where a service account's assertion is exchanged for an access token.
    pub fn campaign_exchange_url(&self) -> String {
        format!("http://127.0.0.1:{}/ims/exchange/jwt", self.campaign)
    }

    /// The journal's own address, as the developer console shows it.
    pub fn journal_url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.journal, journal::PATH)
    }

    /// The root of Partner Center's referrals API, if it is started; the referrals are under `/v1.0/engagements/referrals`.
    pub fn referrals_url(&self) -> Option<String> {
        self.partner.map(|[port, _, _]| format!("http://127.0.0.1:{port}"))
    }

    /// The root of Partner Center's webhooks API, if it is started; it is under `/webhooks/v1/registration`.
    pub fn webhooks_url(&self) -> Option<String> {
        self.partner.map(|[_, port, _]| format!("http://127.0.0.1:{port}"))
    }

    /// The address of the certificates that sign Partner Center's deliveries, if it is started.
    pub fn partner_certificates_url(&self) -> Option<String> {
        self.partner.map(|[_, _, port]| format!("https://127.0.0.1:{port}"))
    }

    /// The folder of the sign-in service in front of Partner Center, if it is started: `/oauth2/v2.0/token`, `/oauth2/v2.0/devicecode`
    /// and `/oauth2/v2.0/authorize` are under it, and the same without `/v2.0`.
    pub fn partner_authority_url(&self) -> Option<String> {
        self.referrals_url().map(|url| format!("{url}/{TENANT}"))
    }

    /// The admin interface.
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin)
    }
}
