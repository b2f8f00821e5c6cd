//! Gathering by the network: names, one OPTIONS to each hub on a connection of its own, our listener, the running node. Every wait
//! is bounded, and all of it together.

use super::world::{Answered, CertificateSeen, ConnectionSeen, HubSeen, NodeSeen, Online, PeerSeen};
use crate::cli::run::{dns_settings, teams_profile};
use crate::config::{Cloud, Config, HostName};
use crate::guard::{HubOptions, options_to_hubs, options_to_test_name};
use crate::net::Probe;
use crate::net::dns::Resolver;
use crate::net::tls::TlsProfile;
use crate::sip::Transport;
use crate::sip::locate::Target;
use crate::sip::message::HeaderName;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// For TCP and TLS to one hub.
const CONNECT: Duration = Duration::from_secs(5);
/// Addresses of one hub that are tried.
const MOST_ADDRESSES: usize = 3;
/// For one question to the admin listener.
const ADMIN: Duration = Duration::from_secs(3);
/// Of our own names so many are looked up: derived ones are mostly one wildcard.
const MOST_NAMES: usize = 50;
/// What the admin listener may answer with.
const MOST_READ: u64 = 16 << 20;

/// Looks at everything at once, within `limit`. Needs a tokio runtime.
pub async fn gather(config: &Arc<Config>, names: Vec<String>, limit: Duration) -> Result<Online, String> {
    let look = async {
        let resolver = Arc::new(Resolver::new(dns_settings(config)));
        let profile = teams_profile(config).map_err(|error| error.to_string());
        let names_left = names.len().saturating_sub(MOST_NAMES);
        let (own_names, hubs, test_name, listener, node) = tokio::join!(
            own_names(&resolver, names),
            hubs(config, &resolver, &profile),
            test_name(config, &resolver, &profile),
            listener(config),
            node(config),
        );
        Online {
            own_names,
            names_left,
            hubs,
            test_name,
            listener,
            node,
        }
    };
    let late = |_| format!("the network did not answer within {} s", limit.as_secs());
    timeout(limit, look).await.map_err(late)
}

async fn addresses(resolver: &Resolver, target: &Target) -> Result<Vec<SocketAddr>, String> {
    let answer = resolver.resolve(target).await.map_err(|error| error.to_string())?;
    Ok(answer.candidates.iter().map(|candidate| candidate.address).collect())
}

async fn own_names(resolver: &Arc<Resolver>, names: Vec<String>) -> BTreeMap<String, Result<Vec<IpAddr>, String>> {
    let mut looking = JoinSet::new();
    for name in names.into_iter().take(MOST_NAMES) {
        let resolver = resolver.clone();
        looking.spawn(async move {
            // With a port the addresses are asked for, and no SRV records, as Teams does.
            let found = match Target::new(&name) {
                Ok(target) => addresses(&resolver, &target.with_port(5_061).with_transport(Transport::Tls)).await,
                Err(error) => Err(error.to_string()),
            };
            (name, found.map(|found| found.iter().map(SocketAddr::ip).collect()))
        });
    }
    looking.join_all().await.into_iter().collect()
}

async fn hubs(config: &Config, resolver: &Arc<Resolver>, profile: &Result<TlsProfile, String>) -> Vec<HubSeen> {
    let mut asking = JoinSet::new();
    for (place, options) in options_to_hubs(config).into_iter().enumerate() {
        let (resolver, profile, from) = (resolver.clone(), profile.clone(), source(config));
        asking.spawn(async move { (place, hub(&resolver, profile, from, options).await) });
    }
    let mut seen = asking.join_all().await;
    seen.sort_by_key(|(place, _)| *place);
    seen.into_iter().map(|(_, hub)| hub).collect()
}

/// Nobody asks it where the hubs are simulated ones, unless it is one of these too.
async fn test_name(config: &Config, resolver: &Resolver, profile: &Result<TlsProfile, String>) -> Option<HubSeen> {
    let options = options_to_test_name(config)?;
    let is_pinned = |host: &HostName| config.sbc.dns.hosts.contains_key(host);
    let is_simulated = HostName::parse(&options.hub).is_ok_and(|name| is_pinned(&name));
    let mut hubs = config.sbc.teams.hubs.iter();
    let asks_microsoft = hubs.any(|hub| Cloud::of_hub(hub.host.as_str()).is_some() && !is_pinned(&hub.host));
    match is_simulated || asks_microsoft {
        true => Some(hub(resolver, profile.clone(), source(config), options).await),
        false => None,
    }
}

