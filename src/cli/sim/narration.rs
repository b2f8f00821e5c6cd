//! A line for each thing that happens at a simulator.

use crate::observe::printable;
use crate::sim::{Call, EndedBy, Ending, Heard, Pings, Simulator, Stage, Unconnected, Way};
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
/// An alert that ended a connection shows a second later than the failure of the requests on it.
const ALERT: Duration = Duration::from_secs(2);

/// Tells what happens.
pub(super) struct Narrator {
    begun: Instant,
    /// Those that are not over.
    calls: Vec<Followed>,
    seen: usize,
    told: usize,
    pings: Pings,
    unconnected: Throttled,
    /// The last failed connection of ours.
    last_to: Option<Unconnected>,
    /// A JSON object a line.
    json: bool,
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
pub(super) struct Placing(Call);

impl Placing {
    pub(super) fn new(call: Call) -> Placing {
        Placing(call)
    }
}

/// A call and how much of it was told.
struct Followed {
    call: Call,
    name: String,
    stage: Stage,
    tone: Option<f64>,
}

impl Narrator {
    pub(super) fn begin(kind: &str, sim: &Simulator, more: &str, json: bool) -> Narrator {
        let narrator = Narrator {
            begun: Instant::now(),
            calls: Vec::new(),
            seen: 0,
            told: 0,
            pings: Pings::default(),
            unconnected: Throttled::default(),
            last_to: None,
            json,
        };
        narrator.line(&format!("{kind} simulated on {}{more}; Ctrl-C ends it", sim.address()));
        narrator
    }

    /// For ever, or to the end of the call that was placed: was it heard?
    pub(super) async fn tell(&mut self, sim: &Simulator, placing: Option<Placing>) -> bool {
        let placed = placing.map(|Placing(call)| call);
        if let Some(call) = &placed {
            self.follow(call.clone(), "our call".to_owned());
        }
        let mut glances = interval(GLANCE);
        loop {
            glances.tick().await;
            while let Ok(call) = sim.incoming_within(SOON).await {
                let uri = call
                    .invite()
                    .and_then(|invite| invite.request_uri())
                    .unwrap_or("?")
                    .to_owned();
                self.line(&format!("a call to {uri}"));
                self.follow(call, uri);
            }
            self.glance(sim);
            if let Some(call) = &placed
                && let Some(ending) = call.view().ending
            {
                let heard = call.heard_so_far();
                if !call.view().answered {
                    let why = self.why_unconnected(sim, &ending).await;
                    self.line(&format!("our call was not answered, ended{}{why}", of(&ending)));
                }
                return call.view().answered && heard.is_some_and(|heard| heard.packets > 0);
            }
        }
    }

    /// The sum; true when no rule was broken.
    pub(super) fn end(&mut self, sim: &Simulator) -> bool {
        self.tell_unconnected(sim);
        if let Some(withheld) = self.unconnected.rest() {
            self.line(&more_unconnected(withheld));
        }
        let violations = sim.violations();
        let pings = sim.pings();
        self.line(&format!(
            "OPTIONS: {} received, {} sent, {} of them answered; {} calls; {} rules broken",
            pings.received,
            pings.sent,
            pings.answered,
            self.seen,
            violations.len()
        ));
        violations.is_empty()
    }

    fn follow(&mut self, call: Call, name: String) {
        self.seen += 1;
        self.calls.push(Followed {
            call,
            name,
            stage: Stage::Calling,
            tone: None,
        });
    }

    /// `: no connection to …`, of a call that no peer refused.
    async fn why_unconnected(&mut self, sim: &Simulator, ending: &Ending) -> String {
        if ending.by != EndedBy::Nobody || ending.status != Some(503) {
            return String::new();
        }
        let mut glances = interval(GLANCE);
        let limit = Instant::now() + ALERT;
        while self.last_to.is_none() && Instant::now() < limit {
            glances.tick().await;
            self.tell_unconnected(sim);
        }
        self.last_to
            .as_ref()
            .map_or_else(String::new, |why| format!(": {}", printable(&why.to_string())))
    }

    fn tell_unconnected(&mut self, sim: &Simulator) {
        let (failed, more) = sim.take_unconnected();
        self.unconnected.withheld += more;
        for unconnected in failed {
            if self.unconnected.admits() {
                match self.json {
                    true => self.object(json!({ "unconnected": unconnected })),
                    false => self.line(&printable(&unconnected.to_string())),
                }
            }
            if unconnected.way == Way::To {
                self.last_to = Some(unconnected);
            }
        }
        if let Some(withheld) = self.unconnected.ends(Instant::now()) {
            self.line(&more_unconnected(withheld));
        }
    }

    fn glance(&mut self, sim: &Simulator) {
        self.tell_unconnected(sim);
        let mut lines = Vec::new();
        for followed in &mut self.calls {
            followed.glance(&mut lines);
        }
        self.calls.retain(|followed| followed.stage < Stage::Ended);
        let violations = sim.violations();
        for violation in violations.iter().skip(self.told) {
            match self.json {
                true => self.object(json!({ "violation": violation })),
                false => lines.push(format!("RULE BROKEN {violation}")),
            }
        }
        self.told = violations.len();
        let pings = sim.pings();
        if pings.received > self.pings.received {
            lines.push("OPTIONS came".to_owned());
        }
        if pings.answered > self.pings.answered {
            lines.push("our OPTIONS was answered".to_owned());
        }
        self.pings = pings;
        for line in lines {
            self.line(&line);
        }
    }

    fn line(&self, text: &str) {
        if self.json {
            return self.object(json!({ "told": text }));
        }
        let since = self.begun.elapsed().as_secs_f64();
        // A reader who hung up is no news: the exit code still tells.
        let _ = writeln!(stdout().lock(), "{since:>8.1}s {text}");
    }

    fn object(&self, mut object: Value) {
        object["seconds"] = json!(self.begun.elapsed().as_secs_f64());
        // As above.
        let _ = writeln!(stdout().lock(), "{object}");
    }
}

impl Followed {
    fn glance(&mut self, lines: &mut Vec<String>) {
        let view = self.call.view();
        if view.stage > self.stage {
            self.stage = view.stage;
            let what = match view.stage {
                Stage::Calling => "begins".to_owned(),
                Stage::Ringing => "rings".to_owned(),
                Stage::Answered => "is answered".to_owned(),
                Stage::Ended => self.ending(),
            };
            lines.push(format!("{} {what}", self.name));
        }
        let tone = self.call.heard_so_far().and_then(|heard| heard.frequency);
        if tone != self.tone && view.stage < Stage::Ended {
            self.tone = tone;
            let heard = tone.map_or_else(|| "no tone".to_owned(), |hertz| format!("{hertz:.0} Hz"));
            lines.push(format!("{} hears {heard}", self.name));
        }
    }

    fn ending(&self) -> String {
        let view = self.call.view();
        let by = view.ending.map_or_else(String::new, |ending| of(&ending));
        let heard = self
            .call
            .heard_so_far()
            .map_or_else(String::new, |heard| counts(&heard));
        format!("is over{by}{heard}")
    }
}

fn more_unconnected(withheld: u64) -> String {
    format!("{withheld} more connections failed")
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
