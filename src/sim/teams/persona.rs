//! How Teams writes: capitals, an API host on port 443 in Contact, its own Record-Route.

use super::rules::{self, ALLOW, RULES, handshake, inspect, judge};
use crate::net::HandshakeFailure;
use crate::sim::description::Shape;
use crate::sim::persona::{Face, Judgement, Known, Persona};
use crate::sim::violation::{Rule, Violation};
use crate::sim::wire::Arrival;
use crate::sip::{Flow, HeaderName, Hop, ListenerId, Message, Method, RequestDraft, ResponseDraft, Transport, Uri};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What Server and User-Agent say: the shape of Teams' own.
const PRODUCT: &str = "Microsoft.PSTNHub.SIPProxy v.2026.1.15.2 i.SIM.0";

/// One hub.
pub(super) struct TeamsPersona {
    /// The name that portcullis calls, such as `sip.pstnhub.microsoft.com`.
    pub(super) hub: String,
    /// In Record-Route: resolves to this simulator too.
    pub(super) proxy: String,
    /// In Contact: never connected to.
    pub(super) api: String,
    /// The listener's port, as soon as it is bound.
    pub(super) port: Arc<OnceLock<u16>>,
    /// Where portcullis listens.
    pub(super) sbc: Option<SocketAddr>,
    /// Its users' clients are reached directly.
    pub(super) bypass: bool,
    /// Gives up a call that does not ring in time.
    pub(super) strict: bool,
}

impl TeamsPersona {
    fn port(&self) -> u16 {
        self.port.get().copied().unwrap_or(Transport::Tls.default_port())
    }
}

impl Persona for TeamsPersona {
    fn rules(&self) -> &'static [Rule] {
        RULES
    }

    fn judge(&self, request: &Message, flow: &Flow) -> Judgement {
        judge(request, flow.peer.as_deref(), self.bypass)
    }

    fn judge_handshake(&self, failure: &HandshakeFailure) -> Option<Violation> {
        handshake(failure)
    }

    fn judge_arrival(&self, message: &Message, arrival: &Arrival) -> Option<Violation> {
        rules::arrival(message, arrival)
    }

    fn judge_pings(&self, interval: Duration) -> Option<Violation> {
        rules::pings(interval)
    }

    fn judge_pong(&self, answer: &Message) -> Option<Violation> {
        rules::pong(answer)
    }

    fn hub(&self) -> Option<&str> {
        Some(&self.hub)
    }

    fn longest_silence(&self) -> Option<Duration> {
        // Reports come every five seconds, on hold too (TEAMS-103).
        Some(Duration::from_secs(12))
    }

    fn inspect(&self, message: &Message, known: &Known) -> Vec<Violation> {
        inspect(message, known)
    }

    fn takes(&self, method: &Method) -> bool {
        matches!(method, Method::Options | Method::Notify)
    }

    fn face(&self, _user: &str) -> Face {
        let (guid, api) = (super::guid(), &self.api);
        let compact = guid.replace('-', "");
        let session: u128 = rand::random();
        Face {
            home: format!("sip:{}:{}", self.hub, self.port()),
            contact: format!("<sip:{api}:443;x-i={guid};x-c={compact}/d/8/{session:032x}>"),
            record_route: Some(format!("<sip:{}:{};transport=tls;lr>", self.proxy, self.port())),
        }
    }

    fn request(&self, draft: RequestDraft, face: &Face, is_initial: bool) -> RequestDraft {
        let method = draft.method().clone();
        // The Route in a dialog of ours is the proxy that we are.
        let mut draft = draft.without(HeaderName::Route);
        if is_initial && let Some(route) = &face.record_route {
            draft = draft.header(HeaderName::RecordRoute, route);
        }
        draft = match method {
            Method::Options => draft.header(
                HeaderName::Contact,
                format!("<sip:{}:{};transport=tls>", self.proxy, self.port()),
            ),
            // No session timer is offered where clients are reached directly (TV-04).
            Method::Invite if self.bypass => draft.header(HeaderName::Contact, &face.contact),
            Method::Invite => draft
                .header(HeaderName::Contact, &face.contact)
                .header(HeaderName::MinSe, "300")
                .header(HeaderName::Supported, "timer")
                .header(HeaderName::SessionExpires, "3600"),
            Method::Refer => draft.header(HeaderName::Contact, &face.contact),
            // Whoever has a reason of his own has said it.
            Method::Bye if draft.value(HeaderName::Reason).is_none() => {
                let guid = super::guid();
                draft.header(
                    HeaderName::Reason,
                    format!("Q.850;cause=16;text=\"{guid};Call terminated\""),
                )
            }
            _ => draft,
        };
        match method {
            Method::Ack => draft,
            _ => draft
                .header(HeaderName::UserAgent, PRODUCT)
                .header(HeaderName::Allow, ALLOW),
        }
    }

    fn response(
        &self,
        draft: ResponseDraft,
        request: &Message,
        face: Option<&Face>,
        makes_dialog: bool,
    ) -> ResponseDraft {
        let mut draft = draft;
        let status = draft.status();
        let answers = request.method() == Some(&Method::Invite) && (101..300).contains(&status);
        if let Some(face) = face.filter(|_| answers) {
            draft = draft.header(HeaderName::Contact, &face.contact);
            if makes_dialog && let Some(route) = &face.record_route {
                draft = draft.header(HeaderName::RecordRoute, route);
            }
            if status >= 200 && !self.bypass && request.lists(HeaderName::Supported, "timer") {
                draft = timer(draft, request);
            }
        }
        if status == 503 && draft.value(HeaderName::Reason).is_none() {
            let guid = super::guid();
            let reason = format!("Q.850;cause=42;text=\"{guid};Service state: DrainingTransactions\"");
            draft = draft.header(HeaderName::Reason, reason);
        }
        draft
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Server, PRODUCT)
    }

    fn shape(&self) -> Shape {
        match self.bypass {
            true => Shape::TeamsBypass,
            false => Shape::Teams,
        }
    }

    fn hop(&self, uri: &Uri, seen: Option<&Flow>) -> Option<Hop> {
        let address = uri.host_ip().or_else(|| self.sbc.map(|sbc| sbc.ip()));
        let address = address.or_else(|| seen.map(|flow| flow.remote.ip()))?;
        Some(Hop {
            transport: Transport::Tls,
            listener: ListenerId(0),
            remote: SocketAddr::new(address, uri.port().unwrap_or(Transport::Tls.default_port())),
            server_name: Some(uri.host().into()),
            connection: None,
            account: None,
            presented: None,
        })
    }

    fn dress(&self, bytes: Bytes) -> Bytes {
        capitals(&bytes)
    }

    fn pings_back(&self) -> bool {
        true
    }

    fn ack_limit(&self) -> Duration {
        // A lost ACK ends a call after about this time (section 13).
        Duration::from_secs(4)
    }

    fn ringing_limit(&self) -> Option<Duration> {
        // FailoverTimeSeconds of a trunk that nobody changed (TEAMS-045).
        self.strict.then_some(Duration::from_secs(10))
    }
}

