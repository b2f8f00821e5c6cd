//! A hook's URL, as configured or as an application wrote it.

use super::retry::{RetryFault, RetryPolicy};
use crate::sip::locate::{Host, TargetError};
use std::fmt;
use url::Url;

/// Bytes of a URL, its query included.
const LONGEST: usize = 8 * 1_024;

/// An absolute `http`, `https`, `ws` or `wss` URL without user, password and fragment, and what its fragment said about
/// repetitions.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HookUrl {
    url: Url,
    host: Host,
    port: u16,
    scheme: Scheme,
    retry: RetryPolicy,
}

/// The schemes of application servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
    Ws,
    Wss,
}

/// Why a text is no hook's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    #[error("{text:?} is no URL: {why}")]
    Malformed { text: String, why: String },
    #[error("`{scheme}:` is no scheme of an application server; http, https, ws and wss are")]
    Scheme { scheme: String },
    #[error("the URL carries a user name; write `username` and `password` of the hook instead")]
    Credentials,
    #[error("{text:?} is neither an absolute URL nor a path that begins with one slash")]
    NotAbsolute { text: String },
    #[error("{text:?} is a path, and there is no application's URL that it could belong to")]
    NoBase { text: String },
    #[error("the URL is longer than {LONGEST} bytes")]
    TooLong,
    #[error(transparent)]
    Host(#[from] TargetError),
    #[error(transparent)]
    Retry(#[from] RetryFault),
}

impl HookUrl {
    /// Reads an absolute URL, or a path (`/dial-done?x=1#rc=2`) of `base`'s origin; `base`'s own path does not count.
    pub fn parse(text: &str, base: Option<&HookUrl>) -> Result<HookUrl, UrlFault> {
        if text.len() > LONGEST {
            return Err(UrlFault::TooLong);
        }
        let shown = || text.chars().take(80).collect::<String>();
        let malformed = |why: &str| UrlFault::Malformed {
            text: shown(),
            why: why.to_owned(),
        };
        if text.chars().any(|c| c.is_control() || c == ' ' || c == '\\') {
            return Err(malformed("a blank, a backslash or a control character"));
        }
        let url = match text.strip_prefix('/') {
            Some(rest) if rest.starts_with('/') => return Err(UrlFault::NotAbsolute { text: shown() }),
            Some(_) => {
                let base = base.ok_or_else(|| UrlFault::NoBase { text: shown() })?;
                base.url.join(text).map_err(|error| malformed(&error.to_string()))?
            }
            None => Url::parse(text).map_err(|error| match error {
                url::ParseError::RelativeUrlWithoutBase => UrlFault::NotAbsolute { text: shown() },
                error => malformed(&error.to_string()),
            })?,
        };
        HookUrl::from_url(url)
    }

    /// `text` as an absolute URL, its fragment included, where [`HookUrl::parse`] takes it with this URL as its base.
    pub fn absolute(&self, text: &str) -> Result<String, UrlFault> {
        HookUrl::parse(text, Some(self))?;
        match text.starts_with('/') {
            false => Ok(text.to_owned()),
            true => self
                .url
                .join(text)
                .map(String::from)
                .map_err(|error| UrlFault::Malformed {
                    text: text.chars().take(80).collect(),
                    why: error.to_string(),
                }),
        }
    }

    /// Where a `Location` leads to: absolute, or relative to this URL as a browser reads it.
    pub fn follow(&self, location: &str) -> Result<HookUrl, UrlFault> {
        let joined = self.url.join(location).map_err(|error| UrlFault::Malformed {
            text: location.chars().take(80).collect(),
            why: error.to_string(),
        })?;
        HookUrl::from_url(joined)
    }

    fn from_url(mut url: Url) -> Result<HookUrl, UrlFault> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "ws" => Scheme::Ws,
            "wss" => Scheme::Wss,
            other => {
                return Err(UrlFault::Scheme {
                    scheme: other.to_owned(),
                });
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::Credentials);
        }
        let retry = RetryPolicy::from_fragment(url.fragment().unwrap_or_default())?;
        url.set_fragment(None);
        if url.as_str().len() > LONGEST {
            return Err(UrlFault::TooLong);
        }
        let host = match url.host() {
            Some(url::Host::Ipv4(v4)) => Host::Ip(v4.into()),
            Some(url::Host::Ipv6(v6)) => Host::Ip(v6.into()),
            Some(url::Host::Domain(name)) => Host::parse(name)?,
            None => Host::parse("")?,
        };
        let port = url.port_or_known_default().unwrap_or(scheme.usual_port());
        Ok(HookUrl {
            url,
            host,
            port,
            scheme,
            retry,
        })
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether the whole session goes over one WebSocket.
    pub fn is_websocket(&self) -> bool {
        matches!(self.scheme, Scheme::Ws | Scheme::Wss)
    }

    /// The same place over HTTP, where it is one of a WebSocket.
    #[must_use]
    pub fn over_http(mut self) -> HookUrl {
        let (scheme, name) = match self.scheme {
            Scheme::Ws | Scheme::Http => (Scheme::Http, "http"),
            Scheme::Wss | Scheme::Https => (Scheme::Https, "https"),
        };
        // Between these four it is always allowed (URL standard, special schemes).
        if self.url.set_scheme(name).is_ok() {
            self.scheme = scheme;
        }
        self
    }

    /// Whether the peer must prove its name.
    pub fn is_secure(&self) -> bool {
        matches!(self.scheme, Scheme::Https | Scheme::Wss)
    }

    /// The host: a literal address, also where the URL wrote it in an odd form, or a name.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, written or usual.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the fragment said about repetitions.
    pub fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// Same host, port and security: credentials of one are good for the other. `ws` counts as `http`, `wss` as `https`.
    pub fn same_origin(&self, other: &HookUrl) -> bool {
        self.host == other.host && self.port == other.port && self.is_secure() == other.is_secure()
    }

    /// The same with `properties` behind its own query.
    pub fn with_query<'p>(&self, properties: impl Iterator<Item = (&'p str, String)>) -> Result<HookUrl, UrlFault> {
        let mut longer = self.clone();
        let mut properties = properties.peekable();
        if properties.peek().is_some() {
            let mut query = longer.url.query_pairs_mut();
            for (name, value) in properties {
                query.append_pair(name, &value);
            }
        }
        match longer.url.as_str().len() > LONGEST {
            true => Err(UrlFault::TooLong),
            false => Ok(longer),
        }
    }

    /// What stands behind `?`.
    pub fn query(&self) -> &str {
        self.url.query().unwrap_or_default()
    }

    /// The whole URL, its query included.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }
}

