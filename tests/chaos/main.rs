//! The chaos run: the real commands as separate processes, people who change things on both sides, a gateway that delays, loses and
//! repeats, kills, moved clocks; in the end a model of the mappings compares every record. See README.md beside this file.

mod dice;
mod gateway;
mod model;
mod people;
mod project;
mod runner;
mod services;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use gateway::Lie;
use trial::{Report, Trial};

/// Runs trials until the time is over.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Args {
    /// Seconds after which no further trial begins.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Minutes, instead of seconds.
    #[arg(long)]
    minutes: Option<u64>,
    /// The seed of all decisions; without it, the time.
    #[arg(long)]
    seed: Option<u64>,
    /// Run only this trial of the seed.
    #[arg(long)]
    trial: Option<usize>,
    /// Go on after a trial that diverges.
    #[arg(long)]
    keep_going: bool,
    /// Show that the comparison finds wrong values: a gateway that lies.
    #[arg(long)]
    self_test: bool,
    /// Do without libfaketime: the runner's clock is not moved.
    #[arg(long)]
    without_clock: bool,
    /// The folder for the trials; a new temporary one without it.
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(if args.self_test { Either::SelfTest(args) } else { Either::Trials(args) }.run()),
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: the chaos run itself failed: {error}");
            ExitCode::from(2)
        }
    }
}

/// What to do.
enum Either {
    Trials(Args),
    SelfTest(Args),
}

impl Either {
    async fn run(self) -> Result<bool, String> {
        match self {
            Either::Trials(args) => trials(&args).await,
            Either::SelfTest(args) => self_test(&args).await,
        }
    }
}

fn folder(args: &Args) -> Result<PathBuf, String> {
    match &args.folder {
        Some(folder) => Ok(folder.clone()),
        None => tempfile::Builder::new().prefix("d365map-chaos-").tempdir().map(tempfile::TempDir::keep).map_err(|error| error.to_string()),
    }
}

async fn trials(args: &Args) -> Result<bool, String> {
    let seed =
        args.seed.unwrap_or_else(|| std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs()));
    let library = if args.without_clock { None } else { runner::clock_library() };
    if library.is_none() && !args.without_clock {
        return Err("libfaketime is not installed: use tests/chaos/run.sh, which installs it, or `--without-clock`".to_owned());
    }
    let root = folder(args)?;
    println!("chaos: seed {seed}, folder {}", root.display());
    let limit = Duration::from_secs(args.minutes.map_or(args.seconds, |minutes| minutes * 60));
    let began = Instant::now();
    let mut total = Report::default();
    let (mut done, mut diverged) = (0_usize, 0_usize);
    let mut number = args.trial.unwrap_or(0);
    while args.trial.is_some() && done == 0 || args.trial.is_none() && began.elapsed() < limit {
        let at = root.join(format!("trial-{number:03}"));
        let options = trial::options(number);
        let trial_began = Instant::now();
        let trial = Trial::new(&at, seed.wrapping_add(number as u64 * 7919), options, library.clone()).await?;
        let report = trial.run().await?;
        done += 1;
        let found = report.divergences.len();
        println!(
            "trial {number}: {}, {} changes, {} kills, {found} divergences, {:.0} s",
            options.direction.word(),
            report.changes,
            report.runner_kills + report.service_kills,
            trial_began.elapsed().as_secs_f64()
        );
        for divergence in &report.divergences {
            println!("  {}: {} {}", divergence.class, divergence.id, divergence.text);
        }
        if found > 0 {
            diverged += 1;
            println!("  the story: {}", at.join("divergences.txt").display());
            println!("  again: tests/chaos/run.sh --seed {seed} --trial {number}");
        } else {
            let _ = std::fs::remove_dir_all(&at);
        }
        total.add(report);
        number += 1;
        if found > 0 && !args.keep_going {
            break;
        }
    }
    summary(seed, done, diverged, &total, began.elapsed());
    if diverged == 0 && args.folder.is_none() {
        let _ = std::fs::remove_dir_all(&root);
    }
    Ok(diverged == 0)
}

fn summary(seed: u64, trials: usize, diverged: usize, total: &Report, time: Duration) {
    let lost = total.divergences.iter().filter(|divergence| divergence.class == "opt-out lost").count();
    let faults: u64 = total.faults.values().sum();
    println!("\nseed {seed}, {trials} trials in {:.0} s", time.as_secs_f64());
    println!("  changes by people     {}", total.changes);
    println!("  runs                  {}", total.runs);
    println!("  kills                 {} of the runner, {} of the services", total.runner_kills, total.service_kills);
    println!("  clocks moved          {}", total.clock_moves);
    println!("  faults                {faults}");
    for (name, count) in &total.faults {
        println!("    {name:<26} {count}");
    }
    println!("  divergences           {} in {diverged} trials", total.divergences.len());
    println!("  lost opt-outs         {lost}");
}

/// Each lie of the gateway must be found.
async fn self_test(args: &Args) -> Result<bool, String> {
    let root = folder(args)?;
    let mut all = true;
    let lies = [
        (Lie::ChangeName, "record", 0),
        (Lie::SwallowDelete, "delete", 0),
        (Lie::ConsentForOptOut, "opt-out lost", 1),
        (Lie::ChangeEvent, "event", 0),
    ];
    for (number, (lie, class, options)) in lies.into_iter().enumerate() {
        let trial = Trial::new(&root.join(format!("lie-{number}")), args.seed.unwrap_or(1), trial::options(options), None).await?;
        let divergences = trial.lie(lie).await?;
        let found = divergences.iter().any(|divergence| divergence.class == class);
        println!("{lie:?}: {}", if found { "found" } else { "NOT FOUND" });
        for divergence in &divergences {
            println!("  {}: {} {}", divergence.class, divergence.id, divergence.text);
        }
        all &= found;
    }
    if args.folder.is_none() {
        let _ = std::fs::remove_dir_all(&root);
    }
    Ok(all)
}
