//! Deals of Partner Center and Dynamics 365 that people change on both sides while the release binary keeps them in step: how many calls that
//! takes, whether any two records differ at the end, and how long a change takes in a watch.
//!
//! The emulators are a process of their own. What people do is drawn from `--seed`, so a run can be repeated.

mod people;
mod place;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Instant;

use people::People;
use place::Place;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: pairs [--binary PATH] [--deals N] [--changes N] [--rounds N] [--seed N] [--watch N]";

struct Args {
    binary: PathBuf,
    deals: usize,
    changes: usize,
    rounds: usize,
    seed: u64,
    /// Changes on each side whose time is measured in a watch.
    watch: usize,
}

fn args() -> Result<Args> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let binary = root.join("target/release/d365map");
    let mut args = Args { binary, deals: 10_000, changes: 200_000, rounds: 20, seed: 1, watch: 20 };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or(USAGE)?;
        match name.as_str() {
            "--binary" => args.binary = value.into(),
            "--deals" => args.deals = value.parse()?,
            "--changes" => args.changes = value.parse()?,
            "--rounds" => args.rounds = value.parse()?,
            "--seed" => args.seed = value.parse()?,
            "--watch" => args.watch = value.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    args.binary = args.binary.canonicalize().map_err(|e| format!("{}: {e}: run `cargo build --release` first", args.binary.display()))?;
    Ok(args)
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = args()?;
    let place = Place::start(&args.binary).await?;
    let result = async {
        in_step(&args, &place).await?;
        watch::measure(&place, args.watch).await
    };
    let result = result.await;
    place.stop().await;
    result
}

/// Creates the deals, half of them on each side, lets people change them, and compares both sides.
async fn in_step(args: &Args, place: &Place) -> Result<()> {
    let mut people = People::new(args.seed);
    people.create(place, args.deals).await?;
    place.writes().await?;
    let began = Instant::now();
    place.run().await?;
    let deals = args.deals as f64;
    let calls = place.writes().await?;
    println!(
        "{} deals created: {:.0} s; writes for each deal: {:.2} in Dynamics 365, {:.2} in Partner Center",
        args.deals,
        began.elapsed().as_secs_f64(),
        calls.dynamics as f64 / deals,
        calls.partner as f64 / deals,
    );
    place.run().await?;
    let calls = place.writes().await?;
    println!("nothing changed: {} writes, {} calls in all", calls.dynamics + calls.partner, calls.all);

    let (mut changed, mut written) = (0, 0);
    let began = Instant::now();
    for round in 0..args.rounds {
        let share = args.changes / args.rounds + usize::from(round < args.changes % args.rounds);
        let records = people.change(place, share).await?;
        place.writes().await?;
        place.run().await?;
        let calls = place.writes().await?;
        changed += records;
        written += calls.dynamics + calls.partner;
    }
    println!(
        "{} changes by people in {} rounds: {:.0} s; {changed} times a record had changed in a round, {written} writes ({:.2} for each)",
        args.changes,
        args.rounds,
        began.elapsed().as_secs_f64(),
        written as f64 / changed.max(1) as f64,
    );
    place.run().await?;
    let rest = place.writes().await?;
    let (pairs, closed, divergences) = people.compare(place).await?;
    println!(
        "at the end: {pairs} pairs, {closed} of them closed; {} writes in a run after the last; {divergences} divergences",
        rest.dynamics + rest.partner
    );
    if divergences > 0 || pairs != args.deals || rest.dynamics + rest.partner > 0 {
        return Err("the two sides are not in step".into());
    }
    Ok(())
}
