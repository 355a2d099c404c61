//! `d365map webhook`: the address that Partner Center sends notifications to.

use serde_json::json;

use super::output::{print, print_json};
use super::run::Format;
use super::{Exit, Global};
use crate::app::{CommandError, files, runtime, services};
use crate::project::WebhookConnection;
use crate::run::Clock;
use crate::systems::partner_center::webhooks::{Registered, Registration, Validation, Webhooks};

/// Arguments of `webhook`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// The connection, as the project file names it.
    #[arg(long, global = true, value_name = "CONNECTION", default_value = "partner-center", value_parser = ["partner-center"])]
    connection: String,
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Register the address of the project file for notifications.
    Register(RegisterArgs),
    /// Show which address is registered, and which events can be.
    Show,
    /// Let Partner Center send a test to the registered address, and show what came of it.
    Validate,
    /// Say how a registration is removed, or remove its events if the project file says so.
    Remove,
}

#[derive(Debug, clap::Args)]
struct RegisterArgs {
    /// Take the place of another address that is registered. It gets no notifications any more.
    #[arg(long)]
    take_over: bool,
}

/// Runs the command.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let project = files::need_project(global.project.as_deref())?;
    let config = services::partner_center(&project)?;
    let section = project.connections.partner_center.as_ref().and_then(|connection| connection.webhook.clone()).unwrap_or_default();
    let webhooks = Webhooks::of(services::http(&project)?, &config)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        match &args.command {
            Command::Register(register_args) => register(&webhooks, &section, register_args, args.format).await,
            Command::Show => show(&webhooks, args.format).await,
            Command::Validate => validate(&webhooks, args.format).await,
            Command::Remove => remove(&webhooks, &section, args.format).await,
        }
    })
}

async fn register(webhooks: &Webhooks, section: &WebhookConnection, args: &RegisterArgs, format: Format) -> Result<Exit, CommandError> {
    let Some(url) = &section.url else {
        return Err(CommandError::usage("the project file does not say which address to register: add `webhook: url:` to the connection"));
    };
    let wanted = Registration { url: url.to_string(), events: section.events.clone() };
    let registered = webhooks.register(&wanted, section.ms_signature, args.take_over).await?;
    match format {
        Format::Human => print(&match &registered {
            Registered::New => format!("{url} is registered; run `d365map webhook validate` to test it\n"),
            Registered::Renewed => format!("{url} was registered and is registered again, with the events of the project file\n"),
            Registered::Replaced(before) => format!("{url} replaces {}\n", before.url),
        }),
        Format::Json => {
            let replaced = match &registered {
                Registered::Replaced(before) => Some(before.url.as_str()),
                Registered::New | Registered::Renewed => None,
            };
            print_json(&format!("{}\n", json!({"version": 1, "url": wanted.url, "events": wanted.events, "replaced": replaced})));
        }
    }
    Ok(Exit::Clean)
}

async fn show(webhooks: &Webhooks, format: Format) -> Result<Exit, CommandError> {
    let (registration, events) = (webhooks.registration().await?, webhooks.events().await?);
    match format {
        Format::Human => {
            let mut text = match &registration {
                Some(Registration { url, events }) => format!("registered: {url}\nevents:     {}\n", events.join(", ")),
                None => "no address is registered; run `d365map webhook register`\n".to_owned(),
            };
            text.push_str(&format!("available:  {}\n", events.join(", ")));
            print(&text);
        }
        Format::Json => {
            let registration = registration.map(|Registration { url, events }| json!({"url": url, "events": events}));
            print_json(&format!("{}\n", json!({"version": 1, "registration": registration, "events": events})));
        }
    }
    Ok(Exit::Clean)
}

async fn validate(webhooks: &Webhooks, format: Format) -> Result<Exit, CommandError> {
    let clock = Clock::default();
    let validation = webhooks.validate(async |wait| clock.sleep(wait).await).await?;
    let good = validation.is_good();
    match format {
        Format::Human => print(&described(&validation)),
        Format::Json => {
            let results: Vec<_> = validation
                .results
                .iter()
                .map(|result| json!({"code": result.response_code, "message": result.response_message, "systemError": result.system_error}))
                .collect();
            let id = &validation.correlation_id;
            print_json(&format!(
                "{}\n",
                json!({"version": 1, "good": good, "correlationId": id, "url": validation.callback_url, "results": results})
            ));
        }
    }
    Ok(if good { Exit::Clean } else { Exit::Findings })
}

fn described(validation: &Validation) -> String {
    let mut text = format!("test {} of {}\n", validation.correlation_id, validation.callback_url);
    for (number, result) in validation.results.iter().enumerate() {
        let message = if result.response_message.is_empty() { String::new() } else { format!(": {}", result.response_message) };
        let whose = if result.system_error { " (an error of Partner Center)" } else { "" };
        text.push_str(&format!("attempt {}: {}{message}{whose}\n", number + 1, result.response_code));
    }
    text.push_str(if validation.is_good() { "the address takes notifications\n" } else { "the address did not accept the test\n" });
    text
}

async fn remove(webhooks: &Webhooks, section: &WebhookConnection, format: Format) -> Result<Exit, CommandError> {
    let Some(Registration { url, .. }) = webhooks.registration().await? else {
        match format {
            Format::Human => print("no address is registered\n"),
            Format::Json => print_json(&format!("{}\n", json!({"version": 1, "removed": false, "url": null}))),
        }
        return Ok(Exit::Clean);
    };
    if !section.remove_by_empty_events {
        return Err(CommandError::usage(format!(
            "{url} stays registered: Partner Center documents no way to remove a registration. Let another system register its own address, \
             or set `webhook: remove: empty-events` to register this address without any event, which is not documented either"
        )));
    }
    webhooks.empty(&url, section.ms_signature).await?;
    match format {
        Format::Human => print(&format!("{url} is registered without any event\n")),
        Format::Json => print_json(&format!("{}\n", json!({"version": 1, "removed": true, "url": url}))),
    }
    Ok(Exit::Clean)
}
