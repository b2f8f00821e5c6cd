//! A line for each thing that happens at a simulator.

use super::Behaviour;
use crate::observe::printable;
use crate::sim::{Call, EndedBy, Ending, Heard, Pings, Simulator, Stage, Unconnected, View, Way};
use serde_json::{Value, json};
use std::io::{Write, stdout};
use std::time::Duration;
use tokio::time::{Instant, interval};

/// How often calls are looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// Of the wait for calls, between glances.
const SOON: Duration = Duration::from_millis(1);
/// A span of time, and the failed connections that are told in it: strangers can cause them by the thousand.
const SPAN: Duration = Duration::from_secs(10);
const TOLD: u64 = 20;
/// An alert that ended a connection shows a second later than the failure of the requests on it, on a busy machine later still.
const ALERT: Duration = Duration::from_secs(10);
/// An answered call without a packet for so long is told of: its audio goes one way, or it is on hold.
const QUIET: Duration = Duration::from_secs(2);

/// Tells what happens.
pub(super) struct Narrator {
    begun: Instant,
    /// Those that are not over.
    calls: Vec<Followed>,
    seen: usize,
    /// In the order of the simulators.
    watched: Vec<Watched>,
    /// The last failed connection of ours.
    last_to: Option<Unconnected>,
    /// A JSON object a line.
    json: bool,
}

/// What was told of one simulator.
struct Watched {
    name: String,
    violations: usize,
    pings: Pings,
    turned_away: u64,
    unconnected: Throttled,
}

/// How many failed connections were told in this span of time.
#[derive(Default)]
struct Throttled {
    since: Option<Instant>,
    told: u64,
    withheld: u64,
}

impl Throttled {
    /// True when one more may be told; else it is counted.
    fn admits(&mut self) -> bool {
        self.told += 1;
        let admitted = self.told <= TOLD;
        self.withheld += u64::from(!admitted);
        admitted
    }

    /// At the end of a span: how many were not told in it.
    fn ends(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(*self.since.get_or_insert(now)) < SPAN {
            return None;
        }
        self.since = Some(now);
        self.told = 0;
        self.rest()
    }

    fn rest(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.withheld)).filter(|withheld| *withheld > 0)
    }
}

/// The call that the command places.
pub(super) struct Placing {
    call: Call,
    /// What comes of it is ended so long after it.
    held: Duration,
    /// Its script gives it up before it is answered.
    gives_up: bool,
}

impl Placing {
    pub(super) fn new(call: Call, behaviour: &Behaviour) -> Placing {
        Placing {
            call,
            held: behaviour.seconds,
            gives_up: behaviour.gives_up(),
        }
    }
}

/// Whether packets come.
struct Inflow {
    packets: u64,
    /// When the last one was seen, or the call was answered.
    last: Instant,
    stopped: bool,
}

impl Inflow {
    fn new(now: Instant) -> Inflow {
        Inflow {
            packets: 0,
            last: now,
            stopped: false,
        }
    }

    /// What is to be told of this count; one that is lower is of a listening that began anew.
    fn look(&mut self, packets: u64, now: Instant) -> Option<&'static str> {
        let before = std::mem::replace(&mut self.packets, packets);
        if packets > before || (packets < before && packets > 0) {
            self.last = now;
            return std::mem::take(&mut self.stopped).then_some("gets packets again");
        }
        let is_new = !self.stopped && now.saturating_duration_since(self.last) >= QUIET;
        self.stopped |= is_new;
        is_new.then_some("gets no packets")
    }
}

/// A call and how much of it was told.
struct Followed {
    call: Call,
    name: String,
    stage: Stage,
    tone: Option<f64>,
    /// Since it was answered.
    inflow: Option<Inflow>,
    played: usize,
    notified: usize,
    handed_over: bool,
}

impl Narrator {
    pub(super) fn new(json: bool) -> Narrator {
        Narrator {
            begun: Instant::now(),
            calls: Vec::new(),
            seen: 0,
            watched: Vec::new(),
            last_to: None,
            json,
        }
    }

    /// One simulator more, which runs.
    pub(super) fn watch(&mut self, kind: &str, sim: &Simulator, more: &str) {
        self.watched.push(Watched {
            name: kind.to_owned(),
            violations: 0,
            pings: Pings::default(),
            turned_away: 0,
            unconnected: Throttled::default(),
        });
        self.line(&format!("{kind} simulated on {}{more}; Ctrl-C ends it", sim.address()));
    }

