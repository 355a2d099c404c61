//! Links in the state: rules one by one, and random histories of parents and children against a model of the target.

use std::collections::BTreeMap;
use std::time::Duration;

use d365map::store::{
    Absence, Change, ClaimedOp, CursorMove, Destination, Field, IfAbsent, MassLimits, PageCommit, PageTimes, Payload, RefetchOutcome,
    RunId, RunKind, Settlement, Stores, Unseen, Work,
};
use d365map::time::now;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::{Factory, New, rules, wait};

const PARENTS: &str = "parents";
const CHILDREN: &str = "children";

fn payload(x: u8, parent: Option<Option<&str>>) -> Payload {
    payload_if(x, parent, IfAbsent::Wait)
}

fn payload_if(x: u8, parent: Option<Option<&str>>, absent: IfAbsent) -> Payload {
    let mut payload = Payload::default();
    payload.push_value("x", &json!(x), false).unwrap();
    if let Some(parent) = parent {
        let value = serde_json::value::to_raw_value(&parent).unwrap().into();
        payload.push(Field {
            path: "parent".into(),
            value,
            initial_only: false,
            create_only: false,
            filled: None,
            link: Some(PARENTS.into()),
            absent,
        });
    }
    payload
}

fn put(id: &str, payload: Payload) -> Change {
    Change::Upsert { source_id: id.into(), key: format!("K-{id}"), payload }
}

fn gone(id: &str) -> Change {
    Change::Absent { source_id: id.into(), why: Absence::Deleted, remove: true }
}

struct Bench {
    /// Has the store's files.
    _factory: Box<dyn Factory>,
    stores: Stores,
    run: RunId,
}

impl Bench {
    fn new(store: New) -> Bench {
        let mut factory = store();
        let stores = factory.open();
        let run = Bench::begin(&stores);
        let bench = Bench { _factory: factory, stores, run };
        for flow in [PARENTS, CHILDREN] {
            wait(bench.stores.cursors.cursor_or_first(flow, "plan")).unwrap();
            bench.commit(flow, vec![], CursorMove::RoundEnd { link: Some("delta".into()), unseen: Unseen::Keep });
        }
        bench
    }

    fn begin(stores: &Stores) -> RunId {
        wait(stores.runs.start_run(RunKind::Once, &[PARENTS.to_owned(), CHILDREN.to_owned()], Duration::ZERO)).unwrap().0
    }

    fn commit(&self, flow: &str, changes: Vec<Change>, to: CursorMove) {
        let from = wait(self.stores.cursors.cursor_or_first(flow, "plan")).unwrap();
        let page =
            PageCommit { run: self.run, mapping: flow.into(), from, changes, rewrite: false, times: PageTimes::default(), guard: None, to };
        wait(self.stores.cursors.commit_page(page)).unwrap();
    }

    fn page(&self, flow: &str, change: Change) {
        self.commit(flow, vec![change], CursorMove::Next("next".into()));
    }

    fn claim(&self, flow: &str, limit: usize) -> Vec<ClaimedOp> {
        wait(self.stores.outbox.claim(self.run, flow, limit, now())).unwrap()
    }

    fn settle(&self, settlement: Settlement) {
        wait(self.stores.outbox.settle(self.run, vec![settlement])).unwrap();
    }

    fn waiting(&self) -> Vec<(String, u64, String)> {
        wait(self.stores.outbox.waiting_for(CHILDREN)).unwrap().into_iter().map(|w| (w.parent, w.records, w.example_parent)).collect()
    }
}

/// A parent and a child that links to it, both written; then a change of the parent whose record somebody deleted at the target.
fn parent_to_be_created_again(store: New) -> (Bench, ClaimedOp) {
    let bench = Bench::new(store);
    bench.page(PARENTS, put("p", payload(1, None)));
    bench.settle(bench.claim(PARENTS, 1)[0].written(true));
    bench.page(CHILDREN, put("c", payload(1, Some(Some("p")))));
    bench.settle(bench.claim(CHILDREN, 1)[0].written(true));
    bench.page(PARENTS, put("p", payload(2, None)));
    let op = bench.claim(PARENTS, 1).remove(0);
    assert!(wait(bench.stores.outbox.note_remade(bench.run, op.seq)).unwrap());
    (bench, op)
}

