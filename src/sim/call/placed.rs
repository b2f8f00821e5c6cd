//! A call to portcullis.

use super::dial::Dial;
use super::task::{Fate, Next, Parties, Task};
use super::view::{EndedBy, Provisional, Stage};
use super::{Event, Order};
use crate::net::shard::Command;
use crate::sdp::Direction;
use crate::sim::own_header::OwnHeader;
use crate::sim::script::Script;
use crate::sip::dialog::{Fork, Forks, Initiation, new_tag};
use crate::sip::digest::{DigestClient, realm_of};
use crate::sip::{HeaderName, Message, Method, NameAddr, RequestDraft, Uri};
use bytes::Bytes;
use std::sync::Arc;
use tokio::time::Instant;

/// The INVITE that is out.
struct Attempt {
    initiation: Initiation,
    forks: Forks,
    token: u64,
    body: Option<String>,
    digest: Option<DigestClient>,
    cancelled: bool,
}

/// A description with a location record beside it (RFC 6442).
fn located(draft: RequestDraft, description: &str, record: &str) -> RequestDraft {
    const BOUNDARY: &str = "teams-sim-boundary-1";
    let body = format!(
        "--{BOUNDARY}\r\nContent-Type: application/sdp\r\n\r\n{description}\r\n--{BOUNDARY}\r\nContent-Type: \
         application/pidf+xml\r\nContent-ID: <loc-1@sim.invalid>\r\n\r\n{record}\r\n--{BOUNDARY}--\r\n"
    );
    draft
        .header(HeaderName::Geolocation, "<cid:loc-1@sim.invalid>")
        .body(&format!("multipart/mixed;boundary={BOUNDARY}"), body)
}

impl Task {
    /// The whole life of a call to portcullis.
    pub(in crate::sim) async fn placed(mut self, call_id: String, uri: Uri, dial: Dial, script: Arc<Script>) {
        self.known.face = self.line.persona.face(&dial.from);
        self.tone = dial.tone.unwrap_or(self.tone);
        self.codec = dial.codec;
        self.sdp = dial.sdp;
        self.never_acks = dial.never_ack;
        self.known.trunk = Some(uri.host().to_owned());
        self.script = script;
        self.hang_up_after = dial.hang_up_after;
        self.parties = Parties {
            own: Some(dial.from.clone()),
            other: Some(dial.to.clone()),
        };
        match self.call(call_id, uri, &dial).await {
            Ok(Fate::GoesOn) => {
                if self.play(&dial.script.steps).await == Fate::GoesOn {
                    let limit = dial.hang_up_after.map(|span| Instant::now() + span);
                    if self.live(limit).await == Fate::GoesOn {
                        self.hang_up().await;
                    }
                }
            }
            Ok(Fate::Over) => {}
            Err(status) => self.end(EndedBy::Nobody, Some(status), None),
        }
        self.leave();
    }

    /// To the answer. The error is a status for what could not even be sent.
    async fn call(&mut self, call_id: String, uri: Uri, dial: &Dial) -> Result<Fate, u16> {
        let mut side = self.open_side().await.map_err(|_| 500u16)?;
        let body = (!dial.offerless).then(|| side.description.offer(&side.endpoint, Direction::SendRecv));
        self.known.offered = body.clone().map(Bytes::from);
        let ear = side.endpoint.ear().clone();
        self.side = Some(side);
        self.show(|view| view.ear = Some(ear));
        let own = Uri::parse(&self.known.face.home).map_err(|_| 400u16)?;
        let from = NameAddr::new(from_uri(&own, &dial.from).ok_or(400u16)?).with_display(dial.display.as_deref());
        let tag = new_tag(&mut rand::rng());
        self.show(|view| view.tags.push(tag.clone()));
        let to = NameAddr::new(uri.without_param("transport"));
        let mut attempt = Attempt {
            initiation: Initiation::named(uri, &from, &to, call_id, tag),
            forks: Forks::default(),
            token: 0,
            body,
            digest: None,
            cancelled: false,
        };
        self.send_invite(&mut attempt, dial, None).await?;
        let patience = self.line.persona.ringing_limit();
        let mut ring_by = patience.map(|span| Instant::now() + span);
        let cancel_at = dial.script.patience.map(|span| Instant::now() + span);
        loop {
            ring_by = ring_by.filter(|_| self.shown.borrow().stage < Stage::Ringing);
            let limit = ring_by.into_iter().chain(cancel_at).min();
            match self.next_by(limit.filter(|_| !attempt.cancelled)).await {
                Next::Event(Event::Response { token, message }) if token == attempt.token => {
                    if let Some(fate) = self.response(&mut attempt, &message, dial).await? {
                        return Ok(fate);
                    }
                }
                Next::Event(Event::Failed { token, status }) if token == attempt.token => return Err(status),
                Next::Event(Event::Request { id, message }) => {
                    self.breach("early-request", format!("{:?} before the answer", message.method()));
                    self.answer(id, &message, crate::sip::ResponseDraft::new(481)).await;
                }
                Next::Event(_) => {}
                next @ (Next::Order(Order::HangUp) | Next::Time) => {
                    if matches!(next, Next::Time) && ring_by.is_some_and(|limit| limit <= Instant::now()) {
                        self.breach("late-ringing", format!("nothing but 100 within {patience:?}"));
                    }
                    attempt.cancelled = true;
                    let token = attempt.token;
                    let headers = Vec::new();
                    self.command(Command::Cancel { token, headers }).await;
                }
                Next::Order(_) => {}
            }
        }
    }

