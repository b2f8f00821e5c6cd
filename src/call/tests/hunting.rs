//! Hops one after the other: which failures go on to the next one, and what the caller is told in the end.

use super::messages::{Reply, reply};
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{Scenario, from_carrier, from_teams};
use crate::call::{Effect, Event, LegIndex, PeerVerdict, Phase, To};
use crate::guard::Fault;
use crate::sip::message::HeaderName;
use crate::sip::transaction::Cause as TransportCause;
use crate::sip::{Hop, ListenerId, Method, Transport};
use std::time::Duration;

/// How many hops a call tries that all answer `status`, and what the caller gets.
fn all_answer(scenario: Scenario, answer: impl Fn() -> Reply) -> (usize, u16) {
    let mut rig = scenario.begin();
    let mut tried = 0;
    while tried < rig.invites().len() {
        let invite = rig.invites()[tried].clone();
        tried += 1;
        rig.respond(&invite, answer());
    }
    (tried, rig.finish().status)
}

#[test]
fn teams_is_tried_again_on_503_alone() {
    assert_eq!(all_answer(from_carrier(), || reply(503)), (3, 503));
    for status in [400, 403, 404, 408, 480, 486, 488, 500, 504, 600, 603, 606] {
        assert_eq!(all_answer(from_carrier(), || reply(status)), (1, status), "(TEAMS-064)");
    }
}

#[test]
fn a_carriers_gateways_are_tried_on_its_codes() {
    for status in [408, 500, 502, 503, 504] {
        assert_eq!(all_answer(from_teams(), || reply(status)).0, 2, "{status}");
    }
    for status in [404, 484, 486, 603] {
        assert_eq!(all_answer(from_teams(), || reply(status)), (1, status));
    }
}

/// A call to an emergency number.
pub fn in_need() -> Scenario {
    from_teams().edit("sip:+12065550100@contoso", "sip:112@contoso")
}

#[test]
fn an_emergency_call_is_tried_at_every_gateway_whatever_they_say() {
    for status in [302, 403, 404, 480, 486, 488, 501, 503, 600, 603] {
        assert_eq!(all_answer(in_need(), || reply(status)).0, 2, "{status}");
    }
    let mut rig = in_need().begin();
    rig.respond(&rig.last_invite(), reply(404));
    let held = rig.wishes.iter().any(|effect| matches!(effect, Effect::Peer { .. }));
    assert!(!held, "that is no word about the gateway");
    rig.respond(&rig.last_invite(), reply(180));
    rig.wait(Duration::from_secs(600));
    assert!(
        rig.cancelled.is_empty(),
        "no setting cuts the last ringing off (promise 6)"
    );
    rig.cancel(Rig::first_transaction(), "");
    rig.finish();

    let mut rig = in_need().begin();
    rig.respond(&rig.last_invite(), reply(180));
    rig.wait(Duration::from_secs(181));
    assert_eq!(
        (rig.cancelled.len(), rig.invites().len()),
        (1, 2),
        "who only rings is left for the next"
    );
    rig.cancel(Rig::first_transaction(), "");
    rig.finish();
}

#[test]
fn an_emergency_call_goes_on_where_nothing_can_be_heard_and_no_hold_ends_it() {
    let mut rig = in_need().begin();
    rig.respond(&rig.last_invite(), reply(200));
    assert_eq!((rig.byes(LegIndex(1)).len(), rig.invites().len()), (1, 2));
    rig.respond(&rig.last_invite(), reply(200).sdp(carrier_sdp("sendrecv")));
    rig.ack(LegIndex::CALLER, "");
    rig.request(LegIndex::CALLER, Method::Invite, "", &teams_sdp("inactive"));
    rig.respond(
        &rig.reinvites(LegIndex(2))[0].clone(),
        reply(200).sdp(carrier_sdp("inactive")),
    );
    rig.ack(LegIndex::CALLER, "");
    rig.wait(Duration::from_secs(86_400));
    assert_eq!(rig.call.phase(), Phase::Answered);
    rig.hangs_up_and_finish(LegIndex::CALLER);
}

