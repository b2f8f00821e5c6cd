//! Via (RFC 3261 §20.42, RFC 3581), borrowed from the message.

use super::HeaderError;
use super::params;
use crate::sip::grammar::{self, after, find, is_token, is_utf8, range_in, token_length, trim, trim_bytes};
use crate::sip::message::HeaderName;
use crate::sip::uri::{host_address, host_length};
use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

/// One value of Via. White space may stand between all its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    text: &'a str,
    layout: ViaLayout,
}

/// Offsets into the text of one Via value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ViaLayout {
    version_2: bool,
    transport: (u16, u16),
    host: (u16, u16),
    port: Option<u16>,
    sent_by_end: u16,
    params: u16,
    branch: (u16, u16),
}

impl ViaLayout {
    /// Checks one value, without white space at its ends, of whatever version.
    pub(crate) fn of(value: &[u8]) -> Result<ViaLayout, HeaderError> {
        let layout = match is_utf8(value) {
            true => scan(value),
            false => Err("not UTF-8"),
        };
        layout.map_err(|reason| HeaderError::new(HeaderName::Via, reason, value))
    }

    /// The branch in the value that this was made of; empty without one.
    pub(crate) fn branch<'a>(&self, value: &'a [u8]) -> &'a [u8] {
        let (start, end) = self.branch;
        value.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }

    /// Refuses `value`, which this was made of, unless its protocol is SIP/2.0.
    pub(crate) fn check_version(&self, value: &[u8]) -> Result<(), HeaderError> {
        match self.version_2 {
            true => Ok(()),
            false => Err(another_version(value)),
        }
    }
}

fn another_version(value: &[u8]) -> HeaderError {
    HeaderError::new(HeaderName::Via, "the protocol is not SIP/2.0", value)
}

impl<'a> Via<'a> {
    /// Reads one value. The transport may be any token.
    pub fn parse(text: &'a str) -> Result<Via<'a>, HeaderError> {
        let via = Via::parse_any_version(text)?;
        match via.layout.version_2 {
            true => Ok(via),
            false => Err(another_version(text.as_bytes())),
        }
    }

    /// The same for any version, because even a request of another version is answered.
    fn parse_any_version(text: &'a str) -> Result<Via<'a>, HeaderError> {
        let text = trim(text);
        let layout = ViaLayout::of(text.as_bytes())?;
        Ok(Via { text, layout })
    }

    pub(crate) fn with_layout(text: &'a str, layout: ViaLayout) -> Via<'a> {
        Via { text, layout }
    }

    /// The value as written.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The transport as written: `UDP`, `TLS`, `ws` …
    pub fn transport(&self) -> &'a str {
        self.slice(self.layout.transport)
    }

    /// The host of sent-by, an IPv6 address with its brackets.
    pub fn host(&self) -> &'a str {
        self.slice(self.layout.host)
    }

    /// The port of sent-by when one is written.
    pub fn port(&self) -> Option<u16> {
        self.layout.port
    }

    /// Host and port of sent-by as written: part of the key of a server transaction (RFC 3261 §17.2.3).
    pub fn sent_by(&self) -> &'a str {
        self.slice((self.layout.host.0, self.layout.sent_by_end))
    }

    /// A parameter as written, empty for a flag.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        params::find(self.params(), name)
    }

    pub fn branch(&self) -> Option<&'a str> {
        Some(self.slice(self.layout.branch)).filter(|branch| !branch.is_empty())
    }

    pub fn received(&self) -> Option<IpAddr> {
        host_address(self.param("received")?)
    }

    /// `rport`: absent, asked for (`Some(None)`), or filled in.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.param("rport").map(|port| grammar::port(port.as_bytes()))
    }

    pub fn maddr(&self) -> Option<&'a str> {
        self.param("maddr")
    }

    pub fn ttl(&self) -> Option<u8> {
        self.param("ttl")?.parse().ok()
    }

    /// The value with `received` and `rport` as the server that got it from `source` must write them
    /// (RFC 3261 §18.2.1, RFC 3581 §4). What the client claimed there is dropped.
    pub fn as_received_from(&self, source: SocketAddr) -> String {
        let address = source.ip().to_canonical();
        let asked = self.rport().is_some();
        let mut out = String::with_capacity(self.text.len() + 48);
        out.push_str(
            self.text
                .get(..usize::from(self.layout.params))
                .unwrap_or(self.text)
                .trim_end(),
        );
        for (name, value) in params::iterate(self.params()) {
            if name.eq_ignore_ascii_case("received") || name.eq_ignore_ascii_case("rport") {
                continue;
            }
            out.push(';');
            out.push_str(name);
            if let Some(value) = value {
                out.push('=');
                out.push_str(value);
            }
        }
        // Writing to a String does not fail.
        if asked || host_address(self.host()) != Some(address) {
            let _ = write!(out, ";received={address}");
        }
        if asked {
            let _ = write!(out, ";rport={}", source.port());
        }
        out
    }

    fn params(&self) -> &'a str {
        let rest = self.text.get(usize::from(self.layout.params)..).unwrap_or_default();
        rest.strip_prefix(';').unwrap_or_default()
    }

    fn slice(&self, (start, end): (u16, u16)) -> &'a str {
        self.text.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }
}

