//! What the simulator plays against a controller that keeps the rules, and one that does not.

use super::raw::{HUB, HUB2, Raw};
use crate::sim::{Change, Dial, EndedBy, HoldForm, Refer, RuleId, SimError, TeamsSim, Transfer};
use std::time::Duration;

const BY: &str = "<sip:sip.pstnhub.example.com:5061;x-m=8:orgid:8c8d357b;x-t=Ad%3db;x-ti=e00f;x-tt=aHR0cHM6Ly9hcGk%3d>";

fn broken(hub: &TeamsSim) -> Vec<(&'static str, Option<RuleId>)> {
    hub.violations().iter().map(|one| (one.rule, one.id)).collect()
}

fn target(hub: &TeamsSim) -> String {
    let port = hub.address().port();
    format!("sip:{HUB}:{port};transport=tls;x-m=8:orgid:9f9d51bc;x-t=Adfb%2D1")
}

#[tokio::test]
async fn teams_083_084_089_a_transfer_that_keeps_the_rules_breaks_none() {
    let raw = Raw::listen().await;
    let (hub, hub2) = (raw.hub(HUB), raw.hub(HUB2));
    let (call, mut theirs, mut leg) = raw.answered(&hub).await;
    let uri = target(&hub);
    let refer = Refer::to(&uri).by(BY).through(&hub2);
    let asked = tokio::spawn({
        let call = call.clone();
        async move { call.refer(refer).await }
    });
    // From another hub, on a connection of its own.
    let mut other = raw.accept().await;
    let request = other.read().await;
    assert_eq!(request.header_named("Referred-By"), Some(BY));
    assert_eq!(request.header_named("Refer-To"), Some(format!("<{uri}>").as_str()));
    assert_eq!(request.call_id(), leg.call_id);
    let contact = format!("Contact: <sip:{}:5061;transport=tls>\r\n", super::raw::TRUNK);
    other.respond(&request, "202 Accepted", &contact, "").await;
    assert_eq!(asked.await.unwrap().unwrap(), 202);

    let mut ours = raw.connect(&hub).await;
    ours.notify(&mut leg, "active;expires=60", "SIP/2.0 100 Trying\r\n")
        .await;
    let referred = format!("Referred-By: {BY}\r\n");
    ours.invite(&uri, &format!("<{uri}>"), &referred, "sendrecv").await;
    let answer = ours.read().await;
    assert_eq!(answer.status(), Some(200));
    ours.acknowledge(&answer).await;
    let moved = hub.incoming().await.unwrap();
    moved.answered().await.unwrap();
    ours.notify(&mut leg, "terminated;reason=noresource", "SIP/2.0 200 OK\r\n")
        .await;
    let bye = theirs.read().await;
    assert_eq!(bye.method().map(|method| method.as_str()), Some("BYE"));
    theirs.respond(&bye, "200 OK", "", "").await;
    let transfer = call.transferred().await.unwrap();
    assert_eq!((transfer.answered, transfer.notified), (Some(202), vec![100, 200]));
    assert_eq!(call.ended().await.unwrap().by, EndedBy::Us);
    assert_eq!(broken(&hub), []);
    assert_eq!(broken(&hub2), []);
}

#[tokio::test]
async fn teams_085_a_transfer_that_fails_leaves_the_call() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let (call, mut theirs, mut leg) = raw.answered(&hub).await;
    let uri = target(&hub);
    hub.script_once("cause 486".parse().unwrap());
    let asked = tokio::spawn({
        let (call, refer) = (call.clone(), Refer::to(&uri).by(BY));
        async move { call.refer(refer).await }
    });
    let request = theirs.read().await;
    theirs.respond(&request, "202 Accepted", "", "").await;
    assert_eq!(asked.await.unwrap().unwrap(), 202);
    let mut ours = raw.connect(&hub).await;
    ours.notify(&mut leg, "active;expires=60", "SIP/2.0 100 Trying\r\n")
        .await;
    let referred = format!("Referred-By: {BY}\r\n");
    let to = format!("<{uri}>");
    ours.invite(&uri, &to, &referred, "sendrecv").await;
    let refusal = ours.read().await;
    assert_eq!(refusal.status(), Some(486));
    assert!(refusal.header_named("Reason").unwrap().contains("cause=34"));
    ours.notify(&mut leg, "terminated;reason=noresource", "SIP/2.0 486 Busy Here\r\n")
        .await;
    assert_eq!(call.transferred().await.unwrap().notified, [100, 486]);
    assert_eq!(call.view().ending, None);
    assert_eq!(broken(&hub), []);
    // Another INVITE for the same REFER is one too many.
    ours.invite(&uri, &to, &referred, "sendrecv").await;
    let answer = ours.read().await;
    ours.acknowledge(&answer).await;
    assert_eq!(broken(&hub), [("second-invite", Some(RuleId(85)))]);
}

