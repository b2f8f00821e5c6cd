//! Which URIs are the same (RFC 3261 §19.1.4).

use super::{Scheme, Uri, plain_user};

/// Parameters that tell two URIs apart where one has them and the other has not; `transport` by the examples there.
const TELLING: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

impl Uri {
    /// Whether two SIP or SIPS URIs lead to the same resource, however they are written. Of a parameter that only one of them
    /// has, the RFC asks nothing, but for five: `a` may be the same as `a;x=1` and `a;x=2`, which differ. URIs of other schemes are
    /// the same letter by letter.
    pub fn is_equivalent(&self, other: &Uri) -> bool {
        if !matches!(self.scheme(), Scheme::Sip | Scheme::Sips) {
            return self == other;
        }
        self.scheme() == other.scheme()
            && self.plain_userinfo() == other.plain_userinfo()
            && self.is_at_host_of(other)
            && self.port() == other.port()
            && self.params_agree(other)
            && other.params_agree(self)
            && self.headers().eq(other.headers())
    }

    fn plain_userinfo(&self) -> Option<String> {
        Some(plain(self.slice(self.layout.user?)))
    }

    fn is_at_host_of(&self, other: &Uri) -> bool {
        match (self.host_ip(), other.host_ip()) {
            (Some(own), Some(others)) => own == others,
            _ => self.host().eq_ignore_ascii_case(other.host()),
        }
    }

    /// Whether `other` says nothing else of any parameter.
    fn params_agree(&self, other: &Uri) -> bool {
        self.params().all(|(name, value)| {
            let name = plain(name);
            let named = |(key, _): &(&str, Option<&str>)| plain(key).eq_ignore_ascii_case(&name);
            match other.params().find(named) {
                Some((_, others)) => match (value, others) {
                    (Some(value), Some(others)) => plain(value).eq_ignore_ascii_case(&plain(others)),
                    (value, others) => value == others,
                },
                None => !TELLING.iter().any(|telling| telling.eq_ignore_ascii_case(&name)),
            }
        })
    }
}

/// Without escapes that mean nothing; the others with large letters.
fn plain(text: &str) -> String {
    let text = plain_user(text);
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push('%');
        match part.split_at_checked(2) {
            Some((hex, rest)) => {
                plain.push_str(&hex.to_ascii_uppercase());
                plain.push_str(rest);
            }
            None => plain.push_str(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same(one: &str, other: &str) -> bool {
        let read = |text| Uri::parse(text).expect("a URI");
        let (one, other) = (read(one), read(other));
        let same = one.is_equivalent(&other);
        assert_eq!(same, other.is_equivalent(&one), "{one:?} {other:?}");
        same
    }

    /// The pairs of RFC 3261 §19.1.4, and more.
    #[test]
    fn uris_are_compared_as_the_rfc_says() {
        for (one, other) in [
            (
                "sip:%61lice@atlanta.com;transport=TCP",
                "sip:alice@AtlanTa.CoM;Transport=tcp",
            ),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            ("SIP:a@127.61.3.1", "sip:a@127.61.3.1"),
            ("sip:a%c3%a9@x.example", "sip:a%C3%A9@x.example"),
            ("sip:a@[2001:DB8::1]", "sip:a@[2001:db8:0::1]"),
            ("tel:+1425", "tel:+1425"),
        ] {
            assert!(is_same(one, other), "{one} {other}");
        }
        for (one, other) in [
            (
                "SIP:ALICE@AtlanTa.CoM;Transport=udp",
                "sip:alice@AtlanTa.CoM;Transport=UDP",
            ),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            (
                "sip:carol@chicago.com;security=on",
                "sip:carol@chicago.com;security=off",
            ),
            ("sip:a@x.example", "sips:a@x.example"),
            ("sip:a@x.example", "sip:x.example"),
            ("sip:a:b@x.example", "sip:a@x.example"),
            ("sip:a%3Bb@x.example", "sip:a;b@x.example"),
            ("sip:+1425@x.example;user=phone", "sip:+1425@x.example"),
        ] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }
}
