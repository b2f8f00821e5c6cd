//! Session descriptions.

use crate::sdp::{Audio, Codec, Direction, Format, Session};
use crate::sim::persona::Known;
use crate::sim::violation::Violation;
use std::collections::HashSet;
use std::net::SocketAddr;

/// The suite that is to be taken.
const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

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
    found.extend(known.described.as_ref().and_then(|last| version(last, body)));
    found.extend(wrong_key(body));
    if known.bypass {
        found.extend(ice(body, audio));
        if known
            .ice
            .as_ref()
            .is_some_and(|first| is_other_ice(first, &ice_lines(body)))
        {
            let evidence = "other credentials or candidates than at the beginning, and ICE was not restarted";
            found.push(Violation::new("ice-changed", evidence));
        }
    }
    found
}

/// What an answer takes over from its offer, and what it may not say beside (RFC 3264 §6, RFC 4568 §5.1.2, RFC 5761 §5.1.1).
pub(super) fn answered(body: &[u8], offer: &[u8]) -> Vec<Violation> {
    let audio_in = |body| Session::parse(body).ok().and_then(|session| session.audio().cloned());
    let (Some(answer), Some(offer)) = (audio_in(body), audio_in(offer)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if answer.protocol != offer.protocol {
        let (ours, theirs) = (offer.protocol.as_str(), answer.protocol.as_str());
        found.push(Violation::new(
            "answer-profile",
            format!("{theirs} to an offer of {ours}"),
        ));
    }
    let named = |audio: &Audio| -> Vec<(u32, String)> {
        let lines = audio.crypto.iter().map(|line| (line.tag, line.suite.clone()));
        lines.collect()
    };
    let (ours, theirs) = (named(&offer), named(&answer));
    let is_taken = match &theirs[..] {
        [taken] => ours.contains(taken) && taken.1 == SUITE,
        _ => false,
    };
    // Plain RTP is a breach of its own.
    if answer.protocol.is_secure() && !is_taken {
        found.push(Violation::new(
            "answer-crypto",
            format!("{theirs:?} to an offer of {ours:?}"),
        ));
    }
    let of_dtls = ["a=fingerprint:", "a=setup:", "a=tls-id:"];
    if let Some(line) = lines(body).find(|line| of_dtls.iter().any(|name| line.starts_with(name))) {
        found.push(Violation::new("answer-dtls", line));
    }
    if answer.rtcp_mux && !offer.rtcp_mux {
        found.push(Violation::new("answer-mux", "a=rtcp-mux, and the offer had none"));
    }
    found
}

/// On a trunk with media bypass: ICE lite, and one candidate of IPv4 for each port, which is where the description says that
/// media are (TEAMS-099).
fn ice(body: &[u8], audio: &Audio) -> Option<Violation> {
    if !audio.ice.as_ref().is_some_and(|ice| ice.lite) {
        return Some(Violation::new("ice", "no credentials, or no a=ice-lite"));
    }
    let rtcp = audio.rtcp.filter(|_| !audio.rtcp_mux);
    candidate(body, "1", Some(audio.rtp())).or_else(|| candidate(body, "2", rtcp))
}

/// A component has one candidate, which is where its media are said to be, or none.
fn candidate(body: &[u8], component: &str, at: Option<SocketAddr>) -> Option<Violation> {
    let candidates = lines(body).filter_map(|line| line.strip_prefix("a=candidate:"));
    let of_it: Vec<&str> = candidates
        .filter(|line| line.split(' ').nth(1) == Some(component))
        .collect();
    let Some(at) = at else {
        let evidence = format!("{} candidates of component {component}, which has no port", of_it.len());
        return (!of_it.is_empty()).then(|| Violation::new("ice", evidence));
    };
    let [candidate] = of_it[..] else {
        let evidence = format!("{} candidates of component {component}", of_it.len());
        return Some(Violation::new("ice", evidence));
    };
    let (address, port) = (at.ip().to_string(), at.port().to_string());
    let fields: Vec<&str> = candidate.split(' ').collect();
    let is_right = match fields[..] {
        [_, _, transport, _, of, on, "typ", "host", ..] => {
            transport.eq_ignore_ascii_case("udp") && (of, on) == (&*address, &*port) && at.is_ipv4()
        }
        _ => false,
    };
    (!is_right).then(|| {
        Violation::new(
            "ice",
            format!("a=candidate:{candidate}, and media are at {address} {port}"),
        )
    })
}

/// What stays as it is through a call on a trunk with media bypass (TEAMS-101).
pub(in crate::sim) fn ice_lines(body: &[u8]) -> String {
    let is_ice = |line: &&str| line.starts_with("a=ice-") || line.starts_with("a=candidate:");
    lines(body).filter(is_ice).collect::<Vec<_>>().join("\n")
}

/// The candidate of RTCP comes and goes with its port, which another rtcp-mux of Teams may bring; all else stays.
fn is_other_ice(first: &str, now: &str) -> bool {
    let is_of_rtcp = |line: &&str| line.starts_with("a=candidate:") && line.split(' ').nth(1) == Some("2");
    let [first, now] = [first, now].map(|text| text.lines().partition::<Vec<&str>, _>(is_of_rtcp));
    first.1 != now.1 || (!first.0.is_empty() && !now.0.is_empty() && first.0 != now.0)
}

/// The key of the suite that Teams takes is 30 octets in Base64 without padding (RFC 4568 §6.1).
fn wrong_key(body: &[u8]) -> Option<Violation> {
    let mut ours = lines(body).filter(|line| line.starts_with("a=crypto:") && line.split(' ').nth(1) == Some(SUITE));
    ours.find_map(|line| {
        let key = line
            .split(' ')
            .find_map(|word| word.strip_prefix("inline:"))
            .unwrap_or_default();
        let key = key.split('|').next().unwrap_or(key);
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let is_right = key.len() == 40 && key.bytes().all(is_base64);
        // The key itself is nobody's business.
        let evidence = format!("a key of {} characters, or of others than Base64's", key.len());
        (!is_right).then(|| Violation::new("crypto-key", evidence))
    })
}

/// What an offer has to have beside.
pub(super) fn offered(body: &[u8], audio: &Audio) -> Vec<Violation> {
    let mut found = Vec::new();
    let bare = lines(body).find(|line| line.starts_with("a=crypto:") && !line.contains("|2^"));
    if let Some(line) = bare {
        let (head, _) = line.split_once("inline:").unwrap_or((line, ""));
        found.push(Violation::new("crypto-lifetime", head));
    }
    let is_spoken = |format: &Format| match format.codec {
        Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::G729 | Codec::Silk => true,
        Codec::TelephoneEvent | Codec::ComfortNoise | Codec::Other(_) => false,
    };
    if !audio.formats.iter().any(is_spoken) {
        found.push(Violation::new("codec", "none of PCMU, PCMA, G722, G729 and SILK"));
    }
    if !audio.formats.iter().any(|format| format.codec == Codec::TelephoneEvent) {
        found.push(Violation::new("telephone-event", "no telephone-event"));
    }
    if !audio.rtcp_mux {
        found.push(Violation::new("mux", "no a=rtcp-mux"));
    }
    found
}

/// The version in `o=` moves with the description, and with nothing else (RFC 3264 §8, TEAMS-074).
fn version(last: &[u8], body: &[u8]) -> Option<Violation> {
    let is_origin = |line: &&str| line.starts_with("o=");
    let [before, now] = [last, body].map(|body| lines(body).find(is_origin).unwrap_or_default());
    let same_rest = lines(last)
        .filter(|line| !is_origin(line))
        .eq(lines(body).filter(|line| !is_origin(line)));
    let evidence = match (before == now, same_rest) {
        (true, false) => format!("another description with the same {now}"),
        (false, true) => format!("{now} after {before}, and nothing else changed"),
        _ => return None,
    };
    Some(Violation::new("description-version", evidence))
}

/// Payload types that stand twice in one stream; our reader takes the first alone.
fn repeated(body: &[u8]) -> Option<Violation> {
    let mut mapped = HashSet::new();
    let mut maps = lines(body).filter_map(|line| line.strip_prefix("a=rtpmap:")?.split(' ').next());
    let twice = maps.find(|number| !mapped.insert(*number));
    let listed = lines(body).filter(|line| line.starts_with("m=audio")).find_map(|line| {
        let mut types: Vec<&str> = line.split_ascii_whitespace().skip(3).collect();
        types.sort_unstable();
        let twice = types.windows(2).find(|pair| pair.first() == pair.last())?;
        Some(Violation::new("payload-types", format!("{} in {line}", twice.first()?)))
    });
    listed.or_else(|| twice.map(|number| Violation::new("payload-types", format!("two rtpmaps of {number}"))))
}

fn lines(body: &[u8]) -> impl Iterator<Item = &str> {
    std::str::from_utf8(body).unwrap_or_default().lines()
}
