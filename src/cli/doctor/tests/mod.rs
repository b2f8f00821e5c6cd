//! A node that is well, and each known failure put into it: some as files and simulated hubs, some as what was seen.

mod carriers;
mod certificates;
mod clouds;
mod failures;
mod failures_in_calls;
mod hubs;
mod papers;
mod records;
mod well;
mod wrong;

use super::finding::{Diagnosis, Severity};
use super::world::World;
use super::{CHECKS, diagnose, files, print};
use crate::net::tls::Offered;

/// Ids of what fails or will fail.
fn complaints(world: &World) -> Vec<String> {
    let diagnosis = diagnose(world);
    let bad = diagnosis
        .findings
        .iter()
        .filter(|finding| finding.severity > Severity::Note);
    bad.map(|finding| finding.id.clone()).collect()
}

/// What is said under an id.
fn said(world: &World, id: &str) -> String {
    let diagnosis = diagnose(world);
    let of_id = diagnosis.findings.iter().filter(|finding| finding.id == id);
    of_id
        .map(|finding| format!("{} {}\n", finding.evidence, finding.fix))
        .collect()
}

#[test]
fn a_node_that_is_well_gets_no_complaint_and_every_check_looked() {
    let diagnosis = diagnose(&well::world());
    let bad: Vec<_> = diagnosis
        .findings
        .iter()
        .filter(|finding| finding.severity > Severity::Note)
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert_eq!(diagnosis.skipped, []);
    assert_ne!(diagnosis.worst(), Some(Severity::Fail));
}

#[test]
fn checks_that_cannot_look_say_so() {
    let world = World {
        records: Err("no call records are kept".to_owned()),
        online: None,
        ..well::world()
    };
    let Diagnosis { skipped, .. } = diagnose(&world);
    let why = |id: &str| {
        skipped
            .iter()
            .find(|skipped| skipped.id == id)
            .map(|skipped| skipped.why.as_str())
    };
    assert_eq!(why("media.silent"), Some("no call records are kept"));
    assert_eq!(why("options.heard"), Some("only with --online"));
    assert_eq!(why("tls.names"), None);
}

#[test]
fn what_could_not_be_tried_was_not_found_to_be_well() {
    let world = World {
        handshakes: Vec::new(),
        to_teams: Err("no tenant has a number that leads to Teams".to_owned()),
        from_teams: Err("no tenant calls out of Teams by a carrier".to_owned()),
        of_other_kinds: Vec::new(),
        ..well::world()
    };
    let Diagnosis { skipped, passed, .. } = diagnose(&world);
    let skipped: Vec<&str> = skipped.iter().map(|skipped| skipped.id).collect();
    for id in [
        "tls.suites",
        "tls.server-only-client",
        "sip-lint.invite",
        "sip-lint.call",
        "sip-lint.ack",
        "sip-lint.hold",
        "sip-lint.transfer",
        "sip-lint.busy",
        "timers.refresh",
        "carriers.ringback",
    ] {
        assert!(skipped.contains(&id) && !passed.contains(&id), "{id}");
    }
    let mut world = well::world();
    for handshake in &mut world.handshakes {
        if handshake.offered != Offered::Tls13 {
            handshake.outcome = Err("no shared cipher".to_owned());
        }
    }
    let Diagnosis { skipped, .. } = diagnose(&world);
    assert!(skipped.iter().any(|skipped| skipped.id == "tls.server-only-client"));
}

