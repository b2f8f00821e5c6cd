//! What an application, or somebody over REST, wants of a call while it lasts.

use super::application::Running;
use super::cause::Cause;
use super::dialing::EndedBy;
use super::event::{Command, Effect, Onward, Source, Wish};
use super::id::LegIndex;
use super::value::{Call, Phase};
use crate::app::sid::CallSid;
use crate::app::verb::Verb;
use crate::moment::Moment;
use std::sync::Arc;

/// Verbs of one line that may wait.
const MOST_WAITING: usize = 1_000;
/// The Reason of legs whose application goes on without them.
const REPLACED: &str = "Q.850;cause=16;text=\"Normal call clearing\"";

impl Call {
    /// Whether a call_sid is one of this call's legs.
    pub(super) fn leg_of_sid(&self, sid: CallSid) -> Option<LegIndex> {
        let app = self.app.as_ref()?;
        if app.sid == sid {
            return Some(LegIndex::CALLER);
        }
        let mut children = self.ringing.iter().filter_map(|ringing| ringing.child.as_ref());
        children.find(|child| child.sid == sid)?.leg
    }

    /// The call_sid of a leg.
    pub(super) fn sid_of(&self, leg: LegIndex) -> Option<CallSid> {
        match self.attempt_of(leg) {
            Some(position) if leg != LegIndex::CALLER => self.child(position).map(|child| child.sid),
            _ => self.app.as_ref().map(|app| app.sid),
        }
    }

    /// Does what somebody wants; what can't be done is told to the application.
    pub(super) fn commanded(&mut self, command: Command, now: Moment) {
        if self.app.is_none() || matches!(self.phase, Phase::Ending | Phase::Over) {
            return;
        }
        let leg = match command.leg {
            None => LegIndex::CALLER,
            Some(sid) => match self.leg_of_sid(sid) {
                Some(leg) => leg,
                None => {
                    let detail = format!("this call has no leg {sid}");
                    self.tell_error("command", &detail);
                    self.done(command.reply, Err(detail));
                    return;
                }
            },
        };
        match command.wish {
            Wish::All(wishes) => {
                let terms = self.app.as_ref().map(|app| &app.terms);
                let misplaced = terms.and_then(|terms| terms.misplaced_status_hook(&wishes, leg == LegIndex::CALLER));
                if let Some(why) = misplaced {
                    self.tell_error("call_status_hook", why);
                    self.done(command.reply, Err(why.to_owned()));
                    return;
                }
                // Together with a whisper: both, or neither.
                let sends_keys = wishes.iter().any(|wish| matches!(wish, Wish::Digits { .. }));
                if let Some(why) = self.takes_no_keys(leg).filter(|_| sends_keys) {
                    if command.reply.is_none() {
                        self.tell_error("dtmf", why);
                    }
                    self.done(command.reply, Err(why.to_owned()));
                    return;
                }
                for wish in wishes {
                    self.commanded(Command { wish, ..command }, now);
                }
            }
            Wish::Part { parent, child } => self.part(parent, child, now),
            Wish::Verbs { append: true, .. } if self.line(leg).is_none() => {
                self.tell_error("redirect", "this leg runs no verbs that these could follow");
            }
            // A callee becomes a call of its own, once the caller talks to it. What screens it until then decides whether it
            // gets the caller: other verbs would let it through.
            Wish::Redirect(hook) if leg != LegIndex::CALLER => self.part_leg(leg, Onward::Hook(hook), now),
            Wish::Verbs { verbs, append: false } if leg != LegIndex::CALLER => {
                self.part_leg(leg, Onward::Verbs(verbs), now);
            }
            Wish::Verbs { verbs, append: true } => self.append_verbs(leg, verbs, now),
            Wish::Verbs { verbs, append: false } => {
                self.forget_replacement(leg);
                self.abandon_dial(leg, now);
                self.replace_verbs(leg, verbs, now);
            }
            // Nobody has answered a placed call that rings: who does gets the other application.
            Wish::Redirect(hook) if self.is_engaging() => self.ring_for_another(hook),
            Wish::Redirect(hook) => self.ask_for_replacement(leg, hook, now),
            // Nobody has answered a placed call that rings: it is given up, and was no failure.
            Wish::HangUp(by) if leg == LegIndex::CALLER && self.is_engaging() => {
                self.status = 487;
                let detail = format!("{}, before anybody had answered", by.hung_up());
                self.end(Cause::hung_up_here(detail), now);
            }
            Wish::HangUp(by) if leg == LegIndex::CALLER => self.application_hangs_up(by.hung_up(), now),
            Wish::HangUp(_) if self.leg(leg).is_none_or(|leg| !leg.is_alive()) => {
                self.tell_error("command", "this leg has ended already");
            }
            Wish::HangUp(by) => {
                if self.winner == Some(leg) {
                    self.dial_ended_by(EndedBy::Application);
                }
                let cause = Cause::hung_up_here(by.hung_up());
                let reason = cause.reason();
                self.lose(leg, cause, reason, now);
            }
            Wish::Whisper(verbs) => self.whisper_verbs(leg, verbs, now),
            Wish::Mute(on) => {
                let Some(leg) = self.leg_mut(leg) else { return };
                leg.muted = on;
                let handle = leg.media.handle();
                self.effects.extend(handle.map(|handle| Effect::Mute { handle, on }));
            }
            Wish::Digits { digits, duration } => self.dtmf_command(leg, digits, duration, command.reply),
            Wish::Request(request) => self.request_command(leg, &request, command.reply, now),
            Wish::Boost(decibels) => self.boost(leg, decibels),
            Wish::StatusHook(hook) => {
                if let Some(app) = &mut self.app {
                    Arc::make_mut(&mut app.terms).status_hook = Some(hook);
                }
            }
            Wish::Tag(data) => self.tag_leg(leg, data),
            Wish::Configure(config) => self.configure(&config),
        }
    }

