//! Records in files: contents, rotation, overflow, trouble.

use super::file::RecordFile;
use super::*;
use crate::app::payload::Status;
use crate::app::sid::CallSid;
use crate::call::{
    ApplicationRecord, CallFacts, CallRecord, Cause, DialRecord, Direction, ErrorRecord, LegRecord, LegTransfer, Party,
    TargetRecord, TransferKind,
};
use crate::config::Cdr;
use crate::dial::PeerName;
use crate::media::MediaStats;
use crate::observe::{Happening, Observer};
use crate::route::TraceStep;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(10);

/// A folder that goes away again.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("portcullis-cdr-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }

    fn settings(&self) -> Cdr {
        Cdr {
            path: self.0.join("cdr.jsonl"),
            rotate_size: 1_000_000,
            rotate_after: Duration::from_secs(3_600),
            keep: None,
        }
    }

    /// Names of all files, sorted.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the folder").filter_map(Result::ok);
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn application() -> ApplicationRecord {
    let call_sid = CallSid::from_random(7);
    ApplicationRecord {
        name: "reception".into(),
        application_sid: "0d2b7c5a-4a4e-4a55-9d4a-b9a5b1a1c002".into(),
        call_sid: CallSid::from_random(6),
        parent_call_sid: None,
        dials: vec![DialRecord {
            began_after_ms: 400,
            ended_after_ms: 63_000,
            dial_status: Status::Completed,
            sip_status: 200,
            call_sid: Some(call_sid),
            ended_by: Some("callee".into()),
            error: None,
            trace: Vec::new(),
            targets: vec![TargetRecord {
                kind: "phone".into(),
                name: "+441632960001".into(),
                call_sid,
                status: Status::Completed,
                sip_status: 200,
                talked_ms: Some(60_042),
                trace: vec![TraceStep {
                    rule: "hop".into(),
                    subject: "north/203.0.113.2".into(),
                    outcome: "sip:+441632960001@203.0.113.2;user=phone".into(),
                }],
            }],
        }],
        errors: vec![ErrorRecord {
            what: "play".into(),
            why: "the server answers 404".into(),
            call_sid: None,
        }],
    }
}

fn record() -> CallRecord {
    let cause = Cause::hung_up(Party::Callee);
    let mut media = MediaStats::default();
    media.received.packets = 3_000;
    media.received.jitter_ms = 1.234_567;
    media.received.dropped.strangers = 2;
    CallRecord {
        call: "00000004d2".into(),
        facts: CallFacts {
            direction: Direction::TeamsToCarrier,
            tenant: "contoso".into(),
            carrier: None,
            from: "+14255550100".into(),
            to: "+441632960001".into(),
            emergency: false,
            elin: None,
            began_unix_ms: 1_764_000_000_000,
            trace: Vec::new(),
        },
        ringing_after_ms: Some(900),
        answered_after_ms: Some(3_000),
        ended_after_ms: 63_042,
        status: 200,
        cause_text: cause.explain(),
        ended_by: cause.ended_by(),
        cause,
        application: Some(application()),
        legs: vec![
            LegRecord {
                side: "teams".into(),
                ..LegRecord::default()
            },
            LegRecord {
                side: "carrier".into(),
                peer: Some(PeerName::Gateway {
                    carrier: "north".into(),
                    gateway: "sip1.north.example".into(),
                }),
                media: Some(media),
                ..LegRecord::default()
            },
        ],
    }
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).expect("the file");
    assert!(text.ends_with('\n'), "{text}");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn a_file_that_ends_within_a_line_gets_the_next_record_on_one_of_its_own() {
    let folder = Folder::new();
    let path = folder.settings().path;
    fs::write(&path, "{\"version\": 1}\n{\"ver").expect("what a power cut left");
    let mut file = RecordFile::new(folder.settings());
    file.append(b"{\"version\": 2}\n", 1).expect("written");
    file.sync_when_due(2_000).expect("on the disk");
    let text = fs::read_to_string(&path).expect("the file");
    assert_eq!(text, "{\"version\": 1}\n{\"ver\n{\"version\": 2}\n");
}

