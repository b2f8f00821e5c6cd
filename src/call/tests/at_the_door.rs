//! INVITEs that are refused before anybody rings, and what a destination asks of us before it does.

use super::messages::{Sent, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use crate::call::LegIndex;
use crate::sip::Method;
use crate::sip::message::HeaderName;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// Nobody was rung, and this is why.
fn refused(mut rig: Rig, status: u16) -> super::messages::Sent {
    assert_eq!((rig.statuses(), rig.invites().len()), (vec![status], 0));
    let refusal = rig.last_response(CALLER);
    assert_eq!(rig.finish().status, status);
    refusal
}

#[test]
fn max_forwards_runs_out() {
    refused(from_carrier().with("Max-Forwards: 0\r\n").begin(), 483);
    let mut rig = from_carrier().with("Max-Forwards: 1\r\n").begin();
    assert_eq!(rig.last_invite().header(HeaderName::MaxForwards), Some("0"));
    rig.cancel(Rig::first_transaction(), "");
    rig.finish();
    let mut rig = from_carrier().with("Max-Forwards: 255\r\n").begin();
    assert_eq!(rig.last_invite().header(HeaderName::MaxForwards), Some("69"));
    rig.cancel(Rig::first_transaction(), "");
    rig.finish();
}

#[test]
fn a_call_that_keeps_coming_back_is_a_loop() {
    let mut call_id = String::from("first");
    for _ in 0..3 {
        let mut rig = from_carrier().edit("carrier-call-id", &call_id).begin();
        call_id = rig.last_invite().message.call_id().to_owned();
        rig.cancel(Rig::first_transaction(), "");
        rig.finish();
    }
    refused(from_carrier().edit("carrier-call-id", &call_id).begin(), 482);
}

#[test]
fn no_media_in_common() {
    let silk = carrier_sdp("sendrecv").replace("AVP 8 0 101", "AVP 104 101") + "a=rtpmap:104 SILK/16000\r\n";
    let refusal = refused(from_carrier().sdp(&silk).begin(), 488);
    let warning = refusal.header(HeaderName::Warning).unwrap_or_default();
    assert!(
        warning.starts_with("399 portcullis \"") && warning.contains("SILK"),
        "{warning}"
    );
    let plain = teams_sdp("sendrecv").replace("RTP/SAVP", "RTP/AVP");
    refused(from_teams().sdp(&plain).begin(), 488);
    let loopback = carrier_sdp("sendrecv").replace("203.0.113.20", "127.0.0.1");
    refused(from_carrier().sdp(&loopback).begin(), 488);
    refused(from_carrier().sdp("this is no description").begin(), 488);
}

#[test]
fn no_port_is_free() {
    let refusal = refused(from_carrier().without_port(0).begin(), 503);
    assert!(
        refusal
            .header(HeaderName::Reason)
            .is_some_and(|reason| reason.starts_with("Q.850;cause=47"))
    );
    refused(from_carrier().without_port(1).begin(), 503);
    refused(from_teams().without_port(0).without_port(1).begin(), 503);
}

#[test]
fn an_invite_without_a_contact_makes_no_dialog() {
    refused(
        from_carrier()
            .edit("Contact: <sip:gw@203.0.113.2:5060;x-own=a>\r\n", "")
            .begin(),
        400,
    );
}

#[test]
fn a_challenge_is_answered_once() {
    for (status, asks, answers) in [
        (401, HeaderName::WwwAuthenticate, HeaderName::Authorization),
        (407, HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
    ] {
        let challenge = "Digest realm=\"north.example\", nonce=\"abc\", qop=\"auth\", algorithm=MD5";
        let mut rig = from_teams().begin();
        rig.respond(&rig.last_invite(), reply(status).with(asks, challenge));
        let again = rig.last_invite();
        let answer = again.header(answers).unwrap_or_default().to_owned();
        assert!(
            answer.contains("username=\"trunk1\"")
                && answer.contains("uri=\"sip:+12065550100@203.0.113.2;user=phone\""),
            "{answer}"
        );
        assert_eq!(again.message.cseq().0, 2);
        rig.respond(&again, reply(status).with(asks, challenge));
        assert_eq!(rig.invites().len(), 2, "the password is wrong: asking again won't help");
        let record = rig.finish();
        assert_eq!(record.status, 503);
        let why = "it rejects the credentials for realm 'north.example'";
        assert_eq!(record.legs[1].why.as_deref(), Some(why));
        assert!(
            record.cause_text.contains(&format!(": {why}; the caller was told ")),
            "{}",
            record.cause_text
        );
    }
}

#[test]
fn why_a_challenge_is_not_answered_is_on_record_without_the_password() {
    let asks = |realm: &str, more: &str| format!("Digest realm=\"{realm}\", nonce=\"abc\"{more}");
    for (challenge, why) in [
        (
            asks("other.example", ""),
            "it asks for realm 'other.example', `credentials` are for 'north.example'",
        ),
        (
            asks("north.example", ", algorithm=SHA-1"),
            "it asks for realm 'north.example' by no algorithm and qop that we answer",
        ),
        (
            "Basic realm=\"x\"".to_owned(),
            "it asks for a password in no way that can be read",
        ),
    ] {
        let mut rig = from_teams().begin();
        let asked = reply(407).with(HeaderName::ProxyAuthenticate, &challenge);
        rig.respond(&rig.last_invite(), asked);
        assert_eq!(rig.invites().len(), 1, "{challenge}");
        let record = rig.finish();
        assert_eq!(record.legs[1].why.as_deref(), Some(why));
        let text = &record.cause_text;
        assert!(
            text.contains(&format!("answered 407 Proxy Authentication Required: {why}; ")),
            "{text}"
        );
    }
}

#[test]
fn a_trunk_may_challenge_every_request() {
    let challenge = |nonce: &str| format!("Digest realm=\"north.example\", nonce=\"{nonce}\", qop=\"auth\"");
    let asked = |nonce: &str| reply(407).with(HeaderName::ProxyAuthenticate, &challenge(nonce));
    let credentials = |sent: &Sent| {
        sent.header(HeaderName::ProxyAuthorization)
            .unwrap_or_default()
            .to_owned()
    };
    let is_for = |credentials: &str, nonce: &str, uri: &str| {
        let (nonce, uri) = (format!("nonce=\"{nonce}\""), format!("uri=\"{uri}\""));
        credentials.contains(&nonce) && credentials.contains(&uri)
    };
    let inside = "sip:gw9@203.0.113.9:5070";
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), asked("one"));
    let invite = rig.last_invite();
    rig.respond(&invite, reply(200).sdp(carrier_sdp("sendrecv")));
    rig.ack(CALLER, "");
    let acks = rig.requests_sent(&Method::Ack);
    assert_eq!(credentials(&acks[0]), credentials(&invite), "RFC 3261 §22.1");
    // Hold by Teams.
    rig.request(CALLER, Method::Invite, "", &teams_sdp("inactive"));
    rig.respond(&rig.reinvites(CALLEE)[0].clone(), asked("two"));
    let again = rig.reinvites(CALLEE)[1].clone();
    assert!(is_for(&credentials(&again), "two", inside), "{}", credentials(&again));
    assert_eq!(again.sdp(), rig.reinvites(CALLEE)[0].sdp());
    rig.respond(&again, reply(200).sdp(carrier_sdp("inactive")));
    assert_eq!(rig.last_response(CALLER).message.status(), Some(200));
    let acks = rig.requests_sent(&Method::Ack);
    assert_eq!(acks.last().map(credentials), Some(credentials(&again)));
    rig.ack(CALLER, "");
    // One that nothing satisfies is refused.
    rig.request(CALLER, Method::Invite, "", &teams_sdp("sendrecv"));
    for tried in [2, 3] {
        rig.respond(&rig.reinvites(CALLEE)[tried].clone(), asked("three"));
    }
    assert_eq!(rig.reinvites(CALLEE).len(), 4);
    assert!(rig.last_response(CALLER).message.status() >= Some(400));
    rig.ack(CALLER, "");
    rig.request(CALLER, Method::Bye, "", "");
    rig.respond(&rig.byes(CALLEE)[0].clone(), asked("four"));
    assert!(rig.over.is_empty(), "the trunk goes on with the call");
    let bye = rig.byes(CALLEE)[1].clone();
    assert!(is_for(&credentials(&bye), "four", inside), "{}", credentials(&bye));
    let reason = |sent: &Sent| sent.header(HeaderName::Reason).map(str::to_owned);
    assert_eq!(reason(&bye), reason(&rig.byes(CALLEE)[0]));
    rig.respond(&bye, asked("five"));
    assert_eq!(rig.byes(CALLEE).len(), 2);
    rig.finish();
}

