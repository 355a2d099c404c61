//! One file per subcommand; `main` parses the arguments and decides the exit status.

#![warn(clippy::print_stdout, clippy::print_stderr, reason = "output.rs prints: it makes text of others safe to show")]

/// Writes a note for people on standard error; takes what `format!` takes.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::output::say(&format!($($text)*)) };
}

mod check;
mod compile;
mod completions;
mod dead_letters;
pub mod demo;
mod doctor;
mod emulate;
mod emulated;
mod events;
pub mod exit;
mod explain;
mod export;
mod fmt;
mod import;
pub mod init;
mod login;
mod lsp;
mod man;
mod optout;
mod output;
mod plan;
mod plan_adopt;
mod prepare;
mod privacy;
mod progress;
mod remote;
mod replay;
mod run;
mod schema;
mod serve;
mod signals;
mod start;
mod state;
mod status;
mod stop;
mod telemetry;
mod test;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;
use telemetry::Telemetry;

/// Options that every subcommand takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// The project file; without it, d365map.yaml is looked for here and in the folders above.
    #[arg(long, global = true, value_name = "FILE")]
    pub project: Option<PathBuf>,
    /// Say less: errors and results only.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Say more on standard error; twice for every request.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// How events are written on standard error.
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub log_format: LogFormat,
}

/// The forms of events on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object per line, for collectors of logs.
    Json,
}

/// Keeps Adobe Campaign Standard in step with Microsoft Dynamics 365, by mapping files.
#[derive(Debug, Parser)]
#[command(name = "d365map", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a project: a commented project file, a first mapping, its first tests, a workflow for CI.
    Init(init::Args),
    /// Show tables and their fields, or fetch them from the services.
    Schema(schema::Args),
    /// Report everything that is wrong in mapping files.
    Check(check::Args),
    /// Put mapping files into the one canonical form.
    Fmt(fmt::Args),
    /// Run the test blocks of mapping files.
    Test(test::Args),
    /// Say what a diagnostic's code means.
    Explain(explain::Args),
    /// Compile mappings to an execution plan.
    Compile(compile::Args),
    /// Show what the runner would execute, and what it costs.
    Plan(plan::Args),
    /// Move records: a first full load, then changes.
    Run(run::Args),
    /// Do what `run --watch` does, for one or several projects, and show and steer it in a browser.
    Serve(serve::Args),
    /// Read all records of a mapping again.
    Replay(replay::Args),
    /// Examine the project, this machine and both services, and say how to fix what is missing.
    Doctor(doctor::Args),
    /// Sign in to a connection that accepts calls only in the name of a person.
    Login(login::LoginArgs),
    /// Sign out: remove the file in which a sign-in is kept.
    Logout(login::LogoutArgs),
    /// Show the state of every workflow.
    Status(status::Args),
    /// The state file: list its workflows, rename or drop one, move it to other services.
    State(state::Args),
    /// Opt-outs: compare both systems before anything is written.
    Optout(optout::Args),
    /// Start workflows that were stopped or have failed.
    Start(start::Args),
    /// Stop workflows; the others go on.
    Stop(stop::Args),
    /// Records that were not written.
    DeadLetters(dead_letters::Args),
    /// Marketing events: make one contact's timeline whole from marketing history.
    Events(events::Args),
    /// The address that Partner Center sends notifications to: register, show and test it.
    Webhook(webhook::Args),
    /// Find every trace of a person in the state and in logs, and remove them.
    Privacy(privacy::Args),
    /// The whole way in a few seconds, against local stand-ins.
    Demo(demo::Args),
    /// Run local stand-ins for Dataverse and Campaign.
    Emulate(emulate::Args),
    /// Make a mapping file of tables: field mappings, replacements and filters from spreadsheets.
    Import(import::Args),
    /// Write mappings as documentation, with the types on both sides.
    Export(export::Args),
    /// Serve an editor over standard input and output (Language Server Protocol).
    Lsp,
    /// Print the completion script of a shell.
    Completions(completions::Args),
    /// Write the manual pages.
    Man(man::Args),
}

/// Runs the command line and returns the exit status (0 clean, 1 findings, 2 usage or I/O).
pub fn main() -> ExitCode {
    no_core_dumps();
    let cli = Cli::parse();
    let global = &cli.global;
    let watches = match &cli.command {
        Command::Run(args) => args.watches(),
        Command::Serve(_) => true,
        _ => false,
    };
    let telemetry = Telemetry::start(global, watches);
    let done = match &cli.command {
        Command::Init(args) => init::run(args, global),
        Command::Schema(args) => schema::run(args, global),
        Command::Check(args) => check::run(args, global),
        Command::Fmt(args) => fmt::run(args, global),
        Command::Test(args) => test::run(args, global),
        Command::Explain(args) => explain::run(args),
        Command::Compile(args) => compile::run(args, global),
        Command::Plan(args) => plan::run(args, global),
        Command::Run(args) => run::run(args, global),
        Command::Serve(args) => serve::run(args, global),
        Command::Replay(args) => replay::run(args, global),
        Command::Doctor(args) => doctor::run(args, global),
        Command::Login(args) => login::login(args, global),
        Command::Logout(args) => login::logout(args, global),
        Command::Status(args) => status::run(args, global),
        Command::State(args) => state::run(args, global),
        Command::Optout(args) => optout::run(args, global),
        Command::Start(args) => start::run(args, global),
        Command::Stop(args) => stop::run(args, global),
        Command::DeadLetters(args) => dead_letters::run(args, global),
        Command::Events(args) => events::run(args, global),
        Command::Webhook(args) => webhook::run(args, global),
        Command::Privacy(args) => privacy::run(args, global),
        Command::Demo(args) => demo::run(args, global),
        Command::Emulate(args) => emulate::run(args, global),
        Command::Import(args) => import::run(args, global),
        Command::Export(args) => export::run(args, global),
        Command::Lsp => lsp::run(),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    };
    let exit = done.unwrap_or_else(|error| output::fail(&error));
    telemetry.end();
    exit.into()
}

/// Keeps secrets out of core dumps: the system writes none of this process, and on Linux no other process of the same user reads its
/// memory. For every command, since most of them hold secrets sooner or later. Failing that, the command goes on.
fn no_core_dumps() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