#[tokio::test]
async fn teams_083_086_what_is_changed_on_the_way_is_named() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let (call, mut theirs, mut leg) = raw.answered(&hub).await;
    let uri = target(&hub);
    let asked = tokio::spawn({
        let (call, refer) = (call.clone(), Refer::to(&uri).by(BY).staying());
        async move { call.refer(refer).await }
    });
    let request = theirs.read().await;
    theirs.respond(&request, "202 Accepted", "", "").await;
    asked.await.unwrap().unwrap();
    let mut ours = raw.connect(&hub).await;
    ours.notify(&mut leg, "active;expires=60", "SIP/2.0 180 Ringing\r\n")
        .await;
    ours.notify(&mut leg, "active;expires=60", "SIP/2.0 200 OK\r\n").await;
    let (other, by) = (uri.replace("%2D", "%2d"), BY.replace("x-ti", "X-TI"));
    let referred = format!("Referred-By: {by}\r\n");
    ours.invite(&other, &format!("<{uri}>"), &referred, "inactive").await;
    let answer = ours.read().await;
    ours.acknowledge(&answer).await;
    ours.notify(&mut leg, "terminated;reason=noresource", "SIP/2.0 200 OK\r\n")
        .await;
    ours.notify(&mut leg, "terminated;reason=noresource", "SIP/2.0 200 OK\r\n")
        .await;
    let (invite, notify) = (("transfer-invite", Some(RuleId(83))), ("notify", Some(RuleId(84))));
    let expected = [
        notify, // 180 first
        notify, // 200 while active
        invite, // Request-URI
        ("referred-by", Some(RuleId(83))),
        invite, // inactive
        notify, // after the end
    ];
    assert_eq!(broken(&hub), expected);
}

/// A REFER that the other side answers 405, with these header lines; what became of it, and which rules that has broken.
async fn refused_refer(allow: &str) -> (Transfer, Vec<(&'static str, Option<RuleId>)>) {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let (call, mut theirs, _leg) = raw.answered(&hub).await;
    let asked = tokio::spawn({
        let (call, refer) = (call.clone(), Refer::to(&target(&hub)));
        async move { call.refer(refer).await }
    });
    let request = theirs.read().await;
    theirs.respond(&request, "405 Method Not Allowed", allow, "").await;
    assert_eq!(asked.await.unwrap().unwrap(), 405);
    (call.transferred().await.unwrap(), broken(&hub))
}

#[tokio::test]
async fn teams_089_a_refer_that_is_refused_is_a_breach() {
    let (transfer, broken) = refused_refer("").await;
    assert!(transfer.notified.is_empty());
    assert_eq!(broken, [("refer-refused", Some(RuleId(89)))]);
}

#[tokio::test]
async fn a_trunk_that_does_not_offer_refer_breaks_no_rule_by_refusing_it() {
    let (transfer, broken) = refused_refer("Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY\r\n").await;
    assert!(transfer.not_offered);
    assert_eq!(broken, []);
}

#[tokio::test]
async fn teams_088_a_replaced_call_is_ended_by_who_was_told() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let (call, mut theirs, mut leg) = raw.answered(&hub).await;
    let dial = Dial::new("+14255550101", "+12065550100").header("Require", "replaces");
    let replaced = hub.replace(&call, dial);
    let controller = async {
        let invite = theirs.read().await;
        let replaces = invite.header_named("Replaces").unwrap().to_owned();
        let names = call.view().dialog.unwrap();
        let wanted = format!("{};from-tag={};to-tag=t1", leg.call_id, names.local_tag);
        assert_eq!((replaces, names.remote_tag.as_str()), (wanted, "t1"));
        theirs.answer_invite(&invite, "t1").await;
        let mut ours = raw.connect(&hub).await;
        let response = ours.request(&mut leg, "BYE", "", "").await;
        assert_eq!(response.status(), Some(200));
    };
    let (taken, ()) = tokio::join!(replaced, controller);
    taken.unwrap();
    assert_eq!(broken(&hub), []);
}

#[tokio::test]
async fn teams_088_a_replaced_call_that_lives_on_is_a_breach() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let (call, mut theirs, _leg) = raw.answered(&hub).await;
    let controller = async {
        let invite = theirs.read().await;
        theirs.answer_invite(&invite, "t1").await;
    };
    let dial = Dial::new("+14255550101", "+12065550100");
    let (taken, ()) = tokio::join!(hub.replace(&call, dial), controller);
    taken.unwrap();
    assert_eq!(broken(&hub), [("replaced-bye", Some(RuleId(88)))]);
}

