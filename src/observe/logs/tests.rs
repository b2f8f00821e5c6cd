//! Lines as they are written.

use super::*;
use crate::call::{
    CallFacts, CallId, CallNews, CallRecord, Cause, Direction, LegIndex, LegRecord, Party, RefusedRefer,
    RefusedReplace, TransferKind, TransferNews, TransferStatus, TransferStep,
};
use crate::carrier::Unidentified;
use crate::config::{Config, LogFormat, LogLevel, Reload, TenantId};
use crate::dial::{PeerName, TargetName};
use crate::guard::Load;
use crate::observe::{Happening, Observer};
use crate::registrar::{Aor, Unasked, Verdict};
use crate::route::{Refusal, TraceStep};
use crate::sip::{ListenerId, Method, Transport};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("paper").extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn config() -> Config {
    let sbc = include_str!("../../../config/sbc.toml");
    let contoso = include_str!("../../../config/tenants/contoso.toml");
    Config::from_toml_strs(sbc, &[("contoso", contoso)]).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// What is written about `happenings`.
fn written(format: LogFormat, level: LogLevel, happenings: &[Happening<'_>]) -> String {
    let (paper, config) = (Paper::default(), config());
    let mut log = config.sbc.log.clone();
    (log.format, log.level) = (format, level);
    let queue = LineQueue::start(paper.clone()).expect("a thread");
    let (subscriber, _level) = subscriber::subscriber(&log, queue.clone(), false);
    let lines = LogLines::new(&config);
    tracing::subscriber::with_default(subscriber, || {
        for happening in happenings {
            lines.happened(happening);
        }
    });
    assert!(queue.finish(Duration::from_secs(10)), "written in time");
    let text = paper.0.lock().expect("paper").clone();
    String::from_utf8(text).expect("text")
}

fn facts() -> CallFacts {
    CallFacts {
        direction: Direction::CarrierToTeams,
        tenant: "contoso".into(),
        carrier: Some("north".into()),
        from: "+441632960001".into(),
        to: "+14255550100".into(),
        emergency: false,
        elin: None,
        began_unix_ms: 0,
        trace: vec![TraceStep {
            rule: "number".into(),
            subject: "4255550100".into(),
            outcome: "read as +14255550100".into(),
        }],
    }
}

fn record(cause: Cause) -> CallRecord {
    CallRecord {
        call: "0000000007".into(),
        facts: facts(),
        ringing_after_ms: Some(900),
        answered_after_ms: Some(3_000),
        ended_after_ms: 63_000,
        status: 200,
        cause_text: cause.explain(),
        ended_by: cause.ended_by(),
        cause,
        application: None,
        legs: Vec::new(),
    }
}

#[test]
fn errors_of_an_application_are_written_a_few_times_and_then_counted() {
    let (call, facts) = (CallId::from_random(7), facts());
    let news = CallNews::ApplicationError {
        what: "websocket",
        detail: "a message is JSON".to_owned(),
        call_sid: None,
    };
    let wrong = || Happening::CallNews {
        call,
        facts: &facts,
        news: &news,
        peer: None,
        hub: None,
    };
    let flood: Vec<Happening<'_>> = (0..5_000).map(|_| wrong()).collect();
    let text = written(LogFormat::Json, LogLevel::Info, &flood);
    assert_eq!(text.lines().count(), 20, "{text}");
}

#[test]
fn requests_inside_a_dialog_that_are_refused_are_written_a_few_times_and_then_counted() {
    let (call, facts) = (CallId::from_random(7), facts());
    let refused = RefusedRefer {
        status: 403,
        ..RefusedRefer::default()
    };
    let source = "192.0.2.9:5061".parse().expect("an address");
    let of_a_refer = CallNews::ReferRefused {
        leg: LegIndex(1),
        refused,
    };
    let of_a_stranger = CallNews::Stranger {
        leg: LegIndex(1),
        source,
    };
    let of_a_replace = CallNews::ReplaceRefused(Box::new(RefusedReplace {
        status: 481,
        why: "the dialog is another tenant's".into(),
        trunk: "sbc.fabrikam.example".into(),
        hub: Some("sip.pstnhub.microsoft.com".into()),
        source: Some(source),
    }));
    for news in [of_a_refer, of_a_stranger, of_a_replace] {
        let refused = || Happening::CallNews {
            call,
            facts: &facts,
            news: &news,
            peer: None,
            hub: None,
        };
        let flood: Vec<Happening<'_>> = (0..500).map(|_| refused()).collect();
        let text = written(LogFormat::Json, LogLevel::Debug, &flood);
        assert_eq!(text.lines().count(), 20, "{text}");
    }
}

#[test]
fn targets_that_are_not_reached_and_names_that_nobody_asks_about_are_written_a_few_times_each() {
    let (call, facts) = (CallId::from_random(7), facts());
    let news = CallNews::TargetFailed {
        target: TargetName::sip("sip:a@203.0.113.77"),
        why: "no connection".into(),
    };
    let failed = || Happening::CallNews {
        call,
        facts: &facts,
        news: &news,
        peer: None,
        hub: None,
    };
    let unasked = Unasked {
        tenant: TenantId::parse("contoso").expect("an id"),
        username: "eve".into(),
        why: "it is no user name",
    };
    let refused = || Happening::HookUnasked {
        unasked: &unasked,
        source: "192.0.2.9:5061".parse().expect("an address"),
        method: &Method::Register,
    };
    let mut flood: Vec<Happening<'_>> = (0..500).map(|_| failed()).collect();
    flood.extend((0..500).map(|_| refused()));
    let text = written(LogFormat::Json, LogLevel::Info, &flood);
    let of = |words: &str| text.lines().filter(|line| line.contains(words)).count();
    // Neither withholds the other.
    assert_eq!((of("was not reached"), of("this user name")), (20, 20), "{text}");
}

#[test]
fn a_call_is_one_json_line_with_its_span_and_masked_numbers() {
    let call = CallId::from_random(7);
    let facts = facts();
    let text = written(
        LogFormat::Json,
        LogLevel::Info,
        &[Happening::CallBegan { call, facts: &facts }],
    );
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&line["message"], &line["from"]),
        (&"call began".into(), &"+**********01".into())
    );
    let span = &line["span"];
    assert_eq!(
        (&span["call"], &span["tenant"], &span["direction"]),
        (&call.to_string().into(), &"contoso".into(), &"carrier_to_teams".into())
    );
    assert!(!text.contains("5550100") && !text.contains("2960001"), "{text}");
}