impl Scheme {
    const fn usual_port(self) -> u16 {
        match self {
            Scheme::Http | Scheme::Ws => 80,
            Scheme::Https | Scheme::Wss => 443,
        }
    }
}

/// Without the query, which may carry secrets and numbers of callers: for logs.
impl fmt::Display for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.url.as_str();
        f.write_str(text.split_once('?').map_or(text, |(before, _)| before))
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> HookUrl {
        HookUrl::parse(text, None).unwrap_or_else(|fault| panic!("{text}: {fault}"))
    }

    #[test]
    fn a_path_belongs_to_the_origin_of_its_application() {
        let base = url("https://app.example:8443/tenant/incoming?secret=1");
        let done = HookUrl::parse("/dial-done?x=1#rc=2", Some(&base)).unwrap();
        assert_eq!(done.as_str(), "https://app.example:8443/dial-done?x=1");
        assert_eq!(done.retry().count, Some(2));
        assert!(done.same_origin(&base));
        let elsewhere = HookUrl::parse("http://other.example/x", Some(&base)).unwrap();
        assert_eq!((elsewhere.port(), elsewhere.is_secure()), (80, false));
        assert!(!elsewhere.same_origin(&base));
    }

    #[test]
    fn an_origin_is_host_port_and_security() {
        let base = url("https://app.example/");
        for same in [
            "https://APP.example:443/x",
            "wss://app.example/ws",
            "https://app.example./",
        ] {
            assert!(url(same).same_origin(&base), "{same}");
        }
        for other in [
            "http://app.example/",
            "https://app.example:444/",
            "https://app.example.evil.example/",
        ] {
            assert!(!url(other).same_origin(&base), "{other}");
        }
    }

    #[test]
    fn addresses_in_odd_forms_are_seen_as_addresses() {
        for text in [
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
        ] {
            assert_eq!(url(text).host(), &Host::Ip("127.0.0.1".parse().unwrap()), "{text}");
        }
        assert_eq!(url("http://[::1]:81/").host(), &Host::Ip("::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_hook_url_says_why() {
        let base = url("http://app.example/");
        for (text, words) in [
            ("file:///etc/passwd", "scheme"),
            ("ftp://app.example/", "scheme"),
            ("javascript:alert(1)", "scheme"),
            ("http://user:word@app.example/", "username"),
            ("//evil.example/x", "absolute"),
            ("dial-done", "absolute"),
            ("", "absolute"),
            ("http://app.example/\r\nX: y", "control"),
            ("/\\evil.example/", "backslash"),
            ("http:///x y", "blank"),
            ("http://a..b/", "host"),
            ("http://app.example/#rc=x", "rc=x"),
        ] {
            let Err(fault) = HookUrl::parse(text, Some(&base)) else {
                panic!("{text:?} was accepted")
            };
            let said = fault.to_string();
            assert!(said.contains(words), "{text:?}: {said}");
        }
        assert!(matches!(HookUrl::parse("/x", None), Err(UrlFault::NoBase { .. })));
        let long = format!("http://app.example/{}", "a".repeat(LONGEST));
        assert_eq!(HookUrl::parse(&long, None), Err(UrlFault::TooLong));
    }

    #[test]
    fn the_query_is_sent_but_never_shown() {
        let asked = url("http://app.example/x?token=hush")
            .with_query([("from", "+44 1".to_owned()), ("a&b", "c=d".to_owned())].into_iter())
            .unwrap();
        assert_eq!(asked.query(), "token=hush&from=%2B44+1&a%26b=c%3Dd");
        assert_eq!(
            format!("{asked} {asked:?}"),
            "http://app.example/x http://app.example/x"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}", location in ".{0,80}") {
            let base = url("https://app.example/");
            if let Ok(parsed) = HookUrl::parse(&text, Some(&base)) {
                let again = HookUrl::parse(parsed.as_str(), None).unwrap();
                prop_assert_eq!(again.as_str(), parsed.as_str());
            }
            let _either = base.follow(&location);
        }
    }
}
