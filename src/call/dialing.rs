//! A dial of an application: from its plan to the end of the winner's leg, and what its application is told.

use super::application::Running;
use super::cause::{Cause, Party};
use super::child::{Child, Turn};
use super::event::{Effect, Unplanned};
use super::hunt::Ringing;
use super::id::LegIndex;
use super::leg::{Leg, LegState};
use super::value::{Call, Phase};
use crate::app::payload::{self, Status};
use crate::app::verb::{Dial, Hook};
use crate::dial::{AttemptFailure, DialPlan};
use crate::moment::Moment;
use crate::route::TraceStep;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Legs that one call may make; an application that dials for ever is stopped there.
pub(super) const MOST_LEGS: usize = 1_000;
/// What an application says instead of a dial has so long to answer a caller whose time for that is over.
const GRACE_OF_OVERDUE: Duration = Duration::from_secs(30);

/// The dial that a caller waits in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dialing {
    pub(super) verb: Box<Dial>,
    pub(super) began: Moment,
    /// The time limit of the winner's call.
    pub(super) ends_at: Option<Moment>,
    pub(super) ended_by: Option<EndedBy>,
    /// The application goes on with something else: it is told the results, and not asked.
    pub(super) abandoned: bool,
    /// Why it rings nobody.
    pub(super) refused: Option<String>,
    /// What was decided that is of no destination: of targets left out, of all where nobody is rung.
    pub(super) trace: Vec<TraceStep>,
    /// Who hears the other side louder or softer than it speaks.
    pub(super) boosted: Vec<LegIndex>,
}

/// Who ended a dial that had been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EndedBy {
    Caller,
    Callee,
    TimeLimit,
    Application,
    Node,
}

impl EndedBy {
    fn label(self) -> &'static str {
        match self {
            EndedBy::Caller => "caller",
            EndedBy::Callee => "callee",
            EndedBy::TimeLimit => "time_limit",
            EndedBy::Application => "application",
            EndedBy::Node => "node",
        }
    }
}

impl Call {
    /// Asks for the plan of a dial; the verb goes on when it is there.
    pub(super) fn ask_for_plan(&mut self, dial: Box<Dial>, now: Moment) {
        if let Some(app) = &mut self.app {
            app.dialing = Some(Dialing {
                verb: dial.clone(),
                began: now,
                ends_at: None,
                ended_by: None,
                abandoned: false,
                refused: None,
                trace: Vec::new(),
                boosted: Vec::new(),
            });
        }
        self.effects.push(Effect::Plan { dial });
    }

    /// The plan of the dial that waits for it, or why there is none.
    pub(super) fn dial_planned(&mut self, result: Result<Box<DialPlan>, Unplanned>, now: Moment) {
        let waits = self.app.as_ref().is_some_and(|app| app.dialing.is_some()) && self.ringing.is_empty();
        if !waits || !self.caller_is_there() {
            return;
        }
        match result {
            Ok(mut plan) if self.legs.len() + plan.attempts.len() <= MOST_LEGS => {
                self.note_trace(std::mem::take(&mut plan.left_out));
                self.begin_dial(*plan, now);
            }
            Ok(_) => self.dial_refused(format!("this call has made {MOST_LEGS} legs already"), now),
            Err(unplanned) => {
                self.note_trace(unplanned.trace);
                self.dial_refused(unplanned.why, now);
            }
        }
    }

    fn note_trace(&mut self, trace: Vec<TraceStep>) {
        if let Some(dialing) = self.app.as_mut().and_then(|app| app.dialing.as_mut()) {
            dialing.trace = trace;
        }
    }

    /// A dial that rings nobody: the application hears why, and the dial has failed.
    fn dial_refused(&mut self, detail: String, now: Moment) {
        let asks = |dialing: &Dialing| dialing.verb.action_hook.is_some();
        match self.app.as_ref().and_then(|app| app.dialing.as_ref()).is_some_and(asks) {
            // Its action hook is told.
            true => self.tell_error("dial", &detail),
            false => self.tell_bad_answer(LegIndex::CALLER, "dial", &detail, now),
        }
        if let Some(dialing) = self.app.as_mut().and_then(|app| app.dialing.as_mut()) {
            dialing.refused = Some(detail);
        }
        self.dial_ended(now);
    }

