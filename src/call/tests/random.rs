//! Whatever the peers do, in whatever order: nothing panics, everything is answered and closed, and the call ends.

use super::hunting::locate;
use super::messages::{Sent, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::replaced::{Replacing, replacing};
use super::rig::Rig;
use super::routed_refers::ANOTHER;
use super::scenario::{Scenario, from_carrier, from_teams};
use super::transfer::{TO_A_USER, dialled_by_an_application};
use crate::call::leg::LegState;
use crate::call::{Event, LegIndex, MediaNotice, Phase};
use crate::route::{Refusal, Trace};
use crate::sip::Method;
use crate::sip::message::{HeaderName, Message};
use crate::sip::transaction::Cause as TransportCause;
use proptest::prelude::*;
use std::time::Duration;

#[derive(Debug, Clone)]
enum Move {
    /// A response to one of our requests, counted from the last.
    Respond(usize, u16, &'static str, Body),
    Fail(usize, bool),
    /// The name of the last INVITE has this many addresses.
    Locate(usize),
    /// A request of a peer.
    Request(u16, Method, Body),
    Ack(u16, Body),
    Cancel,
    /// Teams replaces its dialog on this leg, or takes that back.
    Replace(u16, Body),
    CancelReplace,
    /// The peer of this leg has somebody else called; what a carrier names is routed like this.
    Refer(u16, Routed),
    Silence(u16),
    Flows(u16),
    MediaEvent,
    Wait(u32),
    Clear,
}

/// What the other rooms make of a REFER.
#[derive(Debug, Clone, Copy)]
enum Routed {
    Nowhere,
    InOrder,
    AtOnce,
}

fn routed() -> impl Strategy<Value = Routed> {
    prop_oneof![
        1 => Just(Routed::Nowhere),
        2 => Just(Routed::InOrder),
        2 => Just(Routed::AtOnce),
    ]
}

impl Rig {
    fn route(&mut self, routed: Routed) {
        match (self.waits_for_route(), routed) {
            (false, _) => {}
            (true, Routed::Nowhere) => {
                let wish = self.wish().expect("it waits");
                let plan = Err(Refusal::unknown_number("+14255550199"));
                let trace = Trace::default();
                self.step(Event::TransferPlanned { wish, plan, trace });
            }
            (true, routed) => self.answer_wish(matches!(routed, Routed::AtOnce)),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Body {
    None,
    Right(&'static str),
    Wrong,
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        3 => prop::sample::select(vec!["sendrecv", "sendonly", "recvonly", "inactive"]).prop_map(Body::Right),
        1 => Just(Body::None),
        1 => Just(Body::Wrong),
    ]
}

fn step() -> impl Strategy<Value = Move> {
    let statuses = vec![
        100_u16, 180, 181, 183, 199, 200, 200, 200, 200, 202, 302, 401, 408, 422, 481, 486, 487, 488, 491, 500, 503,
        603,
    ];
    let tags = vec!["callee-tag", "callee-tag", "callee-tag", "other", "third"];
    let methods = vec![
        Method::Invite,
        Method::Invite,
        Method::Bye,
        Method::Options,
        Method::Update,
    ];
    prop_oneof![
        12 => (0..6_usize, prop::sample::select(statuses), prop::sample::select(tags), body())
            .prop_map(|(nth, status, tag, body)| Move::Respond(nth, status, tag, body)),
        1 => (0..3_usize, any::<bool>()).prop_map(|(nth, timeout)| Move::Fail(nth, timeout)),
        2 => (1..4_usize).prop_map(Move::Locate),
        5 => (0..4_u16, prop::sample::select(methods), body()).prop_map(|(leg, method, body)| Move::Request(leg, method, body)),
        4 => (0..3_u16, body()).prop_map(|(leg, body)| Move::Ack(leg, body)),
        1 => Just(Move::Cancel),
        2 => (0..4_u16, body()).prop_map(|(leg, body)| Move::Replace(leg, body)),
        1 => Just(Move::CancelReplace),
        3 => (0..4_u16, routed()).prop_map(|(leg, routed)| Move::Refer(leg, routed)),
        1 => (0..3_u16).prop_map(Move::Silence),
        2 => (0..3_u16).prop_map(Move::Flows),
        4 => Just(Move::MediaEvent),
        4 => (0..4_000_u32).prop_map(Move::Wait),
        1 => Just(Move::Clear),
    ]
}

fn text(rig: &Rig, leg: LegIndex, body: Body) -> String {
    match body {
        Body::None => String::new(),
        Body::Wrong => "v=0\r\nm=audio\r\n".into(),
        Body::Right(direction) if rig.speaks_teams(leg) => teams_sdp(direction),
        Body::Right(direction) => carrier_sdp(direction),
    }
}

fn play(rig: &mut Rig, step: Move) {
    if !rig.over.is_empty() {
        // A call that is over gets no events: the switchboard answers 481 for it.
        return;
    }
    let nth_request = |rig: &Rig, nth: usize| -> Option<Sent> {
        rig.sent
            .iter()
            .rev()
            .filter(|sent| sent.token.is_some())
            .nth(nth)
            .cloned()
    };
    match step {
        Move::Respond(nth, status, tag, body) => {
            let Some(request) = nth_request(rig, nth) else { return };
            let status = if rig.is_answered(&request) && status < 200 {
                200
            } else {
                status
            };
            if rig.is_answered(&request) && !(request.is(&Method::Invite) && (200..300).contains(&status)) {
                return;
            }
            let mut answer = reply(status)
                .tag(tag)
                .with(HeaderName::SessionExpires, "1800;refresher=uac");
            if status < 300 && request.is(&Method::Invite) {
                let sdp = text(rig, request.leg, body);
                if !sdp.is_empty() {
                    answer = answer.sdp(sdp);
                }
            }
            rig.respond(&request, answer);
        }
        Move::Fail(nth, timeout) => {
            if let Some(request) = nth_request(rig, nth).filter(|request| !rig.is_answered(request)) {
                let cause = if timeout {
                    TransportCause::Timeout
                } else {
                    TransportCause::Transport
                };
                rig.fail(&request, cause);
            }
        }
        Move::Locate(count) => {
            if !rig.invites().is_empty() {
                locate(rig, &[11, 12, 13][..count]);
            }
        }
        Move::Request(leg, method, body) => {
            let leg = LegIndex(leg);
            if rig.knows_dialog(leg) {
                let sdp = if method == Method::Invite {
                    text(rig, leg, body)
                } else {
                    String::new()
                };
                rig.request(leg, method, "Session-Expires: 1800\r\nSupported: timer\r\n", &sdp);
            }
        }
        Move::Ack(leg, body) => {
            let leg = LegIndex(leg);
            if rig.knows_dialog(leg) {
                let sdp = text(rig, leg, body);
                rig.ack(leg, &sdp);
            }
        }
        Move::Cancel => rig.cancel(Rig::first_transaction(), ""),
        Move::Replace(leg, body) => {
            let leg = LegIndex(leg);
            let known = rig.call.legs().get(usize::from(leg.0));
            if rig.speaks_teams(leg) && known.is_some_and(|leg| leg.dialog.is_some()) {
                let sdp = text(rig, leg, body);
                rig.replace(rig.dialog_of(leg), &Replacing { sdp, ..replacing() });
            }
        }
        Move::Refer(leg, routed) => {
            let leg = LegIndex(leg);
            let known = rig.call.legs().get(usize::from(leg.0));
            if rig.speaks_teams(leg) && known.is_some_and(|leg| leg.dialog.is_some()) {
                rig.refer(leg, TO_A_USER);
            } else if rig.knows_dialog(leg) {
                rig.refer(leg, ANOTHER);
                rig.route(routed);
            }
        }
        Move::CancelReplace => {
            let waits = |message: &Message| message.call_id() == replacing().call_id;
            let open = rig
                .requests
                .iter()
                .find(|(_, (_, message, done))| !done && waits(message));
            if let Some(transaction) = open.map(|(transaction, _)| *transaction) {
                rig.cancel(transaction, "");
            }
        }
        Move::Silence(leg) => {
            rig.step(Event::Media(
                LegIndex(leg),
                MediaNotice::Silent {
                    lasting: Duration::from_secs(20),
                    reports: false,
                },
            ));
        }
        Move::Flows(leg) => rig.flows(LegIndex(leg)),
        Move::MediaEvent => {
            rig.try_media_event();
        }
        Move::Wait(tenths) => {
            // Sockets open and close at once, as far as the clock of a call goes.
            for _ in 0..=tenths / 50 {
                while rig.try_media_event() {}
                rig.wait(Duration::from_millis(5_000));
            }
        }
        Move::Clear => rig.step(Event::Clear {
            detail: "cleared".into(),
        }),
    }
}

/// A call that goes on has a caller, or somebody who is about to be it.
fn assert_somebody_is_there(rig: &Rig) {
    let caller = &rig.call.legs()[0];
    if rig.call.phase() == Phase::Answered && caller.state == LegState::Gone {
        assert!(rig.call.transfer.is_some(), "nothing could end this call any more");
    }
}

/// Plays on until the end: what was not answered is answered, what was not acknowledged times out.
fn end(rig: &mut Rig) {
    rig.release_media();
    rig.step(Event::Clear {
        detail: "the end".into(),
    });
    rig.time_out_acks();
    let record = rig.finish();
    assert!(record.status >= 200, "{record:?}");
}

fn scenario(kind: u8) -> Scenario {
    let scenario = match kind % 3 {
        0 => from_teams(),
        1 => from_carrier(),
        _ => from_carrier().sdp(""),
    };
    let scenario = if kind & 4 == 0 {
        scenario
    } else {
        scenario.in_parallel()
    };
    let scenario = scenario.carrier_may_refer();
    let scenario = if kind & 8 == 0 { scenario } else { scenario.slow_media() };
    match kind / 16 {
        0 => scenario,
        1 => scenario.ringing("tone"),
        _ => scenario.ringing("all"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_call_ends(kind in 0..48_u8, moves in prop::collection::vec(step(), 0..40)) {
        let mut rig = scenario(kind).begin();
        for step in moves {
            play(&mut rig, step);
            assert_somebody_is_there(&rig);
        }
        end(&mut rig);
    }

    #[test]
    fn every_answered_call_ends(kind in 0..6_u8, moves in prop::collection::vec(step(), 0..40)) {
        let mut rig = match kind % 2 {
            0 => from_teams().carrier_may_refer().begin().answered(),
            _ => from_carrier().carrier_may_refer().begin().answered(),
        };
        for step in moves {
            play(&mut rig, step);
            assert_somebody_is_there(&rig);
        }
        end(&mut rig);
    }

    #[test]
    fn every_call_of_an_application_ends(moves in prop::collection::vec(step(), 0..40)) {
        let mut rig = dialled_by_an_application();
        for step in moves {
            play(&mut rig, step);
            assert_somebody_is_there(&rig);
        }
        end(&mut rig);
    }
}