    /// For ever, or to the end of the call that was placed and of what came of it: was it heard?
    pub(super) async fn tell(&mut self, sims: &[&Simulator], placing: Option<Placing>) -> bool {
        if let Some(placing) = &placing {
            self.follow(placing.call.clone(), "our call".to_owned());
        }
        let mut glances = interval(GLANCE);
        let mut rest_until = None;
        loop {
            glances.tick().await;
            for (index, sim) in sims.iter().enumerate() {
                while let Ok(call) = sim.incoming_within(SOON).await {
                    let uri = call.invite().and_then(|invite| invite.request_uri()).unwrap_or("?");
                    let uri = uri.to_owned();
                    let line = format!("a call to {uri}");
                    self.line(&self.told_of(index, &line));
                    self.follow(call, uri);
                }
            }
            self.glance(sims);
            let Some(placing) = &placing else { continue };
            let view = placing.call.view();
            let Some(ending) = view.ending.clone() else { continue };
            let until = *rest_until.get_or_insert_with(|| Instant::now() + placing.held);
            if has_become_another(&view) && !self.calls.is_empty() {
                if Instant::now() >= until {
                    self.end_calls().await;
                }
                continue;
            }
            let given_up = placing.gives_up && ending.by == EndedBy::Us && ending.status == Some(487);
            if !view.answered {
                let why = self.why_unconnected(sims, &ending).await;
                self.line(&format!("our call was not answered, ended{}{why}", of(&ending)));
                return given_up;
            }
            return placing.call.heard_so_far().is_some_and(|heard| heard.packets > 0);
        }
    }

    /// What a transfer or a `replace` has left.
    async fn end_calls(&mut self) {
        let calls: Vec<Call> = self.calls.iter().map(|followed| followed.call.clone()).collect();
        for call in calls {
            // Who does not answer the BYE is over all the same.
            let _ = call.hang_up().await;
        }
    }

    /// The sum; true when no rule was broken.
    pub(super) fn end(&mut self, sims: &[&Simulator]) -> bool {
        self.glance(sims);
        let mut broken = 0;
        for (index, sim) in sims.iter().enumerate() {
            let withheld = self
                .watched
                .get_mut(index)
                .and_then(|watched| watched.unconnected.rest());
            if let Some(withheld) = withheld {
                self.line(&self.told_of(index, &more_unconnected(withheld)));
            }
            let violations = sim.violations().len();
            broken += violations;
            let pings = sim.pings();
            let calls = match sims {
                [_] => format!(" {};", counted(self.seen, "call")),
                _ => String::new(),
            };
            let line = format!(
                "OPTIONS: {} received, {} sent, {} of them answered;{calls} {} broken",
                pings.received,
                pings.sent,
                pings.answered,
                counted(violations, "rule")
            );
            self.line(&self.told_of(index, &line));
        }
        if sims.len() > 1 {
            self.line(&format!(
                "{}; {} broken",
                counted(self.seen, "call"),
                counted(broken, "rule")
            ));
        }
        broken == 0
    }

    /// With the simulator's name, where there are several.
    fn told_of(&self, index: usize, line: &str) -> String {
        match self.watched.get(index).filter(|_| self.watched.len() > 1) {
            Some(watched) => format!("{}: {line}", watched.name),
            None => line.to_owned(),
        }
    }

    fn follow(&mut self, call: Call, name: String) {
        self.seen += 1;
        self.calls.push(Followed {
            call,
            name,
            stage: Stage::Calling,
            tone: None,
            inflow: None,
            played: 0,
            notified: 0,
            handed_over: false,
        });
    }

    /// `: no connection to …`, of a call that no peer refused.
    async fn why_unconnected(&mut self, sims: &[&Simulator], ending: &Ending) -> String {
        if ending.by != EndedBy::Nobody || ending.status != Some(503) {
            return String::new();
        }
        let mut glances = interval(GLANCE);
        let limit = Instant::now() + ALERT;
        while self.last_to.is_none() && Instant::now() < limit {
            glances.tick().await;
            self.tell_unconnected(sims);
        }
        self.last_to
            .as_ref()
            .map_or_else(String::new, |why| format!(": {}", printable(&why.to_string())))
    }

    fn tell_unconnected(&mut self, sims: &[&Simulator]) {
        for (index, sim) in sims.iter().enumerate() {
            let (failed, more) = sim.take_unconnected();
            let Some(watched) = self.watched.get_mut(index) else {
                continue;
            };
            watched.unconnected.withheld += more;
            let admitted: Vec<bool> = failed.iter().map(|_| watched.unconnected.admits()).collect();
            let ended = watched.unconnected.ends(Instant::now());
            for (unconnected, admitted) in failed.into_iter().zip(admitted) {
                match (admitted, self.json) {
                    (true, true) => self.object(index, json!({ "unconnected": unconnected })),
                    (true, false) => self.line(&self.told_of(index, &printable(&unconnected.to_string()))),
                    (false, _) => {}
                }
                if unconnected.way == Way::To {
                    self.last_to = Some(unconnected);
                }
            }
            if let Some(withheld) = ended {
                self.line(&self.told_of(index, &more_unconnected(withheld)));
            }
        }
    }

