//! The end of an answered call.

use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::{Rig, render};
use super::scenario::{from_carrier, from_teams};
use crate::call::{CallNews, Effect, Event, LegIndex, MediaNotice, Party, Phase};
use crate::sip::Method;
use crate::sip::message::{HeaderName, Message};
use crate::sip::transaction::Cause as TransportCause;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

#[test]
fn either_side_hangs_up() {
    for (leg, other, party) in [(CALLER, CALLEE, Party::Caller), (CALLEE, CALLER, Party::Callee)] {
        let mut rig = from_teams().begin().answered();
        rig.request(leg, Method::Bye, "", "");
        assert_eq!(rig.last_response(leg).message.status(), Some(200));
        assert_eq!((rig.byes(leg).len(), rig.byes(other).len()), (0, 1));
        assert_eq!(
            rig.byes(other)[0].header(HeaderName::Reason).map(|text| &text[..14]),
            Some("Q.850;cause=16")
        );
        assert_eq!(rig.finish().ended_by, party);
    }
}

/// RFC 3261 §12.1.2: its tag is null.
#[test]
fn a_callee_that_answers_without_a_tag_is_called_all_the_same() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(180).tag(""));
    rig.respond(&rig.last_invite(), reply(200).tag("").sdp(carrier_sdp("sendrecv")));
    rig.ack(CALLER, "");
    assert_eq!(rig.call.phase(), Phase::Answered);
    assert_eq!(rig.requests_sent(&Method::Ack).len(), 1);
    rig.respond(&rig.last_invite(), reply(200).tag("").sdp(carrier_sdp("sendrecv")));
    assert_eq!(
        rig.requests_sent(&Method::Ack).len(),
        2,
        "its 200 is acknowledged as often as it comes"
    );
    rig.request(CALLEE, Method::Bye, "", "");
    assert_eq!(rig.last_response(CALLEE).message.status(), Some(200));
    assert_eq!(rig.finish().ended_by, Party::Callee);
}

#[test]
fn byes_that_cross_are_both_answered() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Bye, "", "");
    rig.request(CALLEE, Method::Bye, "", "");
    assert_eq!(rig.last_response(CALLEE).message.status(), Some(200));
    assert_eq!(rig.byes(CALLEE).len(), 1);
    assert_eq!(rig.finish().ended_by, Party::Caller);
}

#[test]
fn the_record_keeps_the_reasons_of_one_bye_and_few_of_them() {
    let mut rig = from_carrier().begin().answered();
    let reasons = "Reason: Q.850;cause=16\r\n".repeat(20);
    for _ in 0..3 {
        rig.request(CALLEE, Method::Bye, &reasons, "");
        assert_eq!(rig.last_response(CALLEE).message.status(), Some(200));
    }
    let record = rig.finish();
    assert_eq!(record.legs[1].reasons, ["Q.850;cause=16"; 8]);
}

#[test]
fn a_bye_without_an_answer_ends_all_the_same() {
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Bye, "", "");
    let bye = rig.byes(CALLEE)[0].clone();
    rig.respond(&bye, reply(100));
    assert_eq!(rig.call.phase(), Phase::Ending);
    let ended = rig.call.milestones().after_ms(rig.now);
    rig.wait(Duration::from_secs(30));
    rig.fail(&bye, TransportCause::Timeout);
    assert_eq!(rig.call.phase(), Phase::Over);
    assert_eq!(rig.finish().ended_after_ms, ended, "what is billed ends with the BYE");
}

