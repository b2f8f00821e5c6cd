//! The task that measures the node's load and tells the shards when to shed new calls.

use crate::call::Node;
use crate::guard::{Load, Overload, Shedding};
use crate::net::Transports;
use crate::observe::{Happening, Observer};
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// Measures for ever; ends with the shards.
pub async fn watch(node: Arc<Node>, transports: Transports, observer: Arc<dyn Observer>) {
    let Some(signalling) = node.signalling.get().cloned() else {
        return;
    };
    let mut overload = Overload::default();
    loop {
        let due = Instant::now() + Overload::INTERVAL;
        sleep_until(due).await;
        let load = Load {
            backlog: transports.backlog(),
            lag: due.elapsed(),
        };
        let Some(decided) = overload.measure(load, node.clock.now()) else {
            continue;
        };
        let shedding = decided == Shedding::Begins;
        let retry_after = node.config.load().sbc.guard.retry_after;
        if signalling
            .shed_new_calls(shedding.then_some(retry_after))
            .await
            .is_err()
        {
            return;
        }
        observer.happened(&Happening::Overload {
            shedding,
            load: overload.average(),
        });
    }
}
