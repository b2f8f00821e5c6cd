//! Names that stand for a configured thing. A raw string becomes one of these at the border, or a reason why not.

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use std::fmt;
use std::sync::Arc;

/// Why a text is not what it should be. Holds what was expected, in words that finish "expected …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct Invalid(pub &'static str);

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks `text` and keeps it, lower-cased where the name is case-blind.
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                $check(text).map(|checked| $type(checked.into()))
            }

            /// The name, as it is compared and printed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl TryFrom<String> for $type {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                $type::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// A DNS host name (RFC 1123 §2.1), lower-case: at least one label, never an IP address, no wildcard.
    HostName, host_name
}

name! {
    /// A trunk name as Teams knows it: fully qualified, at most 63 characters, lower-case (TEAMS-107). Never an IP
    /// address, so that a Contact made from one can't hold one either (TEAMS-030).
    TenantFqdn, tenant_fqdn
}

name! {
    /// A tenant: the name of its file under `tenants/`, without `.toml`.
    TenantId, identifier
}

name! {
    /// A carrier, as `carriers[].id` names it.
    CarrierId, identifier
}

name! {
    /// A listener, as `listeners[].name` names it.
    ListenerName, identifier
}

name! {
    /// An address for media, as `media.addresses[].name` names it.
    MediaAddressName, identifier
}

name! {
    /// A user of a tenant's realm: the user part of its address, which is its user name too. Case counts (RFC 3261
    /// §19.1.4).
    UserName, user_name
}

name! {
    /// An application of a tenant, as `[application.<name>]` names it.
    ApplicationName, identifier
}

name! {
    /// A speech service of a tenant, as `[speech_service.<name>]` names it.
    SpeechServiceName, identifier
}

name! {
    /// A number as it is assigned in Teams, where that is no plain E.164: `+12065550100;ext=1234` (TEAMS-040).
    AssignedForm, assigned_form
}

name! {
    /// A UUID in lower case: what applications and the REST interface call an account or an application.
    Sid, uuid
}

impl Sid {
    /// The UUID that is always made of `name` (RFC 9562 §5.5, in a name space of our own).
    pub fn derived(name: &str) -> Sid {
        const SPACE: [u8; 16] = *b"portcullis sids\0";
        let mut hash = Sha1::new();
        hash.update(SPACE);
        hash.update(name.as_bytes());
        let mut bytes = [0; 16];
        for (byte, hashed) in bytes.iter_mut().zip(hash.finalize()) {
            *byte = hashed;
        }
        // Version 5, variant 10.
        bytes[6] = bytes[6] & 0x0f | 0x50;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = format!("{:032x}", u128::from_be_bytes(bytes));
        let (time, rest) = digits.split_at(8);
        let (mid, rest) = rest.split_at(4);
        let (high, rest) = rest.split_at(4);
        let (clock, node) = rest.split_at(4);
        Sid(format!("{time}-{mid}-{high}-{clock}-{node}").into())
    }
}

impl TenantFqdn {
    /// Whether it is one label in front of `base`: a derived trunk, which has all it is set to from that of `base`.
    pub fn is_derived_from(&self, base: &TenantFqdn) -> bool {
        let label = self
            .0
            .strip_suffix(base.as_str())
            .and_then(|label| label.strip_suffix('.'));
        label.is_some_and(|label| !label.contains('.'))
    }
}

impl From<TenantFqdn> for HostName {
    fn from(name: TenantFqdn) -> HostName {
        HostName(name.0)
    }
}

fn identifier(text: &str) -> Result<String, Invalid> {
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Invalid(
            "1 to 64 letters, digits, '-', '_' or '.', beginning with a letter or digit",
        ))
    }
}

/// What may stand in a user part without an escape (RFC 3261 §25.1 `unreserved` and `user-unreserved`), so that an address
/// is read as it was written; but `;`, which begins parameters of the user part.
fn user_name(text: &str) -> Result<String, Invalid> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,?/".contains(&byte);
    match (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(Invalid(
            "1 to 64 letters, digits or characters of -_.!~*'()&=+$,?/ without the realm",
        )),
    }
}