/// The record does not wait for it.
#[test]
fn a_bye_that_reaches_nobody_is_said_again_beside_the_call() {
    let repeated = |rig: &Rig| -> Vec<(LegIndex, Message)> {
        let byes = rig.wishes.iter().filter_map(|effect| match effect {
            Effect::RepeatBye { leg, draft, .. } => {
                Some((*leg, render(&draft.to_bytes("SIP/2.0/TLS us;branch=z9hG4bKb"))))
            }
            _ => None,
        });
        byes.collect()
    };
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Bye, "", "");
    let bye = rig.byes(CALLEE)[0].clone();
    rig.fail(&bye, TransportCause::Transport);
    assert_eq!(rig.call.phase(), Phase::Over);
    let [(leg, again)] = &repeated(&rig)[..] else {
        panic!("one BYE");
    };
    assert_eq!(*leg, CALLEE);
    for name in [HeaderName::CallId, HeaderName::To, HeaderName::From, HeaderName::Reason] {
        assert_eq!(again.header(name), bye.header(name));
    }
    assert_eq!(again.cseq().0, bye.message.cseq().0 + 1);
    assert!(matches!(
        rig.news.last(),
        Some(CallNews::ByeDelayed { leg: CALLEE, .. })
    ));
    assert_eq!(rig.finish().ended_by, Party::Caller);

    // Nor does one that a server could not pass on.
    for status in [500, 502, 503, 504] {
        let mut rig = from_carrier().begin().answered();
        rig.request(CALLER, Method::Bye, "", "");
        rig.respond(&rig.byes(CALLEE)[0].clone(), reply(status));
        assert_eq!((rig.call.phase(), repeated(&rig).len()), (Phase::Over, 1), "{status}");
        let Some(CallNews::ByeDelayed { leg: CALLEE, why }) = rig.news.last() else {
            panic!("{status}");
        };
        assert!(why.starts_with(&status.to_string()), "{why}");
        assert_eq!(rig.finish().ended_by, Party::Caller);
    }
    for status in [200, 403, 408, 481, 501] {
        let mut rig = from_carrier().begin().answered();
        rig.request(CALLER, Method::Bye, "", "");
        rig.respond(&rig.byes(CALLEE)[0].clone(), reply(status));
        assert!(repeated(&rig).is_empty(), "{status}");
        rig.finish();
    }

    // It may have been heard.
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLER, Method::Bye, "", "");
    rig.fail(&rig.byes(CALLEE)[0].clone(), TransportCause::Timeout);
    assert!(repeated(&rig).is_empty());
    rig.finish();
}

#[test]
fn the_caller_hangs_up_before_its_ack() {
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    rig.request(CALLER, Method::Bye, "", "");
    assert_eq!(
        rig.acknowledged,
        [Rig::first_transaction()],
        "the 200 is not repeated any more"
    );
    assert_eq!(rig.byes(CALLER).len(), 0);
    rig.finish();
}

#[test]
fn the_callee_hangs_up_before_the_callers_ack() {
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    rig.request(CALLEE, Method::Bye, "", "");
    assert_eq!(rig.byes(CALLER).len(), 0, "not before the ACK (RFC 3261 §15)");
    rig.ack(CALLER, "");
    assert_eq!(rig.byes(CALLER).len(), 1);
    rig.finish();
}

#[test]
fn the_ack_never_arrives() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendrecv")));
    rig.no_ack(Rig::first_transaction());
    assert_eq!((rig.byes(CALLER).len(), rig.byes(CALLEE).len()), (1, 1));
    let record = rig.finish();
    assert_eq!((record.cause.label(), record.ended_by), ("ack_lost", Party::Node));
    assert!(
        record.cause_text.contains("from the caller: check its Contact and NAT"),
        "{}",
        record.cause_text
    );
}

#[test]
fn the_callee_hangs_up_and_the_ack_never_arrives() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendrecv")));
    rig.request(CALLEE, Method::Bye, "", "");
    rig.wait(Duration::from_secs(32));
    rig.no_ack(Rig::first_transaction());
    assert_eq!(rig.byes(CALLER).len(), 1);
    assert_eq!(rig.finish().cause.label(), "hung_up");
}

#[test]
fn a_200_that_comes_again_is_acknowledged_again() {
    let mut rig = from_carrier().begin().answered();
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.requests_sent(&Method::Ack).len(), 2);
    assert_eq!(rig.statuses(), [200]);
    rig.hang_up_and_finish();
}

