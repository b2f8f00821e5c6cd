//! Requests that an application sends inside the dialog of a leg (`sip:request`), and what they are answered with.

use super::application::Running;
use super::event::{Answered, Effect, Outcome};
use super::id::{LegIndex, Token};
use super::leg::{LegState, with_headers};
use super::value::Call;
use crate::app::payload;
use crate::app::verb::{self, Hook};
use crate::dial::LegKind;
use crate::moment::Moment;
use crate::sip::Method;
use crate::sip::message::Message;
use serde::{Deserialize, Serialize};

/// Requests of commands that wait for their answers at a time.
const MOST_WAITING: usize = 32;

/// A request of an application that waits for its final answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Request {
    token: Token,
    method: String,
    hook: Option<Hook>,
    id: Option<String>,
}

/// The same of a command: no line waits for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Commanded {
    pub(super) leg: LegIndex,
    request: Request,
    /// Somebody waits under this number.
    reply: Option<u32>,
}

impl Call {
    /// The verb `sip:request`: the line waits for the answer.
    pub(super) fn request_verb(&mut self, leg: LegIndex, request: verb::SipRequest, now: Moment) {
        match self.try_request(leg, &request) {
            Ok(request) => {
                if let Some(line) = self.line_mut(leg) {
                    line.running = Some(Running::Requesting(request));
                }
            }
            Err(detail) => {
                self.tell_error("sip:request", &detail);
                if let Some(hook) = &request.action_hook {
                    let result = payload::request_failed(&detail);
                    self.ask_action(leg, hook, result, request.id.as_deref(), now);
                }
            }
        }
    }

    /// The command `sip:request`, and the wish of REST: whoever waits under `reply` hears what comes of it.
    pub(super) fn request_command(
        &mut self,
        leg: LegIndex,
        request: &verb::SipRequest,
        reply: Option<u32>,
        now: Moment,
    ) {
        let waiting = self.app.as_ref().map_or(0, |app| app.requests.len());
        let sent = match waiting < MOST_WAITING {
            true => self.try_request(leg, request),
            false => Err(format!("{waiting} requests wait for their answers already")),
        };
        match sent {
            Ok(request) => {
                if let Some(app) = &mut self.app {
                    app.requests.push(Commanded { leg, request, reply });
                }
            }
            Err(detail) => {
                if let Some(hook) = &request.action_hook {
                    let result = payload::request_failed(&detail);
                    self.notify(leg, hook, result, request.id.as_deref(), now);
                }
                if reply.is_none() {
                    self.tell_error("sip:request", &detail);
                }
                self.done(reply, Err(detail));
            }
        }
    }

    /// What came of a command, where somebody waits for it.
    pub(super) fn done(&mut self, reply: Option<u32>, outcome: Outcome) {
        if let Some(reply) = reply {
            self.effects.push(Effect::Done { reply, outcome });
        }
    }

    fn try_request(&mut self, index: LegIndex, request: &verb::SipRequest) -> Result<Request, String> {
        let leg = self.leg_mut(index).ok_or("no such leg")?;
        if leg.state != LegState::Up {
            return Err("the leg is not answered".into());
        }
        if matches!(leg.terms.kind, LegKind::Teams { .. }) {
            // TEAMS-044: Teams takes none of them.
            return Err(format!("Teams takes no {} of an application", request.method));
        }
        let method: Method = request.method.parse().map_err(|_| "the method is no token")?;
        if !matches!(method, Method::Info | Method::Message | Method::Notify) {
            return Err(format!(
                "{method} has no place in an application's hand: INFO, MESSAGE or NOTIFY"
            ));
        }
        let (draft, to) = leg.request(method).ok_or("the leg has no dialog")?;
        let mut draft = with_headers(draft, &request.headers);
        if let Some(body) = &request.body {
            let content_type = request.content_type.as_deref().unwrap_or("text/plain");
            draft = draft.body(content_type, body.clone());
        }
        Ok(Request {
            token: self.send(index, draft, to),
            method: request.method.clone(),
            hook: request.action_hook.clone(),
            id: request.id.clone(),
        })
    }

    /// A response to a request of an application, or that there is no final one. True when `token` was one.
    pub(super) fn request_answered(&mut self, token: Token, answer: Option<&Message>, now: Moment) -> bool {
        // Without an answer the request counts as answered with 408 (RFC 3261 §8.1.3.1).
        let answered = Answered {
            status: answer.and_then(Message::status).unwrap_or(408),
            reason: answer.map_or_else(|| "Request Timeout".to_owned(), |answer| answer.reason().to_owned()),
        };
        let of_command = |commanded: &Commanded| commanded.request.token == token;
        let waiting = self.app.as_ref().map_or(&[][..], |app| &app.requests);
        if let Some(position) = waiting.iter().position(of_command) {
            if answered.status >= 200
                && let Some(app) = &mut self.app
            {
                let commanded = app.requests.swap_remove(position);
                self.command_answered(commanded, answered, answer.is_some(), now);
            }
            return true;
        }
        let Some(leg) =
            self.leg_in(|running| matches!(running, Running::Requesting(request) if request.token == token))
        else {
            return false;
        };
        if answered.status < 200 {
            return true;
        }
        let Some(Running::Requesting(request)) = self.line_mut(leg).and_then(|line| line.running.take()) else {
            return true;
        };
        match &request.hook {
            Some(hook) => {
                let result = payload::request_answered(answer.and_then(Message::status));
                self.ask_action(leg, hook, result, request.id.as_deref(), now);
            }
            None => self.advance(leg, now),
        }
        true
    }

    fn command_answered(&mut self, commanded: Commanded, answered: Answered, is_real: bool, now: Moment) {
        let Commanded { leg, request, reply } = commanded;
        if let Some(hook) = &request.hook {
            let result = payload::request_answered(is_real.then_some(answered.status));
            self.notify(leg, hook, result, request.id.as_deref(), now);
        } else if reply.is_none() && answered.status >= 300 {
            let Answered { status, reason } = &answered;
            let detail = format!("{} was answered with {status} {reason}", request.method);
            self.tell_error("sip:request", &detail);
        }
        self.done(reply, Ok(answered));
    }
}
