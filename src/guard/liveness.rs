//! Whether a hub or gateway is worth trying: learnt from OPTIONS and from calls.

use crate::dial::PeerName;
use crate::moment::Moment;
use crate::sip::Hop;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What is known of one peer. Pure; time is a parameter.
#[derive(Debug, Clone, Default)]
pub struct Liveness {
    /// OPTIONS in a row without a 200.
    failures: u32,
    /// Failures that made it down; cleared by one 200 (TEAMS-027).
    down: bool,
    /// It has named a time itself after which it takes calls again.
    told: Option<Hold>,
    /// A call has found it silent, out of reach or refusing.
    found: Option<Hold>,
    /// The last call that tells of it was in vain, and nothing good was heard of it since.
    in_doubt: bool,
    last_sent: Option<Moment>,
    last_answered: Option<Moment>,
    last_heard: Option<Moment>,
    round_trip: Option<Duration>,
    /// `Server` of its last answer.
    server: Option<String>,
    /// Status of its last answer.
    status: Option<u16>,
    /// Why its last OPTIONS was in vain, unless a call has told more since.
    trouble: Option<String>,
}

/// Tried last for a while.
#[derive(Debug, Clone)]
struct Hold {
    until: Moment,
    why: String,
}

/// What a call has found wrong with a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// It is tried last for this long.
    pub span: Duration,
    /// The peer has named that time itself (Retry-After): until then it means what it says.
    pub told: bool,
    pub why: String,
}

impl Fault {
    /// A peer can't have itself held down for longer, whatever its Retry-After says.
    pub const LONGEST: Duration = Duration::from_secs(3_600);

    /// Of a peer that has named the time itself.
    pub fn told(span: Duration, why: String) -> Fault {
        Fault {
            span: span.min(Fault::LONGEST),
            told: true,
            why,
        }
    }
}

/// What OPTIONS or a call have shown that was not known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It answers, for the first time or again.
    Up,
    /// It was down, and takes calls.
    TakesCalls,
    /// The first OPTIONS to it was in vain.
    Unheard,
    /// Too many in a row were in vain: it is tried last.
    Down,
}

impl Liveness {
    /// OPTIONS leaves.
    pub fn sent(&mut self, now: Moment) {
        self.last_sent = Some(now);
    }

    /// Its final answer. A 200 marks the peer up, but frees it from no hold-down: a 503 with Retry-After means what it says.
    pub fn answered(&mut self, status: u16, server: Option<&str>, threshold: u32, now: Moment) -> Option<Turn> {
        self.status = Some(status);
        if let Some(server) = server {
            self.server = Some(server.to_owned());
        }
        if !(200..300).contains(&status) {
            return self.failed(format!("it answers OPTIONS with {status}"), threshold);
        }
        let news = self.down || self.last_answered.is_none();
        self.failures = 0;
        self.down = false;
        (self.trouble, self.in_doubt) = (None, false);
        self.last_answered = Some(now);
        news.then_some(Turn::Up)
    }

    /// How long its last answer took. Not called where it may be to a retransmission (Karn): what was known stays.
    pub fn measured(&mut self, round_trip: Duration) {
        self.round_trip = Some(round_trip);
    }

    /// No answer, or not the right one, and why; at `threshold` in a row the peer is down.
    pub fn failed(&mut self, why: String, threshold: u32) -> Option<Turn> {
        self.failures = self.failures.saturating_add(1);
        self.trouble = Some(why);
        let was_down = self.down;
        self.down |= self.failures >= threshold;
        match (was_down, self.down) {
            (false, true) => Some(Turn::Down),
            _ if self.failures == 1 && self.last_answered.is_none() => Some(Turn::Unheard),
            _ => None,
        }
    }

    /// Nobody asks it any more: calls alone tell how it is.
    pub fn unlearn(&mut self) {
        self.failures = 0;
        self.down = false;
        (self.trouble, self.in_doubt) = (None, false);
        self.last_sent = None;
    }

    /// Why its last OPTIONS was in vain, where no call has told of it since.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// A call through it failed: tried last for a while.
    pub fn call_failed(&mut self, fault: &Fault, now: Moment) {
        let hold = match fault.told {
            true => &mut self.told,
            false => &mut self.found,
        };
        let before = hold.take().map(|hold| hold.until);
        *hold = Some(Hold {
            until: before.max(Some(now + fault.span)).unwrap_or(now),
            why: fault.why.clone(),
        });
        self.in_doubt = true;
        // What OPTIONS have found is older.
        self.trouble = None;
    }