    fn glance(&mut self, sims: &[&Simulator]) {
        self.tell_unconnected(sims);
        let (mut lines, mut takers) = (Vec::new(), Vec::new());
        for followed in &mut self.calls {
            followed.glance(&mut lines);
            // Looked for last: who is over has been taken over before.
            takers.extend(followed.taker());
        }
        self.calls.retain(|followed| followed.stage < Stage::Ended);
        for line in lines {
            self.line(&line);
        }
        for (call, name) in takers {
            self.follow(call, name);
        }
        for (index, sim) in sims.iter().enumerate() {
            self.glance_at(index, sim);
        }
    }

    fn glance_at(&mut self, index: usize, sim: &Simulator) {
        let (violations, pings) = (sim.violations(), sim.pings());
        let Some(watched) = self.watched.get_mut(index) else {
            return;
        };
        let told = std::mem::replace(&mut watched.violations, violations.len());
        let before = std::mem::replace(&mut watched.pings, pings);
        let turned_away = sim.turned_away() - std::mem::replace(&mut watched.turned_away, sim.turned_away());
        for violation in violations.iter().skip(told) {
            match self.json {
                true => self.object(index, json!({ "violation": violation })),
                false => self.line(&self.told_of(index, &format!("RULE BROKEN {violation}"))),
            }
        }
        if turned_away > 0 {
            let calls = usize::try_from(turned_away).unwrap_or(usize::MAX);
            self.line(&self.told_of(index, &format!("{} answered 503", counted(calls, "INVITE"))));
        }
        if pings.received > before.received {
            self.line(&self.told_of(index, "OPTIONS came"));
        }
        if pings.answered > before.answered {
            self.line(&self.told_of(index, "our OPTIONS was answered"));
        }
    }

    pub(super) fn line(&self, text: &str) {
        if self.json {
            return self.print(json!({ "told": text }));
        }
        let since = self.begun.elapsed().as_secs_f64();
        // A reader who hung up is no news: the exit code still tells.
        let _ = writeln!(stdout().lock(), "{since:>8.1}s {text}");
    }

    /// Of one simulator, by its name where there are several.
    fn object(&self, index: usize, mut object: Value) {
        if let Some(watched) = self.watched.get(index).filter(|_| self.watched.len() > 1) {
            object["hub"] = json!(watched.name);
        }
        self.print(object);
    }

    fn print(&self, mut object: Value) {
        object["seconds"] = json!(self.begun.elapsed().as_secs_f64());
        // As above.
        let _ = writeln!(stdout().lock(), "{object}");
    }
}

impl Followed {
    fn glance(&mut self, lines: &mut Vec<String>) {
        let view = self.call.view();
        let moved = view.stage > self.stage;
        self.stage = view.stage;
        let stage = match view.stage {
            Stage::Calling => "begins".to_owned(),
            Stage::Ringing => "rings".to_owned(),
            Stage::Answered => "is answered".to_owned(),
            Stage::Ended => self.ending(),
        };
        let stage = moved.then(|| format!("{} {stage}", self.name));
        let is_over = view.stage == Stage::Ended;
        lines.extend(stage.clone().filter(|_| !is_over));
        self.steps(&view, lines);
        lines.extend(stage.filter(|_| is_over));
        if is_over {
            return;
        }
        let heard = self.call.heard_so_far();
        let tone = heard.as_ref().and_then(|heard| heard.frequency);
        if tone != self.tone {
            self.tone = tone;
            let heard = tone.map_or_else(|| "no tone".to_owned(), |hertz| format!("{hertz:.0} Hz"));
            lines.push(format!("{} hears {heard}", self.name));
        }
        if let Some(heard) = heard.filter(|_| view.stage == Stage::Answered) {
            let now = Instant::now();
            let inflow = self.inflow.get_or_insert_with(|| Inflow::new(now));
            lines.extend(
                inflow
                    .look(heard.packets, now)
                    .map(|told| format!("{} {told}", self.name)),
            );
        }
    }

    /// What its script asked for, and what a transfer tells.
    fn steps(&mut self, view: &View, lines: &mut Vec<String>) {
        let name = &self.name;
        for played in view.played.iter().skip(self.played) {
            lines.push(format!("{name}: {} was answered {}", played.word, played.status));
        }
        if view.played.len() > self.played && view.transfer.as_ref().is_some_and(|transfer| transfer.not_offered) {
            lines.push(format!(
                "{name}: the trunk does not offer REFER (its Allow has none, as with `refer = false`): Teams sends none there"
            ));
        }
        self.played = view.played.len();
        let notified = view.transfer.as_ref().map_or(&[][..], |transfer| &transfer.notified);
        // Another REFER begins anew.
        let told = Some(self.notified).filter(|told| *told <= notified.len());
        for status in notified.iter().skip(told.unwrap_or_default()) {
            lines.push(format!("{name}: the transfer is at {status}"));
        }
        self.notified = notified.len();
    }