/// From where the node connects to hubs: firewalls let that in, and no other.
fn source(config: &Config) -> IpAddr {
    let teams = config.sbc.listener(config.sbc.teams.listener);
    teams.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |teams| teams.bind.ip())
}

async fn hub(resolver: &Resolver, profile: Result<TlsProfile, String>, from: IpAddr, options: HubOptions) -> HubSeen {
    let found = addresses(resolver, &options.target).await;
    let mut seen = HubSeen {
        peer: options.peer.to_string(),
        addresses: found
            .as_ref()
            .map(|found| found.iter().map(SocketAddr::ip).collect())
            .map_err(String::clone),
        connected: Err((
            "unknown".to_owned(),
            match &profile {
                Ok(_) => "its name leads nowhere".to_owned(),
                Err(why) => why.clone(),
            },
        )),
        answer: Err("there is no connection".to_owned()),
    };
    let (Ok(found), Ok(profile)) = (found, profile) else {
        return seen;
    };
    // As the node does: the next address where one is silent.
    let mut reached = None;
    for address in found.into_iter().take(MOST_ADDRESSES) {
        match Probe::connect(from, address, &profile, (&options.trunk, &options.hub), CONNECT).await {
            Err(failure) => seen.connected = Err((failure.label().to_owned(), format!("{address}: {failure}"))),
            Ok(probe) => {
                reached = Some((address, probe));
                break;
            }
        }
    }
    let Some((address, mut probe)) = reached else {
        return seen;
    };
    seen.connected = Ok(probe.tls.clone());
    let asked = Instant::now();
    let answer = probe.ask(&options.draft, options.timeout.min(CONNECT)).await;
    seen.answer = answer.map(|message| Answered {
        status: message.status().unwrap_or(0),
        reasons: message.headers(HeaderName::Reason).map(str::to_owned).collect(),
        server: message.header(HeaderName::Server).map(str::to_owned),
        milliseconds: u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    // In TLS 1.3 a server refuses our certificate only after the handshake is over for us.
    if let Err(why) = &seen.answer
        && let Some(refused) = refused_by_alert(why)
        && seen.connected.is_ok()
    {
        seen.connected = Err(("alert".to_owned(), format!("{address}: {refused}")));
    }
    seen
}

fn refused_by_alert(why: &str) -> Option<&str> {
    why.to_ascii_lowercase().contains("alert").then_some(why)
}

async fn listener(config: &Config) -> Result<(), String> {
    let teams = config.sbc.listener(config.sbc.teams.listener);
    let mut address = teams.ok_or("there is no Teams listener")?.bind;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    match timeout(ADMIN, TcpStream::connect(address)).await {
        // Whether it then listens to this machine is its door's business.
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!("{address}: no answer within {} s", ADMIN.as_secs())),
    }
}

#[derive(Deserialize)]
struct Health {
    up_seconds: u64,
}

#[derive(Deserialize)]
struct Peers {
    peers: Vec<PeerSeen>,
    #[serde(default)]
    heard_elsewhere_seconds_ago: Option<u64>,
}

#[derive(Deserialize)]
struct Connections {
    connections: Vec<ConnectionSeen>,
}

#[derive(Deserialize)]
struct Certificates {
    certificates: Vec<CertificateSeen>,
}

/// What the admin listener of the running node says.
async fn node(config: &Config) -> Result<NodeSeen, String> {
    let admin = config.sbc.admin.bind;
    let health: Health = ask(admin, "/healthz").await?;
    let peers: Peers = ask(admin, "/v1/peers").await?;
    let connections: Connections = ask(admin, "/v1/connections").await?;
    let certificates: Certificates = ask(admin, "/v1/certificates").await?;
    Ok(NodeSeen {
        up_seconds: health.up_seconds,
        peers: peers.peers,
        heard_elsewhere_seconds_ago: peers.heard_elsewhere_seconds_ago,
        connections: connections.connections,
        certificates: certificates.certificates,
    })
}

async fn ask<T: for<'de> Deserialize<'de>>(admin: SocketAddr, path: &str) -> Result<T, String> {
    let what = |why: String| format!("the admin listener {admin} does not tell {path}: {why}; is portcullis running?");
    let body = timeout(ADMIN, get(admin, path)).await;
    let body = body.map_err(|_| what(format!("no answer within {} s", ADMIN.as_secs())))?;
    let body = body.map_err(|error| what(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| what(error.to_string()))
}

/// HTTP/1.0: the body ends with the connection.
async fn get(admin: SocketAddr, path: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST_READ).read_to_end(&mut answer).await?;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let body = head.and_then(|head| answer.get(head + 4..));
    Ok(body.unwrap_or_default().to_vec())
}
