//! What the two peers of a rehearsal say: Teams' lines in the shape of its own, and a carrier's.

use crate::config::{Config, Tenant};
use crate::sim::{api_of, proxy_of};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Somebody on the telephone network.
pub const OUTSIDE: &str = "+12065550123";
pub const CARRIER_AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 20)), 5_060);

/// Teams by the hub that this node speaks to first: its hosts, and where it is in its cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamsSide {
    pub contact: String,
    pub route: String,
    pub route_host: String,
    pub referred_by: String,
    /// Somebody in Teams, at the hub's port.
    pub refer_to: String,
    hub: String,
    pub address: SocketAddr,
}

impl TeamsSide {
    pub fn of(config: &Config) -> Option<TeamsSide> {
        let teams = &config.sbc.teams;
        let hub = teams.hubs.first()?;
        let (host, port) = (hub.host.as_str(), hub.port);
        let (api, route_host) = (api_of(host), proxy_of(host));
        let address = match teams.cloud.signalling().first()?.first() {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() | 10).into(),
            first @ IpAddr::V6(_) => first,
        };
        Some(TeamsSide {
            contact: format!("<sip:{api}:443;x-i=0c1d2e3f;x-c=0c1d/d/8/5a>"),
            route: format!("<sip:{route_host}:5061;transport=tls;lr>"),
            route_host,
            referred_by: format!("<sip:4:+14255550100@{host}>;x-i=0c1d2e3f"),
            refer_to: format!("sip:{host}:{port};x-m=8:orgid:1f3a;x-t=9b2c;x-ti=77%3d;transport=tls"),
            hub: host.to_owned(),
            address: SocketAddr::new(address, 40_000),
        })
    }

    pub fn sdp(&self, direction: &str, bypass: bool) -> String {
        teams_sdp(self.address.ip(), direction, bypass)
    }

    pub fn invite(&self, tenant: &Tenant, port: u16, number: &str, bypass: bool) -> String {
        let own = tenant
            .numbers
            .first()
            .map_or_else(|| "+14255550100".to_owned(), |entry| entry.span.first().to_string());
        let TeamsSide {
            contact,
            route,
            hub,
            address,
            ..
        } = self;
        let trunk = &tenant.fqdn;
        let head = format!(
            "INVITE sip:{number}@{trunk}:{port};user=phone;transport=tls SIP/2.0\r\n\
             VIA: SIP/2.0/TLS {address};branch=z9hG4bKdoctor\r\nMAX-FORWARDS: 70\r\nRECORD-ROUTE: {route}\r\n\
             FROM: <sip:{own}@{hub}:5061;user=phone>;tag=doctor\r\n\
             TO: <sip:{number}@{trunk}:{port};user=phone>\r\nCALL-ID: doctor-teams\r\nCSEQ: 1 INVITE\r\n\
             CONTACT: {contact}\r\nSUPPORTED: timer\r\nALLOW: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY\r\n"
        );
        with_body(&head, &self.sdp("sendrecv", bypass))
    }
}

pub fn carrier_sdp(direction: &str) -> String {
    let (ip, port) = (CARRIER_AT.ip(), 4_000);
    format!(
        "v=0\r\no=- 71 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 0 9 18 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )
}

/// `bypass`: as a client that is reached directly says it, with ICE.
fn teams_sdp(ip: IpAddr, direction: &str, bypass: bool) -> String {
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

pub fn via() -> String {
    "SIP/2.0/TLS sbc.portcullis.invalid:5061;branch=z9hG4bKdoctor".to_owned()
}