fn resolve(bench: &Bench, flow: &str, op: &ClaimedOp, change: Change) {
    let outcome = wait(bench.stores.outbox.resolve_refetch(bench.run, flow, op.seq, change, PageTimes::default(), false)).unwrap();
    assert!(matches!(outcome, RefetchOutcome::Applied(_)), "{outcome:?}");
}

fn paths(op: &ClaimedOp, create: bool) -> Vec<String> {
    op.write_set(create).map(|field| field.path.to_string()).collect()
}

fn a_link_that_may_come_later_is_left_out_and_follows_when_its_parent_is_written(store: New) {
    let bench = Bench::new(store);
    let child = |x| put("c", payload_if(x, Some(Some("p")), IfAbsent::Later));
    bench.page(CHILDREN, child(1));
    let op = bench.claim(CHILDREN, 1).remove(0);
    assert_eq!(paths(&op, true), ["x"]);
    bench.settle(op.written(true));
    assert_eq!(bench.waiting(), [(PARENTS.to_owned(), 1, "p".to_owned())]);
    assert!(bench.claim(CHILDREN, 1).is_empty(), "it waits for its parent");
    // A change of the child meanwhile goes at once, and waits for the link again.
    bench.page(CHILDREN, child(2));
    let op = bench.claim(CHILDREN, 1).remove(0);
    assert_eq!(paths(&op, false), ["x"]);
    bench.settle(op.written(false));
    assert!(bench.claim(CHILDREN, 1).is_empty());

    bench.page(PARENTS, put("p", payload(1, None)));
    bench.settle(bench.claim(PARENTS, 1)[0].written(true));
    let op = bench.claim(CHILDREN, 1).remove(0);
    assert!(matches!(op.work, Work::Refetch), "{op:?}");
    resolve(&bench, CHILDREN, &op, child(2));
    let op = bench.claim(CHILDREN, 1).remove(0);
    assert_eq!(paths(&op, false), ["parent"]);
    bench.settle(op.written(false));
    assert!(bench.waiting().is_empty() && bench.claim(CHILDREN, 1).is_empty());
}

fn a_link_that_may_come_later_is_due_if_its_parent_came_while_the_record_was_written(store: New) {
    let bench = Bench::new(store);
    bench.page(CHILDREN, put("c", payload_if(1, Some(Some("p")), IfAbsent::Later)));
    let op = bench.claim(CHILDREN, 1).remove(0);
    bench.page(PARENTS, put("p", payload(1, None)));
    bench.settle(bench.claim(PARENTS, 1)[0].written(true));
    bench.settle(op.written(true));
    assert!(matches!(bench.claim(CHILDREN, 1)[0].work, Work::Refetch));
}

fn a_link_that_may_be_empty_is_empty_while_its_parent_is_missing_and_differs_when_it_is_there(store: New) {
    let bench = Bench::new(store);
    let child = || put("c", payload_if(1, Some(Some("p")), IfAbsent::Null));
    bench.page(CHILDREN, child());
    let op = bench.claim(CHILDREN, 1).remove(0);
    let value = |op: &ClaimedOp| op.write_set(true).find(|field| &*field.path == "parent").map(|field| field.value.get().to_owned());
    assert_eq!(value(&op).as_deref(), Some("null"));
    bench.settle(op.written(true));
    // Nothing to do while the parent is missing.
    bench.page(CHILDREN, child());
    let op = bench.claim(CHILDREN, 1).remove(0);
    assert!(paths(&op, false).is_empty());
    bench.settle(op.written(false));
    bench.page(PARENTS, put("p", payload(1, None)));
    bench.settle(bench.claim(PARENTS, 1)[0].written(true));
    bench.page(CHILDREN, child());
    assert_eq!(paths(&bench.claim(CHILDREN, 1)[0], false), ["parent"]);
}

