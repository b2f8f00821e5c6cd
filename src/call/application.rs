//! The application of a call: what it was given, the lines that it runs on legs, what it was told.

use super::cause::Cause;
use super::child::Turn;
use super::dialing::Dialing;
use super::event::{CallNews, Course, Effect};
use super::gathering::Gathering;
use super::id::LegIndex;
use super::parting::Parting;
use super::playing::Playback;
use super::record::{DialRecord, ErrorRecord, MOST_ERRORS};
use super::referred::OpenRefer;
use super::value::{Call, Phase};
use super::verb_events::Doing;
use crate::app::payload::{self, Properties, Status};
use crate::app::sid::CallSid;
use crate::app::verb::{Config, Hook, Synthesizer, Verb, Voicing};
use crate::config::E164;
use crate::dial::Secret;
use crate::moment::Moment;
use crate::observe::rfc3339;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What is fixed about an application when a call is born; the call keeps it over reloads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppTerms {
    /// The name in the tenant's file; empty where an order named a hook instead.
    pub name: Arc<str>,
    pub account_sid: Arc<str>,
    /// None where an order named a hook instead.
    pub application_sid: Option<Arc<str>>,
    /// Where the first verbs come from.
    pub hook: Hook,
    /// Where call status events go; none are sent without it, but over a WebSocket.
    pub status_hook: Option<Hook>,
    /// Signs what is asked.
    pub secret: Option<Secret>,
    /// Asked when `hook` fails.
    pub fallback: Option<Hook>,
    /// The application is asked over a WebSocket: it may send commands at any time.
    pub connected: bool,
    /// What a say verb without a synthesizer speaks.
    pub speech: Voicing,
    /// What it is told of itself with its first question.
    pub env_vars: Vec<(String, Secret)>,
    /// Base of the REST interface, for applications that steer calls by it.
    pub api_base_url: Option<String>,
}

/// What is known of the caller's side for the payloads; fixed at birth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerFacts {
    /// The caller's number as it came, or the name of a user that has none.
    pub from: String,
    /// As the rules of its trunk read it, where that is one.
    #[serde(default)]
    pub number: Option<E164>,
    /// It hides: whoever dials as it hides as well.
    #[serde(default)]
    pub private: bool,
    pub caller_name: Option<String>,
    pub to: String,
    pub source_ip: String,
    pub trunk_name: Option<String>,
    /// Host and port of the listener that the first leg came in by or, placed, goes out by, as peers are told them. A
    /// callee that becomes a call keeps that of its caller's.
    pub sip_address: String,
    /// 32 hexadecimal digits.
    pub trace_id: String,
}

