//! A callee that goes on as a call of its own: its application fetches or names verbs for it, the caller's dial is over,
//! and its leg with dialog and media becomes the first leg of another call, in one step.

use super::application::{App, AppTerms, Asked, CallerFacts, Line, Why};
use super::cause::Party;
use super::dialing::EndedBy;
use super::directory::MovedDialog;
use super::event::{Effect, Reply};
use super::id::{CallId, LegIndex};
use super::leg::{Leg, LegState};
use super::leg_media::{LegMedia, Sockets};
use super::record::{CallFacts, Direction};
use super::setup::Settings;
use super::value::{Call, Phase};
use crate::app::command::Onward;
use crate::app::payload::{Properties, Status};
use crate::app::sid::CallSid;
use crate::app::verb::{Hook, Verb};
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a call wants done by this name, where it can't be.
const WHAT: &str = "child_call_hook";

/// A callee whose application is being asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Parting {
    /// What the caller goes on with then.
    parent: Option<Onward>,
    /// Who is asked.
    hook: Hook,
}

/// A callee that leaves its call, and what its own begins with.
#[derive(Debug)]
pub struct Parted {
    /// What the old call knew its leg by.
    pub from: LegIndex,
    pub leg: Leg,
    pub facts: CallFacts,
    pub caller: CallerFacts,
    pub terms: Arc<AppTerms>,
    pub sid: CallSid,
    pub parent: CallSid,
    pub tag: Option<Properties>,
    pub verbs: Vec<Verb>,
    /// When it answered.
    pub answered: Moment,
    /// The caller had put it on hold.
    held: bool,
    /// The new call tells of verbs as the old one did.
    notifies: bool,
    /// `parent_call_info` of a connected application.
    parent_info: Properties,
    max_forwards: u8,
    settings: Settings,
}

impl Parted {
    /// The dialog that belongs to another call now.
    pub fn dialog(&self) -> Option<MovedDialog> {
        self.leg.moved_dialog()
    }
}

impl Leg {
    /// Its dialog, where it goes to another call.
    pub(super) fn moved_dialog(&self) -> Option<MovedDialog> {
        Some(MovedDialog {
            tag: self.dialog.as_ref()?.id().local_tag.clone(),
            invites: [self.invite.as_ref().map(|invite| invite.token), self.reinvited],
        })
    }
}

impl Call {
    /// Another application for the callee that the caller talks to, and for the caller where one is said.
    pub(super) fn part(&mut self, parent: Option<Onward>, child: Onward, now: Moment) {
        let Some(winner) = self.winner.filter(|_| self.bridged.is_some()) else {
            self.tell_bad_answer(LegIndex::CALLER, WHAT, "the caller talks to no callee", now);
            return;
        };
        match child {
            Onward::Verbs(verbs) => self.part_with(winner, (verbs, None), parent, now),
            Onward::Hook(hook) => self.ask_for_parting(winner, hook, parent, now),
        }
    }

    fn ask_for_parting(&mut self, winner: LegIndex, hook: Hook, parent: Option<Onward>, now: Moment) {
        let properties = self.properties(winner, now);
        let Some(app) = &mut self.app else { return };
        if app.parting.is_some() {
            self.tell_bad_answer(winner, WHAT, "the callee's application is being asked already", now);
            return;
        }
        app.parting = Some(Parting {
            parent,
            hook: hook.clone(),
        });
        self.ask_aside(winner, Why::Part, hook, properties);
    }

    /// The application has said what the callee goes on with.
    pub(super) fn part_decided(&mut self, asked: &Asked, result: Result<Reply, String>, now: Moment) {
        let Some(Parting { parent, hook }) = self.app.as_mut().and_then(|app| app.parting.take()) else {
            return;
        };
        match result {
            Ok(_) if self.winner != Some(asked.leg) || self.bridged.is_none() => {
                self.tell_bad_answer(LegIndex::CALLER, WHAT, "the callee is gone", now);
                if let Some(parent) = parent {
                    self.go_on_with(parent, now);
                }
            }
            Ok(reply) => self.part_with(asked.leg, (reply.verbs, Some(&hook)), parent, now),
            // The two go on talking, and what was said for the caller is not asked for: both change, or neither.
            Err(detail) => self.tell_bad_answer(asked.leg, WHAT, &detail, now),
        }
    }

