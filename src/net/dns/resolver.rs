//! The resolver that the rest of the process asks.

use super::cache::{Cache, Flight, Good, Ticket, View};
use super::error::{Cause, DnsError};
use super::settings::Settings;
use super::walk::{NameServers, Walk};
use crate::sip::locate::{Candidate, Found, Host, Start, Target, arrange, start};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Servers for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// In the order to try them; drawn anew for every answer where SRV weights ask for it. Never empty.
    pub candidates: Vec<Candidate>,
    /// How long ago the name servers said so; zero for literal and configured addresses.
    pub age: Duration,
    /// Why an answer that has run out is given nevertheless.
    pub stale: Option<Arc<DnsError>>,
}

/// Finds servers for targets. Cheap to clone; the last clone dropped ends its background work.
#[derive(Clone)]
pub struct Resolver {
    shared: Arc<Shared>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

struct Shared {
    settings: Arc<Settings>,
    servers: NameServers,
    cache: Mutex<Cache>,
}

impl Resolver {
    /// A resolver with an empty memory. Reads `/etc/resolv.conf` and `/etc/hosts` where the settings say so.
    pub fn new(settings: Settings) -> Resolver {
        let settings = Arc::new(settings);
        let servers = NameServers::open(&settings);
        let cache = Mutex::new(Cache::new(settings.clone()));
        Resolver {
            shared: Arc::new(Shared {
                settings,
                servers,
                cache,
            }),
            tasks: Arc::default(),
        }
    }

    /// The resolver for changed settings. It keeps this one's answers, to be asked for again when next needed, so that a
    /// reload in the middle of a name server's failure costs nothing.
    pub fn with_settings(&self, settings: Settings) -> Resolver {
        if settings == *self.shared.settings {
            return self.clone();
        }
        let fresh = Resolver::new(settings);
        fresh.shared.cache().inherit(&self.shared.cache(), Instant::now());
        fresh
    }

    /// The answer that needs no waiting: literal and configured addresses, and what is remembered and fresh.
    pub fn try_cached(&self, target: &Target) -> Option<Answer> {
        match self.shared.begin(target).ok()? {
            Begin::Known(answer) => Some(answer),
            Begin::Look(_) => match self.shared.cache().look(target, None, Instant::now()) {
                View::Fresh(good) => self.shared.answer(target, &good, None),
                View::Stale(good, why) => self.shared.answer(target, &good, Some(why)),
                View::Failed(_) | View::Unknown { .. } => None,
            },
        }
    }

    /// Servers for `target`, within [`Settings::patience`]. Must be called within a tokio runtime.
    pub async fn resolve(&self, target: &Target) -> Result<Answer, DnsError> {
        let start = match self.shared.begin(target)? {
            Begin::Known(answer) => return Ok(answer),
            Begin::Look(start) => start,
        };
        let asked_at = Instant::now();
        let (flight, stale) = {
            let mut cache = self.shared.cache();
            let stale = match cache.look(target, None, asked_at) {
                View::Unknown { stale } => stale,
                known => {
                    drop(cache);
                    return self.shared.conclude(target, known);
                }
            };
            let (flight, ticket) = cache.board(target, asked_at);
            drop(cache);
            if let Some(ticket) = ticket {
                self.spawn(target.clone(), start, ticket);
            }
            (flight, stale)
        };
        let settings = &self.shared.settings;
        let Flight { since, mut done, asked } = flight;
        // With an old answer in hand nobody waits for a walk that others have waited for in vain.
        let (patience, deadline) = match stale {
            Some(_) => (settings.stale_patience, since + settings.stale_patience),
            None => (settings.patience, asked_at + settings.patience),
        };
        // `changed` fails when the walk's ticket is dropped: then the result is in the cache.
        let in_time = timeout_at(deadline, done.changed()).await.is_ok();
        let late = || self.shared.error(target, asked.list(), Cause::Timeout(patience));
        match (in_time, stale) {
            (true, stale) => match self.shared.cache().look(target, Some(asked_at), Instant::now()) {
                View::Unknown { .. } => match stale {
                    Some(good) => self.shared.conclude(target, View::Stale(good, Arc::new(late()))),
                    None => Err(late()),
                },
                known => self.shared.conclude(target, known),
            },
            (false, Some(good)) => self.shared.conclude(target, View::Stale(good, Arc::new(late()))),
            (false, None) => Err(late()),
        }
    }