#[test]
fn where_a_caller_is_goes_out_with_emergency_calls_alone() {
    let sdp = teams_sdp("sendrecv");
    let body = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b\r\nContent-Type: application/pidf+xml\r\n\
         Content-ID: <loc@x>\r\n\r\n<presence/>\r\n--b--\r\n"
    );
    let multipart = "Content-Type: multipart/mixed;boundary=b\r\nGeolocation: <cid:loc@x>\r\n";
    for (scenario, told) in [(in_need(), true), (from_teams(), false)] {
        let mut rig = scenario.with(multipart).sdp(&body).begin();
        let invite = rig.last_invite();
        let text = String::from_utf8_lossy(invite.message.as_bytes());
        assert_eq!(text.contains("<presence/>"), told, "(TEAMS-053)");
        assert_eq!(text.contains("Geolocation:"), told);
        rig.cancel(Rig::first_transaction(), "");
        rig.finish();
    }
}

#[test]
fn teams_053_an_emergency_call_is_not_refused_for_how_its_location_is_wrapped() {
    let sdp = teams_sdp("sendrecv");
    let multipart = "Content-Type: multipart/mixed;boundary=b\r\nGeolocation: <cid:loc@x>\r\n";
    let location = "Content-Type: application/pidf+xml\r\n\r\n<presence/>\r\n";
    let unlike = format!("--c\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--c\r\n{location}--c--\r\n");
    let alone = format!("--b\r\n{location}--b--\r\n");
    for (body, offered) in [(&unlike, true), (&alone, false)] {
        let mut rig = in_need().with(multipart).sdp(body).begin();
        let invite = rig.last_invite();
        assert!(invite.sdp().contains("m=audio"), "{}", invite.sdp());
        let text = String::from_utf8_lossy(invite.message.as_bytes()).into_owned();
        assert_eq!(
            text.contains("<presence/>"),
            offered,
            "where it can be told from the description"
        );
        rig.respond(&invite, reply(200).sdp(carrier_sdp("sendrecv")));
        assert_eq!(rig.statuses().last(), Some(&200));
        rig.ack(LegIndex::CALLER, if offered { "" } else { &sdp });
        rig.hang_up_and_finish();
        let refused = from_teams().with(multipart).sdp(body).begin();
        assert_eq!(refused.statuses().last(), Some(&488), "any other call");
    }
}

#[test]
fn what_is_between_us_and_a_gateway_is_not_the_callers_business() {
    for (status, told) in [
        (302, 480),
        (305, 480),
        (401, 503),
        (407, 503),
        (420, 503),
        (421, 503),
        (422, 503),
    ] {
        assert_eq!(all_answer(from_teams(), || reply(status)), (1, told), "{status}");
    }
    for (status, told) in [(302, 480), (401, 403), (407, 403), (420, 500), (421, 500), (422, 500)] {
        assert_eq!(all_answer(from_carrier(), || reply(status)), (1, told), "{status}");
    }
}

#[test]
fn teams_046_hears_503_where_another_sbc_may_help_and_what_it_was() {
    for (status, tried) in [(500, 2), (501, 1), (502, 2), (503, 2), (504, 2), (513, 1)] {
        assert_eq!(all_answer(from_teams(), || reply(status)), (tried, 503), "{status}");
    }
    let mut rig = from_teams().in_parallel().begin();
    for invite in rig.invites() {
        rig.respond(
            &invite,
            reply(502).with(HeaderName::Reason, "Q.850;cause=38;text=\"trunks\""),
        );
    }
    let refusal = rig.last_response(LegIndex::CALLER);
    assert_eq!(
        (refusal.message.status(), refusal.message.reason()),
        (Some(503), "Service Unavailable")
    );
    let reasons: Vec<_> = refusal.message.headers(HeaderName::Reason).collect();
    assert_eq!(
        reasons,
        ["Q.850;cause=38;text=\"trunks\"", "SIP;cause=502;text=\"Bad Gateway\""]
    );
    let record = rig.finish();
    let came: Vec<_> = record.legs.iter().map(|leg| leg.status).collect();
    assert_eq!((record.status, came), (503, vec![Some(503), Some(502), Some(502)]));
    assert_eq!(
        record.cause_text,
        "the called side answered 502 Bad Gateway; the caller was told 503"
    );
}