    async fn send_invite(
        &mut self,
        attempt: &mut Attempt,
        dial: &Dial,
        authorization: Option<(HeaderName, String)>,
    ) -> Result<(), u16> {
        let draft = attempt.initiation.request(Method::Invite);
        let mut draft = self.line.persona.request(draft, &self.known.face, true);
        if let Some((name, value)) = authorization {
            draft = draft.header(name, value);
        }
        draft = OwnHeader::put_into(&self.line.inviting().headers, draft).ok_or(400u16)?;
        for (name, value) in &dial.headers {
            draft = draft.raw_header(name, value).map_err(|_| 400u16)?;
        }
        let draft: RequestDraft = match (&attempt.body, &dial.location) {
            (Some(body), Some(record)) => located(draft, body, record),
            (Some(body), None) => draft.body("application/sdp", body.clone()),
            (None, _) => draft,
        };
        let uri = attempt.initiation.next_hop_uri();
        let hop = self.line.persona.hop(uri, self.line.seen().as_ref()).ok_or(503u16)?;
        attempt.token = self.line.next_token();
        self.line.expect(attempt.token, &self.events_in);
        let token = attempt.token;
        self.command(Command::Request { token, draft, hop }).await;
        Ok(())
    }

    async fn response(&mut self, attempt: &mut Attempt, response: &Message, dial: &Dial) -> Result<Option<Fate>, u16> {
        self.inspect(response);
        let status = response.status().unwrap_or_default();
        let fork = attempt.forks.receive(&attempt.initiation, response);
        if fork.is_err() {
            self.breach("dialog", format!("{status} makes no dialog: {fork:?}"));
        }
        match status {
            100 => {}
            101..200 => {
                self.provisional_response(status, response, attempt.body.is_some())
                    .await
            }
            200..300 => return Ok(self.success(attempt, response, fork.ok()).await),
            401 | 407 if dial.credentials.is_some() => {
                let authorization = authorize(attempt, response, dial);
                match authorization {
                    Some(authorization) => self.send_invite(attempt, dial, Some(authorization)).await?,
                    None => {
                        self.end(EndedBy::Peer, Some(status), Some(response));
                        return Ok(Some(Fate::Over));
                    }
                }
            }
            _ => {
                let by = if attempt.cancelled { EndedBy::Us } else { EndedBy::Peer };
                self.end(by, Some(status), Some(response));
                return Ok(Some(Fate::Over));
            }
        }
        Ok(None)
    }

    async fn provisional_response(&mut self, status: u16, response: &Message, offered: bool) {
        let has_description = !response.body().is_empty();
        if has_description && offered {
            self.take_answer(response.body()).await;
        }
        self.show(|view| {
            view.stage = Stage::Ringing;
            view.provisionals.push(Provisional {
                status,
                to_tag: response.to_tag().map(str::to_owned),
                has_description,
            });
        });
    }

    async fn success(&mut self, attempt: &mut Attempt, response: &Message, fork: Option<Fork>) -> Option<Fate> {
        let Some(Fork::Answered(index)) = fork else { return None };
        let dialog = attempt.forks.get(index)?.clone();
        let cseq = attempt.initiation.cseq();
        self.dialog = Some(dialog);
        self.name_dialog(attempt.initiation.local_tag(), response.to_tag());
        let body = if attempt.body.is_some() {
            self.take_answer(response.body()).await;
            None
        } else {
            self.answer_to(response.body()).await
        };
        self.known.answered = true;
        self.invite = Some((attempt.token, cseq));
        if !self.never_acks {
            self.send_ack(cseq, body).await;
        }
        if attempt.cancelled {
            // The CANCEL crossed the answer.
            return Some(self.hang_up().await);
        }
        self.show(|view| {
            view.stage = Stage::Answered;
            view.answered = true;
        });
        Some(Fate::GoesOn)
    }

    /// The 2xx of a call whose 18x had the answer already may bear none.
    async fn take_answer(&mut self, body: &[u8]) {
        let agreed_before = self.side.as_ref().is_some_and(|side| side.stream.is_some());
        if body.is_empty() && agreed_before {
            return;
        }
        if let Err(disagreement) = self.agree_on_answer(body).await {
            self.breach("answer", disagreement.to_string());
        }
    }
}

fn authorize(attempt: &mut Attempt, response: &Message, dial: &Dial) -> Option<(HeaderName, String)> {
    let (asked, name) = match response.status() {
        Some(407) => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
        _ => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
    };
    let uri = attempt.initiation.uri().as_str().to_owned();
    let cnonce = new_tag(&mut rand::rng());
    let digest = match &mut attempt.digest {
        Some(digest) => digest,
        none => {
            let mut credentials = dial.credentials.clone()?;
            if credentials.realm.is_empty() {
                credentials.realm = response.headers(asked).find_map(realm_of)?;
            }
            none.insert(DigestClient::new(credentials))
        }
    };
    let value = digest.answer(response.headers(asked), "INVITE", &uri, &cnonce);
    Some((name, value.ok()?))
}

/// Our number at our own host.
fn from_uri(own: &Uri, number: &str) -> Option<Uri> {
    let host = own.host();
    let uri = Uri::sip(Some(number), host, own.port()).ok()?;
    match number.starts_with('+') {
        true => uri.with_param("user", Some("phone")).ok(),
        false => Some(uri),
    }
}
