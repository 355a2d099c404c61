//! The signed-in account: whether both APIs let it in, and what Partner Center has counted of its multifactor authentication. For signing
//! in and for `doctor`; reads only.
//!
//! Sources: Partner Center, *Get a list of referrals*, *Partner Center webhooks*, *Partner Center authentication*
//! (`applicationmfaadoptionstatus`). That the list takes `$top` is observed, not documented. The shape of the MFA figures is assumed.

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::config::PartnerCenterConfig;
use crate::connect::http::{DelegatedTokens, Http, Request, service_url};
use crate::connect::{ConnectError, Delegated};
use crate::system::SystemId;

/// The account of a connection.
pub struct Account {
    http: Http,
    access: Delegated,
    url: Url,
    webhooks_url: Url,
    audience: String,
    webhooks_audience: String,
    referrals: DelegatedTokens,
    webhooks: DelegatedTokens,
}

/// How many calls had multifactor authentication, by Partner Center's own count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MfaAdoption {
    /// Calls with it.
    pub compliant: u64,
    /// All calls.
    pub total: u64,
}

impl Account {
    /// Checks the configuration; makes no call and reads no file.
    ///
    /// # Errors
    /// [`ConnectError::Config`].
    pub fn new(http: Http, config: PartnerCenterConfig) -> Result<Account, ConnectError> {
        service_url(SystemId::Partner.api(), "url", &config.url)?;
        service_url(SystemId::Partner.api(), "webhooks-url", &config.webhooks_url)?;
        let access = config.access(http.clone())?;
        let (referrals, webhooks) = (access.tokens(&config.audience), access.tokens(&config.webhooks_audience));
        let PartnerCenterConfig { url, audience, webhooks_url, webhooks_audience, .. } = config;
        Ok(Account { http, access, url, webhooks_url, audience, webhooks_audience, referrals, webhooks })
    }

    /// The access that both APIs share.
    pub fn access(&self) -> &Delegated {
        &self.access
    }

    /// The audience of the referrals API.
    pub fn referrals_audience(&self) -> &str {
        &self.audience
    }

    /// The audience of the webhooks API.
    pub fn webhooks_audience(&self) -> &str {
        &self.webhooks_audience
    }

    /// Reads one referral, to see whether the referrals API lets the account in.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn try_referrals(&self) -> Result<(), ConnectError> {
        self.get(&self.url, "v1.0/engagements/referrals?$top=1", &self.referrals).await.map(drop)
    }

    /// Reads the list of events, to see whether the webhooks API lets the account in.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn try_webhooks(&self) -> Result<(), ConnectError> {
        self.get(&self.webhooks_url, "webhooks/v1/registration/events", &self.webhooks).await.map(drop)
    }

    /// Adds up the MFA figures of all days and apps; `None` if the answer has none.
    ///
    /// # Errors
    /// [`ConnectError`]; [`ConnectError::Forbidden`] or [`ConnectError::NotFound`] if the role of the account does not permit them.
    pub async fn mfa_adoption(&self) -> Result<Option<MfaAdoption>, ConnectError> {
        let answer = self.get(&self.webhooks_url, "v1/applicationmfaadoptionstatus", &self.webhooks).await?;
        Ok(sum(&answer))
    }

    async fn get(&self, root: &Url, path: &str, tokens: &DelegatedTokens) -> Result<Value, ConnectError> {
        let wrong = |_| ConnectError::config("partner-center: the address cannot be used", "check `url` and `webhooks-url`");
        let url = root.join(path).map_err(wrong)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::try_from(Uuid::new_v4().to_string()) {
            headers.insert(HeaderName::from_static("client-request-id"), id);
        }
        let request = Request { headers, token: Some(tokens), ..Request::new(SystemId::Partner.api(), Method::GET, url) };
        let body = self.http.send(&request).await?;
        serde_json::from_slice(&body).map_err(|_| request.protocol("the answer is not JSON: check the connection's addresses"))
    }
}

/// The sums of both counts, wherever they are in the answer.
fn sum(answer: &Value) -> Option<MfaAdoption> {
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let mut found = None;
    let mut open = vec![answer];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => {
                if let (Some(compliant), Some(total)) =
                    (fields.get("mfaCompliantRequestCount").and_then(number), fields.get("totalRequestCount").and_then(number))
                {
                    let sums: &mut MfaAdoption = found.get_or_insert_default();
                    sums.compliant += compliant;
                    sums.total += total;
                }
                open.extend(fields.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_mfa_figures_of_all_days_are_added_up() {
        let answer = json!({"items": [
            {"date": "2026-05-01", "mfaCompliantRequestCount": 9, "totalRequestCount": "10"},
            {"date": "2026-05-02", "mfaCompliantRequestCount": 5, "totalRequestCount": 5}
        ]});
        assert_eq!(sum(&answer), Some(MfaAdoption { compliant: 14, total: 15 }));
        assert_eq!(sum(&json!({"items": []})), None);
    }
}
