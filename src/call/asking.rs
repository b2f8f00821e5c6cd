//! Questions to the application and their answers: the first verbs, action hooks, confirmations.

use super::application::{App, Asked, Line, Running, Why};
use super::cause::Cause;
use super::event::{Course, Effect, NoReply, Reply};
use super::id::LegIndex;
use super::moving::same_origin;
use super::value::Call;
use crate::app::payload::{self, Kind, Properties};
use crate::app::verb::Hook;
use crate::moment::Moment;
use crate::sip::message::Message;

impl Why {
    /// What the application is told that it is asked.
    fn kind(self) -> Kind {
        match self {
            Why::First | Why::Fallback => Kind::SessionNew,
            Why::Redirect | Why::Replace | Why::Part => Kind::SessionRedirect,
            Why::Confirm => Kind::DialConfirm,
            Why::Adulting => Kind::SessionAdulting,
            Why::Action | Why::Refer | Why::Transferred | Why::Hold => Kind::VerbHook,
        }
    }
}

impl App {
    /// Keeps a question until its answer comes; over which connection it goes.
    fn wait_for(&mut self, number: u32, leg: LegIndex, why: Why, hook: &Hook) -> Course {
        let leads =
            matches!(why, Why::Redirect | Why::Replace) && leg == LegIndex::CALLER && !hook.url.starts_with('/');
        let begins = matches!(why, Why::First | Why::Fallback | Why::Adulting);
        // Over the session of an application nobody moves.
        let there = !(self.terms.hook.is_websocket() && hook.is_websocket());
        let screens_on = why == Why::Redirect && leg != LegIndex::CALLER && !hook.url.starts_with('/') && there;
        // One session lasts until it is closed, or the application goes on at another server.
        let elsewhere = |session: &Hook| !same_origin(&session.url, &hook.url);
        let course = match &self.session {
            session if leads && hook.is_websocket() && session.as_ref().is_none_or(elsewhere) => Course::Moves,
            None if begins => Course::Opens,
            _ => Course::Here,
        };
        // What is asked aside over a WebSocket makes it no session: of an application of webhooks the verbs are all there is.
        let opens = course == Course::Opens && hook.is_websocket();
        self.asked.push(Asked {
            number,
            leg,
            why,
            course,
            opens: opens.then(|| hook.clone()),
            // Who stands in for a server that has failed is the application's from then on.
            moves: (leads || screens_on || why == Why::Fallback).then(|| hook.clone()),
        });
        course
    }
}

impl Call {
    /// A number for a question or a sound.
    pub(super) fn next_number(&mut self) -> u32 {
        let Some(app) = &mut self.app else { return 0 };
        app.next_number += 1;
        app.next_number
    }

    /// The first question: what is to be done with this call?
    /// What is asked of a placed call bears no INVITE.
    pub(super) fn ask_first(&mut self, invite: Option<&Message>, now: Moment) {
        let mut properties = self.properties(LegIndex::CALLER, now);
        if let Some(invite) = invite {
            let name = self.app.as_ref().and_then(|app| app.caller.caller_name.clone());
            payload::add_invite(&mut properties, invite, name.as_deref());
            let address = self.app.as_ref().map(|app| app.caller.sip_address.clone());
            properties.insert("local_sip_address".into(), address.into());
        }
        if let Some(app) = &mut self.app {
            payload::add_defaults(&mut properties, &app.terms.speech);
            let variables = app.terms.env_vars.iter();
            payload::add_env_vars(&mut properties, variables.map(|(name, value)| (&**name, &*value.0)));
            app.lines.push(Line::new(LegIndex::CALLER));
            app.first = Some(properties.clone());
            let hook = app.terms.hook.clone();
            self.ask(LegIndex::CALLER, Why::First, hook, properties);
        }
    }

    /// Asks, and the line waits for the answer.
    fn ask(&mut self, leg: LegIndex, why: Why, hook: Hook, properties: Properties) {
        let number = self.ask_aside(leg, why, hook, properties);
        if let Some(line) = self.line_mut(leg) {
            line.running = Some(Running::Asking(number));
        }
    }

    /// Asks something that no line waits for; the number of the question.
    pub(super) fn ask_aside(&mut self, leg: LegIndex, why: Why, hook: Hook, properties: Properties) -> u32 {
        let number = self.next_number();
        let hook = self.hook_of_line(leg, hook);
        let Some(app) = &mut self.app else { return number };
        let course = app.wait_for(number, leg, why, &hook);
        self.effects.push(Effect::Ask {
            ask: number,
            leg,
            kind: why.kind(),
            course,
            hook,
            properties,
        });
        number
    }

    /// Nobody waits any more for these questions. Where one was to lead the application elsewhere, it stays.
    pub(super) fn forget_questions(&mut self, which: impl Fn(&Asked) -> bool) {
        let Some(app) = &mut self.app else { return };
        for asked in app.asked.extract_if(.., |asked| which(asked)) {
            if asked.course == Course::Moves {
                self.effects.push(Effect::TakeBack { ask: asked.number });
            }
        }
    }

    /// Tells the result of a verb to its action hook, and waits for other verbs.
    pub(super) fn ask_action(&mut self, leg: LegIndex, hook: &Hook, result: Properties, id: Option<&str>, now: Moment) {
        let properties = self.with_result(leg, result, id, now);
        self.ask(leg, Why::Action, hook.clone(), properties);
    }

    /// Tells the result of a verb and goes on.
    pub(super) fn notify(&mut self, leg: LegIndex, hook: &Hook, result: Properties, id: Option<&str>, now: Moment) {
        let properties = self.with_result(leg, result, id, now);
        self.effects.push(Effect::Notify {
            leg,
            kind: Kind::VerbHook,
            hook: self.hook_of_line(leg, hook.clone()),
            properties,
        });
    }

