//! A lite agent of one session: whose checks are answered, and which pair they lead to.

use super::credentials::Credentials;
use super::stun::{Fault, Key, Reply, Request, Role, read};
use crate::moment::Moment;
use std::cmp::Reverse;
use std::net::SocketAddr;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Pairs remembered of one component; a full ICE side makes no more than a few of our single candidate, forks multiply them.
const MAX_PAIRS: usize = 16;

/// After a restart checks under the last password are still answered: those that were on their way.
const OVERLAP: Duration = Duration::from_secs(5);

/// A nominated pair that was not checked for so long, three consents (RFC 7675 §5.1), gives way to one that is nominated again
/// or named.
const QUIET: Duration = Duration::from_secs(15);

/// A pair that was nominated before and is nominated again has the media back when the peer's stream has come from there
/// alone for so long: it has moved back. One that nominates with every check streams from one place.
const MOVED: Duration = Duration::from_secs(1);

/// What a check is for (RFC 8445 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Component 1: RTP, and RTCP with it under rtcp-mux.
    Rtp,
    /// Component 2: RTCP on a port of its own.
    Rtcp,
}

/// What became of a datagram.
#[derive(Debug, Clone, Copy)]
pub enum Heard {
    /// A check that proved our password.
    Check(Reply),
    /// Proven, but it claims our role; it leads nowhere.
    RoleConflict(Reply),
    /// A sign of life that wants no answer and proves nothing.
    Indication,
    Dropped(Why),
}

/// Why a datagram is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Not STUN, or none that is for us.
    Malformed,
    /// Another user name than ours.
    UnknownUser,
    /// Our name, without our password.
    Integrity,
}

/// Our half of the credentials, ready for use.
struct Local {
    ufrag: Box<[u8]>,
    key: Key,
}

/// A peer's half of the user name.
type Mark = u64;

#[derive(Clone, Copy)]
struct Pair {
    remote: SocketAddr,
    peer: Mark,
    priority: u32,
    first: Moment,
    last: Moment,
    /// The nomination's place among all; 0: none.
    nominated: u64,
}

#[derive(Default)]
struct Pairs {
    known: [Option<Pair>; MAX_PAIRS],
    nominations: u64,
    /// Nominated again while another one was chosen, the last of such.
    again: Option<(SocketAddr, Mark)>,
}

/// A lite agent. Plain data: who owns it gives it datagrams and sends the replies.
pub struct Lite {
    ours: Credentials,
    local: Local,
    before: Option<(Local, Moment)>,
    /// The only peer whose checks lead anywhere.
    peer: Option<Mark>,
    /// Of the pair that signalling names.
    named: Option<SocketAddr>,
    /// Where the stream has come from since the last change of the pair, and since when from nowhere else.
    streams: Option<(SocketAddr, Moment)>,
    rtp: Pairs,
    rtcp: Pairs,
}

impl Lite {
    pub fn new(ours: Credentials) -> Lite {
        Lite {
            local: Local::new(&ours),
            ours,
            before: None,
            peer: None,
            named: None,
            streams: None,
            rtp: Pairs::default(),
            rtcp: Pairs::default(),
        }
    }

    /// Takes what our last description says. Other credentials than before are a restart: everything that was learnt is
    /// forgotten, and checks under the last ones are answered for a moment, but lead nowhere.
    pub fn describe(&mut self, ours: &Credentials, now: Moment) {
        if *ours == self.ours {
            return;
        }
        let last = std::mem::replace(&mut self.local, Local::new(ours));
        self.before = Some((last, now + OVERLAP));
        self.ours = ours.clone();
        (self.peer, self.named, self.streams) = (None, None, None);
        (self.rtp, self.rtcp) = (Pairs::default(), Pairs::default());
    }

    /// Names the one peer whose checks count from now on; `None`: all of them do, as long as forks ring.
    pub fn settle(&mut self, remote_ufrag: Option<&str>) {
        self.peer = remote_ufrag.map(|ufrag| self.local.key.mark(ufrag.as_bytes()));
        if let Some(peer) = self.peer {
            self.rtp.keep(peer);
            self.rtcp.keep(peer);
        }
    }

