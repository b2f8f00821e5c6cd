//! The media plane alone, for `tests/load/media`: opens pairs of legs, one plain and one SRTP, bridges them, writes where
//! they are, and relays until its standard input closes. `cargo bench` runs it with one stream as a smoke test.
//!
//!   media_relay STREAMS FILE [rtp|srtp]
//!
//! A line of FILE is `A B RELAY_A RELAY_B - - KEY_B_SENDS KEY_B_RECEIVES`: A sends to RELAY_A, which arrives at B.

use portcullis::media::{
    Latch, LegConfig, MediaAddress, MediaEvent, MediaPlane, MediaSettings, OpenSpec, Payload, PayloadKind, RemoteRtcp,
    RtcpPort, Security,
};
use portcullis::sdp::Direction;
use portcullis::srtp::{MasterKey, Suite};
use std::error::Error;
use std::fmt::Write as _;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;
use tokio::sync::mpsc;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 20));
const A: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 2));
const FIRST_PORT: u16 = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let (streams, file, secure) = match arguments.as_slice() {
        [streams, file] => (streams.parse()?, Some(file), true),
        [streams, file, kind] => (streams.parse()?, Some(file), kind == "srtp"),
        _ => (1, None, true),
    };
    let settings = MediaSettings {
        workers: NonZeroU16::new(1),
        ..MediaSettings::new(
            MediaAddress {
                bind: RELAY,
                advertise: RELAY,
            },
            10_000..=60_999,
        )
    };
    let plane = MediaPlane::start(settings)?;
    // Nobody reads the events: what the queue does not take is counted and gone.
    let (events, _heard) = mpsc::channel::<MediaEvent>(1);
    let mut lines = String::new();
    for stream in 0..streams {
        let port = FIRST_PORT + 2 * stream;
        let spec = |near| OpenSpec {
            address: 0,
            urgent: false,
            rtcp: RtcpPort::Pair,
            near,
            events: events.clone(),
            label: "bench".into(),
        };
        let plain = plane.open(spec(None))?;
        let other = plane.open(spec(Some(plain.id)))?;
        let [ours, theirs] = [(); 2].map(|()| MasterKey::generate(Suite::AesCm128HmacSha1_80, &mut rand::rng()));
        let keys = if secure {
            format!("{} {}", *theirs.to_base64(), *ours.to_base64())
        } else {
            "- -".to_owned()
        };
        plane.configure(plain.id, leg(A, port, unprotected()))?;
        let security = if secure {
            Security::Sdes {
                local: ours,
                remote: theirs,
                remote_mki_len: 0,
                forks: Vec::new(),
            }
        } else {
            unprotected()
        };
        plane.configure(other.id, leg(B, port, security))?;
        plane.bridge(plain.id, other.id)?;
        let (relay_a, relay_b) = (plain.rtp_port, other.rtp_port);
        writeln!(
            lines,
            "{A}:{port} {B}:{port} {RELAY}:{relay_a} {RELAY}:{relay_b} - - {keys}"
        )?;
    }
    match file {
        Some(file) => {
            std::fs::write(file, lines)?;
            println!("ready");
            std::io::stdin().read_to_end(&mut Vec::new())?;
        }
        None => println!("{streams} stream opened, configured and bridged"),
    }
    for (worker, stats) in plane.worker_stats().iter().enumerate() {
        println!("worker {worker}: {stats:?}");
    }
    Ok(())
}

fn unprotected() -> Security {
    Security::Plain {
        latch: Latch::Signalled,
    }
}

fn leg(peer: IpAddr, port: u16, security: Security) -> LegConfig {
    LegConfig {
        remote: SocketAddr::new(peer, port),
        remote_rtcp: RemoteRtcp::At(SocketAddr::new(peer, port + 1)),
        direction: Direction::SendRecv,
        security,
        payloads: vec![Payload {
            number: 0,
            clock_rate: 8_000,
            kind: PayloadKind::Audio,
            relay_as: Some(0),
            recode: None,
        }],
        packet_time: Duration::from_millis(20),
        voice: None,
        events: None,
        ice: None,
    }
}
