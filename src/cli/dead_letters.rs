//! `d365map dead-letters list|show|retry|drop`: records that were not written, and what to do with them.

use super::output::{print, print_json};
use super::remote::{Remote, Server};
use super::run::Format;
use super::{Exit, Global};
use crate::app::{CommandError, files, operate, runtime, state};
use crate::count::counted;
use crate::printable;
use crate::project::Project;
use crate::serve::{CountDocument, DeadLetterChoice, DeadLetterDocument, DeadLettersDocument};
use crate::store::{Access, DeadLetter, DeadLetterFilter};
use crate::time;

/// Dead letters that a server returns at a time.
const PAGE: usize = 1000;

/// Arguments of `dead-letters`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List dead letters, one line for each.
    List {
        #[command(flatten)]
        which: Which,
        /// Maximum number of dead letters to show
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// How they are printed.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show everything about one dead letter: the request, the answer, the line of the mapping.
    Show {
        /// Its number.
        id: i64,
        /// How it is printed.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Queue again: the next run reads the source record and tries to write it.
    Retry {
        /// Numbers; without them all that the options name.
        ids: Vec<i64>,
        #[command(flatten)]
        which: Which,
        /// All of them.
        #[arg(long)]
        all: bool,
    },
    /// Forget: the record stays unwritten until it changes in the source.
    Drop {
        /// Numbers; without them all that the options name.
        ids: Vec<i64>,
        #[command(flatten)]
        which: Which,
        /// All of them.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Of this mapping.
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,
    /// With this code.
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
}

impl Which {
    fn filter(&self, ids: &[i64]) -> DeadLetterFilter {
        let ids = (!ids.is_empty()).then(|| ids.to_vec());
        DeadLetterFilter { mapping: self.mapping.clone(), code: self.code.clone(), ids }
    }

    /// Retry and drop act on what was named, never on everything by default.
    fn chosen(&self, ids: &[i64], all: bool) -> Result<DeadLetterFilter, CommandError> {
        if ids.is_empty() && self.mapping.is_none() && self.code.is_none() && !all {
            return Err(CommandError::usage("say which ones: numbers, --mapping NAME, --code CODE, or --all"));
        }
        Ok(self.filter(ids))
    }
}

/// Does what was asked.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let runtime = runtime()?;
    if let Some(remote) = runtime.block_on(args.server.project(global))? {
        return runtime.block_on(there(&args.action, &remote));
    }
    let project = files::need_project(global.project.as_deref())?;
    runtime.block_on(done(&args.action, &project))
}

async fn done(action: &Action, project: &Project) -> Result<Exit, CommandError> {
    let nothing = || {
        print("nothing has run yet, so there are no dead letters\n");
        Ok(Exit::Clean)
    };
    match action {
        Action::List { which, limit, format } => {
            let Some(stores) = state::open_if_any(project).await? else { return nothing() };
            let letters = stores.dead_letters.dead_letters(&which.filter(&[]), 0, *limit).await?;
            Ok(list(&letters, *format))
        }
        Action::Show { id, format } => {
            let Some(stores) = state::open_if_any(project).await? else { return nothing() };
            let Some(letter) = stores.dead_letters.dead_letter(*id).await? else {
                return Err(CommandError::usage(format!("there is no dead letter {id}; see `d365map dead-letters list`")));
            };
            Ok(shown(&letter, *format))
        }
        Action::Retry { ids, which, all } => {
            let filter = which.chosen(ids, *all)?;
            let letters = state::open(project, Access::Write).await?.dead_letters;
            let count = operate::retry_dead_letters(&*letters, &filter).await?;
            Ok(retried(count, &filter))
        }
        Action::Drop { ids, which, all } => {
            let filter = which.chosen(ids, *all)?;
            let letters = state::open(project, Access::Write).await?.dead_letters;
            let count = operate::drop_dead_letters(&*letters, &filter).await?;
            Ok(dropped(count, &filter))
        }
    }
}

/// Has a server do what was asked.
async fn there(action: &Action, remote: &Remote) -> Result<Exit, CommandError> {
    match action {
        Action::List { which, limit, format } => {
            let mut letters = Vec::new();
            let mut after = 0;
            while letters.len() < *limit {
                // The list for people shows no values.
                let values = *format == Format::Json;
                let mut query = vec![("after", after.to_string()), ("limit", (limit - letters.len()).min(PAGE).to_string())];
                query.push(("values", values.to_string()));
                query.extend(which.mapping.iter().map(|mapping| ("mapping", mapping.clone())));
                query.extend(which.code.iter().map(|code| ("code", code.clone())));
                let page: DeadLettersDocument = remote.get(&["dead-letters"], &query).await?;
                letters.extend(page.dead_letters);
                let Some(next) = page.next else { break };
                after = next;
            }
            Ok(list(&letters, *format))
        }
        Action::Show { id, format } => {
            let found: DeadLetterDocument = remote.get(&["dead-letters", &id.to_string()], &[("values", true.to_string())]).await?;
            Ok(shown(&found.dead_letter, *format))
        }
        Action::Retry { ids, which, all } => {
            let filter = which.chosen(ids, *all)?;
            let done: CountDocument = remote.post(&["dead-letters", "retry"], &choice(&filter, *all)).await?;
            Ok(retried(done.count, &filter))
        }
        Action::Drop { ids, which, all } => {
            let filter = which.chosen(ids, *all)?;
            let done: CountDocument = remote.post(&["dead-letters", "drop"], &choice(&filter, *all)).await?;
            Ok(dropped(done.count, &filter))
        }
    }
}

/// What the API takes.
fn choice(filter: &DeadLetterFilter, all: bool) -> DeadLetterChoice {
    DeadLetterChoice { ids: filter.ids.clone(), mapping: filter.mapping.clone(), code: filter.code.clone(), all }
}

fn retried(count: u64, filter: &DeadLetterFilter) -> Exit {
    print(&format!("{} queued again; the next run retries\n", counted(count, "dead letter")));
    exit(count, filter)
}

fn dropped(count: u64, filter: &DeadLetterFilter) -> Exit {
    print(&format!("{} dropped\n", counted(count, "dead letter")));
    exit(count, filter)
}

fn shown(letter: &DeadLetter, format: Format) -> Exit {
    let text = show(letter, format);
    if format == Format::Json {
        print_json(&text)
    } else {
        print(&text)
    }
    Exit::Clean
}

/// Nothing was found by what was named.
fn exit(count: u64, filter: &DeadLetterFilter) -> Exit {
    let named = filter.ids.is_some() || filter.mapping.is_some() || filter.code.is_some();
    if count == 0 && named { Exit::Findings } else { Exit::Clean }
}

fn list(letters: &[DeadLetter], format: Format) -> Exit {
    match format {
        Format::Json => print_json(&format!("{}\n", serde_json::json!({"version": 1, "dead_letters": letters}))),
        Format::Human if letters.is_empty() => print("no dead letters\n"),
        Format::Human => letters.iter().for_each(|l| print(&line(l))),
    }
    Exit::Clean
}

fn place(letter: &DeadLetter) -> String {
    letter.failure.place.as_ref().map_or(String::new(), |p| format!("{}:{}:{}", p.file, p.line, p.column))
}

fn line(letter: &DeadLetter) -> String {
    let field = letter.failure.field.as_deref().unwrap_or("-");
    let retrying = if letter.retry_requested_at.is_some() { "   (being retried)" } else { "" };
    let line = format!(
        "{:>6}  {}  {}  {}  {field}  {}{retrying}",
        letter.id,
        letter.mapping,
        letter.failure.code,
        place(letter),
        letter.source_id
    );
    format!("{}\n", printable::inline(&line))
}

fn show(letter: &DeadLetter, format: Format) -> String {
    if format == Format::Json {
        return format!("{}\n", serde_json::json!({"version": 1, "dead_letter": letter}));
    }
    let f = &letter.failure;
    let mut out = format!("dead letter {} of mapping {}\n", letter.id, letter.mapping);
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            // What was sent and answered can have several lines, none of which may look like a separate row.
            out.push_str(&format!("  {name:<10} {}\n", printable::indented(value, 13)));
        }
    };
    row("reason", &format!("{} ({})", f.message, f.code));
    row("field", f.field.as_deref().unwrap_or_default());
    row("line", &place(letter));
    row("record", &letter.source_id);
    row("key", letter.key.as_deref().unwrap_or_default());
    row("operation", letter.operation.as_str());
    row("attempts", &letter.attempts.to_string());
    row("since", &time::format_instant(letter.created_at));
    row("request", f.request.as_deref().unwrap_or_default());
    row("status", &f.status.map(|s| s.to_string()).unwrap_or_default());
    row("answer", f.response.as_deref().unwrap_or_default());
    out.push_str(&format!(
        "`d365map dead-letters retry {0}` reads the record again and retries it, `drop {0}` deletes the dead letter\n",
        letter.id
    ));
    out
}
