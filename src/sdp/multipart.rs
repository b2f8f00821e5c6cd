//! A part of a body: alone, or inside `multipart/…` (RFC 2046 §5.1, RFC 5621), as Teams sends emergency calls with a
//! location beside the session description.

use super::error::SdpError;
use memchr::memmem;

/// Nesting that is still looked into.
const MAX_DEPTH: usize = 4;
/// Parts of one level that are looked at.
const MAX_PARTS: usize = 16;

/// The `application/sdp` part of a body with this Content-Type.
pub fn sdp_part<'a>(content_type: &str, body: &'a [u8]) -> Result<&'a [u8], SdpError> {
    match part_of(content_type, body, "application/sdp")? {
        Some(part) => Ok(part),
        None if is_multipart(content_type) => Err(SdpError::NoSdpPart),
        None => Err(SdpError::ContentType(content_type.chars().take(80).collect())),
    }
}

/// The first part of the media type `wanted` in a body with this Content-Type.
pub fn part_of<'a>(content_type: &str, body: &'a [u8], wanted: &str) -> Result<Option<&'a [u8]>, SdpError> {
    find(content_type, body, wanted, 0)
}

/// What looks like a session description in a body whose parts can't be told: from a line `v=0` to the next delimiter, or
/// the end. An emergency call is not refused for how it is wrapped (TEAMS-053).
pub fn sdp_somewhere(body: &[u8]) -> Option<&[u8]> {
    let begins = |at: &usize| *at == 0 || body.get(*at - 1) == Some(&b'\n');
    let start = memmem::find_iter(body, b"v=0").find(begins)?;
    let rest = body.get(start..)?;
    let end = memmem::find(rest, b"\n--").map_or(rest.len(), |at| at + 1);
    rest.get(..end)
}

fn find<'a>(content_type: &str, body: &'a [u8], wanted: &str, depth: usize) -> Result<Option<&'a [u8]>, SdpError> {
    if media_type(content_type).eq_ignore_ascii_case(wanted) {
        return Ok(Some(body));
    }
    if !is_multipart(content_type) {
        return Ok(None);
    }
    if depth == MAX_DEPTH {
        return Err(SdpError::MultipartDepth { limit: MAX_DEPTH });
    }
    let Some(boundary) = boundary(content_type) else {
        return Ok(None);
    };
    for part in parts(body, boundary) {
        let (head, content) = split_head(part);
        if let Some(found) = find(&part_type(head), content, wanted, depth + 1)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn is_multipart(content_type: &str) -> bool {
    media_type(content_type)
        .get(..10)
        .is_some_and(|start| start.eq_ignore_ascii_case("multipart/"))
}

/// 1 to 70 characters (RFC 2046 §5.1.1), quoted or not.
fn boundary(content_type: &str) -> Option<&str> {
    let (_, mut rest) = content_type.split_once(';')?;
    loop {
        let (name, tail) = rest.split_once('=')?;
        let name = name.rsplit(';').next()?.trim();
        let tail = tail.trim_start();
        let (value, next) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => tail.split_once(';').unwrap_or((tail, "")),
        };
        if name.eq_ignore_ascii_case("boundary") {
            return Some(value.trim_end()).filter(|value| (1..=70).contains(&value.len()));
        }
        rest = next;
    }
}

/// What stands between delimiter lines; text before the first is preamble, a missing last delimiter is forgiven.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut start: Option<usize> = None;
    for at in memmem::find_iter(body, delimiter.as_bytes()) {
        let line_start = at == 0 || body.get(at - 1) == Some(&b'\n');
        let after = at + delimiter.len();
        let rest = body.get(after..).unwrap_or_default();
        let ends = rest.starts_with(b"--");
        // a longer boundary may begin with this one
        let line_end = rest
            .first()
            .is_none_or(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t'));
        if !line_start || !(ends || line_end) {
            continue;
        }
        if let Some(from) = start {
            parts.extend(body.get(from..at));
        }
        if ends || parts.len() >= MAX_PARTS {
            return parts;
        }
        start = memchr::memchr(b'\n', rest).map(|newline| after + newline + 1);
    }
    if let Some(from) = start {
        parts.extend(body.get(from..));
    }
    parts
}

