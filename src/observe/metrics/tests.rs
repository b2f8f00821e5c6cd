//! Metrics as a scraper reads them.

use super::*;
use crate::call::{CallFacts, CallId, CallNews, CallRecord, Cause, Direction, LegRecord, Party, RefusedReplace};
use crate::carrier::Unidentified;
use crate::config::fixture::machine;
use crate::media::MediaStats;
use crate::sip::ListenerId;
use std::sync::Arc;
use std::time::Duration;

fn record(carrier: &str) -> CallRecord {
    let cause = Cause::hung_up(Party::Caller);
    let mut media = MediaStats::default();
    media.received.packets = 98;
    media.received.lost = 2;
    media.received.jitter_ms = 3.0;
    media.received.dropped.auth_failures = 4;
    CallRecord {
        call: "0000000007".into(),
        facts: CallFacts {
            direction: Direction::CarrierToTeams,
            tenant: "contoso".into(),
            carrier: Some(carrier.into()),
            from: "+441632960001".into(),
            to: "+14255550100".into(),
            emergency: false,
            elin: None,
            began_unix_ms: 0,
            trace: Vec::new(),
        },
        ringing_after_ms: Some(900),
        answered_after_ms: Some(3_000),
        ended_after_ms: 63_000,
        status: 200,
        cause_text: cause.explain(),
        ended_by: cause.ended_by(),
        cause,
        application: None,
        legs: vec![
            LegRecord {
                side: "carrier".into(),
                media: Some(media),
                ..LegRecord::default()
            },
            LegRecord::default(),
        ],
    }
}

#[test]
fn a_call_that_is_over_is_counted_in_every_way() {
    let metrics = Metrics::new().expect("metrics");
    for carrier in ["north", "north", "south"] {
        metrics.happened(&Happening::CallOver {
            record: &record(carrier),
        });
    }
    metrics.happened(&Happening::Overflow {
        queue: Queue::CallMailbox,
    });
    let mut scrape = Scrape::default();
    scrape.gauge("portcullis_x", "X.", ["y"], [(["z".to_owned()], 1.5)]);
    scrape.gauge("portcullis_empty", "Nothing.", ["y"], []);
    let text = metrics.text(scrape);
    for line in [
        "portcullis_calls_total{carrier=\"north\",cause=\"hung_up\",code=\"200\",direction=\"carrier_to_teams\",tenant=\"contoso\"} 2",
        "portcullis_call_answered_after_seconds_bucket{direction=\"carrier_to_teams\",le=\"4\"} 3",
        "portcullis_call_talked_seconds_sum{direction=\"carrier_to_teams\"} 180",
        "portcullis_media_loss_ratio_bucket{side=\"carrier\",le=\"0.02\"} 3",
        "portcullis_media_loss_ratio_bucket{side=\"carrier\",le=\"0.01\"} 0",
        "portcullis_media_dropped_total{reason=\"auth_failures\",side=\"carrier\"} 12",
        "portcullis_queue_dropped_total{queue=\"call mailbox\"} 1",
        "portcullis_x{y=\"z\"} 1.5",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
    }
    assert!(!text.contains("portcullis_empty"), "{text}");
}

#[test]
fn invites_that_take_nobodys_place_are_refused_ones() {
    let metrics = Metrics::new().expect("metrics");
    let refused = |status| RefusedReplace {
        status,
        why: "another transfer of the call is under way".into(),
        trunk: "sbc1.example.net".into(),
        hub: None,
        source: None,
    };
    metrics.happened(&Happening::ReplaceRefused {
        tenant: None,
        refused: &refused(481),
    });
    let news = CallNews::ReplaceRefused(Box::new(refused(491)));
    metrics.happened(&Happening::CallNews {
        call: CallId::from_random(7),
        facts: &record("north").facts,
        news: &news,
        peer: None,
        hub: None,
    });
    let text = metrics.text(Scrape::default());
    for code in [481, 491] {
        let line = format!("portcullis_calls_refused_total{{code=\"{code}\"}} 1");
        assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
    }
}

#[test]
fn nobodys_requests_are_counted_by_what_came_and_why() {
    let metrics = Metrics::new().expect("metrics");
    let (invite, other) = (Method::Invite, Method::Options);
    for method in [Some(&invite), Some(&invite), Some(&other), None] {
        metrics.happened(&Happening::Unidentified {
            method,
            source: ([198, 51, 100, 66], 5060).into(),
            listener: ListenerId(0),
            why: Unidentified::Network { nearest: None },
        });
    }
    let text = metrics.text(Scrape::default());
    for (what, reason, count) in [
        ("invite", "network", 2),
        ("request", "network", 1),
        ("connection", "network", 1),
        ("invite", "certificate", 0),
    ] {
        let line = format!("portcullis_unidentified_total{{reason=\"{reason}\",what=\"{what}\"}} {count}");
        assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
    }
}

#[test]
fn what_can_be_counted_is_there_at_0_and_no_series_of_each_tenant_and_code() {
    let north = "[[carriers]]\nid = \"north\"\nnetworks = [\"203.0.113.0/24\"]\n\
                 gateways = [{ host = \"203.0.113.2\", listener = \"udp\" }]\n";
    let south = north.replace("north", "south").replace("203.0.113", "192.0.2");
    let config = |carriers: &str| {
        let config = Config::from_toml_strs(&machine(carriers), &[]);
        Arc::new(config.unwrap_or_else(|wrong| panic!("{wrong}")))
    };
    let metrics = Metrics::new().expect("metrics");
    metrics.expect(&config(north));
    let has = |line: &str| {
        let text = metrics.text(Scrape::default());
        text.lines().any(|found| found == line)
    };
    for line in [
        "portcullis_hops_failed_total{peer=\"north/203.0.113.2\"} 0",
        "portcullis_hops_failed_total{peer=\"user\"} 0",
        "portcullis_calls_refused_total{code=\"404\"} 0",
        "portcullis_calls_silent_total{direction=\"carrier_to_teams\"} 0",
        "portcullis_call_talked_seconds_count{direction=\"teams_to_carrier\"} 0",
        "portcullis_carrier_passwords_refused_total{outcome=\"wrong\"} 0",
        "portcullis_queue_dropped_total{queue=\"application events\"} 0",
    ] {
        assert!(has(line), "{line}");
    }
    let later = "portcullis_hops_failed_total{peer=\"south/192.0.2.2\"} 0";
    assert!(!has(later));
    let outcome = Reload::Applied {
        config: config(&south),
        changed: Vec::new(),
        waiting: Vec::new(),
        took: Duration::ZERO,
    };
    metrics.happened(&Happening::Reloaded { outcome: &outcome });
    assert!(has(later));
    assert!(!metrics.text(Scrape::default()).contains("portcullis_calls_total{"));
}
