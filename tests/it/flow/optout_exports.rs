//! Opt-outs with the exports of Campaign's workflow, from OpenSSH's own server: they bring the exact times.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::TimeDelta;
use d365map::connect::sftp::{CsvFormat, ExportFiles, Files, OptOutColumns, SftpConfig};
use d365map::plan::ExecutionPlan;
use d365map::run::{FlowSummary, Publisher, RunError, Services, Summary, run};
use d365map::store::sqlite::db::Store;
use d365map::time::{format_instant_campaign, now};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::optout::{plan, world};
use super::support::{World, id};
use crate::sftp::server::{Options, Server};

const HEADER: &str = "externalId,attribute,value,lastModified\n";

/// One line: what was changed how many seconds ago.
fn line(n: u32, attribute: &str, value: bool, ago: i64) -> String {
    format!("{},{attribute},{value},{}\n", id(n), format_instant_campaign(now() - TimeDelta::seconds(ago)))
}

/// Services with exports of opt-outs, in a folder of the server's.
pub fn services(world: &World, server: &Server, folder: &str) -> Services {
    let (_, mut services) = world.services();
    let config = SftpConfig { settle: Duration::from_millis(20), exports: folder.to_owned(), ..server.config() };
    services.exports = Some(d365map::connect::sftp::Sftp::new(config).expect("a client"));
    let opt_outs = Files { pattern: "optout_*.csv".to_owned(), format: CsvFormat::default(), columns: OptOutColumns::default() };
    services.files = ExportFiles { opt_outs: Some(opt_outs), ..ExportFiles::default() };
    services
}

async fn try_sync(world: &World, server: &Server, plan: &Arc<ExecutionPlan>) -> Result<Summary, RunError> {
    let store = Store::open_for_run(&world.state()).expect("the state opens");
    let services = services(world, server, &server.config().exports);
    run(plan.clone(), services, store.into(), world.options(), Publisher::default(), CancellationToken::new()).await
}