    fn begin_dial(&mut self, plan: DialPlan, now: Moment) {
        let Some(dialing) = self.app.as_ref().and_then(|app| app.dialing.as_ref()) else {
            return;
        };
        let (answer_on_bridge, music, dial) = (
            dialing.verb.answer_on_bridge,
            dialing.verb.dial_music.clone(),
            dialing.verb.clone(),
        );
        let unheard = music.as_ref().and_then(|_| self.hears_no_music(answer_on_bridge));
        let settled = match (answer_on_bridge, &music) {
            (false, _) => self.answer_here(now),
            (true, Some(_)) if unheard.is_none() => self.ready_early(now),
            (true, _) => Ok(()),
        };
        let (settled, unheard) = match settled {
            // Nobody waits for help for want of music (promise 6).
            Err(detail) if answer_on_bridge && plan.attempts.iter().any(|attempt| attempt.emergency) => {
                (Ok(()), Some(detail))
            }
            settled => (settled, unheard),
        };
        if let Err(detail) = settled {
            self.dial_refused(detail, now);
            return;
        }
        match (music, unheard) {
            (Some(_), Some(why)) => self.tell_bad_answer(LegIndex::CALLER, "dialMusic", &why, now),
            (Some(music), None) => self.play_music(&music),
            (None, _) => {}
        }
        if self.phase == Phase::Opening {
            self.phase = Phase::Ringing;
        }
        self.ring(plan, dial.confirm_hook.as_ref(), now);
    }

    /// Rings all destinations of a plan at once, each a child call.
    pub(super) fn ring(&mut self, plan: DialPlan, confirm: Option<&Hook>, now: Moment) {
        self.failures.clear();
        self.winner = None;
        self.bridged = None;
        let limit = plan.ringing;
        let dialing = self.app.as_ref().and_then(|app| app.dialing.as_ref());
        let tag = dialing.and_then(|dialing| dialing.verb.tag.clone());
        for mut attempt in plan.attempts {
            let (target, trace) = (attempt.target.clone(), std::mem::take(&mut attempt.trace));
            let confirm = attempt.confirm.clone().or_else(|| confirm.cloned());
            let confirm = confirm.filter(|_| !attempt.emergency);
            let mut ringing = Ringing::new(attempt, limit);
            let sid = match &self.app {
                // Whoever answers a placed call is its first party.
                Some(app) if app.engaging => app.sid,
                _ => self.new_sid(),
            };
            ringing.child = target.map(|target| Child::new(sid, target, confirm).tagged(tag.clone()).traced(trace));
            self.ringing.push(ringing);
        }
        for position in 0..self.ringing.len() {
            self.next_hop(position, now);
        }
    }

    /// Whether the audio of one destination may be heard before it has answered: with others ringing, or with music
    /// playing, the caller would hear one of them at random.
    pub(super) fn early_media_wanted(&self) -> bool {
        match self.app.as_ref().map(|app| app.dialing.as_ref()) {
            None => true,
            Some(dialing) => {
                self.ringing.len() == 1 && dialing.is_some_and(|dialing| dialing.verb.dial_music.is_none())
            }
        }
    }

    /// The destination that won is bridged: its time limit runs.
    pub(super) fn dial_bridged(&mut self, now: Moment) {
        self.bridged = Some(now);
        self.stop_music();
        let emergency = self.winner.is_some_and(|winner| self.is_emergency(winner));
        let Some(app) = &mut self.app else { return };
        app.changes += 1;
        let Some(dialing) = &mut app.dialing else { return };
        let limit = dialing.verb.time_limit;
        dialing.ends_at = limit.filter(|_| !emergency).map(|limit| now + limit);
        let (callees, callers) = (dialing.verb.boost, app.boost);
        if let (Some(decibels), Some(winner)) = (callees, self.winner) {
            self.boost(winner, decibels);
        }
        if let Some(decibels) = callers {
            self.boost(LegIndex::CALLER, decibels);
        }
        self.listen_to_bridge();
    }

    /// Makes what one side of a bridge hears of the other louder or softer, until the dial is over.
    pub(super) fn boost(&mut self, hearer: LegIndex, decibels: i8) {
        let bridged = self.bridged.is_some() && self.partner(hearer).is_some();
        let handle = self.leg(hearer).and_then(|leg| leg.media.handle());
        let Some(handle) = handle.filter(|_| bridged) else {
            self.tell_error("boostAudioSignal", "this leg talks to nobody");
            return;
        };
        // A gain costs a decoding of every packet: none is better than one of 0 dB.
        let decibels = Some(decibels).filter(|decibels| *decibels != 0);
        self.effects.push(Effect::Boost { handle, decibels });
        if let Some(dialing) = self.app.as_mut().and_then(|app| app.dialing.as_mut()) {
            dialing.boosted.retain(|known| *known != hearer);
            dialing.boosted.extend(decibels.map(|_| hearer));
        }
    }