#[test]
fn teams_047_a_carriers_cause_is_told_as_the_code_that_says_it() {
    let heard = |status, cause: u16| {
        let reason = format!("Q.850;cause={cause}");
        all_answer(from_teams(), || reply(status).with(HeaderName::Reason, &reason))
    };
    for status in [480, 500, 503] {
        assert_eq!(heard(status, 17), (1, 486), "who is busy is not asked again ({status})");
        assert_eq!(heard(status, 21), (1, 603), "who said no is not asked again ({status})");
    }
    assert_eq!(
        (heard(500, 1), heard(500, 28), heard(480, 34)),
        ((2, 404), (2, 484), (1, 503))
    );
    // A carrier's caller gets what came.
    let reason = "Q.850;cause=17";
    assert_eq!(
        all_answer(from_carrier(), || reply(480).with(HeaderName::Reason, reason)),
        (1, 480)
    );
}

#[test]
fn teams_046_a_fault_of_ours_lets_teams_try_another_sbc() {
    for (scenario, status) in [(from_teams(), 503), (from_carrier(), 500)] {
        let mut rig = scenario.begin();
        rig.respond(&rig.last_invite(), reply(180));
        rig.step(Event::Broken {
            detail: "a defect".into(),
        });
        assert_eq!(rig.statuses().last(), Some(&status));
        rig.respond(&rig.last_invite(), reply(487));
        rig.finish();
    }
}

#[test]
fn silence_no_connection_and_no_answer_try_the_next_hub() {
    let mut rig = from_carrier().begin();
    let hubs = |rig: &super::rig::Rig| -> Vec<String> {
        let uri = |sent: &super::messages::Sent| sent.message.uri().map(|uri| uri.host().to_owned());
        rig.invites().iter().filter_map(uri).collect()
    };
    rig.wait(Duration::from_secs(30));
    assert!(hubs(&rig).len() > 1, "silence");
    let mut rig = from_carrier().begin();
    rig.fail(&rig.last_invite(), TransportCause::Transport);
    rig.fail(&rig.last_invite(), TransportCause::Timeout);
    assert_eq!(
        hubs(&rig),
        [
            "sip.pstnhub.microsoft.com",
            "sip2.pstnhub.microsoft.com",
            "sip3.pstnhub.microsoft.com"
        ]
    );
    assert_eq!(rig.verdicts.len(), 2);
    rig.respond(&rig.last_invite(), reply(180));
    rig.wait(Duration::from_secs(30));
    assert_eq!(rig.invites().len(), 3, "who rings is not silent");
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    assert_eq!(rig.statuses(), [180, 200]);
    let last = rig.verdicts.split_off(2);
    assert_eq!(last.len(), 2, "who rings lives already");
    for (peer, verdict) in last {
        assert_eq!(peer.to_string(), "sip3.pstnhub.microsoft.com");
        assert!(matches!(verdict, PeerVerdict::Answered(_)), "{verdict:?}");
    }
    rig.ack(LegIndex::CALLER, "");
    rig.request(LegIndex::CALLER, crate::sip::Method::Bye, "", "");
    rig.finish();
}

#[test]
fn a_gateway_that_says_100_and_no_more_is_left_for_the_next_one() {
    let mut rig = from_teams().begin();
    let first = rig.last_invite();
    rig.respond(&first, reply(100));
    rig.wait(Duration::from_secs(8));
    rig.respond(&first, reply(100));
    rig.wait(Duration::from_secs(6));
    assert!(rig.cancelled.is_empty(), "15 s from the first 100 on");
    rig.wait(Duration::from_secs(2));
    assert_eq!(rig.cancelled.len(), 1);
    rig.respond(&first, reply(487));
    let second = rig.last_invite();
    assert_eq!(rig.invites().len(), 2);
    let held = |(_, verdict): &(_, PeerVerdict)| matches!(verdict, PeerVerdict::HoldDown(_));
    assert!(!rig.verdicts.iter().any(held), "it lives: what is silent is behind it");
    // Behind the last one there is nobody: it has the time that a called party may ring.
    rig.respond(&second, reply(100));
    rig.wait(Duration::from_secs(90));
    assert_eq!(rig.cancelled.len(), 1);
    rig.respond(&second, reply(180));
    rig.respond(&second, reply(200).sdp(carrier_sdp("sendrecv")));
    assert_eq!(rig.statuses().last(), Some(&200));
    rig.ack(LegIndex::CALLER, "");
    rig.request(LegIndex::CALLER, crate::sip::Method::Bye, "", "");
    let record = rig.finish();
    let why: Vec<_> = record.legs.iter().map(|leg| leg.why.as_deref()).collect();
    assert_eq!(why, [None, Some("no more than 100 Trying for 15s"), None]);
}

