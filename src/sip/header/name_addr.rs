//! Addresses with display name and parameters (RFC 3261 §20.10, §25.1 `name-addr` and `addr-spec`): From, To, Contact, Route,
//! Record-Route, Refer-To, P-Asserted-Identity, Diversion, History-Info and their kin.

use super::HeaderError;
use super::params::{self, Params, push_quoted};
use crate::sip::grammar::{
    after, any, find, is_ascii, is_unusual, quoted_length, range_in, text_of, trim_bytes, trim_end, trim_start,
};
use crate::sip::message::HeaderName;
use crate::sip::uri::{self, Uri};
use memchr::memchr3;
use std::fmt;

/// A display name, a URI and header parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NameAddr {
    display: Option<String>,
    uri: Uri,
    params: Params,
}

/// The parts of a value as written.
struct Parts<'a> {
    display: &'a [u8],
    uri: &'a [u8],
    params: &'a [u8],
    tag: Option<&'a [u8]>,
}

/// Offsets into the text of a value that was found to be an address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddressLayout {
    display: (u16, u16),
    uri: (u16, u16),
    uri_layout: uri::Layout,
    params: (u16, u16),
    tag: Option<(u16, u16)>,
}

impl AddressLayout {
    /// Checks a value without copying it.
    pub(crate) fn of(header: HeaderName, value: &[u8]) -> Result<AddressLayout, HeaderError> {
        AddressLayout::read(value).map_err(|reason| HeaderError::new(header, reason, value))
    }

    #[inline]
    fn read(value: &[u8]) -> Result<AddressLayout, &'static str> {
        let parts = split(value)?;
        Ok(AddressLayout {
            display: range_in(value, parts.display),
            uri: range_in(value, parts.uri),
            uri_layout: uri::Layout::of(parts.uri).map_err(|_| "not a URI")?,
            params: range_in(value, parts.params),
            tag: parts.tag.map(|tag| range_in(value, tag)),
        })
    }

    /// The tag in the value that this was made of; empty without one.
    pub(crate) fn tag<'a>(&self, value: &'a [u8]) -> &'a [u8] {
        self.tag.map_or(&[], |tag| slice(value, tag))
    }

    /// `;tag=` and nothing behind it.
    pub(crate) fn has_empty_tag(&self) -> bool {
        self.tag.is_some_and(|(start, end)| start == end)
    }
}

impl NameAddr {
    pub fn new(uri: Uri) -> NameAddr {
        NameAddr {
            display: None,
            uri,
            params: Params::default(),
        }
    }

    /// Reads the value of a header, which is named for the error's sake. A display name need not be quoted and may touch the
    /// bracket, as Teams writes it; bytes of it that are not UTF-8 are read as Latin-1.
    pub fn parse_bytes(header: HeaderName, value: &[u8]) -> Result<NameAddr, HeaderError> {
        AddressLayout::of(header, value).map(|layout| NameAddr::with_layout(value, layout))
    }

    /// Copies the parts of a value whose layout is known.
    pub(crate) fn with_layout(value: &[u8], layout: AddressLayout) -> NameAddr {
        // Only the display name may be no UTF-8.
        let whole = std::str::from_utf8(value).ok();
        let text = |(start, end): (u16, u16)| match whole {
            Some(whole) => whole.get(usize::from(start)..usize::from(end)).unwrap_or_default(),
            None => std::str::from_utf8(slice(value, (start, end))).unwrap_or_default(),
        };
        let display = match whole {
            Some(_) => text(layout.display).into(),
            None => text_of(slice(value, layout.display)),
        };
        NameAddr {
            display: display_of(&display),
            uri: Uri::with_layout(text(layout.uri), layout.uri_layout),
            params: Params::from_checked(text(layout.params)),
        }
    }

    /// The same from text.
    pub fn parse(header: HeaderName, value: &str) -> Result<NameAddr, HeaderError> {
        NameAddr::parse_bytes(header, value.as_bytes())
    }

