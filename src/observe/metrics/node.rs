//! What the rooms of a node count themselves.

use super::{Scrape, applications, process, users};
use crate::call::{Direction, Node};
use crate::guard::RECODING;
use crate::net::Transports;
use crate::net::shard::ShardStatus;
use crate::net::tls::IdentityStore;
use crate::observe::cdr::CdrCounts;
use crate::observe::{Effectiveness, ReloadOutcome, Reloads, unix_ms};
use crate::sip::Transport;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where figures are read.
pub struct NodeFigures<'a> {
    pub node: &'a Node,
    pub transports: &'a Transports,
    pub shards: &'a [ShardStatus],
    /// By the listener's name.
    pub certificates: &'a [(String, Arc<IdentityStore>)],
    pub reloads: &'a Reloads,
    pub effectiveness: &'a Effectiveness,
    pub cdr: CdrCounts,
    pub log_dropped: u64,
    /// Milliseconds since the Unix epoch.
    pub started_ms: u64,
}

impl NodeFigures<'_> {
    /// Adds all of them.
    pub fn read(&self, scrape: &mut Scrape) {
        self.program(scrape);
        self.calls(scrape);
        self.effectiveness(scrape);
        self.peers(scrape);
        users::users(&self.node.registrar.status(self.node.clock.now()), scrape);
        applications::applications(self.node.ways.load().connector.figures(), scrape);
        applications::open(&self.node.tally, scrape);
        self.certificates(scrape);
        self.transports(scrape);
        self.transactions(scrape);
        self.media(scrape);
        self.records(scrape);
        process::process(scrape);
    }

    fn program(&self, scrape: &mut Scrape) {
        let config = self.node.config.load();
        let version = [env!("CARGO_PKG_VERSION").to_owned(), config.sbc.node.to_string()];
        scrape.gauge(
            "portcullis_info",
            "The program and the node.",
            ["version", "node"],
            [(version, 1.0)],
        );
        scrape.gauge(
            "process_start_time_seconds",
            "Start of the process, since the Unix epoch.",
            [],
            [([], seconds(self.started_ms))],
        );
        scrape.gauge(
            "portcullis_config_generation",
            "Configurations in force so far.",
            [],
            [([], float(config.generation))],
        );
        let last = self.reloads.report();
        scrape.gauge(
            "portcullis_config_last_reload_ok",
            "1: the last configuration that was read is in force.",
            [],
            [([], f64::from(u8::from(last.outcome != ReloadOutcome::Refused)))],
        );
        scrape.gauge(
            "portcullis_config_applied_time_seconds",
            "When a configuration was last put in force, since the Unix epoch.",
            [],
            [([], seconds(last.applied_ms))],
        );
        scrape.gauge(
            "portcullis_config_refused_time_seconds",
            "When a configuration was last refused, since the Unix epoch; absent: never.",
            [],
            last.refused_ms.map(|at| ([], seconds(at))),
        );
        let draining = f64::from(u8::from(self.node.is_draining()));
        scrape.gauge(
            "portcullis_draining",
            "1: no new calls are taken.",
            [],
            [([], draining)],
        );
    }

    fn effectiveness(&self, scrape: &mut Scrape) {
        let ratios = self.effectiveness.ratios(unix_ms());
        let samples = ratios
            .into_iter()
            .map(|ratio| ([ratio.tenant, ratio.direction.to_owned()], ratio.percent / 100.0));
        scrape.gauge(
            "portcullis_network_effectiveness_ratio",
            "Share of the latest attempts, 100 at least and 1,000 at most, in which the network did its part.",
            ["tenant", "direction"],
            samples,
        );
    }

    fn calls(&self, scrape: &mut Scrape) {
        let config = self.node.config.load();
        let mut live: BTreeMap<(String, &'static str), u64> = BTreeMap::new();
        // A tenant without calls is at 0, not absent.
        for tenant in config.tenants.iter() {
            for direction in [Direction::CarrierToTeams, Direction::TeamsToCarrier] {
                live.insert((tenant.id.to_string(), direction.label()), 0);
            }
        }
        for call in self.node.calls.list() {
            let label = (call.facts.tenant.clone(), call.facts.direction.label());
            *live.entry(label).or_default() += 1;
        }
        scrape.gauge(
            "portcullis_calls_live",
            "Calls in set-up and answered.",
            ["tenant", "direction"],
            live.into_iter()
                .map(|((tenant, direction), count)| ([tenant, direction.to_owned()], float(count))),
        );
        scrape.gauge(
            "portcullis_elins_live",
            "ELINs that stand for somebody who called an emergency number.",
            [],
            [([], float(self.node.elins.count() as u64))],
        );
        scrape.counter(
            "portcullis_call_events_dropped_total",
            "Events that found a call's mailbox full.",
            [],
            [([], self.node.calls.overflows())],
        );
    }

    fn peers(&self, scrape: &mut Scrape) {
        let reports = self.node.peers.report(self.node.clock.now());
        let mut gauge = |name: &str, help: &str, value: &dyn Fn(&crate::guard::PeerReport) -> Option<f64>| {
            let samples = reports
                .iter()
                .filter_map(|report| Some(([report.peer.clone()], value(report)?)));
            scrape.gauge(name, help, ["peer"], samples);
        };
        gauge(
            "portcullis_peer_up",
            "1: a hub or gateway answers, as far as OPTIONS and calls tell.",
            &|peer| Some(f64::from(u8::from(peer.up))),
        );
        gauge("portcullis_peer_held_seconds", "How long it is tried last.", &|peer| {
            Some(float(peer.held_for_seconds.unwrap_or(0)))
        });
        gauge(
            "portcullis_peer_answered_age_seconds",
            "Since its last 200 to OPTIONS.",
            &|peer| peer.answered_seconds_ago.map(float),
        );
        gauge(
            "portcullis_peer_heard_age_seconds",
            "Since its own last OPTIONS.",
            &|peer| peer.heard_seconds_ago.map(float),
        );
        gauge("portcullis_peer_round_trip_seconds", "Of its last OPTIONS.", &|peer| {
            peer.round_trip_ms.map(|ms| ms / 1e3)
        });
        scrape.counter(
            "portcullis_teams_options_elsewhere_total",
            "OPTIONS of Teams from addresses that no hub's name leads to.",
            [],
            [([], self.node.peers.elsewhere())],
        );
    }

    fn certificates(&self, scrape: &mut Scrape) {
        let expiry = self.certificates.iter().flat_map(|(listener, store)| {
            store.identities().into_iter().map(move |identity| {
                #[allow(clippy::cast_precision_loss, reason = "seconds fit into 52 bits for a long time")]
                let end = identity.not_after as f64;
                ([listener.clone(), identity.name.clone()], end)
            })
        });
        scrape.gauge(
            "portcullis_tls_certificate_not_after_seconds",
            "End of a certificate of ours, since the Unix epoch.",
            ["listener", "certificate"],
            expiry,
        );
    }

    fn transports(&self, scrape: &mut Scrape) {
        let counters = self.transports.counters();
        for (name, count) in counters.all() {
            let help = format!("Transports: {}.", name.replace('_', " "));
            scrape.counter(&format!("portcullis_net_{name}_total"), &help, [], [([], count)]);
        }
        scrape.counter(
            "portcullis_tls_handshakes_failed_total",
            "TLS handshakes that failed, by reason.",
            ["reason"],
            counters
                .handshakes_failed()
                .into_iter()
                .map(|(reason, count)| ([reason.to_owned()], count)),
        );
        let mut connections: BTreeMap<[String; 3], u64> = BTreeMap::new();
        let config = self.node.config.load();
        // A listener without connections is at 0, not absent.
        let streams = config.sbc.listeners.iter();
        for listener in streams.filter(|listener| listener.transport != Transport::Udp) {
            for opener in ["us", "peer"] {
                let label = [
                    listener.name.to_string(),
                    listener.transport.to_string(),
                    opener.to_owned(),
                ];
                connections.insert(label, 0);
            }
        }
        for connection in self.transports.connections() {
            let listener = config.sbc.listener(connection.flow.listener);
            let opener = match connection.opener {
                crate::net::Opener::Us => "us",
                crate::net::Opener::Peer => "peer",
            };
            let label = [
                listener.map(|listener| listener.name.to_string()).unwrap_or_default(),
                connection.flow.transport.to_string(),
                opener.to_owned(),
            ];
            *connections.entry(label).or_default() += 1;
        }
        scrape.gauge(
            "portcullis_connections",
            "Open TCP and TLS connections.",
            ["listener", "transport", "opener"],
            connections.into_iter().map(|(label, count)| (label, float(count))),
        );
    }

    fn transactions(&self, scrape: &mut Scrape) {
        let live = self.shards.iter().map(|shard| shard.transactions).sum::<usize>();
        let live = float(u64::try_from(live).unwrap_or(u64::MAX));
        scrape.gauge(
            "portcullis_sip_transactions",
            "Live SIP transactions.",
            [],
            [([], live)],
        );
        let mut counter = |name: &str, help: &str, of: fn(&ShardStatus) -> u64| {
            let sum = self.shards.iter().map(of).sum();
            scrape.counter(&format!("portcullis_sip_{name}_total"), help, [], [([], sum)]);
        };
        counter("retransmissions", "Messages that we sent again.", |s| {
            s.counters.retransmissions
        });
        counter("repeated_requests", "Requests that came again.", |s| {
            s.counters.repeated_requests
        });
        counter("stray_responses", "Responses that match no request.", |s| {
            s.counters.stray_responses
        });
        counter("timeouts", "Requests of ours without a final response.", |s| {
            s.counters.timeouts
        });
        counter("shed", "Requests refused without a transaction.", |s| {
            s.counters.refused
        });
        counter("merged", "INVITEs that came by a second path.", |s| s.counters.merged);
        counter("stray_cancels", "CANCELs that match no INVITE.", |s| {
            s.counters.stray_cancels
        });
        counter("unacknowledged", "INVITE answers that were never acknowledged.", |s| {
            s.counters.unacknowledged
        });
        counter("abandoned", "Requests that were never answered here.", |s| {
            s.counters.abandoned
        });
        counter("undeliverable", "Messages that could not be delivered.", |s| {
            s.counters.undeliverable
        });
    }

    fn media(&self, scrape: &mut Scrape) {
        let workers = self.node.media.worker_stats();
        let each = |of: fn(&crate::media::WorkerStats) -> u64| {
            let numbered = workers.iter().enumerate();
            numbered
                .map(|(index, worker)| ([index.to_string()], of(worker)))
                .collect::<Vec<_>>()
        };
        let legs = each(|worker| worker.legs)
            .into_iter()
            .map(|(label, legs)| (label, float(legs)));
        scrape.gauge("portcullis_media_legs", "Open media legs.", ["worker"], legs);
        let mut counter = |name: &str, help: &str, of: fn(&crate::media::WorkerStats) -> u64| {
            scrape.counter(&format!("portcullis_media_{name}_total"), help, ["worker"], each(of));
        };
        counter("packets_in", "Packets taken from sockets, good or bad.", |w| {
            w.packets_in
        });
        counter("packets_out", "Packets handed to the kernel.", |w| w.packets_out);
        counter("wakeups", "Returns from the wait for packets.", |w| w.wakeups);
        counter("send_would_block", "Sends that found a socket's buffer full.", |w| {
            w.send_would_block
        });
        counter("send_errors", "Sends that failed otherwise.", |w| w.send_errors);
        counter("events_dropped", "Events that a call's full queue did not take.", |w| {
            w.events_dropped
        });
        counter("orphans", "Legs closed because their call had gone.", |w| w.orphans);
        counter(
            "panics",
            "Legs closed because a packet panicked; each is a defect.",
            |w| w.panics,
        );
        scrape.counter(
            "portcullis_sound_panics_total",
            "Sounds that made a decoder panic; each is a defect.",
            [],
            [([], self.node.sounds.load().panics())],
        );
        let recoded = f64::from(self.node.places.calls(RECODING));
        scrape.gauge(
            "portcullis_media_recoded_calls",
            "Calls recoded from or to G.722, or about to be.",
            [],
            [([], recoded)],
        );
        let ports = self.node.media.port_usage();
        let mut gauge = |name: &str, help: &str, of: fn(&crate::media::PortUsage) -> u32| {
            let samples = ports
                .iter()
                .zip(self.node.media.addresses())
                .map(|(usage, address)| ([address.to_string()], f64::from(of(usage))));
            scrape.gauge(&format!("portcullis_media_ports_{name}"), help, ["address"], samples);
        };
        gauge("in_use", "Ports held by legs.", |usage| usage.in_use);
        gauge("resting", "Ports that rest after a call.", |usage| usage.resting);
        gauge("capacity", "Ports of the range.", |usage| usage.capacity);
    }

    fn records(&self, scrape: &mut Scrape) {
        let cdr = self.cdr;
        for (name, help, count) in [
            (
                "portcullis_cdr_written_total",
                "Call detail records written.",
                cdr.written,
            ),
            (
                "portcullis_cdr_dropped_total",
                "Call detail records that found the queue full.",
                cdr.dropped,
            ),
            (
                "portcullis_cdr_lost_total",
                "Call detail records that the file did not take.",
                cdr.lost,
            ),
            (
                "portcullis_log_dropped_total",
                "Log lines that found the queue full.",
                self.log_dropped,
            ),
        ] {
            scrape.counter(name, help, [], [([], count)]);
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "the text format counts in floating point")]
fn float(number: u64) -> f64 {
    number as f64
}

fn seconds(ms: u64) -> f64 {
    float(ms) / 1e3
}
