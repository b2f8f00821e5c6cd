//! Re-INVITEs of ours that meet the peer's: no side stays out of line with the other (RFC 3261 §14.1).

use super::application::{dial, to_application};
use super::messages::{Sent, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{Scenario, from_carrier, from_teams};
use crate::call::{LegIndex, Phase};
use crate::sip::Method;
use crate::sip::transaction::ServerTransactionId;
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// The directions that peers of these scenarios speak of.
const OPEN: &str = "sendrecv";
const HELD: &str = "inactive";

fn text(rig: &Rig, leg: LegIndex, direction: &str) -> String {
    match rig.speaks_teams(leg) {
        true => teams_sdp(direction),
        false => carrier_sdp(direction),
    }
}

fn is_open(sent: &Sent) -> bool {
    sent.sdp().contains("a=sendrecv")
}

/// `holder` is offered our description, and answers in its ACK that it holds: the other side is told so, and answers
/// that it is asking for something itself.
fn met(mut rig: Rig, holder: LegIndex) -> (Rig, LegIndex) {
    let other = if holder == CALLER { CALLEE } else { CALLER };
    rig.request(holder, Method::Invite, "", "");
    let hold = text(&rig, holder, HELD);
    rig.ack(holder, &hold);
    let told = rig.reinvites(other)[0].clone();
    assert!(!is_open(&told));
    rig.respond(&told, reply(491));
    assert_eq!(rig.call.phase(), Phase::Answered);
    (rig, other)
}

fn agrees(rig: &mut Rig, leg: LegIndex) {
    let offer = rig.reinvites(leg).pop().expect("a re-INVITE");
    let direction = if is_open(&offer) { OPEN } else { HELD };
    let answer = text(rig, leg, direction);
    rig.respond(&offer, reply(200).sdp(answer));
}

#[test]
fn who_owns_the_call_id_waits_longer() {
    let (mut rig, other) = met(from_carrier().begin().answered(), CALLER);
    rig.wait(Duration::from_millis(2_099));
    assert_eq!(rig.reinvites(other).len(), 1, "the callee's Call-ID is ours");
    rig.wait(Duration::from_millis(1_901));
    assert_eq!(rig.reinvites(other).len(), 2);
    assert!(!is_open(&rig.reinvites(other)[1]));
    agrees(&mut rig, other);
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.reinvites(other).len(), 2);
    rig.hang_up_and_finish();
}

#[test]
fn who_does_not_own_it_waits_less() {
    for scenario in [from_carrier(), from_teams()] {
        let (mut rig, other) = met(scenario.begin().answered(), CALLEE);
        rig.wait(Duration::from_secs(2));
        assert_eq!(rig.reinvites(other).len(), 2, "the caller's Call-ID is its own");
        agrees(&mut rig, other);
        rig.wait(Duration::from_secs(60));
        assert_eq!(rig.reinvites(other).len(), 2);
        rig.hang_up_and_finish();
    }
}

#[test]
fn a_bye_ends_the_waiting() {
    for by in [CALLER, CALLEE] {
        let (mut rig, other) = met(from_carrier().begin().answered(), CALLER);
        rig.request(by, Method::Bye, "", "");
        rig.wait(Duration::from_secs(10));
        assert_eq!(rig.reinvites(other).len(), 1);
        rig.finish();
    }
}

#[test]
fn the_offer_that_came_in_between_brings_it_in_line() {
    let (mut rig, other) = met(from_carrier().begin().answered(), CALLER);
    // What it was busy with: a hold of its own.
    let hold = text(&rig, other, HELD);
    rig.request(other, Method::Invite, "", &hold);
    let answer = rig.last_response(other);
    assert_eq!((answer.message.status(), is_open(&answer)), (Some(200), false));
    rig.ack(other, "");
    rig.wait(Duration::from_secs(10));
    assert_eq!(rig.reinvites(other).len(), 1, "it knows");
    rig.hang_up_and_finish();
}

#[test]
fn what_is_settled_by_then_is_offered() {
    let (mut rig, other) = met(from_carrier().begin().answered(), CALLER);
    rig.request(CALLER, Method::Invite, "", &carrier_sdp(OPEN));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    rig.ack(CALLER, "");
    rig.wait(Duration::from_secs(4));
    let again = rig.reinvites(other).pop().expect("a re-INVITE");
    assert!(is_open(&again), "the hold is over");
    agrees(&mut rig, other);
    rig.hang_up_and_finish();
}