    /// A call through it was answered: it lives, whatever OPTIONS and other calls have found. A time that it has named itself
    /// stands, with its reason.
    pub fn takes_calls(&mut self) -> Option<Turn> {
        let was_down = std::mem::replace(&mut self.down, false);
        self.failures = 0;
        (self.found, self.trouble, self.in_doubt) = (None, None, false);
        was_down.then_some(Turn::TakesCalls)
    }

    /// Tried last: down, or held down.
    pub fn is_held(&self, now: Moment) -> bool {
        self.down || self.hold(now).is_some()
    }

    /// The hold that lasts longest.
    fn hold(&self, now: Moment) -> Option<&Hold> {
        let holds = [&self.found, &self.told].into_iter().flatten();
        holds.filter(|hold| hold.until > now).max_by_key(|hold| hold.until)
    }

    /// Not held, and the last that was heard of it is good. Of one that gets no OPTIONS nothing is heard between calls: it
    /// counts as good again when it is tried again.
    fn is_up(&self, now: Moment) -> bool {
        let in_doubt = self.in_doubt && self.last_sent.is_some();
        !self.is_held(now) && !in_doubt && !self.was_never_reached()
    }

    /// Why its last OPTIONS was in vain, or what is wrong with one that is not up: while it is held, why it is.
    fn what_is_wrong(&self, now: Moment) -> Option<String> {
        if self.trouble.is_some() || self.is_up(now) {
            return self.trouble.clone();
        }
        let last = || {
            [&self.found, &self.told]
                .into_iter()
                .flatten()
                .max_by_key(|hold| hold.until)
        };
        let hold = self.hold(now).or_else(last)?;
        Some(format!("a call through it failed: {}", hold.why))
    }

    /// OPTIONS were in vain so far.
    fn was_never_reached(&self) -> bool {
        self.failures > 0 && self.last_answered.is_none()
    }
}

/// A peer as status pages and metrics show it. Spans count back from now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerReport {
    pub peer: String,
    pub up: bool,
    pub held_for_seconds: Option<u64>,
    pub failures: u32,
    pub sent_seconds_ago: Option<u64>,
    pub answered_seconds_ago: Option<u64>,
    /// OPTIONS from the peer.
    pub heard_seconds_ago: Option<u64>,
    pub round_trip_ms: Option<f64>,
    pub status: Option<u16>,
    pub server: Option<String>,
    /// The latest of what is wrong: why its last OPTIONS was in vain, or what calls have found. `None` once it answers, unless
    /// it is held still.
    pub trouble: Option<String>,
}

/// All peers of the node, and the addresses behind their names. A lock is held for a look-up only.
#[derive(Debug, Default)]
pub struct Peers {
    table: Mutex<HashMap<PeerName, Liveness>>,
    addresses: Mutex<HashMap<SocketAddr, Liveness>>,
    /// When and why the last connection to an address did not come about.
    unconnected: Mutex<HashMap<SocketAddr, (Moment, String)>>,
    /// OPTIONS of Teams that no hub's name leads to.
    elsewhere: Mutex<Elsewhere>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Elsewhere {
    count: u64,
    last: Option<Moment>,
}

/// How long other addresses of a name are tried before one that could not be connected to.
const UNCONNECTED_FOR: Duration = Duration::from_secs(30);
/// Addresses that are remembered: names of peers lead to few, and what DNS said last year is of no use.
const MOST_ADDRESSES: usize = 4_096;

impl Peers {
    /// Changes what is known of a peer.
    pub fn update<T>(&self, peer: &PeerName, change: impl FnOnce(&mut Liveness) -> T) -> T {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        match table.get_mut(peer) {
            Some(known) => change(known),
            None => change(table.entry(peer.clone()).or_default()),
        }
    }

    /// An OPTIONS of the peer arrived.
    pub fn heard(&self, peer: &PeerName, now: Moment) {
        self.update(peer, |known| known.last_heard = Some(now));
    }