    /// The display name without quotes and escapes; control characters in it are spaces.
    pub fn display(&self) -> Option<&str> {
        self.display.as_deref()
    }

    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The parameters after the address, not those of the URI.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// A parameter after the address as written, empty for a flag.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)
    }

    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    #[must_use]
    pub fn with_display(mut self, display: Option<&str>) -> NameAddr {
        self.display = display.filter(|name| !name.is_empty()).map(clean);
        self
    }

    #[must_use]
    pub fn with_uri(mut self, uri: Uri) -> NameAddr {
        self.uri = uri;
        self
    }

    /// Sets a parameter after the address; `value` None makes a flag.
    #[must_use]
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> NameAddr {
        self.params = self.params.with(name, value);
        self
    }

    #[must_use]
    pub fn with_tag(self, tag: &str) -> NameAddr {
        self.with_param("tag", Some(tag))
    }

    #[must_use]
    pub fn without_param(mut self, name: &str) -> NameAddr {
        self.params = self.params.without(name);
        self
    }

    /// True when a value that may be unreadable elsewhere carries a tag of any kind.
    pub(crate) fn has_tag_parameter(value: &[u8]) -> bool {
        split(value).is_ok_and(|parts| parts.tag.is_some())
    }
}

fn slice(value: &[u8], (start, end): (u16, u16)) -> &[u8] {
    value.get(usize::from(start)..usize::from(end)).unwrap_or_default()
}

#[inline]
fn split(value: &[u8]) -> Result<Parts<'_>, &'static str> {
    let value = trim_bytes(value);
    let name = match value.first() {
        Some(b'<') => 0,
        Some(b'"') => quoted_length(value).ok_or("a quote does not close")?,
        _ => memchr3(b'<', b'"', b';', value).unwrap_or(value.len()),
    };
    let (display, rest) = value.split_at_checked(name).unwrap_or_default();
    let rest = trim_start(rest);
    let (display, uri, tail) = match rest.first() {
        Some(b'<') => {
            let inside = after(rest, 1);
            let close = find(b'>', inside).ok_or("a bracket does not close")?;
            let (uri, tail) = inside.split_at_checked(close).unwrap_or_default();
            (trim_end(display), uri, after(tail, 1))
        }
        Some(b';') | None if value.first() != Some(&b'"') => {
            // RFC 3261 §20: a bare URI with a comma, question mark or semicolon must stand in brackets.
            if memchr3(b',', b'?', b'>', display).is_some() {
                return Err("a URI with ? or , must stand in brackets");
            }
            (&b""[..], trim_bytes(display), rest)
        }
        _ => return Err("no address after the display name"),
    };
    if !matches!(display.first(), None | Some(b'"')) && memchr3(b',', b'\\', b'>', display).is_some() {
        return Err("the display name must be quoted");
    }
    let tail = trim_start(tail);
    if !is_ascii(value) {
        std::str::from_utf8(uri).map_err(|_| "the URI is not UTF-8")?;
        std::str::from_utf8(tail).map_err(|_| "a parameter is not UTF-8")?;
    }
    let params = match tail.strip_prefix(b";") {
        Some(params) => trim_start(params),
        None if tail.is_empty() => b"",
        None => return Err("text after the address"),
    };
    let tag = match params {
        [] if tail.is_empty() => None,
        [] => return Err("a parameter is malformed"),
        _ => params::find_checked(params, "tag").map_err(|_| "a parameter is malformed")?,
    };
    Ok(Parts {
        display,
        uri,
        params,
        tag,
    })
}

fn display_of(display: &str) -> Option<String> {
    if display.is_empty() {
        return None;
    }
    Some(clean(&params::unquote(display))).filter(|name| !name.is_empty())
}

