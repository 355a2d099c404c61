//! The command itself: exit statuses, what goes to which stream, and the way through a whole project.

use std::path::Path;
use std::process::{Command, Output};

use d365map_emulator::Config;
use serde_json::{Value, json};

use crate::flow::support::{World, ada, id};

pub fn d365map(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_d365map")).args(args).current_dir(folder).env("NO_COLOR", "1").output().expect("the command runs");
    let Output { status, stdout, stderr } = output;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

const GOOD: &str = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n";

#[test]
fn check_ends_with_0_clean_1_findings_2_usage_or_io() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("good.d365map"), GOOD).expect("a file");
    std::fs::write(folder.path().join("bad.d365map"), GOOD.replace("lastname", "lastnmae")).expect("a file");
    assert_eq!(d365map(folder.path(), &["check", "good.d365map"]).0, 0);
    let (status, out, _) = d365map(folder.path(), &["check", "bad.d365map"]);
    assert_eq!(status, 1);
    assert!(out.contains("D103") && out.contains("bad.d365map:3:3") && out.contains("did you mean `lastname`?"), "{out}");
    let (status, out, error) = d365map(folder.path(), &["check", "none.d365map"]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(error.contains("none.d365map"), "{error}");
    let (status, _, error) = d365map(folder.path(), &["check"]);
    assert_eq!(status, 2);
    assert!(error.contains("d365map init"), "{error}");
    assert_eq!(d365map(folder.path(), &["check", "--format", "yaml", "good.d365map"]).0, 2);
}

#[test]
fn machine_formats_are_one_document_for_several_folders() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a", "b"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
        std::fs::write(folder.path().join(name).join("x.d365map"), GOOD.replace("lastname", "lastnmae")).expect("a file");
    }
    let (status, out, _) = d365map(folder.path(), &["check", "--format", "json", "a", "b"]);
    let document: Value = serde_json::from_str(&out).expect("one JSON document");
    assert_eq!(status, 1);
    let files: Vec<&str> = document["diagnostics"].as_array().expect("a list").iter().filter_map(|d| d["file"].as_str()).collect();
    assert_eq!(files, ["a/x.d365map", "b/x.d365map"]);
}

#[test]
fn our_own_mappings_and_examples_are_clean() {
    let (status, out, error) = d365map(Path::new(env!("CARGO_MANIFEST_DIR")), &["check", "mappings", "examples"]);
    assert_eq!(status, 0, "{out}{error}");
}

#[test]
fn explain_prints_the_page_and_suggests_for_an_unknown_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let (status, out, _) = d365map(folder.path(), &["explain", "d212"]);
    assert!(status == 0 && out.starts_with("# D212: "), "{out}");
    let (status, _, error) = d365map(folder.path(), &["explain", "D2122"]);
    assert!(status == 2 && error.contains("D212"), "{error}");
}

#[test]
fn a_new_project_checks_cleanly_and_compiles_to_the_same_bytes_from_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let (status, _, error) = d365map(folder.path(), &["init", "shop"]);
    assert_eq!(status, 0, "{error}");
    let shop = folder.path().join("shop");
    let (status, out, error) = d365map(&shop, &["check"]);
    assert_eq!(status, 0, "{out}{error}");
    assert_eq!(d365map(&shop, &["compile", "-o", "plan.json"]).0, 0);
    assert_eq!(d365map(&shop.join("mappings"), &["compile", "-o", "../again.json"]).0, 0);
    let read = |name: &str| std::fs::read(shop.join(name)).expect("a plan");
    assert_eq!(read("plan.json"), read("again.json"));
    let (status, out, _) = d365map(&shop, &["plan"]);
    assert!(status == 0 && out.contains("d365.contact -> campaign.profile"), "{out}");
    let (_, from_file, _) = d365map(&shop, &["plan", "plan.json"]);
    assert_eq!(out, from_file);
    let (status, _, error) = d365map(&shop, &["init"]);
    assert_eq!(status, 2, "{error}");
    let (status, out, _) = d365map(&shop, &["status"]);
    assert!(status == 0 && out.contains("nothing has run yet"), "{out}");
    let (status, _, error) = d365map(&shop, &["run"]);
    assert!(status == 2 && error.contains("dynamics"), "{error}");
}

