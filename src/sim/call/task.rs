//! The task of one call: its state, the loop that it lives in, and what both directions of set-up share.

use super::transfer::Subscription;
use super::view::{DialogNames, EndedBy, Ending, Stage, View};
use super::{Event, Order};
use crate::net::shard::{Ack, Command};
use crate::sdp::Direction;
use crate::sim::description::{Description, Disagreement, Shape, audio_of, place_of};
use crate::sim::line::Line;
use crate::sim::media::{Endpoint, Stream};
use crate::sim::persona::Known;
use crate::sim::script::Script;
use crate::sim::sdp_shape::{SdpRtcp, SdpShape};
use crate::sim::spoken::Spoken;
use crate::sim::teams::ice_lines;
use crate::sim::violation::Violation;
use crate::sip::dialog::Dialog;
use crate::sip::transaction::ServerTransactionId;
use crate::sip::{HeaderName, Hop, Message, Method, RequestDraft, ResponseDraft};
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Whether the call lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    GoesOn,
    Over,
}

/// One branch of this side: its media and description.
pub(super) struct Side {
    pub(super) endpoint: Endpoint,
    pub(super) description: Description,
    /// What was agreed last.
    pub(super) stream: Option<Stream>,
}

/// A 2xx of ours that waits for its ACK.
pub(super) struct Unacknowledged {
    pub(super) id: ServerTransactionId,
    pub(super) limit: Instant,
    /// Our 2xx carried an offer: the answer is in the ACK.
    pub(super) answer_due: bool,
}

/// One call.
pub(super) struct Task {
    pub(super) line: Arc<Line>,
    pub(super) events_in: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    orders: mpsc::Receiver<Order>,
    pub(super) shown: watch::Sender<View>,
    pub(super) known: Known,
    pub(super) dialog: Option<Dialog>,
    /// The live branch.
    pub(super) side: Option<Side>,
    /// Hz.
    pub(super) tone: f64,
    /// The one codec that is spoken.
    pub(super) codec: Option<Spoken>,
    /// How descriptions are written.
    pub(super) sdp: SdpShape,
    pub(super) hears_ack: bool,
    pub(super) direction: Direction,
    pub(super) unacknowledged: Option<Unacknowledged>,
    /// The INVITE of ours that made the dialog: its 2xx may come again.
    pub(super) invite: Option<(u64, u32)>,
    pub(super) never_acks: bool,
    /// A re-INVITE of ours waits for its answer.
    pub(super) changing: bool,
    /// Whether the last `Allow` that was heard lists REFER; nobody said so yet: it may.
    pub(super) offers_refer: bool,
    /// The REFER of ours that is not over.
    pub(super) subscription: Option<Subscription>,
    /// The peer was transferred: our BYE is next.
    pub(super) bye_due: bool,
    /// The CANCEL that comes has to say that another side answered.
    pub(super) elsewhere: bool,
    /// Whose steps are played, as a whole.
    pub(super) script: Arc<Script>,
    pub(super) parties: Parties,
    /// Of a call that was placed: BYE so long after its script.
    pub(super) hang_up_after: Option<Duration>,
    pub(super) silence: Option<Silence>,
}

/// The numbers of a call, where they are known.
#[derive(Debug, Default)]
pub(super) struct Parties {
    /// Of this side.
    pub(super) own: Option<String>,
    pub(super) other: Option<String>,
}

/// The time without a packet of an answered call.
pub(super) struct Silence {
    /// When packets were counted last.
    since: Instant,
    packets: u64,
}

impl Task {
    pub(super) fn new(
        line: Arc<Line>,
        events_in: mpsc::Sender<Event>,
        events: mpsc::Receiver<Event>,
        orders: mpsc::Receiver<Order>,
        shown: watch::Sender<View>,
    ) -> Task {
        let (tone, bypass) = (line.tone, line.persona.shape() == Shape::TeamsBypass);
        Task {
            line,
            events_in,
            events,
            orders,
            shown,
            known: Known::before_a_call(bypass),
            dialog: None,
            side: None,
            tone,
            codec: None,
            sdp: SdpShape::default(),
            hears_ack: true,
            direction: Direction::SendRecv,
            unacknowledged: None,
            invite: None,
            never_acks: false,
            changing: false,
            offers_refer: true,
            subscription: None,
            bye_due: false,
            elsewhere: false,
            script: Arc::new(Script::of([])),
            parties: Parties::default(),
            hang_up_after: None,
            silence: None,
        }
    }

