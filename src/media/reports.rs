//! Our own RTCP of one leg: when a report is due, what it says, and what the peer's reports say about us.

use super::stats::{PeerReport, Sent};
use crate::moment::Moment;
use crate::rtp::rtcp::{self, NtpTime, Report, SenderInfo};
use crate::rtp::statistics::Reception;
use std::time::Duration;

/// A longer round trip is a clock that jumped.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(30);

/// The source that a leg receives now.
pub(super) struct Source {
    pub ssrc: u32,
    pub reception: Reception,
    /// Packets received when it was last reported on.
    reported: u64,
}

impl Source {
    pub fn new(ssrc: u32, clock_rate: u32) -> Source {
        Source {
            ssrc,
            reception: Reception::new(clock_rate),
            reported: 0,
        }
    }
}

/// Everything about reports that outlives one of them.
pub(super) struct Reports {
    /// What reports are sent under while no stream is.
    ssrc: u32,
    /// RFC 7022 §4.2: random, for this leg only, so that it says nothing about the call.
    cname: u64,
    next: Option<Moment>,
    stream: Option<SentStream>,
    round_trip: Option<Duration>,
}

/// The stream that we send now.
#[derive(Debug, Clone, Copy)]
struct SentStream {
    ssrc: u32,
    packets: u32,
    octets: u32,
    timestamp: u32,
    clock_rate: u32,
    /// When the packet of `timestamp` was sent, and any packet.
    timed: Moment,
    last: Moment,
}

impl Reports {
    pub fn new() -> Reports {
        Reports {
            ssrc: rand::random(),
            cname: rand::random(),
            next: None,
            stream: None,
            round_trip: None,
        }
    }

    /// Starts the reports, at a random phase so that legs opened together do not report together.
    pub fn begin(&mut self, interval: Duration, now: Moment) {
        if self.next.is_none() {
            self.next = Some(now + interval.mul_f64(rand::random_range(0.25..1.0)));
        }
    }

    /// For a stream that we begin ourselves.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Notes an RTP packet that was sent. `clock_rate` is None where its timestamp does not tell the time of sending
    /// (an event keeps the timestamp of its beginning).
    pub fn sent(&mut self, ssrc: u32, timestamp: u32, clock_rate: Option<u32>, payload_len: usize, now: Moment) {
        let fresh = SentStream {
            ssrc,
            packets: 0,
            octets: 0,
            timestamp,
            clock_rate: clock_rate.unwrap_or(0),
            timed: now,
            last: now,
        };
        let stream = self.stream.get_or_insert(fresh);
        if stream.ssrc != ssrc {
            *stream = fresh;
        }
        if let Some(clock_rate) = clock_rate {
            stream.timestamp = timestamp;
            stream.clock_rate = clock_rate;
            stream.timed = now;
        }
        stream.packets = stream.packets.wrapping_add(1);
        stream.octets = stream.octets.wrapping_add(payload_len as u32);
        stream.last = now;
    }

    /// Writes the compound packet into `buffer` when one is due; its length.
    pub fn write_due(
        &mut self,
        buffer: &mut [u8],
        source: Option<&mut Source>,
        interval: Duration,
        now: Moment,
    ) -> Option<usize> {
        let due = self.next.filter(|next| now >= *next)?;
        // keeps the average while the wheel is coarse; after a stop it does not catch up
        let next = due + interval;
        self.next = Some(if next > now { next } else { now + interval });
        let sender = self
            .stream
            .filter(|stream| now.since(stream.last) < interval * 2)
            .map(|stream| SenderInfo {
                ntp: NtpTime::at(now),
                rtp_timestamp: stream.timestamp_at(now),
                packets: stream.packets,
                octets: stream.octets,
            });
        let block = source
            .filter(|source| source.reception.received() > source.reported)
            .map(|source| {
                source.reported = source.reception.received();
                source.reception.report_block(source.ssrc, now)
            });
        let mut cname = [0; 16];
        for (digit, place) in cname.iter_mut().zip(0u32..) {
            let nibble = (self.cname >> (place * 4) & 0xf) as usize;
            *digit = b"0123456789abcdef".get(nibble).copied().unwrap_or(b'0');
        }
        let report = Report {
            ssrc: self.stream.map_or(self.ssrc, |stream| stream.ssrc),
            sender,
            blocks: block.as_slice(),
            cname: std::str::from_utf8(&cname).unwrap_or_default(),
            bye: false,
        };
        report.write(buffer)
    }

    /// Takes what a believed compound packet of the peer says about its stream and about ours. Everything else in it
    /// is passed over: a BYE too, since SIP ends calls.
    pub fn read(&mut self, compound: &[u8], source: Option<&mut Source>, sent: &mut Sent, now: Moment) {
        let mut source = source;
        for packet in rtcp::packets(compound) {
            let rtcp::Packet::Report { ssrc, sender, blocks } = packet else {
                continue;
            };
            if let (Some(info), Some(source)) = (sender, source.as_deref_mut())
                && source.ssrc == ssrc
            {
                source.reception.receive_sender_report(info.ntp, now);
            }
            let Some(stream) = self.stream else { continue };
            for block in blocks.iter().filter(|block| block.ssrc == stream.ssrc) {
                let clock_rate = f64::from(stream.clock_rate.max(1));
                sent.reported = Some(PeerReport {
                    lost: block.cumulative_lost,
                    fraction_lost: f32::from(block.fraction_lost) / 256.0,
                    jitter_ms: f64::from(block.jitter) * 1000.0 / clock_rate,
                });
                if let Some(trip) = block.round_trip(NtpTime::at(now)).filter(|trip| *trip < MAX_ROUND_TRIP) {
                    self.round_trip = Some(trip);
                }
            }
        }
    }
}

