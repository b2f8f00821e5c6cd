//! Re-INVITEs that a peer takes back, or never acknowledges.

use crate::lab::{Lab, Plan};
use crate::phone::Phone;
use portcullis::sim::{Manner, Script};

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cancelled_before_its_answer_gets_487() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    let mut phone = Phone::new(&lab).await;
    phone.call().await;
    // The other side is asked first, and does not answer.
    lab.teams.set_manner(Manner::Stalled);
    phone.send(&phone.hold()).await;
    phone.receive("SIP/2.0 100 ").await;
    phone.send(&phone.request("CANCEL", "2 CANCEL", "c", "", "")).await;
    phone.receive("SIP/2.0 487 ").await;
    lab.teams.set_manner(Manner::Normal);
    phone.send(&phone.request("ACK", "2 ACK", "c", "", "")).await;
    phone.send(&phone.request("BYE", "3 BYE", "d", "", "")).await;
    assert_eq!(lab.records.get(0).await.cause.label(), "hung_up");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_200_is_never_acknowledged_ends_the_call() {
    let lab = Lab::with(Plan {
        // 64 of them are all the time that the calls' own transactions have, too.
        machine: "[timers]\nt1 = \"60ms\"\n".into(),
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::answer());
    let mut phone = Phone::new(&lab).await;
    phone.call().await;
    phone.send(&phone.hold()).await;
    phone
        .receive_that(|text| text.starts_with("SIP/2.0 200 ") && text.contains("CSeq: 2 INVITE"))
        .await;
    phone.receive("BYE ").await;
    assert_eq!(lab.records.get(0).await.cause.label(), "ack_lost");
    lab.close().await;
}
