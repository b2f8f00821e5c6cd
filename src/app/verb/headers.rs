//! SIP headers in the hand of an application: what would break routing, identity, media or Teams is refused.

use super::read::{PayloadError, Read, kind};
use serde_json::{Map, Value};

/// Headers of one verb.
const MOST_HEADERS: usize = 50;
const LONGEST_NAME: usize = 64;
const LONGEST_VALUE: usize = 1_024;

/// What the signalling itself writes, by long and compact name.
const OURS: &[&str] = &[
    "via",
    "v",
    "route",
    "record-route",
    "path",
    "service-route",
    "contact",
    "m",
    "from",
    "f",
    "to",
    "t",
    "call-id",
    "i",
    "cseq",
    "max-forwards",
    "l",
    "c",
    "e",
    "mime-version",
    "require",
    "supported",
    "k",
    "unsupported",
    "allow",
    "allow-events",
    "u",
    "event",
    "o",
    "authorization",
    "www-authenticate",
    "authentication-info",
    "session-expires",
    "x",
    "min-se",
    "rseq",
    "rack",
    "replaces",
    "refer-to",
    "r",
    "referred-by",
    "b",
    "refer-sub",
    "target-dialog",
    "join",
    "identity",
    "y",
    // Identity-Info.
    "n",
    "privacy",
    "history-info",
    "diversion",
    "reason",
    "user-agent",
    "server",
    "date",
    "timestamp",
    "expires",
    "accept",
    "accept-encoding",
    "accept-contact",
    "a",
    "reject-contact",
    "j",
    "request-disposition",
    "d",
    "retry-after",
    "warning",
    "subscription-state",
    "security-client",
    "security-server",
    "security-verify",
    "remote-party-id",
    "answer-mode",
    "priv-answer-mode",
    "geolocation",
    "geolocation-routing",
    // Who may go first in the network (RFC 4412) is not for an application to say.
    "resource-priority",
    "accept-resource-priority",
    // What ties the legs of a call together (RFC 7989), and what who is on the way can do (RFC 6809).
    "session-id",
    "feature-caps",
];

/// Families that carry meaning for Teams, the network or the body.
const FAMILIES: [&str; 5] = ["x-ms-", "p-", "proxy-", "content-", "identity-"];

/// Reads a map of headers at `place`.
pub(super) fn read_headers(place: &str, map: Map<String, Value>) -> Read<Vec<(String, String)>> {
    if map.len() > MOST_HEADERS {
        return Err(PayloadError::new(
            place,
            format!("{} headers are more than {MOST_HEADERS}", map.len()),
        ));
    }
    let mut headers: Vec<(String, String)> = Vec::with_capacity(map.len());
    for (name, value) in map {
        let place = format!("{place}.{}", name.escape_debug());
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            other => {
                let problem = format!("a string or a number is expected, not {}", kind(&other));
                return Err(PayloadError::new(place, problem));
            }
        };
        let same = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(&name);
        if let Some((known, _)) = headers.iter().find(same) {
            let problem = format!("this header stands there as {} too: say it once", known.escape_debug());
            return Err(PayloadError::new(place, problem));
        }
        check_header(&name, &value).map_err(|problem| PayloadError::new(place, problem))?;
        headers.push((name, value));
    }
    Ok(headers)
}

/// Whether an application may write this header; the error says why not.
pub fn check_header(name: &str, value: &str) -> Result<(), String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(token) {
        return Err("the name is no header name".into());
    }
    let lower = name.to_ascii_lowercase();
    if OURS.contains(&lower.as_str()) {
        return Err("this header is written by the signalling itself: it can't be set".into());
    }
    if FAMILIES.iter().any(|family| lower.starts_with(family)) {
        return Err("this header means something to Teams, the network or the body: it can't be set".into());
    }
    check_value(value)
}

/// Whether a value may stand in a header.
pub(super) fn check_value(value: &str) -> Result<(), String> {
    if value.chars().any(char::is_control) {
        return Err("the value has a line break or another control character in it".into());
    }
    if value.len() > LONGEST_VALUE {
        return Err(format!("the value is longer than {LONGEST_VALUE} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_header_is_said_once_however_its_name_is_written() {
        let read = |text: &str| read_headers("headers", serde_json::from_str(text).expect("a map"));
        let refused = read(r#"{ "X-A": "1", "x-a": "2" }"#).expect_err("twice").to_string();
        assert!(
            refused.contains("headers.x-a") && refused.contains("as X-A too"),
            "{refused}"
        );
        assert_eq!(
            read(r#"{ "X-A": "1", "X-B": "2" }"#).map(|headers| headers.len()).ok(),
            Some(2)
        );
    }

    #[test]
    fn what_would_break_a_call_is_refused() {
        for (name, value) in [
            ("Via", "x"),
            ("rOuTe", "<sip:evil>"),
            ("m", "<sip:evil>"),
            ("X-MS-SBC", "x"),
            ("P-Asserted-Identity", "<sip:boss@x>"),
            ("X-A", "a\r\nVia: b"),
            ("X-A", "a\0"),
            ("X A", "a"),
            ("X-A:", "a"),
            ("", "a"),
            ("Proxy-Authorization", "Digest x"),
            ("Content-Type", "text/x"),
            ("P-Preferred-Identity", "<sip:boss@x>"),
            ("User-Agent", "x"),
            ("Resource-Priority", "esnet.0"),
            ("resource-priority", "wps.0"),
            ("Accept-Resource-Priority", "wps.0"),
            ("Expires", "0"),
            ("n", "<https://x>"),
            ("Session-ID", "ab30317f1a784dc48ff824d0d3715d86"),
            ("Feature-Caps", "*;+g.3gpp.srvcc"),
            ("Ü", "a"),
        ] {
            assert!(check_header(name, value).is_err(), "{name}: {value}");
        }
        assert!(check_header("X-A", &"a".repeat(1_025)).is_err());
        for (name, value) in [("X-Foo", "bar"), ("Subject", "Grüße"), ("Alert-Info", "<http://x>")] {
            assert_eq!(check_header(name, value), Ok(()));
        }
    }
}
