//! The projects that the tests serve.

use d365map::store::DeadLetterFilter;
use d365map_emulator::Config;
use serde_json::json;

use crate::driver::Browser;
use crate::flow::support::{CONTACTS, World, ada, id, small_text};
use crate::support::{NAME, Serving};

/// A watched project with one contact, whose mapping is called `contacts`.
pub async fn small() -> Serving {
    let world = World::empty().await;
    world.create(1, ada()).await;
    let mut serving = Serving::start(world, &[("contacts.d365map", &small_text(""))]).await;
    watch(&mut serving);
    serving
}

/// A watched project with one contact, whose profile alone is opted out of email.
pub async fn disagreeing() -> Serving {
    let world = World::empty().await;
    one_sided(&world).await;
    let optout = "optout contacts {\n  direction bidirectional\n  donotemail <-> denyListEmail\n}\n";
    let mut serving = Serving::start(world, &[("contacts.d365map", &format!("{}\n{optout}", small_text("")))]).await;
    watch(&mut serving);
    serving
}

/// A contact whose profile was opted out of email before the first run.
async fn one_sided(world: &World) {
    let mut contact = ada();
    contact["donotemail"] = false.into();
    world.create(1, contact).await;
    let profile = json!({"externalId": id(1), "lastName": "Lovelace", "email": "ada@example.com", "blackListEmail": true});
    world.in_campaign("POST", "profile", profile).await;
}

/// Watches a project whose files may be edited in a browser.
fn watch(serving: &mut Serving) {
    let file = serving.folder().join("d365map.yaml");
    let text = std::fs::read_to_string(&file).expect("a project file");
    std::fs::write(&file, text + "serve:\n  edit: true\n").expect("a project file");
    serving.watch();
}

/// Makes Campaign refuse the next creates permanently. Two answers in a row that are the same are not both believed, so the statuses
/// alternate.
pub async fn refuse(serving: &Serving, creates: u32) {
    for status in [400, 422].into_iter().cycle().take(creates as usize) {
        let fault = json!({"kind": "status", "status": status, "api": "campaign", "method": "POST", "path": "profile"});
        serving.world.admin("fail-next", fault).await;
    }
}

/// A watched project as a customer has it: contacts, opt-outs, some dead letters. Returns the number of a dead letter.
pub async fn large() -> (Serving, i64) {
    let world = World::new(Config { contacts: 300, ..Config::default() }).await;
    one_sided(&world).await;
    let optout = include_str!("../../mappings/optout.d365map");
    let mut serving = Serving::start(world, &[("contacts.d365map", CONTACTS), ("optout.d365map", optout)]).await;
    refuse(&serving, 7).await;
    watch(&mut serving);
    serving.until("contacts", "at rest", |w| w["record"]["state"] == "RUNNING" && !w["record"]["round_ended"].is_null()).await;
    let letters = serving.served().stores().await.expect("the state opens").dead_letters;
    let letters = letters.dead_letters(&DeadLetterFilter::default(), 0, 1).await.expect("the state can be read");
    let number = letters.first().expect("a dead letter").id;
    (serving, number)
}

/// Has the browser do what pages show the results of: the checks, the comparison of schemas, that of opt-outs. Returns the path of the page
/// on which somebody decides about the opt-outs.
pub async fn fill(browser: &Browser, serving: &Serving) -> String {
    for (page, action, ended) in
        [("doctor", "doctor/run", "Checked 20"), ("drift", "drift/compare", "Compared 20"), ("opt-outs", "opt-outs/compare", "Compared 20")]
    {
        browser.open(&serving.url(&format!("/p/{NAME}/{page}"))).await;
        browser.press(&format!("form[action$='/{action}'] button")).await;
        browser.shows("main", ended).await;
    }
    let link = browser.find("a[href*='/decide?comparison=']").await;
    link.attr("href").await.expect("an attribute").expect("an address")
}
