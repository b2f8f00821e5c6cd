//! SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966), kept byte for byte.

mod equivalence;
mod user;

pub use user::{dialled_with, escaped_user, plain_user, unescaped, without_separators};

use super::grammar;
use memchr::memchr;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use user::escape_user;

/// Longest URI that is accepted, in bytes.
pub const MAX_URI: usize = 8 * 1024;

/// The scheme of a URI, compared case-blind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    /// Any other scheme: the rest of the URI is opaque.
    Other,
}

/// Why a text is no URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    #[error("URI of {0} bytes, the limit is {MAX_URI}")]
    TooLong(usize),
    #[error("URI without a scheme")]
    Scheme,
    #[error("byte {byte:#04x} at {at} may not stand in a URI")]
    Byte { byte: u8, at: usize },
    #[error("the user part is empty")]
    User,
    #[error("the host is no name, IPv4 address or bracketed IPv6 address")]
    Host,
    #[error("the port is not 1 to 65535")]
    Port,
    #[error("the telephone number is empty or holds other characters than digits and - . ( ) * # + A-F")]
    Number,
    #[error("a parameter has no name or an impossible one")]
    Parameter,
}

/// Where the parts of a URI are in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    scheme: Scheme,
    /// All ends are offsets into the text; `user` is None without `@`.
    user: Option<(u16, u16)>,
    host: (u16, u16),
    port: Option<u16>,
    /// Where `;params` begins (or `?headers`, or the end).
    params: u16,
    /// Where `?headers` begins (or the end).
    headers: u16,
}

/// A URI: its text is never changed by parsing, so unknown parameters survive as they came.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Uri {
    text: String,
    layout: Layout,
}

impl Uri {
    /// Reads a URI. A raw `#` in the user part (Teams sends `*21#`), IPv6 references and `tel:` are accepted; white space,
    /// controls, quotes and angle brackets are not.
    pub fn parse(text: &str) -> Result<Uri, UriError> {
        let layout = Layout::of(text.as_bytes())?;
        Ok(Uri {
            text: text.to_owned(),
            layout,
        })
    }

    /// Makes `sip:user@host:port`, escaping the user part where it must be. `host` may be a bare IPv6 address.
    pub fn sip(user: Option<&str>, host: &str, port: Option<u16>) -> Result<Uri, UriError> {
        let mut text = String::from("sip:");
        if let Some(user) = user {
            escape_user(user, &mut text);
            text.push('@');
        }
        push_host(host, &mut text)?;
        push_port(port, &mut text);
        Uri::parse_owned(text)
    }

