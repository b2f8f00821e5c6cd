//! Two simulated carriers call each other: the core that all simulators share.

use super::*;
use crate::sim::{Change, Dial, EndedBy, Fork, HoldForm, Script, Step};
use crate::sip::Message;
use crate::sip::digest::Credentials;
use std::time::Duration;

const FROM: &str = "+14255550100";
const TO: &str = "+12065550100";

fn carrier(sbc: Option<SocketAddr>, wire: CarrierWire, tone: f64) -> CarrierSim {
    CarrierSim::start(CarrierSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        sbc,
        wire,
        tone,
    })
    .unwrap()
}

fn two(wire: &CarrierWire) -> (CarrierSim, CarrierSim) {
    let called = carrier(None, wire.clone(), 620.0);
    (carrier(Some(called.address()), wire.clone(), 440.0), called)
}

#[tokio::test]
async fn a_call_is_heard_both_ways_and_ends() {
    for wire in [CarrierWire::Udp, CarrierWire::Tcp] {
        let (caller, called) = two(&wire);
        called.set_script(Script::ring_then_answer(Duration::from_millis(50)));
        let placed = caller.place_call(Dial::new(FROM, TO)).await.unwrap();
        let incoming = called.incoming().await.unwrap();
        assert_eq!(placed.provisional(180).await.unwrap().status, 180);
        placed.answered().await.unwrap();
        incoming.answered().await.unwrap();
        placed.hears(620.0).await.unwrap();
        incoming.hears(440.0).await.unwrap();
        placed.send_digits("17").await.unwrap();
        let ending = placed.hang_up().await.unwrap();
        assert_eq!(ending.by, EndedBy::Us);
        assert_eq!(incoming.ended().await.unwrap().by, EndedBy::Peer);
        assert_eq!((caller.violations(), called.violations()), (vec![], vec![]));
    }
}

#[tokio::test]
async fn hold_silences_and_resume_brings_the_tone_back() {
    let (caller, called) = two(&CarrierWire::Udp);
    let placed = caller.place_call(Dial::new(FROM, TO)).await.unwrap();
    let incoming = called.incoming().await.unwrap();
    incoming.hears(440.0).await.unwrap();
    for form in [HoldForm::Inactive, HoldForm::SendOnly, HoldForm::Blackhole] {
        assert_eq!(placed.change(Change::Hold(form)).await.unwrap(), 200);
        // What was on its way may still arrive.
        let end = tokio::time::Instant::now() + Duration::from_secs(5);
        while placed.listen(Duration::from_millis(200)).await.unwrap().packets > 0 {
            assert!(tokio::time::Instant::now() < end, "{form:?}: packets go on");
        }
        assert_eq!(placed.change(Change::Resume).await.unwrap(), 200);
        placed.hears(620.0).await.unwrap();
    }
    assert_eq!(incoming.change(Change::Offerless).await.unwrap(), 200);
    placed.hears(620.0).await.unwrap();
    assert_eq!(called.violations(), []);
}

#[tokio::test]
async fn refusals_cancel_and_challenges() {
    let (caller, called) = two(&CarrierWire::Udp);
    let place = |dial: Dial| caller.place_call(dial);
    called.script_once(Script::busy());
    called.script_once(Script::unavailable(7));
    let busy = place(Dial::new(FROM, TO)).await.unwrap().ended().await.unwrap();
    assert_eq!((busy.by, busy.status), (EndedBy::Peer, Some(486)));
    let unavailable = place(Dial::new(FROM, TO)).await.unwrap().ended().await.unwrap();
    assert_eq!(
        (unavailable.status, unavailable.retry_after.as_deref()),
        (Some(503), Some("7"))
    );
    called.script_once(Script::no_answer());
    let placed = place(Dial::new(FROM, TO)).await.unwrap();
    placed.provisional(180).await.unwrap();
    let cancelled = placed.hang_up().await.unwrap();
    assert_eq!((cancelled.by, cancelled.status), (EndedBy::Us, Some(487)));

    called.script_once("challenge sbc1:secret@carrier.example, answer".parse().unwrap());
    let with = |realm: &str, password: &str| {
        let mut dial = Dial::new(FROM, TO);
        dial.credentials = Some(Credentials {
            realm: realm.to_owned(),
            username: "sbc1".to_owned(),
            password: password.to_owned(),
        });
        dial
    };
    let placed = place(with("carrier.example", "secret")).await.unwrap();
    placed.answered().await.unwrap();
    placed.hears(620.0).await.unwrap();
    for (realm, password, status) in [
        ("", "secret", None),
        ("", "guess", Some(407)),
        ("other.example", "secret", Some(407)),
    ] {
        called.set_script("challenge sbc1:secret@carrier.example, answer".parse().unwrap());
        let placed = place(with(realm, password)).await.unwrap();
        match status {
            Some(status) => assert_eq!(placed.ended().await.unwrap().status, Some(status), "{realm} {password}"),
            None => placed.answered().await.unwrap(),
        }
    }
}

