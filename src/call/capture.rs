//! Keys that an application wants to hear of while two sides talk (`dtmfCapture`), a collector per side.

use super::id::LegIndex;
use super::value::Call;
use crate::app::pattern::Collector;
use crate::app::payload;
use crate::moment::Moment;
use serde::{Deserialize, Serialize};

/// One side's keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Capture {
    pub(super) leg: LegIndex,
    pub(super) collector: Collector,
}

impl Call {
    /// The bridge stands: keys of both sides are collected where the dial asks for it.
    pub(super) fn listen_to_bridge(&mut self) {
        let Some(winner) = self.winner else { return };
        let Some(app) = &mut self.app else { return };
        let Some(dialing) = &app.dialing else { return };
        if dialing.verb.dtmf_hook.is_none() {
            return;
        }
        let capture = &dialing.verb.dtmf_capture;
        let sides = [(LegIndex::CALLER, &capture.parent), (winner, &capture.child)];
        app.captures = sides
            .into_iter()
            .filter(|(_, patterns)| !patterns.is_empty())
            .map(|(leg, patterns)| Capture {
                leg,
                collector: Collector::new(patterns.clone()),
            })
            .collect();
    }

    pub(super) fn stop_listening_to_bridge(&mut self) {
        if let Some(app) = &mut self.app {
            app.captures.clear();
        }
    }

    /// A key on a bridged leg.
    pub(super) fn captured(&mut self, leg: LegIndex, digit: char, now: Moment) {
        let Some(app) = &mut self.app else { return };
        let capture = app.captures.iter_mut().find(|capture| capture.leg == leg);
        let Some(matched) = capture.and_then(|capture| capture.collector.key(digit, now)) else {
            return;
        };
        let hook = app.dialing.as_ref().and_then(|dialing| dialing.verb.dtmf_hook.clone());
        if let Some(hook) = hook {
            self.notify(leg, &hook, payload::dtmf(&matched), None, now);
        }
    }
}