    /// The text as it came.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn scheme(&self) -> Scheme {
        self.layout.scheme
    }

    /// The scheme as it was written.
    pub fn scheme_name(&self) -> &str {
        self.text.split(':').next().unwrap_or_default()
    }

    /// The user part without a password, still escaped; of a `tel:` URI its number.
    pub fn user(&self) -> Option<&str> {
        let userinfo = self.slice(self.layout.user?);
        Some(match self.scheme() {
            Scheme::Tel => userinfo,
            _ => userinfo.split(':').next().unwrap_or(userinfo),
        })
    }

    /// The host as written, an IPv6 address with its brackets; empty for `tel:` and opaque URIs.
    pub fn host(&self) -> &str {
        self.slice(self.layout.host)
    }

    /// The host when it is an address.
    pub fn host_ip(&self) -> Option<IpAddr> {
        host_address(self.host())
    }

    /// The port when one is written.
    pub fn port(&self) -> Option<u16> {
        self.layout.port
    }

    /// The value of a parameter as written, its name compared case-blind; empty for a flag such as `lr`.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.unwrap_or_default())
    }

    /// Parameters in their order: name and value as written.
    pub fn params(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        pairs(self.params_text(), ';')
    }

    /// Headers after `?`, in their order, still escaped. They are never acted on unless a caller asks for them by name.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let text = self.text.get(usize::from(self.layout.headers)..).unwrap_or_default();
        pairs(text.strip_prefix('?').unwrap_or_default(), '&')
    }

    /// True when `?headers` are present.
    pub fn has_headers(&self) -> bool {
        usize::from(self.layout.headers) < self.text.len()
    }

    /// The same URI with its scheme in small letters.
    pub fn with_plain_scheme(&self) -> Uri {
        let mut plain = self.clone();
        let end = plain.text.find(':').unwrap_or_default();
        if let Some(scheme) = plain.text.get_mut(..end) {
            scheme.make_ascii_lowercase();
        }
        plain
    }

    /// The same URI with another user part, which is escaped where it must be.
    pub fn with_user(&self, user: &str) -> Result<Uri, UriError> {
        let mut text = self.scheme_text();
        escape_user(user, &mut text);
        if !matches!(self.scheme(), Scheme::Tel) {
            text.push('@');
            text.push_str(self.host_onwards());
        } else {
            text.push_str(self.params_onwards());
        }
        Uri::parse_owned(text)
    }

    /// The same URI with another host and port.
    pub fn with_host(&self, host: &str, port: Option<u16>) -> Result<Uri, UriError> {
        let mut text = self.until_host().to_owned();
        push_host(host, &mut text)?;
        push_port(port, &mut text);
        text.push_str(self.params_onwards());
        Uri::parse_owned(text)
    }

    /// The same URI with a parameter set: replaced where it stood, else appended. `value` None makes a flag.
    pub fn with_param(&self, name: &str, value: Option<&str>) -> Result<Uri, UriError> {
        let ends_early = |part: &str| part.contains([';', '?', '&']);
        if ends_early(name) || name.contains('=') || value.is_some_and(ends_early) {
            return Err(UriError::Parameter);
        }
        let mut text = self.until_params().to_owned();
        let mut replaced = false;
        for (key, old) in self.params() {
            if !key.eq_ignore_ascii_case(name) {
                push_param(key, old, &mut text);
            } else if !std::mem::replace(&mut replaced, true) {
                push_param(name, value, &mut text);
            }
        }
        if !replaced {
            push_param(name, value, &mut text);
        }
        text.push_str(self.headers_onwards());
        Uri::parse_owned(text)
    }

    /// The same URI without a parameter.
    pub fn without_param(&self, name: &str) -> Uri {
        let mut text = self.until_params().to_owned();
        for (key, value) in self.params() {
            if !key.eq_ignore_ascii_case(name) {
                push_param(key, value, &mut text);
            }
        }
        text.push_str(self.headers_onwards());
        Uri::parse_owned(text).unwrap_or_else(|_| self.clone())
    }

    /// The same URI without `?headers`, which may not stand in a Request-URI (RFC 3261 §19.1.1).
    pub fn without_headers(&self) -> Uri {
        let mut layout = self.layout;
        let text: String = self
            .text
            .get(..usize::from(layout.headers))
            .unwrap_or(&self.text)
            .to_owned();
        layout.headers = layout.headers.min(text.len() as u16);
        Uri { text, layout }
    }

    /// Takes a text whose layout is known.
    pub(crate) fn with_layout(text: &str, layout: Layout) -> Uri {
        Uri {
            text: text.to_owned(),
            layout,
        }
    }

    fn parse_owned(text: String) -> Result<Uri, UriError> {
        let layout = Layout::of(text.as_bytes())?;
        Ok(Uri { text, layout })
    }

    fn slice(&self, (start, end): (u16, u16)) -> &str {
        self.text.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }

    fn params_text(&self) -> &str {
        let text = self.slice((self.layout.params, self.layout.headers));
        text.strip_prefix(';').unwrap_or_default()
    }

    fn scheme_text(&self) -> String {
        let end = self.text.find(':').map_or(0, |colon| colon + 1);
        self.text.get(..end).unwrap_or_default().to_owned()
    }

    fn until_host(&self) -> &str {
        self.text.get(..usize::from(self.layout.host.0)).unwrap_or_default()
    }

    fn host_onwards(&self) -> &str {
        self.text.get(usize::from(self.layout.host.0)..).unwrap_or_default()
    }

    fn until_params(&self) -> &str {
        self.text.get(..usize::from(self.layout.params)).unwrap_or_default()
    }

    fn params_onwards(&self) -> &str {
        self.text.get(usize::from(self.layout.params)..).unwrap_or_default()
    }

    fn headers_onwards(&self) -> &str {
        self.text.get(usize::from(self.layout.headers)..).unwrap_or_default()
    }
}