/// An application while its call lasts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct App {
    pub(super) terms: Arc<AppTerms>,
    pub(super) caller: CallerFacts,
    pub(super) sid: CallSid,
    /// `customerData` of the caller's leg.
    pub(super) tag: Option<serde_json::Map<String, serde_json::Value>>,
    /// The caller's line first; then those of destinations that are screened.
    pub(super) lines: Vec<Line>,
    pub(super) asked: Vec<Asked>,
    pub(super) next_number: u32,
    pub(super) dialing: Option<Dialing>,
    /// The playback of `dialMusic`.
    pub(super) music: Option<u32>,
    pub(super) status: Status,
    pub(super) sip_status: u16,
    pub(super) phrase: String,
    /// Who ended the first leg.
    pub(super) ended_by: Option<payload::EndedBy>,
    /// The time for an answer is over, and a dial still rings.
    #[serde(default)]
    pub(super) overdue: bool,
    /// Other verbs than that dial have so long to answer.
    #[serde(default)]
    pub(super) grace_ends: Option<Moment>,
    /// Why nobody of a placed call could be called.
    #[serde(default)]
    pub(super) why: Option<String>,
    /// Counts what others may see of its legs.
    pub(super) changes: u32,
    /// The application is connected over a WebSocket, which this hook has opened: it may say more at any time.
    pub(super) session: Option<Hook>,
    /// Its connection is lost for good: why the call ends when those who talk are done, or when nobody else takes it over.
    pub(super) lost: Option<String>,
    /// It wants to hear of its verbs while they run.
    pub(super) notifies: bool,
    pub(super) captures: Vec<super::capture::Capture>,
    /// The hook that decides about REFER outside a dial.
    pub(super) refer_hook: Option<Hook>,
    /// REFERs of peers that wait for the application, by their question.
    #[serde(skip)]
    pub(super) referrals: Vec<OpenRefer>,
    pub(super) replacements: super::replacing::Replacements,
    /// Requests of commands that wait for their answers.
    pub(super) requests: Vec<super::requesting::Commanded>,
    pub(super) whispers: Vec<super::whispering::Whisper>,
    /// A side of the bridge is on hold, and what it hears.
    pub(super) hold: Option<super::held::Hold>,
    pub(super) speaking: Speaking,
    /// Decibels on all that the caller hears.
    pub(super) boost: Option<i8>,
    /// Say, play and gather are heard before the call is answered, instead of answering it.
    pub(super) early_media: bool,
    /// What the application was asked first, for its fallback and for a connection that is made anew.
    pub(super) first: Option<Properties>,
    /// The call, or the caller that has left, that the first leg was a callee of.
    pub(super) parent: Option<CallSid>,
    /// It is asked what the callee goes on with.
    pub(super) parting: Option<Parting>,
    /// The first leg was called, by the application or by a caller that has left.
    pub(super) placed: bool,
    /// When the first leg has answered, where that is not when the call was answered.
    pub(super) answered: Option<Moment>,
    /// Legs that are over, the latest last.
    #[serde(skip)]
    pub(super) past: VecDeque<Arc<super::directory::LineStatus>>,
    /// What became of its dials.
    pub(super) dials: Vec<DialRecord>,
    /// What was wrong with the application, for the record.
    #[serde(default)]
    pub(super) errors: Vec<ErrorRecord>,
    /// What the last verb of the caller's line came to, where it was not done in the usual way.
    #[serde(default)]
    pub(super) spent: Option<String>,
    /// How long it may last from its answer on.
    pub(super) time_limit: Option<Duration>,
    /// It was, and nobody has answered yet.
    pub(super) engaging: bool,
}

/// What an application runs on one leg.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    pub(super) leg: LegIndex,
    pub(super) verbs: VecDeque<Verb>,
    pub(super) running: Option<Running>,
    /// Whether its first verbs have come.
    pub(super) begun: bool,
    /// The verb that has begun and is not over.
    pub(super) doing: Option<Doing>,
    /// Of a destination that is screened, where its verbs have said so: all else speaks as the call does.
    #[serde(default)]
    pub(super) speaking: Option<Box<Speaking>>,
    /// Of a destination that is screened, where a redirect of its own has led its verbs: paths belong to that server.
    #[serde(default)]
    pub(super) server: Option<Box<Hook>>,
}

/// How a say verb speaks that says nothing of that.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Speaking {
    pub(super) by: Synthesizer,
    /// Texts are spoken anew, and not kept.
    pub(super) fresh: bool,
}

impl Speaking {
    /// As `config` says from now on.
    pub(super) fn configure(&mut self, config: &Config, usual: impl FnOnce() -> Synthesizer) {
        if config.resets_synthesizer {
            self.by = usual();
        }
        if let Some(synthesizer) = &config.synthesizer {
            self.by = synthesizer.over(&self.by);
        }
        self.fresh = config.fresh.unwrap_or(self.fresh);
    }
}

impl Line {
    pub(super) fn new(leg: LegIndex) -> Line {
        Line {
            leg,
            verbs: VecDeque::new(),
            running: None,
            begun: false,
            doing: None,
            speaking: None,
            server: None,
        }
    }
}

