//! Properties over any bytes, any offer and any leg.

use super::*;
use crate::ice::Secret;
use crate::srtp::{MasterKey, Suite};
use proptest::prelude::*;
use std::collections::HashSet;

fn key(byte: u8) -> MasterKey {
    MasterKey::from_bytes(Suite::AesCm128HmacSha1_80, &[byte; 30]).unwrap()
}

fn local(byte: u8) -> LocalMedia {
    let media = LocalMedia::new([198, 51, 100, 5].into(), 30_000, Some(30_001), u64::MAX, key(byte));
    media.with_secret(Secret::from_bytes([byte; 32]))
}

fn formats() -> impl Strategy<Value = Vec<Format>> {
    let name = prop_oneof![
        Just("PCMU"),
        Just("PCMA"),
        Just("G722"),
        Just("G729"),
        Just("telephone-event"),
        Just("CN"),
        Just("opus"),
        Just("SILK")
    ];
    let clock = prop_oneof![4 => Just(8000u32), 1 => Just(16_000), 1 => Just(48_000)];
    let fmtp = prop_oneof![
        Just(None),
        Just(Some("annexb=no".to_owned())),
        Just(Some("0-15".to_owned()))
    ];
    let format = (0u8..=127, name, clock, 1u8..=2, fmtp).prop_map(|(payload_type, name, clock, channels, fmtp)| {
        // G722/16000 is read as the G722/8000 that it means
        let clock = if name == "G722" { 8000 } else { clock };
        Format {
            payload_type,
            codec: Codec::from(name),
            clock,
            channels,
            fmtp,
        }
    });
    prop::collection::vec(format, 0..40)
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::SendRecv),
        Just(Direction::SendOnly),
        Just(Direction::RecvOnly),
        Just(Direction::Inactive)
    ]
}

fn profile() -> impl Strategy<Value = LegProfile> {
    let base = prop_oneof![
        Just(LegProfile::teams()),
        Just(LegProfile::teams_bypass()),
        Just(LegProfile::carrier())
    ];
    let mux = prop_oneof![Just(RtcpMux::Offer), Just(RtcpMux::Accept), Just(RtcpMux::Never)];
    (base, mux, any::<bool>()).prop_map(|(mut profile, mux, wide)| {
        profile.rtcp_mux = mux;
        if wide {
            profile.codecs.extend([Codec::from("opus"), Codec::from("SILK")]);
        }
        profile
    })
}

/// Lines that look like a description, in any order and shape.
fn almost_sdp() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        1 => "[a-z]=[ -~]{0,60}",
        8 => "m=audio [1-9][0-9]{1,3}(/[0-9]{1,3})? RTP/S?AVPF?( (0|8|9|13|18|101|[0-9]{1,3})){1,12}",
        1 => "m=(audio|video) [0-9]{1,5} (udptl|UDP/TLS/RTP/SAVP|RTP/AVP)( [0-9]{1,4}){0,12}",
        4 => "a=rtpmap:(9[6-9]|101|[0-9]{1,3}) (PCMU|PCMA|G729|opus|CN|telephone-event)/(8000|48000)(/[0-9])?",
        2 => "a=(fmtp|rtcp|crypto|ptime|maxptime):[ -~]{0,60}",
        4 => "a=crypto:[0-9]{1,9} AES_CM_128_HMAC_SHA1_80 inline:[A-Za-z0-9+/]{40}(\\|2\\^31)?(\\|1:[0-9]{1,4})?",
        4 => "a=(sendrecv|sendonly|recvonly|inactive|rtcp-mux)",
        1 => "c=IN IP[46] ([0-9]{1,3}\\.){3}[0-9]{1,3}",
    ];
    prop::collection::vec(line, 0..30)
        .prop_map(|lines| format!("v=0\r\nc=IN IP4 203.0.113.9\r\n{}\r\n", lines.join("\r\n")))
}