    /// An OPTIONS of Teams arrived that can't be told to be any hub's.
    pub fn heard_elsewhere(&self, now: Moment) {
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        elsewhere.count += 1;
        elsewhere.last = Some(now);
    }

    /// How many of those arrived.
    pub fn elsewhere(&self) -> u64 {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// How long ago the last of them did.
    pub fn last_elsewhere(&self, now: Moment) -> Option<Duration> {
        let elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        elsewhere.last.map(|last| now.since(last))
    }

    /// Whether the peer answers no OPTIONS.
    pub fn is_down(&self, peer: &PeerName) -> bool {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(peer).is_some_and(|known| known.down)
    }

    /// Whether the peer is tried last.
    pub fn is_held(&self, peer: &PeerName, now: Moment) -> bool {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(peer).is_some_and(|known| known.is_held(now))
    }

    /// Changes what is known of an address of a peer.
    pub fn update_address<T>(&self, address: SocketAddr, change: impl FnOnce(&mut Liveness) -> T) -> T {
        let mut table = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MOST_ADDRESSES && !table.contains_key(&address) {
            table.clear();
        }
        change(table.entry(address).or_default())
    }

    /// A call by an address failed: other addresses of its name are tried before it for a while.
    pub fn hold_address(&self, address: SocketAddr, fault: &Fault, now: Moment) {
        self.update_address(address, |known| known.call_failed(fault, now));
    }

    /// A call through a peer was answered, by this address of it.
    pub fn takes_calls(&self, peer: &PeerName, address: Option<SocketAddr>) -> Option<Turn> {
        if let Some(address) = address {
            let mut table = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            table.get_mut(&address).and_then(Liveness::takes_calls);
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.get_mut(peer)?.takes_calls()
    }

    /// No connection to this address came about, or the peer has refused it.
    pub fn not_connected(&self, address: SocketAddr, why: String, now: Moment) {
        let mut table = self.unconnected.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MOST_ADDRESSES && !table.contains_key(&address) {
            table.clear();
        }
        table.insert(address, (now, why));
    }

    /// A connection to this address has come about.
    pub fn connected(&self, address: SocketAddr) {
        let mut table = self.unconnected.lock().unwrap_or_else(PoisonError::into_inner);
        table.remove(&address);
    }

    /// Why the last connection to this address did not come about.
    pub fn why_not_connected(&self, address: SocketAddr) -> Option<String> {
        let table = self.unconnected.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(&address).map(|(_, why)| why.clone())
    }

    /// Puts hops to addresses that failed behind the others, and so those that were not to be connected to just now; otherwise
    /// as DNS ordered them.
    pub fn sort(&self, hops: &mut VecDeque<Hop>, now: Moment) {
        let table = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let unconnected = self.unconnected.lock().unwrap_or_else(PoisonError::into_inner);
        let fails = |hop: &Hop| {
            let lately = unconnected.get(&hop.remote).map(|(at, _)| now.since(*at));
            let held = table.get(&hop.remote).is_some_and(|known| known.is_held(now));
            held || lately.is_some_and(|since| since < UNCONNECTED_FOR)
        };
        hops.make_contiguous().sort_by_key(fails);
    }

    /// Forgets peers that the configuration no longer has.
    pub fn keep(&self, wanted: impl Fn(&PeerName) -> bool) {
        self.table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|peer, _| wanted(peer));
    }

    /// Nobody asks these peers any more.
    pub fn unlearn(&self, unasked: impl Fn(&PeerName) -> bool) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let unasked = table.iter_mut().filter(|(peer, _)| unasked(peer));
        unasked.for_each(|(_, known)| known.unlearn());
    }

