//! Sends creates by reqwest and does nothing else: what a runner's HTTP library costs at the least, with the settings that the runner
//! has for addresses of this machine. Runs as a process of its own, so that its CPU time is measured as the runner's is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Result;

/// The word that makes the benchmark's binary this program.
pub const NAME: &str = "send";

/// `URL BODIES TOKEN CLIENT CONCURRENCY`: posts each line of the file once, reads the answers, and prints how many there were.
pub fn main(args: Vec<String>) -> Result<()> {
    let [url, bodies, token, client, concurrency] = args.try_into().map_err(|_| "usage: load send URL BODIES TOKEN CLIENT CONCURRENCY")?;
    let bodies: Arc<[String]> = std::fs::read_to_string(bodies)?.lines().map(str::to_owned).collect();
    let concurrency: usize = concurrency.parse()?;
    let next = Arc::new(AtomicUsize::new(0));
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url: reqwest::Url = url.parse()?;
    let (token, client): (Arc<str>, Arc<str>) = (token.into(), client.into());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let sent = runtime.block_on(async move {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..concurrency {
            let (http, url, bodies, next, token, client) =
                (http.clone(), url.clone(), bodies.clone(), next.clone(), token.clone(), client.clone());
            tasks.spawn(async move {
                let mut sent = 0_u64;
                while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let request = http.post(url.clone()).header("authorization", &*token).header("x-api-key", &*client);
                    let request = request.header("content-type", "application/json;charset=utf-8").header("cache-control", "no-cache");
                    request.body(body.clone()).send().await?.error_for_status()?.bytes().await?;
                    sent += 1;
                }
                Ok::<u64, reqwest::Error>(sent)
            });
        }
        let mut sent = 0;
        while let Some(task) = tasks.join_next().await {
            sent += task??;
        }
        Ok::<u64, Box<dyn std::error::Error>>(sent)
    })?;
    println!("{sent}");
    Ok(())
}
