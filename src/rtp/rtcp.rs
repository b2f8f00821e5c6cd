//! RTCP (RFC 3550 §6): compound reports written into the caller's buffer, and a lenient reader.

use crate::moment::Moment;
use std::time::Duration;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const CNAME: u8 = 1;
const BLOCK: usize = 24;
const MAX_BLOCKS: usize = 31;

/// 64-bit NTP format: seconds << 32 | fraction.
///
/// Ours counts from the process's epoch, as RFC 3550 §6.4.1 allows: a peer only hands it back (LSR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The process's own clock in NTP format.
    pub fn at(now: Moment) -> NtpTime {
        let micros = now.as_micros();
        let fraction = ((micros % 1_000_000) << 32) / 1_000_000;
        NtpTime(((micros / 1_000_000) << 32) | fraction)
    }

    /// The middle 32 bits, in units of 1/65536 s: what LSR carries.
    pub fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// A span in RTCP's units of 1/65536 s, for DLSR; saturates at 18 hours.
pub fn short_units(span: Duration) -> u32 {
    u32::try_from(span.as_micros().saturating_mul(65_536) / 1_000_000).unwrap_or(u32::MAX)
}

/// The sender's part of an SR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// When the report is sent.
    pub ntp: NtpTime,
    /// The same moment in the stream's timestamps.
    pub rtp_timestamp: u32,
    /// Packets sent since the SSRC began.
    pub packets: u32,
    /// Payload bytes sent since the SSRC began.
    pub octets: u32,
}

/// How one source is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: u32,
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in all, negative with duplicates; 24 bits on the wire, where it saturates.
    pub cumulative_lost: i32,
    /// Extended highest sequence number received.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle bits of the last SR's NTP time, 0 without one.
    pub last_sr: u32,
    /// Since that SR arrived, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    /// Round trip of our own SR that this block answers, when the block arrives at `now`.
    /// `None` when it answers none, or its numbers cannot be true.
    pub fn round_trip(&self, now: NtpTime) -> Option<Duration> {
        if self.last_sr == 0 {
            return None;
        }
        let units = now
            .middle()
            .wrapping_sub(self.last_sr)
            .wrapping_sub(self.delay_since_last_sr);
        // Beyond half the range (9 hours) the difference was negative.
        (units < 1 << 31).then(|| Duration::from_micros(u64::from(units) * 1_000_000 / 65_536))
    }

    fn to_bytes(self) -> [u8; BLOCK] {
        let lost = self.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff);
        let loss = u32::from(self.fraction_lost) << 24 | lost as u32 & 0xff_ffff;
        let words = [
            self.ssrc,
            loss,
            self.highest_sequence,
            self.jitter,
            self.last_sr,
            self.delay_since_last_sr,
        ];
        let mut bytes = [0; BLOCK];
        for (slot, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *slot = word.to_be_bytes();
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; BLOCK]) -> ReportBlock {
        let mut words = [0; 6];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*chunk);
        }
        let [ssrc, loss, highest_sequence, jitter, last_sr, delay_since_last_sr] = words;
        ReportBlock {
            ssrc,
            fraction_lost: (loss >> 24) as u8,
            // Sign-extends 24 bits.
            cumulative_lost: ((loss << 8) as i32) >> 8,
            highest_sequence,
            jitter,
            last_sr,
            delay_since_last_sr,
        }
    }
}

/// A compound packet to send: SR or RR, SDES with CNAME, and BYE when the stream ends.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// Our SSRC.
    pub ssrc: u32,
    /// `Some` makes it an SR: we sent RTP since the last two reports.
    pub sender: Option<SenderInfo>,
    /// Reception of the peer's sources; at most 31.
    pub blocks: &'a [ReportBlock],
    /// Canonical name, at most 255 bytes.
    pub cname: &'a str,
    /// Whether a BYE follows.
    pub bye: bool,
}

impl Report<'_> {
    /// Writes the compound packet; its length, or `None` when `buf` is too small or a limit above is passed.
    pub fn write(&self, buf: &mut [u8]) -> Option<usize> {
        let blocks = u8::try_from(self.blocks.len())
            .ok()
            .filter(|count| usize::from(*count) <= MAX_BLOCKS)?;
        let cname_len = u8::try_from(self.cname.len()).ok()?;
        let mut writer = Writer { buf, at: 0 };

        let info_words = if self.sender.is_some() { 5 } else { 0 };
        let kind = if self.sender.is_some() {
            SENDER_REPORT
        } else {
            RECEIVER_REPORT
        };
        writer.header(blocks, kind, 1 + info_words + 6 * u16::from(blocks))?;
        writer.put(&self.ssrc.to_be_bytes())?;
        if let Some(sender) = &self.sender {
            writer.put(&sender.ntp.0.to_be_bytes())?;
            writer.put(&sender.rtp_timestamp.to_be_bytes())?;
            writer.put(&sender.packets.to_be_bytes())?;
            writer.put(&sender.octets.to_be_bytes())?;
        }
        for block in self.blocks {
            writer.put(&block.to_bytes())?;
        }

        // One chunk: SSRC, the item, and one to four zero bytes up to the next word (RFC 3550 §6.5).
        let item = 2 + self.cname.len();
        let padding = 4 - item % 4;
        let words = u16::try_from(1 + (item + padding) / 4).ok()?;
        writer.header(1, SOURCE_DESCRIPTION, words)?;
        writer.put(&self.ssrc.to_be_bytes())?;
        writer.put(&[CNAME, cname_len])?;
        writer.put(self.cname.as_bytes())?;
        writer.put([0; 4].get(..padding)?)?;

        if self.bye {
            writer.header(1, GOODBYE, 1)?;
            writer.put(&self.ssrc.to_be_bytes())?;
        }
        Some(writer.at)
    }
}