    pub(super) fn end_boosts(&mut self, boosted: &[LegIndex]) {
        for hearer in boosted {
            if let Some(handle) = self.leg(*hearer).and_then(|leg| leg.media.handle()) {
                self.effects.push(Effect::Boost { handle, decibels: None });
            }
        }
    }

    /// The time limit of a dial: the callee is hung up, the caller goes on with the application.
    pub(super) fn dial_timeouts(&mut self, now: Moment) {
        let due = |at: Option<Moment>| at.is_some_and(|at| at <= now);
        let Some(dialing) = self.app.as_mut().and_then(|app| app.dialing.as_mut()) else {
            return;
        };
        if due(dialing.ends_at) {
            dialing.ends_at = None;
            dialing.ended_by = Some(EndedBy::TimeLimit);
            if let Some(winner) = self.winner {
                self.let_go(winner, "Q.850;cause=16;text=\"Time limit\"");
                self.turn_child_of(winner, Turn::completed(), now);
            }
            self.dial_ended(now);
        }
        for position in 0..self.ringing.len() {
            let late = self.child(position).is_some_and(|child| due(child.screened_until));
            if late {
                let by = payload::EndedBy::Platform;
                self.screening_refused(position, "the screening took too long", by, now);
            }
        }
    }

    pub(super) fn next_dial_timeout(&self) -> Option<Moment> {
        let limit = self.app.as_ref().and_then(|app| app.dialing.as_ref()?.ends_at);
        let screening = self
            .ringing
            .iter()
            .filter_map(|ringing| ringing.child.as_ref()?.screened_until);
        screening.chain(limit).min()
    }

    /// The dial is over, whatever became of it: the caller is alone again, and the application hears the results.
    pub(super) fn dial_ended(&mut self, now: Moment) {
        self.dial_over(None, now);
    }

    /// The same with its result, where who was bridged has left the dial already.
    pub(super) fn dial_over(&mut self, outcome: Option<payload::DialResult>, now: Moment) {
        let Some(app) = &mut self.app else { return };
        let Some(dialing) = app.dialing.take() else { return };
        if self.caller_is_there() {
            self.refers_outlast_bridge();
        }
        let dropped = self.drop_transfer(&AttemptFailure::local(
            487,
            "Request Terminated",
            "its dial has ended meanwhile".into(),
        ));
        // Who had referred its callee and left has nobody in its place.
        let is_deserted = dropped.is_some_and(|transfer| transfer.old == LegIndex::CALLER)
            && !self.leg(LegIndex::CALLER).is_some_and(Leg::is_up);
        let Some(app) = &mut self.app else { return };
        app.changes += 1;
        self.stop_music();
        self.sound_ringing(false);
        self.stop_hold_music();
        self.end_all_whispers();
        let bridged = self.bridged.take();
        let winner = self.winner.take();
        if bridged.is_some() {
            self.stop_listening_to_bridge();
        }
        self.end_children(None, now);
        let held = winner.is_some_and(|winner| self.holds(winner)) && !self.is_open_both_ways(LegIndex::CALLER);
        if let Some(winner) = winner {
            self.close_media(winner);
        }
        self.end_boosts(&dialing.boosted);
        let outcome = outcome.unwrap_or_else(|| self.dial_outcome(&dialing, bridged, winner, now));
        if let Some(app) = self
            .app
            .as_mut()
            .filter(|_| dialing.ended_by == Some(EndedBy::TimeLimit))
        {
            app.spent = Some("after the timeLimit of its dial".into());
        }
        self.note_dial(&dialing, &outcome, now);
        let result = payload::dial_result(&outcome);
        self.keep_children(now);
        self.ringing.clear();
        if self.caller_is_there()
            && self
                .leg(LegIndex::CALLER)
                .is_some_and(|caller| caller.state == LegState::Up)
        {
            self.connect_alone(LegIndex::CALLER, now);
            if held {
                // A callee that held the caller is gone: the caller is to hear what comes next.
                self.align(LegIndex::CALLER, now);
            }
        }
        // Other verbs are there or on their way, which may answer it.
        let goes_elsewhere = dialing.abandoned || self.is_being_replaced(LegIndex::CALLER);
        let is_overdue = self.caller_is_there() && self.is_overdue() && !goes_elsewhere;
        if goes_elsewhere && self.is_overdue() {
            self.deadline = Some(self.grace_ends(now));
        }
        let goes_on = self.caller_is_there() && !dialing.abandoned && !is_deserted && !is_overdue;
        let id = dialing.verb.id.as_deref();
        match &dialing.verb.action_hook {
            Some(hook) if goes_on => self.ask_action(LegIndex::CALLER, hook, result, id, now),
            Some(hook) => self.notify(LegIndex::CALLER, hook, result, id, now),
            None if goes_on => self.verb_done(LegIndex::CALLER, now),
            None => {}
        }
        if is_deserted {
            self.end(Cause::hung_up(Party::Caller), now);
        } else if is_overdue {
            self.end(Cause::unanswered(), now);
        }
    }

