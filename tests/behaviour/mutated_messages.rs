//! What Teams says, cut short and turned over, ten thousand times, on connections that prove to be its own: in no dialog and in
//! one that is up. Nothing panics, nothing is left behind, and a call beside hears nothing of it.

use crate::lab::{BOUND, CARRIER_TONE, HUB, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use crate::live::TIMERS;
use portcullis::net::tls::{ClientCertificates, IdentityFiles, IdentityStore, TlsProfile, TrustRoots};
use portcullis::sim::{Dial, Script};
use portcullis::sip::{HeaderName, Message};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustls::pki_types::ServerName;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const MESSAGES: usize = 10_000;
/// A run that fails is repeated by it.
const SEED: u64 = 4;
/// The dialog of the messages that are sent inside one, as the files spell it.
const IN_FILES: [&str; 3] = [
    "0a3d72134fb3d6c024db4c510bc1605b",
    "1779cf3aa50c413afc7e05adb7e1b0de",
    "sbc3tag",
];

/// A hub's connections to the node, one after the other: what breaks the framing costs its connection.
struct Hub<'a> {
    lab: &'a Lab,
    profile: TlsProfile,
    writing: Option<WriteHalf<TlsStream<TcpStream>>>,
    opened: usize,
}

impl<'a> Hub<'a> {
    fn of(lab: &'a Lab) -> Hub<'a> {
        let identities = IdentityStore::open(vec![IdentityFiles {
            name: HUB.to_owned(),
            certificate: lab.papers.teams_certificate.clone(),
            key: lab.papers.teams_key.clone(),
        }])
        .unwrap();
        let roots = Arc::new(TrustRoots::from_file(&lab.roots).unwrap());
        Hub {
            lab,
            profile: TlsProfile::new(Arc::new(identities), ClientCertificates::Ignore, roots, HUB),
            writing: None,
            opened: 0,
        }
    }

    async fn connect(&mut self) -> (ReadHalf<TlsStream<TcpStream>>, WriteHalf<TlsStream<TcpStream>>) {
        self.opened += 1;
        let (config, _evidence) = self.profile.connect(self.profile.presented(None)).unwrap();
        let stream = TcpStream::connect((self.lab.address(), 5061)).await.unwrap();
        let sbc = ServerName::try_from("sbc1.example.net").unwrap();
        let stream = TlsConnector::from(config).connect(sbc, stream).await.unwrap();
        tokio::io::split(stream)
    }

    async fn send(&mut self, message: &[u8]) {
        let mut writing = match self.writing.take() {
            Some(writing) => writing,
            None => {
                let (mut reading, writing) = self.connect().await;
                // Whatever it answers; the end of it is the end of the connection.
                tokio::spawn(async move {
                    let mut heard = [0; 4096];
                    while reading.read(&mut heard).await.is_ok_and(|length| length > 0) {}
                });
                writing
            }
        };
        let sent = timeout(BOUND, writing.write_all(message))
            .await
            .expect("the node reads");
        self.writing = sent.is_ok().then_some(writing);
    }

    async fn let_go(&mut self) {
        if let Some(mut writing) = self.writing.take() {
            // The node may have been quicker.
            drop(writing.shutdown().await);
        }
    }

    /// The node answers what is whole.
    async fn is_answered(&mut self, options: &[u8]) {
        let (mut reading, mut writing) = self.connect().await;
        writing.write_all(options).await.unwrap();
        let mut heard = [0; 4096];
        let length = timeout(BOUND, reading.read(&mut heard))
            .await
            .expect("an answer")
            .unwrap();
        assert!(heard[..length].starts_with(b"SIP/2.0 200 "));
    }
}

/// The messages of `tests/data/teams/vectors`, as this lab has them.
fn vectors(lab: &Lab, dialog: [&str; 3]) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/teams/vectors");
    let [a, b, c, _] = lab.address().octets();
    let [_, proxy] = lab.teams.names();
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| {
        let text = fs::read_to_string(file)
            .unwrap()
            .replace("192.0.2.", &format!("{a}.{b}.{c}."));
        let text = text.replace("sip-du-a-eu.pstnhub.example.com", &proxy);
        let inside = text.contains(IN_FILES[2]);
        let text = IN_FILES.iter().zip(dialog).fold(text, |text, (old, new)| match inside {
            true => text.replace(old, new),
            false => text,
        });
        text.replace('\n', "\r\n")
    });
    texts.collect()
}

