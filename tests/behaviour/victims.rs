//! Calls in whose dialogs somebody speaks for Teams who was never asked to, and what becomes of them.

use crate::hub_wire::framed;
use crate::lab::{BOUND, CARRIER_TONE, Lab, TEAMS_TONE, USER};
use crate::vectors::{Names, TAG_OF_ANSWER, Vectors, with};
use portcullis::call::{CallRecord, Cause, LegRecord, Party, TransferKind};
use portcullis::sim::{Call, Change, Dial, Simulator};
use portcullis::sip::{Message, Method};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// In what state a call is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A Teams user has called, and both talk.
    Talks,
    /// A Teams user calls.
    RingsAtCarrier,
    /// A Teams user is called.
    RingsAtTeams,
}

/// Who takes the calls that the node places. One that somebody waits for goes there. Other ones are answered at Teams, for they
/// come by a REFER, and declined at the carrier.
pub struct Desk {
    /// By the number outside, which each victim has for itself.
    waiting: Mutex<HashMap<String, oneshot::Sender<Call>>>,
    serving: Mutex<Vec<JoinHandle<()>>>,
}

impl Desk {
    pub fn open(lab: &Arc<Lab>) -> Arc<Desk> {
        let desk = Arc::new(Desk {
            waiting: Mutex::default(),
            serving: Mutex::default(),
        });
        let serving = [true, false].map(|is_teams| {
            let (desk, lab) = (desk.clone(), lab.clone());
            tokio::spawn(async move {
                let side: &Simulator = if is_teams { &lab.teams } else { &lab.carrier };
                while let Ok(call) = side.incoming_within(Duration::from_secs(3_600)).await {
                    desk.take(call, is_teams).await;
                }
            })
        });
        desk.serving.lock().unwrap().extend(serving);
        desk
    }

    async fn take(&self, call: Call, is_teams: bool) {
        let invite = call.invite().expect("the node calls");
        let outside = match is_teams {
            true => invite.from().ok().map(|from| from.uri().clone()),
            false => invite.uri(),
        };
        let number = outside.and_then(|uri| uri.user().map(str::to_owned));
        let waiting = number.and_then(|number| self.waiting.lock().unwrap().remove(&number));
        match waiting {
            // Who waited may have given up.
            Some(waiting) => drop(waiting.send(call)),
            // It may be over.
            None if is_teams => drop(call.answer().await),
            None => drop(tokio::spawn(async move { call.hang_up().await })),
        }
    }

    /// A call of a Teams user or of somebody outside: who calls, and who is called. A node on a busy machine may shed it
    /// (503 with Retry-After), and is asked again.
    async fn ringing(&self, lab: &Lab, dial: Dial, outside: &str, by_teams: bool) -> [Call; 2] {
        let ringing = async {
            loop {
                let (waiting, comes) = oneshot::channel();
                self.waiting.lock().unwrap().insert(outside.to_owned(), waiting);
                let placed = match by_teams {
                    true => lab.teams.place_call(dial.clone()).await.unwrap(),
                    false => lab.carrier.place_call(dial.clone()).await.unwrap(),
                };
                let ending = tokio::select! {
                    called = comes => return [placed, called.expect("a desk")],
                    ending = placed.ended() => ending,
                };
                let shed = ending.is_ok_and(|end| end.status == Some(503) && end.retry_after.is_some());
                assert!(shed, "{:?}", placed.view().ending);
                sleep(Duration::from_millis(200)).await;
            }
        };
        timeout(BOUND * 8, ringing).await.expect("it is let in")
    }

    /// A call of a Teams user that is answered outside: both ends.
    pub async fn talking(&self, lab: &Lab, from: &str, to: &str) -> [Call; 2] {
        let [caller, callee] = self.ringing(lab, Dial::new(from, to), to, true).await;
        callee.answer().await.unwrap();
        caller.answered().await.unwrap();
        [caller, callee]
    }

    /// Takes no more.
    pub async fn close(&self) {
        let serving = std::mem::take(&mut *self.serving.lock().unwrap());
        for task in serving {
            task.abort();
            assert!(task.await.is_err_and(|why| why.is_cancelled()));
        }
    }
}

/// One such call.
pub struct Victim {
    kind: Kind,
    bypass: bool,
    /// Its number outside.
    outside: String,
    teams: Call,
    carrier: Call,
    /// As Teams names it.
    names: Names,
    /// Of what Teams has said last.
    cseq: u32,
    /// The Via of its INVITE, where that is Teams'.
    via: String,
    told: Vec<Vec<u8>>,
}

