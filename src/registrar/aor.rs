//! An address of record: a user of a realm.

use crate::sip::{Scheme, Uri, unescaped};
use std::fmt;
use std::sync::Arc;

/// `user@realm`. The user's case counts, the realm's does not (RFC 3261 §19.1.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aor {
    pub realm: Arc<str>,
    pub user: Arc<str>,
}

impl Aor {
    /// From its parts; `realm` in any case.
    pub fn new(user: &str, realm: &str) -> Aor {
        Aor {
            realm: realm.to_ascii_lowercase().into(),
            user: user.into(),
        }
    }

    /// `name@realm`, with or without `sip:`.
    pub fn parse(text: &str) -> Option<Aor> {
        let bare = text.strip_prefix("sip:").or(text.strip_prefix("sips:")).unwrap_or(text);
        let (user, realm) = bare.split_once('@')?;
        (!user.is_empty() && !realm.is_empty() && !realm.contains('@')).then(|| Aor::new(user, realm))
    }

    /// The one that a URI names: parameters of its user part are no part of it.
    pub fn of(uri: &Uri) -> Option<Aor> {
        if uri.scheme() == Scheme::Tel {
            return None;
        }
        let user = uri.user()?.split(';').next()?;
        (!user.is_empty()).then(|| Aor::new(&unescaped(user, u8::is_ascii_graphic), uri.host()))
    }
}

impl fmt::Display for Aor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.realm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        Aor::of(&Uri::parse(text).expect("a URI")).map(|aor| aor.to_string())
    }

    #[test]
    fn the_realm_is_case_blind_and_escapes_are_undone() {
        assert_eq!(
            of("sip:alice@SIP.Contoso.example:5060;transport=tcp").as_deref(),
            Some("alice@sip.contoso.example")
        );
        assert_eq!(of("sip:%61lice;x=y@a.example").as_deref(), Some("alice@a.example"));
        assert_eq!(of("sip:a%zz%e9@a.example").as_deref(), Some("a%zz%e9@a.example"));
        assert_ne!(Aor::new("alice", "a.example"), Aor::new("Alice", "a.example"));
        assert_eq!(of("sip:a.example"), None);
        assert_eq!(of("tel:+14255550100"), None);
    }

    #[test]
    fn written_by_people() {
        let aor = Aor::parse("sip:joeb@sip.example.org").expect("one");
        assert_eq!(aor, Aor::new("joeb", "sip.example.org"));
        for wrong in ["joeb", "@x", "a@", "a@b@c"] {
            assert_eq!(Aor::parse(wrong), None, "{wrong}");
        }
    }
}
