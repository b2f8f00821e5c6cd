//! One walk through the records of a target: NAPTR, SRV, addresses (RFC 3263 §4).

use super::cache::Asked;
use super::error::{Cause, DnsError};
use super::settings::{Servers, Settings};
use crate::sip::locate::{
    Found, Naptr, Replacement, Route, Service, Srv, SrvQuery, SrvTarget, Start, Target, pick_services, srv_queries,
};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;
use trust_dns_resolver::TokioResolver;
use trust_dns_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use trust_dns_resolver::net::runtime::TokioRuntimeProvider;
use trust_dns_resolver::net::{DnsError as WireError, NetError};
use trust_dns_resolver::proto::rr::{Name, RData, RecordType};

/// How long the slower family is waited for once the other has answered (RFC 8305 §3).
const FAMILY_DELAY: Duration = Duration::from_millis(50);
/// How long an answer counts that the slower family is missing from: who listens on that alone is not to miss it for long.
const PARTIAL_TTL: Duration = Duration::from_secs(30);

/// How far a walk came along NAPTR, SRV, addresses. A later step of the ladder says less about the domain's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rung {
    Address,
    Srv,
    Naptr,
}

/// What a walk brought home.
#[derive(Debug)]
pub(super) struct Harvest {
    pub(super) found: Found,
    /// Time until the first of the used records runs out, as its server says.
    pub(super) ttl: Duration,
    pub(super) rung: Rung,
    /// The failure of a higher rung, when there was one: an older answer from that rung is worth more.
    pub(super) failed: Option<DnsError>,
}

/// The name servers, ready to be asked.
pub(super) struct NameServers {
    resolver: Result<TokioResolver, String>,
    text: Arc<str>,
}

impl NameServers {
    /// Reads the system's configuration where the settings say so. Never fails: a node whose configuration has only
    /// addresses runs without DNS, others get the reason with every answer.
    pub(super) fn open(settings: &Settings) -> NameServers {
        let provider = TokioRuntimeProvider::default();
        let builder = match &settings.servers {
            Servers::System => TokioResolver::builder(provider).map_err(|error| format!("/etc/resolv.conf: {error}")),
            Servers::Listed(list) if list.is_empty() => Err("`dns.servers` is empty".to_owned()),
            Servers::Listed(list) => {
                let servers = list.iter().map(|address| {
                    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                    connections
                        .iter_mut()
                        .for_each(|connection| connection.port = address.port());
                    NameServerConfig::new(address.ip(), true, connections)
                });
                let config = ResolverConfig::from_name_servers(servers.collect());
                Ok(TokioResolver::builder_with_config(config, provider))
            }
        };
        let resolver = builder.and_then(|mut builder| {
            let options = builder.options_mut();
            // Our own cache decides what is fresh: one below it would hand back answers past our ceiling.
            options.cache_size = 0;
            options.timeout = settings.server_timeout;
            options.attempts = 1;
            builder.build().map_err(|error| error.to_string())
        });
        let text = match &settings.servers {
            Servers::System => "the servers of /etc/resolv.conf".into(),
            Servers::Listed(list) => list
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
                .into(),
        };
        NameServers { resolver, text }
    }

    /// The servers as text.
    pub(super) fn text(&self) -> Arc<str> {
        self.text.clone()
    }
}

/// Why one question brought no records.
enum Miss {
    /// The answer was: none.
    Nothing(Cause),
    /// There was no answer.
    Failed(Cause),
    /// SRV records are there, but lead nowhere: the name's own addresses must not be tried instead (RFC 2782).
    DeadEnd(Cause),
}

impl Miss {
    fn cause(self) -> Cause {
        match self {
            Miss::Nothing(cause) | Miss::Failed(cause) | Miss::DeadEnd(cause) => cause,
        }
    }
}

/// Who says that a question brought no records.
enum Refused {
    Here(Miss),
    /// The name servers, or the way to them.
    There(NetError),
}

/// A set of records of one type, with the shortest TTL among them.
struct Records<T> {
    records: Vec<T>,
    ttl: Duration,
}