#[test]
fn a_record_has_the_promised_fields() {
    let folder = Folder::new();
    let writer = CdrWriter::start("sbc1.example.net", Some(folder.settings())).expect("a writer");
    writer.happened(&Happening::CallOver { record: &record() });
    assert!(writer.finish(GRACE));
    let lines = lines(&folder.settings().path);
    let line = &lines[0];
    for (field, value) in [
        ("version", serde_json::json!(1)),
        ("node", "sbc1.example.net".into()),
        ("carrier", "north".into()),
        ("direction", "teams_to_carrier".into()),
        ("began", "2025-11-24T16:00:00.000Z".into()),
        ("answered_ms", 1_764_000_003_000_u64.into()),
        ("ended", "2025-11-24T16:01:03.042Z".into()),
        ("talked_ms", 60_042.into()),
        ("cause", "hung_up".into()),
        ("ended_by", "callee".into()),
    ] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    let leg = &line["legs"][1];
    assert_eq!(
        (&leg["side"], &leg["peer"]),
        (&"carrier".into(), &"north/sip1.north.example".into())
    );
    assert_eq!(leg["media"]["received_jitter_ms"], 1.235);
    assert_eq!(leg["media"]["dropped"], serde_json::json!({ "strangers": 2 }));
    assert_eq!(line["legs"][0]["side"], "teams");
    let application = &line["application"];
    assert_eq!(application["name"], "reception");
    assert_eq!(application["errors"][0]["why"], "the server answers 404");
    let dial = &application["dials"][0];
    assert_eq!(
        (&dial["dial_status"], &dial["ended_by"]),
        (&"completed".into(), &"callee".into())
    );
    let target = &dial["targets"][0];
    assert_eq!(
        (&target["type"], &target["status"]),
        (&"phone".into(), &"completed".into())
    );
    assert_eq!(target["call_sid"], dial["call_sid"]);
}

/// TV-15 on a leg to Teams, TV-18 on one from Teams.
#[test]
fn teams_112_a_leg_of_teams_tells_guid_phrase_and_class() {
    let hub = |status, reason: &str| {
        let mut record = record();
        record.facts.direction = Direction::CarrierToTeams;
        record.legs[0].side = "carrier".into();
        record.legs[1] = LegRecord {
            side: "teams".into(),
            peer: Some(PeerName::Hub("sip.pstnhub.microsoft.com".into())),
            status: Some(status),
            reasons: vec![reason.to_owned()],
            ..LegRecord::default()
        };
        serde_json::to_value(CdrLine::new("n", &record)).expect("JSON")
    };
    let busy = hub(
        486,
        "Q.850;cause=34;text=\"a1856424-e9da-40a6-a870-f289f81a863a;Callee is busy\"",
    );
    let leg = &busy["legs"][1];
    assert_eq!(leg["reason_guid"], "a1856424-e9da-40a6-a870-f289f81a863a");
    assert_eq!(
        (&leg["reason_phrase"], &leg["cause_class"]),
        (&"Callee is busy".into(), &"busy".into())
    );
    // The carrier's leg has none of it, whatever its reasons look like.
    assert_eq!(busy["legs"][0]["cause_class"], serde_json::Value::Null);

    let mut hung_up = record();
    let bye = "Q.850;cause=16;text=\"81f328d9-9c68-4ce3-ad43-4869491af7d4;Call terminated\"";
    hung_up.legs[0].status = Some(200);
    hung_up.legs[0].reasons = vec![bye.to_owned()];
    hung_up.legs[1].reasons = vec![bye.to_owned()];
    let line = serde_json::to_value(CdrLine::new("n", &hung_up)).expect("JSON");
    let (teams, carrier) = (&line["legs"][0], &line["legs"][1]);
    assert_eq!(teams["reason_guid"], "81f328d9-9c68-4ce3-ad43-4869491af7d4");
    assert_eq!(
        (&teams["reason_phrase"], &teams["cause_class"]),
        (&"Call terminated".into(), &"normal".into())
    );
    assert_eq!(carrier["reason_guid"], serde_json::Value::Null);

    // Without a word of Teams, the status tells; an answered call that ended well tells nothing.
    assert_eq!(hub(404, "SIP;cause=404")["legs"][1]["cause_class"], "wrong_number");
    assert_eq!(
        hub(200, "SIP;cause=200")["legs"][1]["cause_class"],
        serde_json::Value::Null
    );
}

