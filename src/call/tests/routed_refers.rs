//! REFER from a carrier: it is routed as a call of the carrier's own, and Teams hears of INVITEs alone (TEAMS-091).

use super::messages::reply;
use super::peers::{CONTOSO, carrier_sdp, sbc, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use super::told::steps_told;
use crate::call::{
    CallId, CallNews, Effect, Event, Leg, LegIndex, LegWanted, Party, Phase, Referring, TransferKind, TransferStep,
    TransferWish, Unmovable,
};
use crate::carrier::PlanFacts;
use crate::config::{CarrierId, Config};
use crate::dial::Attempt;
use crate::route::{Origin, Referrer, Refusal, Target, Trace, Vouched, decide_refer};
use crate::sdp::Direction;
use crate::sip::Method;
use crate::sip::dialog::DialogId;
use crate::sip::message::HeaderName;
use crate::teams;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);
const THIRD: LegIndex = LegIndex(2);

/// Another user of the tenant, as a PBX names it.
pub const ANOTHER: &str = "sip:+14255550101@203.0.113.2";

impl Rig {
    pub fn wish(&mut self) -> Option<Box<TransferWish>> {
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
    pub fn refer_routed(&mut self, leg: LegIndex, target: &str, in_parallel: bool) {
        self.refer(leg, target);
        self.answer_wish(in_parallel);
    }

    pub fn waits_for_route(&self) -> bool {
        self.wishes.iter().any(|wish| matches!(wish, Effect::PlanTransfer(_)))
    }

    /// What the real rooms make of the oldest REFER that waits to be routed.
    pub fn answer_wish(&mut self, in_parallel: bool) {
        let wish = self.wish().expect("it is to be routed");
        let leg = wish.by;
        let (plan, trace) = plan(&self.call.legs()[usize::from(leg.0)].contact_user, &wish);
        let plan = plan.map(|attempt| match in_parallel {
            true => attempt.hops.into_iter().map(|hop| Attempt::routed(vec![hop])).collect(),
            false => vec![attempt],
        });
        self.step(Event::TransferPlanned { wish, plan, trace });
    }
}

fn plan(stays: &str, wish: &TransferWish) -> (Result<Attempt, Refusal>, Trace) {
    let config = Config::from_toml_strs(&sbc(), &[("contoso", CONTOSO)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let referrer = Referrer {
        origin: Origin::Carrier(CarrierId::parse("north").expect("an id")),
        tenant: &config.tenants[0],
        stays,
        vouched: Vouched::default(),
    };
    let (decided, trace) = decide_refer(&config, &referrer, &wish.refer_to.target);
    let (decision, facts) = match decided {
        Ok(decided) => decided,
        Err(refusal) => return (Err(refusal), trace),
    };
    let plan_facts = PlanFacts {
        config: &config,
        decision: &decision,
        caller: &facts.caller,
        diversions: &facts.diversions,
    };
    let Target::Teams { number, voicemail } = decision.target else {
        panic!("these scenarios refer to users of Teams")
    };
    (Ok(teams::plan(plan_facts, number, voicemail, |_| false)), trace)
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
    let rings = TransferStep::Rings { status: 180 };
    assert_eq!(steps_told(&rig), [TransferStep::Began, rings, TransferStep::Made]);
    let to_caller = rig.sent[before..].iter().filter(|sent| sent.leg == CALLER);
    assert_eq!(to_caller.count(), 0, "the Teams user who stays hears of nothing");
    let record = rig.hang_up_and_finish();
    let transfer = record.legs[2].transfer.as_ref().expect("a transfer");
    assert_eq!((transfer.kind, transfer.of), (TransferKind::Referred, CALLEE.0));
    assert_eq!(transfer.refer_to.as_deref(), Some(ANOTHER));
    let routed = |rule: &str| transfer.trace.iter().any(|step| step.rule == rule);
    assert!(routed("number"), "{:?}", transfer.trace);
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
fn teams_074_a_422_to_a_routed_transfer_raises_the_interval_once() {
    let mut rig = from_teams().carrier_may_refer().begin().answered();
    rig.refer_routed(CALLEE, ANOTHER, false);
    rig.respond(&rig.last_invite(), reply(422).with(HeaderName::MinSe, "7200"));
    let raised = rig.last_invite();
    assert_eq!(raised.header(HeaderName::SessionExpires), Some("7200"));
    assert_eq!((raised.leg, raised.message.cseq().0), (THIRD, 2));
    rig.respond(&raised, reply(200).sdp(teams_sdp("sendrecv")));
    rig.assert_bridged(CALLER, THIRD);
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
        ("sip:112@203.0.113.2", 403),
        ("sip:nobody@203.0.113.2", 484),
    ] {
        rig.refer_routed(CALLEE, target, false);
        assert_eq!(rig.last_response(CALLEE).message.status(), Some(status), "{target}");
    }
    for (target, status) in [
        ("sip:+14255550101@203.0.113.2?Subject=x", 403),
        ("sip:+14255550101@203.0.113.2;method=BYE", 403),
        ("sips:+14255550101@203.0.113.2", 403),
    ] {
        rig.refer(CALLEE, target);
        assert_eq!(rig.last_response(CALLEE).message.status(), Some(status), "{target}");
    }
    assert!(rig.wish().is_none());
    assert_eq!((rig.invites().len(), rig.statuses_notified().len()), (sent, 0));
    let told = rig.news.iter().filter_map(|news| match news {
        CallNews::ReferRefused { leg: CALLEE, refused } => Some(refused),
        _ => None,
    });
    let told: Vec<_> = told.cloned().collect();
    let statuses: Vec<u16> = told.iter().map(|refused| refused.status).collect();
    assert_eq!(statuses, [404, 403, 403, 484, 403, 403, 403], "each is news");
    assert_eq!(told[0].why, "no tenant has the number +19005550100");
    for (told, why) in told[4..].iter().zip(["header Subject", "method=BYE", "a sips: URI"]) {
        assert!(told.why.contains(why), "{}", told.why);
    }
    assert_eq!(told[0].refer_to.as_deref(), Some("sip:+19005550100@203.0.113.2"));
    assert!(!told[0].trace.is_empty());
    let record = rig.hang_up_and_finish();
    assert_eq!(record.legs[1].refers_refused, told);
}

#[test]
fn a_refer_without_a_place_is_told_when_to_try_again() {
    let mut rig = from_teams().carrier_may_refer().begin().answered();
    rig.refer(CALLEE, ANOTHER);
    let wish = rig.wish().expect("it is to be routed");
    let wait = Some(Duration::from_secs(7));
    let plan = Err(Refusal::unavailable(
        "tenant contoso has 3 calls up, its limit".into(),
        wait,
    ));
    let trace = Trace::default();
    rig.step(Event::TransferPlanned { wish, plan, trace });
    let refused = rig.last_response(CALLEE);
    assert_eq!(refused.message.status(), Some(503));
    assert_eq!(refused.header(HeaderName::RetryAfter), Some("7"));
    rig.hang_up_and_finish();
}

/// A referrer who has left while it rings for the other.
fn left_alone() -> Rig {
    let mut rig = from_teams().carrier_may_refer().begin().answered();
    rig.refer_routed(CALLEE, ANOTHER, true);
    rig.request(CALLEE, Method::Bye, "", "");
    assert_eq!(rig.call.phase(), Phase::Answered, "it still rings for the caller");
    rig
}

#[test]
fn the_call_ends_when_nobody_answers_whom_a_referrer_who_has_left_has_named() {
    let mut rig = left_alone();
    let rung = rig.invites().split_off(1);
    for invite in &rung {
        assert_eq!(rig.byes(CALLER).len(), 0, "somebody still rings");
        rig.respond(invite, reply(486));
    }
    assert_eq!(rig.byes(CALLER).len(), 1);
    rig.finish();
}

#[test]
fn whoever_answers_takes_the_place_of_a_referrer_who_has_left() {
    let mut rig = left_alone();
    let answers = rig.last_invite();
    rig.respond(&answers, reply(200).sdp(teams_sdp("sendrecv")));
    rig.assert_bridged(CALLER, answers.leg);
    for invite in rig
        .invites()
        .into_iter()
        .skip(1)
        .filter(|invite| invite.leg != answers.leg)
    {
        rig.respond(&invite, reply(487));
    }
    rig.hang_up_and_finish();
}

#[test]
fn a_silent_hub_is_passed_over_and_one_that_is_cancelled_may_answer_all_the_same() {
    let mut rig = from_teams().carrier_may_refer().begin().answered();
    rig.refer_routed(CALLEE, ANOTHER, false);
    let silent = rig.last_invite();
    let tried = rig.invites().len();
    rig.wait(Duration::from_secs(5));
    assert!(rig.invites().len() > tried, "the next hub");
    let invite = rig.last_invite();
    assert_ne!(invite.leg, silent.leg);
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    rig.assert_bridged(CALLER, invite.leg);
    rig.respond(&silent, reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.byes(silent.leg).len(), 1, "acknowledged and hung up");
    rig.assert_bridged(CALLER, invite.leg);
    rig.hang_up_and_finish();
}

#[test]
fn a_200_that_crosses_the_cancel_of_a_loser_leaves_the_winner_alone() {
    let mut rig = from_teams().carrier_may_refer().begin().answered();
    rig.refer_routed(CALLEE, ANOTHER, true);
    let rung = rig.invites().split_off(1);
    for invite in &rung {
        rig.respond(invite, reply(180));
    }
    let (winner, losers) = rung.split_first().expect("several");
    rig.respond(winner, reply(200).sdp(teams_sdp("sendrecv")));
    for loser in losers {
        rig.respond(loser, reply(200).sdp(teams_sdp("sendrecv")));
        assert_eq!(rig.byes(loser.leg).len(), 1);
    }
    rig.assert_bridged(CALLER, winner.leg);
    rig.hang_up_and_finish();
}

#[test]
fn one_transfer_at_a_time_before_it_is_routed_and_while_it_rings() {
    let mut rig = from_teams().carrier_may_refer().begin().answered();
    rig.refer(CALLEE, ANOTHER);
    rig.refer(CALLEE, ANOTHER);
    rig.answer_wish(false);
    let rung = rig.invites().len();
    rig.answer_wish(false);
    assert_eq!(
        rig.last_response(CALLEE).message.status(),
        Some(491),
        "the first is routed by now"
    );
    rig.refer(CALLEE, ANOTHER);
    assert_eq!(rig.last_response(CALLEE).message.status(), Some(491), "and rings");
    assert_eq!(rig.invites().len(), rung);
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    rig.assert_bridged(CALLER, THIRD);
    rig.hang_up_and_finish();
}

#[test]
fn who_is_named_can_not_be_rung_without_a_media_port() {
    let mut rig = from_teams().carrier_may_refer().without_port(2).begin().answered();
    rig.refer_routed(CALLEE, ANOTHER, false);
    let told = rig.statuses_notified().pop();
    assert_eq!(told.as_deref(), Some("SIP/2.0 503 Service Unavailable"));
    rig.assert_bridged(CALLER, CALLEE);
    rig.hang_up_and_finish();
}

/// Two calls of the carrier, and the REFER in the first that names its dialog in the second.
fn consulting() -> (Rig, Rig, Box<TransferWish>) {
    let mut here = from_teams().carrier_may_refer().begin().answered();
    let there = from_carrier().carrier_may_refer().begin().answered();
    let dialog = there.dialog_of(CALLER);
    let replaces = format!(
        "{}%3Bto-tag%3D{}%3Bfrom-tag%3D{}",
        dialog.call_id, dialog.to_tag, dialog.from_tag
    );
    here.refer(CALLEE, &format!("sip:+14255550150@203.0.113.2?Replaces={replaces}"));
    let position = here.wishes.iter().position(|wish| matches!(wish, Effect::Join(_)));
    let wish = match here.wishes.remove(position.expect("another call is asked")) {
        Effect::Join(wish) => wish,
        other => panic!("{other:?}"),
    };
    (here, there, wish)
}

/// The other call's answer, and the leg that it gives.
fn asked(there: &mut Rig, wish: &TransferWish, who: Referring) -> Result<Box<Leg>, Unmovable> {
    let (answer, mut given) = tokio::sync::oneshot::channel();
    let wanted = LegWanted {
        dialog: DialogId::of_replaces(wish.refer_to.replaces.as_ref().expect("Replaces")),
        who,
        to: CallId::from_random(0x77),
        answer,
    };
    there.step(wanted.into());
    let given_away = there
        .wishes
        .iter()
        .position(|wish| matches!(wish, Effect::GiveLeg { .. }));
    match given_away.map(|position| there.wishes.remove(position)) {
        Some(Effect::GiveLeg { leg, .. }) => Ok(leg),
        _ => Err(given.try_recv().expect("an answer").expect_err("no leg")),
    }
}

#[test]
fn teams_091_two_teams_users_whom_a_pbx_talks_to_are_joined() {
    let (mut here, mut there, wish) = consulting();
    let who = here.call.referring(CALLEE).expect("a carrier");
    let mut leg = asked(&mut there, &wish, who).expect("a leg");
    assert_eq!(there.byes(CALLER).len(), 1, "its other call is over");
    assert_eq!(there.byes(CALLEE).len(), 0, "and the Teams user in it talks on");
    let over = there.finish();
    let joined = format!(
        "joined to call {}, as the caller wanted by a REFER there",
        CallId::from_random(0x77)
    );
    assert_eq!((over.ended_by, over.cause_text), (Party::Node, joined));
    here.name_media_of(&mut leg);
    let dialog = leg.dialog.as_ref().map(|dialog| dialog.id().call_id.clone());
    let before = here.sent.len();
    here.step(Event::LegGiven { wish, given: Ok(leg) });
    let told = here.statuses_notified();
    assert_eq!(told, ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]);
    here.assert_bridged(CALLER, THIRD);
    assert_eq!(Some(here.dialog_of(THIRD).call_id), dialog);
    let to_teams = here.sent[before..].iter().filter(|sent| sent.leg != CALLEE);
    assert_eq!(to_teams.count(), 0, "Teams hears of nothing");
    let record = here.hang_up_and_finish();
    let transfer = record.legs[2].transfer.as_ref().expect("a transfer");
    assert_eq!(transfer.of, CALLEE.0);
    let said = transfer.refer_to.as_deref().unwrap_or_default();
    assert!(
        said.contains("?Replaces=") && said.contains("from-tag%3D"),
        "whole: {said}"
    );
}

#[test]
fn teams_091_a_dialog_of_somebody_else_is_not_joined() {
    let (mut here, mut there, wish) = consulting();
    let who = there.call.referring(CALLEE).expect("Teams");
    assert_eq!(
        asked(&mut there, &wish, who).err(),
        Some(Unmovable::NoSuchDialog),
        "it is the carrier's"
    );
    let sent = there.sent.len();
    here.step(Event::LegGiven {
        wish,
        given: Err(Unmovable::NoSuchDialog),
    });
    assert_eq!(here.last_response(CALLEE).message.status(), Some(481));
    assert_eq!((there.sent.len(), there.call.phase()), (sent, Phase::Answered));
    there.hang_up_and_finish();
    here.hang_up_and_finish();
}

#[test]
fn a_leg_that_comes_too_late_is_hung_up() {
    let (mut here, mut there, wish) = consulting();
    let who = here.call.referring(CALLEE).expect("a carrier");
    let mut leg = asked(&mut there, &wish, who).expect("a leg");
    here.request(CALLER, Method::Bye, "", "");
    here.name_media_of(&mut leg);
    here.step(Event::LegGiven { wish, given: Ok(leg) });
    assert_eq!(here.byes(THIRD).len(), 1);
    here.finish();
    there.finish();
}

/// The PBX on a leg puts the Teams user on the other one on hold.
fn hold(rig: &mut Rig, pbx: LegIndex, other: LegIndex) {
    rig.request(pbx, Method::Invite, "", &carrier_sdp("sendonly"));
    let asked = rig.reinvites(other).pop().expect("a re-INVITE");
    rig.respond(&asked, reply(200).sdp(teams_sdp("inactive")));
    rig.ack(pbx, "");
}

/// Desk phones hold who they talk to, call the other one, and hold that one too before they transfer.
#[test]
fn teams_091_who_is_on_hold_is_taken_off_it_when_it_is_joined() {
    for (held_here, held_there) in [(true, true), (true, false), (false, true)] {
        let (mut here, mut there, wish) = consulting();
        if held_there {
            hold(&mut there, CALLER, CALLEE);
        }
        let who = here.call.referring(CALLEE).expect("a carrier");
        let mut leg = asked(&mut there, &wish, who).expect("a leg");
        there.finish();
        if held_here {
            hold(&mut here, CALLEE, CALLER);
        }
        here.name_media_of(&mut leg);
        here.step(Event::LegGiven { wish, given: Ok(leg) });
        for _ in 0..4 {
            for leg in [CALLER, THIRD] {
                let asked = here.reinvites(leg).pop().filter(|asked| !here.is_answered(asked));
                if let Some(asked) = asked {
                    let way = if asked.sdp().contains("a=sendrecv") {
                        "sendrecv"
                    } else {
                        "inactive"
                    };
                    here.respond(&asked, reply(200).sdp(teams_sdp(way)));
                }
            }
            here.wait(Duration::from_secs(1));
        }
        for leg in [CALLER, THIRD] {
            let media = &here.call.legs()[usize::from(leg.0)].media;
            let way = media.negotiated.as_ref().map(|settled| settled.direction);
            assert_eq!(
                way,
                Some(Direction::SendRecv),
                "{leg:?}, held {held_here}, {held_there}"
            );
            assert!(
                media.offered.is_none() && here.call.may_change(leg).is_ok(),
                "{leg:?} may be changed again"
            );
        }
        here.assert_bridged(CALLER, THIRD);
        here.hang_up_and_finish();
    }
}

#[test]
fn teams_091_two_calls_that_name_each_other_both_stay() {
    let (mut here, _, wish) = consulting();
    let who = here.call.referring(CALLEE).expect("a carrier");
    let (answer, mut given) = tokio::sync::oneshot::channel();
    let wanted = LegWanted {
        dialog: DialogId::of_replaces(&here.dialog_of(CALLEE)),
        who,
        to: CallId::from_random(0x77),
        answer,
    };
    here.step(wanted.into());
    assert!(
        matches!(given.try_recv(), Ok(Err(Unmovable::Transferring))),
        "it waits for the other call itself"
    );
    here.refer(CALLEE, ANOTHER);
    assert_eq!(here.last_response(CALLEE).message.status(), Some(491));
    here.step(Event::LegGiven {
        wish,
        given: Err(Unmovable::Changing),
    });
    here.refer_routed(CALLEE, ANOTHER, false);
    assert_eq!(
        here.last_response(CALLEE).message.status(),
        Some(202),
        "nothing waits any more"
    );
    here.hang_up_and_finish();
}