    /// Everything known, by name.
    pub fn report(&self, now: Moment) -> Vec<PeerReport> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let ago = |at: Option<Moment>| at.map(|at| now.since(at).as_secs());
        let mut reports: Vec<PeerReport> = table
            .iter()
            .map(|(peer, known)| PeerReport {
                peer: peer.to_string(),
                up: known.is_up(now),
                held_for_seconds: known.hold(now).map(|hold| hold.until.since(now).as_secs()),
                failures: known.failures,
                sent_seconds_ago: ago(known.last_sent),
                answered_seconds_ago: ago(known.last_answered),
                heard_seconds_ago: ago(known.last_heard),
                round_trip_ms: known.round_trip.map(|span| span.as_secs_f64() * 1e3),
                status: known.status,
                server: known.server.clone(),
                trouble: known.what_is_wrong(now),
            })
            .collect();
        reports.sort_by(|a, b| a.peer.cmp(&b.peer));
        reports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn three_failures_mark_a_hub_down_and_one_200_marks_it_up() {
        let (mut hub, now) = (Liveness::default(), Moment::from_micros(5));
        let late = || "no answer".to_owned();
        assert_eq!(hub.failed(late(), 3), Some(Turn::Unheard));
        assert_eq!(hub.answered(503, None, 3, now), None);
        assert_eq!(hub.trouble.as_deref(), Some("it answers OPTIONS with 503"));
        assert!(!hub.is_held(now));
        assert_eq!(hub.failed(late(), 3), Some(Turn::Down));
        assert!(hub.is_held(now));
        assert_eq!(hub.failed(late(), 3), None, "it was down already");
        assert_eq!(hub.answered(200, Some("SIPProxy"), 3, now), Some(Turn::Up));
        assert!(!hub.is_held(now) && hub.trouble.is_none());
        assert_eq!(hub.answered(200, None, 3, now), None);
        assert_eq!(
            hub.failed(late(), 3),
            None,
            "one lost OPTIONS of a peer that answers is no news"
        );
    }

    #[test]
    fn an_options_success_does_not_end_a_hold_down() {
        let (mut hub, now) = (Liveness::default(), Moment::from_micros(5));
        hub.call_failed(&fault(60 * SECOND, false), now);
        hub.answered(200, None, 3, now);
        assert!(hub.is_held(now + 59 * SECOND));
        assert!(!hub.is_held(now + 60 * SECOND));
    }

    fn fault(span: Duration, told: bool) -> Fault {
        let why = "no response in time".to_owned();
        Fault { span, told, why }
    }

    /// Up, seconds that it is held, what is wrong.
    fn shown(peers: &Peers, now: Moment) -> (bool, Option<u64>, Option<String>) {
        let report = peers.report(now).pop().expect("a peer");
        (report.up, report.held_for_seconds, report.trouble)
    }

    #[test]
    fn what_a_call_finds_is_shown_at_once_and_until_the_next_success() {
        let (peers, hub, now) = (
            Peers::default(),
            PeerName::Hub("sip.hub".into()),
            Moment::from_micros(5),
        );
        let ask = |now| {
            peers.update(&hub, |known| {
                known.sent(now);
                known.answered(200, None, 3, now);
            });
        };
        let wrong = || Some("a call through it failed: no response in time".to_owned());
        ask(now);
        peers.update(&hub, |known| known.call_failed(&fault(30 * SECOND, false), now));
        assert_eq!(shown(&peers, now), (false, Some(30), wrong()));
        let later = now + 31 * SECOND;
        assert_eq!(
            shown(&peers, later),
            (false, None, wrong()),
            "nothing has shown that it lives"
        );
        assert!(!peers.is_held(&hub, later), "and it is tried again");
        ask(later);
        assert_eq!(shown(&peers, later), (true, None, None));

        peers.update(&hub, |known| known.call_failed(&fault(30 * SECOND, false), later));
        assert_eq!(peers.takes_calls(&hub, None), None);
        assert_eq!(shown(&peers, later), (true, None, None));
        assert!(!peers.is_held(&hub, later));
    }

    #[test]
    fn a_call_that_is_answered_ends_what_options_have_found_but_no_time_that_was_named() {
        let (peers, hub, now) = (
            Peers::default(),
            PeerName::Hub("sip.hub".into()),
            Moment::from_micros(5),
        );
        for _ in 0..3 {
            peers.update(&hub, |known| known.failed("no answer".into(), 3));
        }
        assert!(peers.is_down(&hub));
        peers.update(&hub, |known| known.call_failed(&fault(60 * SECOND, true), now));
        assert_eq!(peers.takes_calls(&hub, None), Some(Turn::TakesCalls));
        assert!(!peers.is_down(&hub) && peers.is_held(&hub, now + 59 * SECOND));
        assert!(!peers.is_held(&hub, now + 60 * SECOND));
        let unknown = PeerName::Hub("gone.hub".into());
        assert_eq!((peers.takes_calls(&unknown, None), peers.report(now).len()), (None, 1));
    }