/// The verb that a line is in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Running {
    /// The answer of a hook is awaited.
    Asking(u32),
    Pausing(Moment),
    Playing(Box<Playback>),
    Gathering(Box<Gathering>),
    Dialing,
    /// A request inside the dialog waits for its answer.
    Requesting(super::requesting::Request),
    /// Keys are being sent.
    Sending(u32),
    /// The caller has our offer in its 200: its answer comes in the ACK, and then it can hear us.
    Settling,
    /// A REFER waits for what comes of it.
    Referring(super::referring::Referral),
    /// All verbs are done; a connected application sends more.
    Idle,
}

/// A question to the application that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub number: u32,
    pub leg: LegIndex,
    pub why: Why,
    pub course: Course,
    /// The hook that is asked, where its WebSocket is the session once it has answered.
    pub opens: Option<Hook>,
    /// The hook, where the application goes on at its server once it has answered.
    pub moves: Option<Hook>,
}

/// What its answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Why {
    /// The first verbs of the call.
    First,
    /// The same, of the fallback.
    Fallback,
    /// The application of a redirect.
    Redirect,
    /// That of a command: what runs goes on until it is there.
    Replace,
    /// An action hook: verbs replace the line's, none lets it go on.
    Action,
    /// Whether a destination is let through.
    Confirm,
    /// What to do with a REFER.
    Refer,
    /// Told of the last NOTIFY of a transfer, before its result.
    Transferred,
    /// What a side on hold hears.
    Hold,
    /// What a callee goes on with as a call of its own.
    Part,
    /// Whether a new call of a connected application has more verbs.
    Adulting,
}

impl AppTerms {
    /// What a say verb without a synthesizer speaks, until the application says otherwise.
    pub(super) fn usual_speech(&self) -> Synthesizer {
        Synthesizer {
            voicing: self.speech.clone(),
            fallback: None,
        }
    }
}

impl App {
    /// An application that has said nothing yet.
    pub(super) fn new(terms: Arc<AppTerms>, caller: CallerFacts, sid: CallSid) -> App {
        App {
            speaking: Speaking {
                by: terms.usual_speech(),
                fresh: false,
            },
            boost: None,
            early_media: false,
            session: terms.connected.then(|| terms.hook.clone()),
            terms,
            caller,
            sid,
            tag: None,
            lines: Vec::new(),
            asked: Vec::new(),
            next_number: 0,
            dialing: None,
            music: None,
            status: Status::Trying,
            sip_status: 100,
            phrase: "Trying".into(),
            ended_by: None,
            overdue: false,
            grace_ends: None,
            why: None,
            changes: 0,
            lost: None,
            notifies: false,
            captures: Vec::new(),
            refer_hook: None,
            referrals: Vec::new(),
            replacements: Default::default(),
            requests: Vec::new(),
            whispers: Vec::new(),
            hold: None,
            first: None,
            parent: None,
            parting: None,
            placed: false,
            answered: None,
            past: VecDeque::new(),
            dials: Vec::new(),
            errors: Vec::new(),
            spent: None,
            time_limit: None,
            engaging: false,
        }
    }

    pub(super) fn line(&self, leg: LegIndex) -> Option<&Line> {
        self.lines.iter().find(|line| line.leg == leg)
    }
}

impl Call {
    pub(super) fn line(&self, leg: LegIndex) -> Option<&Line> {
        self.app.as_ref()?.line(leg)
    }

    pub(super) fn line_mut(&mut self, leg: LegIndex) -> Option<&mut Line> {
        self.app.as_mut()?.lines.iter_mut().find(|line| line.leg == leg)
    }

    /// The legs that run verbs, as they are now: what is done to one line may end others.
    pub(super) fn legs_with_lines(&self) -> Vec<LegIndex> {
        let lines = self.app.iter().flat_map(|app| &app.lines);
        lines.map(|line| line.leg).collect()
    }