/// A walk in progress: it remembers what it asked.
pub(super) struct Walk<'a> {
    servers: &'a NameServers,
    settings: &'a Settings,
    target: &'a Target,
    asked: Asked,
    ttl: Duration,
    /// One of its questions was answered with a "no" that had no SOA record.
    without_soa: AtomicBool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(servers: &'a NameServers, settings: &'a Settings, target: &'a Target, asked: Asked) -> Walk<'a> {
        Walk {
            servers,
            settings,
            target,
            asked,
            ttl: Duration::MAX,
            without_soa: AtomicBool::new(false),
        }
    }

    /// Walks from `start` to addresses.
    pub(super) async fn run(mut self, start: Start) -> Result<Harvest, DnsError> {
        match start {
            Start::Address { transport, address } => {
                let port = address.port();
                let services = vec![Service::Addresses {
                    transport,
                    port,
                    addresses: vec![address.ip()],
                }];
                Ok(self.harvest(services, Rung::Address, None))
            }
            Start::Addresses { name, route } => self.addresses_only(&name, route, None).await,
            Start::Srv { query, fallback } => {
                let name = self.target.host.to_string();
                self.srv_then_addresses(vec![query], &name, fallback, None).await
            }
            Start::Naptr { name, fallback } => {
                let failed = match self.naptr(&name).await {
                    Ok(records) => {
                        let mut picked = pick_services(&records.records, self.target, &self.settings.spoken);
                        picked.truncate(self.settings.most_naptr);
                        if !picked.is_empty() {
                            self.ttl = self.ttl.min(records.ttl);
                            return self.follow(picked).await;
                        }
                        None
                    }
                    Err(Miss::Nothing(_)) => None,
                    // Servers that fail only on record types they don't know are common: go on, but remember.
                    Err(miss) => Some(self.error(miss.cause())),
                };
                let queries = srv_queries(self.target, &name, &self.settings.spoken);
                self.srv_then_addresses(queries, &name, fallback, failed).await
            }
        }
    }

    /// Follows what the NAPTR records named.
    async fn follow(mut self, picked: Vec<Replacement>) -> Result<Harvest, DnsError> {
        let mut services = Vec::new();
        let mut worst = None;
        let walk = &self;
        let found = all(picked.into_iter().map(|replacement| async move {
            match replacement {
                Replacement::Srv(query) => walk.srv_service(query).await,
                Replacement::Addresses { transport, name } => {
                    walk.address_service(&name, Route::default_for(transport)).await
                }
            }
        }))
        .await;
        for service in found {
            match service {
                Ok((service, ttl)) => {
                    self.ttl = self.ttl.min(ttl);
                    services.push(service);
                }
                Err(miss) => worst = Some(graver(worst, miss)),
            }
        }
        let failed = worst.map(|miss| self.error(miss.cause()));
        match (services.is_empty(), failed) {
            (true, Some(error)) => Err(error),
            (true, None) => Err(self.error(Cause::NoRecords)),
            (false, failed) => {
                let temporary = failed.filter(|error| error.cause.is_temporary());
                Ok(self.harvest(services, Rung::Naptr, temporary))
            }
        }
    }

    async fn srv_then_addresses(
        mut self,
        queries: Vec<SrvQuery>,
        name: &str,
        fallback: Route,
        failed: Option<DnsError>,
    ) -> Result<Harvest, DnsError> {
        let mut services = Vec::new();
        let mut worst = None;
        for service in all(queries.into_iter().map(|query| self.srv_service(query))).await {
            match service {
                Ok((service, ttl)) => {
                    self.ttl = self.ttl.min(ttl);
                    services.push(service);
                }
                Err(Miss::Nothing(_)) => {}
                Err(miss) => worst = Some(graver(worst, miss)),
            }
        }
        match (services.is_empty(), worst) {
            (false, worst) => {
                let failed = worst
                    .map(|miss| self.error(miss.cause()))
                    .filter(|e| e.cause.is_temporary())
                    .or(failed);
                Ok(self.harvest(services, Rung::Srv, failed))
            }
            (true, Some(Miss::DeadEnd(cause))) => Err(self.error(cause)),
            (true, worst) => {
                let failed = worst.map(|miss| self.error(miss.cause())).or(failed);
                self.addresses_only(name, fallback, failed).await
            }
        }
    }

    async fn addresses_only(mut self, name: &str, route: Route, failed: Option<DnsError>) -> Result<Harvest, DnsError> {
        match self.address_service(name, route).await {
            Ok((service, ttl)) => {
                self.ttl = self.ttl.min(ttl);
                Ok(self.harvest(vec![service], Rung::Address, failed))
            }
            Err(Miss::Failed(cause) | Miss::DeadEnd(cause)) => Err(self.error(cause)),
            // A failure on the way matters more than the missing last resort.
            Err(Miss::Nothing(cause)) => Err(failed.map_or_else(|| self.error(cause), |first| self.error(first.cause))),
        }
    }

    fn harvest(self, services: Vec<Service>, rung: Rung, failed: Option<DnsError>) -> Harvest {
        Harvest {
            found: Found { services },
            ttl: self.ttl,
            rung,
            failed,
        }
    }

    fn error(&self, cause: Cause) -> DnsError {
        DnsError {
            target: self.target.to_string(),
            asked: self.asked.list(),
            servers: self.servers.text(),
            cause,
            without_soa: self.without_soa.load(Relaxed),
        }
    }

    async fn naptr(&self, name: &str) -> Result<Records<Naptr>, Miss> {
        self.ask(name, RecordType::NAPTR, |data| match data {
            RData::NAPTR(naptr) => Some(Naptr {
                order: naptr.order,
                preference: naptr.preference,
                flags: String::from_utf8_lossy(&naptr.flags).into_owned(),
                services: String::from_utf8_lossy(&naptr.services).into_owned(),
                replacement: plain(&naptr.replacement),
            }),
            _ => None,
        })
        .await
    }

    async fn srv_service(&self, query: SrvQuery) -> Result<(Service, Duration), Miss> {
        let found = self
            .ask(&query.name, RecordType::SRV, |data| match data {
                RData::SRV(srv) => {
                    let target = plain(&srv.target);
                    Some(Srv {
                        priority: srv.priority,
                        weight: srv.weight,
                        port: srv.port,
                        target,
                    })
                }
                _ => None,
            })
            .await?;
        let mut records = found.records;
        records.retain(|srv| !srv.target.is_empty());
        if records.is_empty() {
            return Err(Miss::DeadEnd(Cause::NotOffered));
        }
        records.sort_by_key(|srv| srv.priority);
        records.truncate(self.settings.most_srv);
        let mut ttl = found.ttl;
        let addresses = all(records.iter().map(|record| self.addresses(&record.target))).await;
        let mut targets = Vec::with_capacity(records.len());
        let mut worst = None;
        for (record, addresses) in records.into_iter().zip(addresses) {
            match addresses {
                Ok(addresses) => {
                    ttl = ttl.min(addresses.ttl);
                    targets.push(SrvTarget {
                        record,
                        addresses: addresses.records,
                    });
                }
                Err(miss) => worst = Some(graver(worst, miss)),
            }
        }
        match worst {
            Some(miss) if targets.is_empty() => Err(Miss::DeadEnd(miss.cause())),
            _ => Ok((
                Service::Srv {
                    transport: query.transport,
                    targets,
                },
                ttl,
            )),
        }
    }

    async fn address_service(&self, name: &str, route: Route) -> Result<(Service, Duration), Miss> {
        let Records {
            records: addresses,
            ttl,
        } = self.addresses(name).await?;
        Ok((
            Service::Addresses {
                transport: route.transport,
                port: route.port,
                addresses,
            },
            ttl,
        ))
    }

    /// A and AAAA side by side; one family's failure doesn't hide the other's answer.
    async fn addresses(&self, name: &str) -> Result<Records<IpAddr>, Miss> {
        let families = self.settings.families;
        let ip = |data: &RData| data.ip_addr();
        let wanted = [
            (families.wants_v4(), RecordType::A),
            (families.wants_v6(), RecordType::AAAA),
        ];
        wanted
            .iter()
            .filter(|(on, _)| *on)
            .for_each(|(_, kind)| self.note(name, *kind));
        let mut v4 = std::pin::pin!(self.look_up(name, RecordType::A, ip));
        let mut v6 = std::pin::pin!(self.look_up(name, RecordType::AAAA, ip));
        let (v4, v6) = match (families.wants_v4(), families.wants_v6()) {
            (true, false) => (Some(v4.await), None),
            (false, _) => (None, Some(v6.await)),
            (true, true) => tokio::select! {
                first = &mut v4 => match &first {
                    Ok(_) => { let second = timeout(FAMILY_DELAY, v6).await.ok(); (Some(first), second) }
                    Err(_) => (Some(first), Some(v6.await)),
                },
                first = &mut v6 => match &first {
                    Ok(_) => { let second = timeout(FAMILY_DELAY, v4).await.ok(); (second, Some(first)) }
                    Err(_) => (Some(v4.await), Some(first)),
                },
            },
        };
        let was_left_out = families.wants_v4() && families.wants_v6() && (v4.is_none() || v6.is_none());
        let mut all = Records {
            records: Vec::new(),
            ttl: if was_left_out { PARTIAL_TTL } else { Duration::MAX },
        };
        let mut worst = None;
        for half in [v4, v6].into_iter().flatten() {
            match half {
                Ok(mut half) => {
                    half.records.truncate(self.settings.most_addresses);
                    all.records.append(&mut half.records);
                    all.ttl = all.ttl.min(half.ttl);
                }
                Err(miss) => worst = Some(graver(worst, miss)),
            }
        }
        match (all.records.is_empty(), worst) {
            (false, _) => Ok(all),
            (true, worst) => Err(worst.unwrap_or(Miss::Nothing(Cause::NoRecords))),
        }
    }

    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Records<T>, Miss> {
        self.note(name, kind);
        self.look_up(name, kind, pick).await
    }

    async fn look_up<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Records<T>, Miss> {
        self.servers
            .lookup(name, kind, pick)
            .await
            .map_err(|refused| match refused {
                Refused::Here(miss) => miss,
                Refused::There(error) => {
                    self.without_soa.fetch_or(is_no_without_soa(&error), Relaxed);
                    miss(error)
                }
            })
    }

    fn note(&self, name: &str, kind: RecordType) {
        self.asked.note(format!("{kind} {name}"));
    }
}