fn children_are_linked_again_when_the_run_is_killed_after_the_create_of_their_parent(store: New) {
    let (mut bench, _) = parent_to_be_created_again(store);
    // The process dies; the next run finds the record, which the create has made after all.
    bench.run = Bench::begin(&bench.stores);
    let op = bench.claim(PARENTS, 1).remove(0);
    assert!(op.uncertain && op.known);
    bench.settle(op.written(false));
    assert!(matches!(bench.claim(CHILDREN, 1)[0].work, Work::Refetch));
    // Once is enough.
    bench.page(PARENTS, put("p", payload(3, None)));
    bench.settle(bench.claim(PARENTS, 1)[0].written(false));
    assert!(bench.claim(CHILDREN, 1).is_empty());
}

fn children_are_linked_again_when_their_parent_was_created_again_and_given_up_without_an_answer(store: New) {
    let (bench, op) = parent_to_be_created_again(store);
    bench.settle(op.failed(crate::state_support::failure("500"), true));
    bench.page(PARENTS, put("p", payload(3, None)));
    bench.settle(bench.claim(PARENTS, 1)[0].written(false));
    assert!(matches!(bench.claim(CHILDREN, 1)[0].work, Work::Refetch));
}

fn link(op: &ClaimedOp) -> Destination {
    let Work::Upsert(fields) = &op.work else { panic!("no upsert") };
    fields.iter().find_map(|f| f.link.as_ref()).expect("a link").to.clone()
}

fn a_child_is_not_given_out_before_its_parent_is_on_file_and_is_due_in_the_same_transaction(store: New) {
    let bench = Bench::new(store);
    bench.page(CHILDREN, put("c", payload(1, Some(Some("p")))));
    assert!(bench.claim(CHILDREN, 10).is_empty());
    assert_eq!(bench.waiting(), [(PARENTS.to_owned(), 1, "p".to_owned())]);
    assert_eq!(wait(bench.stores.outbox.waiting_size(CHILDREN)).unwrap(), 1);
    bench.page(PARENTS, put("p", payload(1, None)));
    let parent = bench.claim(PARENTS, 10).remove(0);
    assert!(bench.claim(CHILDREN, 10).is_empty());
    bench.settle(parent.written(true));
    assert_eq!(wait(bench.stores.outbox.backlog(CHILDREN)).unwrap().due(), 1);
    let child = bench.claim(CHILDREN, 10).remove(0);
    assert_eq!(link(&child), Destination::Record { source_id: "p".into(), key: "K-p".into() });
    assert_eq!(wait(bench.stores.outbox.waiting_size(CHILDREN)).unwrap(), 0);
}

fn a_waiting_child_holds_up_no_other(store: New) {
    let bench = Bench::new(store);
    for n in 0..50 {
        bench.page(CHILDREN, put(&format!("c{n}"), payload(1, Some(Some("p")))));
    }
    bench.page(CHILDREN, put("free", payload(1, Some(None))));
    let ops = bench.claim(CHILDREN, 4);
    assert_eq!(ops.iter().map(|o| o.source_id.as_str()).collect::<Vec<_>>(), ["free"]);
    assert_eq!(wait(bench.stores.outbox.waiting_size(CHILDREN)).unwrap(), 50);
}

fn a_link_that_did_not_change_is_neither_looked_up_nor_waited_for(store: New) {
    let bench = Bench::new(store);
    bench.page(PARENTS, put("p", payload(1, None)));
    bench.settle(bench.claim(PARENTS, 1)[0].written(true));
    bench.page(CHILDREN, put("c", payload(1, Some(Some("p")))));
    bench.settle(bench.claim(CHILDREN, 1)[0].written(true));
    bench.page(CHILDREN, put("c", payload(2, Some(Some("p")))));
    let op = bench.claim(CHILDREN, 1).remove(0);
    let paths: Vec<&str> = op.write_set(false).map(|f| &*f.path).collect();
    assert_eq!(paths, ["x"]);
}

fn a_delete_waits_for_those_that_link_to_its_record_until_it_is_let_go(store: New) {
    let bench = Bench::new(store);
    bench.page(PARENTS, put("p", payload(1, None)));
    bench.settle(bench.claim(PARENTS, 1)[0].written(true));
    bench.page(CHILDREN, put("c", payload(1, Some(Some("p")))));
    bench.settle(bench.claim(CHILDREN, 1)[0].written(true));
    bench.page(PARENTS, gone("p"));
    assert!(bench.claim(PARENTS, 1).is_empty());
    let waits = wait(bench.stores.outbox.waiting_for(PARENTS)).unwrap();
    assert_eq!((waits[0].parent.as_str(), waits[0].example.as_str(), waits[0].example_parent.as_str()), (CHILDREN, "p", "c"));
    assert_eq!(wait(bench.stores.outbox.let_deletes_go(PARENTS, now())).unwrap(), 1);
    assert_eq!(bench.claim(PARENTS, 1).len(), 1);
}

