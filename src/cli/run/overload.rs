//! The task that measures the node's load and tells the shards how many of the new calls to shed.

use crate::call::Node;
use crate::guard::{Load, Overload, Shedding};
use crate::net::Transports;
use crate::observe::{Happening, Observer};
use crate::sip::transaction::Shed;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// Measures for ever; ends with the shards. `calls_begun` says how many have so far.
pub async fn watch(
    node: Arc<Node>,
    transports: Transports,
    calls_begun: impl Fn() -> u64,
    observer: Arc<dyn Observer>,
) {
    let Some(signalling) = node.signalling.get().cloned() else {
        return;
    };
    let mut overload = Overload::default();
    let mut told = None;
    let (mut before, mut last) = (calls_begun(), Instant::now());
    loop {
        let due = Instant::now() + Overload::INTERVAL;
        sleep_until(due).await;
        // A look that comes late has seen more.
        let (begun, seen) = (calls_begun(), last.elapsed().max(Overload::INTERVAL));
        let load = Load {
            backlog: transports.backlog(),
            lag: due.elapsed(),
            calls: begun.saturating_sub(before) as f64 / seen.as_secs_f64(),
        };
        (before, last) = (begun, Instant::now());
        let turned = overload.measure(load, node.clock.now());
        let share = overload.refused();
        if turned.is_some() || share != told {
            told = share;
            let shed = share.map(|share| Shed {
                share,
                retry_after: node.config.load().sbc.guard.retry_after,
            });
            if signalling.shed_new_calls(shed).await.is_err() {
                return;
            }
        }
        if let Some(turned) = turned {
            observer.happened(&Happening::Overload {
                shedding: turned == Shedding::Begins,
                load: overload.average(),
            });
        }
    }
}