/// What must hold for every description of ours.
fn check_print(body: &str, teams: bool) -> Session {
    let read = Session::parse(body.as_bytes()).expect("our own output");
    for line in body.lines().filter(|line| line.starts_with("m=")) {
        let numbers: Vec<&str> = line.split(' ').skip(3).collect();
        assert_eq!(
            numbers.iter().collect::<HashSet<_>>().len(),
            numbers.len(),
            "a number twice: {line}"
        );
    }
    if teams {
        for forbidden in ["a=sendonly", "a=recvonly", "0.0.0.0"] {
            assert!(!body.contains(forbidden), "{forbidden} toward Teams: {body}");
        }
        let live = read.media.iter().find(|line| line.port != 0).expect("a live stream");
        assert!(
            live.audio
                .as_ref()
                .is_some_and(|audio| audio.protocol.is_secure() && audio.crypto.len() == 1)
        );
    }
    read
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Session::parse(&bytes);
        let _ = sdp_part("multipart/mixed;boundary=a", &bytes);
    }

    #[test]
    fn no_parts_panic(kind in "[ -~]{0,60}", body in "(--a(--)?|Content-Type: (multipart/x;boundary=a|application/sdp)|\r|\n|\r\n|[ -~]{0,5}){0,30}") {
        let _ = sdp_part(&format!("multipart/mixed;{kind}"), body.as_bytes());
        if let Ok(part) = sdp_part("multipart/mixed; boundary=\"a\"", body.as_bytes()) {
            prop_assert!(part.len() < body.len());
        }
    }

    #[test]
    fn no_peer_makes_us_print_what_may_not_be_printed(text in almost_sdp(), from in profile(), to in profile(), answered in direction()) {
        let Ok(remote) = Session::parse(text.as_bytes()) else { return Ok(()) };
        let Ok(carried) = carry_offer(&remote, &from, &to, Recoding::Any) else { return Ok(()) };
        let ours = offer(&to, &mut local(1), &carried.formats, carried.direction);
        check_print(&ours.body, to.hold == HoldStyle::Inactive);
        let Ok(answer) = answer(&from, &mut local(2), &remote, &carried.formats, answered) else { return Ok(()) };
        let read = check_print(&answer.body, from.hold == HoldStyle::Inactive);
        prop_assert_eq!(read.media.len(), remote.media.len());
        let _ = read_answer(&to, &mut local(1), &ours, &remote);
    }

    #[test]
    fn what_we_print_is_what_is_read(
        formats in formats(), profile in profile(), direction in direction(), mux_only in any::<bool>()
    ) {
        let mut ours = local(1);
        if mux_only {
            ours.rtcp_port = None;
        }
        let offer = offer(&profile, &mut ours, &formats, direction);
        let read = check_print(&offer.body, profile.hold == HoldStyle::Inactive);
        prop_assert_eq!(&read.origin.session_id, &(u64::MAX >> 1).to_string());
        let audio = read.audio().expect("an audio stream");
        let (mut expected, mut said) = (offer.formats.clone(), None);
        for format in expected.iter_mut().filter(|format| format.codec == Codec::TelephoneEvent) {
            format.fmtp.get_or_insert_with(|| "0-15".to_owned());
            if format.same_codec(&Format::our_events()) {
                format.fmtp = said.get_or_insert_with(|| format.fmtp.clone()).clone();
            }
        }
        prop_assert_eq!(&audio.formats, &expected);
        prop_assert_eq!(audio.direction, offer.direction);
        prop_assert_eq!(audio.rtp(), "198.51.100.5:30000".parse().unwrap());
        prop_assert_eq!(audio.ptime, profile.ptime);
        prop_assert_eq!(audio.ice.as_ref().map(|ice| ice.credentials.clone()), ours.ice(&profile));
        prop_assert_eq!(audio.ice.as_ref().is_some_and(|ice| ice.lite), profile.ice == IceSide::Lite);
        let candidates = 1 + usize::from(ours.rtcp_port.is_some() && !audio.rtcp_mux);
        let expected = if profile.ice == IceSide::Lite { candidates } else { 0 };
        prop_assert_eq!(offer.body.matches("a=candidate:").count(), expected);
        if profile.security == Security::SdesRequired {
            prop_assert_eq!(audio.crypto.first().and_then(|line| line.key.as_ref()), Some(&ours.key));
        } else {
            prop_assert!(audio.crypto.is_empty());
        }
    }

    #[test]
    fn two_legs_of_ours_settle_the_same(formats in formats(), profile in profile(), offered in direction(), answered in direction()) {
        let mut profile = profile;
        profile.addresses.own.clear();
        let (mut one, mut other) = (local(1), local(2));
        other.rtp_port = 40_000;
        other.rtcp_port = Some(40_001);
        let ours = offer(&profile, &mut one, &formats, offered);
        let remote = Session::parse(ours.body.as_bytes()).unwrap();
        let Ok(theirs) = answer(&profile, &mut other, &remote, &ours.formats, answered) else { return Ok(()) };
        let ours = read_answer(&profile, &mut one, &ours, &Session::parse(theirs.body.as_bytes()).unwrap()).unwrap();
        let theirs = theirs.negotiated;
        prop_assert_eq!(ours.direction, theirs.direction.reversed());
        prop_assert_eq!(ours.rtcp_mux, theirs.rtcp_mux);
        prop_assert_eq!(ours.formats.len(), theirs.formats.len());
        for (ours, theirs) in ours.formats.iter().zip(&theirs.formats) {
            prop_assert!(ours.format.same_codec(&theirs.format));
            prop_assert_eq!((ours.send, ours.receive()), (theirs.receive(), theirs.send));
        }
        if let (Some(ours), Some(theirs)) = (&ours.srtp, &theirs.srtp) {
            prop_assert_eq!((&ours.local, &ours.remote), (&theirs.remote, &theirs.local));
        }
        let sends: HashSet<u8> = theirs.formats.iter().map(|format| format.send).collect();
        for (received, sent) in payload_map(&ours, &theirs).iter().enumerate() {
            let known = ours.formats.iter().any(|format| usize::from(format.receive()) == received);
            prop_assert_eq!(*sent != DROP, known);
            prop_assert!(*sent == DROP || sends.contains(sent));
        }
    }

    #[test]
    fn the_version_moves_with_the_description_only(one in formats(), other in formats(), direction in direction()) {
        let profile = LegProfile::teams();
        let mut ours = local(1);
        let version = |body: &str| Session::parse(body.as_bytes()).unwrap().origin.version;
        let first = offer(&profile, &mut ours, &one, direction);
        prop_assert_eq!(&offer(&profile, &mut ours, &one, direction).body, &first.body);
        let second = offer(&profile, &mut ours, &other, direction);
        let moved = version(&second.body) - version(&first.body);
        prop_assert_eq!(moved, u64::from(second.formats != first.formats));
        // the version and all else survive a snapshot
        let mut restored: LocalMedia = serde_json::from_str(&serde_json::to_string(&ours).unwrap()).unwrap();
        prop_assert_eq!(&offer(&profile, &mut restored, &other, direction).body, &second.body);
    }
}
