//! One record that cannot be read costs itself: the others are moved, and it is named.

use std::sync::Arc;

use d365map::plan::ExecutionPlan;
use d365map::run::{Publisher, Services, Summary, run};
use d365map::store::sqlite::db::Store;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::support::{World, ada, id, small};
use super::{optout, rewriting};

async fn go(world: &World, plan: &Arc<ExecutionPlan>, services: Services) -> Summary {
    let store = Store::open_for_run(&world.state()).expect("the state opens");
    let nobody = Publisher::default();
    run(plan.clone(), services, store.into(), world.options(), nobody, CancellationToken::new()).await.expect("the run completes")
}

fn set(rules: &rewriting::Rewritten, to: rewriting::Rules) {
    *rules.lock().expect("no panic") = to;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_with_half_a_surrogate_pair_is_a_dead_letter_with_its_id_and_the_others_are_written() {
    let world = World::empty().await;
    world.create(1, json!({"lastname": "HALF"})).await;
    world.create(2, ada()).await;
    let (services, rules, _) = rewriting::services(&world).await;
    set(&rules, &[("HALF", "cut emoji \\ud83d")]);
    let summary = go(&world, &small(""), services).await;
    assert_eq!((summary.flows[0].created, summary.flows[0].rejected), (1, 1));
    let letters = world.dead_letters();
    assert_eq!((letters.len(), letters[0].source_id.as_str()), (1, id(1).as_str()));
    assert_eq!(letters[0].failure.field.as_deref(), Some("lastname"));
    assert!(letters[0].failure.message.contains("half of a surrogate pair"), "{}", letters[0].failure.message);
    assert_eq!(world.profile(2).await.expect("the other")["lastName"], "Lovelace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_without_an_id_is_counted_and_deletes_nothing_that_the_load_did_not_see() {
    let world = World::empty().await;
    for n in 1..=3 {
        world.create(n, ada()).await;
    }
    let deletes = small("deletes propagate");
    let (services, rules, _) = rewriting::services(&world).await;
    go(&world, &deletes, services.clone()).await;
    // Read in full again, and the id of one cannot be read.
    Store::open(&world.state()).and_then(|s| s.request_replay("contacts")).expect("asked for");
    set(&rules, &[("\"c0000000-0000-4000-8000-000000000002\"", "null")]);
    let summary = go(&world, &deletes, services).await;
    assert_eq!((summary.flows[0].rejected, summary.flows[0].deleted), (1, 0));
    assert!(summary.needs_attention());
    assert!(world.profile(2).await.is_some() && world.profile(3).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_without_a_usable_id_does_not_stop_the_changes_behind_it() {
    let world = World::empty().await;
    world.create(1, ada()).await;
    world.create(2, ada()).await;
    let plan = small("deletes propagate");
    let (services, rules, _) = rewriting::services(&world).await;
    go(&world, &plan, services.clone()).await;
    world.delete(1).await;
    world.update(2, json!({"lastname": "Byron"})).await;
    set(&rules, &[("\"c0000000-0000-4000-8000-000000000001\"", "7")]);
    let summary = go(&world, &plan, services).await;
    assert_eq!((summary.flows[0].rejected, summary.flows[0].updated), (1, 1));
    assert_eq!(world.profile(2).await.expect("a profile")["lastName"], "Byron");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_profile_with_half_a_surrogate_pair_does_not_stop_the_opt_outs_of_others() {
    let world = optout::world().await;
    world.person(1, json!({})).await;
    world.in_campaign("POST", "profile", json!({"lastName": "HALF", "email": "stranger@example.com"})).await;
    let plan = optout::plan("bidirectional");
    let (services, _, rules) = rewriting::services(&world).await;
    set(&rules, &[("HALF", "cut \\ud83d")]);
    go(&world, &plan, services.clone()).await;
    world.marketing(1, json!({"blackListEmail": true})).await;
    // A number out of range is not even repaired.
    set(&rules, &[("\"HALF\"", "1e999")]);
    go(&world, &plan, services).await;
    assert!(world.flags(1).await.0, "the opt-out is in Dynamics");
}