#[test]
fn a_faulty_schema_file_is_reported_as_d113_and_nothing_is_compiled() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(d365map(folder.path(), &["init"]).0, 0);
    let schema = "version: 1\ntable: campaign.profile\nextends: built-in\nfields:\n  cusTier: { type: strng, max: 10 }\n";
    std::fs::write(folder.path().join("schemas/campaign.profile.yaml"), schema).expect("a file");
    let (status, _, error) = d365map(folder.path(), &["check"]);
    assert_eq!(status, 2);
    assert!(error.contains("D113") && error.contains("campaign.profile.yaml:5:") && error.contains("`string`"), "{error}");
    assert_eq!(d365map(folder.path(), &["compile", "-o", "plan.json"]).0, 2);
    assert!(!folder.path().join("plan.json").exists());
}

#[test]
fn errors_write_no_plan() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("bad.d365map"), GOOD.replace("lastname", "lastnmae")).expect("a file");
    assert_eq!(d365map(folder.path(), &["compile", "bad.d365map", "-o", "plan.json"]).0, 1);
    assert!(!folder.path().join("plan.json").exists());
}

#[test]
fn the_demo_tells_of_three_runs_within_its_time_and_cleans_up_behind_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let began = std::time::Instant::now();
    let (status, out, error) = d365map(folder.path(), &["demo", "--format", "json", "--contacts", "300"]);
    assert_eq!(status, 0, "{error}");
    assert!(began.elapsed().as_secs() < 60, "an unoptimized build may take its time, but not that much");
    let result: Value = serde_json::from_str(&out).expect("one JSON object");
    let flow = |run: usize, flow: usize| result["runs"][run]["summary"]["flows"][flow].clone();
    let counts = |flow: &Value| ["created", "updated", "deleted", "failed"].map(|name| flow[name].as_u64().expect("a count"));
    let (first, second) = (flow(0, 0), flow(1, 0));
    assert_eq!(first["read"], 300);
    assert!(first["created"].as_u64().is_some_and(|n| n > 200));
    let [created, updated, deleted, failed] = counts(&second);
    // The contact that was deleted in Dynamics; the profile of the deactivated one stays.
    assert_eq!((created, deleted, failed), (5, 1, 1));
    assert!(updated >= 15, "{second}");
    assert!(second["rejections"][0]["place"].as_str().is_some_and(|p| p.starts_with("mappings/contacts.d365map:")), "{second}");
    // One opt-out goes each way, and five events and a task to timelines.
    assert_eq!((flow(1, 1)["mapping"].as_str(), counts(&flow(1, 1))), (Some("contacts.optout"), [0, 2, 0, 0]));
    assert_eq!((flow(1, 2)["mapping"].as_str(), counts(&flow(1, 2))), (Some("email"), [5, 0, 0, 0]));
    for still in 0..3 {
        assert_eq!(counts(&flow(2, still)), [0; 4], "{}", flow(2, still));
    }
    let calls = |run: usize| result["runs"][run]["calls"].clone();
    assert_eq!(calls(0)["campaign"]["methods"]["POST"], first["created"]);
    // Two requests ask whether Campaign has the filter of changed profiles, one lists profiles.
    assert_eq!(calls(2)["campaign"]["methods"], json!({"GET": 3}), "profiles are listed and nothing is written");
    assert_eq!(calls(2)["dataverse"]["methods"], json!({"GET": 3}));
    assert!(std::fs::read_dir(folder.path()).expect("the folder").next().is_none());
}

#[test]
fn the_demo_shows_a_contact_beside_its_profile_and_its_numbers_on_one_screen() {
    let folder = tempfile::tempdir().expect("a folder");
    let (status, out, error) = d365map(folder.path(), &["demo", "--contacts", "100"]);
    assert_eq!(status, 0, "{error}");
    let (contacts, deals) = out.split_once("\nA deal in Partner Center").expect("the part about deals");
    let lines = contacts.lines().count() + error.lines().count();
    assert!(lines <= 40, "{lines} lines:\n{error}{out}");
    assert!(deals.lines().count() < 50, "the deals fit on another screen:\n{deals}");
    let place = |text: &str| out.find(text).unwrap_or_else(|| panic!("no {text} in\n{out}"));
    assert!(place("Its profile in Campaign") < place("unchanged"), "{out}");
    let row = |name: &str| out.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no {name} in\n{out}"));
    assert!(row("emailaddress1").contains("->  email "), "{out}");
    assert!(row("gendercode").contains("Female") || row("gendercode").contains("Male"), "options are shown by their labels: {out}");
}