fn clean(name: &str) -> String {
    if !any(name.as_bytes(), is_unusual) {
        return name.to_owned();
    }
    name.replace(|letter: char| letter.is_control(), " ")
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            let mut quoted = String::with_capacity(display.len() + 2);
            push_quoted(display, &mut quoted);
            write!(f, "{quoted} ")?;
        }
        write!(f, "<{}>", self.uri)?;
        if !self.params.is_empty() {
            write!(f, ";{}", self.params)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> NameAddr {
        NameAddr::parse(HeaderName::From, value).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn teams_writes_the_name_without_quotes_up_to_the_bracket() {
        let from = read("Ada Jones<sip:+14255550111@sip.pstnhub.example.com:5061;user=phone>;tag=1779cf3a");
        assert_eq!(from.display(), Some("Ada Jones"));
        assert_eq!(from.uri().user(), Some("+14255550111"));
        assert_eq!(from.uri().param("user"), Some("phone"));
        assert_eq!(from.tag(), Some("1779cf3a"));
        assert_eq!(
            from.to_string(),
            "\"Ada Jones\" <sip:+14255550111@sip.pstnhub.example.com:5061;user=phone>;tag=1779cf3a"
        );
    }

    #[test]
    fn quoted_names_hold_anything() {
        let from = read("\"Bell, <A>; \\\"G\\\" \\\\\"   <sip:a@b>  ;  tag = 98asjd8 ;x=\"<;>\"");
        assert_eq!(from.display(), Some("Bell, <A>; \"G\" \\"));
        assert_eq!((from.tag(), from.param("x")), (Some("98asjd8"), Some("\"<;>\"")));
        assert_eq!(read(&from.to_string()), from);
    }

    #[test]
    fn a_bare_uri_leaves_its_parameters_to_the_header() {
        let from = read("sip:a@b;user=phone;tag=1");
        assert_eq!((from.uri().as_str(), from.tag()), ("sip:a@b", Some("1")));
        assert_eq!(read("tel:+14255550111;tag=1").uri().as_str(), "tel:+14255550111");
        assert_eq!(
            read("<tel:+1;phone-context=x>;tag=1").uri().param("phone-context"),
            Some("x")
        );
    }

    #[test]
    fn latin_1_names_are_read_and_tags_found() {
        let value = b"J\xfcrgen <sip:j@example.com>;tag=1";
        let from = NameAddr::parse_bytes(HeaderName::From, value).unwrap();
        assert_eq!(from.display(), Some("J\u{fc}rgen"));
        let layout = AddressLayout::of(HeaderName::From, value).unwrap();
        assert_eq!(layout.tag(value), b"1");
    }

    #[test]
    fn controls_in_quoted_pairs_become_spaces() {
        let from = read("\"BEL:\\\u{7} NUL:\\\0\" <sip:a@b>");
        assert_eq!(from.display(), Some("BEL:  NUL: "));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "<>",
            "*",
            "\"Mr. J. User <sip:j.user@example.com>",
            "Bell, Alexander <sip:a@b>",
            "\"Watson\" < sip:a@b >",
            "<sip:a@b",
            "sip:a@b>",
            "sip:a@b?Route=%3Csip:c%3E",
            "<sip:a@b> tag=1",
            "<sip:a@b>;",
            "<sip:a@b>;;tag=1",
            "<sip:a@b>;tag=\"1",
            "\"a\" sip:a@b",
            "\"a\"",
            "a;b=<sip:c@d>",
            "nouri",
        ] {
            assert!(NameAddr::parse(HeaderName::To, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_that_we_set_can_not_break_out() {
        let made = NameAddr::new("sip:a@b".parse().unwrap())
            .with_display(Some("x\"\r\nEvil: 1"))
            .with_param("reason", Some("a;b>\r\n"))
            .with_param("bad name", Some("1"));
        assert_eq!(made.to_string(), "\"x\\\"  Evil: 1\" <sip:a@b>;reason=\"a;b>  \"");
        assert_eq!(read(&made.to_string()), made);
    }
}
