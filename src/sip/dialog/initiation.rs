//! A dialog that we want, before anybody answered.

use super::identifiers::{new_call_id, new_tag};
use crate::sip::{HeaderName, Method, NameAddr, RequestDraft, Uri};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// What all tries of one call of ours have in common: Call-ID, From-tag, To, and the running CSeq. A try after 401,
/// 407, 422 or 491 is the next [`Initiation::request`] (RFC 3261 §8.1.3.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Initiation {
    call_id: String,
    local_tag: String,
    from: String,
    to: String,
    uri: Uri,
    route: Option<Uri>,
    cseq: u32,
}

impl Initiation {
    /// A call to Request-URI `uri` with a new Call-ID and tag. Tags in `from` and `to` are replaced and dropped.
    pub fn new(uri: Uri, from: &NameAddr, to: &NameAddr, rng: &mut impl Rng) -> Initiation {
        Initiation::named(uri, from, to, new_call_id(rng), new_tag(rng))
    }

    /// The same with names that the caller made: `local_tag` and `call_id` as random as [`Initiation::new`] makes them.
    pub fn named(uri: Uri, from: &NameAddr, to: &NameAddr, call_id: String, local_tag: String) -> Initiation {
        Initiation {
            call_id,
            from: from.clone().with_tag(&local_tag).to_string(),
            to: to.clone().without_param("tag").to_string(),
            local_tag,
            uri: uri.without_headers(),
            route: None,
            cseq: 0,
        }
    }

    /// Sends through this loose router first (an outbound proxy).
    #[must_use]
    pub fn through(mut self, proxy: &Uri) -> Initiation {
        self.route = Some(proxy.with_param("lr", None).unwrap_or_else(|_| proxy.clone()));
        self
    }

    /// The request, with the next CSeq number.
    pub fn request(&mut self, method: Method) -> RequestDraft {
        self.cseq = self.cseq.saturating_add(1);
        let cseq = format!("{} {method}", self.cseq);
        let mut draft = RequestDraft::new(method, self.uri.as_str());
        if let Some(route) = &self.route {
            draft = draft.header(HeaderName::Route, format!("<{}>", route.as_str()));
        }
        draft
            .header(HeaderName::MaxForwards, "70")
            .header(HeaderName::From, &self.from)
            .header(HeaderName::To, &self.to)
            .header(HeaderName::CallId, &self.call_id)
            .header(HeaderName::CSeq, cseq)
    }

    /// The URI whose host, port and transport say where it goes.
    pub fn next_hop_uri(&self) -> &Uri {
        self.route.as_ref().unwrap_or(&self.uri)
    }

    /// The Request-URI.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The Call-ID.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Our tag.
    pub fn local_tag(&self) -> &str {
        &self.local_tag
    }

    /// CSeq number of the last request; 0 before the first.
    pub fn cseq(&self) -> u32 {
        self.cseq
    }

    /// The value of From.
    pub(super) fn from(&self) -> &str {
        &self.from
    }
}