impl fmt::Display for Via<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

// A value is part of a header, whose length limit fits u16.
fn scan(bytes: &[u8]) -> Result<ViaLayout, &'static str> {
    let first = find(b'/', bytes).ok_or("no protocol")?;
    let second = find(b'/', after(bytes, first + 1)).ok_or("no transport")? + first + 1;
    let name = trim_bytes(bytes.get(..first).unwrap_or_default());
    let version = trim_bytes(bytes.get(first + 1..second).unwrap_or_default());
    if !name.eq_ignore_ascii_case(b"SIP") || !is_token(version) {
        return Err("the protocol is not SIP");
    }
    let transport = skip_blanks(bytes, second + 1);
    let transport_end = token_end(bytes, transport);
    if !is_token(bytes.get(transport..transport_end).unwrap_or_default()) {
        return Err("no transport");
    }
    let host = skip_blanks(bytes, transport_end);
    if host == transport_end {
        return Err("no sent-by");
    }
    let length = host_length(after(bytes, host)).ok_or("sent-by is no host")?;
    let host_end = host + length;
    let mut sent_by_end = host_end;
    let mut port = None;
    let colon = skip_blanks(bytes, host_end);
    if bytes.get(colon) == Some(&b':') {
        let start = skip_blanks(bytes, colon + 1);
        sent_by_end = token_end(bytes, start);
        port = bytes.get(start..sent_by_end).and_then(grammar::port);
        if port.is_none() {
            return Err("the port of sent-by is not 1 to 65535");
        }
    }
    let params = skip_blanks(bytes, sent_by_end);
    let list = match bytes.get(params) {
        None => &b""[..],
        Some(b';') => after(bytes, params + 1),
        Some(_) => return Err("text after sent-by"),
    };
    let branch = match params::find_checked(list, "branch") {
        Ok(branch) if params == bytes.len() || !list.is_empty() => branch.unwrap_or_default(),
        _ => return Err("a parameter is malformed"),
    };
    let span = |start: usize, end: usize| (start as u16, end as u16);
    Ok(ViaLayout {
        version_2: version == b"2.0",
        transport: span(transport, transport_end),
        host: span(host, host_end),
        port,
        sent_by_end: sent_by_end as u16,
        params: params as u16,
        branch: range_in(bytes, branch),
    })
}

fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

fn token_end(bytes: &[u8], start: usize) -> usize {
    start + token_length(after(bytes, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_stands_anywhere() {
        let via =
            Via::parse("SIP  / 2.0  / TCP     spindle.example.com : 5070  ; branch  =   z9hG4bK9ikj8 ;rport").unwrap();
        assert_eq!(
            (via.transport(), via.host(), via.port()),
            ("TCP", "spindle.example.com", Some(5070))
        );
        assert_eq!(via.branch(), Some("z9hG4bK9ikj8"));
        assert_eq!(via.rport(), Some(None));
    }

    #[test]
    fn ipv6_references_with_and_without_brackets_in_received() {
        let via = Via::parse("SIP/2.0/UDP [2001:db8::9:1]:5070;received=[2001:db8::9:255];branch=z9hG4bKas3").unwrap();
        assert_eq!(
            (via.host(), via.port(), via.sent_by()),
            ("[2001:db8::9:1]", Some(5070), "[2001:db8::9:1]:5070")
        );
        assert_eq!(via.received(), "2001:db8::9:255".parse().ok());
        let bare = Via::parse("SIP/2.0/UDP [::ffff:192.0.2.2];received=2001:db8::9:255").unwrap();
        assert_eq!(bare.received(), "2001:db8::9:255".parse().ok());
    }

    #[test]
    fn what_is_no_via_is_refused() {
        for bad in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0/UDP 192.0.2.15;;",
            "SIP/2.0/UDP 192.0.2.15;",
            "SIP/2.0/UDP a:0",
            "SIP/2.0/UDP a:65536",
            "SIP/2.0/UDP 2001:db8::1",
            "SIP/2.0/UDP [2001:db8::1",
            "SIP/2.0/UDP a b",
            "SIP/7.0/UDP a",
            "HTTP/2.0/UDP a",
            "SIP/2.0/ a",
        ] {
            assert!(Via::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_server_writes_received_and_rport() {
        let source: SocketAddr = "203.0.113.5:40000".parse().unwrap();
        let filled = |text| Via::parse(text).unwrap().as_received_from(source);
        assert_eq!(
            filled("SIP/2.0/UDP a.example ;branch=z9;rport;received=198.51.100.1;x=\"1;2\""),
            "SIP/2.0/UDP a.example;branch=z9;x=\"1;2\";received=203.0.113.5;rport=40000"
        );
        assert_eq!(
            filled("SIP/2.0/UDP 203.0.113.5:1;branch=z9"),
            "SIP/2.0/UDP 203.0.113.5:1;branch=z9"
        );
        assert_eq!(
            Via::parse("SIP/2.0/UDP 203.0.113.5")
                .unwrap()
                .as_received_from("[::ffff:203.0.113.5]:1".parse().unwrap()),
            "SIP/2.0/UDP 203.0.113.5"
        );
    }
}
