//! INVITEs that must not become calls, as a carrier's own address sends them: each gets the answer that says what is wrong.

use crate::lab::Lab;
use crate::phone::Phone;
use portcullis::sim::Script;

/// Sends an INVITE with `contact` and the header lines `more`, and gives the first answer that is not 100.
async fn answer(lab: &Lab, contact: &str, more: &str) -> String {
    let mut phone = Phone::new(lab).await;
    let headers = format!("Contact: {contact}\r\n{more}");
    let invite = phone.request("INVITE", "1 INVITE", "a", &headers, &phone.offer("sendrecv"));
    phone.send(&invite).await;
    phone.receive_that(|text| !text.starts_with("SIP/2.0 100 ")).await
}

const CONTACT: &str = "<sip:caller@192.0.2.7>";

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_we_lack_is_refused_by_name() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::busy());
    let refused = answer(&lab, CONTACT, "Require: timer, 100rel\r\nRequire: replaces\r\n").await;
    assert!(refused.starts_with("SIP/2.0 420 "), "{refused}");
    assert!(refused.contains("\r\nUnsupported: 100rel, replaces\r\n"), "{refused}");
    let tried = answer(&lab, CONTACT, "Require: timer\r\n").await;
    assert!(!tried.starts_with("SIP/2.0 420 "), "{tried}");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_no_request_can_be_sent_to_is_refused() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::busy());
    let refused = answer(&lab, "<http://192.0.2.7/>", "").await;
    assert!(refused.starts_with("SIP/2.0 400 "), "{refused}");
    lab.close().await;
}