    /// The leg whose line is in this verb.
    pub(super) fn leg_in(&self, verb: impl Fn(&Running) -> bool) -> Option<LegIndex> {
        let mut lines = self.app.as_ref()?.lines.iter();
        lines
            .find(|line| line.running.as_ref().is_some_and(&verb))
            .map(|line| line.leg)
    }

    /// A new call_sid.
    pub(super) fn new_sid(&mut self) -> CallSid {
        let (high, low) = (self.random(), self.random());
        CallSid::from_random((u128::from(high) << 64) | u128::from(low))
    }

    /// The line of a leg is over: what plays on it is stopped, what it asked is not waited for.
    pub(super) fn close_line(&mut self, leg: LegIndex) {
        if self.line(leg).is_none() {
            return;
        }
        self.interrupt(leg);
        self.verb_ends(leg);
        if let Some(app) = &mut self.app {
            app.lines.retain(|line| line.leg != leg);
        }
        self.forget_questions(|asked| asked.leg == leg);
    }

    /// The first status of the caller's leg.
    pub(super) fn tell_caller_status(&mut self, now: Moment) {
        let properties = self.properties(LegIndex::CALLER, now);
        self.tell_status(LegIndex::CALLER, properties, now);
    }

    /// The caller's leg has changed: its application is told, once.
    pub(super) fn turn_caller(&mut self, turn: Turn, now: Moment) {
        // Without a cause its leg is hung up, and the call goes on.
        let far_side = self
            .cause
            .as_ref()
            .is_some_and(|cause| cause.ended_by() == super::cause::Party::Caller);
        let by = turn.by.unwrap_or(match far_side {
            true => payload::EndedBy::FarSide,
            false => payload::EndedBy::Platform,
        });
        let Some(app) = &mut self.app else { return };
        if app.status == turn.status || app.status.is_final() || turn.status.rank() < app.status.rank() {
            return;
        }
        app.ended_by = turn.status.is_final().then_some(by);
        app.status = turn.status;
        app.sip_status = turn.sip_status;
        app.phrase = turn.phrase;
        app.why = turn.why;
        let properties = self.properties(LegIndex::CALLER, now);
        self.tell_status(LegIndex::CALLER, properties, now);
    }

    pub(super) fn tell_child_status(&mut self, position: usize, now: Moment) {
        let Some(leg) = self.child(position).map(|child| child.leg) else {
            return;
        };
        let properties = self.child_properties(position, now);
        self.tell_status(leg.unwrap_or(LegIndex::CALLER), properties, now);
    }

    fn tell_status(&mut self, leg: LegIndex, mut properties: Properties, now: Moment) {
        let when = rfc3339(self.facts.began_unix_ms + self.milestones.after_ms(now));
        let Some(app) = &mut self.app else { return };
        app.changes += 1;
        payload::date_event(&mut properties, when);
        let Some(hook) = app.terms.status_hook.as_ref().or(app.session.as_ref()).cloned() else {
            return;
        };
        self.effects.push(Effect::Notify {
            leg,
            kind: payload::Kind::CallStatus,
            hook,
            properties,
        });
    }

