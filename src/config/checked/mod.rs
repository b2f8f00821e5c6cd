//! The configuration as meant: every value typed, every reference resolvable, every default filled in.
//!
//! A [`Config`] is immutable and cheap to share (`Arc`); a reload makes a new one. Calls keep the one they began with.

mod api;
mod application;
mod carrier;
mod machine;
mod teams;
mod tenant;
mod users;

pub use api::{Api, ApiToken};
pub use application::{
    Account, Application, ApplicationServers, Fallback, Hook, HookLogin, HookMethod, Speech, SpeechService,
    SpeechVendor,
};
pub use carrier::{
    BareNumbers, CallerHeader, CallerSource, Carrier, CarrierCaller, CarrierMedia, Codec, Credentials, Dtmf, Failover,
    Gateway, History, Identification, NumberFormat, NumberRule, NumberRules, PrivateCaller, Ringing, Tell,
};
pub use machine::{
    Admin, Cdr, ClientCertificate, Dns, Emergency, Guard, Host, Limits, Listener, ListenerTls, Log, LogFormat,
    LogLevel, Media, MediaAddressId, NamedMediaAddress, PortRange, Purpose, Roots, Sbc, Timers, TlsIdentity,
    UnknownSource,
};
pub use teams::{Cloud, Hub, Teams};
pub use tenant::{Destination, FromTeams, NumberEntry, OutsideCaller, Tenant};
pub use users::{Reach, Realm, RegistrarSettings, User, UserSecret};

use super::names::{CarrierId, Sid, TenantId};
use super::number::E164;
use super::number_index::NumberIndex;
use super::token::TokenDigest;
use std::collections::HashMap;
use std::sync::Arc;

/// Everything configured, consistent in itself.
#[derive(Debug, Clone)]
pub struct Config {
    /// Counts from 1; every applied reload adds 1.
    pub generation: u64,
    /// The machine: `sbc.toml`.
    pub sbc: Arc<Sbc>,
    /// The tenants, by id: `tenants/*.toml`.
    pub tenants: Arc<[Arc<Tenant>]>,
    pub(super) numbers: Arc<NumberIndex>,
    pub(super) names: Arc<TenantNames>,
}

/// Positions in `Config::tenants` by every name that means a tenant.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TenantNames {
    pub hosts: HashMap<Box<str>, usize>,
    pub domains: HashMap<Box<str>, usize>,
    pub realms: HashMap<Box<str>, usize>,
    /// By `account_sid`.
    pub accounts: HashMap<Box<str>, usize>,
    /// The owners of applications, by `application_sid`.
    pub applications: HashMap<Box<str>, usize>,
    pub tokens: HashMap<TokenDigest, usize>,
}

impl Config {
    /// The tenant whose trunk name or alias is `host` (a Request-URI host from Teams; case-blind, TEAMS-032).
    pub fn tenant_by_host(&self, host: &str) -> Option<&Arc<Tenant>> {
        self.by_name(&self.names.hosts, host)
    }

    /// The tenant that `name` means: one of its domains, its trunk name or an alias (case-blind).
    pub fn tenant_by_name(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.by_name(&self.names.domains, name)
            .or_else(|| self.tenant_by_host(name))
    }

    /// The tenant whose users register with `realm` (case-blind), and the realm.
    pub fn realm(&self, realm: &str) -> Option<(&Arc<Tenant>, &Realm)> {
        let tenant = self.by_name(&self.names.realms, realm)?;
        Some((tenant, tenant.realm.as_ref()?))
    }

    fn by_name(&self, names: &HashMap<Box<str>, usize>, name: &str) -> Option<&Arc<Tenant>> {
        // The root's dot changes no name (RFC 1034 §3.1).
        let name = name.strip_suffix('.').unwrap_or(name);
        let position = match names.get(name) {
            Some(position) => *position,
            None => *names.get(name.to_ascii_lowercase().as_str())?,
        };
        self.tenants.get(position)
    }

    /// The tenant whose account this is.
    pub fn account(&self, sid: &Sid) -> Option<&Arc<Tenant>> {
        self.tenants.get(*self.names.accounts.get(sid.as_str())?)
    }

    /// The application with this `application_sid`, and whose it is.
    pub fn application(&self, sid: &Sid) -> Option<(&Arc<Tenant>, &Arc<Application>)> {
        let tenant = self.tenants.get(*self.names.applications.get(sid.as_str())?)?;
        let application = tenant.account.applications.iter().find(|known| known.sid == *sid)?;
        Some((tenant, application))
    }

    /// The tenant that a token of the REST interface opens.
    pub fn tenant_by_token(&self, token: &TokenDigest) -> Option<&Arc<Tenant>> {
        self.tenants.get(*self.names.tokens.get(token)?)
    }

    /// The tenant with this id.
    pub fn tenant(&self, id: &TenantId) -> Option<&Arc<Tenant>> {
        let position = self.tenants.binary_search_by(|tenant| tenant.id.cmp(id)).ok()?;
        self.tenants.get(position)
    }

    /// Who owns `number`, and the entry that says so: an exact number before a range, the narrower range first.
    pub fn number(&self, number: E164) -> Option<(&Arc<Tenant>, &NumberEntry)> {
        let place = self.numbers.find(number)?;
        let tenant = self.tenants.get(place.tenant as usize)?;
        Some((tenant, tenant.numbers.get(place.entry as usize)?))
    }

    /// The carrier with this id.
    pub fn carrier(&self, id: &CarrierId) -> Option<&Arc<Carrier>> {
        self.sbc.carriers.iter().find(|carrier| carrier.id == *id)
    }
}