#[test]
fn another_fork_answers_too() {
    let mut rig = from_carrier().begin().answered();
    rig.respond(&rig.last_invite(), reply(200).tag("other").sdp(teams_sdp("sendrecv")));
    let acks = rig.requests_sent(&Method::Ack);
    assert_eq!(acks.last().and_then(|ack| ack.message.to_tag()), Some("other"));
    let byes = rig.byes(CALLEE);
    assert_eq!(
        byes.iter().map(|bye| bye.message.to_tag()).collect::<Vec<_>>(),
        [Some("other")]
    );
    assert_eq!(
        byes[0].header(HeaderName::Reason),
        Some(r#"SIP;cause=200;text="Call completed elsewhere""#)
    );
    rig.respond(&byes[0], reply(200));
    assert_eq!(rig.call.phase(), Phase::Answered, "the call goes on with the first");
    rig.hang_up_and_finish();
    assert_eq!(
        rig.byes(CALLEE).last().and_then(|bye| bye.message.to_tag()),
        Some("callee-tag")
    );
}

#[test]
fn the_first_of_two_destinations_wins() {
    let mut rig = from_teams().in_parallel().begin();
    let both = rig.invites();
    assert_eq!(both.len(), 2);
    rig.respond(&both[0], reply(180));
    rig.respond(&both[1], reply(180).tag("b"));
    rig.respond(&both[1], reply(200).tag("b").sdp(carrier_sdp("sendrecv")));
    assert_eq!(
        rig.cancelled,
        [(
            both[0].token.expect("a token"),
            Some("SIP;cause=200;text=\"Call completed elsewhere\"".to_owned())
        )]
    );
    rig.respond(&both[0], reply(200).sdp(carrier_sdp("sendrecv")));
    assert_eq!(rig.byes(both[0].leg).len(), 1, "it answered all the same");
    assert_eq!(rig.statuses(), [180, 180, 200]);
    rig.ack(CALLER, "");
    rig.wait(Duration::from_secs(300));
    assert_eq!(rig.call.phase(), Phase::Answered, "no timer of the set-up is left");
    rig.hang_up_and_finish();
}

#[test]
fn a_destination_whose_sockets_open_late_is_not_rung() {
    let mut rig = from_teams().in_parallel().slow_media().begin();
    rig.media_event();
    rig.media_event();
    let first = rig.last_invite();
    rig.respond(&first, reply(200).sdp(carrier_sdp("sendrecv")));
    rig.ack(CALLER, "");
    rig.release_media();
    assert_eq!(rig.invites().len(), 1);
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hang_up_and_finish();
}

#[test]
fn silence_of_who_has_not_acknowledged_is_a_lost_ack() {
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.call.phase(), Phase::Answered);
    let (lasting, reports) = (Duration::from_secs(20), false);
    rig.step(Event::Media(CALLER, MediaNotice::Silent { lasting, reports }));
    assert_eq!(rig.byes(CALLEE).len(), 1);
    assert_eq!(
        rig.byes(CALLER).len(),
        0,
        "RFC 3261 §15: not before the ACK, or its time"
    );
    rig.time_out_acks();
    assert_eq!(rig.byes(CALLER).len(), 1);
    let record = rig.finish();
    assert_eq!((record.cause.label(), record.ended_by), ("ack_lost", Party::Node));
    assert!(
        record
            .cause_text
            .contains("ACK of our 200 never arrived from the caller"),
        "{}",
        record.cause_text
    );
    assert_eq!(
        (record.legs[0].status, record.legs[0].phrase.as_deref()),
        (Some(200), Some("OK"))
    );
}

#[test]
fn the_record_has_the_phrase_that_a_refused_caller_was_told() {
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(486));
    let record = rig.finish();
    let caller = &record.legs[0];
    assert_eq!(
        (caller.status, caller.phrase.as_deref()),
        (Some(486), Some("Busy Here"))
    );
}

#[test]
fn silence_ends_a_call_and_says_where_to_look() {
    let mut rig = from_carrier().begin().answered();
    let silent = |reports| {
        let lasting = Duration::from_secs(20);
        Event::Media(CALLER, MediaNotice::Silent { lasting, reports })
    };
    rig.step(silent(true));
    assert_eq!(rig.byes(CALLER).len(), 0, "a peer that still reports is not gone");
    rig.step(silent(false));
    assert_eq!((rig.byes(CALLER).len(), rig.byes(CALLEE).len()), (1, 1));
    let record = rig.finish();
    assert_eq!((record.cause.label(), record.ended_by), ("media_lost", Party::Node));
    assert!(
        record.cause_text.contains("no media from the caller for 20 s"),
        "{}",
        record.cause_text
    );
}

