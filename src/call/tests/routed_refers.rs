//! REFER from a carrier: it is routed as a call of the carrier's own, and Teams hears of INVITEs alone (TEAMS-091).

use super::messages::reply;
use super::peers::{CONTOSO, carrier_sdp, sbc, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use crate::call::{Effect, Event, LegIndex, Phase, TransferKind, TransferWish};
use crate::carrier::PlanFacts;
use crate::config::{CarrierId, Config};
use crate::dial::Attempt;
use crate::route::{Origin, Referrer, Target, Vouched, decide_refer};
use crate::sip::Method;
use crate::sip::message::HeaderName;
use crate::teams;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);
const THIRD: LegIndex = LegIndex(2);

/// Another user of the tenant, as a PBX names it.
const ANOTHER: &str = "sip:+14255550101@203.0.113.2";

impl Rig {
    fn wish(&mut self) -> Option<Box<TransferWish>> {
        let position = self
            .wishes
            .iter()
            .position(|wish| matches!(wish, Effect::PlanTransfer(_)))?;
        match self.wishes.remove(position) {
            Effect::PlanTransfer(wish) => Some(wish),
            _ => None,
        }
    }

    /// The carrier on a leg refers the other side, and the real rooms route that; `in_parallel`: each hub by itself.
    fn refer_routed(&mut self, leg: LegIndex, target: &str, in_parallel: bool) {
        self.refer(leg, target);
        let wish = self.wish().expect("it is to be routed");
        let plan = plan(&self.call.legs()[usize::from(leg.0)].contact_user, &wish);
        let plan = plan.map(|attempt| match in_parallel {
            true => attempt.hops.into_iter().map(|hop| Attempt::routed(vec![hop])).collect(),
            false => vec![attempt],
        });
        self.step(Event::TransferPlanned { wish, plan });
    }
}

