//! Any text is a plan or is refused; a plan that is accepted can be written, read again, described and made ready, and no
//! record makes it panic.
#![no_main]

use d365map::eval::Evaluator;
use d365map::plan::{ExecutionPlan, describe};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(plan) = ExecutionPlan::from_json(text) else { return };
    describe(&plan);
    assert_eq!(ExecutionPlan::from_json(&plan.to_json()).unwrap(), plan);
    let now = d365map::time::parse_instant("2026-11-21T12:00:00Z").unwrap();
    for flow in &plan.ingress {
        flow.fingerprint();
        let Ok(evaluator) = Evaluator::new(flow) else { continue };
        let mut record = String::from("{");
        for (i, slot) in flow.source.slots.iter().enumerate() {
            if i > 0 {
                record.push(',');
            }
            let name = slot.wire.replace(['"', '\\'], "").replace(|c: char| c.is_control(), "");
            record.push_str(&format!("\"{name}\":\"1\""));
        }
        record.push('}');
        drop(evaluator.evaluate(&record, now));
    }
});