#[tokio::test]
async fn teams_088_an_unknown_dialog_is_481() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let (call, mut theirs, _leg) = raw.answered(&hub).await;
    let controller = async {
        let invite = theirs.read().await;
        theirs
            .respond(&invite, "481 Call/Transaction Does Not Exist", "", "")
            .await;
        theirs.read().await
    };
    let dial = Dial::new("+14255550101", "+12065550100");
    let (taken, _ack) = tokio::join!(hub.replace(&call, dial), controller);
    assert!(matches!(taken, Err(SimError::NotAnswered(ending)) if ending.status == Some(481)));
}

#[tokio::test]
async fn teams_071_072_every_form_of_hold_is_played() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let (call, mut theirs, _leg) = raw.answered(&hub).await;
    let forms = [
        (HoldForm::Inactive, "a=inactive"),
        (HoldForm::SendOnly, "a=sendonly"),
        (HoldForm::RecvOnly, "a=recvonly"),
        (HoldForm::Blackhole, "c=IN IP4 0.0.0.0"),
        (HoldForm::PortZero, "m=audio 0 RTP/SAVP"),
    ];
    for (form, line) in forms {
        let controller = async {
            let invite = theirs.read().await;
            let body = String::from_utf8_lossy(invite.body()).into_owned();
            assert!(body.contains(line), "{body}");
            theirs.answer_invite(&invite, "t1").await;
        };
        let (status, ()) = tokio::join!(call.change(Change::Hold(form)), controller);
        assert_eq!(status.unwrap(), 200);
    }
    // A hold with `sendonly` or 0.0.0.0 is answered with what Teams would not stand.
    let rules: Vec<_> = broken(&hub).into_iter().map(|(rule, _)| rule).collect();
    assert!(
        rules.iter().all(|rule| ["direction", "description"].contains(rule)),
        "{rules:?}"
    );
    let refusing = async {
        let invite = theirs.read().await;
        theirs.respond(&invite, "488 Not Acceptable Here", "", "").await;
        theirs.read().await
    };
    let before = broken(&hub).len();
    let (status, _ack) = tokio::join!(call.change(Change::Resume), refusing);
    assert_eq!(status.unwrap(), 488);
    assert_eq!(broken(&hub)[before..], [("hold-refused", Some(RuleId(72)))]);
}

#[tokio::test]
async fn teams_115_a_lost_leg_hears_that_another_side_answered() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let mut ours = raw.connect(&hub).await;
    let uri = format!("sip:+14255550100@{HUB}:5061;user=phone;transport=tls");
    let to = "<sip:+14255550100@woodgrove.sbc1.example.net;user=phone>";
    let told = "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n";
    for (reason, breaches) in [(told, 0), ("Reason: SIP;cause=200;text=\"Elsewhere\"\r\n", 1), ("", 2)] {
        hub.script_once("ring, elsewhere".parse().unwrap());
        let call_id = ours.invite(&uri, to, "", "sendrecv").await;
        let call = hub.incoming().await.unwrap();
        while call.view().tags.is_empty() {
            tokio::task::yield_now().await;
        }
        ours.cancel(&uri, to, &call_id, reason).await;
        assert_eq!(call.ended().await.unwrap().status, Some(487));
        let expected = vec![("cancel-reason", Some(RuleId(115))); breaches];
        assert_eq!(broken(&hub), expected);
        // 200 of the CANCEL and 487.
        ours.read().await;
        ours.read().await;
    }
}

#[tokio::test]
async fn teams_018_an_idle_connection_is_closed_and_the_call_lives_on() {
    let raw = Raw::listen().await;
    let hub = raw.hub_with(HUB, Some(Duration::from_secs(5)));
    let (call, mut theirs, mut leg) = raw.answered(&hub).await;
    // Nothing but time has to pass.
    tokio::time::pause();
    let closed = tokio::time::timeout(Duration::from_secs(10), theirs.next()).await;
    tokio::time::resume();
    assert!(matches!(closed, Ok(None)), "the hub closes what is idle");
    assert_eq!(call.view().ending, None);
    let mut ours = raw.connect(&hub).await;
    let response = ours.request(&mut leg, "BYE", "", "").await;
    assert_eq!(response.status(), Some(200));
    assert_eq!(call.ended().await.unwrap().by, EndedBy::Peer);
    assert_eq!(broken(&hub), []);
}

#[tokio::test]
async fn teams_016_each_ping_has_a_connection_of_its_own() {
    let raw = Raw::listen().await;
    let hub = raw.hub(HUB);
    let controller = async {
        for _ in 0..8 {
            let mut wire = raw.accept().await;
            let options = wire.read().await;
            wire.respond(&options, "200 OK", "", "").await;
        }
    };
    let (answered, ()) = tokio::join!(hub.ping_on_connections(8), controller);
    answered.unwrap();
}