fn a_full_load_that_misses_too_many_queues_nothing(store: New) {
    let bench = Bench::new(store);
    for n in 0..300 {
        bench.page(PARENTS, put(&format!("p{n}"), payload(1, None)));
    }
    loop {
        let ops = bench.claim(PARENTS, 300);
        if ops.is_empty() {
            break;
        }
        wait(bench.stores.outbox.settle(bench.run, ops.iter().map(|op| op.written(true)).collect())).unwrap();
    }
    wait(bench.stores.cursors.restart(PARENTS, d365map::store::Reason::Resync, "plan")).unwrap();
    let from = wait(bench.stores.cursors.cursor_or_first(PARENTS, "plan")).unwrap();
    let page = |seen: u32, percent: u8| PageCommit {
        run: bench.run,
        mapping: PARENTS.into(),
        from: from.clone(),
        changes: (0..seen).map(|n| put(&format!("p{n}"), payload(1, None))).collect(),
        rewrite: false,
        times: PageTimes::default(),
        guard: Some(MassLimits { count: 100, percent }),
        to: CursorMove::RoundEnd { link: Some("delta".into()), unseen: Unseen::Delete },
    };
    let change = wait(bench.stores.cursors.commit_page(page(200, 33))).unwrap().mass_change.expect("it is held");
    assert_eq!((change.unseen, change.known, change.source_empty), (100, 300, false));
    assert_eq!(wait(bench.stores.outbox.backlog_size(PARENTS)).unwrap(), 0, "nothing can be claimed");
    wait(bench.stores.cursors.restart(PARENTS, d365map::store::Reason::Resync, "plan")).unwrap();
    assert_eq!(wait(bench.stores.outbox.mass_change(PARENTS)).unwrap(), None, "everything is read again: what was held is moot");
    let from = wait(bench.stores.cursors.cursor_or_first(PARENTS, "plan")).unwrap();
    let outcome = wait(bench.stores.cursors.commit_page(PageCommit { from, ..page(201, 1) })).unwrap();
    assert_eq!((outcome.unseen_deleted, outcome.mass_change), (99, None), "fewer than the count, and not half of them");
    assert_eq!(wait(bench.stores.outbox.backlog_size(PARENTS)).unwrap(), 99);
}

// --- random histories --------------------------------------------------------------------------------------------------

const IDS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Fate {
    Done,
    /// Carried out or not, its answer is lost.
    Lost(bool),
    NotSent,
}

#[derive(Debug, Clone)]
enum Act {
    PutParent(usize, u8),
    DropParent(usize),
    PutChild(usize, u8, Option<usize>),
    DropChild(usize),
    Work {
        children: bool,
        limit: usize,
        fate: Fate,
    },
    /// Operations are claimed and the process dies.
    Crash {
        children: bool,
        limit: usize,
        carried_out: bool,
    },
    LetGo,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Record {
    x: u8,
    parent: Option<String>,
}

struct World {
    bench: Bench,
    /// What the source has: the parents' values, the children's values and links.
    parents: BTreeMap<String, u8>,
    children: BTreeMap<String, Record>,
    /// What the target has, by key; a link holds the parent's key.
    target_parents: BTreeMap<String, u8>,
    target_children: BTreeMap<String, Record>,
}

impl World {
    fn change_of(&self, children: bool, id: &str) -> Change {
        if children {
            match self.children.get(id) {
                Some(record) => put(id, payload(record.x, Some(record.parent.as_deref()))),
                None => gone(id),
            }
        } else {
            self.parents.get(id).map_or_else(|| gone(id), |x| put(id, payload(*x, None)))
        }
    }

