//! A callee that becomes a call of its own: another task, with its media, its place at a carrier, and what is still to come
//! for it.

use super::{CallTask, Dowry, Planner, Setting, begin};
use crate::call::directory::MovedDialog;
use crate::call::event::Event;
use crate::call::id::LegIndex;
use crate::call::leg::Leg;
use crate::call::parting::Parted;
use crate::call::value::Call;
use crate::config::Limits;
use crate::guard::{NODE, tenant_owner};
use crate::observe::Happening;
use crate::sip::message::ResponseDraft;

impl CallTask {
    pub(super) fn part(&mut self, parted: Parted) {
        let node = self.node.clone();
        let now = node.clock.now();
        let tenant = tenant_owner(&parted.facts.tenant);
        let limits = Limits::default();
        // Its leg is up already: what limits new calls does not end it.
        let taken = node
            .places
            .take(&[(NODE, limits), (tenant.as_str(), limits)], true, now);
        let (Ok(place), Some(dialog)) = (taken, parted.dialog()) else {
            return;
        };
        let (listed, events) = node.enter_call(&parted.facts, now);
        let live = listed.live().clone();
        node.observer.happened(&Happening::CallBegan {
            call: live.id,
            facts: &live.facts,
        });
        node.calls.move_dialog(dialog.clone(), live.id);
        self.moved.push((dialog, live.id));
        let planner = self.planner.as_ref().map(|planner| {
            let (config, tenant) = (planner.config.clone(), planner.tenant.clone());
            Box::new(Planner::of_nobody(config, tenant))
        });
        let setting = Setting {
            node,
            place,
            events,
            planner,
            ordered: None,
            dowry: self.dowry_of(&parted.leg, parted.from),
            listed,
        };
        begin(setting, Call::inherit(live.id, rand::random(), parted, now));
    }

    pub(super) fn dowry_of(&mut self, leg: &Leg, from: LegIndex) -> Dowry {
        let handle = leg.media.handle();
        self.handles.retain(|(known, _)| Some(*known) != handle);
        let theirs = |(leg, ..): &mut (LegIndex, _, _)| *leg == from;
        let places = self.carrier_places.extract_if(.., theirs);
        Dowry {
            handles: handle.into_iter().map(|handle| (handle, LegIndex::CALLER)).collect(),
            carrier_places: places
                .map(|(_, carrier, place)| (LegIndex::CALLER, carrier, place))
                .collect(),
            events: self
                .applied
                .as_ref()
                .map(|applied| applied.events())
                .unwrap_or_default(),
        }
    }

    /// What media workers tell of legs that came from another call is told here from now on.
    pub(super) fn take_over_media(&self) {
        for (handle, _) in &self.handles {
            self.media_command(self.node.media.hand_over(*handle, self.media_events.clone()));
        }
    }

    /// What had come for a dialog before it moved goes after it; all else is given back.
    pub(super) async fn pass_on(&self, event: Event) -> Option<Event> {
        if self.moved.is_empty() {
            return Some(event);
        }
        let moved = |wanted: &dyn Fn(&MovedDialog) -> bool| {
            let found = self.moved.iter().find(|(dialog, _)| wanted(dialog));
            found.map(|(_, call)| *call)
        };
        let call = match &event {
            Event::Request { message, .. } | Event::Ack { message, .. } => {
                moved(&|dialog| message.to_tag() == Some(dialog.tag.as_str()))
            }
            Event::Response { token, .. } => moved(&|dialog| dialog.invites.contains(&Some(*token))),
            _ => None,
        };
        let Some(call) = call else { return Some(event) };
        let asked = match &event {
            Event::Request { transaction, .. } => Some(*transaction),
            _ => None,
        };
        if let (Err(_), Some(transaction)) = (self.node.calls.deliver(call, event), asked) {
            let gone = ResponseDraft::new(481);
            self.stopped(self.signalling.respond(transaction, gone).await.is_err());
        }
        None
    }
}