    /// The call has ended: what is open of a dial is told, then the end of the caller's leg.
    pub(super) fn application_over(&mut self, now: Moment) {
        if self.app.is_none() {
            return;
        }
        self.end_referrals(None, now);
        if let Some(cause) = self.cause.clone() {
            self.dial_ended_by(match cause.ended_by() {
                super::cause::Party::Caller => super::dialing::EndedBy::Caller,
                super::cause::Party::Callee => super::dialing::EndedBy::Callee,
                super::cause::Party::Node if matches!(cause, super::cause::Cause::HungUp { .. }) => {
                    super::dialing::EndedBy::Application
                }
                super::cause::Party::Node => super::dialing::EndedBy::Node,
            });
        }
        if let Some(winner) = self.winner.filter(|_| self.bridged.is_some()) {
            self.turn_child_of(winner, Turn::completed(), now);
        }
        self.dial_ended(now);
        let was_answered = self.milestones.answered.is_some();
        let turn = match (&self.cause, was_answered) {
            (_, true) => Turn::completed(),
            (Some(super::cause::Cause::CallerGaveUp | super::cause::Cause::HungUp { .. }), false) => {
                Turn::new(Status::NoAnswer, 487)
            }
            (Some(cause), false) if self.status == 0 => Turn::new(Status::Failed, cause.status()),
            _ => Turn::new(Status::Failed, self.status),
        };
        self.turn_caller(turn, now);
        self.drop_referrals();
        self.all_verbs_end();
        if let Some(app) = &mut self.app {
            app.lines.clear();
            app.asked.clear();
        }
        self.effects.push(Effect::ApplicationOver);
    }

    /// An error that the application made, or that its wish met: for the log, the record, and over a WebSocket for itself.
    pub(super) fn tell_error(&mut self, what: &'static str, detail: &str) {
        self.tell_error_of(None, what, detail);
    }

    fn tell_error_of(&mut self, call_sid: Option<CallSid>, what: &'static str, detail: &str) {
        if let Some(app) = self.app.as_mut().filter(|app| app.errors.len() < MOST_ERRORS) {
            app.errors.push(ErrorRecord::new(what, detail, call_sid));
        }
        self.tell(CallNews::ApplicationError {
            what,
            detail: detail.to_owned(),
            call_sid,
        });
    }

    /// An answer of the application, or a sound that it named, can't be had or carried out. Over HTTP a status event says so.
    pub(super) fn tell_bad_answer(&mut self, leg: LegIndex, what: &'static str, detail: &str, now: Moment) {
        self.tell_error_of(self.sid_of(leg), what, detail);
        let connected = self.app.as_ref().is_some_and(|app| app.session.is_some());
        if !connected {
            let mut properties = self.properties(leg, now);
            properties.insert("error".into(), what.into());
            properties.insert("reason".into(), detail.into());
            self.tell_status(leg, properties, now);
        }
    }

    /// A call that nobody steers any more ends, unless two talk in it, or somebody calls for help (promise 6): that has limits
    /// of its own. Whether it does.
    pub(super) fn ends_alone(&mut self, now: Moment) -> bool {
        if self.bridged.is_some() || self.calls_emergency() {
            return false;
        }
        let Some(detail) = self.app.as_mut().and_then(|app| app.lost.take()) else {
            return false;
        };
        let cause = match self.milestones.answered {
            Some(_) => Cause::Cleared { detail },
            None => Cause::ApplicationFailed { detail },
        };
        self.end(cause, now);
        true
    }

    /// The application's connection is closed for good: a line without verbs has nothing left to wait for. One that is lost
    /// leaves nobody to steer the call, but who talks may talk on, and where the application is being led elsewhere it may go
    /// on there.
    pub(super) fn application_left(&mut self, failed: Option<String>, now: Moment) {
        let led = self.app.as_ref().is_some_and(|app| app.session.is_some());
        if let Some(why) = failed {
            self.tell_error("websocket", &why);
            if !led {
                // It was asked aside: the application is steered by webhooks.
                return;
            }
            let detail = format!("the connection to the application is lost: {why}");
            if let Some(app) = &mut self.app {
                app.session = None;
                app.lost = Some(detail);
            }
            if !self.is_being_led_on() {
                self.ends_alone(now);
            }
            return;
        }
        if let Some(app) = &mut self.app {
            app.session = None;
        }
        let idle = |line: &Line| matches!(line.running, Some(Running::Idle));
        if self.line(LegIndex::CALLER).is_some_and(idle) && self.phase != Phase::Ending {
            if let Some(line) = self.line_mut(LegIndex::CALLER) {
                line.running = None;
            }
            self.advance(LegIndex::CALLER, now);
        }
    }
}
