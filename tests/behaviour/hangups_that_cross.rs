//! Both sides hang up at once: the BYE that comes when the call is over already is answered like any other.

use crate::device::{Device, REALM, is};
use crate::lab::{BOUND, Lab, OUTSIDE, Plan};
use crate::registered_phones::ALICE_NUMBER;
use portcullis::sim::Dial;
use portcullis::sip::{HeaderName, Message};
use std::time::Duration;

/// The callee's BYE in the dialog of an INVITE that it took.
fn bye(invite: &Message, device: &Device, number: u32) -> String {
    let header = |name| invite.header(name).unwrap();
    format!(
        "BYE sip:us@{REALM} SIP/2.0\r\nVia: SIP/2.0/UDP 10.255.0.1:5060;rport;branch=z9hG4bKb{}x{number}\r\n\
         Max-Forwards: 70\r\nFrom: {};tag=d\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} BYE\r\nContent-Length: 0\r\n\r\n",
        device.us.port(),
        header(HeaderName::To),
        header(HeaderName::From),
        invite.call_id(),
    )
}

async fn status_of(device: &mut Device, bye: &str) -> Option<u16> {
    device.send(bye).await;
    device.receive(|message| !message.is_request()).await.status()
}

async fn is_over(lab: &Lab) {
    let over = async {
        while lab.running.node.calls.count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, over).await.expect("the call is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peers_bye_is_answered_after_the_end_and_a_strangers_is_not() {
    let lab = Lab::with(Plan {
        users: true,
        ..Plan::default()
    })
    .await;
    let mut phone = Device::udp(&lab, 11, "alice", "wonderland").await;
    let mut stranger = Device::udp(&lab, 12, "bob", "builder").await;
    for device in [&mut phone, &mut stranger] {
        assert_eq!(device.register(600).await.status(), Some(200));
    }
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, ALICE_NUMBER)).await.unwrap();
    let invite = phone.ring().await;
    phone.accept(&invite).await;
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    let ours = phone.receive(|message| is(message, "BYE")).await;
    phone.reply(&ours, "200 OK", "", "").await;
    is_over(&lab).await;
    let theirs = bye(&invite, &stranger, 2);
    assert_eq!(status_of(&mut stranger, &theirs).await, Some(481));
    let crossed = bye(&invite, &phone, 2);
    assert_eq!(status_of(&mut phone, &crossed).await, Some(200));
    assert_eq!(status_of(&mut phone, &crossed).await, Some(200), "a copy of it");
    let another = bye(&invite, &phone, 3);
    assert_eq!(status_of(&mut phone, &another).await, Some(481));
    lab.close().await;
}

/// Every 2xx is acknowledged, and whoever sent it hung up (RFC 3261 §13.2.2.4).
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_that_answers_after_the_end_is_acknowledged_and_hung_up() {
    let lab = Lab::with(Plan {
        users: true,
        ..Plan::default()
    })
    .await;
    let mut phone = Device::udp(&lab, 11, "alice", "wonderland").await;
    assert_eq!(phone.register(600).await.status(), Some(200));
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, ALICE_NUMBER)).await.unwrap();
    let invite = phone.ring().await;
    phone.accept(&invite).await;
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    let ours = phone.receive(|message| is(message, "BYE")).await;
    phone.reply(&ours, "200 OK", "", "").await;
    is_over(&lab).await;

    let (contact, sdp) = (phone.contact(), phone.sdp());
    let route = "Record-Route: <sip:edge.example.net;lr>\r\n";
    let more = format!("{contact}{route}");
    phone.reply_as("other", &invite, "200 OK", &more, &sdp).await;
    let ack = phone.receive(|message| is(message, "ACK")).await;
    let bye = phone.receive(|message| is(message, "BYE")).await;
    for ended in [&ack, &bye] {
        assert_eq!(ended.to_tag(), Some("other"));
        assert_eq!(ended.call_id(), invite.call_id());
        assert_eq!(ended.request_uri(), Some("sip:alice@10.255.0.1:5060"));
        assert_eq!(ended.header(HeaderName::Route), Some("<sip:edge.example.net;lr>"));
        assert!(ended.header(HeaderName::UserAgent).is_some());
    }
    assert_eq!(ack.cseq().0, invite.cseq().0);
    assert_eq!(bye.cseq().0, invite.cseq().0 + 1);
    phone.reply(&bye, "200 OK", "", "").await;
    // What comes again is acknowledged, also of the fork that the call had: no BYE is between the two.
    for tag in ["other", "d"] {
        phone.reply_as(tag, &invite, "200 OK", &more, &sdp).await;
        let again = phone.receive(|message| is(message, "ACK") || is(message, "BYE")).await;
        assert!(is(&again, "ACK"), "{tag}");
        assert_eq!(again.to_tag(), Some(tag));
    }
    lab.close().await;
}

/// Who lost hears so of all its forks, and that is no missed call.
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_of_who_lost_is_told_so_also_after_the_end() {
    let lab = Lab::with(Plan {
        users: true,
        ..Plan::default()
    })
    .await;
    let mut desk = Device::udp(&lab, 11, "alice", "wonderland").await;
    let mut mobile = Device::tcp(&lab, 12, "alice", "wonderland").await;
    for device in [&mut desk, &mut mobile] {
        assert_eq!(device.register(600).await.status(), Some(200));
    }
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, ALICE_NUMBER)).await.unwrap();
    let (at_desk, at_mobile) = (desk.ring().await, mobile.ring().await);
    mobile.accept(&at_mobile).await;
    let cancel = desk.receive(|message| is(message, "CANCEL")).await;
    desk.reply(&cancel, "200 OK", "", "").await;
    caller.answered().await.unwrap();
    let elsewhere = r#"SIP;cause=200;text="Call completed elsewhere""#;
    let (contact, sdp) = (desk.contact(), desk.sdp());
    for tag in ["d", "in the call", "after it"] {
        if tag == "after it" {
            caller.hang_up().await.unwrap();
            let bye = mobile.receive(|message| is(message, "BYE")).await;
            mobile.reply(&bye, "200 OK", "", "").await;
            is_over(&lab).await;
        }
        let tag = tag.replace(' ', "-");
        desk.reply_as(&tag, &at_desk, "200 OK", &contact, &sdp).await;
        let bye = desk.receive(|message| is(message, "BYE")).await;
        assert_eq!(bye.to_tag(), Some(&*tag));
        assert_eq!(bye.header(HeaderName::Reason), Some(elsewhere), "{tag}");
        desk.reply(&bye, "200 OK", "", "").await;
    }
    lab.close().await;
}