async fn sync(world: &World, server: &Server, plan: &Arc<ExecutionPlan>) -> FlowSummary {
    let summary = try_sync(world, server, plan).await;
    summary.expect("the run completes").flows.into_iter().find(|f| f.mapping == "contacts.optout").expect("the flow")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_time_decides_whose_word_is_the_later_even_at_the_first_comparison() {
    let server = Server::start(&Options::default());
    let mut world = world().await;
    world.options.optouts.accept = true;
    let plan = plan("bidirectional");
    // The contacts were changed a minute ago, by Dynamics' clock.
    for n in 1..=3 {
        world.person(n, json!({"donotemail": true})).await;
        world.in_campaign("POST", "profile", json!({"externalId": id(n), "lastName": "L"})).await;
    }
    let stories = [line(1, "denyListEmail", false, 10), line(2, "blackListEmail", false, 3600)].concat();
    server.write("optout_1.csv", format!("{HEADER}{stories}"));
    server.write("other.csv", format!("{HEADER}{}", line(3, "blackListEmail", false, 5)));
    sync(&world, &server, &plan).await;
    // Given after the change, before the change, and in a file of another name.
    assert_eq!((world.flags(1).await.0, world.lists(1).await.0), (false, false));
    assert_eq!((world.flags(2).await.0, world.lists(2).await.0), (true, true));
    assert_eq!((world.flags(3).await.0, world.lists(3).await.0), (true, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_that_come_late_again_or_out_of_order_write_nothing_that_is_not_so() {
    let server = Server::start(&Options::default());
    let world = world().await;
    let plan = plan("bidirectional");
    world.person(1, json!({})).await;
    sync(&world, &server, &plan).await;
    world.marketing(1, json!({"blackListEmail": true})).await;
    server.write("optout_2.csv", format!("{HEADER}{}{}", line(1, "blackListEmail", true, 0), line(1, "blackListEmail", true, 0)));
    sync(&world, &server, &plan).await;
    assert_eq!(world.flags(1).await, (true, false, true));
    world.reset().await;
    // The day before, the same again, and a stranger.
    server.write("optout_1.csv", format!("{HEADER}{}", line(1, "blackListEmail", false, 86_400)));
    server.write("optout_3.csv", format!("{HEADER}{}", line(1, "blackListEmail", true, 0)));
    server.write("optout_4.csv", format!("{HEADER}{}someone,blackListFax,true,2024-01-01T00:00:00Z\n", line(77, "blackListFax", true, 0)));
    for _ in 0..3 {
        sync(&world, &server, &plan).await;
    }
    assert_eq!((world.flags(1).await, world.lists(1).await), ((true, false, true), (true, false, false)));
    assert_eq!(world.writes().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_cannot_be_read_is_counted_and_costs_no_other_line() {
    let server = Server::start(&Options::default());
    let mut world = world().await;
    world.options.optouts.list_every = Duration::from_secs(3600);
    let plan = plan("bidirectional");
    world.person(1, json!({})).await;
    sync(&world, &server, &plan).await;
    world.marketing(1, json!({"blackListPhone": true})).await;
    let bad = format!("{},blackListPhone,perhaps,2024-01-01T00:00:00Z\n", id(1));
    server.write("optout_1.csv", format!("{HEADER}{bad}{}", line(1, "blackListPhone", true, 0)));
    // Profiles are listed once an hour here: it is the export that leads to the profile.
    let flow = sync(&world, &server, &plan).await;
    assert_eq!((flow.rejected, flow.rejections.len()), (1, 1));
    assert!(flow.rejections[0].place.ends_with("optout_1.csv:2"), "{}", flow.rejections[0].place);
    assert_eq!(world.flags(1).await, (false, true, true));
    // Read once, and not again.
    assert_eq!(sync(&world, &server, &plan).await.rejected, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_rewritten_each_day_is_read_from_its_beginning() {
    let server = Server::start(&Options::default());
    let mut world = world().await;
    // It is the export that leads to the profile.
    world.options.optouts.list_every = Duration::from_secs(3600);
    let plan = plan("bidirectional");
    world.person(1, json!({})).await;
    sync(&world, &server, &plan).await;
    world.marketing(1, json!({"blackListPhone": true})).await;
    server.write("optout_daily.csv", format!("{HEADER}{}", line(1, "blackListPhone", true, 0)));
    sync(&world, &server, &plan).await;
    assert_eq!(world.flags(1).await, (false, true, true));
    // The next day's is longer, and only its header is as before.
    world.marketing(1, json!({"blackListEmail": true})).await;
    let news = [line(7, "blackListFax", false, 10), line(1, "blackListEmail", true, 0)].concat();
    server.write("optout_daily.csv", format!("{HEADER}{news}"));
    sync(&world, &server, &plan).await;
    assert_eq!(world.flags(1).await, (true, true, true));
    // Our own write comes back as a change of the contact, and nothing else.
    assert_eq!(sync(&world, &server, &plan).await.read, 1);
    assert_eq!(sync(&world, &server, &plan).await.read, 0, "read once, and not again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_with_a_wrong_header_is_skipped_with_a_warning_and_the_files_after_it_are_read() {
    let server = Server::start(&Options::default());
    let mut world = world().await;
    world.options.optouts.list_every = Duration::from_secs(3600);
    let plan = plan("bidirectional");
    world.person(1, json!({})).await;
    sync(&world, &server, &plan).await;
    world.marketing(1, json!({"blackListPhone": true})).await;
    server.write("optout_0.csv", "who,when\n1,2\n");
    server.write("optout_1.csv", format!("{HEADER}{}", line(1, "blackListPhone", true, 0)));
    let summary = try_sync(&world, &server, &plan).await.expect("the run completes");
    assert!(summary.needs_attention());
    let flow = summary.flows.iter().find(|f| f.mapping == "contacts.optout").expect("the flow");
    assert_eq!((flow.rejected, flow.rejections[0].place.as_str()), (1, "optout_0.csv"), "{flow:?}");
    assert_eq!(world.flags(1).await, (false, true, true));
    let notes = || Store::open_read(&world.state()).unwrap().status().unwrap().mappings.into_iter().flat_map(|m| m.notes);
    assert!(notes().any(|note| note.starts_with("skipped export `optout_0.csv`: ")), "{:?}", notes().collect::<Vec<_>>());
    // The note goes when the file has been corrected.
    server.write("optout_0.csv", HEADER);
    sync(&world, &server, &plan).await;
    assert_eq!(notes().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_that_have_ceased_are_said_so_and_the_note_goes_when_they_come_again() {
    let server = Server::start(&Options::default());
    let world = world().await;
    let plan = plan("bidirectional");
    world.person(1, json!({})).await;
    server.write("optout_1.csv", HEADER);
    let old = std::fs::File::options().append(true).open(server.exports().join("optout_1.csv")).unwrap();
    old.set_modified(SystemTime::now() - Duration::from_secs(40 * 3600)).unwrap();
    sync(&world, &server, &plan).await;
    let note = || Store::open_read(&world.state()).unwrap().optout_state("contacts.optout").unwrap().unwrap().warning;
    assert!(note().expect("a note").contains("optout_1.csv, is 40 h old"));
    server.write("optout_2.csv", HEADER);
    sync(&world, &server, &plan).await;
    assert_eq!(note(), None);
}