    /// Takes the remote end of the pair that the peer's signalling names as chosen (RFC 8839 §5.2), for component 1: in
    /// the place of what was nominated, until another pair is. One that was never checked is not worth a nominated pair
    /// that lives: behind some NAT a peer does not know the address that it has toward us.
    pub fn prefer(&mut self, remote: SocketAddr, now: Moment) {
        let was_checked = self.rtp.known.iter().flatten().any(|pair| pair.remote == remote);
        let lives = |pair: &Pair| now.since(pair.last) < QUIET;
        let is_better = was_checked || !self.rtp.nominated(None).is_some_and(lives);
        self.named = is_better.then_some(remote);
        (self.streams, self.rtp.again) = (None, None);
    }

    /// Authenticated SRTP came from here. True when it has brought media back to a pair of before.
    pub fn streamed(&mut self, from: SocketAddr, now: Moment) -> bool {
        let since = match self.streams {
            Some((source, since)) if source == from => since,
            _ => now,
        };
        self.streams = Some((from, since));
        let has_moved = now.since(since) >= MOVED && self.rtp.come_back(from);
        if has_moved {
            (self.named, self.streams) = (None, None);
        }
        has_moved
    }

    /// Judges a datagram that came from `from` to the socket of `component`.
    pub fn receive(&mut self, component: Component, packet: &[u8], from: SocketAddr, now: Moment) -> Heard {
        let request = match read(packet) {
            Ok(request) => request,
            Err(Fault::Indication) => return Heard::Indication,
            Err(Fault::Malformed | Fault::NotARequest(_) | Fault::NotACheck) => return Heard::Dropped(Why::Malformed),
        };
        self.before.take_if(|(_, until)| now >= *until);
        if let Some(theirs) = self.local.theirs(&request) {
            if !request.proves(&self.local.key) {
                return Heard::Dropped(Why::Integrity);
            }
            if request.role == Role::Controlled {
                return Heard::RoleConflict(request.role_conflict(&self.local.key));
            }
            let peer = self.local.key.mark(theirs);
            if self.peer.is_none_or(|settled| settled == peer) {
                let is_new = self.pairs_mut(component).check(&request, from, peer, now);
                if is_new && component == Component::Rtp {
                    (self.named, self.streams) = (None, None);
                }
            }
            return Heard::Check(request.accept(from, &self.local.key));
        }
        match &self.before {
            Some((before, _)) if before.theirs(&request).is_some() => match request.proves(&before.key) {
                true => Heard::Check(request.accept(from, &before.key)),
                false => Heard::Dropped(Why::Integrity),
            },
            _ => Heard::Dropped(Why::UnknownUser),
        }
    }

    /// The remote end of the nominated pair: media goes there, whatever else is heard (RFC 8445 §12.1).
    pub fn nominated(&self, component: Component) -> Option<SocketAddr> {
        let named = self.named.filter(|_| component == Component::Rtp);
        named.or_else(|| self.pairs(component).nominated(None).map(|pair| pair.remote))
    }

    /// While nothing is nominated: the remote end of the pair with the highest priority among those that were checked.
    pub fn checked(&self, component: Component) -> Option<SocketAddr> {
        let pairs = self.pairs(component).known.iter().flatten();
        // Among equals the first: forks of one client take turns.
        pairs
            .max_by_key(|pair| (pair.priority, Reverse(pair.first)))
            .map(|pair| pair.remote)
    }

    fn pairs(&self, component: Component) -> &Pairs {
        match component {
            Component::Rtp => &self.rtp,
            Component::Rtcp => &self.rtcp,
        }
    }

    fn pairs_mut(&mut self, component: Component) -> &mut Pairs {
        match component {
            Component::Rtp => &mut self.rtp,
            Component::Rtcp => &mut self.rtcp,
        }
    }
}