#[test]
fn an_administrator_clears_a_call_in_every_phase() {
    let clear = || Event::Clear {
        detail: "cleared by ada".into(),
    };
    let mut opening = from_carrier().slow_media().begin();
    opening.step(clear());
    assert_eq!(opening.statuses(), [503]);
    assert_eq!(opening.finish().cause_text, "cleared by ada");
    let mut ringing = from_carrier().begin();
    ringing.respond(&ringing.last_invite(), reply(180));
    ringing.step(clear());
    assert_eq!((ringing.statuses(), ringing.cancelled.len()), (vec![180, 503], 1));
    ringing.step(clear());
    ringing.finish();
    let mut answered = from_carrier().begin().answered();
    answered.step(clear());
    assert_eq!((answered.byes(CALLER).len(), answered.byes(CALLEE).len()), (1, 1));
    let record = answered.finish();
    assert_eq!((record.status, record.cause.label()), (200, "cleared"));
    answered.step(clear());
}

#[test]
fn a_call_that_is_cut_waits_for_no_answer() {
    let cut = || Event::Cut {
        detail: "the node stops".into(),
    };
    let mut answered = from_carrier().begin().answered();
    answered.step(Event::Clear {
        detail: "cleared by ada".into(),
    });
    assert_eq!(answered.call.phase(), Phase::Ending);
    answered.step(cut());
    assert_eq!(answered.call.phase(), Phase::Over);
    assert_eq!((answered.byes(CALLER).len(), answered.byes(CALLEE).len()), (1, 1));
    assert_eq!(answered.over[0].cause_text, "cleared by ada");

    let mut ringing = from_carrier().begin();
    ringing.step(cut());
    assert_eq!((ringing.statuses(), ringing.cancelled.len()), (vec![503], 1));
    assert_eq!(ringing.call.phase(), Phase::Over);
}

#[test]
fn requests_that_have_no_place_here() {
    let mut rig = from_carrier().begin().answered();
    for (method, status) in [
        (Method::Options, 200),
        (Method::Update, 405),
        (Method::Info, 405),
        (Method::Notify, 481),
    ] {
        rig.request(CALLEE, method, "", "");
        let response = rig.last_response(CALLEE);
        assert_eq!(response.message.status(), Some(status));
        assert!(response.header(HeaderName::Allow).is_some());
    }
    for (required, status) in [
        ("Require: timer, foo\r\nRequire: bar\r\n", 420),
        ("Require: timer\r\n", 200),
    ] {
        rig.request(CALLEE, Method::Options, required, "");
        let response = rig.last_response(CALLEE);
        assert_eq!(response.message.status(), Some(status));
        let unsupported = (status == 420).then_some("foo, bar");
        assert_eq!(response.header(HeaderName::Unsupported), unsupported);
    }
    rig.hang_up_and_finish();
}

#[test]
fn silence_counts_from_the_answer() {
    let mut rig = from_carrier().begin();
    let invite = rig.last_invite();
    rig.respond(&invite, reply(183).sdp(teams_sdp("sendrecv")));
    assert_eq!((rig.bridges, rig.awaited.len()), (1, 0));
    rig.respond(&invite, reply(200).sdp(teams_sdp("sendrecv")));
    let [caller, callee] = [CALLER, CALLEE].map(|leg| rig.opened.iter().find(|(_, opened)| *opened == leg));
    assert_eq!(
        rig.awaited.iter().collect::<Vec<_>>(),
        [callee, caller]
            .into_iter()
            .flatten()
            .map(|(handle, _)| handle)
            .collect::<Vec<_>>()
    );
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn a_carrier_that_calls_may_challenge_our_bye() {
    let challenge = "Digest realm=\"north.example\", nonce=\"abc\"";
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLEE, Method::Bye, "", "");
    let bye = rig.byes(CALLER)[0].clone();
    rig.respond(&bye, reply(407).with(HeaderName::ProxyAuthenticate, challenge));
    let again = rig.byes(CALLER)[1].clone();
    let answer = again.header(HeaderName::ProxyAuthorization).unwrap_or_default();
    assert!(answer.contains("username=\"trunk1\""), "{answer}");
    rig.respond(&again, reply(407).with(HeaderName::ProxyAuthenticate, challenge));
    assert_eq!(rig.byes(CALLER).len(), 2, "once");
    rig.finish();
    let mut rig = from_carrier().begin().answered();
    rig.request(CALLEE, Method::Bye, "", "");
    let foreign = "Digest realm=\"elsewhere.example\", nonce=\"abc\"";
    let bye = rig.byes(CALLER)[0].clone();
    rig.respond(&bye, reply(407).with(HeaderName::ProxyAuthenticate, foreign));
    assert_eq!(rig.byes(CALLER).len(), 1, "nobody else's realm is answered");
    rig.finish();
}
