//! The projects that the tests serve.

use d365map::store::DeadLetterFilter;
use d365map_emulator::Config;
use serde_json::json;

use crate::flow::support::{CONTACTS, World, ada, small_text};
use crate::support::Serving;

/// A watched project with one contact, whose mapping is called `contacts`.
pub async fn small() -> Serving {
    let world = World::empty().await;
    world.create(1, ada()).await;
    let mut serving = Serving::start(world, &[("contacts.d365map", &small_text(""))]).await;
    serving.watch();
    serving
}

/// Makes Campaign refuse the next creates permanently.
pub async fn refuse(serving: &Serving, creates: u32) {
    let fault = json!({"kind": "status", "status": 400, "api": "campaign", "method": "POST", "path": "profile", "count": creates});
    serving.world.admin("fail-next", fault).await;
}

/// A watched project as a customer has it: contacts, opt-outs, some dead letters. Returns the number of a dead letter.
pub async fn large() -> (Serving, i64) {
    let world = World::new(Config { contacts: 300, ..Config::default() }).await;
    let optout = include_str!("../../mappings/optout.d365map");
    let mut serving = Serving::start(world, &[("contacts.d365map", CONTACTS), ("optout.d365map", optout)]).await;
    refuse(&serving, 7).await;
    serving.watch();
    serving.until("contacts", "at rest", |w| w["record"]["state"] == "RUNNING" && !w["record"]["round_ended"].is_null()).await;
    let letters = serving.served().stores().await.expect("the state opens").dead_letters;
    let letters = letters.dead_letters(&DeadLetterFilter::default(), 0, 1).await.expect("the state can be read");
    let number = letters.first().expect("a dead letter").id;
    (serving, number)
}
