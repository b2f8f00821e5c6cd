//! Our answers and the reading of the peer's.

use super::codec::{Codec, Format};
use super::crypto::Crypto;
use super::direction::Direction;
use super::error::Refusal;
use super::ice::IceSettled;
use super::local::{AudioLine, LocalMedia, OFFERED_TAG, refused};
use super::negotiated::{Negotiated, NegotiatedFormat, SrtpKeys};
use super::offer::Offer;
use super::profile::{Auxiliary, LegProfile, RtcpMux, Security};
use super::session::{Audio, Protocol, Session};
use crate::codec::speech::Speech;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// An answer of ours and what it settles.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The session description; it holds our SRTP key.
    pub body: String,
    pub negotiated: Negotiated,
}

/// Without the body, which holds a key.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("negotiated", &self.negotiated)
            .finish_non_exhaustive()
    }
}

/// Answers a peer's offer with what the other leg's peer accepted: `formats` ([`Negotiated::formats`]) in its order and
/// `direction` ([`Negotiated::carried_direction`]) as it described itself. The payload type numbers are the offerer's.
pub fn answer(
    profile: &LegProfile,
    local: &mut LocalMedia,
    remote_offer: &Session,
    formats: &[Format],
    direction: Direction,
) -> Result<Answer, Refusal> {
    let (position, audio) = remote_offer.audio_for(profile)?;
    check_addresses(profile, local, audio)?;
    let line = match profile.security {
        Security::Plain => None,
        Security::SdesRequired => Some(acceptable(audio)?),
    };
    let srtp = line.map(|line| keys(local, line)).transpose()?;
    let accepted = accepted_formats(profile, audio, formats)?;
    let may_share = audio.rtcp_mux && profile.rtcp_mux != RtcpMux::Never;
    let rtcp_mux = local.says_rtcp_mux(may_share) && may_share;
    let direction = profile.hold.answered(audio.direction, direction);
    let ice = local.ice_offered(profile, audio);
    local.protocol = Some(audio.protocol);
    let printed = AudioLine {
        protocol: audio.protocol,
        formats: &accepted,
        direction,
        rtcp_mux,
        crypto_tag: line.map_or(OFFERED_TAG, |line| line.tag),
        ice: ice.as_ref().map(|ice| ice.local.clone()),
    }
    .print(profile, local);
    let medias = remote_offer.media.iter().enumerate().map(|(at, line)| {
        if at == position {
            printed.clone()
        } else {
            refused(&line.kind, &line.transport, &line.first_format)
        }
    });
    let body = local.print(medias.collect());
    let formats = accepted
        .into_iter()
        .map(|format| NegotiatedFormat {
            send: format.payload_type,
            format,
        })
        .collect();
    Ok(Answer {
        body,
        negotiated: settle(profile, audio, rtcp_mux, direction, formats, (srtp, ice)),
    })
}

/// Answers an offer that switches all audio off: each stream's port is 0 in the answer as well (RFC 3264 §8.2).
pub fn answer_switched_off(local: &mut LocalMedia, remote_offer: &Session) -> String {
    let streams = remote_offer.media.iter();
    let medias = streams.map(|line| refused(&line.kind, &line.transport, &line.first_format));
    local.print(medias.collect())
}

/// Reads the peer's answer to `ours`.
pub fn read_answer(
    profile: &LegProfile,
    local: &mut LocalMedia,
    ours: &Offer,
    remote_answer: &Session,
) -> Result<Negotiated, Refusal> {
    let line = remote_answer.media.first().ok_or(Refusal::NoAudio)?;
    let audio = match &line.audio {
        Some(audio) => audio,
        None if line.port == 0 => return Err(Refusal::StreamRefused),
        None => return Err(Refusal::NoAudio),
    };
    let srtp = match (profile.security, audio.protocol.is_secure()) {
        (Security::SdesRequired, true) => Some(keys(local, answered_line(audio)?)?),
        (Security::Plain, false) => None,
        (Security::SdesRequired, false) => return Err(changed(Protocol::RtpSavp, audio)),
        (Security::Plain, true) => return Err(changed(Protocol::RtpAvp, audio)),
    };
    check_addresses(profile, local, audio)?;
    let formats = answered_formats(audio, ours)?;
    let rtcp_mux = ours.rtcp_mux && audio.rtcp_mux;
    let ice = local.ice_answered(profile, audio);
    Ok(settle(profile, audio, rtcp_mux, ours.direction, formats, (srtp, ice)))
}