    /// The time for an answer is over. A dial that rings or screens somebody has bounds of its own, and is waited for.
    pub(super) fn unanswered(&mut self, now: Moment) {
        match &mut self.app {
            None => self.end(Cause::NoAnswer, now),
            Some(app) if app.dialing.is_some() => app.overdue = true,
            Some(_) => self.end(Cause::unanswered(), now),
        }
    }

    fn is_overdue(&self) -> bool {
        self.milestones.answered.is_none() && self.app.as_ref().is_some_and(|app| app.overdue)
    }

    /// When what is said instead of a late dial is late itself: one dial after the other gains no time.
    fn grace_ends(&mut self, now: Moment) -> Moment {
        let ends = now + GRACE_OF_OVERDUE;
        let app = self.app.as_mut();
        app.map_or(ends, |app| *app.grace_ends.get_or_insert(ends))
    }

    /// The caller's verb that runs is a dial.
    pub(super) fn is_dialing(&self) -> bool {
        self.line(LegIndex::CALLER)
            .is_some_and(|line| matches!(line.running, Some(Running::Dialing)))
    }

    /// The result of a dial that ends with its callee still up.
    pub(super) fn outcome_so_far(&self, now: Moment) -> Option<payload::DialResult> {
        let dialing = self.app.as_ref()?.dialing.as_ref()?;
        let mut outcome = self.dial_outcome(dialing, self.bridged, self.winner, now);
        outcome.status = Status::Completed;
        let winner = outcome.call_sid;
        let targets = outcome.targets.iter_mut();
        for target in targets.filter(|target| Some(target.call_sid) == winner) {
            target.status = Status::Completed;
        }
        Some(outcome)
    }

    /// With a winner, the winner's figures; else the best of busy, no answer and failed, the latest within a class.
    fn dial_outcome(
        &self,
        dialing: &Dialing,
        bridged: Option<Moment>,
        winner: Option<LegIndex>,
        now: Moment,
    ) -> payload::DialResult {
        let children = || self.ringing.iter().filter_map(|ringing| ringing.child.as_ref());
        let won = bridged.and_then(|_| children().find(|child| winner.is_some() && child.leg == winner));
        let told = won.or_else(|| self.best_child());
        let targets = children().map(|child| payload::TargetResult {
            target: child.target.clone(),
            call_sid: child.sid,
            status: child.status,
            sip_status: child.sip_status,
            duration: child.duration(now),
            error: child.why.clone(),
        });
        let status = told.map_or(Status::Failed, |child| child.status);
        // Who heard a word of somebody knows why.
        let unreached = || {
            let whys = children().filter_map(|child| Some(format!("{}: {}", child.target, child.why.as_ref()?)));
            Some(whys.collect::<Vec<_>>().join("; ")).filter(|whys| status == Status::Failed && !whys.is_empty())
        };
        payload::DialResult {
            status,
            sip_status: told.map_or(500, |child| child.sip_status),
            call_sid: told.map(|child| child.sid),
            call_id: told
                .and_then(|child| self.leg(child.leg?))
                .map(|leg| leg.record.call_id.clone()),
            duration: won
                .zip(bridged)
                .map(|(child, since)| child.ended.unwrap_or(now).since(since)),
            answered_target: won.map(|child| child.target.clone()),
            ended_by: won
                .is_some()
                .then(|| dialing.ended_by.unwrap_or(EndedBy::Callee).label()),
            targets: targets.collect(),
            error: dialing.refused.clone().or_else(unreached),
        }
    }

    /// The child whose end stands for all: the best of busy, no answer and failed, the latest within a class.
    pub(super) fn best_child(&self) -> Option<&Child> {
        let class = |child: &&Child| match child.status {
            Status::Busy => 2,
            Status::NoAnswer => 1,
            _ => 0,
        };
        let children = self.ringing.iter().filter_map(|ringing| ringing.child.as_ref());
        children.max_by_key(|child| (class(child), child.ended))
    }

    /// Notes who ended the dial, when nobody is known yet.
    pub(super) fn dial_ended_by(&mut self, who: EndedBy) {
        if let Some(dialing) = self.app.as_mut().and_then(|app| app.dialing.as_mut()) {
            dialing.ended_by.get_or_insert(who);
        }
    }
}