fn assigned_form(text: &str) -> Result<String, Invalid> {
    const EXPECTED: Invalid = Invalid("a number as Teams has it, such as +12065550100;ext=1234 or +1001");
    let digits = |text: &str| (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let (main, extension) = match text.split_once(";ext=") {
        Some((main, extension)) => (main, Some(extension)),
        None => (text, None),
    };
    let fits = main.strip_prefix('+').is_some_and(digits) && extension.is_none_or(digits);
    fits.then(|| text.to_owned()).ok_or(EXPECTED)
}

fn uuid(text: &str) -> Result<String, Invalid> {
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let fits = text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(at, b)| if dash(at) { b == b'-' } else { b.is_ascii_hexdigit() });
    fits.then(|| text.to_ascii_lowercase())
        .ok_or(Invalid("a UUID such as 6f1c2b9e-8d3a-4a55-9b07-2f4f0e6a1c3d"))
}

fn host_name(text: &str) -> Result<String, Invalid> {
    if text.starts_with("*.") {
        return Err(Invalid("one host name, not a wildcard"));
    }
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Err(Invalid("a host name, not an IP address"));
    }
    let labels = text.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    let numeric_end = text
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if !labels || numeric_end || text.len() > 253 {
        return Err(Invalid("a host name such as sip.example.net"));
    }
    Ok(text.to_ascii_lowercase())
}

fn tenant_fqdn(text: &str) -> Result<String, Invalid> {
    if text.len() > 63 {
        return Err(Invalid("at most 63 characters: Teams takes no longer trunk name"));
    }
    let name = host_name(text)?;
    if !name.contains('.') {
        return Err(Invalid("a fully qualified name such as contoso.sbc1.example.net"));
    }
    if name.ends_with(".onmicrosoft.com") {
        return Err(Invalid(
            "a domain of your own: Teams refuses onmicrosoft.com as a trunk name",
        ));
    }
    Ok(name)
}

/// A password or another secret: usable, comparable, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Keeps `text` as a secret.
    pub fn new(text: &str) -> Secret {
        Secret(text.into())
    }

    /// The secret itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trunk_names_are_compared_without_case() {
        assert_eq!(
            TenantFqdn::parse("Contoso.SBC1.example.net"),
            TenantFqdn::parse("contoso.sbc1.example.net")
        );
    }

    #[test]
    fn one_label_in_front_of_another_name_is_derived_from_it() {
        let name = |text| TenantFqdn::parse(text).expect("a trunk name");
        let base = name("sbc1.example.net");
        assert!(name("contoso.sbc1.example.net").is_derived_from(&base));
        for other in [
            "sbc1.example.net",
            "a.b.sbc1.example.net",
            "xsbc1.example.net",
            "sbc.contoso.example",
        ] {
            assert!(!name(other).is_derived_from(&base), "{other}");
        }
    }

    #[test]
    fn what_is_no_trunk_name_says_why() {
        for (text, why) in [
            ("*.sbc1.example.net", "not a wildcard"),
            ("192.0.2.1", "not an IP address"),
            ("contoso", "fully qualified"),
            ("contoso.onmicrosoft.com", "onmicrosoft"),
            (
                "a-label-that-goes-on-and-on-and-on.another-one-that-does.example.net",
                "63 characters",
            ),
            ("-a.example.net", "host name"),
            ("a..example.net", "host name"),
            ("", "host name"),
        ] {
            let Err(Invalid(expected)) = TenantFqdn::parse(text) else {
                panic!("{text} was accepted")
            };
            assert!(expected.contains(why), "{text}: {expected}");
        }
    }

    #[test]
    fn a_derived_sid_is_a_uuid_and_stays() {
        let sid = Sid::derived("account/contoso");
        assert_eq!(Sid::parse(sid.as_str()), Ok(sid.clone()));
        assert_eq!(sid.as_str().as_bytes()[14], b'5', "{sid}");
        assert_eq!(sid.as_str(), "ccd61e07-00db-57d9-98af-48325090a28a");
        assert_ne!(sid, Sid::derived("account/fabrikam"));
        for wrong in [
            "",
            "6f1c2b9e8d3a4a559b072f4f0e6a1c3d",
            "6f1c2b9e-8d3a-4a55-9b07-2f4f0e6a1c3g",
        ] {
            assert!(Sid::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }

    #[test]
    fn a_stored_name_is_checked_again_when_read() {
        assert!(serde_json::from_str::<CarrierId>("\"north\"").is_ok());
        assert!(serde_json::from_str::<CarrierId>("\"../north\"").is_err());
    }
}
