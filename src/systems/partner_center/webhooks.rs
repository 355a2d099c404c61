//! The registration of the one address to which Partner Center sends notifications.
//!
//! A tenant has one registration. Whoever registers another address takes the notifications away from the one before, so that is done only
//! if it is asked for.
//!
//! Source: Partner Center, *Partner Center webhooks*. That a missing registration is answered with 404 is assumed. No way to remove a
//! registration is documented.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use url::Url;

use super::client::{API, SEGMENT, headers, understood};
use super::config::PartnerCenterConfig;
use crate::connect::http::{Http, Repeat, Request, Tokens, service_url};
use crate::connect::{Call, ConnectError};
use crate::printable;

/// Where the registration is, below the root of the host.
const REGISTRATION: &str = "webhooks/v1/registration";
/// The events about referrals.
pub const REFERRAL_EVENTS: [&str; 4] = ["referral-created", "referral-updated", "related-referral-created", "related-referral-updated"];
/// The event of a validation.
pub const TEST_EVENT: &str = "test-created";
/// How long to wait before the first check of a validation, and between two checks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How many looks.
const LOOKS: u32 = 24;

/// What is registered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Registration {
    /// The address that notifications are sent to.
    #[serde(rename = "WebhookUrl", alias = "webhookUrl", default)]
    pub url: String,
    /// The events.
    #[serde(rename = "WebhookEvents", alias = "webhookEvents", default)]
    pub events: Vec<String>,
}

/// What a registration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// There was none.
    New,
    /// The same was registered, and was written again.
    Renewed,
    /// This took the place of another one.
    Replaced(Registration),
}

/// How the address answered a test.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Such as `OK`.
    #[serde(default)]
    pub response_code: String,
    /// What else was said.
    #[serde(default)]
    pub response_message: String,
    /// Partner Center itself failed.
    #[serde(default)]
    pub system_error: bool,
}

/// A test of the address by Partner Center.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// Its id.
    #[serde(default)]
    pub correlation_id: String,
    /// `completed` when it is over.
    #[serde(default)]
    pub status: String,
    /// The address that was tested.
    #[serde(default)]
    pub callback_url: String,
    /// One for each attempt.
    #[serde(default)]
    pub results: Vec<Attempt>,
}

impl Validation {
    /// Whether it is over.
    pub fn is_complete(&self) -> bool {
        self.status.eq_ignore_ascii_case("completed")
    }

    /// Whether the address took the test.
    pub fn is_good(&self) -> bool {
        let good =
            |attempt: &Attempt| matches!(attempt.response_code.to_ascii_lowercase().as_str(), "ok" | "200" | "accepted" | "nocontent");
        self.is_complete() && self.results.last().is_some_and(good)
    }
}

/// A client of the webhooks API.
pub struct Webhooks {
    http: Http,
    /// The address of the registration.
    root: Url,
    tokens: Arc<dyn Tokens>,
}

impl Webhooks {
    /// A client for the person who signed in. Makes no call and reads no file.
    ///
    /// # Errors
    /// [`ConnectError::Config`].
    pub fn of(http: Http, config: &PartnerCenterConfig) -> Result<Self, ConnectError> {
        let tokens = config.access(http.clone())?.tokens(&config.webhooks_audience);
        Webhooks::new(http, &config.webhooks_url, Arc::new(tokens))
    }

    /// A client of the host at `url`. Makes no call.
    ///
    /// # Errors
    /// [`ConnectError::Config`].
    pub(crate) fn new(http: Http, url: &Url, tokens: Arc<dyn Tokens>) -> Result<Self, ConnectError> {
        service_url(API, "webhooks-url", url)?;
        let root = format!("{}/{REGISTRATION}", url.as_str().trim_end_matches('/'));
        let root = Url::parse(&root).map_err(|_| {
            ConnectError::config("partner-center: `webhooks-url` is not an address", "use https://api.partnercenter.microsoft.com")
        })?;
        Ok(Self { http, root, tokens })
    }

    fn request(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Request<'_>, ConnectError> {
        let url = Url::parse(&format!("{}{path}", self.root))
            .map_err(|_| ConnectError::config("partner-center: the id of a validation is not usable", "run the validation again"))?;
        let mut headers = headers();
        if let Some(id) = headers.get("client-request-id").cloned() {
            // The webhooks API has different names for the same.
            headers.insert("ms-correlationid", id.clone());
            headers.insert("ms-requestid", id);
        }
        if body.is_some() {
            headers.insert(CONTENT_TYPE, reqwest::header::HeaderValue::from_static("application/json"));
        }
        let repeat = if method == Method::POST { Repeat::Never } else { Repeat::Safe };
        Ok(Request { headers, body: body.into(), repeat, token: Some(&*self.tokens), ..Request::new(API, method, url) })
    }

