//! What a status page shows of who talks.

use super::application::{dial, terms, to_application};
use super::messages::reply;
use super::peers::{TENANT_FQDN, teams_sdp};
use super::replaced::replacing;
use super::rig::Rig;
use super::routed_refers::ANOTHER;
use super::scenario::{from_carrier, from_teams, placed};
use super::transfer::TO_A_USER;
use crate::app::command::Orderer;
use crate::call::{CallStatus, LegIndex, TransferKind, TransferStatus, Wish};
use crate::sip::Method;
use serde_json::json;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);
const THIRD: LegIndex = LegIndex(2);

/// Side, name and party of each, and how many seconds it has been there.
fn talk(rig: &Rig) -> Vec<(&'static str, String, String, u64)> {
    let talkers = CallStatus::of(&rig.call, rig.now).talkers.into_iter();
    talkers
        .map(|talker| {
            let since = rig.now.since(talker.since.expect("since when"));
            (talker.side, talker.name, talker.party, since.as_secs())
        })
        .collect()
}

fn seat(side: &'static str, name: &str, party: &str, since: u64) -> (&'static str, String, String, u64) {
    (side, name.to_owned(), party.to_owned(), since)
}

/// The hub or gateway that the page shows.
fn peer(rig: &Rig) -> String {
    let peer = CallStatus::of(&rig.call, rig.now).peer;
    peer.expect("a peer").to_string()
}

/// A call with an answer, ten seconds later.
fn talking(rig: Rig) -> Rig {
    let mut rig = rig.answered();
    rig.wait(Duration::from_secs(10));
    rig
}

#[test]
fn whoever_was_called_is_shown_until_another_takes_its_place() {
    let mut rig = from_carrier().begin();
    assert_eq!(talk(&rig), [], "nobody has answered");
    rig = talking(rig);
    let caller = |since| seat("carrier", "north", "+12065550100", since);
    let callee = |since| seat("teams", TENANT_FQDN, "+14255550150", since);
    assert_eq!(talk(&rig), [caller(10), callee(10)]);
    let before = rig.call.seats();
    let second_hub = TO_A_USER.replace("sip.", "sip2.");
    rig.refer(CALLEE, &second_hub);
    let invite = rig.last_invite();
    rig.respond(&invite, reply(180));
    assert_eq!((talk(&rig), peer(&rig)), (vec![caller(10), callee(10)], HUB.to_owned()));
    let shown = CallStatus::of(&rig.call, rig.now).transfer.expect("a transfer");
    let wanted = TransferStatus {
        kind: TransferKind::Referred,
        leaves: format!("teams {TENANT_FQDN}"),
        stays: "carrier north".into(),
        refer_to: Some(second_hub.clone()),
        status: Some(180),
    };
    assert_eq!(shown, wanted);
    let ringing = rig.call.seats();
    assert_ne!(ringing, before, "it is under way");
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    assert_ne!(rig.call.seats(), ringing, "it is news");
    assert_eq!(CallStatus::of(&rig.call, rig.now).transfer, None);
    rig.wait(Duration::from_secs(3));
    assert_eq!(talk(&rig), [caller(13), seat("teams", TENANT_FQDN, &second_hub, 3)]);
    assert_eq!(peer(&rig), "sip2.pstnhub.microsoft.com");
    rig.hangs_up_and_finish(THIRD);
}

const HUB: &str = "sip.pstnhub.microsoft.com";

#[test]
fn who_has_referred_and_left_talks_no_more_and_one_that_fails_never_did() {
    let mut rig = talking(from_carrier().begin());
    rig.refer(CALLEE, &TO_A_USER.replace("sip.", "sip2."));
    let bye = rig.inside(CALLEE, &Method::Bye, 7, "");
    rig.request_of((rig.flow_of_teams(), false), CALLEE, bye);
    assert_eq!(talk(&rig), [seat("carrier", "north", "+12065550100", 10)]);
    assert_eq!(peer(&rig), "sip2.pstnhub.microsoft.com", "who is tried");
    rig.respond(&rig.last_invite(), reply(486));
    assert_eq!(talk(&rig), []);

    let mut rig = talking(from_carrier().begin());
    rig.refer(CALLEE, &TO_A_USER.replace("sip.", "sip2."));
    rig.respond(&rig.last_invite(), reply(486));
    assert_eq!((talk(&rig).len(), peer(&rig)), (2, HUB.to_owned()));
    rig.hang_up_and_finish();
}

#[test]
fn a_callers_place_is_shown_with_whoever_has_it_and_the_hub_that_called() {
    let mut rig = talking(from_teams().begin());
    let callee = |since| seat("carrier", "north", "+12065550100", since);
    assert_eq!(talk(&rig), [seat("teams", TENANT_FQDN, "+14255550150", 10), callee(10)]);
    let before = rig.call.seats();
    rig.replace(rig.dialog_of(CALLER), &replacing());
    assert_ne!(rig.call.seats(), before, "it is news");
    assert_eq!(talk(&rig), [seat("teams", TENANT_FQDN, "+14255550112", 0), callee(10)]);
    let talkers = CallStatus::of(&rig.call, rig.now).talkers;
    assert_eq!(talkers[0].through.as_deref(), Some("sip-du-a-eu.pstnhub.microsoft.com"));
    assert_eq!(
        (talkers[1].through.as_deref(), &*peer(&rig)),
        (Some("north/203.0.113.2"), "north/203.0.113.2")
    );
    rig.hangs_up_and_finish(CALLEE);
}

#[test]
fn a_refer_that_we_route_is_shown_by_the_number_that_it_led_to() {
    let mut rig = talking(from_teams().carrier_may_refer().begin());
    rig.refer(CALLEE, ANOTHER);
    rig.answer_wish(false);
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    let sides: Vec<_> = talk(&rig)
        .into_iter()
        .map(|(side, _, party, _)| (side, party))
        .collect();
    let teams = |number: &str| ("teams", number.to_owned());
    assert_eq!(sides, [teams("+14255550150"), teams("+14255550101")]);
    assert_eq!(peer(&rig), HUB);
    rig.hangs_up_and_finish(CALLER);
}

#[test]
fn who_is_alone_with_an_application_is_alone_and_a_target_is_shown_by_its_name() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&["+12065550101"], &json!({}))]));
    rig.planned(&["+12065550101"]);
    rig.ack(CALLER, "");
    assert_eq!(talk(&rig).len(), 1, "the other one rings");
    rig.picks_up(&rig.last_invite());
    let [_, called] = talk(&rig).try_into().expect("two");
    assert_eq!(called, seat("carrier", "north", "+12065550101", 0));
    rig.hang_up_and_finish();

    let mut rig = placed(terms(), &["+12065550101"]);
    assert_eq!(talk(&rig), []);
    rig.picks_up(&rig.last_invite());
    assert_eq!(talk(&rig), [seat("carrier", "north", "+12065550101", 0)]);
    rig.command(Wish::HangUp(Orderer::Socket));
    rig.finish();
}