/// What became of one.
#[derive(Debug)]
pub struct End {
    kind: Kind,
    /// Its two sides heard each other, right before we would hang up.
    pub was_heard: bool,
    record: CallRecord,
    told: Vec<Vec<u8>>,
}

impl Victim {
    pub async fn begin(lab: &Lab, desk: &Desk, kind: Kind, (number, bypass): (usize, bool)) -> Victim {
        let outside = format!("+4416330{number:05}");
        let mut via = String::new();
        let (teams, carrier, [from_tag, to_tag]) = match kind {
            Kind::Talks => {
                let [teams, carrier] = desk.talking(lab, USER, &outside).await;
                let dialog = teams.view().dialog.expect("a dialog");
                (teams, carrier, [dialog.local_tag, dialog.remote_tag])
            }
            Kind::RingsAtCarrier => {
                let dial = Dial::new(USER, &outside);
                let [teams, carrier] = desk.ringing(lab, dial, &outside, true).await;
                let theirs = teams.provisional(180).await.unwrap().to_tag.expect("a tag");
                let transcript = lab.teams.transcript();
                let ringing = transcript.iter().rfind(|message| message.call_id() == teams.id());
                let top = ringing.expect("its 180").top_via();
                via = format!(
                    "SIP/2.0/TLS {};branch={}",
                    top.sent_by(),
                    top.branch().expect("a branch")
                );
                let ours = teams.view().tags.first().cloned().expect("a tag");
                (teams, carrier, [ours, theirs])
            }
            Kind::RingsAtTeams => {
                let dial = Dial::new(&outside, USER);
                let [carrier, teams] = desk.ringing(lab, dial, &outside, false).await;
                carrier.provisional(180).await.unwrap();
                let theirs = teams.invite().and_then(Message::from_tag).expect("a tag").to_owned();
                (teams, carrier, [TAG_OF_ANSWER.to_owned(), theirs])
            }
        };
        let call_id = teams.id();
        Victim {
            kind,
            bypass,
            outside,
            teams,
            carrier,
            names: Names {
                call_id,
                from_tag,
                to_tag,
            },
            cseq: 1,
            via,
            told: Vec::new(),
        }
    }

    /// Something that Teams may say now. In its dialog it counts on.
    pub fn message(&mut self, vectors: &Vectors, number: usize, rng: &mut StdRng) -> String {
        if self.kind == Kind::RingsAtTeams && !self.carrier.view().answered {
            // What is said often leaves more to be said.
            let names = ["progress", "progress", "progress", "answer", "busy", "unavailable"];
            let invite = self.teams.invite().expect("the node calls");
            return vectors.answering(names.choose(rng).unwrap(), invite);
        }
        let names = match (self.kind, self.bypass) {
            (Kind::RingsAtCarrier, _) => &["cancel", "hold", "refer-user", "replaces", "bye"][..],
            (_, false) => &[
                "hold",
                "hold",
                "resume",
                "resume",
                "refer-number",
                "refer-user",
                "refer-replaces",
                "replaces",
                "bye",
            ],
            (_, true) => &[
                "final-candidates",
                "final-candidates",
                "ice-restart",
                "ice-restart",
                "hold",
                "resume",
                "refer-user",
                "replaces",
                "bye",
            ],
        };
        let name = *names.choose(rng).unwrap();
        let text = vectors.inside(name, (&self.names, self.cseq + 1), number);
        match name {
            // It bears the branch and the number of what it takes back.
            "cancel" => with(&with(&text, "VIA", &self.via), "CALL-ID", &self.names.call_id),
            _ => text,
        }
    }

    /// What it was told in the end: that counts in its dialog.
    pub fn told(&mut self, bytes: &[u8]) {
        self.told.push(bytes.to_vec());
        let message = Message::parse(framed(bytes.to_vec()).into());
        if let Ok(message) = message
            && message.call_id() == self.names.call_id
        {
            self.cseq = self.cseq.max(message.cseq().0);
        }
    }

    /// Whether both sides are there still.
    pub fn lives(&self) -> bool {
        self.teams.view().ending.is_none() && self.carrier.view().ending.is_none()
    }

    /// To its end, which is ours where it goes on.
    pub async fn end(self, lab: Arc<Lab>) -> End {
        let was_heard = self.is_heard().await;
        // It may be over by then.
        drop(self.carrier.hang_up().await);
        let is_it = |record: &CallRecord| [&record.facts.from, &record.facts.to].contains(&&self.outside);
        let record = lab.records.that(is_it).await;
        // Where somebody else was answered, Teams' simulator rings still.
        drop(self.teams.hang_up().await);
        End {
            kind: self.kind,
            was_heard,
            record,
            told: self.told,
        }
    }