impl NameServers {
    async fn lookup<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Records<T>, Refused> {
        let resolver = self
            .resolver
            .as_ref()
            .map_err(|why| Refused::Here(Miss::Failed(Cause::NoServers(why.clone()))))?;
        // The search list is for names without a dot, as hosts of a container network have.
        let mut asked = Name::from_ascii(name).map_err(|_| Refused::Here(Miss::Nothing(Cause::NoSuchName)))?;
        asked.set_fqdn(name.contains('.'));
        resolver.clear_lookup_cache(asked.clone(), kind);
        let lookup = resolver.lookup(asked, kind).await.map_err(Refused::There)?;
        let mut records = Vec::new();
        let mut ttl = Duration::MAX;
        for record in lookup.answers() {
            // Aliases on the way shorten the answer's life too.
            ttl = ttl.min(Duration::from_secs(record.ttl.into()));
            records.extend(pick(&record.data));
        }
        if records.is_empty() {
            return Err(Refused::Here(Miss::Nothing(Cause::NoRecords)));
        }
        Ok(Records { records, ttl })
    }
}

/// Runs all side by side; results in the order of the futures.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut waiting = false;
        for (future, output) in running.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => waiting = true,
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

/// The failure to report of two: a dead end, then one without an answer, then "exists without records", then "doesn't exist".
fn graver(first: Option<Miss>, second: Miss) -> Miss {
    let rank = |miss: &Miss| match miss {
        Miss::Nothing(Cause::NoSuchName) => 0,
        Miss::Nothing(_) => 1,
        Miss::Failed(_) => 2,
        Miss::DeadEnd(_) => 3,
    };
    match first {
        Some(first) if rank(&first) >= rank(&second) => first,
        _ => second,
    }
}

fn is_no_without_soa(error: &NetError) -> bool {
    matches!(error, NetError::Dns(WireError::NoRecordsFound(no)) if no.soa.is_none())
}

fn miss(error: NetError) -> Miss {
    if error.is_nx_domain() {
        return Miss::Nothing(Cause::NoSuchName);
    }
    match error {
        NetError::Dns(WireError::NoRecordsFound(_)) => Miss::Nothing(Cause::NoRecords),
        NetError::Dns(WireError::ResponseCode(code)) => Miss::Failed(Cause::ServerFailed(code.to_string())),
        NetError::Timeout => Miss::Failed(Cause::Unreachable("no reply".to_owned())),
        NetError::Io(error) => Miss::Failed(Cause::Unreachable(error.to_string())),
        NetError::NoConnections => Miss::Failed(Cause::Unreachable("no connection".to_owned())),
        other => Miss::Failed(Cause::ServerFailed(other.to_string())),
    }
}

/// A DNS name as hosts are written here: lower case, no final dot; the root is empty.
fn plain(name: &Name) -> Arc<str> {
    name.to_lowercase().to_ascii().trim_end_matches('.').into()
}
