//! The media plane with real sockets on loopback: peers that speak RTP and SRTP, and strangers.

mod allocations;
mod attacks;
mod checks;
mod lifecycle;
mod playing;
mod relay;

use super::*;
use crate::codec::speech::Speech;
use crate::rtp::packet::Header;
use crate::sdp::Direction;
use crate::srtp::{MasterKey, Receiver, Sender, Suite};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Everything that is awaited comes within this time, or the test fails.
const BOUND: Duration = Duration::from_secs(10);

/// An address of 127/8 that no other test of any process uses at the same time.
fn own_address() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    static NET: LazyLock<(u8, File)> = LazyLock::new(own_net);
    let [high, low] = NEXT.fetch_add(1, Relaxed).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, NET.0, high, low))
}

/// A net 127.x/16 of this process, above those of the behaviour tests; the lock ends with the process.
fn own_net() -> (u8, File) {
    let lock = |net: u8| {
        let path = std::env::temp_dir().join(format!("portcullis-net-{net}"));
        let file = File::options().create(true).append(true).open(path).ok()?;
        file.try_lock().is_ok().then_some((net, file))
    };
    (220..=250).find_map(lock).expect("a free net")
}

fn settings(ports: std::ops::RangeInclusive<u16>) -> MediaSettings {
    let address = own_address();
    MediaSettings {
        workers: NonZeroU16::new(1),
        ..MediaSettings::new(
            MediaAddress {
                bind: address,
                advertise: address,
            },
            ports,
        )
    }
}

/// A plane and the owner of its legs.
struct Rig {
    plane: Arc<MediaPlane>,
    events: mpsc::Sender<MediaEvent>,
    told: mpsc::Receiver<MediaEvent>,
    runtime: Runtime,
}

impl Rig {
    fn new(settings: MediaSettings) -> Rig {
        let (events, told) = mpsc::channel(64);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("runtime");
        Rig {
            plane: MediaPlane::start(settings).expect("plane"),
            events,
            told,
            runtime,
        }
    }

    fn spec(&self, rtcp: RtcpPort, near: Option<LegId>) -> OpenSpec {
        OpenSpec {
            address: 0,
            urgent: false,
            rtcp,
            near,
            events: self.events.clone(),
            label: Arc::from("test"),
        }
    }

    fn open(&self, rtcp: RtcpPort, near: Option<LegId>) -> MediaLeg {
        self.plane.open(self.spec(rtcp, near)).expect("a leg")
    }

    /// Also a barrier: commands given before it were carried out.
    fn stats(&self, leg: MediaLeg) -> MediaStats {
        self.runtime.block_on(self.plane.stats(leg.id)).expect("figures")
    }