/// Whether an offer or answer comes from another endpoint than the one that settled this: it has another address, and
/// another key.
/// One that goes on with our key would guess its rollover counter, for it has not heard us so far (RFC 4568 §7.1.4).
pub fn is_another_endpoint(settled: &Negotiated, theirs: &Session) -> bool {
    let (Some(audio), Some(keys)) = (theirs.audio(), &settled.srtp) else {
        return false;
    };
    let offered = audio.crypto.iter().find(|line| line.is_acceptable());
    let has_another_key = offered.is_some_and(|line| line.key.as_ref().is_some_and(|key| *key != keys.remote));
    has_another_key && audio.rtp() != settled.remote_rtp
}

fn check_addresses(profile: &LegProfile, local: &LocalMedia, audio: &Audio) -> Result<(), Refusal> {
    profile.check_addresses(audio)?;
    profile.addresses.check_socket(audio.rtp(), local.rtp())
}

/// The line of an offer that we take: the suite that Teams requires, wherever it stands in the list (TEAMS-093).
fn acceptable(audio: &Audio) -> Result<&Crypto, Refusal> {
    audio
        .crypto
        .iter()
        .find(|line| line.is_acceptable())
        .ok_or_else(|| Refusal::no_crypto(audio))
}

fn answered_line(audio: &Audio) -> Result<&Crypto, Refusal> {
    let line = acceptable(audio)?;
    let ours = audio
        .crypto
        .iter()
        .find(|line| line.is_acceptable() && line.tag == OFFERED_TAG);
    ours.ok_or(Refusal::CryptoTag {
        offered: OFFERED_TAG,
        answered: line.tag,
    })
}

fn keys(local: &LocalMedia, line: &Crypto) -> Result<SrtpKeys, Refusal> {
    let remote = line.key.clone().ok_or_else(|| Refusal::NoCrypto {
        offered: vec![line.suite.clone()],
        fault: None,
    })?;
    if remote == local.key {
        // the same key in both directions is a two-time pad
        return Err(Refusal::KeyReuse);
    }
    Ok(SrtpKeys {
        local: local.key.clone(),
        remote,
        remote_mki_length: line.mki_length,
    })
}

fn changed(offered: Protocol, audio: &Audio) -> Refusal {
    Refusal::TransportChanged {
        offered: offered.as_str(),
        answered: audio.protocol.as_str(),
    }
}

/// `formats` under the offerer's numbers; where the offer has none of them, its own that we can recode from and to them.
fn accepted_formats(profile: &LegProfile, audio: &Audio, formats: &[Format]) -> Result<Vec<Format>, Refusal> {
    let mut accepted: Vec<Format> = Vec::new();
    for carried in formats.iter().filter(|format| profile.allows(format)) {
        let Some(offered) = audio.formats.iter().find(|offered| offered.same_codec(carried)) else {
            continue;
        };
        if accepted
            .iter()
            .any(|earlier| earlier.payload_type == offered.payload_type)
        {
            continue;
        }
        let mut format = Format {
            fmtp: carried.fmtp.clone(),
            ..offered.clone()
        };
        if offered.forbids_annex_b() || !profile.g729_annex_b {
            format = format.without_annex_b();
        }
        accepted.push(format);
    }
    if accepted.iter().all(|format| format.codec.is_auxiliary()) && formats.iter().any(|f| f.speech().is_some()) {
        // nothing passes through: what can be recoded here, and what costs little before what costs much
        let others: Vec<Speech> = formats.iter().filter_map(Format::speech).collect();
        let is_near = |format: &Format| {
            let is_near = |known: Speech| others.iter().all(|other| !known.is_far_from(*other));
            format.speech().is_some_and(is_near)
        };
        let mut recodable: Vec<Format> = audio
            .formats
            .iter()
            .filter(|f| f.speech().is_some() && profile.allows(f))
            .cloned()
            .collect();
        if recodable.iter().any(is_near) {
            recodable.retain(is_near);
        }
        accepted.splice(0..0, recodable);
    }
    if accepted.iter().all(|format| format.codec.is_auxiliary()) {
        let allowed = formats.iter().map(ToString::to_string).collect();
        return Err(Refusal::NothingInCommon {
            peer: audio.format_names(),
            allowed,
        });
    }
    // Keys can change their form here (TEAMS-098).
    let is_event = |format: &&Format| format.codec == Codec::TelephoneEvent;
    if profile.telephone_event == Auxiliary::Always && !accepted.iter().any(|format| is_event(&format)) {
        // Ours have the clock of speech: with another one they would be of the wrong length.
        let ours = audio.formats.iter().filter(is_event);
        accepted.extend(
            ours.filter(|format| format.clock == Speech::CLOCK_RATE)
                .take(1)
                .cloned(),
        );
    }
    Ok(accepted)
}