#[test]
fn nobody_who_says_100_is_given_up_for_a_gateway_that_is_held_down() {
    let mut rig = from_teams().holding("north/203.0.113.3").begin();
    rig.respond(&rig.last_invite(), reply(100));
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.invites().len(), 1);
    rig.fail(&rig.last_invite(), TransportCause::Timeout);
    assert_eq!(rig.invites().len(), 2, "when it fails there is nobody better");
    rig.respond(&rig.last_invite(), reply(486));
    rig.finish();
}

#[test]
fn an_address_that_says_100_and_no_more_is_left_for_the_next_of_its_name() {
    let mut rig = from_teams().holding("north/203.0.113.3").begin();
    let hops = locate(&mut rig, &[11, 12]);
    rig.respond(&rig.last_invite(), reply(100));
    rig.wait(Duration::from_secs(16));
    assert_eq!(rig.destinations.last(), Some(&To::Hop(hops[1].clone())));
    assert!(rig.addresses_down.is_empty(), "it lives");
    rig.respond(&rig.last_invite(), reply(100));
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.invites().len(), 2, "who comes next is held down");
    rig.respond(&rig.last_invite(), reply(486));
    rig.finish();
}

#[test]
fn who_has_said_more_than_100_rings() {
    for status in [180, 181, 183, 199] {
        let mut rig = from_carrier().begin();
        rig.respond(&rig.last_invite(), reply(100));
        rig.respond(&rig.last_invite(), reply(status));
        rig.respond(&rig.last_invite(), reply(100));
        rig.wait(Duration::from_secs(60));
        assert_eq!(rig.invites().len(), 1, "{status}");
        rig.cancel(Rig::first_transaction(), "");
        rig.respond(&rig.last_invite(), reply(487));
        rig.finish();
    }
}

#[test]
fn nobody_can_be_reached() {
    let mut rig = from_teams().begin();
    rig.fail(&rig.last_invite(), TransportCause::Transport);
    rig.fail(&rig.last_invite(), TransportCause::Transport);
    let record = rig.finish();
    assert_eq!(
        (record.status, record.cause.label()),
        (503, "unreachable"),
        "Teams tries the next SBC (TEAMS-046)"
    );
}

#[test]
fn retry_after_holds_a_hub_down_and_is_not_told_of_this_node() {
    let mut rig = from_carrier().begin();
    for _ in 0..3 {
        rig.respond(
            &rig.last_invite(),
            reply(503).with(HeaderName::RetryAfter, "60 (busy);duration=3"),
        );
    }
    let held = |seconds| {
        PeerVerdict::HoldDown(Fault {
            span: Duration::from_secs(seconds),
            told: true,
            why: "503 Service Unavailable".into(),
        })
    };
    assert!(
        rig.verdicts.iter().all(|(_, verdict)| *verdict == held(60)),
        "{:?}",
        rig.verdicts
    );
    let told = rig.last_response(LegIndex::CALLER);
    assert_eq!(
        (told.message.status(), told.header(HeaderName::RetryAfter)),
        (Some(503), None)
    );
    rig.finish();
    let mut rig = from_carrier().begin();
    rig.respond(&rig.last_invite(), reply(486).with(HeaderName::RetryAfter, "60"));
    let told = rig.last_response(LegIndex::CALLER);
    assert_eq!(told.header(HeaderName::RetryAfter), Some("60"), "a word about the user");
    rig.finish();
    let mut rig = from_carrier().begin();
    rig.respond(
        &rig.last_invite(),
        reply(503).with(HeaderName::RetryAfter, "4000000000"),
    );
    assert_eq!(rig.verdicts[0].1, held(3_600));
    rig.cancel(super::rig::Rig::first_transaction(), "");
    rig.finish();
}