    /// What the target does with an operation, as a worker would ask it to; the answer.
    fn carry_out(&mut self, children: bool, op: &ClaimedOp) -> Settlement {
        let exists = if children { self.target_children.contains_key(&op.key) } else { self.target_parents.contains_key(&op.key) };
        match &op.work {
            Work::Delete => {
                if children {
                    self.target_children.remove(&op.key);
                } else {
                    self.target_parents.remove(&op.key);
                    for child in self.target_children.values_mut().filter(|c| c.parent.as_ref() == Some(&op.key)) {
                        child.parent = None;
                    }
                }
                op.deleted()
            }
            Work::Refetch => unreachable!("a refetch reads the source"),
            Work::Upsert(_) => {
                let create = !exists;
                let mut record = self.target_children.get(&op.key).cloned().unwrap_or_default();
                for field in op.write_set(create) {
                    match &field.link {
                        None => record.x = field.value.get().parse().unwrap(),
                        Some(link) => {
                            record.parent = match &link.to {
                                Destination::Nowhere => None,
                                Destination::Absent { source_id } => return op.unlinked(&link.mapping, source_id, false),
                                Destination::Record { source_id, key } => {
                                    if !self.target_parents.contains_key(key) {
                                        return op.unlinked(&link.mapping, source_id, true);
                                    }
                                    Some(key.clone())
                                }
                            }
                        }
                    }
                }
                if children {
                    self.target_children.insert(op.key.clone(), record);
                } else {
                    let x = op.write_set(create).next().map(|f| f.value.get().parse().unwrap());
                    let old = self.target_parents.get(&op.key).copied().unwrap_or_default();
                    self.target_parents.insert(op.key.clone(), x.unwrap_or(old));
                }
                op.written(create)
            }
        }
    }

    fn work(&mut self, children: bool, limit: usize, fate: Fate) -> bool {
        let flow = if children { CHILDREN } else { PARENTS };
        let ops = self.bench.claim(flow, limit);
        for op in &ops {
            if matches!(op.work, Work::Refetch) {
                let change = self.change_of(children, &op.source_id);
                let outcome =
                    wait(self.bench.stores.outbox.resolve_refetch(self.bench.run, flow, op.seq, change, PageTimes::default(), false))
                        .unwrap();
                assert!(matches!(outcome, RefetchOutcome::Applied(_)), "{outcome:?}");
                continue;
            }
            let settlement = match fate {
                Fate::Done => self.carry_out(children, op),
                Fate::Lost(carried_out) => {
                    if carried_out {
                        self.carry_out(children, op);
                    }
                    op.retry(now(), "no answer", true)
                }
                Fate::NotSent => op.released(),
            };
            self.bench.settle(settlement);
        }
        !ops.is_empty()
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::PutParent(n, x) => {
                self.parents.insert(format!("p{n}"), x);
                self.bench.page(PARENTS, self.change_of(false, &format!("p{n}")));
            }
            Act::DropParent(n) => {
                self.parents.remove(&format!("p{n}"));
                self.bench.page(PARENTS, self.change_of(false, &format!("p{n}")));
            }
            Act::PutChild(n, x, parent) => {
                self.children.insert(format!("c{n}"), Record { x, parent: parent.map(|p| format!("p{p}")) });
                self.bench.page(CHILDREN, self.change_of(true, &format!("c{n}")));
            }
            Act::DropChild(n) => {
                self.children.remove(&format!("c{n}"));
                self.bench.page(CHILDREN, self.change_of(true, &format!("c{n}")));
            }
            Act::Work { children, limit, fate } => drop(self.work(children, limit, fate)),
            Act::Crash { children, limit, carried_out } => {
                let ops = self.bench.claim(if children { CHILDREN } else { PARENTS }, limit);
                for op in ops.iter().filter(|op| carried_out && !matches!(op.work, Work::Refetch)) {
                    self.carry_out(children, op);
                }
                self.bench.run = Bench::begin(&self.bench.stores);
            }
            Act::LetGo => drop(wait(self.bench.stores.outbox.let_deletes_go(PARENTS, now())).unwrap()),
        }
    }

    fn drain(&mut self) {
        for _ in 0..200 {
            if !self.work(false, 10, Fate::Done)
                && !self.work(true, 10, Fate::Done)
                && wait(self.bench.stores.outbox.let_deletes_go(PARENTS, now())).unwrap() == 0
            {
                return;
            }
        }
        panic!("it never ends: {:?}", wait(self.bench.stores.control.status()).unwrap());
    }