/// The peer's choice among what we offered, in its order.
fn answered_formats(audio: &Audio, ours: &Offer) -> Result<Vec<NegotiatedFormat>, Refusal> {
    let mapped = audio.formats.iter().filter_map(|answered| {
        let offered = ours.formats.iter().find(|offered| offered.same_codec(answered))?;
        let mut format = Format {
            payload_type: offered.payload_type,
            ..answered.clone()
        };
        if offered.forbids_annex_b() {
            format = format.without_annex_b();
        }
        Some(NegotiatedFormat {
            format,
            send: answered.payload_type,
        })
    });
    let unmapped = audio.unmapped.iter().filter_map(|&number| {
        let offered = ours.formats.iter().find(|offered| offered.payload_type == number)?;
        Some(NegotiatedFormat {
            format: offered.clone(),
            send: number,
        })
    });
    let mut formats: Vec<NegotiatedFormat> = Vec::new();
    for answered in mapped.chain(unmapped) {
        if !formats.iter().any(|earlier| earlier.receive() == answered.receive()) {
            formats.push(answered);
        }
    }
    if formats.iter().all(|negotiated| negotiated.format.codec.is_auxiliary()) {
        let allowed = ours.formats.iter().map(ToString::to_string).collect();
        return Err(Refusal::NothingInCommon {
            peer: audio.format_names(),
            allowed,
        });
    }
    Ok(formats)
}