/// One thing or some that are wrong.
fn mutated(text: &str, rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..bytes.len());
        let end = (at + rng.random_range(1..40)).min(bytes.len());
        match rng.random_range(0..8) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes[at] = rng.random(),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => drop(bytes.splice(at..at, std::iter::repeat_n(b'9', end - at))),
            5 => drop(bytes.splice(at..at, *b"\r\n")),
            6 => drop(bytes.splice(at..end, *b";=\"<>,%00\0")),
            _ => {
                let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
                let (one, other) = (rng.random_range(0..lines.len()), rng.random_range(0..lines.len()));
                lines.swap(one, other);
                bytes = lines.join(&b'\n');
            }
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }
    bytes
}

/// Whether every address in it is of this machine: a test sends nothing anywhere else.
fn stays_here(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let words = text.split(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let mut addresses = words.filter_map(|word| word.trim_matches('.').parse::<Ipv4Addr>().ok());
    addresses.all(|address| address.is_loopback())
}

/// With a head that ends and the length of its body, so that the connection goes on.
fn framed(mut bytes: Vec<u8>) -> Vec<u8> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let head = head.unwrap_or_else(|| {
        bytes.extend(b"\r\n\r\n");
        bytes.len() - 4
    });
    let length = format!("\r\nCONTENT-LENGTH: {}", bytes.len() - head - 4);
    bytes.splice(head..head, length.into_bytes());
    bytes
}

/// The dialog of a call that `lab.teams` has placed, as its own requests name it.
fn dialog(lab: &Lab) -> [String; 3] {
    let is_answer = |message: &&Message| message.status() == Some(200) && message.cseq().1.as_str() == "INVITE";
    let transcript = lab.teams.transcript();
    let answer = transcript.iter().rfind(is_answer).expect("its answer");
    let tags = [answer.from_tag(), answer.to_tag()].map(|tag| tag.expect("a tag").to_owned());
    let [from, to] = tags;
    assert!(answer.header(HeaderName::CallId).is_some());
    [answer.call_id().to_owned(), from, to]
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_mutated_messages_of_teams_leave_nothing_behind() {
    let lab = Lab::with(Plan {
        machine: format!("[dns]\nservers = [\"127.0.0.1:1\"]\ntimeout = \"100ms\"\n{TIMERS}"),
        ..Plan::default()
    })
    .await;
    lab.carrier.set_script(Script::answer());
    let victim = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    let of_victim = lab.carrier.incoming().await.unwrap();
    victim.answered().await.unwrap();
    let [call_id, from, to] = dialog(&lab);
    let beside = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    let of_beside = lab.carrier.incoming().await.unwrap();
    beside.answered().await.unwrap();
    lab.carrier.set_script(Script::busy());

    let vectors = vectors(&lab, [&call_id, &from, &to]);
    assert!(vectors.iter().any(|text| text.contains(&to)), "some are in the dialog");
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut hub = Hub::of(&lab);
    let mut sent = 0;
    while sent < MESSAGES {
        let text = &vectors[rng.random_range(0..vectors.len())];
        // Else a second INVITE is the first one again.
        let text = text.replace("z9hG4bK", &format!("z9hG4bK{sent}x"));
        let bytes = mutated(&text, &mut rng);
        if !stays_here(&bytes) {
            continue;
        }
        sent += 1;
        match rng.random_range(0..20) {
            0 => {
                hub.send(&bytes).await;
                hub.let_go().await;
            }
            _ => hub.send(&framed(bytes)).await,
        }
    }
    let options = vectors
        .iter()
        .find(|text| text.starts_with("OPTIONS "))
        .expect("OPTIONS");
    hub.is_answered(&framed(options.clone().into_bytes())).await;
    of_beside.hears(TEAMS_TONE).await.unwrap();
    beside.hears(CARRIER_TONE).await.unwrap();
    beside.hang_up().await.unwrap();
    of_beside.ended().await.unwrap();
    // Whatever the messages have made of it: it is up, or its end has a reason.
    drop(of_victim.hang_up().await);

    let node = &lab.running.node;
    let idle = async {
        loop {
            let shards = lab.running.signalling.shards();
            let transactions: usize = shards.iter().map(|shard| shard.transactions).sum();
            let ports: u32 = node.media.port_usage().iter().map(|ports| ports.in_use).sum();
            if (node.calls.count(), node.places.calls("node"), transactions, ports) == (0, 0, 0, 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(BOUND * 4, idle).await.expect("all that was begun ends");
    let of_media: u64 = node.media.worker_stats().iter().map(|worker| worker.panics).sum();
    assert_eq!((lab.records.panics(), of_media), (0, 0));
    assert!(hub.opened > 100, "{} connections", hub.opened);
    assert!(lab.records.count() > 100, "{} calls", lab.records.count());
    lab.running.shut_down().await;
    let _removed = fs::remove_dir_all(&lab.folder);
}