#[test]
fn calls_of_long_ago_are_not_looked_at() {
    let folder = papers::Folder::new();
    let mut world = well::world();
    let path = folder.path("calls.jsonl");
    let now = u64::try_from(world.now).expect("now");
    let line = |id: &str, days: u64| format!("{{\"call\":\"{id}\",\"began_ms\":{}}}\n", (now - days * 86_400) * 1_000);
    let config = |path: &std::path::Path| {
        let toml = crate::config::fixture::machine(&format!("[cdr]\npath = {:?}\n", path.display().to_string()));
        crate::config::Config::from_toml_strs(&toml, &[]).expect("a configuration")
    };
    world.config = config(&path).into();
    std::fs::write(&path, line("old", 30)).expect("written");
    let none = files::records(&world.config, world.now).expect_err("none of them is new");
    assert!(none.ends_with("has no calls of the last 7 days"), "{none}");
    std::fs::write(&path, line("old", 8) + &line("new", 6)).expect("written");
    let calls = files::records(&world.config, world.now).expect("one");
    assert_eq!(calls.iter().map(|call| call.call.as_str()).collect::<Vec<_>>(), ["new"]);
}

#[test]
fn names_that_were_not_looked_up_are_told() {
    let mut world = well::world();
    world.online.as_mut().expect("online").names_left = 150;
    let told = said(&world, "dns.own");
    assert!(told.starts_with("150 of 152 trunk names were not looked up"), "{told}");
    assert!(!diagnose(&world).passed.contains(&"dns.own"));
}

#[test]
fn ids_are_of_their_group_and_stand_once() {
    let mut seen = std::collections::HashSet::new();
    for check in CHECKS.iter().copied().flatten() {
        assert!(seen.insert(check.id), "{} stands twice", check.id);
        let group = serde_json::to_value(check.group).expect("JSON");
        assert_eq!(
            check.id.split_once('.').map(|(group, _)| group),
            group.as_str(),
            "{}",
            check.id
        );
    }
}

#[test]
fn the_page_names_every_check() {
    let page = include_str!("../../../../docs/doctor.md");
    for check in CHECKS.iter().copied().flatten() {
        assert!(
            page.contains(&format!("| `{}` |", check.id)),
            "{} is not in docs/doctor.md",
            check.id
        );
    }
}

/// Rows of the usual failures: their ids are of checks, their tests exist.
#[test]
fn every_usual_failure_has_its_row_with_ids_and_tests_that_exist() {
    let page = include_str!("../../../../docs/doctor.md");
    let tests = [
        include_str!("failures.rs"),
        include_str!("failures_in_calls.rs"),
        include_str!("carriers.rs"),
        include_str!("certificates.rs"),
        include_str!("hubs.rs"),
    ]
    .concat();
    let ids: Vec<&str> = CHECKS.iter().copied().flatten().map(|check| check.id).collect();
    for number in 1..=20 {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| {number}. ")))
            .expect("a row");
        let cells: Vec<&str> = row.split('|').collect();
        let words = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        let (named, proofs) = (words(cells[2]), words(cells[3]));
        assert!(!named.is_empty() && !proofs.is_empty(), "{row}");
        for id in named {
            assert!(ids.contains(&id.as_str()), "{id} in row {number}");
        }
        assert!(proofs[0].starts_with(&format!("failure_{number:02}_")), "{row}");
        for proof in proofs {
            assert!(tests.contains(&format!("fn {proof}()")), "{proof} in row {number}");
        }
    }
}

#[test]
fn people_and_scripts_get_the_same() {
    let mut world = well::world();
    well::sbc(&mut world).media.address.advertise = "10.0.0.5".parse().expect("an address");
    let diagnosis = diagnose(&world);
    let mut out = Vec::new();
    print::text(&diagnosis, false, &mut out).expect("a vector takes everything");
    let text = String::from_utf8(out).expect("text");
    assert!(text.contains("FAIL  media.address\n"), "{text}");
    assert!(text.contains("What to do: `advertise` under [media]"), "{text}");
    let mut out = Vec::new();
    print::json(&diagnosis, &mut out).expect("a vector takes everything");
    let json: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    let findings = json["findings"].as_array().expect("findings");
    let address = findings
        .iter()
        .find(|finding| finding["id"] == "media.address")
        .expect("the address");
    assert_eq!(
        (&address["severity"], &address["group"]),
        (&"fail".into(), &"media".into())
    );
}
