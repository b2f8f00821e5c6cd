//! Requests that an application sends inside the dialog of a leg (`sip:request`), and what they are answered with.

use super::application::Running;
use super::id::{LegIndex, Token};
use super::leg::{LegState, with_headers};
use super::value::Call;
use crate::app::payload;
use crate::app::verb::{self, Hook};
use crate::dial::LegKind;
use crate::moment::Moment;
use crate::sip::Method;
use serde::{Deserialize, Serialize};

/// A request of an application that waits for its final answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Request {
    token: Token,
    hook: Option<Hook>,
    id: Option<String>,
}

impl Call {
    /// The verb `sip:request`: the line waits for the answer.
    pub(super) fn request_verb(&mut self, leg: LegIndex, request: verb::SipRequest, now: Moment) {
        self.send_request(
            leg,
            &request,
            Some((request.action_hook.clone(), request.id.clone())),
            now,
        );
    }

    /// Sends a request inside the dialog of a leg; a verb waits for its answer.
    pub(super) fn send_request(
        &mut self,
        leg: LegIndex,
        request: &verb::SipRequest,
        verb: Option<(Option<Hook>, Option<String>)>,
        now: Moment,
    ) {
        let sent = self.try_request(leg, request);
        match (sent, verb) {
            (Ok(token), Some((hook, id))) => {
                if let Some(line) = self.line_mut(leg) {
                    line.running = Some(Running::Requesting(Request { token, hook, id }));
                }
            }
            (Ok(_), None) => {}
            (Err(detail), verb) => {
                self.tell_error("sip:request", &detail);
                if let Some((Some(hook), id)) = verb {
                    self.ask_action(leg, &hook, payload::request_failed(&detail), id.as_deref(), now);
                }
            }
        }
    }

    fn try_request(&mut self, index: LegIndex, request: &verb::SipRequest) -> Result<Token, String> {
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
        Ok(self.send(index, draft, to))
    }

    /// The final answer to a request of an application, or that there is none. True when `token` was one.
    pub(super) fn request_answered(&mut self, token: Token, status: Option<u16>, now: Moment) -> bool {
        let Some(leg) =
            self.leg_in(|running| matches!(running, Running::Requesting(request) if request.token == token))
        else {
            return false;
        };
        if status.is_some_and(|status| status < 200) {
            return true;
        }
        let Some(Running::Requesting(request)) = self.line_mut(leg).and_then(|line| line.running.take()) else {
            return true;
        };
        match &request.hook {
            Some(hook) => self.ask_action(leg, hook, payload::request_answered(status), request.id.as_deref(), now),
            None => self.advance(leg, now),
        }
        true
    }
}