impl Local {
    fn new(ours: &Credentials) -> Local {
        Local {
            ufrag: ours.ufrag.as_bytes().into(),
            key: Key::new(&ours.password),
        }
    }

    /// The peer's half of a user name that begins with ours.
    fn theirs<'a>(&self, request: &Request<'a>) -> Option<&'a [u8]> {
        let (ours, rest) = request.username.split_at_checked(self.ufrag.len())?;
        let theirs = rest.strip_prefix(b":").filter(|theirs| !theirs.is_empty())?;
        bool::from(ours.ct_eq(&self.ufrag)).then_some(theirs)
    }
}

impl Pairs {
    /// The pair that was nominated last: by this peer, or by any.
    fn nominated(&self, peer: Option<Mark>) -> Option<&Pair> {
        let nominated = self.known.iter().flatten().filter(|pair| pair.nominated > 0);
        nominated
            .filter(|pair| peer.is_none_or(|peer| peer == pair.peer))
            .max_by_key(|pair| pair.nominated)
    }

    /// Notes a proven check. A nomination counts when it is new, or when the pair that was nominated last is not checked
    /// any more: a side that nominates with every check (RFC 5245 §8.1.1.2) does not make media jump. True when it counts.
    /// Any other is remembered until a stream shows what it means.
    fn check(&mut self, request: &Request<'_>, from: SocketAddr, peer: Mark, now: Moment) -> bool {
        let chosen = self.nominated(Some(peer)).copied();
        let is_quiet = chosen.is_none_or(|chosen| now.since(chosen.last) >= QUIET);
        let is_own = |pair: &Pair| pair.remote == from && pair.peer == peer;
        let Some(slot) = self.slot(is_own) else { return false };
        let before = slot.filter(is_own);
        let known = before.map_or(0, |pair| pair.nominated);
        let is_new = request.nominates && (known == 0 || is_quiet);
        *slot = Some(Pair {
            remote: from,
            peer,
            priority: request.priority,
            first: before.map_or(now, |pair| pair.first),
            last: now,
            nominated: known,
        });
        if is_new {
            self.nominate(is_own);
        } else if request.nominates && !chosen.as_ref().is_some_and(is_own) {
            self.again = Some((from, peer));
        }
        is_new
    }

    /// This one is the pair from now on.
    fn nominate(&mut self, is_it: impl Fn(&Pair) -> bool) {
        self.again = None;
        self.nominations += 1;
        let nominations = self.nominations;
        if let Some(pair) = self.known.iter_mut().flatten().find(|pair| is_it(pair)) {
            pair.nominated = nominations;
        }
    }

    /// True where the pair with this remote end was nominated again, and so counts.
    fn come_back(&mut self, from: SocketAddr) -> bool {
        let back = self.again.take_if(|(remote, _)| *remote == from);
        if let Some((remote, peer)) = back {
            self.nominate(|pair| pair.remote == remote && pair.peer == peer);
        }
        back.is_some()
    }

    /// The pair's own place, else a free one, else that of the pair which was checked longest ago; one that was not nominated
    /// goes first.
    fn slot(&mut self, is_own: impl Fn(&Pair) -> bool) -> Option<&mut Option<Pair>> {
        let own = self.known.iter().position(|known| known.as_ref().is_some_and(&is_own));
        let free = || self.known.iter().position(Option::is_none);
        let age = |(_, pair): &(usize, &Option<Pair>)| pair.map(|pair| (pair.nominated > 0, pair.last));
        let oldest = || self.known.iter().enumerate().min_by_key(age).map(|(at, _)| at);
        let at = own.or_else(free).or_else(oldest)?;
        self.known.get_mut(at)
    }

    fn keep(&mut self, peer: Mark) {
        for slot in &mut self.known {
            slot.take_if(|pair| pair.peer != peer);
        }
        self.again.take_if(|(_, theirs)| *theirs != peer);
    }
}
