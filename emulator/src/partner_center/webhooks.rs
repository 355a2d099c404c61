//! The registration of webhooks. [D]

use std::collections::VecDeque;

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use chrono::TimeDelta;
use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use super::delivery::Destination;
use super::error::{Problem, Result, json_response};
use super::store::Event;
use super::{ALIAS, PartnerCenter, TENANT, clock};
use crate::dataverse::Call;
use crate::time::Instant;
use crate::{lock, net};

/// The events that can be subscribed to. The service has more, which the emulator never raises.
const EVENTS: &[&str] = &[
    "test-created",
    "referral-created",
    "referral-updated",
    "related-referral-created",
    "related-referral-updated",
    "subscription-updated",
    "invoice-ready",
];

const PATH: &str = "/webhooks/v1/registration";

/// How long the result of a validation is kept. [D]
const KEPT: TimeDelta = TimeDelta::days(7);

/// Validation events in a minute. [D]
const VALIDATIONS: usize = 2;

#[derive(Clone, Debug)]
struct Registration {
    subscriber: uuid::Uuid,
    url: String,
    events: Vec<String>,
    ms_signature: bool,
}

struct Validation {
    delivery: usize,
    url: String,
    at: Instant,
}

/// The registration of the tenant.
#[derive(Default)]
pub(super) struct Webhooks {
    registration: Option<Registration>,
    validations: IndexMap<String, Validation>,
    /// When validation events were asked for.
    asked: VecDeque<Instant>,
}

fn invalid(text: impl Into<String>) -> Problem {
    Problem::new(400, "2000", text)
}

impl PartnerCenter {
    /// Whether the path belongs to the registration of webhooks.
    pub(super) fn is_registration(path: &str) -> bool {
        path.starts_with(PATH)
    }

    pub(super) fn registration(&self, call: &Call<'_>) -> (&'static str, Result<Response<Body>>) {
        let rest = call.path.strip_prefix(PATH).unwrap_or_default().trim_end_matches('/');
        match (call.method, rest) {
            (&Method::GET, "/events") => ("registration/events", Ok(json_response(200, &json!(EVENTS)))),
            (&Method::GET, "") => ("registration", self.registered()),
            (&Method::POST, "") => ("registration", self.register(call, false)),
            (&Method::PUT, "") => ("registration", self.register(call, true)),
            (&Method::POST, "/validationEvents") => ("registration/validationEvents", self.validate()),
            (&Method::GET, rest) if rest.starts_with("/validationEvents/") => {
                let id = rest.strip_prefix("/validationEvents/").unwrap_or_default();
                ("registration/validationEvents(id)", self.validation(id))
            }
            (_, "" | "/events" | "/validationEvents") => ("registration", Err(Problem::method())),
            (_, _) => ("unknown", Err(Problem::missing("The resource does not exist."))),
        }
    }

    fn registered(&self) -> Result<Response<Body>> {
        let webhooks = lock(&self.webhooks);
        let registration = webhooks.registration.as_ref().ok_or_else(|| Problem::new(404, "2001", "There is no registration."))?;
        Ok(json_response(200, &json!({"WebhookUrl": registration.url, "WebhookEvents": registration.events})))
    }

    fn register(&self, call: &Call<'_>, replace: bool) -> Result<Response<Body>> {
        let body: Json = serde_json::from_slice(call.body).map_err(|error| invalid(format!("The body is not valid JSON: {error}.")))?;
        // The documents write the first letter of one name in both cases.
        let field = |name: &str| {
            let fields = body.as_object().into_iter().flatten();
            fields.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let url = field("WebhookUrl").and_then(Json::as_str).ok_or_else(|| invalid("WebhookUrl is missing."))?;
        let parsed = url::Url::parse(url).map_err(|error| invalid(format!("WebhookUrl is not a URL: {error}.")))?;
        if parsed.scheme() != "https" && !(parsed.scheme() == "http" && self.settings.http_webhooks) {
            return Err(invalid("WebhookUrl must begin with https://."));
        }
        let events = field("WebhookEvents").and_then(Json::as_array).ok_or_else(|| invalid("WebhookEvents is missing."))?;
        let events: Vec<String> = events.iter().filter_map(|event| event.as_str().map(str::to_owned)).collect();
        if events.is_empty() {
            return Err(invalid("WebhookEvents is empty."));
        }
        if let Some(unknown) = events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
            return Err(invalid(format!("The event '{unknown}' is not known.")));
        }
        let ms_signature = field("SignatureTokenToMsSignatureHeader").and_then(Json::as_bool).unwrap_or(false);
        let mut webhooks = lock(&self.webhooks);
        let before = webhooks.registration.as_ref();
        if before.is_some() && !replace && self.settings.refuse_second_registration {
            return Err(Problem::new(409, "2002", "There is a registration already."));
        }
        if before.is_none() && replace {
            return Err(Problem::new(404, "2001", "There is no registration."));
        }
        let subscriber = before.map_or_else(uuid::Uuid::new_v4, |registration| registration.subscriber);
        let answer = json!({"SubscriberId": subscriber, "WebhookUrl": url, "WebhookEvents": events});
        webhooks.registration = Some(Registration { subscriber, url: url.to_owned(), events, ms_signature });
        Ok(json_response(200, &answer))
    }

