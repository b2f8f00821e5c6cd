//! Calls to and from users that register here.

use crate::device::{Device, REALM, is};
use crate::lab::{BOUND, Lab, OUTSIDE, Plan, USER};
use crate::registered_phones::ALICE_NUMBER;
use portcullis::call::{Direction, Party};
use portcullis::sim::{Dial, Script};
use portcullis::sip::HeaderName;

async fn lab() -> Lab {
    Lab::with(Plan {
        users: true,
        machine: "[emergency]\nnumbers = [\"911\"]\n".into(),
        ..Plan::default()
    })
    .await
}

async fn registered(mut device: Device) -> Device {
    assert_eq!(device.register(600).await.status(), Some(200));
    device
}

/// Rings `uri` from a device: the final answer, and the INVITE that got it.
pub async fn call(device: &mut Device, uri: &str) -> (portcullis::sip::Message, String) {
    let (contact, sdp) = (device.contact(), device.sdp());
    device.ask("INVITE", uri, &format!("<{uri}>"), &contact, &sdp).await
}

/// ACK of the 200, then BYE.
pub async fn hang_up(device: &mut Device, answer: &portcullis::sip::Message) {
    let contact = answer.contact().unwrap().unwrap();
    let to = answer.header(HeaderName::To).unwrap().to_owned();
    let uri = contact.uri().to_string();
    let cseq = answer.cseq().0;
    let ack = device.request("ACK", &uri, &to, "", "");
    let ack = ack.replace(&format!("CSeq: {} ACK", cseq + 1), &format!("CSeq: {cseq} ACK"));
    device.send(&ack).await;
    let bye = device.request("BYE", &uri, &to, "", "");
    device.send(&bye).await;
    assert_eq!(device.answer().await.status(), Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_devices_ring_and_the_first_to_answer_wins() {
    let lab = lab().await;
    let mut desk = registered(Device::udp(&lab, 11, "alice", "wonderland").await).await;
    let mut mobile = registered(Device::tcp(&lab, 12, "alice", "wonderland").await).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, ALICE_NUMBER)).await.unwrap();
    let (at_desk, at_mobile) = (desk.ring().await, mobile.ring().await);
    for invite in [&at_desk, &at_mobile] {
        let from = invite.from().unwrap();
        assert_eq!((from.uri().user(), from.uri().host()), (Some(OUTSIDE), REALM));
        let takes = |method| invite.lists(HeaderName::Allow, method);
        assert!(takes("REFER") && takes("INFO"), "a user may transfer, and send keys");
        assert!(!takes("UPDATE") && !takes("NOTIFY"), "a static route takes none");
    }
    assert_eq!(
        at_mobile.uri().unwrap().host(),
        "10.255.0.1",
        "the Contact as registered, over its connection"
    );
    mobile.accept(&at_mobile).await;
    let cancel = desk.receive(|message| is(message, "CANCEL")).await;
    assert!(
        cancel
            .header(HeaderName::Reason)
            .unwrap()
            .contains("Call completed elsewhere")
    );
    desk.reply(&cancel, "200 OK", "", "").await;
    desk.reply(&at_desk, "487 Request Terminated", "", "").await;
    tokio::time::timeout(BOUND, caller.answered()).await.unwrap().unwrap();
    caller.hang_up().await.unwrap();
    let bye = mobile.receive(|message| is(message, "BYE")).await;
    mobile.reply(&bye, "200 OK", "", "").await;
    let record = lab.records.get(0).await;
    assert_eq!(record.facts.direction, Direction::CarrierToUser);
    assert_eq!(record.facts.to, format!("alice@{REALM}"));
    assert_eq!(record.ended_by, Party::Caller);
    let peers: Vec<String> = record
        .legs
        .iter()
        .filter_map(|leg| Some(leg.peer.as_ref()?.to_string()))
        .collect();
    assert!(
        peers.iter().all(|peer| peer.starts_with(&format!("alice@{REALM}/"))),
        "{peers:?}"
    );
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_teams_shows_the_users_own_number_whatever_its_device_says() {
    let lab = lab().await;
    lab.teams.set_script(Script::answer());
    let mut phone = registered(Device::udp(&lab, 11, "alice", "wonderland").await).await;
    let liar = format!(
        "P-Asserted-Identity: <sip:+14255550101@x>\r\nDiversion: <sip:+14255550102@x>\r\n{}",
        phone.contact()
    );
    let (uri, sdp) = (format!("sip:{USER}@{REALM}"), phone.sdp());
    let (answer, _) = phone.ask("INVITE", &uri, &format!("<{uri}>"), &liar, &sdp).await;
    assert_eq!(answer.status(), Some(200));
    let invite = lab
        .teams
        .transcript()
        .into_iter()
        .find(|message| is(message, "INVITE"))
        .expect("Teams was called");
    assert_eq!(invite.from().unwrap().uri().user(), Some(ALICE_NUMBER));
    let text = String::from_utf8_lossy(invite.as_bytes()).into_owned();
    assert!(
        !text.contains("+14255550101") && !text.contains("+14255550102"),
        "{text}"
    );
    hang_up(&mut phone, &answer).await;
    let record = lab.records.get(0).await;
    assert_eq!(record.facts.direction, Direction::UserToTeams);
    assert_eq!(
        (record.facts.from.as_str(), record.facts.to.as_str()),
        (ALICE_NUMBER, USER)
    );
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_call_each_other_and_the_telephone_network() {
    let lab = lab().await;
    lab.carrier.set_script(Script::answer());
    let mut alice = registered(Device::tcp(&lab, 11, "alice", "wonderland").await).await;
    let mut bob = registered(Device::udp(&lab, 12, "bob", "builder").await).await;
    let ringing = tokio::spawn(async move {
        let invite = bob.ring().await;
        bob.accept(&invite).await;
        let bye = bob.receive(|message| is(message, "BYE")).await;
        bob.reply(&bye, "200 OK", "", "").await;
        (bob, invite)
    });
    let (answer, _) = call(&mut alice, &format!("sip:bob@{REALM}")).await;
    assert_eq!(
        answer.status(),
        Some(200),
        "over its own connection nothing is asked twice"
    );
    hang_up(&mut alice, &answer).await;
    let (mut bob, invite) = tokio::time::timeout(BOUND, ringing).await.unwrap().unwrap();
    assert_eq!(invite.from().unwrap().uri().as_str(), format!("sip:alice@{REALM}"));
    assert_eq!(lab.records.get(0).await.facts.direction, Direction::UserToUser);

    let (answer, _) = call(&mut alice, &format!("sip:{OUTSIDE}@{REALM}")).await;
    assert_eq!(answer.status(), Some(200));
    hang_up(&mut alice, &answer).await;
    let record = lab.records.get(1).await;
    assert_eq!(
        (record.facts.direction, record.facts.from.as_str()),
        (Direction::UserToCarrier, ALICE_NUMBER)
    );

    let (refused, invite) = call(&mut bob, &format!("sip:{OUTSIDE}@{REALM}")).await;
    bob.acknowledge(&invite, &refused).await;
    assert_eq!(refused.status(), Some(403), "bob may call users alone");
    assert_eq!(
        refused.header_named("X-Reason"),
        Some(&*format!("bob@{REALM} may not call telephone numbers")),
        "and is told so"
    );
    for (index, written) in ["911", "9-1-1", "(911)", "%39.1.1", "911%20"].iter().enumerate() {
        let (answer, _) = call(&mut bob, &format!("sip:{written}@{REALM}")).await;
        assert_eq!(answer.status(), Some(200), "but emergency numbers always: {written}");
        hang_up(&mut bob, &answer).await;
        let record = lab.records.get(2 + index).await;
        assert_eq!(
            (record.facts.emergency, record.facts.to.as_str()),
            (true, "911"),
            "{written}"
        );
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_teams_a_users_number_is_reached_without_leaving_the_house() {
    let lab = lab().await;
    let mut phone = registered(Device::udp(&lab, 11, "alice", "wonderland").await).await;
    let caller = lab.teams.place_call(Dial::new(USER, ALICE_NUMBER)).await.unwrap();
    let invite = phone.ring().await;
    assert_eq!(invite.from().unwrap().uri().user(), Some(USER));
    phone.accept(&invite).await;
    tokio::time::timeout(BOUND, caller.answered()).await.unwrap().unwrap();
    caller.hang_up().await.unwrap();
    let bye = phone.receive(|message| is(message, "BYE")).await;
    phone.reply(&bye, "200 OK", "", "").await;
    assert_eq!(lab.records.get(0).await.facts.direction, Direction::TeamsToUser);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_gone_is_given_up_and_the_other_still_rings() {
    let lab = lab().await;
    let dead = registered(Device::tcp(&lab, 11, "alice", "wonderland").await).await;
    let mut desk = registered(Device::udp(&lab, 12, "alice", "wonderland").await).await;
    drop(dead);
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, ALICE_NUMBER)).await.unwrap();
    let invite = desk.ring().await;
    desk.accept(&invite).await;
    tokio::time::timeout(BOUND, caller.answered()).await.unwrap().unwrap();
    caller.hang_up().await.unwrap();
    let bye = desk.receive(|message| is(message, "BYE")).await;
    desk.reply(&bye, "200 OK", "", "").await;
    lab.records.get(0).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_must_be_recoded_is_refused_where_no_call_may_be_and_others_are_not() {
    let lab = Lab::with(Plan {
        users: true,
        media: "recoded_calls = 0".into(),
        carrier: "codecs = [\"PCMA\"]".into(),
        ..Plan::default()
    })
    .await;
    lab.carrier.set_script(Script::answer());
    let mut alice = registered(Device::udp(&lab, 11, "alice", "wonderland").await).await;
    let uri = format!("sip:{OUTSIDE}@{REALM}");
    let (contact, wideband) = (alice.contact(), alice.sdp().replace("RTP/AVP 8", "RTP/AVP 9"));
    let (refused, invite) = alice
        .ask("INVITE", &uri, &format!("<{uri}>"), &contact, &wideband)
        .await;
    alice.acknowledge(&invite, &refused).await;
    assert_eq!(refused.status(), Some(503));
    let record = lab.records.get(0).await;
    assert_eq!(record.status, 503);
    let (answer, _) = call(&mut alice, &uri).await;
    assert_eq!(answer.status(), Some(200));
    hang_up(&mut alice, &answer).await;
    lab.close().await;
}
