//! Of what people are notified, and how.

use super::connections::secret;
use super::{Section, row, time};
use crate::count::{counted, grouped};
use crate::project::Notify;

pub(super) fn section(notify: Option<&Notify>) -> Section {
    let title = "Notifications";
    let Some(notify) = notify else {
        return Section { title, note: Some("No notifications are sent: the project file has no section `notify`."), rows: Vec::new() };
    };
    let Notify { events, failed_after, throttled_after, dead_letters, credential_before, command, webhook } = notify;
    let key = |name: &str| format!("notify.{name}");
    let names: Vec<&str> = events.iter().map(|event| event.name()).collect();
    let mut rows = vec![
        row(key("events"), names.join(", ")),
        row(key("failed-after-minutes"), time(*failed_after)),
        row(key("throttled-after-minutes"), time(*throttled_after)),
        row(key("dead-letters"), grouped(*dead_letters)),
        row(key("credential-days"), counted(credential_before.as_secs() / (24 * 60 * 60), "day")),
    ];
    if let Some(command) = command {
        // An argument can be a token.
        let program = command.argv.first().map_or("", String::as_str);
        let arguments = command.argv.len().saturating_sub(1);
        let with = if arguments == 0 { String::new() } else { format!(", with {}", counted(arguments, "argument")) };
        rows.push(row(key("command"), format!("{program}{with}")));
        rows.push(row(key("command-timeout-seconds"), time(command.timeout)));
    }
    if let Some(webhook) = webhook {
        // Whoever knows the whole address of a webhook can often send to it.
        let url = &webhook.url;
        let rest = if url.path() == "/" && url.query().is_none() { "" } else { "/…" };
        rows.push(row(key("webhook.url"), format!("{}{rest}", url.origin().ascii_serialization())));
        rows.extend(webhook.token.as_ref().map(|place| secret(key("webhook.token"), place)));
        rows.extend(webhook.signing_secret.as_ref().map(|place| secret(key("webhook.signing-secret"), place)));
    }
    Section { title, note: None, rows }
}
