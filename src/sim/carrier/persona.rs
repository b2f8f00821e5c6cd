//! How a carrier writes.

use super::rules::{ALLOW, inspect, judge};
use crate::sim::description::Shape;
use crate::sim::persona::{Face, Judgement, Known, Persona};
use crate::sim::violation::{Rule, Violation};
use crate::sip::{Flow, HeaderName, Hop, ListenerId, Message, Method, RequestDraft, ResponseDraft, Transport, Uri};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const PRODUCT: &str = "carrier-simulator";

/// One carrier's switch.
pub(super) struct CarrierPersona {
    /// As soon as it is bound.
    pub(super) local: Arc<OnceLock<SocketAddr>>,
    pub(super) sbc: Option<SocketAddr>,
    pub(super) transport: Transport,
}

impl Persona for CarrierPersona {
    fn rules(&self) -> &'static [Rule] {
        // Teams' numbers are not a carrier's.
        &[]
    }

    fn judge(&self, request: &Message, _flow: &Flow) -> Judgement {
        judge(request)
    }

    fn inspect(&self, message: &Message, _known: &Known) -> Vec<Violation> {
        inspect(message)
    }

    fn takes(&self, method: &Method) -> bool {
        matches!(method, Method::Options | Method::Update | Method::Info | Method::Notify)
    }

    fn face(&self, user: &str) -> Face {
        let host = self.local.get().map(ToString::to_string).unwrap_or_default();
        let transport = match self.transport {
            Transport::Udp => String::new(),
            other => format!(";transport={}", other.uri_name()),
        };
        let at = if user.is_empty() { "" } else { "@" };
        Face {
            home: format!("sip:{host}"),
            contact: format!("<sip:{user}{at}{host}{transport}>"),
            record_route: None,
        }
    }

    fn request(&self, draft: RequestDraft, face: &Face, _is_initial: bool) -> RequestDraft {
        let draft = match draft.method() {
            Method::Invite => draft
                .header(HeaderName::Contact, &face.contact)
                .header(HeaderName::Supported, "timer"),
            Method::Options => draft.header(HeaderName::Contact, &face.contact),
            _ => draft,
        };
        match draft.method() {
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
        _makes_dialog: bool,
    ) -> ResponseDraft {
        let answers = request.method() == Some(&Method::Invite) && (101..300).contains(&draft.status());
        let draft = match face.filter(|_| answers) {
            Some(face) => draft.header(HeaderName::Contact, &face.contact),
            None => draft,
        };
        draft
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Server, PRODUCT)
    }

    fn shape(&self) -> Shape {
        Shape::Carrier
    }

    fn hop(&self, uri: &Uri, seen: Option<&Flow>) -> Option<Hop> {
        let transport = match uri.param("transport") {
            Some(name) if name.eq_ignore_ascii_case("tcp") => Transport::Tcp,
            Some(name) if name.eq_ignore_ascii_case("udp") => Transport::Udp,
            _ => self.transport,
        };
        // TLS has its port for itself.
        if self.transport == Transport::Tls && transport != Transport::Tls {
            return None;
        }
        let address = uri.host_ip().or_else(|| self.sbc.map(|sbc| sbc.ip()));
        let address = address.or_else(|| seen.map(|flow| flow.remote.ip()))?;
        Some(Hop {
            transport,
            listener: ListenerId(u16::from(transport != self.transport)),
            remote: SocketAddr::new(address, uri.port().unwrap_or(transport.default_port())),
            server_name: (transport == Transport::Tls).then(|| uri.host().into()),
            connection: None,
            account: None,
            presented: None,
        })
    }

    fn dress(&self, bytes: Bytes) -> Bytes {
        bytes
    }

    fn pings_back(&self) -> bool {
        false
    }

    fn ack_limit(&self) -> Duration {
        Duration::from_secs(32)
    }

    fn ringing_limit(&self) -> Option<Duration> {
        None
    }
}
