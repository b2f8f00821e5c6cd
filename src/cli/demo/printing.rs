//! What people see. Colour only on a terminal.

use super::calls::{Conversation, End};
use super::plan::{OUTSIDE, TEAMS, USER};
use super::stage::Stage;
use super::verdict::Report;
use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;
use tokio::time::Instant;

/// Writes lines, or keeps still until the JSON is due.
pub(super) struct Printer {
    json: bool,
    colour: bool,
    begun: Instant,
}

#[derive(Clone, Copy)]
enum Ink {
    Bold,
    Dim,
    Green,
    Red,
}

impl Printer {
    pub(super) fn new(json: bool) -> Printer {
        Printer {
            json,
            colour: stdout().is_terminal(),
            begun: Instant::now(),
        }
    }

    pub(super) fn title(&self) {
        self.out(&self.ink(Ink::Bold, "portcullis demo"));
    }

    /// One step, as it happens.
    pub(super) fn line(&self, what: &str, text: &str) {
        let since = format!("{:>5.1}s", self.begun.elapsed().as_secs_f64());
        self.out(&format!("{} {what:<17} {text}", self.ink(Ink::Dim, &since)));
    }

    /// The end.
    pub(super) fn report(&self, report: &Report) {
        if self.json {
            match serde_json::to_string_pretty(report) {
                Ok(text) => write_line(&text),
                Err(error) => eprintln!("portcullis: the report is no JSON: {error}"),
            }
            return;
        }
        for ladder in &report.ladders {
            let facts = report.records.iter().find(|record| record.call == ladder.call);
            let (from, to) = facts.map_or(("", ""), |record| (&record.facts.from, &record.facts.to));
            self.out("");
            self.out(&self.ink(Ink::Bold, &format!("{from} calls {to}")));
            for line in ladder.lines() {
                self.out(&line);
            }
        }
        for call in &report.calls {
            self.out("");
            self.heard(call);
        }
        self.out("");
        let violations = report.violations_at_teams.len() + report.violations_at_carrier.len();
        let ink = if violations == 0 { Ink::Green } else { Ink::Red };
        let text = format!(
            "rules broken, as Teams sees it: {}, as the carrier sees it: {}",
            report.violations_at_teams.len(),
            report.violations_at_carrier.len()
        );
        self.out(&self.ink(ink, &text));
        for fault in &report.faults {
            self.out(&self.ink(Ink::Red, &format!("  {fault}")));
        }
        let took = self.begun.elapsed().as_secs_f64();
        self.out(&match report.passed {
            true => self.ink(Ink::Green, &format!("PASSED in {took:.1} s: both calls were heard both ways, with SRTP on the Teams leg, and no rule was broken")),
            false => self.ink(Ink::Red, &format!("FAILED in {took:.1} s")),
        });
    }

    /// Where to look while it stays up.
    pub(super) fn addresses(&self, stage: &Stage) {
        let carriers = stage.ports.carrier_listener();
        self.out("");
        self.out("It stays up. Ctrl-C ends it. Meanwhile:");
        self.out(&format!("  call sip:{USER}@{carriers} (UDP) with a softphone on this machine: the simulated Teams answers with a tone"));
        let admin = stage.admin();
        self.out(&format!("  look at http://{admin}/metrics, http://{admin}/healthz, http://{admin}/v1/calls and http://{admin}/v1/peers"));
        let folder = stage.folder.path().display();
        self.out("  or be a second Teams user, with a rule book of its own:");
        self.out(&format!(
            "    portcullis sim teams --listen {TEAMS}:0 --sbc {} --certificate {folder}/teams.pem --key {folder}/teams.key \\",
            stage.ports.teams_listener()
        ));
        self.out(&format!(
            "      --roots {folder}/root.pem --from {USER} --call {OUTSIDE}"
        ));
        self.out(&format!("  the configuration is in {folder}"));
    }

    fn heard(&self, call: &Conversation) {
        let ways = [&call.caller, &call.called].iter().filter(|end| found(end)).count();
        let verdict = match ways {
            2 => self.ink(Ink::Green, "heard both ways"),
            1 => self.ink(Ink::Red, "heard one way only"),
            _ => self.ink(Ink::Red, "not heard"),
        };
        self.out(&format!("{} {verdict}", self.ink(Ink::Bold, call.name)));
        for end in [&call.caller, &call.called] {
            self.out(&self.end(end));
        }
    }

    fn end(&self, end: &End) -> String {
        let side = format!("  {:<8}", end.side);
        let Some(heard) = &end.heard else {
            return format!("{side} {}", self.ink(Ink::Red, "heard nothing"));
        };
        let tone = match heard.frequency {
            Some(hertz) => format!("{hertz:.0} Hz"),
            None => "no tone".to_owned(),
        };
        let ink = if found(end) { Ink::Green } else { Ink::Red };
        let protection = match (heard.srtp, heard.suite) {
            (true, Some(suite)) => format!("SRTP {suite}"),
            _ => "RTP".to_owned(),
        };
        format!(
            "{side} {} (expected {:.0} Hz) at {:.1} dBov; {} packets, {} lost, jitter {}, first after {}; {protection}; RTCP {}",
            self.ink(ink, &tone),
            end.expected,
            heard.level,
            heard.packets,
            heard.lost,
            milliseconds(heard.jitter),
            heard.first_after.map_or_else(|| "-".to_owned(), milliseconds),
            heard.rtcp_received,
        )
    }

    fn ink(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Green => "32",
            Ink::Red => "31",
        };
        match self.colour {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    fn out(&self, line: &str) {
        if !self.json {
            write_line(line);
        }
    }
}

fn found(end: &End) -> bool {
    end.heard.as_ref().is_some_and(|heard| heard.is_tone(end.expected))
}

fn milliseconds(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1000.0)
}

/// A reader who hung up is no news: the exit code still tells.
fn write_line(line: &str) {
    let _ = writeln!(stdout().lock(), "{line}");
}