    fn part_leg(&mut self, leg: LegIndex, onward: Onward, now: Moment) {
        match self.winner == Some(leg) && self.bridged.is_some() {
            true => self.part(None, onward, now),
            false if self.line(leg).is_some() => {
                self.tell_bad_answer(
                    leg,
                    "redirect",
                    "this leg is screened: the caller does not talk to it yet",
                    now,
                );
            }
            false => self.tell_bad_answer(leg, "redirect", "this leg has not answered, or is gone", now),
        }
    }

    fn append_verbs(&mut self, leg: LegIndex, verbs: Vec<Verb>, now: Moment) {
        let Some(line) = self.line_mut(leg) else { return };
        if line.verbs.len() + verbs.len() > MOST_WAITING {
            self.tell_error("command", "too many verbs wait already");
            return;
        }
        line.verbs.extend(verbs);
        if matches!(line.running, Some(Running::Idle)) {
            line.running = None;
        }
        self.advance(leg, now);
    }

    /// The caller's application goes on with something else: who rings or talks to the caller is let go.
    pub(super) fn abandon_dial(&mut self, leg: LegIndex, now: Moment) {
        if leg != LegIndex::CALLER {
            return;
        }
        self.overrule_refers();
        if !self.is_dialing() {
            return;
        }
        self.dial_ended_by(EndedBy::Application);
        if let Some(dialing) = self.app.as_mut().and_then(|app| app.dialing.as_mut()) {
            dialing.abandoned = true;
        }
        if let Some(winner) = self.winner.filter(|_| self.bridged.is_some()) {
            self.turn_child_of(winner, super::child::Turn::completed(), now);
        }
        let others: Vec<LegIndex> = self.legs.iter().skip(1).map(|leg| leg.index).collect();
        for index in others {
            self.let_go(index, REPLACED);
        }
        self.dial_ended(now);
    }

    fn whisper_verbs(&mut self, leg: LegIndex, verbs: Vec<Verb>, now: Moment) {
        let mut sources = Vec::new();
        for verb in verbs {
            match verb {
                Verb::Say(say) => sources.extend(self.speech(leg, &say)),
                Verb::Play(play) => sources.extend(play.urls.into_iter().map(Source::Url)),
                _ => self.tell_bad_answer(leg, "whisper", "only say and play can be whispered", now),
            }
        }
        self.whisper(leg, sources, now);
    }
}
