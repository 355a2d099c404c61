//! The section `notify`: of what people are notified, and how.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::SecretRef;
use super::reader::{Ranged, Reader};
use crate::diagnostics::nearest;
use crate::yaml::Spanned;

/// Of what people are notified, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The events.
    pub events: Vec<NotifyEvent>,
    /// How long a workflow must have failed.
    pub failed_after: Duration,
    /// How long a service must have limited requests.
    pub throttled_after: Duration,
    /// From how many dead letters of a workflow on.
    pub dead_letters: u64,
    /// How long before a credential expires.
    pub credential_before: Duration,
    /// The program that is started for each message.
    pub command: Option<NotifyCommand>,
    /// The address that each message is sent to.
    pub webhook: Option<NotifyWebhook>,
}

/// A program that takes messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyCommand {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// An address that takes messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyWebhook {
    /// The address.
    pub url: Url,
    /// Where the bearer token is kept.
    pub token: Option<SecretRef>,
    /// Where the secret is kept by which messages are signed.
    pub signing_secret: Option<SecretRef>,
}

macro_rules! events {
    ($($(#[doc = $doc:literal])* $event:ident = $name:literal,)*) => {
        /// An event of which people can be notified.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum NotifyEvent {
            $($(#[doc = $doc])* $event,)*
        }

        impl NotifyEvent {
            /// All events.
            pub const ALL: &[NotifyEvent] = &[$(NotifyEvent::$event,)*];

            /// The name in the project file and in messages.
            pub fn name(self) -> &'static str {
                match self {
                    $(NotifyEvent::$event => $name,)*
                }
            }
        }
    };
}

events! {
    /// A workflow has failed for some time, and is tried again by itself.
    WorkflowFailed = "workflow-failed",
    /// A workflow cannot go on until a person acts.
    WorkflowStopped = "workflow-stopped",
    /// A service has limited requests for some time.
    Throttled = "throttled",
    /// A mass change is held until a person approves it.
    MassChange = "mass-change",
    /// The exports of opt-outs have ceased.
    ExportsCeased = "exports-ceased",
    /// A certificate or a sign-in is about to expire.
    CredentialExpires = "credential-expires",
    /// A workflow has many dead letters.
    DeadLetters = "dead-letters",
}

impl NotifyEvent {
    /// Reads a name.
    pub fn from_name(name: &str) -> Option<NotifyEvent> {
        NotifyEvent::ALL.iter().copied().find(|event| event.name() == name)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct NotifyDoc {
    /// The events. Default: all.
    events: Option<Vec<EventDoc>>,
    /// How long a workflow must have failed, in minutes. Default: 5.
    failed_after_minutes: Option<Ranged<0, 1440>>,
    /// How long a service must have limited requests, in minutes. Default: 15.
    throttled_after_minutes: Option<Ranged<0, 1440>>,
    /// From how many dead letters of a workflow on. Default: 100.
    dead_letters: Option<Ranged<1, 10_000_000>>,
    /// How long before a certificate or a sign-in expires, in days. Default: 14.
    credential_days: Option<Ranged<1, 60>>,
    /// A program with its arguments that is started for each message, without a shell, in the folder of this file. It gets the message on
    /// standard input, as JSON.
    command: Option<Vec<Spanned<String>>>,
    /// How long the program may take, in seconds. Default: 30.
    command_timeout_seconds: Option<Ranged<1, 600>>,
    /// An address that each message is sent to.
    webhook: Option<NotifyWebhookDoc>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct EventDoc(
    #[schemars(extend("enum" = ["workflow-failed", "workflow-stopped", "throttled", "mass-change", "exports-ceased", "credential-expires", "dead-letters"]))]
     Spanned<String>,
);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct NotifyWebhookDoc {
    /// The address: messages are sent to it with POST, as JSON.
    url: Spanned<String>,
    /// Where the bearer token is kept that is sent with each message.
    token: Option<SecretRef>,
    /// Where the secret is kept by which each message is signed (HMAC-SHA256, in the header `X-D365map-Signature`).
    signing_secret: Option<SecretRef>,
}

impl Reader<'_> {
    pub(super) fn notify(&mut self, doc: &Spanned<NotifyDoc>) -> Notify {
        let Spanned { value: doc, span } = doc;
        if doc.command.is_none() && doc.webhook.is_none() {
            self.problem(
                span,
                "`notify` does not say how people are notified",
                "neither `command` nor `webhook`",
                "add `webhook: { url: https://example.com/hook }`, or `command: [PROGRAM, ARGUMENT]`",
            );
        }
        let command = doc.command.as_ref().map(|words| {
            match words.first() {
                Some(program) => self.word(program),
                None => self.problem(span, "the command has no program", "empty", "write `command: [PROGRAM, ARGUMENT]`"),
            }
            let timeout = self.ranged("command-timeout-seconds", doc.command_timeout_seconds.as_ref(), 30, "seconds");
            NotifyCommand { argv: words.iter().map(|word| word.value.clone()).collect(), timeout: Duration::from_secs(timeout) }
        });
        let webhook = doc.webhook.as_ref().and_then(|webhook| {
            let url = self.url(&webhook.url)?;
            Some(NotifyWebhook { url, token: webhook.token.clone(), signing_secret: webhook.signing_secret.clone() })
        });
        let minutes = |number: u64| Duration::from_secs(number * 60);
        Notify {
            events: doc.events.as_ref().map_or_else(|| NotifyEvent::ALL.to_vec(), |events| self.events(events)),
            failed_after: minutes(self.ranged("failed-after-minutes", doc.failed_after_minutes.as_ref(), 5, "minutes")),
            throttled_after: minutes(self.ranged("throttled-after-minutes", doc.throttled_after_minutes.as_ref(), 15, "minutes")),
            dead_letters: self.ranged("dead-letters", doc.dead_letters.as_ref(), 100, "dead letters"),
            credential_before: minutes(self.ranged::<u64, 1, 60>("credential-days", doc.credential_days.as_ref(), 14, "days") * 24 * 60),
            command,
            webhook,
        }
    }

    fn events(&mut self, given: &[EventDoc]) -> Vec<NotifyEvent> {
        let mut events = Vec::new();
        for EventDoc(name) in given {
            match NotifyEvent::from_name(&name.value) {
                Some(event) => events.push(event),
                None => {
                    let names = || NotifyEvent::ALL.iter().map(|event| event.name());
                    let help = match nearest(&name.value, names()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("write one of {}", names().collect::<Vec<_>>().join(", ")),
                    };
                    self.problem(&name.span, format!("`{}` is not an event of notifications", name.value), "not an event", help);
                }
            }
        }
        events
    }
}