fn plan(stays: &str, wish: &TransferWish) -> Result<Attempt, u16> {
    let config = Config::from_toml_strs(&sbc(), &[("contoso", CONTOSO)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let referrer = Referrer {
        origin: Origin::Carrier(CarrierId::parse("north").expect("an id")),
        tenant: &config.tenants[0],
        stays,
        vouched: Vouched::default(),
    };
    let (decided, _) = decide_refer(&config, &referrer, &wish.refer_to.target);
    let (decision, facts) = decided.map_err(|refusal| refusal.status)?;
    let plan_facts = PlanFacts {
        config: &config,
        decision: &decision,
        caller: &facts.caller,
        diversions: &facts.diversions,
    };
    let Target::Teams { number, voicemail } = decision.target else {
        panic!("these scenarios refer to users of Teams")
    };
    Ok(teams::plan(plan_facts, number, voicemail, |_| false))
}

#[test]
fn teams_091_a_pbx_gives_a_teams_user_to_another_and_teams_hears_of_an_invite_alone() {
    let mut rig = from_teams().carrier_may_refer().begin().answered();
    let before = rig.sent.len();
    rig.refer_routed(CALLEE, ANOTHER, false);
    let invite = rig.last_invite();
    let uri = invite.message.uri().expect("a URI");
    assert_eq!(
        (uri.user(), uri.host()),
        (Some("+14255550101"), "sip.pstnhub.microsoft.com")
    );
    let from = invite.message.from().expect("From");
    assert_eq!(from.uri().user(), Some("+14255550150"), "who will talk");
    assert_eq!(
        invite.header(HeaderName::ReferredBy),
        None,
        "what a carrier writes goes nowhere"
    );
    rig.respond(&invite, reply(180));
    assert_eq!(rig.ring_backs(), [rig.handle_of(CALLER)]);
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    rig.assert_bridged(CALLER, THIRD);
    let told = ["SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"];
    assert_eq!(rig.statuses_notified(), told);
    let to_caller = rig.sent[before..].iter().filter(|sent| sent.leg == CALLER);
    assert_eq!(to_caller.count(), 0, "the Teams user who stays hears of nothing");
    let record = rig.hang_up_and_finish();
    let transfer = record.legs[2].transfer.as_ref().expect("a transfer");
    assert_eq!((transfer.kind, transfer.of), (TransferKind::Referred, CALLEE.0));
    assert_eq!(transfer.refer_to.as_deref(), Some(ANOTHER));
}

#[test]
fn teams_091_a_caller_that_refers_is_replaced_in_the_callers_place() {
    let mut rig = from_carrier().carrier_may_refer().begin().answered();
    rig.request(CALLER, Method::Invite, "", &carrier_sdp("sendonly"));
    let held = rig.reinvites(CALLEE).pop().expect("the hold");
    rig.respond(&held, reply(200).sdp(teams_sdp("inactive")));
    rig.ack(CALLER, "");
    rig.refer_routed(CALLER, ANOTHER, false);
    let invite = rig.last_invite();
    assert!(invite.sdp().contains("a=sendrecv\r\n"), "live: {}", invite.sdp());
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    let opened = rig.reinvites(CALLEE).pop().expect("who was on hold is taken off it");
    assert!(opened.sdp().contains("a=sendrecv\r\n"), "{}", opened.sdp());
    rig.respond(&opened, reply(200).sdp(teams_sdp("sendrecv")));
    rig.assert_bridged(CALLER, CALLEE);
    assert_eq!(rig.dialog_of(CALLER).call_id, invite.message.call_id());
    rig.hangs_up_and_finish(CALLEE);
}

#[test]
fn teams_091_a_referred_call_hunts_as_any_call_and_its_failure_leaves_the_old_one() {
    let mut rig = from_teams().carrier_may_refer().begin().answered();
    rig.refer_routed(CALLEE, ANOTHER, false);
    for round in 0..3 {
        let invite = rig.last_invite();
        rig.respond(&invite, reply(183).sdp(teams_sdp("sendrecv")));
        assert_eq!(rig.bridged.last().map(|(a, _)| *a), Some(rig.handle_of(CALLER)));
        let tried = rig.invites().len();
        rig.respond(&invite, reply(503));
        assert_eq!(rig.invites().len(), tried + usize::from(round < 2), "the next hub");
    }
    let told = rig.statuses_notified();
    assert_eq!(
        told.last().map(String::as_str),
        Some("SIP/2.0 503 Service Unavailable"),
        "{told:?}"
    );
    assert_eq!((rig.call.phase(), rig.ring_backs()), (Phase::Answered, Vec::new()));
    rig.assert_bridged(CALLER, CALLEE);
    assert_eq!(rig.requests_sent(&Method::Bye).len(), 0);
    rig.refer_routed(CALLEE, ANOTHER, false);
    rig.respond(&rig.last_invite(), reply(486));
    assert_eq!(rig.statuses_notified().pop().as_deref(), Some("SIP/2.0 486 Busy Here"));
    rig.hang_up_and_finish();
}

#[test]
fn teams_091_of_several_that_ring_the_first_to_answer_comes() {
    let mut rig = from_teams().carrier_may_refer().begin().answered();
    rig.refer_routed(CALLEE, ANOTHER, true);
    let rung = rig.invites();
    let [.., first, second, third] = rung.as_slice() else {
        panic!("three ring: {rung:?}")
    };
    rig.respond(first, reply(180));
    rig.respond(second, reply(486));
    rig.respond(third, reply(200).sdp(teams_sdp("sendrecv")));
    rig.assert_bridged(CALLER, third.leg);
    let elsewhere = rig.cancelled.last().expect("the other is cancelled");
    assert!(
        elsewhere
            .1
            .as_ref()
            .is_some_and(|reason| reason.contains("Call completed elsewhere"))
    );
    rig.respond(first, reply(487));
    rig.hang_up_and_finish();
}

#[test]
fn who_stays_may_hang_up_while_it_rings_for_it() {
    let mut rig = from_teams().carrier_may_refer().begin().answered();
    rig.refer_routed(CALLEE, ANOTHER, false);
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    rig.request(CALLER, Method::Bye, "", "");
    assert_eq!(rig.cancelled.len(), 1);
    assert_eq!(
        rig.statuses_notified().pop().as_deref(),
        Some("SIP/2.0 487 Request Terminated")
    );
    rig.respond(&invite, reply(487));
    rig.finish();
}

#[test]
fn a_refer_that_leads_nowhere_is_refused_and_nobody_is_told_of_a_transfer() {
    let mut rig = from_teams().carrier_may_refer().begin().answered();
    let sent = rig.invites().len();
    for (target, status) in [
        ("sip:+19005550100@203.0.113.2", 404),
        ("sip:admin@127.0.0.1:9090", 403),
        ("sip:112@203.0.113.2", 404),
        ("sip:nobody@203.0.113.2", 484),
    ] {
        rig.refer_routed(CALLEE, target, false);
        assert_eq!(rig.last_response(CALLEE).message.status(), Some(status), "{target}");
    }
    for (target, status) in [
        (
            "sip:+14255550101@203.0.113.2?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2",
            481,
        ),
        ("sip:+14255550101@203.0.113.2?Subject=x", 403),
        ("sip:+14255550101@203.0.113.2;method=BYE", 403),
        ("sips:+14255550101@203.0.113.2", 403),
    ] {
        rig.refer(CALLEE, target);
        assert_eq!(rig.last_response(CALLEE).message.status(), Some(status), "{target}");
    }
    assert!(rig.wish().is_none());
    assert_eq!((rig.invites().len(), rig.statuses_notified().len()), (sent, 0));
    rig.hang_up_and_finish();
}
