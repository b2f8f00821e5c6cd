//! INVITEs that must not become calls, as a carrier's own address sends them: each gets the answer that says what is wrong.

use crate::lab::{Lab, Plan};
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
    let refused = answer(&lab, CONTACT, "Require: timer, 100rel\r\nRequire: join\r\n").await;
    assert!(refused.starts_with("SIP/2.0 420 "), "{refused}");
    assert!(refused.contains("\r\nUnsupported: 100rel, join\r\n"), "{refused}");
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
    assert!(
        refused.contains("\r\nWarning: 399 portcullis \"no Contact that is a SIP URI\""),
        "{refused}"
    );
    lab.close().await;
}

/// A lab with one more carrier.
fn with_carrier(unknown_source: &str, carrier: &str) -> Plan {
    Plan {
        machine: format!("[guard]\nunknown_source = \"{unknown_source}\"\n"),
        carrier: format!("[[carriers]]\nid = \"other\"\n{carrier}\n"),
        ..Plan::default()
    }
}

/// A gateway that has only a name: its answers come from anywhere, so the listener has to hear everybody.
const NAMED: &str = "networks = [\"192.0.2.0/24\"]\n\
                     gateways = [{ host = \"gw.example.net\", port = 5060, listener = \"carrier\" }]";
/// A carrier that is known by its password alone.
const BY_PASSWORD: &str = "digest = { username = \"trunk\", password = \"secret\" }\n\
                           gateways = [{ host = \"192.0.2.1\", port = 5060, listener = \"carrier\" }]";
/// INVITEs of a stranger: under the rate of one source, and more than the node's own OPTIONS.
const INVITES: usize = 12;

fn invites(stranger: &Phone) -> impl Iterator<Item = String> {
    (1..=INVITES).map(|number| {
        let contact = format!("Contact: {CONTACT}\r\n");
        let (cseq, branch) = (format!("{number} INVITE"), format!("i{number}"));
        stranger.request("INVITE", &cseq, &branch, &contact, &stranger.offer("sendrecv"))
    })
}

/// Live transactions; the node's own OPTIONS are some.
fn transactions(lab: &Lab) -> usize {
    let shards = lab.running.signalling.shards();
    shards.iter().map(|shard| shard.transactions).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_hears_nothing_and_leaves_nothing() {
    let lab = Lab::with(with_carrier("silence", NAMED)).await;
    let stranger = Phone::stranger(&lab).await;
    let inside = |request: String| request.replacen(">\r\nCall-ID", ">;tag=none\r\nCall-ID", 1);
    let others = [
        inside(stranger.request("INVITE", "20 INVITE", "a", "", "")),
        inside(stranger.request("BYE", "21 BYE", "b", "", "")),
        stranger.request("OPTIONS", "22 OPTIONS", "c", "", ""),
        stranger.request("CANCEL", "23 CANCEL", "d", "", ""),
        stranger.request("BYE", "24 INVITE", "this CSeq is of another method", "", ""),
    ];
    for attempt in invites(&stranger).chain(others) {
        stranger.send(&attempt).await;
    }
    // The socket is read in order, and one Call-ID goes to one shard: with this answered, all else was looked at.
    let mut known = Phone::new(&lab).await;
    let call_id = |request: &str| {
        let line = request.lines().find(|line| line.starts_with("Call-ID"));
        line.expect("a Call-ID").to_owned()
    };
    let ping = known.request("OPTIONS", "1 OPTIONS", "a", "", "");
    let ping = ping.replace(
        &call_id(&ping),
        &call_id(&stranger.request("OPTIONS", "1", "a", "", "")),
    );
    known.send(&ping).await;
    known.receive("SIP/2.0 200 ").await;
    assert_eq!(stranger.unread(), None);
    assert!(transactions(&lab) < INVITES, "{} transactions", transactions(&lab));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_proven_nothing_is_answered_once_and_forgotten() {
    for (carrier, status) in [(NAMED, "SIP/2.0 403 "), (BY_PASSWORD, "SIP/2.0 401 ")] {
        let lab = Lab::with(with_carrier("403", carrier)).await;
        let mut stranger = Phone::stranger(&lab).await;
        for invite in invites(&stranger).collect::<Vec<_>>() {
            stranger.send(&invite).await;
            let answer = stranger.receive_that(|_| true).await;
            assert!(answer.starts_with(status), "{answer}");
        }
        assert!(transactions(&lab) < INVITES - 1, "{} transactions", transactions(&lab));
        lab.close().await;
    }
}
