//! REFER from a carrier and from users that register here (TEAMS-091), over real sockets: the node calls whom they name, as they
//! might call themselves. What each side hears is checked by its tone, and Teams gets INVITEs alone.

use crate::device::{Device, REALM, is};
use crate::lab::{BOUND, CARRIER_TONE, HUB, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use crate::registered_phones::ALICE_NUMBER;
use crate::transfers::shows;
use portcullis::call::TransferKind;
use portcullis::sim::{Call, Change, Dial, HoldForm, Refer, Script};
use portcullis::sip::{HeaderName, Message};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Another number of the tenant.
const ANOTHER: &str = "+14255550101";
/// Hz of who comes.
const OTHER_TONE: f64 = 800.0;

async fn lab() -> Lab {
    lab_of("").await
}

/// With further lines of the tenant.
async fn lab_of(tenant: &str) -> Lab {
    Lab::with(Plan {
        tenant: tenant.into(),
        users: true,
        carrier: "refer = true\n".into(),
        machine: "[emergency]\nnumbers = [\"911\"]\n".into(),
        ..Plan::default()
    })
    .await
}

async fn registered(mut device: Device) -> Device {
    assert_eq!(device.register(600).await.status(), Some(200));
    device
}

/// A call of a Teams user to the carrier: both ends, talking.
async fn calling(lab: &Lab) -> (Call, Call) {
    lab.carrier.set_script(Script::answer());
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hears(TEAMS_TONE).await.unwrap();
    (caller, callee)
}

/// Waits until a carrier has no call up, as far as its limit goes.
async fn has_its_places_back(lab: &Lab) {
    let places = &lab.running.node.places;
    let free = async {
        while places.calls("carrier north") > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, free).await.expect("its places");
}

/// What Teams got that a transfer must not send there.
fn strays(lab: &Lab) -> Vec<Message> {
    let mut transcript = lab.teams.transcript();
    transcript.retain(|message| {
        is(message, "REFER") || is(message, "NOTIFY") || message.header(HeaderName::Replaces).is_some()
    });
    transcript
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_091_a_carrier_gives_a_teams_user_to_another() {
    let lab = lab().await;
    let (caller, callee) = calling(&lab).await;
    assert!(callee.invite().expect("our INVITE").lists(HeaderName::Allow, "REFER"));
    assert_eq!(callee.change(Change::Hold(HoldForm::SendOnly)).await.unwrap(), 200);
    lab.teams.set_script(Script::answer().tone(OTHER_TONE));
    let refer = Refer::to(&format!("sip:{ANOTHER}@{}", lab.address())).routed();
    assert_eq!(callee.refer(refer).await.unwrap(), 202);
    let third = lab.teams.incoming().await.unwrap();
    let invite = third.invite().expect("our INVITE");
    assert_eq!(invite.uri().unwrap().user(), Some(ANOTHER));
    assert_eq!(invite.from().unwrap().uri().user(), Some(USER), "who will talk");
    caller.hears(OTHER_TONE).await.unwrap();
    third.hears(TEAMS_TONE).await.unwrap();
    let notified = callee.transferred().await.unwrap().notified;
    assert_eq!((notified.first(), notified.last()), (Some(&100), Some(&200)));
    callee.ended().await.unwrap();
    has_its_places_back(&lab).await;
    caller.hears(OTHER_TONE).await.unwrap();
    assert!(strays(&lab).is_empty(), "{:?}", strays(&lab));
    caller.hang_up().await.unwrap();
    third.ended().await.unwrap();
    let record = lab.records.get(0).await;
    let transfer = record.legs[2].transfer.as_ref().expect("a transfer");
    assert_eq!((transfer.kind, transfer.of), (TransferKind::Referred, 1));
    assert_eq!(lab.records.count(), 1, "it was one call");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_091_a_carrier_that_has_called_leaves_its_place_too() {
    let lab = lab().await;
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    assert_eq!(lab.running.node.places.calls("carrier north"), 1);
    lab.teams.set_script(Script::answer().tone(OTHER_TONE));
    let refer = Refer::to(&format!("sip:{ANOTHER}@{}", lab.address())).routed();
    assert_eq!(caller.refer(refer).await.unwrap(), 202);
    let third = lab.teams.incoming().await.unwrap();
    callee.hears(OTHER_TONE).await.unwrap();
    shows(&lab, HUB, [ANOTHER, USER]).await;
    caller.ended().await.unwrap();
    has_its_places_back(&lab).await;
    assert_eq!(lab.running.node.places.calls("node"), 1);
    callee.hang_up().await.unwrap();
    third.ended().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_091_a_carriers_refer_leads_nowhere_else() {
    let lab = lab().await;
    let (caller, callee) = calling(&lab).await;
    let here = lab.address();
    for (target, status) in [
        (format!("sip:+19005550100@{here}"), 404),
        ("sip:admin@127.0.0.1:9090".into(), 403),
        (format!("sip:911@{here}"), 403),
        (format!("sip:9-1-1@{here}"), 403),
        (
            format!("sip:{ANOTHER}@{here}?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2"),
            481,
        ),
    ] {
        let refused = callee.refer(Refer::to(&target).routed()).await.unwrap();
        assert_eq!(refused, status, "{target}");
    }
    lab.teams.set_script(Script::busy());
    let refer = Refer::to(&format!("sip:{ANOTHER}@{here}")).routed();
    assert_eq!(callee.refer(refer).await.unwrap(), 202);
    assert_eq!(callee.transferred().await.unwrap().notified.last(), Some(&486));
    caller.hears(CARRIER_TONE).await.unwrap();
    callee.hears(TEAMS_TONE).await.unwrap();
    assert!(strays(&lab).is_empty(), "{:?}", strays(&lab));
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();
    lab.close().await;
}

/// A call of the carrier to alice, whose device has answered it.
pub async fn to_alice(lab: &Lab, alice: &mut Device) -> (Call, Message) {
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, ALICE_NUMBER)).await.unwrap();
    let invite = alice.ring().await;
    alice.accept(&invite).await;
    caller.answered().await.unwrap();
    (caller, invite)
}

/// A REFER of a device inside the dialog of an INVITE that it has answered.
fn refer(device: &Device, invite: &Message, cseq: u32, target: &str) -> String {
    let contact = invite.contact().unwrap().unwrap();
    let (from, to) = (
        invite.header(HeaderName::From).unwrap(),
        invite.header(HeaderName::To).unwrap(),
    );
    format!(
        "REFER {} SIP/2.0\r\nVia: SIP/2.0/UDP 10.255.0.1:5060;rport;branch=z9hG4bK{}{cseq}\r\nMax-Forwards: 70\r\n\
         From: {to};tag=d\r\nTo: {from}\r\nCall-ID: {}\r\nCSeq: {cseq} REFER\r\n{}Refer-To: <{target}>\r\n\
         Content-Length: 0\r\n\r\n",
        contact.uri(),
        invite.call_id(),
        invite.call_id(),
        device.contact(),
    )
}

pub async fn referred(device: &mut Device, invite: &Message, cseq: u32, target: &str) -> Option<u16> {
    let text = refer(device, invite, cseq, target);
    device.send(&text).await;
    let of_refer = |message: &Message| message.status().is_some() && message.cseq().0 == cseq;
    device.receive(of_refer).await.status()
}

/// The status that the next NOTIFY tells.
async fn notified(device: &mut Device) -> String {
    let notify = device.receive(|message| is(message, "NOTIFY")).await;
    device.reply(&notify, "200 OK", "", "").await;
    String::from_utf8_lossy(notify.body()).trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_091_a_user_gives_a_caller_to_a_teams_user_and_to_a_telephone() {
    let lab = lab().await;
    let mut alice = registered(Device::udp(&lab, 11, "alice", "wonderland").await).await;
    for (target, by_carrier) in [(USER, false), ("+12065550199", true)] {
        let (caller, invite) = to_alice(&lab, &mut alice).await;
        let script = Script::answer().tone(OTHER_TONE);
        let callee = match by_carrier {
            true => &*lab.carrier,
            false => &*lab.teams,
        };
        callee.set_script(script);
        assert_eq!(
            referred(&mut alice, &invite, 1, &format!("sip:{target}@{REALM}")).await,
            Some(202)
        );
        let third = callee.incoming().await.unwrap();
        let from = third.invite().expect("our INVITE");
        let shown = if by_carrier { ALICE_NUMBER } else { OUTSIDE };
        assert_eq!(from.from().unwrap().uri().user(), Some(shown), "{target}");
        caller.hears(OTHER_TONE).await.unwrap();
        third.hears(CARRIER_TONE).await.unwrap();
        // Those before it may have come before the 202.
        while notified(&mut alice).await != "SIP/2.0 200 OK" {}
        // It does not say BYE: we do.
        let bye = alice.receive(|message| is(message, "BYE")).await;
        alice.reply(&bye, "200 OK", "", "").await;
        caller.hears(OTHER_TONE).await.unwrap();
        caller.hang_up().await.unwrap();
        third.ended().await.unwrap();
    }
    assert!(strays(&lab).is_empty(), "{:?}", strays(&lab));
    lab.close().await;
}

/// Bob's device, which rings, its INVITE, and alice's once she was answered.
async fn alice_calls_bob(lab: &Lab) -> (Device, Message, JoinHandle<(Device, Message)>) {
    let mut bob = registered(Device::udp(lab, 12, "bob", "builder").await).await;
    let mut alice = registered(Device::udp(lab, 11, "alice", "wonderland").await).await;
    let contact = format!("{}\r\n", alice.contact().trim_end());
    let (uri, sdp) = (format!("sip:bob@{REALM}"), alice.sdp());
    let calling = tokio::spawn(async move {
        let (answer, _) = alice.ask("INVITE", &uri, &format!("<{uri}>"), &contact, &sdp).await;
        (alice, answer)
    });
    let invite = bob.ring().await;
    (bob, invite, calling)
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_091_a_user_refers_to_nobody_that_it_may_not_call() {
    let lab = lab().await;
    let (mut bob, invite, calling) = alice_calls_bob(&lab).await;
    bob.accept(&invite).await;
    let (mut alice, answer) = calling.await.unwrap();
    for (cseq, target, status) in [
        (1, format!("sip:{OUTSIDE}@{REALM}"), 403),
        (2, format!("sip:{USER}@{REALM}"), 403),
        (3, "sip:alice@127.0.0.1:5060".into(), 403),
        (4, format!("sip:911@{REALM}"), 403),
        (5, format!("sip:9-1-1@{REALM}"), 403),
        (
            6,
            format!("sip:alice@{REALM}?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2"),
            481,
        ),
    ] {
        assert_eq!(
            referred(&mut bob, &invite, cseq, &target).await,
            Some(status),
            "{target}"
        );
    }
    crate::users_call::hang_up(&mut alice, &answer).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_091_a_user_who_is_called_by_a_transfer_sees_who_will_talk() {
    let lab = lab().await;
    let mut alice = registered(Device::udp(&lab, 11, "alice", "wonderland").await).await;
    let mut bob = registered(Device::udp(&lab, 12, "bob", "builder").await).await;
    let (caller, invite) = to_alice(&lab, &mut alice).await;
    let target = format!("sip:bob@{REALM}");
    assert_eq!(referred(&mut alice, &invite, 1, &target).await, Some(202));
    let ringing = bob.ring().await;
    assert_eq!(ringing.from().unwrap().uri().user(), Some(OUTSIDE));
    let contact = ringing.contact().unwrap().unwrap();
    assert_eq!(contact.uri().user(), Some(OUTSIDE), "a call back reaches it");
    caller.hang_up().await.unwrap();
    lab.close().await;
}

/// Two calls and what one of them is transferred to are three: the tenant has room for no more.
#[tokio::test(flavor = "multi_thread")]
async fn teams_091_a_transfer_takes_a_place_while_it_rings() {
    let lab = lab_of("limits = { calls = 3 }\n").await;
    let mut alice = registered(Device::udp(&lab, 11, "alice", "wonderland").await).await;
    let (first, of_first) = to_alice(&lab, &mut alice).await;
    let (second, of_second) = to_alice(&lab, &mut alice).await;
    lab.teams.set_script(Script::no_answer());
    let target = format!("sip:{USER}@{REALM}");
    assert_eq!(referred(&mut alice, &of_first, 1, &target).await, Some(202));
    let third = lab.teams.incoming().await.unwrap();
    assert_eq!(referred(&mut alice, &of_second, 2, &target).await, Some(503));
    first.hang_up().await.unwrap();
    third.ended().await.unwrap();
    let bye = alice.receive(|message| is(message, "BYE")).await;
    alice.reply(&bye, "200 OK", "", "").await;
    assert_eq!(lab.records.get(0).await.cause.label(), "hung_up");
    assert_eq!(referred(&mut alice, &of_second, 3, &target).await, Some(202));
    second.hang_up().await.unwrap();
    lab.close().await;
}

/// Bob may call colleagues alone, and answers as alice, who may call everybody.
#[tokio::test(flavor = "multi_thread")]
async fn teams_091_a_user_refers_as_whom_it_has_proven_to_be_and_not_as_it_names_itself() {
    let lab = lab().await;
    let (mut bob, invite, calling) = alice_calls_bob(&lab).await;
    let text = String::from_utf8_lossy(invite.as_bytes()).replace("To: <sip:bob@", "To: <sip:alice@");
    let forged = Message::parse(text.into_bytes().into()).unwrap();
    assert!(forged.header(HeaderName::To).unwrap().contains("alice"));
    bob.accept(&forged).await;
    let (mut alice, answer) = calling.await.unwrap();
    let target = format!("sip:{OUTSIDE}@{REALM}");
    assert_eq!(referred(&mut bob, &forged, 1, &target).await, Some(403));
    crate::users_call::hang_up(&mut alice, &answer).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_refer_is_told_405() {
    let lab = Lab::with(Plan {
        users: true,
        tenant: "users_refer = false\n".into(),
        ..Plan::default()
    })
    .await;
    let (caller, callee) = calling(&lab).await;
    assert!(!callee.invite().expect("our INVITE").lists(HeaderName::Allow, "REFER"));
    let refer = Refer::to(&format!("sip:{ANOTHER}@{}", lab.address())).routed();
    assert_eq!(callee.refer(refer).await.unwrap(), 405);
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();
    let mut alice = registered(Device::udp(&lab, 11, "alice", "wonderland").await).await;
    let (caller, invite) = to_alice(&lab, &mut alice).await;
    assert!(!invite.lists(HeaderName::Allow, "REFER"));
    assert_eq!(
        referred(&mut alice, &invite, 1, &format!("sip:{USER}@{REALM}")).await,
        Some(405)
    );
    caller.hang_up().await.unwrap();
    lab.close().await;
}

/// The 200 of a call of a device, acknowledged.
pub async fn acknowledged(device: &mut Device, answer: &Message) {
    let contact = answer.contact().unwrap().unwrap();
    let to = answer.header(HeaderName::To).unwrap().to_owned();
    let cseq = answer.cseq().0;
    let ack = device.request("ACK", &contact.uri().to_string(), &to, "", "");
    let ack = ack.replace(&format!("CSeq: {} ACK", cseq + 1), &format!("CSeq: {cseq} ACK"));
    device.send(&ack).await;
}

/// What a Refer-To says of the dialog that an answer has made.
fn replacing(answer: &Message) -> String {
    format!(
        "Replaces={}%3Bto-tag%3D{}%3Bfrom-tag%3D{}",
        answer.call_id(),
        answer.to_tag().unwrap(),
        answer.from_tag().unwrap()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_091_a_user_joins_the_two_that_it_talks_to() {
    let lab = lab().await;
    let mut alice = registered(Device::udp(&lab, 11, "alice", "wonderland").await).await;
    for round in 1..=2 {
        let (caller, invite) = to_alice(&lab, &mut alice).await;
        lab.teams.set_script(Script::answer());
        let (answer, _) = crate::users_call::call(&mut alice, &format!("sip:{USER}@{REALM}")).await;
        assert_eq!(answer.status(), Some(200));
        acknowledged(&mut alice, &answer).await;
        let callee = lab.teams.incoming().await.unwrap();
        let target = format!("sip:{USER}@{REALM}?{}", replacing(&answer));
        assert_eq!(referred(&mut alice, &invite, 1, &target).await, Some(202));
        caller.hears(TEAMS_TONE).await.unwrap();
        callee.hears(CARRIER_TONE).await.unwrap();
        caller.hang_up().await.unwrap();
        callee.ended().await.unwrap();
        // Her two calls.
        alice.answers_until(lab.records.get(2 * round - 1)).await;
    }
    assert!(strays(&lab).is_empty(), "{:?}", strays(&lab));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_091_a_user_joins_nobody_elses_calls() {
    let lab = lab().await;
    let mut alice = registered(Device::udp(&lab, 11, "alice", "wonderland").await).await;
    let mut bob = registered(Device::udp(&lab, 12, "bob", "builder").await).await;
    lab.teams.set_script(Script::answer());
    let (of_alice, _) = crate::users_call::call(&mut alice, &format!("sip:{USER}@{REALM}")).await;
    acknowledged(&mut alice, &of_alice).await;
    let callee = lab.teams.incoming().await.unwrap();
    // Somebody who talks to bob.
    let mut carol = registered(Device::udp(&lab, 13, "alice", "wonderland").await).await;
    let uri = format!("sip:bob@{REALM}");
    let calling = tokio::spawn(async move {
        let answer = crate::users_call::call(&mut carol, &uri).await.0;
        (carol, answer)
    });
    let invite = bob.ring().await;
    bob.accept(&invite).await;
    let (mut carol, answer) = calling.await.unwrap();
    acknowledged(&mut carol, &answer).await;
    let target = format!("sip:{USER}@{REALM}?{}", replacing(&of_alice));
    assert_eq!(
        referred(&mut bob, &invite, 1, &target).await,
        Some(481),
        "alice's dialog"
    );
    callee.hang_up().await.unwrap();
    lab.close().await;
}
