//! What Teams says, cut short and turned over, ten thousand times, on connections that prove to be its own: in no dialog, in
//! answer to what the node asks, and in the dialogs of calls that talk, that ring at a carrier and that ring at Teams, one call
//! after the other. Each of these goes on and is heard, or ends with a reason; nothing panics, nothing is left behind, and a call
//! beside hears nothing of it.

use crate::hub_wire::{Acks, HubWire, framed};
use crate::lab::{BOUND, CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use crate::live::TIMERS;
use crate::vectors::Vectors;
use crate::victims::{Desk, End, Kind, Victim};
use portcullis::sim::{Manner, Script};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// To a node whose media go through Microsoft's processors, and to one with media bypass.
const MESSAGES: [usize; 2] = [7_000, 3_000];
/// What is sent is made from it, unless `PORTCULLIS_SEED` says another number.
const SEED: u64 = 4;
/// After so many messages it is looked who lives.
const ROUND: usize = 4;
/// Calls whose ends are watched at once.
const ENDING: usize = 16;

/// One thing or some that are wrong.
fn mutated(text: &str, rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..bytes.len());
        let end = (at + rng.random_range(1..40)).min(bytes.len());
        match rng.random_range(0..8) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes[at] = rng.random(),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => drop(bytes.splice(at..at, std::iter::repeat_n(b'9', end - at))),
            5 => drop(bytes.splice(at..at, *b"\r\n")),
            6 => drop(bytes.splice(at..end, *b";=\"<>,%00\0")),
            _ => {
                let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
                let (one, other) = (rng.random_range(0..lines.len()), rng.random_range(0..lines.len()));
                lines.swap(one, other);
                bytes = lines.join(&b'\n');
            }
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }
    bytes
}

/// Whether every address in it is of this machine: a test sends nothing anywhere else.
fn stays_here(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let words = text.split(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let mut addresses = words.filter_map(|word| word.trim_matches('.').parse::<Ipv4Addr>().ok());
    addresses.all(|address| address.is_loopback())
}

/// A node, and what it is told.
struct Siege {
    lab: Arc<Lab>,
    desk: Arc<Desk>,
    vectors: Vectors,
    hub: HubWire,
    rng: StdRng,
    bypass: bool,
    sent: usize,
    /// How many calls there were.
    victims: usize,
    ending: JoinSet<End>,
    ends: Vec<End>,
}

/// What a node holds for calls, and for connections of [`HubWire`].
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    calls: usize,
    places: u32,
    transactions: usize,
    media_legs: u64,
    media_ports: u32,
    connections: usize,
}

impl Left {
    fn of(lab: &Lab) -> Left {
        let node = &lab.running.node;
        let connections = lab.running.signalling.transports().connections();
        let is_of_hub = |remote: SocketAddr| remote.ip() == Ipv4Addr::LOCALHOST;
        Left {
            calls: node.calls.count(),
            places: node.places.calls("node"),
            transactions: lab
                .running
                .signalling
                .shards()
                .iter()
                .map(|shard| shard.transactions)
                .sum(),
            media_legs: node.media.worker_stats().iter().map(|worker| worker.legs).sum(),
            media_ports: node.media.port_usage().iter().map(|ports| ports.in_use).sum(),
            connections: connections.iter().filter(|open| is_of_hub(open.flow.remote)).count(),
        }
    }
}

/// How often each thing came.
type Counts<T> = BTreeMap<T, usize>;

impl Siege {
    async fn lay(bypass: bool, seed: u64) -> Siege {
        let lab = Lab::with(Plan {
            machine: format!("[dns]\nservers = [\"127.0.0.1:1\"]\ntimeout = \"100ms\"\n{TIMERS}"),
            // The second hub hears nothing: an OPTIONS to it always waits for its answer. Without one it is the first that calls
            // go to, however often it has said 503.
            teams: if bypass { "options_interval = \"100ms\"" } else { "" }.to_owned(),
            second_hub: bypass,
            // A port rests for a while when its call is over.
            media: "ports = \"20000-39999\"".to_owned(),
            bypass,
            ..Plan::default()
        })
        .await;
        if let Some(second) = &lab.teams2 {
            second.set_manner(Manner::Stalled);
        }
        lab.carrier.set_script(Script::no_answer());
        lab.teams.set_script(Script::no_answer());
        let lab = Arc::new(lab);
        Siege {
            desk: Desk::open(&lab),
            vectors: Vectors::of(&lab),
            hub: HubWire::of(&lab, Acks::Most),
            rng: StdRng::seed_from_u64(seed),
            lab,
            bypass,
            sent: 0,
            victims: 0,
            ending: JoinSet::new(),
            ends: Vec::new(),
        }
    }

    async fn next_victim(&mut self) -> Victim {
        self.victims += 1;
        let kinds = match self.bypass {
            true => &[Kind::Talks, Kind::Talks, Kind::RingsAtCarrier][..],
            false => &[Kind::Talks, Kind::Talks, Kind::RingsAtCarrier, Kind::RingsAtTeams],
        };
        let kind = *kinds.choose(&mut self.rng).unwrap();
        Victim::begin(&self.lab, &self.desk, kind, (self.victims, self.bypass)).await
    }