/// A carrier's 404 is no word of Teams about its tenant's numbers.
#[test]
fn what_we_answered_teams_with_is_no_word_of_teams() {
    let class = |leg: LegRecord| {
        let mut record = record();
        record.legs[0] = LegRecord {
            side: "teams".into(),
            ..leg
        };
        let line = serde_json::to_value(CdrLine::new("n", &record)).expect("JSON");
        line["legs"][0]["cause_class"].as_str().map(str::to_owned)
    };
    let called_out = |status, reasons: &[&str]| LegRecord {
        status: Some(status),
        reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        ..LegRecord::default()
    };
    for status in [403, 404, 480, 484, 486, 488, 503, 603] {
        assert_eq!(class(called_out(status, &[])).as_deref(), Some("handed_on"), "{status}");
    }
    // What it says with its CANCEL or BYE is its own.
    assert_eq!(class(called_out(487, &[])).as_deref(), Some("normal"));
    let lost = "Q.850;cause=38;text=\"81f328d9-9c68-4ce3-ad43-4869491af7d4;Network out of order\"";
    assert_eq!(class(called_out(487, &[lost])).as_deref(), Some("network"));
    assert_eq!(class(called_out(200, &[lost])).as_deref(), Some("network"));
    // Who comes to take another's place is answered by us, and whom a REFER names answers itself.
    let transferred = |kind| LegRecord {
        peer: Some(PeerName::Hub("sip.pstnhub.microsoft.com".into())),
        transfer: Some(LegTransfer {
            kind,
            of: 1,
            refer_to: None,
            referred_by: None,
            trace: Vec::new(),
        }),
        ..called_out(404, &[])
    };
    assert_eq!(class(transferred(TransferKind::Replaced)).as_deref(), Some("handed_on"));
    assert_eq!(
        class(transferred(TransferKind::Referred)).as_deref(),
        Some("wrong_number")
    );
}

/// The page that people read names every field and no other, in its tables and in what it shows.
#[test]
fn every_field_is_documented() {
    let page = include_str!("../../../docs/cdr.md");
    let line = serde_json::to_value(CdrLine::new("n", &record())).expect("JSON");
    let (leg, application) = (&line["legs"][1], &line["application"]);
    let dial = &application["dials"][0];
    let fields = |object: &serde_json::Value| -> BTreeSet<String> {
        object.as_object().expect("an object").keys().cloned().collect()
    };
    // In the order of the page.
    let objects = [&line, leg, application, dial, &dial["targets"][0], &leg["media"]];
    let tables: Vec<BTreeSet<String>> = page
        .split("| field | meaning |\n| --- | --- |\n")
        .skip(1)
        .map(|table| {
            let rows = table.lines().take_while(|row| row.starts_with('|'));
            rows.filter_map(|row| row.split('`').nth(1).map(str::to_owned))
                .collect()
        })
        .collect();
    assert_eq!(tables, objects.map(fields));

    let shown = |nth: usize| page.split("```json\n").nth(nth)?.split("```").next();
    let whole: serde_json::Value = serde_json::from_str(shown(1).expect("a record")).expect("JSON");
    let of_application = format!("{{{}}}", shown(2).expect("what an application made of it"));
    let part: serde_json::Value = serde_json::from_str(&of_application).expect("JSON");
    let (shown_leg, shown_application) = (&whole["legs"][0], &part["application"]);
    let shown_dial = &shown_application["dials"][0];
    let shown = [
        &whole,
        shown_leg,
        shown_application,
        shown_dial,
        &shown_dial["targets"][0],
        &shown_leg["media"],
    ];
    assert_eq!(shown.map(fields), objects.map(fields));
    assert_eq!(fields(&whole["legs"][1]), fields(leg));
}

#[test]
fn every_cause_is_documented() {
    let page = include_str!("../../../docs/cdr.md");
    let source = include_str!("../../call/cause.rs");
    let labels = source.split("pub fn label(&self)").nth(1).and_then(|rest| {
        rest.split(
            "
    }
",
        )
        .next()
    });
    let labels: Vec<&str> = labels.unwrap_or_default().split('"').skip(1).step_by(2).collect();
    assert!(labels.contains(&"hung_up") && labels.len() > 10, "{labels:?}");
    for label in labels {
        assert!(
            page.contains(&format!("| `{label}` |")),
            "{label} is not in docs/cdr.md"
        );
    }
}

fn pipe_in(folder: &Folder) -> PathBuf {
    let path = folder.0.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo").success());
    path
}

