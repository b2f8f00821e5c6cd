//! `tenants/<name>.toml`: a customer.

use super::{Account, ApiToken, Limits, Realm, Teams};
use crate::config::destinations::Destinations;
use crate::config::names::{
    ApplicationName, AssignedForm, CarrierId, HostName, MediaAddressName, TenantFqdn, TenantId, UserName,
};
use crate::config::network::Network;
use crate::config::number::{E164, NumberSpan};
use std::collections::HashMap;

/// A tenant. Its numbers, names and carriers are nobody else's business (TEAMS-108).
#[derive(Debug, PartialEq, Eq)]
pub struct Tenant {
    pub id: TenantId,
    /// Its trunk name: Request-URI host from Teams, Contact host toward Teams (TEAMS-029, TEAMS-032).
    pub fqdn: TenantFqdn,
    /// Other trunk names that Teams may use for it.
    pub aliases: Vec<TenantFqdn>,
    pub domains: Vec<HostName>,
    /// Whom the tenant's users register with; `None`: it has none.
    pub realm: Option<Realm>,
    /// As applications and the REST interface see the tenant.
    pub account: Account,
    /// Where users inside the tenant's own network have their media, as far as Teams says who is.
    pub local_media: Option<MediaAddressName>,
    /// Media bypass on its trunk; `None`: as the machine.
    pub bypass: Option<bool>,
    /// Tried in order for calls out of Teams.
    pub carriers: Vec<CarrierId>,
    pub from_teams: FromTeams,
    /// Whether Teams may send REFER on its trunk; `None`: as on the node's own.
    pub refer: Option<bool>,
    /// Where the servers of `sip` targets may be, beside public addresses.
    pub allow_sip_networks: Vec<Network>,
    /// In the order of the file.
    pub numbers: Vec<NumberEntry>,
    /// Those that Teams knows in another form, by that.
    pub assigned: HashMap<AssignedForm, E164>,
    /// A call out of Teams whose caller number is not the tenant's.
    pub outside_caller: OutsideCaller,
    /// Its trunk has ForwardPai: what asks for privacy there stands in every call, and says nothing.
    pub forward_pai: bool,
    pub limits: Limits,
    /// Which telephone numbers its calls may reach.
    pub destinations: Destinations,
    /// They open the tenant's account of the REST interface.
    pub tokens: Vec<ApiToken>,
}

impl Tenant {
    /// The first number by itself that leads to the user `name`.
    pub fn number_of(&self, name: &UserName) -> Option<E164> {
        let leads = |entry: &&NumberEntry| matches!(&entry.to, Destination::User(user) if user == name);
        let single = self.numbers.iter().filter(|entry| entry.span.count() == 1);
        single.filter(leads).map(|entry| entry.span.first()).next()
    }

    /// The number that Teams knows in this form.
    pub fn number_assigned(&self, form: &str) -> Option<E164> {
        self.assigned.get(form).copied()
    }

    /// All of its trunk names, its own one first.
    pub fn trunks(&self) -> impl Iterator<Item = &TenantFqdn> + Clone {
        std::iter::once(&self.fqdn).chain(&self.aliases)
    }

    /// Its emergency location identification numbers.
    pub fn elins(&self) -> impl Iterator<Item = &NumberEntry> {
        self.numbers.iter().filter(|entry| entry.elin)
    }

    /// Whether media of its trunk bypass Microsoft's media processors.
    pub fn bypasses(&self, teams: &Teams) -> bool {
        self.bypass.unwrap_or(teams.bypass)
    }

    /// Whether `number` is one of the tenant's.
    pub fn owns(&self, number: E164) -> bool {
        self.numbers.iter().any(|entry| entry.span.contains(number))
    }
}

/// What decides about calls out of Teams.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FromTeams {
    /// The tenant's carriers in order.
    Carriers,
    /// An application of the tenant. Emergency calls never get there.
    Application(ApplicationName),
}

/// Numbers of a tenant and where calls to them go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NumberEntry {
    pub span: NumberSpan,
    pub to: Destination,
    /// How Teams knows the number, where that is not its E.164 form (TEAMS-040).
    pub assigned: Option<AssignedForm>,
    /// It may stand for the location of an emergency caller.
    pub elin: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The Teams user who has the number.
    Teams,
    /// That user's voicemail, without ringing (TEAMS-068).
    TeamsVoicemail,
    /// A number that lives on a PBX or another trunk, while its owner moves to Teams.
    Carrier(CarrierId),
    /// A user that registers with the tenant's realm.
    User(UserName),
    /// An application of the tenant is asked.
    Application(ApplicationName),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutsideCaller {
    /// 403.
    Refuse,
    /// This number of the tenant is shown instead.
    Replace(E164),
}
