//! What one flow's round leaves to do for another: a parent's delete that was held until its children were through, a parent
//! that was found missing at the target, and the children that waited for it.

use crate::run::workflow::{Kind, Workflow};
use crate::run::{Context, RunError};

/// Rounds through all flows at most: links are three tables deep, and a way down and up again is enough for what can come up.
const ROUNDS: usize = 6;

/// Goes on with flows that others have made work for, until there is none. After all flows went through a round.
pub(in crate::run) async fn leftovers(flows: &[Workflow], context_of: impl Fn(&str) -> Context) -> Result<(), RunError> {
    let ingress: Vec<&Workflow> = flows.iter().filter(|f| f.kind == Kind::Ingress).collect();
    for flow in &ingress {
        let context = context_of(&flow.name);
        // Those who link to its records had their turn only if they took part.
        let (plan, name) = (&context.plan, flow.name.clone());
        let mut children = plan.ingress.iter().filter(|child| child.depends_on.contains(&name));
        if children.all(|child| ingress.iter().any(|f| f.name == child.name)) {
            let now = context.now();
            context.stores.outbox.let_deletes_go(&name, now).await?;
        }
    }
    for _ in 0..ROUNDS {
        let mut worked = false;
        for flow in &ingress {
            let context = context_of(&flow.name);
            if context.stop.is_cancelled() {
                continue;
            }
            if context.stores.outbox.backlog(&flow.name).await?.due() > 0 {
                worked = true;
                flow.round(context).await?;
            }
        }
        if !worked {
            break;
        }
    }
    Ok(())
}
