//! Session descriptions.

use crate::sdp::{Audio, Direction, Session};
use crate::sim::persona::Known;
use crate::sim::violation::Violation;

/// Hold is `inactive` only, and the media address stays for the whole dialog (TEAMS-071, TEAMS-073).
pub(super) fn description(body: &[u8], known: &Known) -> Vec<Violation> {
    let Ok(session) = Session::parse(body) else {
        return vec![Violation::new("description", "cannot be read")];
    };
    let Some(audio) = session.audio() else {
        return vec![Violation::new("description", "no audio stream with a port")];
    };
    let mut found = Vec::new();
    if matches!(audio.direction, Direction::SendOnly | Direction::RecvOnly) {
        found.push(Violation::new("direction", format!("a={}", audio.direction.as_str())));
    }
    if audio.address.is_unspecified() {
        found.push(Violation::new("blackhole", "c=IN IP4 0.0.0.0"));
    }
    if !audio.protocol.is_secure() {
        found.push(Violation::new("srtp", audio.protocol.as_str()));
    }
    if let Some(first) = known.media
        && first != audio.rtp()
    {
        found.push(Violation::new(
            "media-moved",
            format!("from {first} to {}", audio.rtp()),
        ));
    }
    if let Some(first) = known.protocol
        && first != audio.protocol
    {
        found.push(Violation::new(
            "protocol-moved",
            format!("from {} to {}", first.as_str(), audio.protocol.as_str()),
        ));
    }
    if audio.ptime.is_some_and(|milliseconds| milliseconds != 20) {
        found.push(Violation::new("packet-time", format!("a=ptime:{:?}", audio.ptime)));
    }
    found.extend(repeated(body));
    found
}

/// What an offer has to have beside.
pub(super) fn offered(body: &[u8], audio: &Audio) -> Vec<Violation> {
    let mut found = Vec::new();
    let bare = lines(body).find(|line| line.starts_with("a=crypto:") && !line.contains("|2^"));
    if let Some(line) = bare {
        let (head, _) = line.split_once("inline:").unwrap_or((line, ""));
        found.push(Violation::new("crypto-lifetime", head));
    }
    if !audio.rtcp_mux {
        found.push(Violation::new("mux", "no a=rtcp-mux"));
    }
    found
}

/// Payload types that stand twice in one stream; our reader takes the first alone.
fn repeated(body: &[u8]) -> Option<Violation> {
    lines(body).filter(|line| line.starts_with("m=audio")).find_map(|line| {
        let mut types: Vec<&str> = line.split_ascii_whitespace().skip(3).collect();
        types.sort_unstable();
        let twice = types.windows(2).find(|pair| pair.first() == pair.last())?;
        Some(Violation::new("payload-types", format!("{} in {line}", twice.first()?)))
    })
}

fn lines(body: &[u8]) -> impl Iterator<Item = &str> {
    std::str::from_utf8(body).unwrap_or_default().lines()
}