struct Writer<'a> {
    buf: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn header(&mut self, count: u8, kind: u8, words: u16) -> Option<()> {
        let [high, low] = words.to_be_bytes();
        self.put(&[0x80 | count, kind, high, low])
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at + bytes.len();
        self.buf.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }
}

/// One packet of a compound.
#[derive(Debug, Clone, Copy)]
pub enum Packet<'a> {
    /// SR or RR.
    Report {
        /// Who reports.
        ssrc: u32,
        /// What it sent, in an SR.
        sender: Option<SenderInfo>,
        /// What it received.
        blocks: Blocks<'a>,
    },
    /// The sources in the list leave.
    Bye(Sources<'a>),
    /// SDES, APP, feedback, XR: of no use here.
    Other(u8),
}

/// Report blocks of one packet.
#[derive(Debug, Clone, Copy)]
pub struct Blocks<'a>(&'a [u8]);

impl<'a> Blocks<'a> {
    /// The blocks in order; as many as are there, whatever the count claims.
    pub fn iter(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        self.0.as_chunks::<BLOCK>().0.iter().map(ReportBlock::from_bytes)
    }
}

/// SSRCs of a BYE.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a>(&'a [u8]);

impl<'a> Sources<'a> {
    /// The SSRCs in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.0.as_chunks::<4>().0.iter().map(|ssrc| u32::from_be_bytes(*ssrc))
    }
}

/// Walks a compound packet, or a lone packet (RFC 5506). Ends at the first header that is not RTCP or claims more bytes
/// than there are: what came before it still counts.
pub fn packets(compound: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let [first, kind, high, low] = *rest.first_chunk::<4>()?;
        let length = 4 * (1 + usize::from(u16::from_be_bytes([high, low])));
        if first >> 6 != 2 || !(192..=223).contains(&kind) {
            return None;
        }
        let (packet, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some(read(
            usize::from(first & 0x1f),
            kind,
            packet.get(4..).unwrap_or_default(),
        ))
    })
}

/// A known type whose body is cut short is `Other`.
fn read(count: usize, kind: u8, body: &[u8]) -> Packet<'_> {
    let known = match kind {
        SENDER_REPORT => body.split_first_chunk::<24>().map(|(info, blocks)| {
            let mut words = [0; 6];
            for (word, chunk) in words.iter_mut().zip(info.as_chunks::<4>().0) {
                *word = u32::from_be_bytes(*chunk);
            }
            let [ssrc, ntp_high, ntp_low, rtp_timestamp, packets, octets] = words;
            let ntp = NtpTime(u64::from(ntp_high) << 32 | u64::from(ntp_low));
            let sender = Some(SenderInfo {
                ntp,
                rtp_timestamp,
                packets,
                octets,
            });
            Packet::Report {
                ssrc,
                sender,
                blocks: Blocks(at_most(blocks, count * BLOCK)),
            }
        }),
        RECEIVER_REPORT => body.split_first_chunk::<4>().map(|(ssrc, blocks)| Packet::Report {
            ssrc: u32::from_be_bytes(*ssrc),
            sender: None,
            blocks: Blocks(at_most(blocks, count * BLOCK)),
        }),
        GOODBYE => Some(Packet::Bye(Sources(at_most(body, count * 4)))),
        _ => None,
    };
    known.unwrap_or(Packet::Other(kind))
}