    fn with_result(&self, leg: LegIndex, result: Properties, id: Option<&str>, now: Moment) -> Properties {
        let mut properties = self.properties(leg, now);
        properties.extend(result);
        if let Some(id) = id {
            properties.insert("verb_id".into(), id.into());
        }
        properties
    }

    /// Asks whether a destination that has answered is let through.
    pub(super) fn ask_confirmation(&mut self, leg: LegIndex, hook: &Hook, now: Moment) {
        let properties = self.properties(leg, now);
        self.ask(leg, Why::Confirm, hook.clone(), properties);
    }

    /// Fetches other verbs for a leg.
    pub(super) fn ask_redirect(&mut self, leg: LegIndex, hook: &Hook, now: Moment) {
        let properties = self.properties(leg, now);
        self.ask(leg, Why::Redirect, hook.clone(), properties);
    }

    /// An answer of the application.
    pub(super) fn asked_answered(&mut self, number: u32, result: Result<Reply, NoReply>, now: Moment) {
        let Some(app) = &mut self.app else { return };
        let Some(position) = app.asked.iter().position(|asked| asked.number == number) else {
            return;
        };
        let asked = app.asked.swap_remove(position);
        match (&asked.opens, &result, asked.why) {
            (Some(_), Ok(_), _) => app.session.clone_from(&asked.opens),
            (_, Err(_), Why::Adulting) => app.session = None,
            _ => {}
        }
        // With its call the application's connections end.
        if !self.caller_is_there() {
            return;
        }
        if asked.why == Why::Refer {
            return self.refer_decided(number, asked.leg, result, now);
        }
        let mut result = result.map_err(|none| none.why);
        match asked.why {
            Why::Transferred => return self.transfer_told(number, asked.leg, &result, now),
            Why::Hold => return self.hold_decided(number, result, now),
            Why::Replace => return self.replacement_came(asked, result, now),
            Why::Part => return self.part_decided(&asked, result, now),
            Why::Adulting => return self.adulting_answered(result, now),
            _ => {}
        }
        let waits = |line: &Line| matches!(line.running, Some(Running::Asking(waiting)) if waiting == number);
        let Some(line) = self.line_mut(asked.leg).filter(|line| waits(line)) else {
            return;
        };
        line.running = None;
        line.begun = true;
        if let (Why::First | Why::Fallback | Why::Confirm, Ok(reply)) = (asked.why, &mut result) {
            // What waits before the first verbs are there was queued behind them by commands.
            reply.verbs.extend(line.verbs.drain(..));
        }
        match (asked.why, result) {
            (Why::First | Why::Fallback, Ok(reply)) if reply.verbs.is_empty() => {
                self.first_failed(asked.why, "the application has no verbs for this call".into(), now);
            }
            (Why::First | Why::Fallback, Err(detail)) => self.first_failed(asked.why, detail, now),
            (Why::First | Why::Fallback | Why::Redirect, Ok(reply)) => {
                self.line_moved(asked.leg, asked.moves);
                self.replace_verbs(asked.leg, reply.verbs, now);
            }
            (Why::Action, Ok(reply)) if !reply.verbs.is_empty() => self.replace_verbs(asked.leg, reply.verbs, now),
            (Why::Action, Ok(_)) => self.advance(asked.leg, now),
            // What decides whether somebody is let through was not heard to its end.
            (Why::Action | Why::Redirect, Err(detail)) if asked.leg != LegIndex::CALLER => {
                self.confirmation_failed(asked.leg, &detail, now);
            }
            (Why::Action | Why::Redirect, Err(detail)) => {
                self.tell_bad_answer(asked.leg, "hook", &detail, now);
                if let Some(app) = &mut self.app {
                    app.spent = Some(format!("after its hook failed: {detail}"));
                }
                self.advance(asked.leg, now);
            }
            (Why::Confirm, Ok(reply)) => self.replace_verbs(asked.leg, reply.verbs, now),
            (Why::Confirm, Err(detail)) => self.confirmation_failed(asked.leg, &detail, now),
            (Why::Refer | Why::Transferred | Why::Hold | Why::Replace | Why::Part | Why::Adulting, _) => {}
        }
    }

    pub(super) fn confirmation_failed(&mut self, leg: LegIndex, detail: &str, now: Moment) {
        self.tell_bad_answer(leg, "confirmHook", detail, now);
        if let Some(position) = self.attempt_of(leg) {
            self.screening_refused(position, detail, payload::EndedBy::Platform, now);
        }
    }

    /// Without first verbs there is no call: the fallback is asked once, then the caller is refused, unless somebody else is
    /// being asked already.
    fn first_failed(&mut self, why: Why, detail: String, now: Moment) {
        self.tell_bad_answer(LegIndex::CALLER, "hook", &detail, now);
        let fallback = self.app.as_ref().and_then(|app| app.terms.fallback.clone());
        let first = self.app.as_ref().and_then(|app| app.first.clone());
        match (why, fallback, first) {
            (Why::First, Some(fallback), Some(first)) => {
                if let Some(app) = &mut self.app {
                    app.session = None;
                }
                self.ask(LegIndex::CALLER, Why::Fallback, fallback, first);
            }
            _ if self.is_being_led_on() => {
                if let Some(app) = &mut self.app {
                    app.session = None;
                    app.lost = Some(detail);
                }
                self.idle(LegIndex::CALLER);
            }
            _ => self.end(Cause::ApplicationFailed { detail }, now),
        }
    }
}