#[test]
fn the_demo_shows_a_referral_that_travels_each_way_and_is_closed_with_its_opportunity() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_d365map"));
        let output = command.args(args).current_dir(folder.path()).env("XDG_STATE_HOME", &home).env("HOME", &home).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let result: Value = serde_json::from_str(&run(&["demo", "--format", "json", "--contacts", "0"])).expect("one JSON object");
    let referrals = &result["referrals"];
    for run in 0..2 {
        let flow = &referrals["runs"][run]["summary"]["flows"][0];
        assert_eq!((&flow["mapping"], &flow["rejected"], &flow["failed"]), (&json!("referrals"), &json!(0), &json!(0)));
    }
    let pair = |list: &str, name: &str| {
        let pairs = referrals[list].as_array().expect("pairs").clone();
        pairs.into_iter().find(|pair| pair["to"][0] == name).unwrap_or_else(|| panic!("no {name} in {referrals}"))
    };
    for (list, name, value) in [
        ("opportunity", "estimatedvalue", "50000"),
        ("opportunity", "account.name", "Contoso"),
        ("referral", "details.dealValue", "20000"),
        ("referral", "customerProfile.name", "Fabrikam"),
        ("referral", "status", "Closed"),
        ("referral", "substatus", "Won"),
    ] {
        let pair = pair(list, name);
        let written = pair["to"][1].as_str().expect("a value");
        assert_eq!(written.trim_end_matches(".0"), value, "{pair}");
    }
    assert!(!home.exists(), "the sign-in stays in the folder of the demonstration");

    let text = run(&["demo", "--contacts", "0"]);
    let row = |begin: &str, end: &str| text.lines().any(|line| line.starts_with(begin) && line.contains("->") && line.ends_with(end));
    assert!(row("customerProfile.name", "Contoso") && row("statecode", "Closed") && row("parentaccountid.name", "Fabrikam"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_project_from_plan_to_replay() {
    let world = World::empty().await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n  emailaddress1 -> email\n  options { deletes propagate }\n}\n");
    world.create(1, ada()).await;
    world.create(2, json!({"lastname": "B", "emailaddress1": "no address"})).await;

    let (status, out, error) = world.call(&["compile", "-o", "plan.json"]).await;
    assert_eq!(status, 0, "{out}{error}");
    let (status, out, error) = world.call(&["run", "--plan", "plan.json", "--dry-run", "--format", "json"]).await;
    assert_eq!(status, 0, "{error}");
    let dry: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(dry["dry_run"]["flows"][0]["create"], 2);

    let (status, out, error) = world.call(&["run", "--plan", "plan.json"]).await;
    assert_eq!(status, 1, "{out}{error}");
    assert!(out.contains("created           1") && out.contains("mappings/contacts.d365map:4:3 email"), "{out}");

    let (status, out, _) = world.call(&["dead-letters", "list", "--format", "json"]).await;
    assert_eq!(status, 0);
    let letters: Value = serde_json::from_str(&out).expect("JSON");
    let number = letters["dead_letters"][0]["id"].to_string();
    let (_, out, _) = world.call(&["dead-letters", "show", &number]).await;
    assert!(out.contains("mappings/contacts.d365map:4:3") && out.contains("no address") && out.contains(&id(2)), "{out}");
    let (status, _, error) = world.call(&["dead-letters", "retry"]).await;
    assert!(status == 2 && error.contains("--all"), "{error}");
    let (status, out, _) = world.call(&["dead-letters", "retry", &number]).await;
    assert!(status == 0 && out.starts_with("1 dead letter queued again"), "{out}");
    world.update(2, json!({"emailaddress1": "b@example.com"})).await;
    let (status, out, error) = world.call(&["run"]).await;
    assert_eq!(status, 0, "{out}{error}");
    let (_, out, _) = world.call(&["dead-letters", "list"]).await;
    assert_eq!(out, "no dead letters\n");

    world.in_campaign("PATCH", &format!("profile/{}", id(1)), json!({"lastName": "Changed"})).await;
    let (status, out, error) = world.call(&["replay", "contacts", "--format", "json"]).await;
    assert_eq!(status, 0, "{error}");
    let replay: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&replay["summary"]["flows"][0]["read"], &replay["summary"]["flows"][0]["unchanged"]), (&json!(2), &json!(2)));
    let (status, _, error) = world.call(&["replay", "contakts"]).await;
    assert!(status == 2 && error.contains("`contacts`"), "{error}");
    let (status, out, _) = world.call(&["status"]).await;
    assert!(status == 0 && out.contains("follows changes"), "{out}");
    let (status, _, error) = world.call(&["run", "--mapping", "nobody"]).await;
    assert!(status == 2 && error.contains("nobody"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_pull_fetches_custom_fields_that_mappings_may_then_use() {
    let seed = json!({
        "dataverse": {"tables": {"contact": {"columns": [{"name": "new_tier", "schema": "new_Tier", "type": "Picklist", "label": "Tier", "options": [[1, "Gold"], [2, "Silver"]]}]}}},
        "campaign": {"fields": [{"name": "cusTier", "type": "enumeration", "values": [["Gold", "gold", 1], ["Silver", "silver", 2]]}]}
    });
    let world = World::new(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  new_tier -> cusTier\n  replace new_tier { Gold => gold; Silver => silver }\n}\n");
    assert_eq!(world.call(&["check"]).await.0, 1);
    let (status, out, error) = world.call(&["schema", "pull", "d365.contact", "campaign.profile"]).await;
    assert_eq!(status, 0, "{out}{error}");
    let (status, out, error) = world.call(&["check"]).await;
    assert_eq!(status, 0, "{out}{error}");
    let (status, out, _) = world.call(&["schema", "show", "d365.contact"]).await;
    assert!(status == 0 && out.contains("new_tier") && out.contains("Gold"), "{out}");
    world.create(1, json!({"lastname": "A", "new_tier": 2})).await;
    let (status, out, error) = world.call(&["run"]).await;
    assert_eq!(status, 0, "{out}{error}");
    assert_eq!(world.profile(1).await.expect("written")["cusTier"], "silver");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_takes_up_changes_until_it_is_stopped() {
    let world = World::empty().await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n");
    world.create(1, ada()).await;
    let mut child = world.command(&["run", "--watch", "--interval", "1", "--quiet"]).spawn().expect("the command starts");
    let wait_for = async |n: u32| {
        for _ in 0..300 {
            if world.profile(n).await.is_some() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("contact {n} was not taken up");
    };
    wait_for(1).await;
    world.create(2, ada()).await;
    wait_for(2).await;
    let (status, _, error) = world.call(&["run"]).await;
    assert!(
        status == 2 && error.contains(&child.id().expect("a child").to_string()),
        "a second runner must refuse and name the holder: {error}"
    );
    let pid = child.id().expect("a child").to_string();
    assert!(Command::new("/bin/sh").args(["-c", &format!("kill -TERM {pid}")]).status().expect("kill").success());
    assert!(child.wait().await.expect("an end").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_address_reaches_output_logs_or_state_in_the_clear() {
    let world = World::empty().await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n  emailaddress1 -> email\n}\n");
    world.create(1, json!({"lastname": "Confidential-Name", "emailaddress1": "very.private@example.com"})).await;
    let (status, out, error) = world.call(&["run", "-vv"]).await;
    assert_eq!(status, 0, "{error}");
    let credentials = world.emulators.credentials();
    let mut texts = vec![out, error];
    for entry in std::fs::read_dir(world.folder.path())
        .expect("the folder")
        .chain(std::fs::read_dir(world.folder.path().join(".d365map")).expect("the state's folder"))
        .flatten()
    {
        if entry.path().is_file() {
            texts.push(String::from_utf8_lossy(&std::fs::read(entry.path()).expect("a file")).into_owned());
        }
    }
    for text in &texts {
        for secret in [&credentials.dataverse.secret, &credentials.campaign.secret] {
            assert!(!text.contains(secret.as_str()), "a secret is in the clear");
        }
        assert!(!text.contains("Bearer ey") && !text.contains("access_token"), "a token is in the clear");
    }
    // What was said and logged holds no person's data either; the state does only while a record waits or has failed.
    for text in &texts[..2] {
        assert!(!text.contains("very.private") && !text.contains("Confidential-Name"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_the_application_user_may_no_longer_read_stops_the_run() {
    let world = World::empty().await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n  emailaddress1 -> email\n}\n");
    world.create(1, ada()).await;
    assert_eq!(world.call(&["schema", "pull"]).await.0, 0);
    assert_eq!(world.call(&["run"]).await.0, 0);
    let before = world.profile(1).await.expect("a profile");
    assert!(before["email"].is_string(), "{before}");
    let secure = async |secured: &str| {
        world.admin("alter-column", json!({ "table": "contact", "column": "emailaddress1", "secured": secured })).await;
    };

    // Secured, and a field security profile allows reading: nothing changes.
    secure("readable").await;
    let (status, out, error) = world.call(&["schema", "diff"]).await;
    assert_eq!((status, out.as_str()), (0, ""), "{error}");

    // Without the profile, every record comes with null.
    secure("hidden").await;
    for command in [&["run"][..], &["replay", "contacts"]] {
        let (status, _, error) = world.call(command).await;
        assert!(status == 2 && error.contains("`emailaddress1` cannot be read") && error.contains("field security profile"), "{error}");
    }
    assert_eq!(world.profile(1).await.expect("a profile"), before);
    let (status, out, _) = world.call(&["schema", "diff"]).await;
    assert!(status == 1 && out.contains("emailaddress1"), "{out}");
    let (_, out, _) = world.call(&["schema", "pull"]).await;
    assert!(out.contains("emailaddress1: column security hides it"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_refuses_to_start_on_a_breaking_drift_with_the_words_of_schema_diff() {
    let world = World::empty().await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n  jobtitle -> salutation | truncate(20)\n  gendercode -> gender\n  replace gendercode { Male => male; Female => female; else => unknown; null => unknown }\n}\n");
    world.create(1, ada()).await;
    assert_eq!(world.call(&["schema", "pull", "d365.contact", "campaign.profile"]).await.0, 0);
    let (status, out, error) = world.call(&["schema", "diff"]).await;
    assert_eq!((status, out.as_str()), (0, ""), "{error}");

    // A change that no line of the mapping sees.
    world.admin("alter-column", json!({ "table": "contact", "column": "department", "length": 50 })).await;
    let (status, out, error) = world.call(&["schema", "diff"]).await;
    assert!(
        status == 1 && out.contains("~ department: String(100) -> String(50)") && error.contains("no mapping is touched"),
        "{out}{error}"
    );
    let (status, out, error) = world.call(&["run"]).await;
    assert!(status == 0 && error.contains("without touching a mapping"), "{out}{error}");
    assert!(world.profile(1).await.is_some());

    // Changes that break lines: a longer text, a field that is gone, an option that is gone.
    world.create(2, ada()).await;
    world.admin("alter-column", json!({ "table": "contact", "column": "lastname", "length": 80 })).await;
    world.admin("alter-column", json!({ "table": "contact", "column": "jobtitle", "remove": true })).await;
    world.admin("alter-column", json!({ "table": "contact", "column": "gendercode", "without_option": 2 })).await;
    let (status, diff, error) = world.call(&["schema", "diff"]).await;
    assert!(status == 1 && error.contains("a run would refuse to start"), "{error}");
    insta::assert_snapshot!(diff);
    let (status, out, error) = world.call(&["run"]).await;
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(error.contains(diff.trim()), "{error}\n----\n{diff}");
    assert!(world.profile(2).await.is_none(), "nothing was written");
    let (status, out, _) = world.call(&["schema", "diff", "--format", "json"]).await;
    let document: Value = serde_json::from_str(&out).expect("JSON");
    let codes: Vec<&str> = document["breaking"].as_array().expect("a list").iter().filter_map(|b| b["code"].as_str()).collect();
    assert_eq!((status, codes), (1, vec!["D201", "D103", "D302"]));
    assert_eq!(document["breaking"][0]["line"], 3);

    // A plan without its files says where it no longer fits.
    let (status, _, error) = world.call(&["compile", "-o", "plan.json"]).await;
    assert_eq!(status, 0, "{error}");
    let (status, _, error) = world.call(&["run", "--plan", "plan.json"]).await;
    assert!(status == 2 && error.contains("mappings/contacts.d365map:4:3: d365.contact has no field `jobtitle` any more"), "{error}");
    let (status, _, error) = world.call(&["replay", "contacts"]).await;
    assert!(status == 2 && error.contains("nothing was read or written"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_days_budget_holds_over_runs_and_a_run_that_has_spent_it_says_so() {
    let world = World::empty().await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n");
    let file = world.folder.path().join("d365map.yaml");
    let text = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, format!("{text}  requests-per-day: {{ campaign: 3 }}\n")).expect("a file");
    for n in 1..=2 {
        world.create(n, ada()).await;
    }
    let (status, _, error) = world.call(&["run"]).await;
    assert_eq!(status, 0, "two of three: {error}");
    for n in 3..=6 {
        world.create(n, ada()).await;
    }
    for made in [true, false] {
        let (status, out, error) = world.call(&["run"]).await;
        assert!(status == 2 && error.contains("the budget of 3 requests a day to campaign is spent"), "{out}{error}");
        let count = [world.profile(3).await, world.profile(4).await, world.profile(5).await, world.profile(6).await];
        assert_eq!(count.iter().flatten().count(), 1, "one more in the first of both runs ({made})");
    }
    // The rest is not lost: it waits for another day, or another budget.
    std::fs::write(&file, text).expect("a file");
    let (status, _, error) = world.call(&["run"]).await;
    assert_eq!(status, 0, "{error}");
    assert!(world.profile(6).await.is_some());
}

#[test]
fn fmt_writes_only_what_it_should_and_says_what_it_would() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.d365map");
    let ragged = GOOD.replace("  lastname ->", "lastname->");
    std::fs::write(&file, &ragged).expect("a file");
    std::fs::write(folder.path().join("bad.d365map"), "mapping {").expect("a file");
    let text = || std::fs::read_to_string(&file).expect("a file");
    let (status, out, _) = d365map(folder.path(), &["fmt", "--check", "a.d365map"]);
    assert_eq!((status, out.as_str(), text()), (1, "a.d365map\n", ragged.clone()));
    let (status, out, _) = d365map(folder.path(), &["fmt", "--diff", "a.d365map"]);
    assert!(status == 1 && out.contains("-lastname-> lastName\n+  lastname -> lastName\n"), "{out}");
    assert_eq!(text(), ragged);
    let (status, _, error) = d365map(folder.path(), &["fmt", "."]);
    assert!(status == 1 && error.contains("D0") && error.contains("1 cannot be read"), "{error}");
    assert_eq!(
        (text(), std::fs::read_to_string(folder.path().join("bad.d365map")).expect("a file")),
        (GOOD.to_owned(), "mapping {".to_owned())
    );
    assert_eq!(d365map(folder.path(), &["fmt", "--check", "a.d365map"]).0, 0);
}

#[test]
fn check_applies_safe_fixes_the_others_when_asked_prints_each_and_reports_what_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.d365map");
    std::fs::write(&file, GOOD.replace("lastname -> lastName", "lastnmae -> LastName | trim or null\n  firstname -> firstName"))
        .expect("a file");
    let (status, out, error) = d365map(folder.path(), &["check", "a.d365map"]);
    assert!(
        status == 1 && error.contains("`d365map check --fix` fixes 1 of them") && error.contains("--unsafe-fixes` fixes 1 more"),
        "{out}{error}"
    );
    let (status, out, error) = d365map(folder.path(), &["check", "--fix", "a.d365map"]);
    assert!(status == 1 && out.contains("D103") && error.contains("`LastName` → `lastName`"), "{out}{error}");
    let (status, out, error) = d365map(folder.path(), &["check", "--unsafe-fixes", "a.d365map"]);
    assert!(status == 1 && out.contains("D201") && error.contains("`lastnmae` → `lastname`"), "{out}{error}");
    let text = std::fs::read_to_string(&file).expect("a file");
    assert_eq!(text, GOOD.replace("lastname -> lastName", "lastname -> lastName | trim\n  firstname -> firstName"));
}

#[test]
fn one_fix_command_replaces_everything_that_a_text_program_put_into_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let clean = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  firstname -> firstName | trim | truncate(30)\n  \"crm, a b\" -> middleName\n  emailaddress1 -> email | trim | lower | default(\"none\")\n  replace gendercode { Male => male; Female => \"female\"; else => unknown; null => unknown }\n  gendercode -> gender\n  filter all { statecode = Active; lastname != \"x\" }\n}\n";
    // Every space but those in texts, every arrow and every quote: more in one entry than there are rounds of fixes.
    let pasted = clean.replace(' ', "\u{a0}").replace("->", "–>").replace("crm,\u{a0}a\u{a0}b", "crm, a b");
    let pasted = pasted
        .replace("\"crm, a b\"", "“crm, a b”")
        .replace("\"none\"", "„none“")
        .replace("\"female\"", "‘female’")
        .replace("\"x\"", "“x”");
    // Spaces at the ends of lines too.
    let pasted = pasted.replace("}\n", "}\u{a0}\n").replace("lower", "lower\u{a0}").replace("middleName\n", "middleName\u{a0}\n");
    std::fs::write(folder.path().join("a.d365map"), &pasted).expect("a file");
    let (status, out, error) = d365map(folder.path(), &["check", "--fix", "a.d365map"]);
    assert_eq!(status, 0, "{out}{error}");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let text = std::fs::read_to_string(folder.path().join("a.d365map")).expect("the file");
    assert!(text.trim_end().is_ascii(), "{text}");
    assert_eq!(words(&text), words(clean));
    assert!(!out.contains("``") && !error.contains("``"), "{out}{error}");
}

#[test]
fn tests_of_mappings_run_with_differences_a_filter_and_coverage() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = include_str!("../data/tested.d365map");
    std::fs::write(folder.path().join("a.d365map"), text).expect("a file");
    let (status, out, error) = d365map(folder.path(), &["test", "a.d365map", "--coverage"]);
    assert_eq!(status, 1, "{error}");
    insta::assert_snapshot!(format!("{out}----\n{error}"));
    let (status, _, error) = d365map(folder.path(), &["test", "a.d365map", "--filter", "kept"]);
    assert_eq!((status, error.as_str()), (0, "1 passed, 0 failed, 3 left out by --filter\n"));
    let (status, out, _) = d365map(folder.path(), &["test", "a.d365map", "--format", "json"]);
    let document: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((status, &document["passed"], &document["failed"]), (1, &json!(2), &json!(2)));
    assert_eq!(document["tests"][1]["differences"][0]["field"], "lastName");
    let (status, out, _) = d365map(folder.path(), &["test", "a.d365map", "--format", "junit"]);
    assert!(status == 1 && out.contains("tests=\"4\" failures=\"2\"") && out.contains("lastName: expected"), "{out}");
    std::fs::write(folder.path().join("a.d365map"), text.replace("lastname   ->", "lastnmae ->")).expect("a file");
    let (status, _, error) = d365map(folder.path(), &["test", "a.d365map"]);
    assert!(status == 2 && error.contains("D103") && error.contains("no test was run"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_in_both_directions_does_not_keep_the_others_from_running() {
    let world = World::empty().await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n");
    let referrals = "mapping referrals: partner.referral <-> d365.opportunity {\n  key id <-> msft_microsoftpartnercenterreferralidentifier\n  \
                     customerProfile.name -> name | truncate(300)\n}\n";
    std::fs::write(world.folder.path().join("mappings/referrals.d365map"), referrals).expect("a mapping");
    world.create(1, json!({"lastname": "L"})).await;
    for args in [&["run", "--dry-run", "--mapping", "contacts"][..], &["run", "--mapping", "contacts"], &["run"]] {
        let (status, out, error) = world.call(args).await;
        assert_eq!(status, 0, "{args:?}: {out}{error}");
        assert!(error.contains("not moved: `referrals`"), "{args:?}: {error}");
    }
    assert_eq!(world.profiles().await.len(), 1);
    let (status, _, error) = world.call(&["run", "--mapping", "referrals"]).await;
    assert!(status == 2 && error.contains("there is no mapping `referrals` in the plan"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_warns_of_event_blocks_if_the_project_has_no_source_of_events() {
    let world = World::empty().await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n");
    std::fs::write(world.folder.path().join("mappings/events.d365map"), "events email: campaign.email -> d365.contact {\n  open on\n}\n")
        .expect("a mapping");
    let (status, _, error) = world.call(&["check"]).await;
    assert!(error.contains("`email` has no source of events, so it moves none; add `journal`"), "{error}");
    assert_eq!(status, 0, "the mapping files are right: {error}");
    let (_, _, error) = world.call(&["check", "mappings/contacts.d365map"]).await;
    assert!(!error.contains("source of events"), "{error}");
    let yaml = world.folder.path().join("d365map.yaml");
    let text = std::fs::read_to_string(&yaml).expect("a project file");
    let journal = "    journal:\n      url: https://events.adobe.io/events/organizations/1/integrations/2/3\n      ims-organization: 1@AdobeOrg\nlimits:";
    std::fs::write(&yaml, text.replace("limits:", journal)).expect("a project file");
    let (status, out, error) = world.call(&["check"]).await;
    assert!(status == 0 && !error.contains("source of events"), "{out}{error}");
}
