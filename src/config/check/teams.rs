//! `[teams]`.

use super::listener::{client_certificate, roots};
use super::machine::host_and_port;
use super::reader::Reader;
use crate::config::checked::{ClientCertificate, Cloud, Host, Hub, Listener, Purpose, Roots, Teams};
use crate::config::names::{HostName, TenantFqdn};
use crate::config::network::Network;
use crate::config::raw::{At, RawCloud, RawTeams};
use std::time::Duration;

/// Removed on 1 June 2022.
const WITHDRAWN_HUB: &str = "sip-all.pstnhub.microsoft.com";
/// Teams' own Min-SE is this.
const SHORTEST_OFFERED: Duration = Duration::from_secs(300);

/// How this node speaks with Teams, or `None` when something was wrong. The names of its trunks, and `listeners`, are `None`
/// when those were wrong.
pub fn check(
    raw: &At<RawTeams>,
    (base, further_bases): (Option<TenantFqdn>, Option<Vec<TenantFqdn>>),
    listeners: Option<&[Listener]>,
    reader: &mut Reader<'_>,
) -> Option<Teams> {
    let raw = raw.value();
    let cloud = raw
        .cloud
        .as_ref()
        .map_or(Cloud::Commercial, |cloud| known(*cloud.value()));
    let hubs = hubs(raw, cloud, reader);
    let networks = match &raw.networks {
        Some(networks) => reader.parse_list(networks, "network", Network::parse),
        None => Some(cloud.networks()),
    };
    let options_interval = reader.duration(raw.options_interval.as_ref(), Duration::from_secs(60));
    let options_timeout = reader.duration(raw.options_timeout.as_ref(), Duration::from_secs(10));
    let hold_down = reader.duration(raw.hold_down.as_ref(), Duration::from_secs(30));
    let response_timeout = reader.duration(raw.response_timeout.as_ref(), Duration::from_secs(4));
    let progress_timeout = reader.duration(raw.progress_timeout.as_ref(), Duration::from_secs(15));
    let patience = reader.duration(raw.patience.as_ref(), Duration::from_secs(9));
    let session_expires = reader.duration(raw.session_expires.as_ref(), Duration::from_secs(1800));
    let min_se = reader.duration(raw.min_se.as_ref(), SHORTEST_OFFERED);
    if let (Some(least), Some(text)) = (min_se, &raw.min_se)
        && least < Duration::from_secs(90)
    {
        reader.fault_expecting(
            text.span(),
            "a session timer that short is refused",
            "at least 90s (RFC 4028 §4)",
        );
    }
    if let (Some(expires), Some(text)) = (session_expires, &raw.session_expires)
        && expires < SHORTEST_OFFERED
    {
        reader.fault_expecting(
            text.span(),
            "Teams is offered no session timer that short",
            "at least 5m (TEAMS-075)",
        );
    } else if let (Some(expires), Some(least)) = (session_expires, min_se)
        && expires < least
        && let Some(text) = raw.session_expires.as_ref().or(raw.min_se.as_ref())
    {
        reader.fault_expecting(
            text.span(),
            "`session_expires` is shorter than `min_se`",
            "at least `min_se`",
        );
    }
    let product = match &raw.product {
        None => Some(concat!("Portcullis/portcullis/", env!("CARGO_PKG_VERSION")).to_owned()),
        Some(text) => {
            let parts: Vec<&str> = text.value().split('/').collect();
            let plain = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic());
            let fits = parts.len() == 3 && parts.iter().all(plain);
            if !fits {
                reader.fault_expecting(
                    text.span(),
                    format!("{:?} is no product", text.value()),
                    "Vendor/Product/Version without spaces",
                );
            }
            fits.then(|| text.value().clone())
        }
    };
    let roots = roots(raw.roots.as_ref(), Roots::Teams, reader);
    let listener = listeners?.iter().find(|listener| listener.purpose == Purpose::Teams);
    if let (Some(typed), Some(listener), Some(port)) = (&raw.cloud, listener, cloud.port())
        && listener.advertise_port != port
    {
        let message = format!(
            "that cloud connects to port {port} alone, and the listener for Teams is known by {}",
            listener.advertise_port
        );
        let expected = format!(
            "`bind` of the listener with port {port}, or `advertise` with `:{port}` where a firewall leads it there"
        );
        reader.fault_expecting(typed.span(), message, expected);
    }
    Some(Teams {
        cloud,
        base: base?,
        further_bases: further_bases?,
        listener: listener?.id,
        hubs: hubs?,
        client_certificate: client_certificate(raw.client_certificate.as_ref(), ClientCertificate::Require),
        roots,
        networks: networks?,
        options_interval: options_interval?,
        ner_alert: raw.ner_alert.as_ref().map_or(90, |percent| *percent.value()),
        options_without_carriers: raw.options_without_carriers.as_ref().is_none_or(|asked| *asked.value()),
        options_timeout: options_timeout?,
        options_failures: raw.options_failures.as_ref().map_or(3, |failures| *failures.value()),
        hold_down: hold_down?,
        response_timeout: response_timeout?,
        progress_timeout: progress_timeout?,
        patience: patience?,
        session_expires: session_expires?,
        min_se: min_se?,
        bypass: raw.bypass.as_ref().is_some_and(|bypass| *bypass.value()),
        refer: raw.refer.as_ref().is_none_or(|refer| *refer.value()),
        product: product?,
    })
}