/// Headers and content of a part; a part that begins with an empty line has no headers.
fn split_head(part: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while let Some(length) = part.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        let line = part.get(at..at + length).unwrap_or_default();
        let next = at + length + 1;
        if line.iter().all(|&byte| byte == b'\r') {
            return (part.get(..at).unwrap_or_default(), part.get(next..).unwrap_or_default());
        }
        at = next;
    }
    (part, &[])
}

/// The Content-Type of a part, unfolded; `text/plain` without one.
fn part_type(head: &[u8]) -> String {
    let head = String::from_utf8_lossy(head);
    let mut found: Option<String> = None;
    for line in head.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some(value) = &mut found {
                value.push_str(line);
            }
            continue;
        }
        if found.is_some() {
            break;
        }
        found = line
            .split_once(':')
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-type") || name.trim() == "c")
            .map(|(_, value)| value.trim().to_owned());
    }
    found.unwrap_or_else(|| "text/plain".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\nm=audio 1 RTP/AVP 0\r\n";

    #[test]
    fn teams_053_a_description_is_found_without_its_parts() {
        let body = format!("--other\r\nContent-Type: application/sdp\r\n\r\n{SDP}--other--\r\n");
        assert_eq!(sdp_somewhere(body.as_bytes()), Some(SDP.as_bytes()));
        assert_eq!(sdp_somewhere(SDP.as_bytes()), Some(SDP.as_bytes()));
        assert_eq!(sdp_somewhere(b"<presence>v=0</presence>"), None);
        assert_eq!(sdp_somewhere(b""), None);
    }

    fn nested(depth: usize) -> (String, String) {
        (0..depth).fold(("application/sdp".to_owned(), SDP.to_owned()), |(kind, body), level| {
            let body = format!("--b{level}\r\nContent-Type: {kind}\r\n\r\n{body}\r\n--b{level}--\r\n");
            (format!("multipart/mixed;boundary=b{level}"), body)
        })
    }

    #[test]
    fn the_description_beside_a_location() {
        let body = format!(
            "preamble\r\n--teams-1\r\nContent-Type: application/pidf+xml\r\nContent-ID: <a>\r\n\r\n<x/>\r\n\
             --teams-1-not\r\n--teams-1\r\nCONTENT-TYPE:\r\n application/SDP ; charset=x\r\n\r\n{SDP}\r\n--teams-1--\r\nrest"
        );
        for kind in [
            "multipart/mixed;boundary=teams-1",
            "Multipart/Mixed; type=\"a;boundary=x\" ;Boundary = \"teams-1\"; x=y",
            "multipart/mixed; boundary=teams-1 ; x=y",
        ] {
            let found = sdp_part(kind, body.as_bytes()).unwrap();
            assert_eq!(found.trim_ascii_end(), SDP.trim_ascii_end().as_bytes(), "{kind}");
        }
    }

    #[test]
    fn bare_lf_and_a_missing_last_delimiter() {
        let body = format!("--b\nContent-Type: application/sdp\n\n{SDP}");
        assert_eq!(
            sdp_part("multipart/mixed;boundary=b", body.as_bytes()).unwrap(),
            SDP.as_bytes()
        );
    }

    #[test]
    fn nesting_ends_at_four() {
        let (kind, body) = nested(4);
        assert!(sdp_part(&kind, body.as_bytes()).unwrap().starts_with(SDP.as_bytes()));
        for depth in [5, 100] {
            let (kind, body) = nested(depth);
            assert_eq!(
                sdp_part(&kind, body.as_bytes()),
                Err(SdpError::MultipartDepth { limit: 4 })
            );
        }
    }

    #[test]
    fn bodies_without_a_description() {
        assert_eq!(sdp_part("application/sdp; x=y", SDP.as_bytes()), Ok(SDP.as_bytes()));
        assert_eq!(
            sdp_part("text/plain", b""),
            Err(SdpError::ContentType("text/plain".to_owned()))
        );
        for kind in [
            "multipart/mixed",
            "multipart/mixed;boundary=",
            "multipart/mixed;boundary=\"x",
            "multipart/x;boundary=y",
        ] {
            assert_eq!(sdp_part(kind, SDP.as_bytes()), Err(SdpError::NoSdpPart), "{kind}");
        }
        let many = "--b\r\n\r\n".repeat(100_000);
        assert_eq!(
            sdp_part("multipart/mixed;boundary=b", many.as_bytes()),
            Err(SdpError::NoSdpPart)
        );
    }
}