    /// With verbs, and the hook that they came from.
    fn part_with(&mut self, index: LegIndex, onward: (Vec<Verb>, Option<&Hook>), parent: Option<Onward>, now: Moment) {
        let open = |leg: &Leg| leg.waiting.is_some() || leg.unacknowledged.is_some();
        if self.change.is_some() || self.leg(index).is_none_or(open) {
            self.tell_bad_answer(index, WHAT, "a re-INVITE is under way: ask again", now);
            return;
        }
        if self.transfer.is_some() {
            self.tell_bad_answer(index, WHAT, "a transfer is under way: ask again", now);
            return;
        }
        if self.is_emergency(index) {
            self.tell_bad_answer(index, WHAT, "an emergency call is left as it is", now);
            return;
        }
        // While the leg is here: what it still has to hear of a REFER, and what only this call plays to it or makes of it.
        self.tell_outcome(index);
        self.refers_outlast_bridge();
        let boosted = self.app.as_mut().and_then(|app| app.dialing.as_mut());
        let boosted = boosted.map(|dialing| std::mem::take(&mut dialing.boosted));
        self.end_boosts(&boosted.unwrap_or_default());
        self.stop_hold_music();
        self.end_whispers(index);
        let Some(parted) = self.take_leg(index, onward, now) else {
            return;
        };
        self.dial_ended_by(EndedBy::Application);
        if let Some(dialing) = self.app.as_mut().and_then(|app| app.dialing.as_mut()) {
            dialing.abandoned = parent.is_some();
        }
        if let Some(handle) = parted.leg.media.handle() {
            self.effects.push(Effect::UnbridgeMedia { handle });
        }
        self.effects.push(Effect::Part(Box::new(parted)));
        self.dial_ended(now);
        match parent {
            // Its dial is over: there is nothing that could go on meanwhile.
            Some(Onward::Hook(hook)) => {
                self.overrule_refers();
                self.forget_replacement(LegIndex::CALLER);
                self.ask_redirect(LegIndex::CALLER, &hook, now);
            }
            Some(verbs) => self.go_on_with(verbs, now),
            None => {}
        }
    }

    /// The caller's application goes on with something else.
    fn go_on_with(&mut self, onward: Onward, now: Moment) {
        match onward {
            Onward::Hook(hook) => self.ask_for_replacement(LegIndex::CALLER, hook, now),
            Onward::Verbs(verbs) => {
                self.forget_replacement(LegIndex::CALLER);
                self.abandon_dial(LegIndex::CALLER, now);
                self.replace_verbs(LegIndex::CALLER, verbs, now);
            }
        }
    }

    /// Takes a bridged leg out of this call; what stays is its record.
    fn take_leg(&mut self, index: LegIndex, (verbs, hook): (Vec<Verb>, Option<&Hook>), now: Moment) -> Option<Parted> {
        let parent_info = self.properties(LegIndex::CALLER, now);
        let position = self.attempt_of(index)?;
        let child = self.child(position)?.clone();
        let answered = child.answered.unwrap_or(now);
        let caller = self.as_first_leg(&child)?;
        let app = self.app.as_ref()?;
        let began_unix_ms = self.facts.began_unix_ms + self.milestones.after_ms(answered);
        let parted = Parted {
            from: index,
            facts: CallFacts {
                direction: Direction::Placed,
                tenant: self.facts.tenant.clone(),
                carrier: None,
                from: caller.from.clone(),
                to: caller.to.clone(),
                emergency: false,
                elin: None,
                began_unix_ms,
                trace: Vec::new(),
            },
            caller,
            terms: Arc::new(app.terms_of_child(hook)),
            sid: child.sid,
            parent: app.sid,
            tag: child.tag,
            verbs,
            answered,
            held: self.holds(LegIndex::CALLER) && !self.is_open_both_ways(index),
            notifies: app.notifies,
            parent_info,
            max_forwards: self.max_forwards,
            settings: Settings {
                hold_timeout: self.hold_timeout,
                hop_mark: self.hop_mark,
            },
            leg: self.replace_leg(index)?,
        };
        // Its child call goes on: its end is told by the call that it becomes.
        if let Some(child) = self.child_mut(position) {
            child.status = Status::Completed;
            child.ended = Some(now);
            child.parted = true;
        }
        Some(parted)
    }