    /// What is said next: to nobody in particular, to the OPTIONS that waits, or to the victim.
    fn message(&mut self, victim: &mut Victim) -> String {
        if self.rng.random_ratio(1, 5) {
            let names = [
                "options",
                "invite",
                "invite-bypass",
                "emergency",
                "forwarded",
                "invite-of-ours",
            ];
            return self.vectors.anew(names.choose(&mut self.rng).unwrap(), self.sent);
        }
        if self.rng.random_ratio(1, 6)
            && let Some(ping) = self.lab.teams2.as_ref().and_then(|hub| hub.transcript().pop())
        {
            let names = ["options-answered", "options-refused"];
            return self.vectors.answering(names.choose(&mut self.rng).unwrap(), &ping);
        }
        victim.message(&self.vectors, self.sent, &mut self.rng)
    }

    async fn send(&mut self, messages: usize) {
        let mut victim = self.next_victim().await;
        let mut last = self.sent + self.rng.random_range(8..50);
        while self.sent < messages {
            let text = self.message(&mut victim);
            let bytes = mutated(&text, &mut self.rng);
            if !stays_here(&bytes) {
                continue;
            }
            self.sent += 1;
            victim.told(&bytes);
            match self.rng.random_range(0..20) {
                0 => {
                    self.hub.send(&bytes).await;
                    self.hub.let_go().await;
                }
                _ => self.hub.send(&framed(bytes)).await,
            }
            if self.sent.is_multiple_of(ROUND) {
                self.is_read().await;
                if self.sent >= last || !victim.lives() {
                    let next = self.next_victim().await;
                    self.part_with(std::mem::replace(&mut victim, next)).await;
                    last = self.sent + self.rng.random_range(8..50);
                }
            }
        }
        self.part_with(victim).await;
        while let Some(end) = self.ending.join_next().await {
            self.ends.push(end.unwrap());
        }
    }

    /// Until the node has read all that was sent, or has given the connection up.
    async fn is_read(&mut self) {
        let options = self.vectors.anew("options", usize::MAX - self.sent);
        let answer = self.hub.ask(&options).await;
        assert!(answer.is_none_or(|answer| answer.status() == Some(200)));
    }

    /// Its end is seen to while the next one suffers.
    async fn part_with(&mut self, victim: Victim) {
        while self.ending.len() >= ENDING {
            let end = self.ending.join_next().await.expect("one that ends");
            self.ends.push(end.unwrap());
        }
        self.ending.spawn(victim.end(self.lab.clone()));
    }

    /// All that was begun has ended, and every call has said why.
    async fn lift(mut self) {
        self.hub.let_go().await;
        self.desk.close().await;
        if let Some(second) = &self.lab.teams2 {
            second.set_manner(Manner::Normal);
        }
        let idle = async {
            while Left::of(&self.lab) != Left::default() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(BOUND * 4, idle).await.is_err() {
            assert_eq!(Left::of(&self.lab), Left::default());
        }
        let lab = &self.lab;
        let node = &lab.running.node;
        let of_media: u64 = node.media.worker_stats().iter().map(|worker| worker.panics).sum();
        assert_eq!((lab.records.panics(), of_media), (0, 0));
        self.is_accounted_for();
        let lab = Arc::into_inner(self.lab).expect("nobody else has it");
        lab.running.shut_down().await;
        let _removed = std::fs::remove_dir_all(&lab.folder);
    }

    /// The messages got as far as they were to get, and what has become of whom is known.
    fn is_accounted_for(&self) {
        let mut answers = Counts::new();
        for message in self.hub.heard() {
            let status = message.status().unwrap_or_default();
            *answers.entry((message.cseq().1.to_string(), status)).or_default() += 1;
        }
        let mut fates = Counts::new();
        for end in &self.ends {
            *fates.entry(end.in_words()).or_default() += 1;
        }
        let told = format!("{fates:#?}\n{answers:?}\n{} connections", self.hub.opened);
        eprintln!("{} victims\n{told}", self.victims);
        let accepted = |method: &str, status| answers.get(&(method.to_owned(), status)).copied().unwrap_or_default();
        for (method, status) in [
            ("BYE", 200),
            ("CANCEL", 200),
            ("REFER", 202),
            ("INVITE", 200),
            ("INVITE", 488),
        ] {
            assert!(accepted(method, status) > 0, "{method}, {status}: {told}");
        }
        for end in &self.ends {
            assert!(end.is_accounted_for(), "{end:#?}");
        }
        let heard = self.ends.iter().filter(|end| end.was_heard).count();
        assert_eq!(self.ends.len(), self.victims);
        let least = self.sent / 50;
        assert!(
            self.victims > least && heard > least / 4 && self.hub.opened > least,
            "{} {heard} {told}",
            self.victims
        );
        for record in self.lab.records.all() {
            let words = record.cause.explain();
            assert!(record.cause.label() != "fault" && !words.is_empty(), "{record:#?}");
        }
    }
}

/// A node hears so many, and a call beside is none the worse for it.
async fn besieged(bypass: bool, messages: usize, seed: u64) {
    let mut siege = Siege::lay(bypass, seed).await;
    let [beside, of_beside] = siege.desk.talking(&siege.lab, USER, OUTSIDE).await;
    siege.send(messages).await;
    of_beside.hears(TEAMS_TONE).await.unwrap();
    beside.hears(CARRIER_TONE).await.unwrap();
    beside.hang_up().await.unwrap();
    of_beside.ended().await.unwrap();
    siege.lift().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_mutated_messages_of_teams_leave_nothing_behind() {
    let seed = std::env::var("PORTCULLIS_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let [through_processors, bypassed] = MESSAGES;
    besieged(false, through_processors, seed).await;
    besieged(true, bypassed, seed + 1).await;
}