#[tokio::test]
async fn branches_have_their_own_tags_and_media() {
    let (caller, called) = two(&CarrierWire::Udp);
    let steps = [Step::Ring(Fork(0)), Step::Ring(Fork(1)), Step::Progress(Fork(2))];
    called.set_script(Script::of(steps));
    let placed = caller.place_call(Dial::new(FROM, TO)).await.unwrap();
    let incoming = called.incoming().await.unwrap();
    placed.provisional(183).await.unwrap();
    let early = placed.hears(620.0).await.unwrap();
    incoming.answer().await.unwrap();
    placed.answered().await.unwrap();
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    while placed.listen(Duration::from_millis(250)).await.unwrap().sources == early.sources {
        assert!(tokio::time::Instant::now() < end, "the answer's own media never came");
    }
    let tags: std::collections::HashSet<_> = placed
        .view()
        .provisionals
        .iter()
        .filter_map(|provisional| provisional.to_tag.clone())
        .collect();
    assert_eq!(tags.len(), 3);
}

#[tokio::test]
async fn silence_is_not_even_100() {
    let (caller, called) = two(&CarrierWire::Udp);
    called.set_script(Script::silent());
    let _placed = caller.place_call(Dial::new(FROM, TO)).await.unwrap();
    let end = tokio::time::Instant::now() + Duration::from_secs(5);
    // The first INVITE and its first retransmission, half a second later.
    while called.transcript().len() < 2 {
        assert!(tokio::time::Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(caller.transcript().len(), 0);
}

#[tokio::test]
async fn a_script_goes_on_after_the_answer() {
    let (caller, called) = two(&CarrierWire::Udp);
    let steps = [
        Step::Answer(Fork(0)),
        Step::Hold,
        Step::Resume,
        Step::Refresh,
        Step::HangUp,
    ];
    called.set_script(Script::of(steps));
    let placed = caller.place_call(Dial::new(FROM, TO)).await.unwrap();
    assert_eq!(placed.ended().await.unwrap().by, EndedBy::Peer);
    assert_eq!(placed.view().changes, 3);
}

#[test]
fn what_belongs_to_teams_is_a_leak() {
    let message = |extra: &str| {
        let text = format!(
            "INVITE sip:+1@127.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:a@127.0.0.1>\r\n{extra}\r\n"
        );
        Message::parse(text.into_bytes().into()).unwrap()
    };
    assert_eq!(rules::inspect(&message("")), []);
    for bad in [
        "X-MS-UserLocation: external\r\n",
        "History-Info: <sip:+1@sip.pstnhub.microsoft.com>;index=1\r\n",
        "Via: SIP/2.0/TLS 192.0.2.10:5061;branch=z9hG4bK2\r\n",
        "Record-Route: <sip:127.0.0.1;lr>\r\n",
    ] {
        assert_eq!(rules::inspect(&message(bad)).len(), 1, "{bad}");
    }
    assert_eq!(rules::leaks(&message(""), &["Z9HG4BK1".to_owned()]).len(), 1);
}