    /// The destination of an event, if somebody has subscribed to it.
    fn destination(&self, webhooks: &Webhooks, event: &str) -> Option<Destination> {
        let registration = webhooks.registration.as_ref().filter(|registration| registration.events.iter().any(|name| name == event))?;
        let certificates = if self.settings.certificate_over_http { &self.site.webhooks } else { &self.site.certificates };
        Some(Destination {
            url: registration.url.clone(),
            ms_signature: registration.ms_signature,
            certificate_url: format!("{certificates}/pki/webhooks.cer"),
            foreign_certificate_url: format!("{certificates}/pki/foreign.cer"),
        })
    }

    /// Sends events to the webhook.
    pub(super) fn publish(&self, events: Vec<Event>) {
        let webhooks = lock(&self.webhooks);
        let root = self.settings.resource_root.as_deref().unwrap_or(&self.site.webhooks);
        for event in events {
            if let Some(destination) = self.destination(&webhooks, event.name) {
                self.deliveries.send(&event, &format!("{root}{ALIAS}/{}", event.id), "referral", &destination);
            }
        }
    }

    fn validate(&self) -> Result<Response<Body>> {
        let now = self.clock.now();
        let mut webhooks = lock(&self.webhooks);
        let destination = self.destination(&webhooks, "test-created");
        let destination = destination.ok_or_else(|| invalid("There is no registration for the event test-created."))?;
        while webhooks.asked.front().is_some_and(|&at| now - at >= TimeDelta::minutes(1)) {
            webhooks.asked.pop_front();
        }
        if webhooks.asked.len() >= VALIDATIONS {
            return Err(Problem::new(429, "429", "Too many requests: two validation events in a minute are allowed."));
        }
        webhooks.asked.push_back(now);
        let correlation = uuid::Uuid::new_v4().to_string();
        let event = Event { name: "test-created", id: correlation.clone(), at: now };
        let resource = format!("{}{PATH}/test", self.site.webhooks);
        let delivery = self.deliveries.send(&event, &resource, "test", &destination);
        webhooks.validations.insert(correlation.clone(), Validation { delivery, url: destination.url, at: now });
        Ok(json_response(200, &json!({ "correlationId": correlation })))
    }

    fn validation(&self, id: &str) -> Result<Response<Body>> {
        let webhooks = lock(&self.webhooks);
        let kept = webhooks.validations.get(id).filter(|validation| self.clock.now() - validation.at < KEPT);
        let validation = kept.ok_or_else(|| Problem::new(404, "2001", "There is no validation event with this correlation id."))?;
        let (attempts, completed) = self.deliveries.attempts(validation.delivery);
        let results: Vec<_> = attempts
            .iter()
            .map(|attempt| {
                json!({
                    "responseCode": attempt.code,
                    "responseMessage": attempt.message,
                    "systemError": attempt.code.is_empty(),
                    "dateTimeUtc": clock::format(attempt.at).trim_end_matches('Z'),
                })
            })
            .collect();
        let body = json!({
            "correlationId": id,
            "partnerId": TENANT,
            "status": if completed { "completed" } else { "inProgress" },
            "callbackUrl": validation.url,
            "results": results,
        });
        Ok(json_response(200, &body))
    }

    /// The certificates, which need no token.
    pub(crate) fn certificate(&self, path: &str) -> Option<Response<Body>> {
        let der = match path {
            "/pki/webhooks.cer" => &self.chain.leaf_der,
            "/pki/issuer.cer" => &self.chain.issuer_der,
            "/pki/root.cer" => &self.chain.root_der,
            "/pki/foreign.cer" => &self.chain.foreign_der,
            "/pki/foreign-issuer.cer" => &self.chain.foreign_issuer_der,
            _ => return None,
        };
        Some(net::body(StatusCode::OK, "application/pkix-cert", der.clone()))
    }
}