#[test]
fn a_stale_nonce_is_answered_again() {
    let mut rig = from_teams().begin();
    let challenge = |more: &str| format!("Digest realm=\"north.example\", nonce=\"abc\"{more}");
    rig.respond(
        &rig.last_invite(),
        reply(401).with(HeaderName::WwwAuthenticate, &challenge("")),
    );
    rig.respond(
        &rig.last_invite(),
        reply(401).with(HeaderName::WwwAuthenticate, &challenge(", stale=true")),
    );
    assert_eq!(rig.invites().len(), 3);
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendrecv")));
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn another_realm_learns_nothing() {
    let foreign = "Digest realm=\"evil.example\", nonce=\"abc\", qop=\"auth\"";
    let mut rig = from_teams().begin();
    rig.respond(
        &rig.last_invite(),
        reply(401).with(HeaderName::WwwAuthenticate, foreign),
    );
    assert_eq!((rig.invites().len(), rig.finish().status), (1, 503));
    let trunk = "Digest realm=\"north.example\", nonce=\"abc\", qop=\"auth\"";
    let mut rig = from_carrier().begin();
    rig.respond(
        &rig.last_invite(),
        reply(407).with(HeaderName::ProxyAuthenticate, trunk),
    );
    assert_eq!(
        (rig.invites().len(), rig.finish().status),
        (1, 403),
        "Teams has no business with a trunk's password"
    );
}

#[test]
fn an_answer_that_can_not_be_used_is_hung_up() {
    for sdp in ["", "v=0\r\n", "plain"] {
        let answer = match sdp {
            "plain" => reply(200).sdp(teams_sdp("sendrecv").replace("RTP/SAVP", "RTP/AVP")),
            "" => reply(200),
            other => reply(200).sdp(other),
        };
        let mut rig = from_carrier().begin();
        rig.respond(&rig.last_invite(), answer);
        assert_eq!((rig.byes(LegIndex(1)).len(), rig.statuses()), (1, vec![488]));
        assert_eq!(rig.invites().len(), 1);
        rig.finish();
    }
}