#[test]
fn the_best_failure_is_told_with_its_own_reason() {
    let mut rig = from_teams().in_parallel().begin();
    let both = rig.invites();
    rig.respond(
        &both[0],
        reply(486).with(HeaderName::Reason, "Q.850;cause=17;text=\"busy\""),
    );
    rig.respond(&both[1], reply(503));
    let refusal = rig.last_response(LegIndex::CALLER);
    assert_eq!(refusal.message.status(), Some(486));
    assert_eq!(refusal.header(HeaderName::Reason), Some("Q.850;cause=17;text=\"busy\""));
    rig.finish();
}

#[test]
fn teams_065_a_busy_user_is_no_full_trunk_to_the_carrier() {
    let mut rig = from_carrier().begin();
    rig.respond(
        &rig.last_invite(),
        reply(486).with(HeaderName::Reason, "Q.850;cause=34;text=\"9f;busy\""),
    );
    let refusal = rig.last_response(LegIndex::CALLER);
    assert_eq!(
        refusal.header(HeaderName::Reason),
        Some("Q.850;cause=17;text=\"9f;busy\""),
        "(TEAMS-065)"
    );
    rig.finish();
}

#[test]
fn early_media_of_a_hop_that_then_fails_does_not_deafen_the_caller() {
    let mut rig = from_teams().begin();
    rig.respond(&rig.last_invite(), reply(183).sdp(carrier_sdp("sendrecv")));
    rig.respond(&rig.last_invite(), reply(503));
    let second = rig.last_invite();
    rig.respond(&second, reply(183).sdp(carrier_sdp("sendrecv")));
    assert_eq!(rig.statuses(), [183, 183]);
    assert_eq!(rig.bridges, 2);
    rig.respond(&second, reply(486));
    rig.finish();
}

/// Tells the call where its last INVITE went, and where else the name leads.
pub fn locate(rig: &mut Rig, addresses: &[u8]) -> Vec<Hop> {
    let hop = |last: &u8| Hop {
        transport: Transport::Udp,
        listener: ListenerId(1),
        remote: ([203, 0, 113, *last], 5060).into(),
        server_name: None,
        connection: None,
        account: None,
        presented: None,
    };
    let hops: Vec<Hop> = addresses.iter().map(hop).collect();
    rig.step(Event::Located {
        token: rig.last_invite().token.expect("a token"),
        hop: hops[0].clone(),
        others: hops[1..].iter().cloned().collect(),
    });
    hops
}

#[test]
fn the_next_address_of_a_name_comes_before_the_next_gateway() {
    let mut rig = from_teams().begin();
    assert!(matches!(rig.destinations[..], [To::First(_)]));
    let hops = locate(&mut rig, &[11, 12, 13]);
    let first = rig.last_invite();
    rig.wait(Duration::from_secs(4));
    assert_eq!(rig.destinations.last(), Some(&To::Hop(hops[1].clone())), "silence");
    assert_eq!(
        rig.cancelled.iter().map(|(token, _)| Some(*token)).collect::<Vec<_>>(),
        [first.token]
    );
    rig.respond(&rig.last_invite(), reply(503));
    assert_eq!(rig.destinations.last(), Some(&To::Hop(hops[2].clone())), "503");
    assert_eq!(rig.verdicts, [], "the name is not at fault while it has an address");
    rig.fail(&rig.last_invite(), TransportCause::Transport);
    let down = hops.iter().map(|hop| (hop.remote, false)).collect::<Vec<_>>();
    assert_eq!((rig.verdicts.len(), &rig.addresses_down), (1, &down));
    assert!(
        matches!(rig.destinations.last(), Some(To::First(_))),
        "the next gateway"
    );
    let hops = locate(&mut rig, &[21, 22]);
    rig.respond(&rig.last_invite(), reply(500));
    assert_eq!(rig.addresses_down.last(), Some(&(hops[0].remote, false)));
    let record = rig.finish();
    assert_eq!(
        (rig.invites().len(), record.status),
        (4, 503),
        "500 is not the address's fault"
    );
    let addresses: Vec<_> = record.legs.iter().skip(1).map(|leg| leg.address).collect();
    let tried = [11, 12, 13, 21].map(|last| Some((Transport::Udp, ([203, 0, 113, last], 5060).into())));
    assert_eq!(addresses, tried, "the record says which address a leg was tried at");
}

