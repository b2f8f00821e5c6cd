//! Users that register: the registrar of `sbc.toml` and the users of a tenant, as typed.

use super::{At, DurationText, SecretText};
use schemars::JsonSchema;
use serde::Deserialize;

/// Users that register here, of all tenants together.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRegistrar {
    /// File that bindings are kept in over a restart, and which emergency callers ELINs lead to. Relative paths begin at the
    /// configuration folder. Without it they are gone with the process, and users are unreachable until they register again.
    pub store: Option<At<String>>,
    /// A REGISTER that asks for less is refused with this in `Min-Expires`.
    #[schemars(extend("default" = "60s"))]
    pub min_expires: Option<At<DurationText>>,
    /// What a REGISTER gets that asks for more, or for nothing in particular.
    #[schemars(extend("default" = "1h"))]
    pub max_expires: Option<At<DurationText>>,
    /// The same for a user behind NAT over UDP, so that its REGISTERs keep the way open.
    #[schemars(extend("default" = "60s"))]
    pub nat_expires: Option<At<DurationText>>,
    /// Devices that one user may register at a time.
    #[schemars(range(min = 1, max = 100), extend("default" = 10))]
    pub bindings_per_user: Option<At<u32>>,
    /// Devices that one tenant's users may register at a time.
    #[schemars(range(min = 1), extend("default" = 10000))]
    pub bindings_per_tenant: Option<At<u32>>,
    /// A device that says nothing at all to an INVITE for this long is given up.
    #[schemars(extend("default" = "10s"))]
    pub response_timeout: Option<At<DurationText>>,
    /// Messages a second from one address, or IPv6 /64, to listeners of users: of what is above, datagrams are dropped unread,
    /// and connections are read on a second later. Datagrams, connections that are opened, and what is said on them before and
    /// after something was granted there count apart. A whole office may sit behind one address.
    #[schemars(range(min = 1), extend("default" = 200))]
    pub requests_per_source: Option<At<u32>>,
}

/// A user that registers with the tenant's realm.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawUser {
    /// The user part of its address, and its user name: `alice` of `alice@sip.contoso.example`. Case counts.
    pub name: At<String>,
    /// MD5 of `name:realm:password` in hexadecimal; `portcullis user` makes it. Either this, `ha1_sha256` or both.
    pub ha1_md5: Option<At<SecretText>>,
    /// SHA-256 of `name:realm:password` in hexadecimal.
    pub ha1_sha256: Option<At<SecretText>>,
    /// The number that it shows when it calls: one of the tenant's.
    pub number: Option<At<String>>,
    /// The name that it shows when it calls. Without it: what its device says.
    pub display: Option<At<String>>,
    /// Whom it may call: other users, Teams users, telephone numbers. Emergency numbers always.
    #[schemars(extend("default" = ["users", "teams", "phones"]))]
    pub may_call: Option<Vec<At<RawReach>>>,
    /// Its media is encrypted (SDES), and plain RTP is refused. Only over TLS does that keep a secret.
    #[schemars(extend("default" = false))]
    pub srtp: Option<At<bool>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum RawAlgorithm {
    #[serde(rename = "MD5")]
    Md5,
    #[serde(rename = "SHA-256")]
    Sha256,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum RawReach {
    Users,
    Teams,
    Phones,
}