fn known(cloud: RawCloud) -> Cloud {
    match cloud {
        RawCloud::Commercial => Cloud::Commercial,
        RawCloud::GccHigh => Cloud::GccHigh,
        RawCloud::Dod => Cloud::Dod,
    }
}

fn hubs(raw: &RawTeams, cloud: Cloud, reader: &mut Reader<'_>) -> Option<Vec<Hub>> {
    let Some(list) = &raw.hubs else {
        return cloud.hubs().iter().copied().map(Hub::published).collect();
    };
    let texts = list.value();
    if texts.is_empty() {
        reader.fault_expecting(
            list.span(),
            "`hubs` is empty",
            "at least one, or no `hubs` for those that Microsoft publishes",
        );
    }
    let is_unclear = raw.cloud.as_ref().is_some_and(|cloud| reader.is_mended(&cloud.span()));
    let hubs: Vec<Option<Hub>> = texts
        .iter()
        .map(|text| {
            let hub = host_and_port(text, "hub", reader)?;
            match hub.host {
                Host::Name(host) if host.as_str() == WITHDRAWN_HUB => {
                    reader.fault_expecting(
                        text.span(),
                        "Microsoft withdrew this name in 2022",
                        Cloud::Commercial.hubs().join(", "),
                    );
                    None
                }
                Host::Name(host) if Cloud::is_test_name(host.as_str()) => {
                    reader.fault_expecting(
                        text.span(),
                        "this name is for tests by OPTIONS, and takes no calls",
                        cloud.hubs().join(", "),
                    );
                    None
                }
                Host::Name(host) => {
                    if !is_unclear {
                        of_this_cloud(&host, cloud, text, reader);
                    }
                    Some(Hub {
                        host,
                        port: hub.port.unwrap_or(Hub::PORT),
                    })
                }
                Host::Address(_) => {
                    let expected =
                        "a host name: Microsoft's addresses change, and the name is what its certificate proves";
                    reader.fault_expecting(text.span(), "a hub can't be an address", expected);
                    None
                }
            }
        })
        .collect();
    for (position, (text, hub)) in texts.iter().zip(&hubs).enumerate() {
        if hub.is_some() && hubs.iter().take(position).any(|other| other == hub) {
            reader.fault_expecting(
                text.span(),
                format!("{:?} is here twice", text.value()),
                "each hub once",
            );
        }
    }
    hubs.into_iter()
        .collect::<Option<Vec<_>>>()
        .filter(|hubs| !hubs.is_empty())
}

/// A hub of another cloud would be called under the rules of this one: port, ranges and certificates differ.
fn of_this_cloud(host: &HostName, cloud: Cloud, text: &At<String>, reader: &mut Reader<'_>) {
    if let Some(other) = Cloud::of_hub(host.as_str()).filter(|other| *other != cloud) {
        reader.fault_expecting(
            text.span(),
            format!("{host} is of another cloud, and `cloud` is \"{}\"", cloud.name()),
            format!("cloud = \"{}\", which knows its hubs by itself", other.name()),
        );
    }
}
