//! Packets of media.

use portcullis::ice::{Component, Credentials, Heard, Key, Lite, Secret, read};
use portcullis::moment::Moment;
use portcullis::rtp::packet::{Header, Packet, Rewrite};
use portcullis::rtp::rtcp::{NtpTime, Packet as Rtcp, Report, packets};
use portcullis::rtp::statistics::Reception;
use portcullis::rtp::telephone_event::{Digits, Event};
use portcullis::rtp::{comfort_noise, demux};
use portcullis::srtp::{MasterKey, Receiver, Sender, Suite};

/// One RTP packet, and its headers written anew.
pub fn rtp(bytes: &[u8]) {
    let _kind = demux::Protocol::of(bytes);
    let _noise = comfort_noise::level(bytes);
    let Ok(packet) = Packet::parse(bytes) else { return };
    assert_eq!(bytes.get(packet.payload_range()), Some(packet.payload()));
    assert!(packet.csrcs().count() < 16);
    let mut copy = bytes.to_vec();
    if let Some(mut rewrite) = Rewrite::new(&mut copy) {
        rewrite.payload_type(8).marker(true).sequence(7).timestamp(8).ssrc(9);
    }
    let header = Header::parse(&copy).expect("only fields changed");
    assert_eq!((header.payload_type, header.marker, header.sequence), (8, true, 7));
    assert_eq!((header.timestamp, header.ssrc, header.len), (8, 9, packet.header().len));
    let mut written = [0; 12];
    header.write(&mut written).expect("twelve bytes");
    let written = Header::parse(&written).expect("what we write can be read");
    assert_eq!((written.sequence, written.timestamp, written.ssrc), (7, 8, 9));
}

/// A compound of RTCP, and what a stream's statistics make of it.
pub fn rtcp(bytes: &[u8]) {
    let mut reception = Reception::new(8_000);
    let now = Moment::from_micros(5_000_000);
    for packet in packets(bytes) {
        match packet {
            Rtcp::Report { ssrc, sender, blocks } => {
                if let Some(sender) = sender {
                    reception.receive_sender_report(sender.ntp, now);
                }
                let blocks: Vec<_> = blocks.iter().collect();
                for block in &blocks {
                    let _time = block.round_trip(NtpTime::at(now));
                }
                let (bye, cname) = (true, "c");
                let mut written = [0; 1_500];
                let report = Report {
                    ssrc,
                    sender,
                    blocks: &blocks,
                    cname,
                    bye,
                };
                let length = report.write(&mut written).expect("no more blocks than a packet holds");
                let Some(Rtcp::Report { blocks: again, .. }) = packets(&written[..length]).next() else {
                    panic!("what we write can't be read")
                };
                assert!(again.iter().eq(blocks));
            }
            Rtcp::Bye(sources) => assert!(sources.iter().count() <= bytes.len() / 4),
            Rtcp::Other(_) => {}
        }
    }
    // The rest as packets: sequence, timestamp, and the time between them in tenths of a second.
    let mut micros = 6_000_000;
    for packet in bytes.as_chunks::<7>().0 {
        let [s0, s1, t0, t1, t2, t3, later] = *packet;
        micros += u64::from(later) * 100_000;
        let timestamp = u32::from_be_bytes([t0, t1, t2, t3]);
        reception.receive(u16::from_be_bytes([s0, s1]), timestamp, Moment::from_micros(micros));
        let _shown = (reception.lost(), reception.expected(), reception.jitter_time());
    }
    let _block = reception.report_block(1, Moment::from_micros(micros));
}

/// A stream of telephone events: nine bytes a packet.
pub fn telephone_event(bytes: &[u8]) {
    let mut digits = Digits::new();
    for packet in bytes.chunks(9) {
        let Some((&[marker, t0, t1, t2, t3], payload)) = packet.split_first_chunk() else {
            return;
        };
        if let Some(event) = Event::parse(payload) {
            assert_eq!(Event::parse(&event.to_bytes()), Some(event));
        }
        digits.receive(marker & 1 != 0, u32::from_be_bytes([t0, t1, t2, t3]), payload);
    }
}

/// A datagram at a lite agent, that a peer of its own has checked already: nobody without the password moves it.
pub fn stun(bytes: &[u8]) {
    let ours = Credentials::derive(&Secret::from_bytes([7; 32]), 0);
    let mut lite = Lite::new(ours.clone());
    let from = ([192, 0, 2, 1], 4000).into();
    match lite.receive(Component::Rtp, bytes, from, Moment::ZERO) {
        Heard::Check(_) | Heard::RoleConflict(_) => panic!("a stranger was believed"),
        Heard::Indication => assert!(read(bytes).is_err()),
        Heard::Dropped(_) => {}
    }
    assert_eq!(lite.checked(Component::Rtp), None);
    if let Ok(request) = read(bytes) {
        let key = Key::new(&ours.password);
        assert!(!request.proves(&key), "a stranger's integrity");
        // what it would be told if it were no stranger
        for reply in [request.accept(from, &key), request.role_conflict(&key)] {
            assert!(reply.as_slice().len() <= 80);
        }
    }
}

/// Packets to a receiver of SRTP: some protected by its peer, some changed on the way, some of a stranger.
pub fn srtp(bytes: &[u8]) {
    let Some((&how, bytes)) = bytes.split_first() else {
        return;
    };
    let suite = match how & 3 {
        0 => Suite::AesCm128HmacSha1_80,
        1 => Suite::AesCm128HmacSha1_32,
        _ => Suite::AeadAes128Gcm,
    };
    let key = [5; 64];
    let key = MasterKey::from_bytes(suite, &key[..suite.key_and_salt_len()]).expect("as long as the suite's");
    let mut sender = Sender::new(&key).expect("a key of its suite");
    let mut receiver = Receiver::new(&key).expect("a key of its suite");
    let mut rest = bytes;
    while let Some((&[what, length], behind)) = rest.split_first_chunk() {
        let (plain, behind) = behind.split_at(usize::from(length).min(behind.len()));
        rest = behind;
        let is_rtcp = what & 1 != 0;
        let mut buffer = plain.to_vec();
        if what & 2 == 0 {
            buffer.resize(plain.len() + Suite::MAX_OVERHEAD, 0);
            let protected = match is_rtcp {
                true => sender.protect_rtcp(&mut buffer, plain.len()),
                false => sender.protect_rtp(&mut buffer, plain.len()),
            };
            let Ok(length) = protected else { continue };
            buffer.truncate(length);
        }
        let changed = what & 4 != 0;
        if changed && let Some(byte) = buffer.get_mut(usize::from(what >> 3)) {
            *byte ^= 0x10;
        }
        let opened = match is_rtcp {
            true => receiver.unprotect_rtcp(&mut buffer),
            false => receiver.unprotect_rtp(&mut buffer),
        };
        if let Ok(length) = opened {
            assert!(what & 2 == 0, "a stranger's packet was believed");
            assert_eq!(&buffer[..length], plain);
        }
    }
    let snapshot = receiver.snapshot();
    receiver.restore(&snapshot);
}
