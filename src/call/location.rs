//! The location of a caller, passed on as it came (RFC 6442): the parts of a multipart body beside the session description,
//! and the headers that point to them.

use crate::sdp;
use crate::sip::message::{HeaderName, Message, RequestDraft};
use serde::{Deserialize, Serialize};

/// A multipart body without its session description. Kept byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    content_type: String,
    before: Vec<u8>,
    after: Vec<u8>,
    headers: Vec<(HeaderName, String)>,
}

impl Location {
    /// What stands around the session description of an INVITE with a Geolocation; `None` when there is none.
    pub fn of(invite: &Message) -> Option<Location> {
        let content_type = invite.header(HeaderName::ContentType)?;
        if !content_type.trim_start().get(..10)?.eq_ignore_ascii_case("multipart/") {
            return None;
        }
        let body = invite.body();
        let part = sdp::sdp_part(content_type, body)
            .ok()
            .or_else(|| sdp::sdp_somewhere(body))?;
        // The part is a slice of the body.
        let start = (part.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
        let headers = [
            HeaderName::Geolocation,
            HeaderName::GeolocationRouting,
            HeaderName::MimeVersion,
        ]
        .into_iter()
        .filter_map(|name| Some((name, invite.header(name)?.to_owned())));
        Some(Location {
            content_type: content_type.to_owned(),
            before: body.get(..start)?.to_vec(),
            after: body.get(start + part.len()..)?.to_vec(),
            headers: headers.collect(),
        })
    }

    /// Puts `description` in the place of the one that came.
    pub fn wrap(&self, draft: RequestDraft, description: &str) -> RequestDraft {
        let mut body = self.before.clone();
        body.extend_from_slice(description.as_bytes());
        if !description.ends_with('\n') {
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(&self.after);
        let draft = self
            .headers
            .iter()
            .fold(draft, |draft, (name, value)| draft.header(*name, value));
        draft.body(&self.content_type, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Method;

    #[test]
    fn the_location_stands_around_our_description_byte_for_byte() {
        let parts = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b\r\nContent-Type: application/pidf+xml\r\n\r\n<presence/>\r\n--b--\r\n";
        let text = format!(
            "INVITE sip:911@a.example SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKa\r\nFrom: <sip:b@a>;tag=1\r\n\
             To: <sip:911@a.example>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Type: multipart/mixed;boundary=b\r\n\
             Geolocation: <cid:loc-1@a>\r\nContent-Length: {}\r\n\r\n{parts}",
            parts.len()
        );
        let invite = Message::parse(text.into_bytes().into()).expect("a message");
        let location = Location::of(&invite).expect("a location");
        let draft = location.wrap(
            RequestDraft::new(Method::Invite, "sip:911@carrier.example"),
            "v=0\r\no=ours\r\n",
        );
        let body = String::from_utf8(draft.body_bytes().to_vec()).expect("text");
        assert!(body.contains("<presence/>") && body.contains("o=ours"), "{body}");
        assert_eq!(
            sdp::sdp_part("multipart/mixed;boundary=b", body.as_bytes()).ok(),
            Some(&b"v=0\r\no=ours\r\n"[..])
        );
        assert_eq!(draft.value(HeaderName::Geolocation), Some("<cid:loc-1@a>"));
    }
}