#[test]
fn a_pipe_is_never_rotated() {
    let folder = Folder::new();
    let settings = Cdr {
        path: pipe_in(&folder),
        rotate_size: 25,
        ..folder.settings()
    };
    let mut file = RecordFile::new(settings);
    let start = 1_764_000_000_000;
    for _ in 0..3 {
        let rotation = file.append(b"a record of 22 bytes.\n", start).expect("written");
        assert!(rotation.is_none());
    }
    file.rotate_when_old(start + 360_000_000).expect("nothing to be done");
    assert_eq!(folder.files(), ["pipe"], "whoever reads it goes on reading");
}

#[test]
fn a_full_queue_costs_records_and_never_time() {
    // Nobody reads this pipe, so that the writer is stuck with its first full buffer.
    let folder = Folder::new();
    let path = pipe_in(&folder);
    let reader = std::thread::spawn({
        let path = path.clone();
        move || fs::File::open(path).expect("the other end")
    });
    let settings = Cdr {
        path,
        ..folder.settings()
    };
    let writer = CdrWriter::with_queue("n", Some(settings), 4).expect("a writer");
    let other_end = reader.join().expect("the reader");
    let (record, records) = (record(), 1_000);
    for _ in 0..records {
        writer.happened(&Happening::CallOver { record: &record });
    }
    let counts = writer.counts();
    assert!(counts.dropped > 0 && counts.lost == 0, "{counts:?}");
    // The disk is fast again: everything that was queued gets there.
    let reader = std::thread::spawn(move || io::read_to_string(other_end).expect("records"));
    assert!(writer.finish(GRACE));
    let (counts, text) = (writer.counts(), reader.join().expect("the reader"));
    assert_eq!(counts.written + counts.dropped, records, "{counts:?}");
    assert_eq!(text.lines().count() as u64, counts.written);
}

#[test]
fn a_file_is_rotated_by_size_and_only_so_many_are_kept() {
    let folder = Folder::new();
    let settings = Cdr {
        rotate_size: 25,
        keep: Some(2),
        ..folder.settings()
    };
    fs::write(folder.0.join("cdr-notes.jsonl"), "not ours").expect("a neighbour");
    let mut file = RecordFile::new(settings);
    for second in 0..9_u64 {
        let line = format!("record {second} 10\n");
        file.append(line.as_bytes(), 1_764_000_000_000 + second)
            .expect("written");
    }
    let files = folder.files();
    assert_eq!(files.len(), 4, "{files:?}");
    assert_eq!(
        files[0], "cdr-2025-11-24T16-00-00.006Z.jsonl",
        "the newest two stay: {files:?}"
    );
    let text = |name: &str| fs::read_to_string(folder.0.join(name)).expect("a file");
    assert_eq!(text(&files[0]), "record 4 10\nrecord 5 10\n");
    assert_eq!(text("cdr.jsonl"), "record 8 10\n");
    assert_eq!(text("cdr-notes.jsonl"), "not ours");
}

#[test]
fn a_file_is_rotated_by_age_also_when_no_record_comes() {
    let folder = Folder::new();
    let mut file = RecordFile::new(folder.settings());
    let start = 1_764_000_000_000;
    file.append(b"1\n", start).expect("written");
    file.rotate_when_old(start + 3_599_000).expect("too young");
    assert_eq!(folder.files(), ["cdr.jsonl"]);
    file.rotate_when_old(start + 3_600_000).expect("rotated");
    assert_eq!(folder.files(), ["cdr-2025-11-24T17-00-00.000Z.jsonl"]);
    file.append(b"2\n", start + 3_600_001).expect("written");
    assert_eq!(folder.files().len(), 2);
}

#[test]
fn an_old_file_that_can_not_be_removed_keeps_no_other_and_is_said_now_and_then() {
    let folder = Folder::new();
    let settings = Cdr {
        rotate_size: 10,
        keep: Some(1),
        ..folder.settings()
    };
    let stubborn = "cdr-2024-01-01T00-00-00.000Z.jsonl";
    fs::create_dir(folder.0.join(stubborn)).expect("what remove_file does not take");
    let mut file = RecordFile::new(settings);
    let start = 1_764_000_000_000;
    for second in 0..5_u64 {
        let beside = file.append(b"a record\n", start + second).expect("written");
        assert_eq!(file.rotations_failed(), second);
        assert!(
            second == 0 || matches!(beside, Some(CdrError::Remove { .. })),
            "{beside:?}"
        );
    }
    assert_eq!(
        folder.files(),
        [stubborn, "cdr-2025-11-24T16-00-00.004Z.jsonl", "cdr.jsonl"],
        "the newest one is kept"
    );
    fs::remove_dir(folder.0.join(stubborn)).expect("gone");
    assert!(file.append(b"a record\n", start + 5).expect("written").is_none());
    assert_eq!(file.rotations_failed(), 0);
}