/// The address that a host text is, brackets allowed.
pub(crate) fn host_address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// Length of the host that `text` begins with: a name, an IPv4 address or a bracketed IPv6 address. None when there is none.
pub(crate) fn host_length(text: &[u8]) -> Option<usize> {
    if text.first() == Some(&b'[') {
        let close = memchr(b']', text)?;
        let address = std::str::from_utf8(text.get(1..close)?).ok()?;
        address.parse::<Ipv6Addr>().ok()?;
        return Some(close + 1);
    }
    let length = grammar::long_run(text, grammar::HOST);
    (1..=255).contains(&length).then_some(length)
}

impl Layout {
    /// Finds the parts of a URI without copying it. `text` is UTF-8.
    pub(crate) fn of(text: &[u8]) -> Result<Layout, UriError> {
        match scan(text) {
            Err(error) => Err(refused_byte(text).unwrap_or(error)),
            layout => layout,
        }
    }

    /// True when a SIP or SIPS URI carries `?headers`. `text` is what this was made of.
    pub(crate) fn has_sip_headers(&self, text: &[u8]) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips) && usize::from(self.headers) < text.len()
    }
}

/// A byte that may stand nowhere in a URI is the better evidence for what it broke.
fn refused_byte(text: &[u8]) -> Option<UriError> {
    let at = grammar::long_run(text, grammar::URI);
    let byte = *text.get(at)?;
    (text.len() <= MAX_URI).then_some(UriError::Byte { byte, at })
}

// Every byte is looked at by the part that it belongs to: none that is refused passes.
#[inline]
fn scan(bytes: &[u8]) -> Result<Layout, UriError> {
    if bytes.len() > MAX_URI {
        return Err(UriError::TooLong(bytes.len()));
    }
    // The bit is the case of a letter.
    match bytes.first_chunk::<4>().map(|first| first.map(|byte| byte | 0x20)) {
        Some([b's', b'i', b'p', b':']) if bytes.get(3) == Some(&b':') => scan_sip(Scheme::Sip, bytes, 4),
        Some([b's', b'i', b'p', b's']) if bytes.get(4) == Some(&b':') => scan_sip(Scheme::Sips, bytes, 5),
        Some([b't', b'e', b'l', b':']) if bytes.get(3) == Some(&b':') => scan_tel(bytes, 4),
        _ => scan_other(bytes),
    }
}

fn scan_other(bytes: &[u8]) -> Result<Layout, UriError> {
    let colon = memchr(b':', bytes).ok_or(UriError::Scheme)?;
    let name = bytes.get(..colon).unwrap_or_default();
    let start = colon + 1;
    let valid = name.first().is_some_and(u8::is_ascii_alphabetic)
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let end = bytes.len() as u16;
    (valid && is_uri_text(grammar::after(bytes, start)))
        .then_some(Layout {
            scheme: Scheme::Other,
            user: None,
            host: (end, end),
            port: None,
            params: end,
            headers: end,
        })
        .ok_or(UriError::Scheme)
}