    /// Who takes it over, once.
    fn taker(&mut self) -> Option<(Call, String)> {
        let taker = self.call.view().taken_by.filter(|_| !self.handed_over)?;
        self.handed_over = true;
        Some((taker, format!("who replaces {}", self.name)))
    }

    fn ending(&self) -> String {
        let view = self.call.view();
        let by = view.ending.map_or_else(String::new, |ending| of(&ending));
        // Of a call that nobody answered, and that nothing was heard of, there is nothing to count.
        let heard = self
            .call
            .heard_so_far()
            .filter(|heard| view.answered || heard.packets > 0);
        let heard = heard.map_or_else(String::new, |heard| counts(&heard));
        format!("is over{by}{heard}")
    }
}

/// Its other end talks on, in a call that came of this one.
fn has_become_another(view: &View) -> bool {
    let notified = view.transfer.iter().flat_map(|transfer| &transfer.notified);
    view.taken_by.is_some() || notified.copied().any(|status| (200..300).contains(&status))
}

fn more_unconnected(withheld: u64) -> String {
    let withheld = usize::try_from(withheld).unwrap_or(usize::MAX);
    format!("{} failed", counted(withheld, "more connection"))
}

/// `1 call`, `2 calls`
fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// ` by the peer, 486 (Q.850;cause=17)`, ` by the peer, 480 (X-Reason: the server answered 500)`
fn of(ending: &Ending) -> String {
    let by = match ending.by {
        EndedBy::Us => "us",
        EndedBy::Peer => "the peer",
        EndedBy::Nobody => "nobody",
    };
    let status = ending.status.map_or_else(String::new, |status| format!(", {status}"));
    let x_reason = ending.x_reason.iter().map(|why| format!("X-Reason: {why}"));
    let reasons: Vec<String> = ending.reasons.iter().cloned().chain(x_reason).collect();
    let reasons = match reasons.as_slice() {
        [] => String::new(),
        reasons => format!(" ({})", printable(&reasons.join("; "))),
    };
    format!(" by {by}{status}{reasons}")
}

fn counts(heard: &Heard) -> String {
    format!(
        "; {} packets came, {} lost, jitter {:.1} ms, {}, RTCP {}, {} sent",
        heard.packets,
        heard.lost,
        heard.jitter.as_secs_f64() * 1000.0,
        heard.suite.unwrap_or("plain RTP"),
        heard.rtcp_received,
        heard.sent
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_stop_and_come_again_are_told_once_each() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut inflow = Inflow::new(start);
        assert_eq!(inflow.look(5, at(100)), None);
        assert_eq!(inflow.look(5, at(2_000)), None);
        assert_eq!(inflow.look(5, at(2_100)), Some("gets no packets"));
        assert_eq!(inflow.look(5, at(9_000)), None);
        assert_eq!(inflow.look(6, at(9_100)), Some("gets packets again"));
        // A listening that began anew has counted fewer.
        assert_eq!(inflow.look(1, at(11_000)), None);
        assert_eq!(inflow.look(1, at(13_000)), Some("gets no packets"));
        assert_eq!(inflow.look(0, at(14_000)), None);
        assert_eq!(inflow.look(1, at(14_100)), Some("gets packets again"));
        let mut one_way = Inflow::new(start);
        assert_eq!(one_way.look(0, at(2_000)), Some("gets no packets"));
    }

    #[test]
    fn failed_connections_are_told_so_many_in_a_span_and_then_counted() {
        let (mut throttled, start) = (Throttled::default(), Instant::now());
        assert_eq!(throttled.ends(start), None);
        let told = (0..100).filter(|_| throttled.admits()).count() as u64;
        assert_eq!(told, TOLD);
        assert_eq!(throttled.ends(start + SPAN / 2), None);
        assert_eq!(throttled.ends(start + SPAN), Some(100 - TOLD));
        assert!(throttled.admits());
        assert_eq!(throttled.ends(start + SPAN * 2), None);
    }

    #[test]
    fn an_end_is_told_with_all_that_the_peer_said_of_it() {
        let ending = Ending {
            by: EndedBy::Peer,
            status: Some(480),
            reasons: vec!["Q.850;cause=16".to_owned()],
            retry_after: None,
            x_reason: Some("the server answered 500".to_owned()),
        };
        assert_eq!(
            of(&ending),
            " by the peer, 480 (Q.850;cause=16; X-Reason: the server answered 500)"
        );
    }
}
