//! Where an application is asked: an absolute URL of HTTP or of the WebSocket API.

use super::names::Invalid;
use crate::sip::locate::Host;
use std::fmt;
use std::sync::Arc;

/// Longest URL of a hook, in bytes.
const LONGEST: usize = 2_048;

const EXPECTED: Invalid =
    Invalid("a URL such as https://app.example/incoming, or wss://app.example/incoming for the WebSocket API");

const PATH: Invalid = Invalid("a path that begins with one slash, or an absolute URL");

/// An absolute `http`, `https`, `ws` or `wss` URL with a host, kept byte for byte. It holds no user name and no
/// password: those would end up in logs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HookUrl {
    text: Arc<str>,
    protocol: HookProtocol,
}

/// What is spoken at a [`HookUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookProtocol {
    /// One request for each question.
    Http,
    /// One connection for the whole call (`ws.jambonz.org`).
    WebSocket,
}

impl HookUrl {
    /// Checks `text` and keeps it.
    pub fn parse(text: &str) -> Result<HookUrl, Invalid> {
        let (scheme, rest) = text.split_once("://").ok_or(EXPECTED)?;
        let protocol = match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => HookProtocol::Http,
            "ws" | "wss" => HookProtocol::WebSocket,
            _ => return Err(EXPECTED),
        };
        check_characters(text)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        if authority.contains('@') {
            return Err(Invalid(
                "a URL without a user name; `username` and `password` are keys of their own",
            ));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
        if Host::parse(host).is_err() || !port_fits {
            return Err(EXPECTED);
        }
        Ok(HookUrl {
            text: text.into(),
            protocol,
        })
    }

    /// A path of the same server (`/status?x=1#rc=2`); this URL's own path does not count.
    pub fn beside(&self, path: &str) -> Result<HookUrl, Invalid> {
        HookUrl::check_path(path)?;
        let (scheme, rest) = self.text.split_once("://").ok_or(PATH)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        HookUrl::parse(&format!("{scheme}://{authority}{path}"))
    }

    /// Whether `path` may stand beside some hook.
    pub fn check_path(path: &str) -> Result<(), Invalid> {
        match path.starts_with('/') && !path.starts_with("//") {
            true => check_characters(path),
            false => Err(PATH),
        }
    }

    /// The URL as typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What is spoken there.
    pub fn protocol(&self) -> HookProtocol {
        self.protocol
    }
}

fn check_characters(text: &str) -> Result<(), Invalid> {
    let plain =
        |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
    match text.len() <= LONGEST && text.bytes().all(plain) {
        true => Ok(()),
        false => Err(Invalid(
            "a URL of at most 2048 characters without spaces; other characters are written as %XX",
        )),
    }
}

impl fmt::Display for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_of_every_scheme() {
        for (text, protocol) in [
            ("https://app.example", HookProtocol::Http),
            ("HTTP://192.0.2.7:3000/in?a=b#rc=3&rp=ct,5xx", HookProtocol::Http),
            ("wss://app.example/calls", HookProtocol::WebSocket),
            ("ws://[2001:db8::1]:8080/", HookProtocol::WebSocket),
        ] {
            let url = HookUrl::parse(text).map(|url| (url.protocol(), url.to_string()));
            assert_eq!(url, Ok((protocol, text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_path_beside_a_hook() {
        for (text, path, expected) in [
            ("https://app.example", "/told", Some("https://app.example/told")),
            (
                "https://app.example:8443/in?a=/b#rc=1",
                "/told?x#rc=2",
                Some("https://app.example:8443/told?x#rc=2"),
            ),
            ("wss://[2001:db8::1]?x", "/", Some("wss://[2001:db8::1]/")),
            ("https://app.example/in", "//evil.example/", None),
            ("https://app.example/in", "told", None),
            ("https://app.example/in", "/a b", None),
        ] {
            let beside = HookUrl::parse(text).and_then(|url| url.beside(path));
            let beside = beside.ok().map(|url| url.to_string());
            assert_eq!(beside.as_deref(), expected, "{text} {path}");
        }
    }

    #[test]
    fn what_is_no_hook() {
        for text in [
            "",
            "/incoming",
            "app.example/incoming",
            "ftp://app.example/",
            "https://",
            "https:///incoming",
            "https://:80/",
            "https://app.example:0/",
            "https://app.example:99999/",
            "https://app example/",
            "https://app.example/\r\nX: y",
            "https://ada:secret@app.example/",
            "https://app.example/é",
        ] {
            assert!(HookUrl::parse(text).is_err(), "{text}");
        }
    }
}
