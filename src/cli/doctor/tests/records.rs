//! What the node writes of a call is what doctor reads of it.

use super::papers::Folder;
use crate::call::{CallFacts, CallRecord, Cause, Direction, LegRecord, LegTransfer, Party, TransferKind};
use crate::cli::doctor::files;
use crate::cli::doctor::world::{PastCall, PastLeg, PastMedia};
use crate::config::{Config, fixture};
use crate::dial::PeerName;
use crate::media::MediaStats;
use crate::observe::cdr::CdrWriter;
use crate::observe::{Happening, Observer};
use std::collections::BTreeMap;
use std::time::Duration;

const BEGAN_MS: u64 = 1_764_000_000_000;

fn record() -> CallRecord {
    let cause = Cause::hung_up(Party::Callee);
    let mut media = MediaStats::default();
    (media.received.packets, media.sent.packets) = (3_000, 2_900);
    media.received.dropped.auth_failures = 4;
    CallRecord {
        call: "00000004d2".into(),
        facts: CallFacts {
            direction: Direction::CarrierToTeams,
            tenant: "contoso".into(),
            carrier: Some("north".into()),
            from: "+12065550123".into(),
            to: "+4930555100".into(),
            emergency: false,
            elin: None,
            began_unix_ms: BEGAN_MS,
            trace: Vec::new(),
        },
        ringing_after_ms: Some(900),
        answered_after_ms: Some(3_000),
        ended_after_ms: 63_042,
        status: 200,
        cause_text: cause.explain(),
        ended_by: cause.ended_by(),
        cause,
        application: None,
        legs: vec![LegRecord {
            side: "teams".into(),
            peer: Some(PeerName::Hub("sip.pstnhub.microsoft.com".into())),
            status: Some(480),
            reasons: vec![
                "Q.850;cause=31;text=\"a1856424-e9da-40a6-a870-f289f81a863a;No callee endpoints were found\"".into(),
            ],
            why: Some("no response in time".into()),
            transfer: Some(LegTransfer {
                kind: TransferKind::Referred,
                of: 0,
                refer_to: None,
                referred_by: None,
                trace: Vec::new(),
            }),
            media: Some(media),
            ..LegRecord::default()
        }],
    }
}

#[test]
fn every_field_that_doctor_reads_of_a_call_is_one_that_the_node_writes() {
    let folder = Folder::new();
    let path = folder.path("calls.jsonl");
    let toml = fixture::machine(&format!("[cdr]\npath = {:?}\n", path.display().to_string()));
    let config = Config::from_toml_strs(&toml, &[]).unwrap_or_else(|wrong| panic!("{wrong}"));
    let writer = CdrWriter::start("sbc1.example.net", config.sbc.cdr.clone()).expect("a writer");
    writer.happened(&Happening::CallOver { record: &record() });
    assert!(writer.finish(Duration::from_secs(10)));

    let now = i64::try_from(BEGAN_MS / 1_000 + 3_600).expect("now");
    let mut calls = files::records(&config, now).expect("the record");
    // No `..`: a field that is read has its place here.
    let PastCall {
        call,
        direction,
        tenant,
        carrier,
        from,
        to,
        began_ms,
        ended_ms,
        ringing_after_ms,
        talked_ms,
        status,
        cause,
        cause_text,
        ended_by,
        legs,
    } = calls.remove(0);
    assert_eq!((call.as_str(), direction.as_str()), ("00000004d2", "carrier_to_teams"));
    assert_eq!((tenant.as_str(), carrier.as_deref()), ("contoso", Some("north")));
    assert_eq!((from.as_str(), to.as_str()), ("+12065550123", "+4930555100"));
    assert_eq!((began_ms, ended_ms), (BEGAN_MS, BEGAN_MS + 63_042));
    assert_eq!((ringing_after_ms, talked_ms), (Some(900), 60_042));
    assert_eq!((status, cause.as_str(), ended_by.as_str()), (200, "hung_up", "callee"));
    assert_eq!(cause_text, "the called side hung up");
    let [leg] = legs.try_into().expect("one leg");
    let PastLeg {
        side,
        peer,
        transfer,
        status,
        why,
        reason_phrase,
        cause_class,
        media,
    } = leg;
    assert_eq!((side.as_str(), status), ("teams", Some(480)));
    assert_eq!(peer.as_deref(), Some("sip.pstnhub.microsoft.com"));
    assert_eq!(transfer.expect("a transfer").kind, "referred");
    assert_eq!(why.as_deref(), Some("no response in time"));
    assert_eq!(reason_phrase.as_deref(), Some("No callee endpoints were found"));
    assert!(cause_class.is_some_and(|class| !class.is_empty()));
    let PastMedia {
        received_packets,
        sent_packets,
        dropped,
    } = media.expect("media");
    assert_eq!((received_packets, sent_packets), (3_000, 2_900));
    assert_eq!(dropped, BTreeMap::from([("auth_failures".to_owned(), 4)]));
}