    pub(super) async fn open_side(&self) -> io::Result<Side> {
        let shape = self.line.persona.shape();
        let mux = shape.is_teams() && self.sdp.rtcp == SdpRtcp::Mux;
        Ok(Side {
            endpoint: Endpoint::open(self.line.address, mux, self.line.clock).await?,
            description: Description::new(shape, self.sdp, self.codec),
            stream: None,
        })
    }

    /// The next event.
    pub(super) async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The next event or order, or neither until `limit`.
    pub(super) async fn next_by(&mut self, limit: Option<Instant>) -> Next {
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => Next::Event(event),
            Some(order) = self.orders.recv() => Next::Order(order),
            () = sleep_by(limit) => Next::Time,
        }
    }

    /// Lives in the answered call until `limit`, or to its end.
    pub(super) async fn live(&mut self, limit: Option<Instant>) -> Fate {
        loop {
            let ack_limit = self.unacknowledged.as_ref().map(|waiting| waiting.limit);
            let silent = self.watch_silence();
            let nearest = [limit, ack_limit, silent].into_iter().flatten().min();
            let fate = match self.next_by(nearest).await {
                Next::Event(event) => self.event(event).await,
                Next::Order(order) => self.order(order).await,
                Next::Time if ack_limit.is_some_and(|ack| ack <= Instant::now()) => self.miss_ack().await,
                Next::Time if limit.is_some_and(|limit| limit <= Instant::now()) => return Fate::GoesOn,
                Next::Time => self.miss_media(),
            };
            if self.let_go(fate).await == Fate::Over {
                return Fate::Over;
            }
        }
    }

    async fn miss_ack(&mut self) -> Fate {
        if self.hears_ack {
            let limit = self.line.persona.ack_limit();
            self.breach("ack-missing", format!("no ACK within {limit:?} of our 200"));
        }
        self.hang_up_for("Q.850;cause=102;text=\"No ACK for acceptance\"").await
    }

    /// When it is looked again whether anything came.
    fn watch_silence(&mut self) -> Option<Instant> {
        let longest = self.line.persona.longest_silence()?;
        let packets = self.side.as_ref()?.endpoint.ear().arrived();
        let silence = self.silence.get_or_insert_with(|| Silence {
            since: Instant::now(),
            packets,
        });
        Some(silence.since + longest)
    }

    /// Something has to come while a call is up, on hold too.
    fn miss_media(&mut self) -> Fate {
        let packets = self.side.as_ref().map(|side| side.endpoint.ear().arrived());
        let last = self.silence.take().map(|silence| silence.packets);
        if packets == last {
            let longest = self.line.persona.longest_silence().unwrap_or_default();
            self.breach("no-media", format!("neither RTP nor RTCP for {} s", longest.as_secs()));
        }
        Fate::GoesOn
    }

    /// What the wire has for an answered call.
    pub(super) async fn event(&mut self, event: Event) -> Fate {
        match event {
            Event::Request { id, message } => self.request(id, message).await,
            Event::Ack { message } => {
                self.acknowledge(&message).await;
                Fate::GoesOn
            }
            Event::Response { token, message } => {
                // Our ACK was lost: the 2xx came again.
                if let Some((invite, cseq)) = self.invite
                    && token == invite
                    && message.status().is_some_and(|status| (200..300).contains(&status))
                    && !self.never_acks
                {
                    self.send_ack(cseq, None).await;
                }
                Fate::GoesOn
            }
            Event::Cancelled { .. } | Event::Failed { .. } => Fate::GoesOn,
        }
    }

    pub(super) async fn order(&mut self, order: Order) -> Fate {
        match order {
            Order::HangUp => self.hang_up().await,
            // It is answered.
            Order::Answer => Fate::GoesOn,
            Order::NumberFrom(cseq) => {
                if let Some(dialog) = &mut self.dialog {
                    dialog.number_from(cseq);
                }
                Fate::GoesOn
            }
            Order::Digits(digits) => {
                if let Some(side) = &self.side {
                    side.endpoint.digits(&digits).await;
                }
                Fate::GoesOn
            }
            Order::Refer(refer, reply) => {
                let status = self.refer(refer).await;
                // Who asked may have stopped waiting.
                let _ = reply.send(status);
                Fate::GoesOn
            }
            Order::Change(change, reply) => {
                let (status, fate) = self.change(change).await;
                // Who asked may have stopped waiting.
                let _ = reply.send(status);
                fate
            }
        }
    }

    async fn request(&mut self, id: ServerTransactionId, message: Message) -> Fate {
        self.inspect(&message);
        let method = message.method().cloned().unwrap_or(Method::Options);
        let rejected = match &mut self.dialog {
            Some(dialog) => dialog
                .accept_request(&message)
                .err()
                .map(|rejection| rejection.status()),
            None => Some(481),
        };
        if let Some(status) = rejected {
            self.answer(id, &message, ResponseDraft::new(status)).await;
            return Fate::GoesOn;
        }
        match method {
            Method::Invite => self.changed(id, &message).await,
            Method::Bye => {
                self.answer(id, &message, ResponseDraft::new(200)).await;
                self.end(EndedBy::Peer, None, Some(&message));
                return Fate::Over;
            }
            Method::Notify => self.notified(id, &message).await,
            method if self.line.persona.takes(&method) => {
                self.answer(id, &message, ResponseDraft::new(200)).await;
            }
            method => {
                self.breach("method", format!("{method} inside a call"));
                self.answer(id, &message, ResponseDraft::new(405)).await;
            }
        }
        Fate::GoesOn
    }

    async fn acknowledge(&mut self, ack: &Message) {
        self.inspect(ack);
        if !self.hears_ack {
            return;
        }
        let Some(waiting) = self.unacknowledged.take() else {
            return;
        };
        self.command(Command::Acknowledged { id: waiting.id }).await;
        if waiting.answer_due {
            let agreed = self.agree_on_answer(ack.body()).await;
            if let Err(disagreement) = agreed {
                self.breach("late-answer", disagreement.to_string());
            }
        }
    }

    /// BYE, and the end of it.
    pub(super) async fn hang_up(&mut self) -> Fate {
        self.say_bye(None).await
    }

    /// The same for a reason of this side's own.
    async fn hang_up_for(&mut self, reason: &str) -> Fate {
        self.say_bye(Some(reason)).await
    }

    async fn say_bye(&mut self, reason: Option<&str>) -> Fate {
        let Some(dialog) = &mut self.dialog else {
            return Fate::Over;
        };
        let draft = dialog.request(Method::Bye);
        let draft = match reason {
            Some(reason) => draft.header(HeaderName::Reason, reason),
            None => draft,
        };
        self.end(EndedBy::Us, None, None);
        self.transact(draft, None).await;
        Fate::Over
    }

    /// A request in the dialog to its final response; the status and the response. `None` for it: none came.
    pub(super) async fn transact(&mut self, draft: RequestDraft, body: Option<String>) -> (u16, Option<Message>) {
        let line = self.line.clone();
        self.transact_over(&line, draft, body).await
    }

    /// The same from another simulator's address and connection.
    pub(super) async fn transact_over(
        &mut self,
        line: &Arc<Line>,
        draft: RequestDraft,
        body: Option<String>,
    ) -> (u16, Option<Message>) {
        let draft = line.persona.request(draft, &self.known.face, false);
        let draft = match body {
            Some(body) => draft.body("application/sdp", body),
            None => draft,
        };
        let Some(hop) = self.hop_from(line) else {
            return (503, None);
        };
        let token = line.next_token();
        line.expect(token, &self.events_in);
        // The wire ends with the whole simulator.
        let _ = line.commands.send(Command::Request { token, draft, hop }).await;
        while let Some(event) = self.next_event().await {
            match event {
                Event::Response { token: of, message } if of == token => {
                    if let Some(status) = message.status().filter(|status| *status >= 200) {
                        return (status, Some(message));
                    }
                }
                Event::Failed { token: of, status } if of == token => return (status, None),
                // Both sides may hang up at once: theirs is answered like any other.
                other => {
                    if self.event_meanwhile(other).await == Fate::Over {
                        return (481, None);
                    }
                }
            }
        }
        (503, None)
    }

    /// Events while a request of ours is out. The change that it asks for is not begun twice.
    async fn event_meanwhile(&mut self, event: Event) -> Fate {
        match event {
            Event::Request { id, message } if message.method() == Some(&Method::Bye) => {
                self.inspect(&message);
                self.answer(id, &message, ResponseDraft::new(200)).await;
                self.end(EndedBy::Peer, None, Some(&message));
                Fate::Over
            }
            Event::Request { id, message } if self.changing && message.method() == Some(&Method::Invite) => {
                self.answer(id, &message, ResponseDraft::new(491)).await;
                Fate::GoesOn
            }
            Event::Ack { message } => {
                self.acknowledge(&message).await;
                Fate::GoesOn
            }
            Event::Request { id, message } if message.method() == Some(&Method::Notify) => {
                self.inspect(&message);
                let accepted = self.dialog.as_mut().map(|dialog| dialog.accept_request(&message));
                match accepted {
                    Some(Ok(())) => self.notified(id, &message).await,
                    _ => self.answer(id, &message, ResponseDraft::new(481)).await,
                }
                Fate::GoesOn
            }
            Event::Request { id, message } => {
                self.answer(id, &message, ResponseDraft::new(500)).await;
                Fate::GoesOn
            }
            Event::Response { .. } | Event::Cancelled { .. } | Event::Failed { .. } => Fate::GoesOn,
        }
    }

    pub(super) async fn send_ack(&mut self, cseq: u32, body: Option<String>) {
        let Some(dialog) = &self.dialog else { return };
        let draft = self.line.persona.request(dialog.ack(cseq), &self.known.face, false);
        let draft = match body {
            Some(body) => draft.body("application/sdp", body),
            None => draft,
        };
        if let Some(hop) = self.hop() {
            // Nobody here waits for it.
            self.command(Command::Ack(Box::new(Ack::to(0, draft, hop)))).await;
        }
    }

    /// Where requests of ours go. The Record-Route in the dialog is our own: portcullis adds none.
    pub(super) fn hop(&self) -> Option<Hop> {
        self.hop_from(&self.line)
    }

    fn hop_from(&self, line: &Line) -> Option<Hop> {
        let dialog = self.dialog.as_ref()?;
        let seen = line.seen().or_else(|| self.line.seen());
        line.persona.hop(dialog.remote_target(), seen.as_ref())
    }

    pub(super) async fn answer(&self, id: ServerTransactionId, request: &Message, draft: ResponseDraft) {
        let draft = self
            .line
            .persona
            .response(draft, request, Some(&self.known.face), false);
        self.command(Command::Respond { id, draft }).await;
    }

    /// Takes the peer's answer to our offer.
    pub(super) async fn agree_on_answer(&mut self, body: &[u8]) -> Result<(), Disagreement> {
        let audio = audio_of(body)?;
        let Some(side) = &mut self.side else { return Ok(()) };
        let stream = side.description.answered(&audio, self.tone, self.direction)?;
        side.stream = Some(stream.clone());
        side.endpoint.flow(stream).await;
        Ok(())
    }

    pub(super) fn inspect(&mut self, message: &Message) {
        let violations = self.line.persona.inspect(message, &self.known);
        self.line.violations.record_all(violations);
        if message.header(HeaderName::Allow).is_some() {
            self.offers_refer = message.lists(HeaderName::Allow, "REFER");
        }
        if !message.body().is_empty()
            && let Some((media, protocol)) = place_of(message.body())
        {
            self.known.media.get_or_insert(media);
            self.known.protocol.get_or_insert(protocol);
            self.known.ice.get_or_insert_with(|| ice_lines(message.body()));
            self.known.described = Some(Bytes::copy_from_slice(message.body()));
        }
    }

    pub(super) fn breach(&self, rule: &'static str, evidence: impl Into<String>) {
        self.line.violations.record(Violation::new(rule, evidence));
    }

    pub(super) async fn command(&self, command: Command) {
        // The wire ends with the whole simulator.
        let _ = self.line.commands.send(command).await;
    }

    pub(super) fn show(&self, change: impl FnOnce(&mut View)) {
        self.shown.send_modify(change);
    }

    pub(super) fn name_dialog(&self, local_tag: &str, remote_tag: Option<&str>) {
        let names = DialogNames {
            local_tag: local_tag.to_owned(),
            remote_tag: remote_tag.unwrap_or_default().to_owned(),
        };
        self.show(|view| view.dialog = Some(names));
    }

    /// The first end counts.
    pub(super) fn end(&mut self, by: EndedBy, status: Option<u16>, last: Option<&Message>) {
        let text = |name| -> Vec<String> {
            last.map(|message| message.headers(name).map(str::to_owned).collect())
                .unwrap_or_default()
        };
        let (reasons, retry_after) = (text(HeaderName::Reason), text(HeaderName::RetryAfter));
        let x_reason = last.and_then(|message| message.header_named("X-Reason"));
        let x_reason = x_reason.map(str::to_owned);
        self.show(|view| {
            view.stage = Stage::Ended;
            view.ending.get_or_insert(Ending {
                by,
                status,
                reasons,
                retry_after: retry_after.into_iter().next(),
                x_reason,
            });
        });
    }

    /// After the end: requests that come late are answered by the line.
    pub(super) fn leave(&self) {
        self.line.leave(&self.shown.borrow().call_id);
    }
}

/// What came first.
pub(super) enum Next {
    Event(Event),
    Order(Order),
    Time,
}

async fn sleep_by(limit: Option<Instant>) {
    match limit {
        Some(limit) => sleep_until(limit).await,
        None => std::future::pending().await,
    }
}