    pub(super) fn replace_leg(&mut self, index: LegIndex) -> Option<Leg> {
        let leg = self.leg_mut(index)?;
        let mut left = Leg::new(index, leg.side, leg.terms.clone(), leg.contact_user.clone());
        left.state = LegState::Gone;
        left.record = leg.record.clone();
        left.holds_since = leg.holds_since;
        left.media = LegMedia {
            sockets: Sockets::None,
            ..leg.media.clone()
        };
        Some(std::mem::replace(leg, left))
    }

    /// The call that a callee becomes, and the effects that begin it.
    pub fn inherit(id: CallId, seed: u64, parted: Parted, now: Moment) -> (Call, Vec<Effect>) {
        let mut leg = parted.leg;
        (leg.index, leg.side) = (LegIndex::CALLER, Party::Caller);
        leg.count_holds_anew(now);
        // Whatever key was being sent, its end is told to nobody.
        leg.key_ways = Default::default();
        let mut app = App::new(parted.terms, parted.caller, parted.sid);
        (app.placed, app.parent) = (true, Some(parted.parent));
        (app.status, app.sip_status) = (Status::InProgress, 200);
        app.phrase = crate::sip::message::reason_phrase(200).to_owned();
        (app.notifies, app.tag) = (parted.notifies, parted.tag);
        app.changes = 1;
        app.lines.push(Line {
            verbs: parted.verbs.into(),
            begun: true,
            ..Line::new(LegIndex::CALLER)
        });
        let mut call = Call {
            max_forwards: parted.max_forwards,
            hop_mark: parted.settings.hop_mark,
            phase: Phase::Answered,
            status: 200,
            settled_here: true,
            app: Some(Box::new(app)),
            ..Call::new(id, seed, parted.facts, leg, parted.settings, parted.answered)
        };
        call.milestones.answered = Some(parted.answered);
        call.connect_alone(LegIndex::CALLER, now);
        if parted.held {
            call.align(LegIndex::CALLER, now);
        }
        call.ask_as_adult(parted.parent_info, now);
        call.advance(LegIndex::CALLER, now);
        call.settle_listening();
        call.finish(now);
        let effects = std::mem::take(&mut call.effects);
        (call, effects)
    }

    /// A connected application gets a connection of its own for the new call.
    fn ask_as_adult(&mut self, parent: Properties, now: Moment) {
        let mut properties = self.properties(LegIndex::CALLER, now);
        properties.insert("parent_call_info".into(), parent.into());
        let Some(app) = self.app.as_ref().filter(|app| app.session.is_some()) else {
            return;
        };
        let hook = app.terms.hook.clone();
        self.ask_aside(LegIndex::CALLER, Why::Adulting, hook, properties);
    }

    /// What a connected application has said to the new call.
    pub(super) fn adulting_answered(&mut self, result: Result<Reply, String>, now: Moment) {
        match result {
            Ok(reply) if reply.verbs.is_empty() => {}
            Ok(reply) => self.replace_verbs(LegIndex::CALLER, reply.verbs, now),
            Err(detail) => {
                self.tell_error("session:adulting", &detail);
                self.application_left(None, now);
            }
        }
    }
}

impl App {
    /// The terms of a callee that becomes a call of its own. Its application lives at the http server that has answered for it;
    /// with a path, or verbs alone, it is the one that this call has.
    fn terms_of_child(&self, hook: Option<&Hook>) -> AppTerms {
        let (hook, connected) = match (AppTerms::server_of_callee(hook), &self.session) {
            (Some(hook), _) => (self.with_credentials(hook.clone()), false),
            (None, Some(session)) => (adulting(session), true),
            (None, None) => (self.terms.hook.clone(), false),
        };
        AppTerms {
            hook,
            connected,
            ..(*self.terms).clone()
        }
    }
}

/// Where a connected application is asked about a callee that has become a call of its own.
fn adulting(hook: &Hook) -> Hook {
    let end = hook.url.find(['?', '#']).unwrap_or(hook.url.len());
    let (path, more) = hook.url.split_at(end);
    Hook {
        url: format!("{}/adulting{more}", path.trim_end_matches('/')),
        ..hook.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_new_call_lies_below_the_applications_own() {
        for (url, expected) in [
            ("wss://a.example", "wss://a.example/adulting"),
            ("wss://a.example/calls/", "wss://a.example/calls/adulting"),
            (
                "wss://a.example/calls?x=1#rc=2",
                "wss://a.example/calls/adulting?x=1#rc=2",
            ),
        ] {
            assert_eq!(adulting(&Hook::post(url)).url, expected);
        }
    }
}
