//! What a trunk has to be set to in Teams: by the script that pairs it, and by the comparison with what is there.

use super::signaling::signaling_port;
use crate::config::{Carrier, CarrierId, Config, Tenant, TenantFqdn};

/// A trunk that stands in some Microsoft tenant by itself.
#[derive(Debug)]
pub(super) struct Gateway<'c> {
    pub name: &'c TenantFqdn,
    /// It is the carrier's, for all whose names are below it.
    pub is_carriers: bool,
    pub port: u16,
    pub bypass: bool,
    /// Above 90 % of so many calls the admin centre warns.
    pub calls: Option<u32>,
    /// Some tenant of it has it on.
    pub forward_pai: bool,
    /// Some carrier gets an emergency caller's location, or the number in it.
    pub location: bool,
    /// Some tenant of it has media inside its own network.
    pub local_media: bool,
    pub ipv6: bool,
    /// Whose calls go over it.
    pub tenants: Vec<&'c Tenant>,
}

impl<'c> Gateway<'c> {
    /// The gateways that `tenant` needs: the carriers' that its names are below, then those of names of its own.
    pub fn all_for(config: &'c Config, tenant: &'c Tenant) -> Vec<Gateway<'c>> {
        let teams = &config.sbc.teams;
        let mut names: Vec<&TenantFqdn> = Vec::new();
        for name in tenant.trunks() {
            let name = teams.base_of(name).unwrap_or(name);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let (mut carriers, own): (Vec<_>, Vec<_>) = names
            .into_iter()
            .map(|name| Gateway::of(config, name))
            .partition(|gateway| gateway.is_carriers);
        carriers.extend(own);
        carriers
    }

    fn of(config: &'c Config, name: &'c TenantFqdn) -> Gateway<'c> {
        let sbc = &config.sbc;
        let is_carriers = sbc.teams.is_base(name.as_str());
        let goes_over = |trunk: &TenantFqdn| match is_carriers {
            true => sbc.teams.base_of(trunk) == Some(name),
            false => trunk == name,
        };
        let tenants: Vec<&Tenant> = config
            .tenants
            .iter()
            .map(|tenant| &**tenant)
            .filter(|tenant| tenant.trunks().any(goes_over))
            .collect();
        let owner = tenants.first().filter(|_| !is_carriers);
        Gateway {
            name,
            is_carriers,
            port: signaling_port(config),
            bypass: owner.map_or(sbc.teams.bypass, |tenant| tenant.bypasses(&sbc.teams)),
            calls: owner.map_or(sbc.guard.limits.calls, |tenant| tenant.limits.calls),
            forward_pai: tenants.iter().any(|tenant| tenant.forward_pai),
            location: tenants.iter().any(|tenant| locates(config, tenant)),
            local_media: tenants.iter().any(|tenant| tenant.local_media.is_some()),
            // Both signalling and media have to be of the version that is set (TEAMS-020).
            ipv6: sbc.media_of(sbc.teams.listener).advertise.is_ipv6(),
            tenants,
        }
    }

    /// As `-IPAddressVersion` has it.
    pub const fn ip_version(&self) -> &'static str {
        if self.ipv6 { "IPv6" } else { "IPv4" }
    }
}

/// Whether a carrier that gets the tenant's emergency calls is told of the caller's place.
fn locates(config: &Config, tenant: &Tenant) -> bool {
    let emergency = &config.sbc.emergency;
    let is_told = |carrier: &Carrier| carrier.pass_location || carrier.elin;
    let mut carriers = emergency.carriers.iter().chain(&tenant.carriers);
    !emergency.numbers.is_empty()
        && carriers.any(|id: &CarrierId| config.carrier(id).is_some_and(|carrier| is_told(carrier)))
}