#[test]
fn lines_about_a_call_out_of_teams_name_its_carrier_gateway_and_hub() {
    let call = CallId::from_random(7);
    let facts = CallFacts {
        direction: Direction::TeamsToCarrier,
        carrier: None,
        ..facts()
    };
    let gateway = PeerName::Gateway {
        carrier: "north".into(),
        gateway: "203.0.113.2".into(),
    };
    let [failed, took] = ["203.0.113.3", "203.0.113.2"].map(|host| PeerName::Gateway {
        carrier: "north".into(),
        gateway: host.into(),
    });
    let leg = |peer: Option<PeerName>, status, hub: Option<&str>| LegRecord {
        peer,
        status,
        hub: hub.map(str::to_owned),
        ..LegRecord::default()
    };
    let hub = "sip.pstnhub.microsoft.com";
    let cause = Cause::hung_up(Party::Caller);
    let record = CallRecord {
        facts: facts.clone(),
        legs: vec![
            leg(None, Some(200), Some(hub)),
            leg(Some(took), Some(200), None),
            leg(Some(failed), Some(503), None),
        ],
        ..record(cause)
    };
    let news = |news| Happening::CallNews {
        call,
        facts: &facts,
        news,
        peer: Some(&gateway),
        hub: Some(hub),
    };
    let happenings = [
        news(&CallNews::Ringing),
        news(&CallNews::Answered),
        Happening::CallOver { record: &record },
    ];
    let text = written(LogFormat::Json, LogLevel::Info, &happenings);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| line["message"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(told, ["ringing", "answered", "call over"]);
    for line in &lines {
        let expected = ["north", "north/203.0.113.2", hub].map(serde_json::Value::from);
        assert_eq!(
            [&line["carrier"], &line["peer"], &line["hub"]],
            expected.each_ref(),
            "{line}"
        );
    }
}

/// Transfers are told as they are carried out, holds to who looks closer.
#[test]
fn a_transfer_leaves_its_trace_and_a_hold_one_at_level_debug() {
    let (facts, call) = (facts(), CallId::from_random(7));
    let step = |step| {
        let about = TransferStatus {
            kind: TransferKind::Referred,
            leaves: "teams contoso.sbc1.example.net".into(),
            stays: "carrier north".into(),
            refer_to: Some("sip:+14255550100@sip.pstnhub.microsoft.com".into()),
            status: Some(180),
        };
        let leg = LegIndex(1);
        CallNews::Transfer(TransferNews { leg, step, about })
    };
    let news = [
        CallNews::Holds { leg: LegIndex(1) },
        CallNews::Resumes {
            leg: LegIndex(1),
            held_ms: 1_500,
        },
        step(TransferStep::Began),
        step(TransferStep::Failed {
            status: 486,
            why: "486 Busy Here".into(),
        }),
    ];
    let happenings = || -> Vec<Happening> {
        let told = news.iter().map(|news| Happening::CallNews {
            call,
            facts: &facts,
            news,
            peer: None,
            hub: None,
        });
        told.collect()
    };
    let text = written(LogFormat::Json, LogLevel::Info, &happenings());
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    let (began, failed) = (&lines[0], &lines[1]);
    assert_eq!(
        [
            &began["message"],
            &began["kind"],
            &began["leaves"],
            &began["stays"],
            &began["refer_to"]
        ],
        [
            "a REFER was accepted",
            "referred",
            "teams contoso.sbc1.example.net",
            "carrier north",
            "sip:+*********00@sip.pstnhub.microsoft.com"
        ],
    );
    assert_eq!(
        (&failed["message"], &failed["status"], &failed["why"]),
        (&"the transfer failed".into(), &486.into(), &"486 Busy Here".into())
    );
    let text = written(LogFormat::Human, LogLevel::Debug, &happenings());
    assert!(
        text.contains("holds no longer") && text.contains("held_ms=1500"),
        "{text}"
    );
}

#[test]
fn the_route_is_told_at_level_debug_and_masked_too() {
    let facts = facts();
    let began = [Happening::CallBegan {
        call: CallId::from_random(7),
        facts: &facts,
    }];
    let text = written(LogFormat::Human, LogLevel::Debug, &began);
    assert!(
        text.contains("route: read as +*********00") && !text.contains("5550100"),
        "{text}"
    );
    assert_eq!(written(LogFormat::Human, LogLevel::Error, &began), "");
}

#[test]
fn what_a_caller_dialled_stays_inside_its_line() {
    let dialled = "+1\u{1b}[2J\r\nERROR forged line";
    let refusal = Refusal::unknown_number(dialled);
    let happening = || Happening::CallRefused {
        source: ([203, 0, 113, 5], 5060).into(),
        dialled,
        refusal: &refusal,
        trace: &[],
    };
    for format in [LogFormat::Human, LogFormat::Json] {
        let text = written(format, LogLevel::Trace, &[happening()]);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
    }
}

#[test]
fn numbers_in_what_a_hook_says_and_in_mistakes_are_masked() {
    let user = Aor::new("alice", "sip.contoso.example");
    let asked = |verdict| {
        let happening = Happening::HookAsked {
            tenant: "contoso",
            user: &user,
            source: ([203, 0, 113, 5], 5060).into(),
            method: &Method::Register,
            verdict,
            took: Duration::ZERO,
        };
        written(LogFormat::Json, LogLevel::Info, &[happening])
    };
    let denied = Verdict::Denied {
        why: "+14255550100 has not paid".into(),
        blacklist: false,
    };
    let failed = Verdict::Failed("no such user: +14255550100".into());
    let mistakes = Config::from_toml_strs(
        include_str!("../../../config/sbc.toml"),
        &[("contoso", "label = a14255550100\n")],
    )
    .map(|_| ())
    .expect_err("a text without quotes");
    let expected = mistakes.iter().find_map(|mistake| mistake.expected.clone());
    assert!(
        expected.is_some_and(|expected| expected.contains("5550100")),
        "{mistakes}"
    );
    let outcome = Reload::Refused {
        mistakes,
        changed: vec!["tenants/contoso.toml".into()],
        took: Duration::ZERO,
    };
    let refused = written(
        LogFormat::Json,
        LogLevel::Info,
        &[Happening::Reloaded { outcome: &outcome }],
    );
    for text in [asked(&denied), asked(&failed), refused] {
        assert!(!text.is_empty() && !text.contains("5550100"), "{text}");
    }
}

#[test]
fn a_flood_of_refusals_is_a_few_lines() {
    let refusal = Refusal::unknown_number("+1");
    let flood: Vec<Happening<'_>> = (0..500)
        .map(|_| Happening::CallRefused {
            source: ([203, 0, 113, 5], 5060).into(),
            dialled: "+1",
            refusal: &refusal,
            trace: &[],
        })
        .collect();
    let lines = written(LogFormat::Human, LogLevel::Info, &flood).lines().count();
    assert!((1..100).contains(&lines), "{lines}");
}

#[test]
fn the_end_of_a_call_says_why() {
    let cause = Cause::hung_up(Party::Caller);
    let record = record(cause);
    let text = written(
        LogFormat::Human,
        LogLevel::Info,
        &[Happening::CallOver { record: &record }],
    );
    for part in ["call over", "hung_up", "talked_ms=60000", "status=200", "contoso"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_peer_that_is_not_reached_is_named_with_the_reason() {
    use crate::dial::PeerName;
    use crate::guard::Turn;
    let peer = PeerName::Hub("sip.pstnhub.example.com".into());
    let turned = |turn, trouble| Happening::PeerTurned {
        peer: &peer,
        turn,
        trouble,
    };
    let text = written(
        LogFormat::Human,
        LogLevel::Info,
        &[
            turned(Turn::Unheard, Some("no such name\nINFO forged")),
            turned(Turn::Up, None),
        ],
    );
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("the peer was not reached: no such name"), "{text}");
    assert!(
        lines.iter().all(|line| line.contains("sip.pstnhub.example.com")),
        "{text}"
    );
}

#[test]
fn nobodys_requests_are_said_a_few_times_and_no_scanner_keeps_a_carriers_line_back() {
    let config = config();
    let carrier = config.sbc.carriers.first().expect("a carrier");
    let turned_away = |method, why| Happening::Unidentified {
        method,
        source: ([198, 51, 100, 66], 5060).into(),
        listener: ListenerId(0),
        why,
    };
    let (invite, options) = (Method::Invite, Method::Options);
    let far = Unidentified::Network { nearest: None };
    let near = Unidentified::Transport {
        carrier,
        came: Transport::Udp,
    };
    let mut happenings: Vec<Happening<'_>> = (0..500).map(|_| turned_away(Some(&options), far)).collect();
    happenings.extend((0..500).map(|_| turned_away(Some(&invite), far)));
    happenings.push(turned_away(Some(&invite), near));
    happenings.push(turned_away(None, far));
    let text = written(LogFormat::Json, LogLevel::Info, &happenings);
    assert_eq!(text.lines().count(), 41, "{text}");
    let last = text.lines().last().unwrap_or_default();
    let line: serde_json::Value = serde_json::from_str(last).expect("JSON");
    let said = (&line["level"], &line["method"], &line["source"], &line["carrier"]);
    let listener = config.sbc.listeners[0].name.as_str();
    let expected = ("WARN", "INVITE", "198.51.100.66:5060", carrier.id.as_str());
    let expected = (
        expected.0.into(),
        expected.1.into(),
        expected.2.into(),
        expected.3.into(),
    );
    assert_eq!(said, (&expected.0, &expected.1, &expected.2, &expected.3));
    assert_eq!(line["listener"], listener);
    let message = line["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("a request of nobody: carrier "), "{message}");
}

#[test]
fn a_backlog_is_told_in_whole_percent_and_a_lag_in_milliseconds() {
    let overload = |backlog| {
        let load = Load {
            backlog,
            lag: Duration::from_micros(12_900),
            calls: 1_000.0,
        };
        let happening = Happening::Overload { shedding: true, load };
        written(LogFormat::Json, LogLevel::Info, &[happening])
    };
    for (backlog, percent) in [(0.104, "10"), (0.106, "11"), (0.876, "88"), (1.0, "100")] {
        let line = overload(backlog);
        for part in [&*format!("\"backlog_percent\":{percent},"), "\"lag_ms\":12,"] {
            assert!(line.contains(part), "{backlog}: {line}");
        }
    }
}