#[test]
fn a_challenge_is_answered_where_it_came_from() {
    let mut rig = from_teams().begin();
    let hops = locate(&mut rig, &[11, 12]);
    let challenge = "Digest realm=\"north.example\", nonce=\"abc\"";
    rig.respond(
        &rig.last_invite(),
        reply(401).with(HeaderName::WwwAuthenticate, challenge),
    );
    assert_eq!(rig.destinations.last(), Some(&To::Hop(hops[0].clone())));
    rig.respond(&rig.last_invite(), reply(503));
    assert_eq!(rig.destinations.last(), Some(&To::Hop(hops[1].clone())));
    rig.respond(&rig.last_invite(), reply(486));
    rig.finish();
}

#[test]
fn teams_070_a_silent_hub_gets_nothing_new_and_rings_nobody_for_long() {
    let mut rig = from_carrier().begin();
    let (first, hops) = (rig.last_invite(), locate(&mut rig, &[11]));
    rig.wait(Duration::from_secs(4));
    assert_eq!(rig.invites().len(), 2);
    assert_eq!(rig.addresses_down, [(hops[0].remote, true)]);
    assert_eq!(rig.looked_up, ["sip.pstnhub.microsoft.com"]);
    let said = rig.cancelled.clone();
    let reason = "SIP;cause=200;text=\"Call completed elsewhere\"";
    assert_eq!(
        said,
        [(first.token.expect("a token"), Some(reason.to_owned()))],
        "no missed call (TEAMS-115)"
    );
    rig.respond(&first, reply(487));
    rig.respond(&rig.last_invite(), reply(486));
    rig.finish();

    // A carrier's gateway may well be asked again over the same connection.
    let mut rig = from_teams().begin();
    locate(&mut rig, &[11]);
    rig.wait(Duration::from_secs(4));
    assert_eq!(
        rig.addresses_down.iter().map(|(_, drop)| *drop).collect::<Vec<_>>(),
        [false]
    );
    rig.respond(&rig.last_invite(), reply(486));
    rig.finish();
}

#[test]
fn a_hub_that_says_503_with_retry_after_loses_its_connection() {
    let mut rig = from_carrier().begin();
    let hops = locate(&mut rig, &[11, 12]);
    rig.respond(&rig.last_invite(), reply(503).with(HeaderName::RetryAfter, "30"));
    assert_eq!(rig.addresses_down, [(hops[0].remote, true)], "(TEAMS-063)");
    assert_eq!(rig.looked_up, ["sip.pstnhub.microsoft.com"], "(TEAMS-063)");
    assert!(matches!(rig.destinations.last(), Some(To::First(next)) if &*next.host == "sip2.pstnhub.microsoft.com"));
    rig.respond(&rig.last_invite(), reply(503));
    assert_eq!(rig.addresses_down.len(), 1, "nothing is known of where it went");
    let hops = locate(&mut rig, &[21, 22]);
    rig.fail(&rig.last_invite(), TransportCause::Transport);
    assert_eq!(
        rig.destinations.last(),
        Some(&To::Hop(hops[1].clone())),
        "no connection"
    );
    rig.respond(&rig.last_invite(), reply(486));
    rig.finish();
}

#[test]
fn a_refusal_that_is_no_fault_of_the_peer_shows_that_it_lives() {
    for (status, lives) in [(486, true), (404, true), (503, false)] {
        let mut rig = from_teams().begin();
        rig.respond(&rig.last_invite(), reply(100));
        assert_eq!(rig.verdicts, [], "100 may be of a proxy before it");
        rig.respond(&rig.last_invite(), reply(status));
        let verdict = rig.verdicts.first().map(|(_, verdict)| verdict);
        assert_eq!(
            matches!(verdict, Some(PeerVerdict::Answered(_))),
            lives,
            "{status}: {verdict:?}"
        );
        rig.cancel(Rig::first_transaction(), "");
        rig.finish();
    }
}