// Offsets fit u16 because MAX_URI does.
fn scan_sip(scheme: Scheme, bytes: &[u8], start: usize) -> Result<Layout, UriError> {
    let user = grammar::find(b'@', grammar::after(bytes, start)).map(|length| (start, start + length));
    if let Some((from, to)) = user
        && (from == to || bytes.get(from) == Some(&b':') || !is_uri_text(bytes.get(from..to).unwrap_or_default()))
    {
        return Err(UriError::User);
    }
    let host = user.map_or(start, |(_, at)| at + 1);
    let host_end = host + host_length(grammar::after(bytes, host)).ok_or(UriError::Host)?;
    let (port, params) = match bytes.get(host_end) {
        Some(b':') => {
            let (number, length) = grammar::leading_number(grammar::after(bytes, host_end + 1));
            let port = u16::try_from(number).ok().filter(|port| *port != 0);
            (Some(port.ok_or(UriError::Port)?), host_end + 1 + length)
        }
        _ => (None, host_end),
    };
    let headers = match bytes.get(params) {
        Some(b';') => params_end(bytes, params)?,
        None | Some(b'?') => params,
        Some(_) if port.is_some() => return Err(UriError::Port),
        Some(_) => return Err(UriError::Host),
    };
    match bytes.get(headers) {
        None => {}
        Some(b'?') if is_uri_text(grammar::after(bytes, headers)) => {}
        Some(_) => return Err(UriError::Parameter),
    }
    Ok(Layout {
        scheme,
        user: user.map(|(from, to)| (from as u16, to as u16)),
        host: (host as u16, host_end as u16),
        port,
        params: params as u16,
        headers: headers as u16,
    })
}

fn scan_tel(bytes: &[u8], start: usize) -> Result<Layout, UriError> {
    let params = memchr(b';', grammar::after(bytes, start)).map_or(bytes.len(), |length| start + length);
    let number = bytes.get(start..params).unwrap_or_default();
    let dialable =
        |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'+' | b'-' | b'.' | b'(' | b')' | b'*' | b'#');
    if !number.iter().all(dialable)
        || !number
            .iter()
            .any(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'*' | b'#'))
    {
        return Err(UriError::Number);
    }
    let end = bytes.len();
    if params_end(bytes, params)? != end {
        return Err(UriError::Parameter);
    }
    let end = end as u16;
    Ok(Layout {
        scheme: Scheme::Tel,
        user: Some((start as u16, params as u16)),
        host: (end, end),
        port: None,
        params: params as u16,
        headers: end,
    })
}

fn is_uri_text(text: &[u8]) -> bool {
    grammar::long_run(text, grammar::URI) == text.len()
}

/// Where the `;name=value` list that begins at `at` ends: every name is there and made of characters of a parameter name.
fn params_end(bytes: &[u8], mut at: usize) -> Result<usize, UriError> {
    while bytes.get(at) == Some(&b';') {
        let name = grammar::run(grammar::after(bytes, at + 1), grammar::URI_PARAM_NAME);
        if name == 0 {
            return Err(UriError::Parameter);
        }
        at += 1 + name;
        if bytes.get(at) == Some(&b'=') {
            at += 1 + grammar::long_run(grammar::after(bytes, at + 1), grammar::URI_PARAM_VALUE);
        }
    }
    Ok(at)
}

fn pairs(text: &str, separator: char) -> impl Iterator<Item = (&str, Option<&str>)> {
    text.split(separator)
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (pair, None),
        })
}

fn push_param(name: &str, value: Option<&str>, text: &mut String) {
    text.push(';');
    text.push_str(name);
    if let Some(value) = value {
        text.push('=');
        text.push_str(value);
    }
}

fn push_host(host: &str, text: &mut String) -> Result<(), UriError> {
    if host.parse::<Ipv6Addr>().is_ok() {
        text.push('[');
        text.push_str(host);
        text.push(']');
    } else if host_length(host.as_bytes()) == Some(host.len()) {
        text.push_str(host);
    } else {
        return Err(UriError::Host);
    }
    Ok(())
}

fn push_port(port: Option<u16>, text: &mut String) {
    if let Some(port) = port {
        text.push(':');
        text.push_str(&port.to_string());
    }
}

impl PartialEq for Uri {
    fn eq(&self, other: &Uri) -> bool {
        self.text == other.text
    }
}

impl Eq for Uri {}

impl std::hash::Hash for Uri {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({})", self.text)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Uri, UriError> {
        Uri::parse(text)
    }
}

impl TryFrom<String> for Uri {
    type Error = UriError;

    fn try_from(text: String) -> Result<Uri, UriError> {
        Uri::parse_owned(text)
    }
}

impl From<Uri> for String {
    fn from(uri: Uri) -> String {
        uri.text
    }
}

#[cfg(test)]
mod tests;
