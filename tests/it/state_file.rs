//! The state file on the disk: one runner for one file whatever name it is reached by, and no other user reads it. The second
//! runner is another process: locks of one process say nothing about two.

#![cfg(unix)]

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use d365map::store::StoreError;
use d365map::store::sqlite::db::Store;

/// Carried out by [`elsewhere`] in a separate process.
#[test]
#[ignore = "the other process of the tests below"]
fn open_a_store_for_a_run() {
    let Some(path) = std::env::var_os("D365MAP_TEST_STATE") else { return };
    match Store::open_for_run(Path::new(&path)) {
        Ok(_) => println!("answer: opened"),
        Err(StoreError::InUse { holder, .. }) => println!("answer: in use by {holder}"),
        Err(error) => println!("answer: {error}"),
    }
}

/// What another process gets that opens this path for a run.
fn elsewhere(path: &Path) -> String {
    asked(Command::new(std::env::current_exe().unwrap()).args(ARGS), path)
}

const ARGS: [&str; 4] = ["--exact", "state_file::open_a_store_for_a_run", "--ignored", "--nocapture"];

fn asked(command: &mut Command, path: &Path) -> String {
    let output = command.env("D365MAP_TEST_STATE", path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.split_once("answer: ")).map(|(_, answer)| answer.to_owned());
    line.unwrap_or_else(|| panic!("no answer: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn two_processes_never_run_on_one_file_whatever_name_they_reach_it_by() {
    let folder = Folder::new();
    let state = folder.at("project/state.db");
    let first = Store::open_for_run(&state).unwrap();
    assert!(elsewhere(&state).contains(&format!("in use by process {}", std::process::id())));

    symlink(&state, folder.at("link.db")).unwrap();
    assert!(elsewhere(&folder.at("link.db")).contains(&format!("in use by process {}", std::process::id())), "a link to the file");
    symlink(folder.at("project"), folder.at("beside")).unwrap();
    assert!(elsewhere(&folder.at("beside/state.db")).contains("in use by process"), "a link to the folder");

    std::fs::hard_link(&state, folder.at("hard.db")).unwrap();
    for name in ["hard.db", "project/state.db"] {
        assert!(elsewhere(&folder.at(name)).contains("second name"), "{name}");
    }
    assert!(
        matches!(Store::open_read(&folder.at("hard.db")), Err(StoreError::Unsafe { .. })),
        "not even to read: it would have another log"
    );
    std::fs::remove_file(folder.at("hard.db")).unwrap();

    drop(first);
    for name in ["project/state.db", "link.db", "beside/state.db"] {
        assert_eq!(elsewhere(&folder.at(name)), "opened", "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_removed_lock_file_lets_no_second_runner_in() {
    let folder = Folder::new();
    let state = folder.at("state.db");
    let first = Store::open_for_run(&state).unwrap();
    std::fs::remove_file(folder.at("state.db.lock")).unwrap();
    assert_eq!(elsewhere(&state), "in use by another process");
    assert_eq!(elsewhere(&state), "in use by another process", "nor a third");
    first.status().unwrap();
    drop(first);
    assert_eq!(elsewhere(&state), "opened");
}

#[test]
fn a_lock_file_that_is_a_link_is_refused_and_what_it_leads_to_keeps_its_text() {
    for symbolic in [true, false] {
        let folder = Folder::new();
        let (other, lock) = (folder.at("letters.txt"), folder.at("state.db.lock"));
        std::fs::write(&other, "dear").unwrap();
        if symbolic { symlink(&other, &lock) } else { std::fs::hard_link(&other, &lock) }.unwrap();
        let error = Store::open_for_run(&folder.at("state.db")).unwrap_err();
        assert!(matches!(&error, StoreError::Unsafe { place, .. } if place.to_string().ends_with("state.db.lock")), "{error}");
        assert!(error.to_string().contains("remove it"), "{error}");
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "dear");
    }
}

#[test]
fn a_state_path_that_is_a_link_to_something_else_is_refused_and_nothing_is_written() {
    let folder = Folder::new();
    let (link, target) = (folder.at("state.db"), folder.at("target"));
    symlink(&target, &link).unwrap();
    let open = |what: &str| {
        for opened in [Store::open_for_run(&link), Store::open(&link)] {
            let error = opened.unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
    };
    open("does not exist");
    assert!(!target.exists());
    std::fs::write(&target, "").unwrap();
    open("empty file");
    assert_eq!(std::fs::metadata(&target).unwrap().len(), 0);
    // An empty database of another program.
    rusqlite::Connection::open(&target).unwrap().execute_batch("PRAGMA page_size = 4096; VACUUM").unwrap();
    let before = std::fs::read(&target).unwrap();
    assert!(!before.is_empty());
    open("another program");
    assert_eq!(std::fs::read(&target).unwrap(), before);
    std::fs::remove_file(&target).unwrap();
    std::fs::create_dir(&target).unwrap();
    open("not a regular file");
}

#[test]
fn the_files_and_the_folder_of_the_state_are_private_whatever_the_umask_is() {
    let folder = Folder::new();
    let state = folder.at("project/.d365map/state.db");
    let exe = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(&exe).args(ARGS);
    assert_eq!(asked(&mut command, &state), "opened");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(state.parent().unwrap()), 0o700);
    for name in ["state.db", "state.db.lock"] {
        assert_eq!(mode(&state.with_file_name(name)), 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(&state).unwrap().nlink(), 1);
}

#[test]
fn a_compiled_plan_is_private_whatever_the_umask_is() {
    let folder = Folder::new();
    let shop = folder.at("shop");
    let call = |args: &str, at: &Path| {
        let line = format!("umask 000; exec '{}' {args}", env!("CARGO_BIN_EXE_d365map"));
        let output = Command::new("sh").args(["-c", &line]).current_dir(at).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    call("init shop", folder.0.path());
    call("compile -o plan.json", &shop);
    assert_eq!(std::fs::metadata(shop.join("plan.json")).unwrap().permissions().mode() & 0o777, 0o600);
}
