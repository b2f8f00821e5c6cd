//! Every codec of Teams on one leg against every one on the other (TEAMS-096), as two tables: `tests/data/codecs/`.
//!
//! The caller offers one codec, the callee may have one and answers with what it is offered. `WRITE_GOLDEN=1` writes the
//! tables instead of comparing them: read them before you commit.

use super::*;
use crate::srtp::{MasterKey, Suite};
use std::fmt::Write as _;

const CODECS: [(u8, &str); 6] = [
    (0, "PCMU/8000"),
    (8, "PCMA/8000"),
    (9, "G722/8000"),
    (18, "G729/8000"),
    (103, "SILK/8000"),
    (104, "SILK/16000"),
];

/// A description of a peer with this codec, comfort noise and events.
fn description(secure: bool, number: u8, name: &str) -> Session {
    let (profile, key) = match secure {
        true => (
            "RTP/SAVP",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD\r\na=rtcp-mux\r\n",
        ),
        false => ("RTP/AVP", ""),
    };
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 {profile} {number} 101 13\r\n{key}\
         a=rtpmap:{number} {name}\r\na=rtpmap:101 telephone-event/8000\r\na=rtpmap:13 CN/8000\r\na=ptime:20\r\n"
    );
    Session::parse(text.as_bytes()).unwrap()
}

fn local(port: u16) -> LocalMedia {
    let key = MasterKey::from_bytes(Suite::AesCm128HmacSha1_80, &[port.to_be_bytes()[1]; 30]).unwrap();
    LocalMedia::new([198, 51, 100, 5].into(), port, Some(port + 1), 7, key)
}

/// The leg of this profile, which may have this codec alone. SILK is one word for both clocks.
fn held_to(profile: &LegProfile, name: &str) -> LegProfile {
    let codec = Codec::from(name.split('/').next().unwrap());
    LegProfile {
        codecs: vec![codec],
        ..profile.clone()
    }
}

fn listed(formats: &[Format]) -> String {
    let names: Vec<String> = formats
        .iter()
        .map(|format| format!("{} {format}", format.payload_type))
        .collect();
    names.join(", ")
}

/// What becomes of a call whose caller has one codec and whose callee has the other.
fn outcome(from: &LegProfile, to: &LegProfile, caller: (u8, &str), callee: (u8, &str)) -> Result<String, String> {
    let secure = |profile: &LegProfile| profile.security == Security::SdesRequired;
    let (near, far) = (from.clone(), held_to(to, callee.1));
    let (mut at_caller, mut at_callee) = (local(30_000), local(30_002));
    let refused = |by: &str, refusal: Refusal| format!("{by} {}: {refusal}", refusal.status());
    let offered = description(secure(from), caller.0, caller.1);
    let carried = carry_offer(&offered, &near, &far, Recoding::Any).map_err(|refusal| refused("refused", refusal))?;
    let ours = offer(&far, &mut at_callee, &carried.formats, carried.direction);
    let spoken = |format: &&Format| !format.codec.is_auxiliary() && format.to_string() == callee.1;
    let Some(taken) = ours.formats.iter().find(spoken) else {
        return Err(format!("{}: the callee refuses", listed(&ours.formats)));
    };
    let answered = description(secure(to), taken.payload_type, callee.1);
    let settled = read_answer(&far, &mut at_callee, &ours, &answered).map_err(|refusal| refused("answer", refusal))?;
    let direction = settled.carried_direction();
    let back = answer(&near, &mut at_caller, &offered, &settled.formats(), direction)
        .map_err(|refusal| refused("answer", refusal))?;
    let near = back.negotiated;
    let audio = match payload_map(&near, &settled)[usize::from(caller.0)] {
        DROP => "recoded",
        _ => "passes",
    };
    Ok(format!(
        "{} -> {}: {audio}",
        listed(&ours.formats),
        listed(&near.formats())
    ))
}

fn table(from: &LegProfile, to: &LegProfile) -> String {
    let mut table = String::from("caller has | callee has | offered to the callee -> answered to the caller\n");
    for (caller, callee) in CODECS
        .iter()
        .flat_map(|one| CODECS.iter().map(move |other| (*one, *other)))
    {
        let outcome = outcome(from, to, caller, callee).unwrap_or_else(|refusal| refusal);
        writeln!(table, "{} | {} | {outcome}", caller.1, callee.1).unwrap();
    }
    table
}

#[test]
fn teams_096_each_codec_on_each_side() {
    let (teams, carrier) = (LegProfile::teams(), LegProfile::carrier());
    let mut every = carrier.clone();
    every.codecs.push(Codec::Silk);
    for (name, table) in [
        ("teams-to-carrier.txt", table(&teams, &carrier)),
        ("carrier-to-teams.txt", table(&every, &teams)),
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/codecs")
            .join(name);
        if std::env::var_os("WRITE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &table).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(expected == table, "{}:\n{table}", path.display());
        let count = |word: &str| table.lines().filter(|line| line.ends_with(word)).count();
        assert_eq!((count("passes"), count("recoded")), (6, 6), "{name}");
    }
}

/// Whatever is offered, a leg hears of SILK only where both may have it.
#[test]
fn teams_096_silk_is_never_offered_where_one_side_can_not_have_it() {
    let (teams, carrier) = (LegProfile::teams(), LegProfile::carrier());
    let mut silk = carrier.clone();
    silk.codecs.push(Codec::Silk);
    let is_offered = |formats: &[Format]| formats.iter().any(|format| format.codec == Codec::Silk);
    let text = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 96 97\r\n\
                a=rtpmap:96 SILK/16000\r\na=rtpmap:97 SILK/8000\r\n";
    let plain = Session::parse(text.as_bytes()).unwrap();
    for (from, to, expected) in [
        (&carrier, &teams, false),
        (&silk, &carrier, false),
        (&silk, &teams, true),
        (&silk, &silk, true),
    ] {
        let carried = carry_offer(&plain, from, to, Recoding::Any).unwrap();
        assert_eq!(is_offered(&carried.formats), expected);
    }
    for (one, other) in [
        (&teams, &carrier),
        (&silk, &carrier),
        (&carrier, &silk),
        (&silk, &teams),
        (&teams, &silk),
    ] {
        // Nobody has said that it has it.
        assert!(!is_offered(&formats_without_offer(one, other)));
    }
    assert!(!is_offered(&formats_of_our_own(&teams)));
    assert_eq!(
        formats_ended_here(&plain, &silk).map(|formats| is_offered(&formats)),
        Ok(false)
    );
}
