//! Golden cases: `tests/data/sdp/<case>/`, one folder for each vendor's habit.
//!
//! `case.toml` names the legs. `offer.sdp` came on the first leg, `offered.sdp` is what we then print on the second,
//! `answer.sdp` came there, `answered.sdp` is what we print on the first, `settled.txt` what both legs' sockets are told.
//! `refusal.txt` stands in place of the first thing that we don't print. Files have bare LF; they go in and come out as
//! CRLF. `earlier.sdp` came on the first leg before, and was answered. With `WRITE_GOLDEN=1` the expected files are written instead of compared: read them before you commit.

use super::*;
use crate::ice::Secret;
use crate::srtp::{MasterKey, Suite};
use serde::Deserialize;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case shows, for its reader.
    #[serde(rename = "why")]
    _why: String,
    from: Leg,
    to: Leg,
    /// Codecs of the leg that is a carrier's, where they are not the usual ones.
    codecs: Option<Vec<Codec>>,
    /// Our address on both legs.
    #[serde(default = "documentation_address")]
    local: IpAddr,
    /// The input files go in with bare LF.
    #[serde(default)]
    bare_lf: bool,
    /// No RTCP port on the first leg.
    #[serde(default)]
    rtcp_on_rtp_port: bool,
    /// Our port on the first leg.
    #[serde(default = "first_port")]
    port: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Leg {
    Teams,
    TeamsBypass,
    Carrier,
}

fn first_port() -> u16 {
    30_000
}

fn documentation_address() -> IpAddr {
    IpAddr::from([198, 51, 100, 5])
}

impl Leg {
    fn profile(&self, local: IpAddr, codecs: Option<&Vec<Codec>>) -> LegProfile {
        let mut profile = match self {
            Leg::Teams => LegProfile::teams(),
            Leg::TeamsBypass => LegProfile::teams_bypass(),
            Leg::Carrier => LegProfile::carrier(),
        };
        if let (Leg::Carrier, Some(codecs)) = (self, codecs) {
            profile.codecs.clone_from(codecs);
        }
        profile.addresses.own = vec![local];
        profile
    }
}

/// What a case's files should be; a file that isn't here must not exist.
#[derive(Default)]
struct Outcome {
    files: Vec<(&'static str, String)>,
}

fn key(text: &str) -> MasterKey {
    MasterKey::from_base64(Suite::AesCm128HmacSha1_80, text).unwrap()
}

fn run(folder: &Path) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(refusal) = exchange(folder, &mut outcome) {
        let text = format!("{}\n{}\n", refusal.status(), refusal.warning("sbc1.example.net"));
        outcome.files.push(("refusal.txt", text));
    }
    outcome
}

fn exchange(folder: &Path, outcome: &mut Outcome) -> Result<(), Refusal> {
    let case: Case = toml::from_str(&fs::read_to_string(folder.join("case.toml")).unwrap()).unwrap();
    let read = |name: &str| {
        let bytes = fs::read(folder.join(name)).ok()?;
        let lines = bytes.split(|&byte| byte == b'\n').collect::<Vec<_>>();
        Some(if case.bare_lf {
            lines.join(&b"\n"[..])
        } else {
            lines.join(&b"\r\n"[..])
        })
    };
    let codecs = case.codecs.as_ref();
    let (from, to) = (
        case.from.profile(case.local, codecs),
        case.to.profile(case.local, codecs),
    );
    let rtcp = (!case.rtcp_on_rtp_port).then_some(case.port + 1);
    let mut first = LocalMedia::new(
        case.local,
        case.port,
        rtcp,
        88_001,
        key("xhqrJOKme4fZTKjOLe56fy9ZZ/yUV11f+nW7VOXU"),
    )
    .with_secret(Secret::from_bytes([1; 32]));
    let mut second = LocalMedia::new(
        case.local,
        30_002,
        Some(30_003),
        88_002,
        key("fY3pG7vR0qLw8sXc1dNhUj5kTm9bZe2aQo6iVr4P"),
    )
    .with_secret(Secret::from_bytes([2; 32]));

    let remote_offer = Session::parse(&read("offer.sdp").unwrap())?;
    let carried = carry_offer(&remote_offer, &from, &to, Recoding::Any)?;
    let ours = offer(&to, &mut second, &carried.formats, carried.direction);
    outcome.files.push(("offered.sdp", printed(&ours.body)));

    let Some(body) = read("answer.sdp") else { return Ok(()) };
    let far = read_answer(&to, &mut second, &ours, &Session::parse(&body)?)?;
    if let Some(body) = read("earlier.sdp") {
        let earlier = Session::parse(&body)?;
        answer(&from, &mut first, &earlier, &far.formats(), far.carried_direction())?;
    }
    let answer = answer(
        &from,
        &mut first,
        &remote_offer,
        &far.formats(),
        far.carried_direction(),
    )?;
    outcome.files.push(("answered.sdp", printed(&answer.body)));
    let near = &answer.negotiated;
    let settled = format!(
        "first  {}second {}first to second {}\nsecond to first {}\n",
        summary(near),
        summary(&far),
        map_text(&payload_map(near, &far)),
        map_text(&payload_map(&far, near)),
    );
    outcome.files.push(("settled.txt", settled));
    Ok(())
}