fn at_most(bytes: &[u8], limit: usize) -> &[u8] {
    bytes.get(..limit).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(ssrc: u32) -> ReportBlock {
        ReportBlock {
            ssrc,
            fraction_lost: 12,
            cumulative_lost: -3,
            highest_sequence: 0x0001_0007,
            jitter: 44,
            last_sr: 0x1234_5678,
            delay_since_last_sr: 65_536,
        }
    }

    fn info() -> SenderInfo {
        SenderInfo {
            ntp: NtpTime(0x0102_0304_0506_0708),
            rtp_timestamp: 160,
            packets: 1,
            octets: 160,
        }
    }

    #[test]
    fn a_sender_report_on_the_wire() {
        let report = Report {
            ssrc: 0xaabb_ccdd,
            sender: Some(info()),
            blocks: &[block(1)],
            cname: "ab",
            bye: true,
        };
        let mut buf = [0xff; 128];
        let len = report.write(&mut buf).unwrap();
        let mut wanted = vec![
            0x81, 200, 0, 12, 0xaa, 0xbb, 0xcc, 0xdd, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 160,
        ];
        wanted.extend([0, 0, 0, 1, 0, 0, 0, 160]);
        wanted.extend([
            0, 0, 0, 1, 12, 0xff, 0xff, 0xfd, 0, 1, 0, 7, 0, 0, 0, 44, 0x12, 0x34, 0x56, 0x78, 0, 1, 0, 0,
        ]);
        wanted.extend([0x81, 202, 0, 3, 0xaa, 0xbb, 0xcc, 0xdd, 1, 2, b'a', b'b', 0, 0, 0, 0]);
        wanted.extend([0x81, 203, 0, 1, 0xaa, 0xbb, 0xcc, 0xdd]);
        assert_eq!(buf[..len], wanted);
    }

    #[test]
    fn limits_are_refused() {
        let report = Report {
            ssrc: 1,
            sender: None,
            blocks: &[],
            cname: "x",
            bye: false,
        };
        assert_eq!(report.write(&mut [0; 19]), None);
        assert_eq!(report.write(&mut [0; 20]), Some(20));
        let mut buf = [0; 2048];
        assert_eq!(
            Report {
                cname: &"x".repeat(256),
                ..report
            }
            .write(&mut buf),
            None
        );
        assert_eq!(
            Report {
                blocks: &[block(1); 32],
                ..report
            }
            .write(&mut buf),
            None
        );
    }

    #[test]
    fn reads_around_what_it_does_not_know() {
        // An XR, an SR that claims two blocks and has one, then a header that lies about its length.
        let mut bytes = vec![0x80, 207, 0, 1, 0, 0, 0, 9];
        bytes.extend([0x82, 200, 0, 12]);
        bytes.extend([7; 24]);
        bytes.extend(block(5).to_bytes());
        bytes.extend([0x81, 203, 0, 9, 1, 2, 3, 4]);
        let read: Vec<_> = packets(&bytes).collect();
        assert_eq!(read.len(), 2);
        assert!(matches!(read[0], Packet::Other(207)));
        let Packet::Report {
            ssrc,
            sender: Some(_),
            blocks,
        } = &read[1]
        else {
            panic!("{read:?}")
        };
        assert_eq!(*ssrc, 0x0707_0707);
        assert_eq!(blocks.iter().collect::<Vec<_>>(), [block(5)]);
    }

    #[test]
    fn round_trip_from_our_own_report() {
        let second = Duration::from_secs(1);
        let sent = Moment::from_micros(70_000_000_000);
        let arrived = sent + second + Duration::from_millis(80);
        let answer = ReportBlock {
            last_sr: NtpTime::at(sent).middle(),
            delay_since_last_sr: short_units(second),
            ..block(1)
        };
        let trip = answer.round_trip(NtpTime::at(arrived)).unwrap();
        assert!(
            trip.abs_diff(Duration::from_millis(80)) < Duration::from_micros(50),
            "{trip:?}"
        );
        assert_eq!(
            answer.round_trip(NtpTime::at(sent)),
            None,
            "answered before it was sent"
        );
        assert_eq!(
            ReportBlock { last_sr: 0, ..answer }.round_trip(NtpTime::at(arrived)),
            None
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            ssrc: u32, sends: bool, count in 0usize..=31, lost in -0x80_0000i32..=0x7f_ffff, cname in "[a-z]{0,40}", bye: bool,
        ) {
            let blocks: Vec<_> = (0..count).map(|n| ReportBlock { cumulative_lost: lost, ..block(n as u32) }).collect();
            let report = Report { ssrc, sender: sends.then(info), blocks: &blocks, cname: &cname, bye };
            let mut buf = [0; 1024];
            let len = report.write(&mut buf).unwrap();
            prop_assert_eq!(len % 4, 0);
            let read: Vec<_> = packets(&buf[..len]).collect();
            prop_assert_eq!(read.len(), 2 + usize::from(bye));
            let Packet::Report { ssrc: from, sender, blocks: read_blocks } = &read[0] else { panic!("{read:?}") };
            prop_assert_eq!(*from, ssrc);
            prop_assert_eq!(sender, &report.sender);
            prop_assert_eq!(read_blocks.iter().collect::<Vec<_>>(), blocks);
            if let Some(Packet::Bye(sources)) = read.get(2) {
                prop_assert_eq!(sources.iter().collect::<Vec<_>>(), [ssrc]);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 190u8..225) {
            let mut shaped = bytes.clone();
            if let [first, second, ..] = &mut shaped[..] {
                *first = *first & 0x3f | 0x80;
                *second = kind;
            }
            for bytes in [bytes, shaped] {
                for packet in packets(&bytes) {
                    if let Packet::Report { blocks, .. } = packet {
                        prop_assert!(blocks.iter().count() <= 31);
                    }
                }
            }
        }
    }
}
