//! What stays, and what does not, when a side is described anew within a call.

use super::messages::{Sent, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::from_carrier;
use crate::call::LegIndex;
use crate::sdp::Direction;
use crate::sip::Method;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// Whoever takes over on the side of Teams has not heard our stream so far: under our old key it would guess the rollover
/// counter.
#[test]
fn another_endpoint_of_teams_hears_another_key() {
    const KEY: &str = "inline:AAEC";
    let mut rig = from_carrier().begin().answered();
    let key = |rig: &Rig| rig.last_response(CALLEE).sdp_line("a=crypto:");
    let ask = |rig: &mut Rig, address: &str, theirs: &str| {
        let offer = teams_sdp("sendrecv")
            .replace("52.112.0.20", address)
            .replace(KEY, theirs);
        rig.request(CALLEE, Method::Invite, "", &offer);
        rig.ack(CALLEE, "");
        key(rig)
    };
    let first = ask(&mut rig, "52.112.0.20", KEY);
    assert!(first.is_some());
    assert_eq!(
        ask(&mut rig, "52.112.0.20", "inline:BAEC"),
        first,
        "the endpoint goes on"
    );
    assert_eq!(
        ask(&mut rig, "52.112.0.21", "inline:BAEC"),
        first,
        "its way has changed"
    );
    let second = ask(&mut rig, "52.112.0.22", "inline:CAEC");
    assert_ne!(second, first);
    assert_eq!(ask(&mut rig, "52.112.0.22", "inline:CAEC"), second, "a refresh");
    let third = ask(&mut rig, "52.112.0.20", KEY);
    assert!(third != first && third != second, "never the same twice");
    rig.hang_up_and_finish();
}

#[test]
fn an_offer_that_is_refused_leaves_our_side_as_it_was() {
    let mut rig = from_carrier().begin().answered();
    let callee = &rig.call.legs()[usize::from(CALLEE.0)];
    let (mut media, terms) = (callee.media.clone(), callee.terms.clone());
    let before = media.local.clone();
    let another = teams_sdp("sendrecv")
        .replace("52.112.0.20", "52.112.0.22")
        .replace("inline:AAEC", "inline:CAEC");
    let nothing_in_common = media.answer(&terms, another.as_bytes(), &[], Direction::SendRecv);
    assert!(nothing_in_common.is_err());
    assert_eq!(media.local, before);
    rig.hang_up_and_finish();
}

/// A number keeps its meaning for the whole session (RFC 3264 §8.3.2), whoever offers.
#[test]
fn keys_keep_the_number_that_the_carrier_has_given_them() {
    let sdp = carrier_sdp("sendrecv").replace("101", "96");
    let mut rig = from_carrier().sdp(&sdp).begin().answered();
    let line = |sent: &Sent| sent.sdp_line("m=").unwrap_or_default();
    assert!(
        line(&rig.last_response(CALLER)).ends_with(" 96"),
        "{}",
        line(&rig.last_response(CALLER))
    );
    for direction in ["inactive", "sendrecv"] {
        rig.request(CALLEE, Method::Invite, "", &teams_sdp(direction));
        let offered = rig.reinvites(CALLER).pop().expect("a re-INVITE");
        assert!(line(&offered).ends_with(" 96"), "{}", line(&offered));
        let answer = carrier_sdp(direction).replace("101", "96");
        rig.respond(&offered, reply(200).sdp(answer));
        rig.ack(CALLEE, "");
    }
    rig.request(CALLER, Method::Invite, "", "");
    let ours = rig.last_response(CALLER);
    assert!(line(&ours).split(' ').any(|number| number == "96"), "{}", line(&ours));
    rig.ack(CALLER, &sdp);
    rig.hang_up_and_finish();
}