    async fn read<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<T, ConnectError> {
        let body = self.http.send(request).await.map_err(understood)?;
        crate::json::read(&body).map_err(|_| request.protocol("the answer does not have the documented shape: check `webhooks-url`"))
    }

    /// Returns the events that can be registered.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn events(&self) -> Result<Vec<String>, ConnectError> {
        let request = self.request(Method::GET, "/events", None)?;
        self.read(&request).await
    }

    /// Returns what is registered; `None` if nothing is.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn registration(&self) -> Result<Option<Registration>, ConnectError> {
        let request = self.request(Method::GET, "", None)?;
        match self.read::<Registration>(&request).await {
            Ok(registration) => Ok(Some(registration).filter(|registration| !registration.url.is_empty())),
            Err(ConnectError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Registers an address. A registration of another address is replaced only if `take_over` says so.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if another address is registered. Others as they come.
    pub async fn register(&self, wanted: &Registration, ms_signature: bool, take_over: bool) -> Result<Registered, ConnectError> {
        let before = self.registration().await?;
        if let Some(before) = &before
            && !same_address(&before.url, &wanted.url)
            && !take_over
        {
            return Err(ConnectError::config(
                format!(
                    "partner-center: the address {} is registered, and would no longer get notifications",
                    printable::one_line(&before.url)
                ),
                "register with `--take-over` if this address is to take its place",
            ));
        }
        let method = if before.is_some() { Method::PUT } else { Method::POST };
        self.write(method, wanted, ms_signature).await?;
        Ok(match before {
            None => Registered::New,
            Some(before) if same_address(&before.url, &wanted.url) => Registered::Renewed,
            Some(before) => Registered::Replaced(before),
        })
    }

    /// Registers the address without any event, which is not documented: a registration cannot be removed.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn empty(&self, url: &str, ms_signature: bool) -> Result<(), ConnectError> {
        self.write(Method::PUT, &Registration { url: url.to_owned(), events: Vec::new() }, ms_signature).await
    }

    async fn write(&self, method: Method, wanted: &Registration, ms_signature: bool) -> Result<(), ConnectError> {
        let body = json!({
            "WebhookUrl": wanted.url,
            "WebhookEvents": wanted.events,
            "SignatureTokenToMsSignatureHeader": ms_signature,
        });
        let request = self.request(method, "", Some(body.to_string().into()))?;
        match self.http.send(&request).await.map_err(understood) {
            Ok(_) => Ok(()),
            // What is registered says whether it took effect.
            Err(error @ ConnectError::OutcomeUnknown { .. }) => match self.registration().await? {
                Some(now) if now == *wanted => Ok(()),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Asks Partner Center to send a test to the registered address, and returns what came of it. `wait` waits. Two tests a minute are
    /// allowed.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if the registration does not have the event of tests, [`ConnectError::Unavailable`] if there is no result
    /// after two minutes. Others as they come.
    pub async fn validate(&self, wait: impl AsyncFn(Duration)) -> Result<Validation, ConnectError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Started {
            correlation_id: String,
        }
        let registered = self.registration().await?;
        let has_test = |registration: &Registration| registration.events.iter().any(|event| event.eq_ignore_ascii_case(TEST_EVENT));
        match registered {
            Some(registration) if has_test(&registration) => {}
            Some(_) => {
                return Err(ConnectError::config(
                    format!("partner-center: the registration does not have the event `{TEST_EVENT}`"),
                    "run `d365map webhook register` again",
                ));
            }
            None => return Err(ConnectError::config("partner-center: no address is registered", "run `d365map webhook register` first")),
        }
        let request = self.request(Method::POST, "/validationEvents", None)?;
        let Started { correlation_id } = self.read(&request).await?;
        let id = percent_encoding::utf8_percent_encode(&correlation_id, SEGMENT).to_string();
        let request = self.request(Method::GET, &format!("/validationEvents/{id}"), None)?;
        for _ in 0..LOOKS {
            wait(LOOK_EVERY).await;
            match self.read::<Validation>(&request).await {
                Ok(validation) if validation.is_complete() => return Ok(validation),
                // Its result is not there yet.
                Ok(_) | Err(ConnectError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let message = Some(format!("the test {correlation_id} had no result after two minutes"));
        Err(ConnectError::Unavailable { call: Box::new(Call { message, attempts: LOOKS, ..request.call() }) })
    }
}

fn same_address(a: &str, b: &str) -> bool {
    match (Url::parse(a), Url::parse(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::tests::StandIn;
    use super::*;

    fn client(service: &StandIn) -> Webhooks {
        let http = service.http();
        let tokens = service.tokens(&http);
        Webhooks::new(http, &service.url, tokens).unwrap()
    }

    fn wanted(url: &str) -> Registration {
        Registration { url: url.to_owned(), events: vec!["referral-created".to_owned(), TEST_EVENT.to_owned()] }
    }

    fn registered(url: &str) -> String {
        json!({"SubscriberId": "s", "WebhookUrl": url, "WebhookEvents": ["referral-created", "test-created"]}).to_string()
    }

    #[tokio::test]
    async fn an_address_is_registered_with_post_if_there_is_none_and_with_put_if_it_is_the_same() {
        let service = StandIn::start().await;
        service.answer(404, &[], r#"{"code":"404","description":"none","data":[],"source":"s"}"#);
        service.answer(200, &[], registered("https://a/x"));
        assert_eq!(client(&service).register(&wanted("https://a/x"), true, false).await.unwrap(), Registered::New);
        let asked = service.asked();
        assert_eq!(asked[1].line(), "POST /webhooks/v1/registration");
        assert_eq!(
            asked[1].body,
            r#"{"SignatureTokenToMsSignatureHeader":true,"WebhookEvents":["referral-created","test-created"],"WebhookUrl":"https://a/x"}"#
        );
        assert!(asked[1].headers.contains_key("ms-correlationid") && asked[1].headers.contains_key("ms-requestid"));
        service.answer(200, &[], registered("https://A/x"));
        service.answer(200, &[], registered("https://a/x"));
        assert_eq!(client(&service).register(&wanted("https://a/x"), true, false).await.unwrap(), Registered::Renewed);
        assert_eq!(service.lines(), ["GET /webhooks/v1/registration", "PUT /webhooks/v1/registration"]);
    }

    #[tokio::test]
    async fn the_registration_of_another_address_is_replaced_only_if_it_is_asked_for() {
        let service = StandIn::start().await;
        service.answer(200, &[], registered("https://production/x"));
        let error = client(&service).register(&wanted("https://staging/x"), true, false).await.unwrap_err();
        assert!(error.to_string().contains("https://production/x") && error.to_string().contains("--take-over"), "{error}");
        assert_eq!(service.lines(), ["GET /webhooks/v1/registration"]);
        service.answer(200, &[], registered("https://production/x"));
        service.answer(200, &[], registered("https://staging/x"));
        let replaced = client(&service).register(&wanted("https://staging/x"), true, true).await.unwrap();
        assert_eq!(replaced, Registered::Replaced(wanted("https://production/x")));
        service.asked();
    }

    #[tokio::test]
    async fn a_registration_whose_answer_was_lost_is_looked_at() {
        let service = StandIn::start().await;
        service.answer(404, &[], "");
        service.answer(504, &[], "");
        service.answer(200, &[], registered("https://a/x"));
        assert_eq!(client(&service).register(&wanted("https://a/x"), true, false).await.unwrap(), Registered::New);
        service.asked();
    }

    #[tokio::test]
    async fn a_validation_is_looked_at_until_it_is_complete_and_waits_by_the_callers_clock() {
        let service = StandIn::start().await;
        service.answer(200, &[], registered("https://a/x"));
        service.answer(200, &[], r#"{"correlationId":"c 1"}"#);
        service.answer(404, &[], "");
        service.answer(200, &[], r#"{"correlationId":"c 1","status":"started","results":[]}"#);
        service.answer(
            200,
            &[],
            r#"{"correlationId":"c 1","partnerId":"p","status":"completed","callbackUrl":"https://a/x",
                "results":[{"responseCode":"OK","responseMessage":"","systemError":false,"dateTimeUtc":"2017-12-08T21:39:48.2386997"}]}"#,
        );
        let waited = Mutex::new(Vec::new());
        let validation = client(&service).validate(async |time: Duration| waited.lock().unwrap().push(time)).await.unwrap();
        assert!(validation.is_good());
        assert_eq!(waited.into_inner().unwrap(), [LOOK_EVERY; 3]);
        assert_eq!(service.lines()[2], "GET /webhooks/v1/registration/validationEvents/c 1");
    }

    #[tokio::test]
    async fn a_validation_needs_a_registration_with_the_event_of_tests() {
        let service = StandIn::start().await;
        service.answer(200, &[], r#"{"WebhookUrl":"https://a/x","WebhookEvents":["referral-created"]}"#);
        let error = client(&service).validate(async |_| {}).await.unwrap_err();
        assert!(matches!(error, ConnectError::Config { .. }) && error.to_string().contains(TEST_EVENT), "{error}");
    }

    #[tokio::test]
    async fn an_address_that_refused_the_test_is_not_good() {
        let validation: Validation =
            serde_json::from_str(r#"{"correlationId":"c","status":"completed","results":[{"responseCode":"NotFound"}]}"#).unwrap();
        assert!(validation.is_complete() && !validation.is_good());
    }

    #[tokio::test]
    async fn the_words_of_the_other_error_shape_are_in_the_error() {
        let service = StandIn::start().await;
        service.answer(
            400,
            &[("ms-correlationid", "m-1")],
            r#"{"code":"400","description":"the URL is not https","data":[],"source":"w"}"#,
        );
        let error = client(&service).events().await.unwrap_err();
        assert!(error.to_string().contains("the URL is not https"), "{error}");
    }
}