    fn check(&self) {
        let expected: BTreeMap<String, u8> = self.parents.iter().map(|(id, x)| (format!("K-{id}"), *x)).collect();
        assert_eq!(self.target_parents, expected);
        let mut waiting = 0;
        for (id, record) in &self.children {
            let found = self.target_children.get(&format!("K-{id}"));
            match &record.parent {
                Some(parent) if !self.parents.contains_key(parent) => {
                    // It waits, or it was linked before the parent went, and the service has emptied the link.
                    waiting += u64::from(found.is_none_or(|f| f.x != record.x));
                    assert!(found.is_none_or(|f| f.parent.as_ref().is_none_or(|p| self.target_parents.contains_key(p))));
                }
                parent => {
                    let parent = parent.as_ref().map(|p| format!("K-{p}"));
                    assert_eq!(found, Some(&Record { x: record.x, parent }), "{id}");
                }
            }
        }
        for key in self.target_children.keys() {
            assert!(self.children.contains_key(key.trim_start_matches("K-")), "{key} was not deleted");
        }
        let backlog = wait(self.bench.stores.outbox.backlog(CHILDREN)).unwrap();
        assert_eq!((backlog.due(), backlog.total()), (0, backlog.waiting_for_parents));
        assert!(backlog.waiting_for_parents >= waiting);
        assert_eq!(
            wait(self.bench.stores.outbox.waiting_for(CHILDREN)).unwrap().iter().map(|w| w.records).sum::<u64>(),
            backlog.waiting_for_parents
        );
        assert_eq!(wait(self.bench.stores.outbox.backlog_size(PARENTS)).unwrap(), 0);
    }
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let fate = prop_oneof![4 => Just(Fate::Done), 1 => any::<bool>().prop_map(Fate::Lost), 1 => Just(Fate::NotSent)];
    let act = prop_oneof![
        3 => (0..IDS, any::<u8>()).prop_map(|(n, x)| Act::PutParent(n, x)),
        2 => (0..IDS).prop_map(Act::DropParent),
        5 => (0..IDS, any::<u8>(), prop::option::of(0..IDS)).prop_map(|(n, x, p)| Act::PutChild(n, x, p)),
        1 => (0..IDS).prop_map(Act::DropChild),
        8 => (any::<bool>(), 1..4usize, fate).prop_map(|(children, limit, fate)| Act::Work { children, limit, fate }),
        1 => (any::<bool>(), 1..4usize, any::<bool>()).prop_map(|(children, limit, carried_out)| Act::Crash { children, limit, carried_out }),
        1 => Just(Act::LetGo),
    ];
    prop::collection::vec(act, 1..60)
}

fn whatever_happens_children_end_linked_to_their_parents_or_wait_for_them(store: New) {
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    let ended = TestRunner::new(config).run(&acts(), |acts| {
        let mut world = World {
            bench: Bench::new(store),
            parents: BTreeMap::new(),
            children: BTreeMap::new(),
            target_parents: BTreeMap::new(),
            target_children: BTreeMap::new(),
        };
        for act in acts {
            world.act(act);
        }
        world.drain();
        world.check();
        Ok(())
    });
    if let Err(error) = ended {
        panic!("{error}");
    }
}

rules![
    children_are_linked_again_when_the_run_is_killed_after_the_create_of_their_parent,
    children_are_linked_again_when_their_parent_was_created_again_and_given_up_without_an_answer,
    a_child_is_not_given_out_before_its_parent_is_on_file_and_is_due_in_the_same_transaction,
    a_waiting_child_holds_up_no_other,
    a_link_that_may_come_later_is_left_out_and_follows_when_its_parent_is_written,
    a_link_that_may_come_later_is_due_if_its_parent_came_while_the_record_was_written,
    a_link_that_may_be_empty_is_empty_while_its_parent_is_missing_and_differs_when_it_is_there,
    a_link_that_did_not_change_is_neither_looked_up_nor_waited_for,
    a_delete_waits_for_those_that_link_to_its_record_until_it_is_let_go,
    a_full_load_that_misses_too_many_queues_nothing,
    whatever_happens_children_end_linked_to_their_parents_or_wait_for_them,
];