/// Teams takes the timer that it is offered, and leaves the refreshing to who offered it (TV-07).
fn timer(draft: ResponseDraft, request: &Message) -> ResponseDraft {
    let Some(offered) = request.header(HeaderName::SessionExpires) else {
        return draft;
    };
    let seconds = offered.split(';').next().unwrap_or(offered).trim();
    let value = match offered.contains("refresher=uas") {
        true => format!("{seconds};refresher=uas"),
        false => format!("{seconds};refresher=uac"),
    };
    draft
        .header(HeaderName::SessionExpires, value)
        .header(HeaderName::Require, "timer")
}

/// Header names in capitals, and in requests the display name of FROM without quotes, touching `<` (TV-03).
fn capitals(bytes: &[u8]) -> Bytes {
    let head_end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(bytes.len(), |at| at + 2);
    let (head, rest) = bytes.split_at(head_end);
    let is_request = !head.starts_with(b"SIP/2.0 ");
    let mut out = Vec::with_capacity(bytes.len());
    for (index, line) in head.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let colon = line.iter().position(|byte| *byte == b':').filter(|_| index > 0);
        let (name, value) = line.split_at(colon.unwrap_or(0));
        let name = name.to_ascii_uppercase();
        out.extend_from_slice(&name);
        match std::str::from_utf8(value)
            .ok()
            .filter(|_| is_request && name == b"FROM")
        {
            Some(text) => out.extend_from_slice(unquoted(text).as_bytes()),
            None => out.extend_from_slice(value),
        }
    }
    out.extend_from_slice(rest);
    Bytes::from(out)
}

/// `: "Ada Jones" <sip:` to `: Ada Jones<sip:`.
fn unquoted(value: &str) -> String {
    let plain = |name: &str| name.chars().all(|letter| letter.is_alphanumeric() || letter == ' ');
    match value.split_once('"').and_then(|(before, rest)| {
        let (name, after) = rest.split_once('"')?;
        plain(name).then(|| format!("{before}{name}{}", after.trim_start()))
    }) {
        Some(text) => text,
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_look_like_teams() {
        let plain = b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1\r\n\
            From: \"Ada Jones\" <sip:+1@hub:5061>;tag=1\r\nCall-ID: x\r\n\r\nv: not a header\r\n";
        let dressed = capitals(plain);
        let text = std::str::from_utf8(&dressed).unwrap();
        assert!(
            text.starts_with("INVITE sip:a@b SIP/2.0\r\nVIA: SIP/2.0/TLS "),
            "{text}"
        );
        assert!(
            text.contains("\r\nFROM: Ada Jones<sip:+1@hub:5061>;tag=1\r\nCALL-ID: x\r\n"),
            "{text}"
        );
        assert!(text.ends_with("\r\n\r\nv: not a header\r\n"), "{text}");
    }

    #[test]
    fn responses_keep_the_other_sides_from() {
        let dressed = capitals(b"SIP/2.0 200 OK\r\nFrom: \"A\" <sip:b>;tag=1\r\n\r\n");
        assert_eq!(&dressed[..], b"SIP/2.0 200 OK\r\nFROM: \"A\" <sip:b>;tag=1\r\n\r\n");
    }
}
