//! What can't be read of a request, and the answer that says so (RFC 3261 §8.2.2.1, §8.2.3).

use crate::route::Refusal;
use crate::sdp::{self, SdpError};
use crate::sip::header::Params;
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::{Method, Scheme};

/// Why a request, or its body, can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the Request-URI is none of sip, sips and tel")]
    Scheme,
    #[error("a body in the encoding {0:?}, and only plain ones are read")]
    Encoding(String),
    #[error(transparent)]
    Body(#[from] SdpError),
}

/// Characters of a peer's header value that a sentence repeats.
const QUOTED: usize = 80;

impl Unreadable {
    /// What keeps a request inside a dialog from being read. A BYE ends its dialog however it is written, and bodies are of
    /// interest in INVITEs alone.
    pub(super) fn inside_dialog(request: &Message) -> Option<Unreadable> {
        match request.method() {
            Some(Method::Bye) => None,
            Some(Method::Invite) => Unreadable::of_uri(request).or_else(|| description_of(request).err()),
            _ => Unreadable::of_uri(request),
        }
    }

    /// A Request-URI of a scheme that we have no use for.
    pub(super) fn of_uri(request: &Message) -> Option<Unreadable> {
        let uri = request.uri()?;
        matches!(uri.scheme(), Scheme::Other).then_some(Unreadable::Scheme)
    }

    pub(super) fn status(&self) -> u16 {
        match self {
            Unreadable::Scheme => 416,
            Unreadable::Encoding(_) => 415,
            Unreadable::Body(error) => error.status(),
        }
    }

    /// What would be read.
    pub(super) fn header(&self) -> Option<(HeaderName, &'static str)> {
        match self {
            Unreadable::Scheme => None,
            Unreadable::Encoding(_) => Some((HeaderName::AcceptEncoding, "identity")),
            Unreadable::Body(_) => Some((HeaderName::Accept, "application/sdp, multipart/mixed")),
        }
    }

    /// The answer to the request.
    pub(super) fn answer(&self) -> ResponseDraft {
        let draft = ResponseDraft::new(self.status());
        match self.header() {
            Some((name, value)) => draft.header(name, value),
            None => draft,
        }
    }
}

impl From<Unreadable> for Refusal {
    fn from(unreadable: Unreadable) -> Refusal {
        let header = unreadable.header().map(|(name, value)| (name, value.to_owned()));
        Refusal::unreadable(unreadable.status(), unreadable.to_string(), header)
    }
}

/// The session description in a message, found in a multipart body too; `None` without one, and where the sender leaves it
/// to us whether we read the body (`handling=optional`, RFC 3261 §20.11).
pub fn description_of(message: &Message) -> Result<Option<Vec<u8>>, Unreadable> {
    let body = message.body();
    if body.is_empty() {
        return Ok(None);
    }
    match read(message, body) {
        Err(_) if is_optional(message) => Ok(None),
        read => read.map(|part| Some(part.to_vec())),
    }
}

fn read<'a>(message: &Message, body: &'a [u8]) -> Result<&'a [u8], Unreadable> {
    let encoding = message
        .headers(HeaderName::ContentEncoding)
        .find(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity"));
    if let Some(encoding) = encoding {
        return Err(Unreadable::Encoding(encoding.chars().take(QUOTED).collect()));
    }
    let content_type = message.header(HeaderName::ContentType).unwrap_or("application/sdp");
    Ok(sdp::sdp_part(content_type, body)?)
}

fn is_optional(message: &Message) -> bool {
    let disposition = message.header(HeaderName::ContentDisposition).unwrap_or_default();
    let params = disposition
        .split_once(';')
        .and_then(|(_, params)| Params::parse(params));
    params.is_some_and(|params| {
        params
            .unquoted("handling")
            .is_some_and(|handling| handling.eq_ignore_ascii_case("optional"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        let text = format!(
            "INVITE sip:1@a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:b@a>;tag=1\r\n\
             To: <sip:1@a>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n{headers}Content-Length: 4\r\n\r\nv=0\n"
        );
        description_of(&Message::parse(text.into()).expect("a message"))
    }

    #[test]
    fn only_plain_descriptions_are_read_and_optional_bodies_passed_over() {
        let body = Ok(Some(b"v=0\n".to_vec()));
        assert_eq!(read(""), body);
        assert_eq!(
            read("Content-Type: application/sdp\r\nContent-Encoding: Identity\r\n"),
            body
        );
        let zipped = "Content-Type: application/sdp\r\nContent-Encoding: identity, gzip\r\n";
        assert_eq!(read(zipped), Err(Unreadable::Encoding("gzip".into())));
        let text = "Content-Type: text/plain\r\n";
        let refused = read(text).expect_err("no description");
        assert_eq!(
            refused.answer().value(HeaderName::Accept),
            Some("application/sdp, multipart/mixed")
        );
        for (disposition, passed) in [
            ("render;handling=Optional", true),
            ("render; handling=\"optional\"", true),
            ("render;handling=required", false),
            ("optional", false),
        ] {
            for unread in [zipped, text] {
                let heard = read(&format!("{unread}Content-Disposition: {disposition}\r\n"));
                assert_eq!(heard.is_ok(), passed, "{disposition}: {heard:?}");
            }
        }
    }
}