/// The body with bare LF, after checking what holds for all that we print.
fn printed(body: &str) -> String {
    assert_eq!(
        body.matches('\n').count(),
        body.matches("\r\n").count(),
        "bare LF in {body}"
    );
    let read = Session::parse(body.as_bytes()).expect("what we print can be read");
    assert_eq!(
        read.media.iter().filter(|line| line.port != 0).count(),
        1,
        "one live stream in {body}"
    );
    body.replace("\r\n", "\n")
}

fn summary(negotiated: &Negotiated) -> String {
    let mut text = format!("rtp {}", negotiated.remote_rtp);
    match (negotiated.rtcp_mux, negotiated.remote_rtcp) {
        (true, _) => text.push_str(" mux"),
        (false, Some(rtcp)) => write!(text, " rtcp {rtcp}").unwrap(),
        (false, None) => text.push_str(" no rtcp"),
    }
    write!(text, " {} {} ms", negotiated.direction.as_str(), negotiated.ptime).unwrap();
    if let Some(keys) = &negotiated.srtp {
        write!(
            text,
            " srtp {} mki {}",
            keys.remote.to_base64().as_str(),
            keys.remote_mki_length
        )
        .unwrap();
    }
    if let Some(ice) = &negotiated.ice {
        let lite = if ice.remote_is_lite { " lite" } else { "" };
        write!(text, " ice {} with {}{lite}", ice.local.ufrag, ice.remote_ufrag).unwrap();
        if let Some(chosen) = ice.chosen {
            write!(text, " chosen {chosen}").unwrap();
        }
    }
    text.push('\n');
    for format in &negotiated.formats {
        write!(
            text,
            "  {} send {} receive {}",
            format.format,
            format.send,
            format.receive()
        )
        .unwrap();
        writeln!(text, " {}", format.format.fmtp.as_deref().unwrap_or_default()).unwrap();
    }
    text.replace(" \n", "\n")
}

fn map_text(map: &PayloadMap) -> String {
    let pairs = (0..).zip(map).filter(|(_, sent)| **sent != DROP);
    pairs
        .map(|(received, sent): (u8, _)| format!("{received}>{sent}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn golden_cases() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/sdp");
    let mut folders: Vec<PathBuf> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    let write = std::env::var_os("WRITE_GOLDEN").is_some();
    let mut wrong = String::new();
    for folder in &folders {
        let outcome = run(folder);
        for name in ["offered.sdp", "answered.sdp", "settled.txt", "refusal.txt"] {
            let path = folder.join(name);
            let actual = outcome
                .files
                .iter()
                .find(|(file, _)| *file == name)
                .map(|(_, text)| text.clone());
            if write {
                match &actual {
                    Some(text) => fs::write(&path, text).unwrap(),
                    None if path.exists() => fs::remove_file(&path).unwrap(),
                    None => {}
                }
            }
            let expected = fs::read_to_string(&path).ok();
            if expected != actual {
                let text = |side: &Option<String>| side.clone().unwrap_or_else(|| "(nothing)\n".to_owned());
                write!(
                    wrong,
                    "{}\n--- expected\n{}--- got\n{}",
                    path.display(),
                    text(&expected),
                    text(&actual)
                )
                .unwrap();
            }
        }
    }
    assert!(folders.len() >= 25, "only {} cases found", folders.len());
    assert!(wrong.is_empty(), "{wrong}");
}