fn settle(
    profile: &LegProfile,
    audio: &Audio,
    rtcp_mux: bool,
    ours: Direction,
    formats: Vec<NegotiatedFormat>,
    (srtp, ice): (Option<SrtpKeys>, Option<IceSettled>),
) -> Negotiated {
    let reachable = |remote: &SocketAddr| !remote.ip().is_unspecified();
    // An address of ours is only what checks prove of it.
    let usable = |remote: SocketAddr| match profile.addresses.is_own(remote.ip()) {
        true => SocketAddr::new(IpAddr::from([0, 0, 0, 0]), remote.port()),
        false => remote,
    };
    let remote_rtp = usable(audio.rtp());
    let remote_rtcp = if rtcp_mux {
        Some(remote_rtp)
    } else {
        audio.rtcp.map(usable)
    };
    let ptime = audio.ptime.or(profile.ptime).unwrap_or(20);
    Negotiated {
        remote_rtp,
        remote_rtcp: remote_rtcp.filter(reachable),
        rtcp_mux,
        direction: ours.and(audio.direction.reversed()),
        formats,
        srtp,
        ice,
        ptime: audio.maxptime.map_or(ptime, |longest| ptime.min(longest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::{formats_without_offer, offer};
    use crate::srtp::{MasterKey, Suite};

    fn local(port: u16, byte: u8) -> LocalMedia {
        let key = MasterKey::from_bytes(Suite::AesCm128HmacSha1_80, &[byte; 30]).unwrap();
        LocalMedia::new([198, 51, 100, 5].into(), port, Some(port + 1), 7, key)
    }

    fn peer(formats: &str, transport: &str, more: &str) -> Session {
        let text = format!("v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 {transport} {formats}\r\n{more}");
        Session::parse(text.as_bytes()).unwrap()
    }

    /// 30 bytes of 3 in base64.
    fn crypto() -> String {
        format!(
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\r\na=rtcp-mux\r\n",
            "AwMD".repeat(10)
        )
    }

    #[test]
    fn an_invite_without_an_offer_ends_with_the_ack() {
        let (teams, carrier) = (LegProfile::teams(), LegProfile::carrier());
        let (mut toward_teams, mut toward_carrier) = (local(30_000, 1), local(30_002, 2));
        let ours = offer(
            &teams,
            &mut toward_teams,
            &formats_without_offer(&teams, &carrier),
            Direction::SendRecv,
        );
        let answered = peer(
            "9 0 8 101",
            "RTP/SAVP",
            &format!("{}a=rtpmap:101 telephone-event/8000\r\n", crypto()),
        );
        let far = read_answer(&teams, &mut toward_teams, &ours, &answered).unwrap();
        let in_2xx = offer(&carrier, &mut toward_carrier, &far.formats(), far.carried_direction());
        assert!(in_2xx.body.contains("RTP/AVP 9 0 8 101\r\n"), "{}", in_2xx.body);
        let near = read_answer(&carrier, &mut toward_carrier, &in_2xx, &peer("8 101", "RTP/AVP", "")).unwrap();
        let common = |format: &Format| near.formats().iter().any(|known| known.same_codec(format));
        let formats: Vec<Format> = far.formats().into_iter().filter(common).collect();
        let again = offer(&teams, &mut toward_teams, &formats, Direction::SendRecv);
        assert!(again.body.contains("RTP/SAVP 8 101\r\n"), "{}", again.body);
        assert!(again.body.contains("o=- 7 2 IN"), "{}", again.body);
    }

    #[test]
    fn an_unchanged_refresh_is_answered_with_the_same_bytes() {
        let teams = LegProfile::teams();
        let mut ours = local(30_000, 1);
        let refresh = peer("0 8", "RTP/SAVP", &crypto());
        let formats = [Format::well_known(8).unwrap()];
        let first = answer(&teams, &mut ours, &refresh, &formats, Direction::SendRecv).unwrap();
        assert_eq!(
            answer(&teams, &mut ours, &refresh, &formats, Direction::SendRecv).unwrap(),
            first
        );
        let held = answer(&teams, &mut ours, &refresh, &formats, Direction::Inactive).unwrap();
        let expected = first
            .body
            .replace("o=- 7 1 ", "o=- 7 2 ")
            .replace("a=sendrecv", "a=inactive");
        assert_eq!(held.body, expected);
    }

    #[test]
    fn teams_094_a_transport_that_the_peer_began_with_stays_in_our_own_offers() {
        let formats = [Format::well_known(8).unwrap()];
        for transport in ["UDP/TLS/RTP/SAVP", "RTP/SAVP"] {
            let (teams, mut ours) = (LegProfile::teams(), local(30_000, 1));
            let offered = peer("8", transport, &crypto());
            let answered = answer(&teams, &mut ours, &offered, &formats, Direction::SendRecv).unwrap();
            let again = offer(&teams, &mut ours, &formats, Direction::SendRecv);
            let line = format!("m=audio 30000 {transport} 8\r\n");
            assert!(
                answered.body.contains(&line) && again.body.contains(&line),
                "{}",
                again.body
            );
            assert_eq!(again.body, answered.body, "nothing else has changed (TEAMS-073)");
        }
        let fresh = offer(
            &LegProfile::teams(),
            &mut local(30_000, 1),
            &formats,
            Direction::SendRecv,
        );
        assert!(fresh.body.contains("m=audio 30000 RTP/SAVP 8\r\n"), "{}", fresh.body);
    }

    /// What Teams' m-line says of ICE.
    fn checking(ufrag: &str, password: char) -> String {
        let password = password.to_string().repeat(24);
        format!("{}a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n", crypto())
    }

    fn ice_lines(body: &str) -> Vec<&str> {
        let is_ice = |line: &&str| line.starts_with("a=ice-") || line.starts_with("a=candidate");
        body.lines().filter(is_ice).collect()
    }

    fn bypassing() -> (LegProfile, LocalMedia) {
        let ours = local(30_000, 1).with_secret(crate::ice::Secret::from_bytes([9; 32]));
        (LegProfile::teams_bypass(), ours)
    }

    #[test]
    fn teams_101_every_description_names_the_same_credentials_and_candidate() {
        let (teams, mut ours) = bypassing();
        let formats = [Format::well_known(8).unwrap()];
        let offered = offer(&teams, &mut ours, &formats, Direction::SendRecv);
        assert_eq!(ice_lines(&offered.body).len(), 4, "{}", offered.body);
        for (ufrag, password) in [("tC1u", 'a'), ("mP9x", 'b'), ("tC1u", 'a')] {
            let fork = peer("8", "RTP/SAVP", &checking(ufrag, password));
            let settled = read_answer(&teams, &mut ours, &offered, &fork).unwrap().ice.unwrap();
            assert_eq!((settled.remote_ufrag.as_str(), settled.remote_is_lite), (ufrag, false));
            let again = offer(&teams, &mut ours, &formats, Direction::SendRecv);
            assert_eq!(again.body, offered.body, "an answer of a fork restarts nothing");
        }
        let refresh = peer("8", "RTP/SAVP", &checking("tC1u", 'a'));
        let answered = answer(&teams, &mut ours, &refresh, &formats, Direction::SendRecv).unwrap();
        assert_eq!(ice_lines(&answered.body), ice_lines(&offered.body));
    }

    #[test]
    fn teams_078_a_new_name_and_password_of_the_peer_are_a_restart_and_one_alone_is_none() {
        let (teams, mut ours) = bypassing();
        let formats = [Format::well_known(8).unwrap()];
        let mut answered = |ufrag: &str, password: char| {
            let offered = peer("8", "RTP/SAVP", &checking(ufrag, password));
            let answer = answer(&teams, &mut ours, &offered, &formats, Direction::SendRecv).unwrap();
            (answer.negotiated.ice.unwrap().local, answer.body)
        };
        let (first, body) = answered("tC1u", 'a');
        assert!(body.contains("o=- 7 1 ") && body.contains("m=audio 30000 "), "{body}");
        assert_eq!(answered("tC1u", 'b').0, first);
        assert_eq!(answered("tC2u", 'b').0, first);
        let (second, body) = answered("mP9x", 'c');
        assert!(second.ufrag != first.ufrag && second.password != first.password);
        assert!(body.contains("o=- 7 2 ") && body.contains("m=audio 30000 "), "{body}");
        assert_eq!(answered("mP9x", 'c').0, second);
    }

    #[test]
    fn teams_079_only_a_pair_with_our_half_is_chosen() {
        let (teams, mut ours) = bypassing();
        let formats = [Format::well_known(8).unwrap()];
        let mut chosen = |half: &str| {
            let lines = format!("{}a=remote-candidates:{half}\r\n", checking("tC1u", 'a'));
            let offered = peer("8", "RTP/SAVP", &lines);
            let answer = answer(&teams, &mut ours, &offered, &formats, Direction::SendRecv).unwrap();
            answer.negotiated.ice.unwrap().chosen
        };
        assert_eq!(chosen("1 198.51.100.5 30000"), "192.0.2.9:4000".parse().ok());
        assert_eq!(chosen("1 198.51.100.5 30002"), None);
        assert_eq!(chosen("1 198.51.100.6 30000"), None);
    }

    #[test]
    fn a_client_behind_our_own_address_is_taken_where_it_checks_and_nothing_is_sent_there_unproven() {
        let (mut teams, mut ours) = bypassing();
        teams.addresses.own = vec!["192.0.2.9".parse().unwrap()];
        let formats = [Format::well_known(8).unwrap()];
        let lines = format!("{}a=remote-candidates:1 198.51.100.5 30000\r\n", checking("tC1u", 'a'));
        let offered = peer("8", "RTP/SAVP", &lines);
        let carried = crate::sdp::carry_offer(&offered, &teams, &LegProfile::carrier(), crate::sdp::Recoding::Any);
        carried.unwrap();
        let settled = answer(&teams, &mut ours, &offered, &formats, Direction::SendRecv).unwrap();
        let settled = settled.negotiated;
        assert!(settled.remote_rtp.ip().is_unspecified() && settled.remote_rtcp.is_none());
        assert_eq!(settled.ice.unwrap().chosen, None, "nor by its word alone");
        for other in [crypto(), format!("a=ice-lite\r\n{}", checking("tC1u", 'a'))] {
            let text = format!("v=0\r\nc=IN IP4 192.0.2.9\r\n{other}m=audio 4000 RTP/SAVP 8\r\n{other}");
            let offered = Session::parse(text.as_bytes()).unwrap();
            let refused = answer(&teams, &mut ours, &offered, &formats, Direction::SendRecv);
            assert!(matches!(refused, Err(Refusal::Address { .. })), "{other}: {refused:?}");
        }
    }

    #[test]
    fn no_ice_where_the_peer_has_none_or_the_leg_must_not() {
        let (teams, mut ours) = bypassing();
        let formats = [Format::well_known(8).unwrap()];
        let plain = peer("8", "RTP/SAVP", &crypto());
        let answered = answer(&teams, &mut ours, &plain, &formats, Direction::SendRecv).unwrap();
        assert_eq!((ice_lines(&answered.body), answered.negotiated.ice), (vec![], None));
        let checks = peer("8", "RTP/SAVP", &checking("tC1u", 'a'));
        let answered = answer(&LegProfile::teams(), &mut ours, &checks, &formats, Direction::SendRecv).unwrap();
        assert_eq!((ice_lines(&answered.body), answered.negotiated.ice), (vec![], None));
    }

    #[test]
    fn an_offer_without_a_shared_codec_is_answered_by_recoding() {
        let carrier = LegProfile::carrier();
        let offered = peer("9 101", "RTP/AVP", "a=rtpmap:101 telephone-event/8000\r\n");
        let pcma = [
            Format::well_known(8).unwrap(),
            Format::new(96, crate::sdp::Codec::TelephoneEvent, 8000),
        ];
        let answered = answer(&carrier, &mut local(30_000, 1), &offered, &pcma, Direction::SendRecv).unwrap();
        assert!(answered.body.contains("RTP/AVP 9 101\r\n"), "{}", answered.body);
        let both = peer("9 0", "RTP/AVP", "");
        let answered = answer(&carrier, &mut local(30_000, 1), &both, &pcma, Direction::SendRecv).unwrap();
        assert!(
            answered.body.contains("RTP/AVP 0\r\n"),
            "cheaper from 0: {}",
            answered.body
        );
        let g729 = [Format::well_known(18).unwrap()];
        let refused = answer(&carrier, &mut local(30_000, 1), &offered, &g729, Direction::SendRecv);
        assert!(matches!(refused, Err(Refusal::NothingInCommon { .. })));
    }

    #[test]
    fn events_are_named_alike_in_a_dialog() {
        let teams = LegProfile::teams();
        let mut ours = local(30_000, 1);
        let formats = |fmtp: Option<&str>| {
            let fmtp = fmtp.map(str::to_owned);
            let events = Format::our_events();
            [Format::well_known(8).unwrap(), Format { fmtp, ..events }]
        };
        let first = offer(&teams, &mut ours, &formats(None), Direction::SendRecv);
        assert!(first.body.contains("a=fmtp:101 0-15\r\n"), "{}", first.body);
        let more = format!("{}a=rtpmap:96 telephone-event/8000\r\n", crypto());
        let refresh = peer("8 96", "RTP/SAVP", &more);
        let other = formats(Some("0-16"));
        let answered = answer(&teams, &mut ours, &refresh, &other, Direction::SendRecv).unwrap();
        assert!(answered.body.contains("a=fmtp:96 0-15\r\n"), "{}", answered.body);
    }

    #[test]
    fn keys_stay_out_of_debug() {
        let teams = LegProfile::teams();
        let mut ours = local(30_000, 1);
        let formats = [Format::well_known(8).unwrap()];
        let offered = offer(&teams, &mut ours, &formats, Direction::SendRecv);
        let remote = peer("8", "RTP/SAVP", &crypto());
        let answered = answer(&teams, &mut ours, &remote, &formats, Direction::SendRecv).unwrap();
        let (own, theirs) = ("AQEB".repeat(10), "AwMD".repeat(10));
        assert!(offered.body.contains(&own) && answered.body.contains(&own));
        let shown = format!("{ours:?} {offered:?} {answered:?} {remote:?}");
        assert!(!shown.contains(&own) && !shown.contains(&theirs), "{shown}");
    }

    #[test]
    fn mux_is_only_what_both_want() {
        let formats = [Format::well_known(0).unwrap()];
        let offered = |profile: &LegProfile, more: &str| {
            let answer = answer(
                profile,
                &mut local(30_000, 1),
                &peer("0", "RTP/AVP", more),
                &formats,
                Direction::SendRecv,
            );
            let answer = answer.unwrap();
            assert_eq!(answer.body.contains("a=rtcp-mux"), answer.negotiated.rtcp_mux);
            answer.negotiated.rtcp_mux
        };
        let mut profile = LegProfile::carrier();
        assert!(offered(&profile, "a=rtcp-mux\r\n") && !offered(&profile, ""));
        profile.rtcp_mux = RtcpMux::Never;
        assert!(!offered(&profile, "a=rtcp-mux\r\n"));
        let mut ours = local(30_000, 1);
        let unmuxed = offer(&profile, &mut ours, &formats, Direction::SendRecv);
        let answered = peer("0", "RTP/AVP", "a=rtcp-mux\r\n");
        assert!(!read_answer(&profile, &mut ours, &unmuxed, &answered).unwrap().rtcp_mux);
    }
}
