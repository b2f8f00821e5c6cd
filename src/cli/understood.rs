//! What was understood of a right configuration.

use crate::config::{Carrier, Cloud, Config, Media, NumberSpan, Purpose, Tenant};
use crate::media::MediaAddress;
use serde_json::{Value, json};
use std::io::{self, Write};

/// For people.
pub(super) fn summary(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let sbc = &config.sbc;
    writeln!(out, "The configuration is right.")?;
    for listener in &sbc.listeners {
        let purpose = purpose(listener.purpose);
        let (host, port) = (&listener.advertise, listener.advertise_port);
        writeln!(
            out,
            "  listener {} for {purpose}: {} {}, known as {host}:{port}",
            listener.name, listener.transport, listener.bind
        )?;
    }
    let media = &sbc.media;
    let (first, last) = (media.ports.first, media.ports.last);
    for (what, address) in named_media(media) {
        let name = what.strip_prefix("[media]").map_or(what.as_str(), |_| "media");
        writeln!(
            out,
            "  {name} {} ports {first}-{last}, known as {}",
            address.bind, address.advertise
        )?;
    }
    let hubs: Vec<String> = sbc
        .teams
        .hubs
        .iter()
        .map(|hub| format!("{}:{}", hub.host, hub.port))
        .collect();
    let bases: Vec<&str> = sbc.teams.bases().map(|base| base.as_str()).collect();
    let (trunks, cloud) = (if bases.len() == 1 { "trunk" } else { "trunks" }, sbc.teams.cloud);
    let cloud = match cloud {
        Cloud::Commercial => String::new(),
        Cloud::GccHigh | Cloud::Dod => format!(" in the cloud {}", cloud.name()),
    };
    writeln!(
        out,
        "  Teams {trunks} {}{cloud} by {}",
        bases.join(", "),
        hubs.join(", ")
    )?;
    for carrier in &sbc.carriers {
        let networks: Vec<String> = carrier.identify.networks.iter().map(ToString::to_string).collect();
        let gateways: Vec<String> = carrier
            .gateways
            .iter()
            .map(|gateway| match gateway.port {
                Some(port) => format!("{} {}:{port}", gateway.transport, gateway.host),
                None => format!("{} {}", gateway.transport, gateway.host),
            })
            .collect();
        let list = |items: Vec<String>| {
            if items.is_empty() {
                "nowhere".to_owned()
            } else {
                items.join(", ")
            }
        };
        writeln!(
            out,
            "  carrier {}: from {}, to {}",
            carrier.id,
            match (&carrier.identify.digest, networks.is_empty()) {
                (Some(digest), true) => format!("anywhere as {} by its password", digest.username),
                (Some(digest), false) => format!("{} as {} by its password", list(networks), digest.username),
                (None, _) => list(networks),
            } + &certified(carrier),
            list(gateways)
        )?;
    }
    let emergency: Vec<&str> = sbc.emergency.numbers.iter().map(|number| number.as_str()).collect();
    writeln!(out, "  emergency numbers {}", emergency.join(", "))?;
    writeln!(
        out,
        "  {}, {}",
        count(config.tenants.len() as u64, "tenant"),
        count(all_numbers(config), "number")
    )?;
    // A long list helps nobody.
    for tenant in config.tenants.iter().take(10) {
        let own = numbers(tenant);
        let carriers: Vec<&str> = tenant.carriers.iter().map(|id| id.as_str()).collect();
        writeln!(
            out,
            "    {} as {}: {}, out by {}",
            tenant.id,
            tenant.fqdn,
            count(own, "number"),
            carriers.join(", ")
        )?;
    }
    if let Some(more) = config.tenants.len().checked_sub(10).filter(|more| *more > 0) {
        writeln!(out, "    and {more} more")?;
    }
    Ok(())
}

/// For scripts.
pub(super) fn summary_json(config: &Config) -> Value {
    let listeners: Vec<Value> = config
        .sbc
        .listeners
        .iter()
        .map(|listener| {
            json!({
                "name": listener.name, "purpose": purpose(listener.purpose), "transport": listener.transport,
                "bind": listener.bind, "advertise": format!("{}:{}", listener.advertise, listener.advertise_port),
            })
        })
        .collect();
    let carriers: Vec<&str> = config.sbc.carriers.iter().map(|carrier| carrier.id.as_str()).collect();
    json!({
        "right": true,
        "base": config.sbc.teams.base,
        "further_bases": config.sbc.teams.further_bases,
        "cloud": config.sbc.teams.cloud.name(),
        "listeners": listeners,
        "carriers": carriers,
        "tenants": config.tenants.len(),
        "numbers": all_numbers(config),
    })
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Teams => "Teams",
        Purpose::Carrier => "carriers",
        Purpose::Users => "users",
    }
}

/// Those of all tenants, no two of which share any.
fn all_numbers(config: &Config) -> u64 {
    config.tenants.iter().map(|tenant| numbers(tenant)).sum()
}

fn numbers(tenant: &Tenant) -> u64 {
    NumberSpan::count_all(tenant.numbers.iter().map(|entry| entry.span))
}

fn count(number: u64, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

/// Where media are, and what that is called in `sbc.toml`.
pub(super) fn named_media(media: &Media) -> impl Iterator<Item = (String, MediaAddress)> {
    let further = media.further.iter();
    let named = further.map(|further| (format!("media address {}", further.name), further.address));
    [("[media]".to_owned(), media.address)].into_iter().chain(named)
}

/// What its certificate has to say, where one is asked for.
fn certified(carrier: &Carrier) -> String {
    let names: Vec<&str> = carrier.identify.client_names.iter().map(|name| name.as_str()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(" with a certificate for {}", names.join(" or ")),
    }
}