    /// Asks anew for a name whose answer may have changed before it runs out; until that is known the old one is given. Not
    /// sooner after the last answer than [`Settings::failure_pause`]. Must be called within a tokio runtime.
    pub fn refresh(&self, target: &Target) {
        let Ok(Begin::Look(start)) = self.shared.begin(target) else {
            return;
        };
        let now = Instant::now();
        let mut cache = self.shared.cache();
        let ticket = match cache.is_young(target, now) {
            true => None,
            false => cache.board(target, now).1,
        };
        drop(cache);
        if let Some(ticket) = ticket {
            self.spawn(target.clone(), start, ticket);
        }
    }

    fn spawn(&self, target: Target, start: Start, ticket: Ticket) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(walk_and_renew(self.shared.clone(), target, start, ticket));
    }
}

/// Walks once, then again before the answer runs out for as long as the name is in use.
async fn walk_and_renew(shared: Arc<Shared>, target: Target, start: Start, mut ticket: Ticket) {
    loop {
        let limit = shared.settings.server_timeout * 3;
        let walk = Walk::new(&shared.servers, &shared.settings, &target, ticket.asked.clone());
        let result = match timeout(limit, walk.run(start.clone())).await {
            Ok(result) => result,
            Err(_) => Err(shared.error(&target, ticket.asked.list(), Cause::Timeout(limit))),
        };
        let renewal = shared.cache().settle(&target, result, Instant::now());
        drop(ticket);
        let Some((pause, generation)) = renewal else { return };
        sleep(pause).await;
        match shared.cache().renew(&target, generation, Instant::now()) {
            Some(next) => ticket = next,
            None => return,
        }
    }
}

/// What a target comes to before any name server is asked.
enum Begin {
    Known(Answer),
    Look(Start),
}

impl Shared {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, target: &Target) -> Result<Begin, DnsError> {
        let start = start(target, &self.settings.spoken)
            .map_err(|error| self.error(target, Vec::new(), Cause::Target(error)))?;
        let known = |candidates| {
            Begin::Known(Answer {
                candidates,
                age: Duration::ZERO,
                stale: None,
            })
        };
        let (transport, port) = match &start {
            Start::Address { transport, address } => {
                return Ok(known(vec![Candidate::new(*transport, *address, &target.host)]));
            }
            Start::Addresses { route, .. }
            | Start::Srv { fallback: route, .. }
            | Start::Naptr { fallback: route, .. } => (route.transport, route.port),
        };
        let configured = match &target.host {
            Host::Name(name) => self.settings.hosts.get(&**name).filter(|hosts| !hosts.is_empty()),
            Host::Ip(_) => None,
        };
        Ok(match configured {
            Some(hosts) => {
                let address = |ip, own: Option<u16>| SocketAddr::new(ip, own.unwrap_or(port));
                known(
                    hosts
                        .iter()
                        .map(|h| Candidate::new(transport, address(h.ip, h.port), &target.host))
                        .collect(),
                )
            }
            None => Begin::Look(start),
        })
    }

    fn conclude(&self, target: &Target, view: View) -> Result<Answer, DnsError> {
        let (good, stale) = match view {
            View::Fresh(good) => (good, None),
            View::Stale(good, why) => (good, Some(why)),
            View::Failed(error) => return Err((*error).clone()),
            View::Unknown { .. } => return Err(self.error(target, Vec::new(), Cause::NoRecords)),
        };
        self.answer(target, &good, stale)
            .ok_or_else(|| self.error(target, Vec::new(), Cause::NoRecords))
    }

    fn answer(&self, target: &Target, good: &Good, stale: Option<Arc<DnsError>>) -> Option<Answer> {
        let candidates = self.arrange(target, &good.found);
        (!candidates.is_empty()).then(|| Answer {
            candidates,
            age: good.since.elapsed(),
            stale,
        })
    }

    fn arrange(&self, target: &Target, found: &Found) -> Vec<Candidate> {
        let Settings {
            families,
            most_candidates,
            ..
        } = *self.settings;
        arrange(found, &target.host, families, most_candidates, &mut |most| {
            rand::random_range(0..=most)
        })
    }

    fn error(&self, target: &Target, asked: Vec<String>, cause: Cause) -> DnsError {
        DnsError {
            target: target.to_string(),
            asked,
            servers: self.servers.text(),
            cause,
            without_soa: false,
        }
    }
}