    fn stats_when(&self, leg: MediaLeg, done: impl Fn(&MediaStats) -> bool) -> MediaStats {
        let wait = async {
            loop {
                let stats = self.plane.stats(leg.id).await.expect("figures");
                if done(&stats) {
                    return stats;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        self.runtime
            .block_on(async { tokio::time::timeout(BOUND, wait).await })
            .expect("in time")
    }

    fn event(&mut self) -> MediaEvent {
        let told = &mut self.told;
        self.runtime
            .block_on(async { tokio::time::timeout(BOUND, told.recv()).await })
            .expect("in time")
            .expect("open")
    }

    /// The next event that is wanted; `other` judges those before it.
    fn event_that(&mut self, wanted: impl Fn(&MediaEvent) -> bool, other: impl Fn(&MediaEvent) -> bool) -> MediaEvent {
        loop {
            let event = self.event();
            if wanted(&event) {
                return event;
            }
            assert!(other(&event), "{event:?}");
        }
    }

    fn configure(&self, leg: MediaLeg, config: LegConfig) {
        self.plane.configure(leg.id, config).expect("accepted");
    }
}

/// A far end with its own socket.
struct Peer {
    socket: UdpSocket,
    sender: Option<Sender>,
    receiver: Option<Receiver>,
    keys: Option<(MasterKey, MasterKey)>,
    ssrc: u32,
    sequence: u16,
}

impl Peer {
    fn plain(ssrc: u32) -> Peer {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("socket");
        socket.set_read_timeout(Some(BOUND)).expect("timeout");
        Peer {
            socket,
            sender: None,
            receiver: None,
            keys: None,
            ssrc,
            sequence: 1000,
        }
    }

    fn secure(ssrc: u32) -> Peer {
        let mut peer = Peer::plain(ssrc);
        peer.rekey();
        peer
    }

    fn rekey(&mut self) {
        let key = || MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng());
        let (ours, theirs) = (key(), key());
        self.sender = Some(Sender::new(&theirs).expect("context"));
        self.receiver = Some(Receiver::new(&ours).expect("context"));
        self.keys = Some((ours, theirs));
    }

    /// Another key for what this peer sends; what it receives stays under the key it has.
    fn rekey_sending(&mut self) {
        let key = MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng());
        self.sender = Some(Sender::new(&key).expect("context"));
        if let Some((_, theirs)) = &mut self.keys {
            *theirs = key;
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// What the plane is told about this peer: PCMA relayed as it is, telephone-event 101 as 96.
    fn config(&self) -> LegConfig {
        let security = match self.keys.clone() {
            None => Security::Plain {
                latch: Latch::Signalled,
            },
            Some((local, remote)) => Security::Sdes {
                local,
                remote,
                remote_mki_len: 0,
                forks: Vec::new(),
            },
        };
        let payload = |number, kind, relay_as| Payload {
            number,
            clock_rate: 8000,
            kind,
            relay_as: Some(relay_as),
            recode: None,
        };
        LegConfig {
            remote: self.address(),
            remote_rtcp: RemoteRtcp::Mux,
            direction: Direction::SendRecv,
            security,
            payloads: vec![
                payload(8, PayloadKind::Speech(Speech::Pcma), 8),
                payload(0, PayloadKind::Speech(Speech::Pcmu), 0),
                payload(101, PayloadKind::TelephoneEvent, 96),
            ],
            packet_time: Duration::from_millis(20),
            voice: Some(Voice {
                codec: Speech::Pcma,
                number: 8,
            }),
            events: Some(101),
            ice: None,
        }
    }

    /// The next packet of the stream, protected.
    fn packet(&mut self, payload_type: u8, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            marker: false,
            payload_type,
            sequence: self.sequence,
            timestamp: u32::from(self.sequence) * 160,
            ssrc: self.ssrc,
            len: 12,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut buffer = vec![0; 12 + payload.len() + Suite::MAX_OVERHEAD];
        header.write(&mut buffer).expect("room");
        let mut len = 12 + payload.len();
        buffer[12..len].copy_from_slice(payload);
        if let Some(sender) = &mut self.sender {
            len = sender.protect_rtp(&mut buffer, len).expect("protected");
        }
        buffer.truncate(len);
        buffer
    }

    fn send(&mut self, leg: MediaLeg, payload_type: u8, payload: &[u8]) {
        let packet = self.packet(payload_type, payload);
        self.send_raw(leg, &packet);
    }

    fn send_raw(&self, leg: MediaLeg, packet: &[u8]) {
        self.socket.send_to(packet, (leg.address, leg.rtp_port)).expect("sent");
    }

    /// The next RTP packet that arrives, verified; RTCP is passed over.
    fn receive(&mut self) -> (Header, Vec<u8>) {
        // Reports come every few seconds: they must not keep a test waiting for what never comes.
        for _ in 0..8 {
            let mut buffer = [0; 2048];
            let len = self.socket.recv(&mut buffer).expect("a packet");
            let mut packet = buffer[..len].to_vec();
            if (192..=223).contains(&packet[1]) {
                continue;
            }
            if let Some(receiver) = &mut self.receiver {
                let len = receiver.unprotect_rtp(&mut packet).expect("verified");
                packet.truncate(len);
            }
            let header = Header::parse(&packet).expect("RTP");
            return (header, packet.split_off(header.len));
        }
        panic!("reports arrive, and no RTP");
    }

    fn clone_socket(&self) -> UdpSocket {
        self.socket.try_clone().expect("a descriptor")
    }

    /// True when no RTP waits. Only meaningful once the packets that could cause it are known to be judged.
    fn has_nothing(&self) -> bool {
        self.socket.set_nonblocking(true).expect("mode");
        let mut buffer = [0; 2048];
        let nothing = loop {
            match self.socket.recv(&mut buffer) {
                Ok(_) if (192..=223).contains(&buffer[1]) => {}
                Ok(_) => break false,
                Err(_) => break true,
            }
        };
        self.socket.set_nonblocking(false).expect("mode");
        nothing
    }
}

/// Two peers joined by two bridged legs.
struct Call {
    rig: Rig,
    carrier: Peer,
    teams: Peer,
    a: MediaLeg,
    b: MediaLeg,
}

impl Call {
    fn new(carrier: Peer, teams: Peer) -> Call {
        Call::with(settings(20_000..=20_099), carrier, teams)
    }

    fn with(settings: MediaSettings, carrier: Peer, teams: Peer) -> Call {
        let rig = Rig::new(settings);
        let a = rig.open(RtcpPort::Pair, None);
        let b = rig.open(RtcpPort::Mux, Some(a.id));
        rig.configure(a, carrier.config());
        rig.configure(b, teams.config());
        rig.plane.bridge(a.id, b.id).expect("bridged");
        rig.stats(b);
        Call {
            rig,
            carrier,
            teams,
            a,
            b,
        }
    }

    /// One packet each way arrives as it was sent.
    fn assert_flows(&mut self) {
        let text = self.carrier.sequence.to_be_bytes();
        self.carrier.send(self.a, 8, &text);
        assert_eq!(self.teams.receive().1, text);
        let text = self.teams.sequence.to_be_bytes();
        self.teams.send(self.b, 8, &text);
        assert_eq!(self.carrier.receive().1, text);
    }
}
