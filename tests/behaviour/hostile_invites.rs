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

/// The lab's media have IPv4 alone.
#[tokio::test(flavor = "multi_thread")]
async fn media_of_the_other_ip_version_is_refused_before_anybody_rings() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::busy());
    let mut phone = Phone::new(&lab).await;
    let offer =
        "v=0\r\no=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n";
    let contact = format!("Contact: {CONTACT}\r\n");
    phone
        .send(&phone.request("INVITE", "1 INVITE", "a", &contact, offer))
        .await;
    let refused = phone.receive_that(|text| !text.starts_with("SIP/2.0 100 ")).await;
    assert!(refused.starts_with("SIP/2.0 488 "), "{refused}");
    assert!(refused.contains("this leg has IPv4 only"), "{refused}");
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

/// What is wrong with a request, as a change of its text, and the answer: its status line and the header that says what would
/// be read.
const UNREADABLE: [(&str, &str, &str, &str); 6] = [
    ("INVITE sip:", "INVITE http:", "SIP/2.0 416 ", ""),
    ("INVITE sip:", "INVITE mailto:", "SIP/2.0 416 ", ""),
    ("application/sdp", "text/plain", "SIP/2.0 415 ", ACCEPT),
    ("application/sdp", "multipart/mixed;boundary=b", "SIP/2.0 415 ", ACCEPT),
    (
        "application/sdp\r\n",
        "application/sdp\r\nContent-Disposition: session;handling=required\r\nContent-Encoding: gzip\r\n",
        "SIP/2.0 415 ",
        "\r\nAccept-Encoding: identity\r\n",
    ),
    (
        "application/sdp\r\n",
        "application/sdp\r\ne: deflate\r\n",
        "SIP/2.0 415 ",
        "\r\nAccept-Encoding: identity\r\n",
    ),
];
const ACCEPT: &str = "\r\nAccept: application/sdp, multipart/mixed\r\n";
/// A body that its sender leaves to us to read.
const OPTIONAL: &str = "text/plain\r\nContent-Disposition: render;handling=optional\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_with_what_could_be() {
    let lab = Lab::start().await;
    let mut phone = Phone::new(&lab).await;
    let contact = format!("Contact: {CONTACT}\r\n");
    for (number, (text, instead, status, header)) in UNREADABLE.iter().enumerate() {
        let (cseq, branch) = (format!("{} INVITE", number + 1), format!("u{number}"));
        let invite = phone.request("INVITE", &cseq, &branch, &contact, &phone.offer("sendrecv"));
        phone.send(&invite.replacen(text, instead, 1)).await;
        let refused = phone.refusal(&cseq).await;
        assert!(refused.starts_with(status) && refused.contains(header), "{refused}");
        phone
            .send(&phone.request("ACK", &format!("{} ACK", number + 1), &branch, "", ""))
            .await;
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_inside_a_call_is_refused_alike_and_the_call_goes_on() {
    let lab = Lab::start().await;
    let mut phone = Phone::new(&lab).await;
    phone.call().await;
    let contact = format!("Contact: {CONTACT}\r\n");
    for (number, (text, instead, status, header)) in UNREADABLE.iter().enumerate() {
        let (cseq, branch) = (format!("{} INVITE", number + 2), format!("u{number}"));
        let invite = phone.request("INVITE", &cseq, &branch, &contact, &phone.offer("sendrecv"));
        phone.send(&invite.replacen(text, instead, 1)).await;
        let refused = phone.refusal(&cseq).await;
        assert!(refused.starts_with(status) && refused.contains(header), "{refused}");
        phone
            .send(&phone.request("ACK", &format!("{} ACK", number + 2), &branch, "", ""))
            .await;
    }
    let info = phone
        .request("INFO", "20 INFO", "i", "", "hello")
        .replace("application/sdp", "text/plain");
    phone.send(&info.replace("INFO sip:", "INFO http:")).await;
    phone.receive("SIP/2.0 416 ").await;
    // A BYE ends its dialog however it is written.
    let bye = phone
        .request("BYE", "21 BYE", "z", "", "hello")
        .replace("application/sdp", OPTIONAL.trim_end());
    phone.send(&bye.replace("BYE sip:", "BYE http:")).await;
    phone.receive("SIP/2.0 200 ").await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_whose_handling_is_optional_is_passed_over() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::busy());
    let mut phone = Phone::new(&lab).await;
    let contact = format!("Contact: {CONTACT}\r\n");
    let invite = phone.request("INVITE", "1 INVITE", "a", &contact, "hello");
    phone.send(&invite.replacen("application/sdp\r\n", OPTIONAL, 1)).await;
    phone.receive("SIP/2.0 486 ").await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_addresses_that_nobody_can_mean_are_refused_by_name() {
    let lab = Lab::start().await;
    let mut phone = Phone::new(&lab).await;
    let contact = format!("Contact: {CONTACT}\r\n");
    let (us, sbc) = (phone.us.ip().to_string(), phone.sbc);
    let offer = phone.offer("sendrecv");
    let at = |address: &str| offer.replace(&us, address);
    let cases = [
        (
            at("0.0.0.1"),
            "media address 0.0.0.1 is refused: no host has such an address".to_owned(),
        ),
        (
            at("240.0.0.1"),
            "media address 240.0.0.1 is refused: no host has such an address".to_owned(),
        ),
        (
            at(&sbc.ip().to_string()).replace("40000", &sbc.port().to_string()),
            format!("media address {sbc} is a socket of ours that speaks SIP"),
        ),
    ];
    for (number, (sdp, why)) in cases.iter().enumerate() {
        let (cseq, branch) = (format!("{} INVITE", number + 1), format!("m{number}"));
        phone
            .send(&phone.request("INVITE", &cseq, &branch, &contact, sdp))
            .await;
        let refused = phone.refusal(&cseq).await;
        assert!(refused.starts_with("SIP/2.0 488 "), "{refused}");
        assert!(
            refused.contains(&format!("\r\nWarning: 399 portcullis \"{why}\"\r\n")),
            "{refused}"
        );
        phone
            .send(&phone.request("ACK", &format!("{} ACK", number + 1), &branch, "", ""))
            .await;
    }
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
