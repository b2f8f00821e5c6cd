//! The texts that the scripted peers speak: a Teams-like and a carrier-like peer.

use crate::config::fixture::machine;

/// The carrier of scenarios.
const CARRIER: &str = r#"
[[carriers]]
id = "north"
networks = ["203.0.113.0/24"]
gateways = [{ host = "203.0.113.2" }, { host = "203.0.113.3" }]
credentials = { username = "trunk1", password = "hunter2", realm = "north.example" }
pass_location = true
"#;

/// Our configuration in scenarios.
pub fn sbc() -> String {
    machine(CARRIER)
}

/// The tenant of scenarios.
pub const CONTOSO: &str = r#"
domains = ["contoso.example"]
label = "contoso"
carriers = ["north"]
allow_sip_networks = ["203.0.113.64/26"]

[[numbers]]
range = "+14255550100-+14255550199"
"#;

/// The tenant's trunk name.
pub const TENANT_FQDN: &str = "contoso.sbc1.example.net";

/// A carrier's description.
pub fn carrier_sdp(direction: &str) -> String {
    format!(
        "v=0\r\no=- 71 1 IN IP4 203.0.113.20\r\ns=-\r\nc=IN IP4 203.0.113.20\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )
}

/// A description as Teams writes it.
pub fn teams_sdp(direction: &str) -> String {
    format!(
        "v=0\r\no=- 0 0 IN IP4 52.112.0.20\r\ns=session\r\nc=IN IP4 52.112.0.20\r\nb=CT:10000000\r\nt=0 0\r\n\
         m=audio 50000 RTP/SAVP 8 0 13 101\r\na=rtcp:50001\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:13 CN/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd|2^31\r\n\
         a={direction}\r\na=ptime:20\r\n"
    )
}

/// An INVITE from a carrier to a Teams user; `more` are header lines, `sdp` is empty for none.
pub fn carrier_invite(more: &str, sdp: &str) -> String {
    with_body(
        &format!(
            "INVITE sip:+14255550150@192.0.2.10:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.2:5060;branch=z9hG4bKcarrier\r\n\
             From: \"Ada\" <sip:+12065550100@203.0.113.2>;tag=carrier-tag\r\nTo: <sip:+14255550150@192.0.2.10>\r\n\
             Call-ID: carrier-call-id\r\nCSeq: 1 INVITE\r\nContact: <sip:gw@203.0.113.2:5060;x-own=a>\r\n\
             Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\nSupported: timer, 100rel\r\n{more}"
        ),
        sdp,
    )
}

/// An INVITE from Teams to a telephone number.
pub fn teams_invite(more: &str, sdp: &str) -> String {
    with_body(
        &format!(
            "INVITE sip:+12065550100@contoso.sbc1.example.net:5061;user=phone;transport=tls SIP/2.0\r\n\
             VIA: SIP/2.0/TLS 52.112.0.10:5061;branch=z9hG4bKteams\r\n\
             RECORD-ROUTE: <sip:sip-du-a-eu.pstnhub.microsoft.com:5061;transport=tls;lr>\r\n\
             FROM: Ada Jones<sip:+14255550150@sip.pstnhub.microsoft.com:5061;user=phone>;tag=teams-tag\r\n\
             TO: <sip:+12065550100@contoso.sbc1.example.net:5061;user=phone>\r\nCALL-ID: teams-call-id\r\n\
             CSEQ: 1 INVITE\r\nCONTACT: <sip:api-du-a-euno.pstnhub.microsoft.com:443;x-i=f7a9;x-c=5d2c/s/1/0e>\r\n\
             ALLOW: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY\r\nUSER-AGENT: Microsoft.PSTNHub.SIPProxy v.1\r\n{more}"
        ),
        sdp,
    )
}

/// Ends a head with its body.
pub fn with_body(head: &str, sdp: &str) -> String {
    let content_type = if sdp.is_empty() || head.to_ascii_lowercase().contains("content-type:") {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    let max_forwards = if head.to_ascii_lowercase().contains("max-forwards:") {
        ""
    } else {
        "Max-Forwards: 70\r\n"
    };
    format!(
        "{head}{max_forwards}{content_type}Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}