#[test]
fn a_change_that_is_under_way_goes_first() {
    let (mut rig, other) = met(from_carrier().begin().answered(), CALLEE);
    assert_eq!(other, CALLER);
    // Codecs that the callee has to hear of: the answer is its.
    let fewer = carrier_sdp(OPEN).replace("AVP 8 0 101", "AVP 0 101");
    rig.request(CALLER, Method::Invite, "", &fewer);
    rig.wait(Duration::from_secs(10));
    assert_eq!(
        rig.reinvites(CALLER).len(),
        1,
        "nothing crosses what the caller has asked for"
    );
    rig.respond(
        &rig.reinvites(CALLEE)[0].clone(),
        reply(200).sdp(teams_sdp(OPEN).replace("SAVP 8 0", "SAVP 0")),
    );
    assert!(is_open(&rig.last_response(CALLER)));
    rig.ack(CALLER, "");
    rig.wait(Duration::from_secs(10));
    assert_eq!(rig.reinvites(CALLER).len(), 1, "and it is in line by it");
    rig.hang_up_and_finish();
}

#[test]
fn a_peer_that_is_never_ready_is_left_alone() {
    let (mut rig, other) = met(from_carrier().begin().answered(), CALLER);
    for _ in 0..20 {
        rig.wait(Duration::from_secs(4));
        let last = rig.reinvites(other).pop().expect("a re-INVITE");
        if !rig.is_answered(&last) {
            rig.respond(&last, reply(491));
        }
    }
    assert_eq!((rig.reinvites(other).len(), rig.call.phase()), (9, Phase::Answered));
    let (mut rig, other) = met(from_carrier().begin().answered(), CALLER);
    rig.wait(Duration::from_secs(4));
    rig.respond(&rig.reinvites(other)[1].clone(), reply(488));
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.reinvites(other).len(), 2, "488 is its last word");
    rig.hang_up_and_finish();
}

#[test]
fn a_hold_that_was_taken_back_too_late_is_put_back_in_the_end() {
    let mut rig = from_carrier().begin().answered();
    let hold = rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.cancel(hold, "");
    rig.respond(&rig.reinvites(CALLEE)[0].clone(), reply(200).sdp(teams_sdp(HELD)));
    rig.respond(&rig.reinvites(CALLEE)[1].clone(), reply(491));
    rig.wait(Duration::from_secs(4));
    let back = rig.reinvites(CALLEE)[2].clone();
    assert!(is_open(&back));
    agrees(&mut rig, CALLEE);
    rig.hang_up_and_finish();
}

#[test]
fn who_accepts_with_an_answer_that_nobody_can_use_is_put_back() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.respond(&rig.reinvites(CALLEE)[0].clone(), reply(200).sdp("v=0\r\nm=audio\r\n"));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(488));
    let back = rig.reinvites(CALLEE)[1].clone();
    assert!(is_open(&back));
    agrees(&mut rig, CALLEE);
    rig.hang_up_and_finish();
}

#[test]
fn who_asks_for_what_it_was_put_to_by_mistake_means_it() {
    let mut rig = from_carrier().begin().answered();
    let hold = rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.cancel(hold, "");
    rig.respond(&rig.reinvites(CALLEE)[0].clone(), reply(200).sdp(teams_sdp(HELD)));
    rig.respond(&rig.reinvites(CALLEE)[1].clone(), reply(491));
    rig.request(CALLEE, Method::Invite, "", &teams_sdp(HELD));
    assert!(!is_open(&rig.reinvites(CALLER)[0]));
    agrees(&mut rig, CALLER);
    rig.ack(CALLEE, "");
    rig.wait(Duration::from_secs(60));
    assert_eq!((rig.reinvites(CALLER).len(), rig.reinvites(CALLEE).len()), (1, 2));
    rig.hang_up_and_finish();
}

#[test]
fn a_caller_whose_holder_is_gone_hears_what_comes_next() {
    let mut rig = to_application().begin();
    rig.answer(&json!([
        dial(&["+12065550101"], &json!({})),
        { "verb": "pause", "length": 60 }
    ]));
    rig.planned(&["+12065550101"]);
    rig.ack(CALLER, "");
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    rig.request(invite.leg, Method::Invite, "", &carrier_sdp("sendonly"));
    agrees(&mut rig, CALLER);
    rig.ack(invite.leg, "");
    rig.request(invite.leg, Method::Bye, "", "");
    let resumed = rig.reinvites(CALLER)[1].clone();
    assert!(is_open(&resumed));
    rig.respond(&resumed, reply(491));
    rig.wait(Duration::from_secs(2));
    assert!(is_open(&rig.reinvites(CALLER)[2]));
    agrees(&mut rig, CALLER);
    rig.hang_up_and_finish();
}

#[derive(Debug, Clone)]
enum Move {
    /// A peer asks for something, or for our offer.
    Ask(LegIndex, Option<bool>),
    /// A peer answers our open re-INVITE: it agrees, or says this.
    Answer(LegIndex, Option<u16>),
    Ack(LegIndex, bool),
    /// The last re-INVITE of a peer is cancelled.
    TakeBack(LegIndex),
    Wait(u64),
}