    #[test]
    fn a_reason_is_shown_as_long_as_its_hold_and_no_longer() {
        let (peers, hub, now) = (
            Peers::default(),
            PeerName::Hub("sip.hub".into()),
            Moment::from_micros(5),
        );
        let update = |change: &dyn Fn(&mut Liveness)| peers.update(&hub, change);
        let options = |status| {
            update(&|known| {
                known.sent(now);
                known.answered(status, None, 3, now);
            });
        };
        let fails = |told| update(&|known| known.call_failed(&fault(30 * SECOND, told), now));
        let wrong = || Some("a call through it failed: no response in time".to_owned());
        let refused = || Some("it answers OPTIONS with 503".to_owned());
        options(503);
        assert_eq!(shown(&peers, now), (false, None, refused()), "never reached");
        assert_eq!(peers.takes_calls(&hub, None), None);
        assert_eq!(shown(&peers, now), (true, None, None), "a call was answered since");

        options(503);
        fails(false);
        assert_eq!(
            shown(&peers, now),
            (false, Some(30), wrong()),
            "a call has found out more since"
        );
        options(200);
        assert_eq!(
            shown(&peers, now),
            (false, Some(30), wrong()),
            "it answers, and is held still"
        );
        assert_eq!(shown(&peers, now + 30 * SECOND), (true, None, None));
        assert_eq!(peers.takes_calls(&hub, None), None);
        assert_eq!(shown(&peers, now), (true, None, None));

        fails(true);
        peers.takes_calls(&hub, None);
        assert_eq!(
            shown(&peers, now),
            (false, Some(30), wrong()),
            "it has named that time itself"
        );
        options(200);
        assert_eq!(shown(&peers, now), (false, Some(30), wrong()));
        assert_eq!(shown(&peers, now + 30 * SECOND), (true, None, None));
    }

    #[test]
    fn one_that_gets_no_options_is_good_again_when_it_is_tried_again() {
        let (peers, hub, now) = (
            Peers::default(),
            PeerName::Hub("sip.hub".into()),
            Moment::from_micros(5),
        );
        peers.update(&hub, |known| known.call_failed(&fault(30 * SECOND, false), now));
        assert!(!shown(&peers, now).0);
        assert_eq!(shown(&peers, now + 30 * SECOND), (true, None, None));
    }

    #[test]
    fn addresses_that_failed_are_tried_last() {
        let (peers, now) = (Peers::default(), Moment::from_micros(5));
        let hop = |last: u8| Hop {
            transport: crate::sip::Transport::Udp,
            listener: crate::sip::ListenerId(0),
            remote: SocketAddr::from(([192, 0, 2, last], 5060)),
            server_name: None,
            connection: None,
            account: None,
            presented: None,
        };
        let order = |now| {
            let mut hops: VecDeque<Hop> = [1, 2, 3].map(hop).into();
            peers.sort(&mut hops, now);
            hops.iter().map(|hop| hop.remote.to_string()).collect::<Vec<_>>()
        };
        let [one, two, three] = ["192.0.2.1:5060", "192.0.2.2:5060", "192.0.2.3:5060"];
        peers.hold_address(hop(1).remote, &fault(30 * SECOND, false), now);
        assert_eq!(order(now), [two, three, one]);
        for _ in 0..3 {
            peers.update_address(hop(2).remote, |known| known.failed("no answer".into(), 3));
        }
        assert_eq!(order(now), [three, one, two]);
        assert_eq!(order(now + 30 * SECOND), [one, three, two]);
        peers.update_address(hop(2).remote, |known| known.answered(200, None, 3, now));
        assert_eq!(order(now + 30 * SECOND), [one, two, three]);
        peers.hold_address(hop(1).remote, &fault(90 * SECOND, false), now);
        assert_eq!(order(now), [two, three, one]);
        peers.takes_calls(&PeerName::Hub("sip.hub".into()), Some(hop(1).remote));
        assert_eq!(order(now), [one, two, three]);
        peers.not_connected(hop(1).remote, "Connection refused".into(), now);
        assert_eq!(order(now), [two, three, one]);
        assert_eq!(order(now + UNCONNECTED_FOR), [one, two, three]);
        peers.connected(hop(1).remote);
        assert_eq!(order(now), [one, two, three]);
    }
}