impl SentStream {
    fn timestamp_at(&self, now: Moment) -> u32 {
        let elapsed = now.since(self.timed).as_micros() * u128::from(self.clock_rate) / 1_000_000;
        self.timestamp.wrapping_add(elapsed as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::rtcp::{Packet, packets};

    const INTERVAL: Duration = Duration::from_secs(5);

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    fn due(reports: &mut Reports, source: Option<&mut Source>, now: Moment) -> Option<Vec<u8>> {
        let mut buffer = [0; 256];
        let len = reports.write_due(&mut buffer, source, INTERVAL, now)?;
        Some(buffer[..len].to_vec())
    }

    #[test]
    fn reports_come_every_interval_whether_or_not_anything_flows() {
        let mut reports = Reports::new();
        assert_eq!(due(&mut reports, None, at(60_000)), None, "not before it is configured");
        reports.begin(INTERVAL, at(0));
        let times: Vec<u64> = (0..60_000)
            .step_by(40)
            .filter(|ms| due(&mut reports, None, at(*ms)).is_some())
            .collect();
        assert_eq!(times.len(), 12);
        assert!(
            times[0] >= 1250
                && times
                    .windows(2)
                    .all(|pair| (4960..=5040).contains(&(pair[1] - pair[0])))
        );
    }

    #[test]
    fn a_sender_report_tells_what_was_sent_and_when() {
        let mut reports = Reports::new();
        reports.begin(INTERVAL, at(0));
        reports.sent(7, 1000, Some(8000), 160, at(4000));
        reports.sent(7, 1000, None, 4, at(5990));
        let report = due(&mut reports, None, at(6000)).expect("due");
        let Some(Packet::Report {
            ssrc: 7,
            sender: Some(info),
            ..
        }) = packets(&report).next()
        else {
            panic!("a sender report of SSRC 7")
        };
        assert_eq!((info.packets, info.octets, info.rtp_timestamp), (2, 164, 1000 + 16_000));
        let later = due(&mut reports, None, at(16_000)).expect("due");
        let Some(Packet::Report {
            ssrc: 7, sender: None, ..
        }) = packets(&later).next()
        else {
            panic!("a receiver report once nothing is sent")
        };
    }

    #[test]
    fn a_source_is_reported_on_while_it_is_heard() {
        let mut reports = Reports::new();
        let mut source = Source::new(9, 8000);
        reports.begin(INTERVAL, at(0));
        source.reception.receive(1, 0, at(0));
        let blocks = |report: &[u8]| match packets(report).next() {
            Some(Packet::Report { blocks, .. }) => blocks.iter().map(|block| block.ssrc).collect::<Vec<_>>(),
            _ => panic!("a report"),
        };
        assert_eq!(
            blocks(&due(&mut reports, Some(&mut source), at(5000)).expect("due")),
            [9]
        );
        assert!(blocks(&due(&mut reports, Some(&mut source), at(10_000)).expect("due")).is_empty());
    }

    #[test]
    fn the_peers_report_gives_loss_and_round_trip_of_our_own_stream_only() {
        let mut reports = Reports::new();
        reports.begin(INTERVAL, at(0));
        reports.sent(7, 0, Some(8000), 160, at(4999));
        due(&mut reports, None, at(5000)).expect("due");
        let block = |ssrc| rtcp::ReportBlock {
            ssrc,
            fraction_lost: 64,
            cumulative_lost: 5,
            highest_sequence: 1,
            jitter: 80,
            last_sr: NtpTime::at(at(5000)).middle(),
            delay_since_last_sr: 65_536,
        };
        let mut sent = Sent::default();
        let mut buffer = [0; 256];
        let mut answer = |ssrc, reports: &mut Reports, sent: &mut Sent| {
            let report = Report {
                ssrc: 9,
                sender: None,
                blocks: &[block(ssrc)],
                cname: "p",
                bye: true,
            };
            let len = report.write(&mut buffer).expect("room");
            reports.read(&buffer[..len], None, sent, at(6040));
        };
        answer(8, &mut reports, &mut sent);
        assert_eq!((sent.reported, reports.round_trip()), (None, None));
        answer(7, &mut reports, &mut sent);
        assert_eq!(
            sent.reported,
            Some(PeerReport {
                lost: 5,
                fraction_lost: 0.25,
                jitter_ms: 10.0
            })
        );
        let trip = reports.round_trip().expect("measured");
        assert!(
            trip.abs_diff(Duration::from_millis(40)) < Duration::from_millis(1),
            "{trip:?}"
        );
    }
}