/// Two peers, and whether the audio of each flows both ways, as far as it knows.
struct Peers {
    rig: Rig,
    open: [bool; 2],
    asked: [Option<(ServerTransactionId, Option<bool>)>; 2],
    /// The 2xx of ours that each has still to acknowledge carries our offer.
    offered: [bool; 2],
    read: usize,
}

impl Peers {
    fn new(scenario: Scenario) -> Peers {
        let rig = scenario.begin().answered();
        Peers {
            read: rig.sent.len(),
            rig,
            open: [true; 2],
            asked: [None; 2],
            offered: [false; 2],
        }
    }

    /// Hears what was sent since.
    fn hear(&mut self) {
        for sent in self.rig.sent.clone().into_iter().skip(self.read) {
            let side = usize::from(sent.leg.0);
            let (_, method) = sent.message.cseq();
            if method != Method::Invite || sent.message.status().is_none_or(|status| status < 200) {
                continue;
            }
            if let Some((_, wanted)) = self.asked[side].take()
                && sent.message.status() == Some(200)
            {
                match wanted {
                    Some(open) => self.open[side] = open && is_open(&sent),
                    None => self.offered[side] = true,
                }
            }
        }
        self.read = self.rig.sent.len();
    }

    fn unanswered(&self, leg: LegIndex) -> Option<Sent> {
        let last = self.rig.reinvites(leg).pop();
        last.filter(|offer| !self.rig.is_answered(offer))
    }

    fn play(&mut self, step: &Move) {
        match *step {
            // A peer asks for one thing at a time, and not while it has our question (RFC 3261 §14.1).
            Move::Ask(leg, wanted) => {
                let side = usize::from(leg.0);
                if self.asked[side].is_none() && self.unanswered(leg).is_none() && !self.offered[side] {
                    let direction = if wanted == Some(true) { OPEN } else { HELD };
                    let offer = wanted.map(|_| text(&self.rig, leg, direction)).unwrap_or_default();
                    let number = ServerTransactionId::numbered(self.rig.next_transaction);
                    self.asked[side] = Some((number, wanted));
                    self.rig.request(leg, Method::Invite, "", &offer);
                }
            }
            Move::Answer(leg, status) => {
                let Some(offer) = self.unanswered(leg) else { return };
                match status {
                    Some(status) => self.rig.respond(&offer, reply(status)),
                    None => {
                        self.open[usize::from(leg.0)] = is_open(&offer);
                        agrees(&mut self.rig, leg);
                    }
                }
            }
            Move::Ack(leg, open) => {
                let side = usize::from(leg.0);
                if !std::mem::take(&mut self.offered[side]) {
                    self.rig.ack(leg, "");
                } else {
                    let open = open && is_open(&self.rig.last_response(leg));
                    self.open[side] = open;
                    let answer = text(&self.rig, leg, if open { OPEN } else { HELD });
                    self.rig.ack(leg, &answer);
                }
            }
            Move::TakeBack(leg) => {
                if let Some((transaction, _)) = self.asked[usize::from(leg.0)] {
                    self.rig.cancel(transaction, "");
                }
            }
            Move::Wait(ms) => self.rig.wait(Duration::from_millis(ms)),
        }
        self.hear();
    }

    /// Both sides agree to whatever is still open.
    fn calm_down(&mut self) {
        for _ in 0..30 {
            for leg in [CALLER, CALLEE] {
                self.play(&Move::Ack(leg, true));
                self.play(&Move::Answer(leg, None));
            }
            self.play(&Move::Wait(1_000));
        }
    }
}

fn step() -> impl Strategy<Value = Move> {
    let leg = || prop::sample::select(vec![CALLER, CALLEE]);
    prop_oneof![
        4 => (leg(), prop::option::weighted(0.8, any::<bool>())).prop_map(|(leg, wanted)| Move::Ask(leg, wanted)),
        4 => (leg(), prop::sample::select(vec![None, None, Some(491), Some(491), Some(500), Some(503)]))
            .prop_map(|(leg, status)| Move::Answer(leg, status)),
        4 => (leg(), any::<bool>()).prop_map(|(leg, open)| Move::Ack(leg, open)),
        1 => leg().prop_map(Move::TakeBack),
        2 => (0..4_000_u64).prop_map(Move::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_audio_stays_one_way(teams_calls: bool, moves in prop::collection::vec(step(), 0..30)) {
        let mut peers = Peers::new(if teams_calls { from_teams() } else { from_carrier() });
        for step in &moves {
            peers.play(step);
        }
        peers.calm_down();
        prop_assert_eq!(peers.rig.call.phase(), Phase::Answered);
        prop_assert_eq!(peers.open[0], peers.open[1], "caller and callee");
        peers.rig.hang_up_and_finish();
    }
}
