//! Answers that come twice on a connection that is kept: whatever the next request is, no record gets another's link or values.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::links::{Entities, bind, id, plan, world};
use super::support::World;

const TRIALS: u64 = 40;
/// Trials at the same time: they mostly wait.
const AT_ONCE: usize = 8;
const FIRMS: u32 = 5;
const ORDERS: u32 = 15;

/// One message of HTTP/1.1 without chunks; none when the other side is gone.
async fn message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(head) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse::<usize>().ok()).unwrap_or(0);
            if buffer.len() >= head + 4 + length {
                return Some(buffer.drain(..head + 4 + length).collect());
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Passes on the requests of one connection. Some answers are sent twice: at once, or before the answer to the next request, so that
/// the copy is there when that answer is waited for.
async fn connection(mut stream: TcpStream, service: String, mut dice: StdRng) {
    let Ok(mut upstream) = TcpStream::connect(&service).await else { return };
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    let mut copy: Option<Vec<u8>> = None;
    while let Some(request) = message(&mut stream, &mut asked).await {
        if upstream.write_all(&request).await.is_err() {
            return;
        }
        let Some(answer) = message(&mut upstream, &mut answered).await else { return };
        let mut bytes = copy.take().unwrap_or_default();
        bytes.extend_from_slice(&answer);
        if dice.random_bool(0.15) {
            if dice.random_bool(0.3) {
                bytes.extend_from_slice(&answer);
            } else {
                copy = Some(answer);
            }
        }
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Starts a proxy before a service, with its own luck for each seed.
async fn proxy(service: &Url, seed: u64) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut own = service.clone();
    own.set_port(Some(listener.local_addr().expect("an address").port())).expect("an address with a port");
    let service = format!("{}:{}", service.host_str().expect("a host"), service.port().expect("a port"));
    tokio::spawn(async move {
        let mut dice = StdRng::seed_from_u64(seed);
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, service.clone(), StdRng::seed_from_u64(dice.random())));
        }
    });
    own
}

/// A world with firms and orders of these firms, written through such a proxy until nothing is left to write.
async fn trial(seed: u64) -> World {
    let mut world = world().await;
    world.campaign_at = Some(proxy(&Url::parse(&world.emulators.campaign_url()).expect("an address"), seed).await);
    let plan = plan();
    for n in 1..=FIRMS {
        world.put("new_firm", n, json!({"new_name": format!("Firm {n}")})).await;
    }
    let firm = |n: u32| bind("new_firm", 1 + n % FIRMS);
    for n in 1..=ORDERS {
        world.put("new_order", n, json!({"new_name": format!("Order {n}"), "new_Firm@odata.bind": firm(n)})).await;
    }
    until_done(&world, &plan).await;
    // Each order moves to the next firm.
    for n in 1..=ORDERS {
        world.change("new_order", n, json!({"new_Firm@odata.bind": firm(n + 1)})).await;
    }
    until_done(&world, &plan).await;
    world
}

async fn until_done(world: &World, plan: &std::sync::Arc<d365map::plan::ExecutionPlan>) {
    for _ in 0..20 {
        if world.try_run(plan).await.is_ok_and(|s| s.flows.iter().all(|f| f.backlog == 0)) {
            return;
        }
    }
    panic!("operations are left: {:?}", world.dead_letters());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_is_linked_to_another_ones_parent_however_often_answers_come_twice() {
    let mut trials = tokio::task::JoinSet::new();
    let mut seeds = 1..=TRIALS;
    let mut done = 0;
    loop {
        while trials.len() < AT_ONCE
            && let Some(seed) = seeds.next()
        {
            trials.spawn(async move { (seed, trial(seed).await) });
        }
        let Some(ended) = trials.join_next().await else { break };
        let (seed, world) = ended.expect("the trial ends");
        let orders = world.rows("cusOrder").await;
        assert_eq!(orders.len(), ORDERS as usize, "seed {seed}");
        for order in &orders {
            let n: u32 = order["cusName"].as_str().and_then(|n| n.strip_prefix("Order ")?.parse().ok()).expect("its own name");
            assert_eq!(order["cusOrderId"], id("new_order", n).as_str(), "seed {seed}");
            assert_eq!(order["cusFirm"], id("new_firm", 1 + (n + 1) % FIRMS).as_str(), "seed {seed}, order {n}");
        }
        assert_eq!(world.rows("cusFirm").await.len(), FIRMS as usize, "seed {seed}");
        assert!(world.dead_letters().is_empty(), "seed {seed}: {:?}", world.dead_letters());
        done += 1;
    }
    assert_eq!(done, TRIALS);
}
