//! What a target says beside its number, seen on the INVITE that rings it.

use super::application::{dial, to_application};
use super::messages::reply;
use super::peers::carrier_sdp;
use super::rig::Rig;
use crate::call::{CallNews, LegIndex, To};
use crate::sip::message::{HeaderName, Message};
use crate::sip::{Method, Transport};
use serde_json::{Value, json};
use std::time::Duration;

const A: &str = "+12065550101";
const B: &str = "+12065550102";

/// A caller whose dial is planned as a running node plans it.
fn dialled(verb: Value) -> Rig {
    let mut rig = to_application().begin();
    rig.answer(&json!([verb]));
    rig.planned_really();
    rig.ack(LegIndex::CALLER, "");
    rig
}

fn value<'m>(message: &'m Message, name: &str) -> Option<&'m [u8]> {
    let mut headers = message.raw_headers();
    headers.find(|header| header.name() == name).map(|header| header.value)
}

#[test]
fn headers_caller_and_ring_limit_are_each_targets_own() {
    let mut rig = dialled(json!({
        "verb": "dial", "headers": { "X-All": "1", "X-Each": "dial" }, "timeout": 30,
        "target": [
            { "type": "phone", "number": A, "headers": { "X-Each": "own" }, "from": { "user": "+14255550151" },
              "timeout": 5 },
            { "type": "phone", "number": B }
        ]
    }));
    let invites = rig.invites();
    let of = |position: usize, name| value(&invites[position].message, name).map(String::from_utf8_lossy);
    let user = |position: usize| {
        let from = invites[position].message.from().expect("a From");
        from.uri().user().map(str::to_owned)
    };
    assert_eq!(
        (of(0, "X-All").as_deref(), of(1, "X-All").as_deref()),
        (Some("1"), Some("1"))
    );
    assert_eq!(
        (of(0, "X-Each").as_deref(), of(1, "X-Each").as_deref()),
        (Some("own"), Some("dial"))
    );
    assert_eq!(user(0).as_deref(), Some("+14255550151"));
    assert_eq!(user(1).as_deref(), Some("+12065550100"), "the caller's own");
    rig.respond(&invites[0], reply(180));
    rig.respond(&invites[1], reply(180));
    rig.wait(Duration::from_secs(6));
    let cancelled: Vec<_> = rig.cancelled.iter().map(|(token, _)| Some(*token)).collect();
    assert_eq!(cancelled, [invites[0].token], "the other rings on");
    rig.hang_up_and_finish();
}

#[test]
fn a_teams_target_may_be_the_voicemail() {
    for spelling in ["voicemail", "vmail"] {
        let mut rig = dialled(json!({
            "verb": "dial", "target": [{ "type": "teams", "number": "+14255550160", spelling: true }]
        }));
        let invite = rig.last_invite();
        assert!(rig.speaks_teams(invite.leg));
        let uri = invite.message.request_uri().unwrap_or_default();
        assert!(
            uri.contains("+14255550160") && uri.contains(";opaque=app:voicemail"),
            "{uri}"
        );
        rig.picks_up(&invite);
        rig.hang_up_and_finish();
    }
}

#[test]
fn a_sip_target_gets_srtp_where_the_dial_wants_it() {
    for (more, profile) in [
        (json!({}), "RTP/AVP"),
        (json!({ "srtpEncryption": "sdes" }), "RTP/SAVP"),
    ] {
        let mut verb = dial(&[], &more);
        verb["target"] = json!([{ "type": "sip", "sipUri": "sip:grace@203.0.113.77" }]);
        let mut rig = dialled(verb);
        let invite = rig.last_invite();
        let media = invite.sdp_line("m=").unwrap_or_default();
        assert_eq!(media.split(' ').nth(2), Some(profile));
        assert_eq!(invite.sdp_line("a=crypto:").is_some(), profile == "RTP/SAVP");
        assert_eq!(invite.message.request_uri(), Some("sip:grace@203.0.113.77"));
        rig.hang_up_and_finish();
    }
}

#[test]
fn requests_inside_the_dialog_take_the_transport_that_a_servers_contact_names() {
    let tcp = "[[listeners]]\nname = \"tcp\"\npurpose = \"carrier\"\ntransport = \"tcp\"\nbind = \"192.0.2.10:5060\"\n";
    for (listeners, contact, taken) in [
        (tcp, "<sip:x@203.0.113.77:5077;transport=TCP>", Transport::Tcp),
        ("", "<sip:x@203.0.113.77:5077;transport=TCP>", Transport::Udp),
        (tcp, "<sip:x@203.0.113.77:5077>", Transport::Udp),
    ] {
        let mut rig = to_application().begin();
        let mut verb = dial(&[], &json!({}));
        verb["target"] = json!([{ "type": "sip", "sipUri": "sip:grace@203.0.113.77" }]);
        rig.answer(&json!([verb]));
        rig.planned_with(listeners);
        rig.ack(LegIndex::CALLER, "");
        let answer = reply(200)
            .sdp(carrier_sdp("sendrecv"))
            .with(HeaderName::Contact, contact);
        rig.respond(&rig.last_invite(), answer);
        let goes = |rig: &Rig| match rig.destinations.last() {
            Some(To::Next(next)) => (next.transport, next.port),
            other => panic!("{other:?}"),
        };
        assert_eq!(goes(&rig), (Some(taken), Some(5077)), "ACK, {contact}");
        let passed_over = |news: &&CallNews| matches!(news, CallNews::TransportPassedOver { .. });
        assert_eq!(
            rig.news.iter().filter(passed_over).count(),
            usize::from(listeners.is_empty())
        );
        rig.request(LegIndex::CALLER, Method::Bye, "", "");
        assert_eq!(goes(&rig), (Some(taken), Some(5077)), "BYE, {contact}");
        rig.finish();
    }
}

#[test]
fn what_a_caller_asserts_stays_here_where_the_dial_says_so() {
    let shown = "P-Asserted-Identity: <sip:+12065550177@203.0.113.2>\r\n";
    for (forward, from) in [(true, "+12065550177"), (false, "+12065550100")] {
        let mut rig = to_application().with(shown).begin();
        let mut verb = dial(&[], &json!({ "forwardPAI": forward }));
        verb["target"] = json!([{ "type": "sip", "sipUri": "sip:grace@203.0.113.77" }]);
        rig.answer(&json!([verb]));
        rig.planned_really();
        rig.ack(LegIndex::CALLER, "");
        let invite = rig.last_invite();
        assert_eq!(invite.header(HeaderName::PAssertedIdentity).is_some(), forward);
        assert_eq!(invite.message.from().expect("a From").uri().user(), Some(from));
        let text = String::from_utf8_lossy(invite.message.as_bytes()).into_owned();
        assert_eq!(text.contains("+12065550177"), forward, "{text}");
        rig.hang_up_and_finish();
    }
}
