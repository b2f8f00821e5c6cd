//! What the two peers of a rehearsal say: Teams' lines in the shape of its own, and a carrier's.

use crate::config::{Config, Tenant};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub const TEAMS_CONTACT: &str = "<sip:api-du-a-euno.pstnhub.microsoft.com:443;x-i=0c1d2e3f;x-c=0c1d/d/8/5a>";
pub const TEAMS_ROUTE: &str = "<sip:sip-du-a-eu.pstnhub.microsoft.com:5061;transport=tls;lr>";
pub const TEAMS_ROUTE_HOST: &str = "sip-du-a-eu.pstnhub.microsoft.com";
pub const REFERRED_BY: &str = "<sip:4:+14255550100@sip.pstnhub.microsoft.com>;x-i=0c1d2e3f";
/// Somebody on the telephone network.
pub const OUTSIDE: &str = "+12065550123";
pub const TEAMS_AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(52, 112, 0, 10)), 40_000);
pub const CARRIER_AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 20)), 5_060);

/// Somebody in Teams, by the hub that this node speaks to: whatever cloud it is of, and at its port.
pub fn refer_to(config: &Config) -> Option<String> {
    let hub = config.sbc.teams.hubs.first()?;
    Some(format!(
        "sip:{}:{};x-m=8:orgid:1f3a;x-t=9b2c;x-ti=77%3d;transport=tls",
        hub.host, hub.port
    ))
}

pub fn carrier_sdp(direction: &str) -> String {
    let (ip, port) = (CARRIER_AT.ip(), 4_000);
    format!(
        "v=0\r\no=- 71 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 0 9 18 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )
}

/// `bypass`: as a client that is reached directly says it, with ICE.
pub fn teams_sdp(direction: &str, bypass: bool) -> String {
    let ip = TEAMS_AT.ip();
    let ice = match bypass {
        true => format!(
            "a=ice-ufrag:tC1u\r\na=ice-pwd:q3vZ8rT1mK5xW9bN2cL7dF4g\r\n\
             a=candidate:1 1 UDP 2130706431 {ip} 50000 typ host\r\n"
        ),
        false => String::new(),
    };
    format!(
        "v=0\r\no=- 0 0 IN IP4 {ip}\r\ns=session\r\nc=IN IP4 {ip}\r\nb=CT:10000000\r\nt=0 0\r\n\
         m=audio 50000 RTP/SAVP 8 0 9 18 13 101\r\na=rtcp:50001\r\na=rtcp-mux\r\na=rtpmap:13 CN/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd|2^31\r\n{ice}\
         a={direction}\r\na=ptime:20\r\n"
    )
}

pub fn with_body(head: &str, sdp: &str) -> String {
    let kind = if sdp.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!("{head}{kind}Content-Length: {}\r\n\r\n{sdp}", sdp.len())
}

pub fn carrier_invite(number: &str) -> String {
    let head = format!(
        "INVITE sip:{number}@{CARRIER_AT} SIP/2.0\r\nVia: SIP/2.0/UDP {CARRIER_AT};branch=z9hG4bKdoctor\r\nMax-Forwards: 70\r\n\
         From: <sip:{OUTSIDE}@{CARRIER_AT}>;tag=doctor\r\nTo: <sip:{number}@{CARRIER_AT}>\r\nCall-ID: doctor-carrier\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:gw@{CARRIER_AT}>\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\nSupported: timer, 100rel\r\n"
    );
    with_body(&head, &carrier_sdp("sendrecv"))
}

pub fn teams_invite(tenant: &Tenant, port: u16, number: &str, bypass: bool) -> String {
    let own = tenant
        .numbers
        .first()
        .map_or_else(|| "+14255550100".to_owned(), |entry| entry.span.first().to_string());
    let trunk = &tenant.fqdn;
    let head = format!(
        "INVITE sip:{number}@{trunk}:{port};user=phone;transport=tls SIP/2.0\r\n\
         VIA: SIP/2.0/TLS {TEAMS_AT};branch=z9hG4bKdoctor\r\nMAX-FORWARDS: 70\r\nRECORD-ROUTE: {TEAMS_ROUTE}\r\n\
         FROM: <sip:{own}@sip.pstnhub.microsoft.com:5061;user=phone>;tag=doctor\r\n\
         TO: <sip:{number}@{trunk}:{port};user=phone>\r\nCALL-ID: doctor-teams\r\nCSEQ: 1 INVITE\r\n\
         CONTACT: {TEAMS_CONTACT}\r\nSUPPORTED: timer\r\nALLOW: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY\r\n"
    );
    with_body(&head, &teams_sdp("sendrecv", bypass))
}

pub fn via() -> String {
    "SIP/2.0/TLS sbc.portcullis.invalid:5061;branch=z9hG4bKdoctor".to_owned()
}