#[test]
fn a_file_is_as_old_as_its_first_record() {
    let folder = Folder::new();
    let mut file = RecordFile::new(folder.settings());
    let start = 1_764_000_000_000;
    file.open(start).expect("opened");
    file.append(b"1\n", start + 3_000_000).expect("written");
    file.rotate_when_old(start + 3_600_000).expect("too young");
    assert_eq!(folder.files(), ["cdr.jsonl"]);
    file.rotate_when_old(start + 6_600_000).expect("rotated");
    assert_eq!(folder.files(), ["cdr-2025-11-24T17-50-00.000Z.jsonl"]);
}

#[test]
fn a_reload_that_leaves_the_records_where_they_are_leaves_the_file_open() {
    let folder = Folder::new();
    let mut file = RecordFile::new(folder.settings());
    file.append(b"1\n", 5).expect("written");
    file.follow(folder.settings()).expect("nothing to be done");
    assert!(!file.is_synced(), "the file of the first record is still to be synced");
    let elsewhere = Cdr {
        path: folder.0.join("elsewhere.jsonl"),
        ..folder.settings()
    };
    file.follow(elsewhere).expect("synced");
    file.append(b"2\n", 6).expect("written");
    assert_eq!(folder.files(), ["cdr.jsonl", "elsewhere.jsonl"]);
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let folder = Folder::new();
    let path = folder.settings().path;
    let mut file = RecordFile::new(folder.settings());
    file.append(b"1\n", 5).expect("written");
    fs::rename(&path, folder.0.join("away")).expect("moved");
    file.append(b"2\n", 6).expect("written");
    assert_eq!(fs::read_to_string(&path).expect("the new file"), "2\n");
}

#[test]
fn a_path_that_cannot_be_is_said_at_the_start() {
    let folder = Folder::new();
    fs::write(folder.0.join("file"), "").expect("a file");
    let settings = Cdr {
        path: folder.0.join("file/cdr.jsonl"),
        ..folder.settings()
    };
    let error = CdrWriter::start("n", Some(settings))
        .err()
        .expect("no folder")
        .to_string();
    assert!(error.contains("file/cdr.jsonl"), "{error}");
}

#[test]
fn records_go_where_a_new_configuration_says() {
    let folder = Folder::new();
    let writer = CdrWriter::start("n", None).expect("a writer");
    writer.happened(&Happening::CallOver { record: &record() });
    writer.apply(Some(&folder.settings()));
    writer.happened(&Happening::CallOver { record: &record() });
    assert!(writer.finish(GRACE));
    assert_eq!(lines(&folder.settings().path).len(), 1);
    assert_eq!(writer.counts().written, 1);
}

/// `/dev/full` refuses every write as a full disk does.
#[test]
fn a_full_disk_costs_records_and_is_counted() {
    let folder = Folder::new();
    let settings = Cdr {
        path: "/dev/full".into(),
        ..folder.settings()
    };
    let writer = CdrWriter::start("n", Some(settings)).expect("a writer");
    for _ in 0..3 {
        writer.happened(&Happening::CallOver { record: &record() });
    }
    writer.apply(Some(&folder.settings()));
    writer.happened(&Happening::CallOver { record: &record() });
    assert!(writer.finish(GRACE));
    assert_eq!(
        writer.counts(),
        CdrCounts {
            written: 1,
            dropped: 0,
            lost: 3,
            is_losing: false
        }
    );
}

#[test]
fn every_reason_that_is_counted_is_shown() {
    let mut stats = MediaStats::default();
    let counted = serde_json::to_value(&stats.received.dropped).expect("JSON");
    let names: Vec<&String> = counted.as_object().expect("reasons").keys().collect();
    let mut shown: Vec<&str> = line::dropped(&stats).iter().map(|(reason, _)| *reason).collect();
    shown.sort_unstable();
    assert_eq!(shown, names);
    stats.received.dropped.replaced = 3;
    assert!(line::dropped(&stats).contains(&("replaced", 3)));
}