    /// Whether its sides hear each other, once it is answered, or resumed by the side that was spoken for.
    async fn is_heard(&self) -> bool {
        // It may have been over in each case.
        match self.kind {
            Kind::RingsAtCarrier => {
                let answered = self.carrier.answer().await.is_ok() && self.teams.answered().await.is_ok();
                answered && self.both_hear().await
            }
            Kind::RingsAtTeams if !self.carrier.view().answered => {
                let answered = self.teams.answer().await.is_ok() && self.carrier.answered().await.is_ok();
                answered && self.both_hear().await
            }
            Kind::RingsAtTeams => self.hears_somebody().await,
            // Who is resumed beside a transfer that rings may have left when it is looked for.
            Kind::Talks => (self.is_resumed().await && self.both_hear().await) || self.hears_somebody().await,
        }
    }

    async fn is_resumed(&self) -> bool {
        let change = match self.bypass {
            true => Change::Restart,
            false => Change::Resume,
        };
        // As long as an ACK may be waited for.
        for _ in 0..25 {
            if !self.lives() || self.teams.number_from(self.cseq + 1).await.is_err() {
                return false;
            }
            match self.teams.change(change).await {
                Ok(200) => return true,
                // Another change is under way (RFC 3261 §14.2).
                Ok(491 | 500) => sleep(Duration::from_millis(150)).await,
                Ok(_) | Err(_) => return false,
            }
        }
        false
    }

    async fn both_hear(&self) -> bool {
        match tokio::join!(self.carrier.hears(TEAMS_TONE), self.teams.hears(CARRIER_TONE)) {
            (Ok(_), Ok(_)) => true,
            _ if !self.lives() => false,
            silence => {
                let told = self.told.join(&b"\n\n"[..]);
                panic!("{silence:?}, after\n{}", String::from_utf8_lossy(&told))
            }
        }
    }

    /// Who came by a REFER sends the same tone. Who came with Replaces is nobody and sends none.
    async fn hears_somebody(&self) -> bool {
        // A machine that stalls makes a short listening inconclusive.
        for _ in 0..10 {
            match self.carrier.listen(Duration::from_millis(300)).await {
                Ok(heard) if heard.is_tone(TEAMS_TONE) => return true,
                Ok(_) if self.carrier.view().ending.is_none() => {}
                _ => return false,
            }
        }
        false
    }
}

impl End {
    /// Whether its record says what was done to it, by us or by the messages.
    pub fn is_accounted_for(&self) -> bool {
        let (teams, outside) = match self.kind {
            Kind::Talks | Kind::RingsAtCarrier => (Party::Caller, Party::Callee),
            Kind::RingsAtTeams => (Party::Callee, Party::Caller),
        };
        let was_told = |what: &dyn Fn(&Message) -> bool| {
            let told = self
                .told
                .iter()
                .map(|bytes| Message::parse(framed(bytes.clone()).into()));
            told.flatten().any(|message| what(&message))
        };
        let was_asked = |method: Method| was_told(&|message| message.method() == Some(&method));
        let was_answered = |status: u16| was_told(&|message| message.status() == Some(status));
        match &self.record.cause {
            Cause::HungUp { by, .. } if *by == teams => was_asked(Method::Bye),
            Cause::HungUp { by, .. } => {
                let replaced =
                    |leg: &LegRecord| leg.transfer.as_ref().map(|by| by.kind) == Some(TransferKind::Replaced);
                let by_nobody =
                    self.record.legs.iter().any(replaced) || self.kind == Kind::RingsAtTeams && was_answered(200);
                *by == outside && (self.was_heard || by_nobody)
            }
            Cause::CallerGaveUp => {
                self.kind == Kind::RingsAtCarrier && (was_asked(Method::Cancel) || was_asked(Method::Bye))
            }
            Cause::Refused { status, .. } => self.kind == Kind::RingsAtTeams && was_answered(*status),
            Cause::AckLost { by } => *by == teams && (was_asked(Method::Invite) || was_answered(200)),
            // A 200 or an ACK without a description that can be used.
            Cause::MediaRefused { detail } => !detail.is_empty() && (was_asked(Method::Invite) || was_answered(200)),
            _ => false,
        }
    }

    pub fn in_words(&self) -> String {
        let heard = if self.was_heard { ", heard" } else { "" };
        format!("{:?}{heard}: {}", self.kind, self.record.cause.explain())
    }
}
