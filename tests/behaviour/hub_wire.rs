//! A hub of Teams made of nothing but TLS connections: it says what is written, byte for byte, where the simulator would say
//! it right. Its certificate is the simulated hub's, so that the node takes it for one.

use crate::device::whole;
use crate::lab::{BOUND, HUB, Lab};
use portcullis::net::tls::{ClientCertificates, IdentityFiles, IdentityStore, TlsProfile, TrustRoots};
use portcullis::sip::{HeaderName, Message};
use rustls::pki_types::ServerName;
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// For an answer on a connection whose framing may be lost: of who leaves out ACKs.
const PATIENCE: Duration = Duration::from_secs(3);

type Writing = Arc<AsyncMutex<WriteHalf<TlsStream<TcpStream>>>>;

/// Which 200 of an INVITE are acknowledged, however often they come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    All,
    /// Every fourth is not.
    Most,
}

/// Its connections to the node, one after the other: what breaks the framing costs its connection.
pub struct HubWire {
    sbc: Ipv4Addr,
    profile: TlsProfile,
    line: Option<Line>,
    pub opened: usize,
    ears: Arc<Ears>,
}

struct Line {
    writing: Writing,
    closed: Arc<Notify>,
}

struct Ears {
    acks: Acks,
    heard: Mutex<Vec<Message>>,
    /// What was answered with 2xx: Call-ID and CSeq of INVITEs whose ACK is left out.
    unacknowledged: Mutex<(usize, HashSet<(String, u32)>)>,
    came: Notify,
}

impl HubWire {
    pub fn of(lab: &Lab, acks: Acks) -> HubWire {
        let identities = IdentityStore::open(vec![IdentityFiles {
            name: HUB.to_owned(),
            certificate: lab.papers.teams_certificate.clone(),
            key: lab.papers.teams_key.clone(),
        }])
        .unwrap();
        let roots = Arc::new(TrustRoots::from_file(&lab.roots).unwrap());
        HubWire {
            sbc: lab.address(),
            profile: TlsProfile::new(Arc::new(identities), ClientCertificates::Ignore, roots, HUB),
            line: None,
            opened: 0,
            ears: Arc::new(Ears {
                acks,
                heard: Mutex::default(),
                unacknowledged: Mutex::default(),
                came: Notify::new(),
            }),
        }
    }

    /// Writes these bytes, on a new connection where the last one is gone.
    pub async fn send(&mut self, message: &[u8]) {
        let writing = match &self.line {
            Some(line) => line.writing.clone(),
            None => self.connect().await,
        };
        let sent = async { writing.lock().await.write_all(message).await };
        let sent = timeout(BOUND, sent).await.expect("the node reads");
        if sent.is_err() {
            self.line = None;
        }
    }

    /// The same of a message whose length is to be told.
    pub async fn say(&mut self, message: &str) {
        self.send(&framed(message.as_bytes().to_vec())).await;
    }

    async fn connect(&mut self) -> Writing {
        self.opened += 1;
        let (config, _evidence) = self.profile.connect(self.profile.presented(None)).unwrap();
        let stream = TcpStream::connect((self.sbc, 5061)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let sbc = ServerName::try_from("sbc1.example.net").unwrap();
        let stream = TlsConnector::from(config).connect(sbc, stream).await.unwrap();
        let (reading, writing) = tokio::io::split(stream);
        let line = Line {
            writing: Arc::new(AsyncMutex::new(writing)),
            closed: Arc::default(),
        };
        let writing = line.writing.clone();
        let (ears, closed) = (self.ears.clone(), line.closed.clone());
        let answering = writing.clone();
        tokio::spawn(async move {
            ears.listen(reading, answering).await;
            closed.notify_one();
        });
        self.line = Some(line);
        writing
    }

    /// Closes the connection.
    pub async fn let_go(&mut self) {
        if let Some(line) = self.line.take() {
            // The node may have been quicker.
            let shut = async { line.writing.lock().await.shutdown().await };
            drop(timeout(BOUND, shut).await.expect("the node reads"));
        }
    }

    /// The final response to a request; `None`: the connection was lost on it, and the next message has a new one.
    pub async fn ask(&mut self, request: &str) -> Option<Message> {
        let sent = Message::parse(framed(request.as_bytes().to_vec()).into()).unwrap();
        let (call_id, cseq) = (sent.call_id().to_owned(), sent.cseq());
        let ears = self.ears.clone();
        let before = ears.heard.lock().unwrap().len();
        self.say(request).await;
        let is_it = |message: &Message| {
            message.status().is_some_and(|status| status >= 200)
                && message.call_id() == call_id
                && message.cseq() == cseq
        };
        let closed = self.line.as_ref()?.closed.clone();
        let patience = match ears.acks {
            Acks::All => BOUND,
            Acks::Most => PATIENCE,
        };
        let answer = tokio::select! {
            answer = timeout(patience, ears.until(before, is_it)) => answer.ok(),
            () = closed.notified() => None,
        };
        if answer.is_none() {
            self.let_go().await;
        }
        answer
    }

    /// The first message that is wanted, as soon as it is there.
    pub async fn hears(&self, wanted: impl Fn(&Message) -> bool) -> Message {
        timeout(BOUND, self.ears.until(0, wanted)).await.expect("a message")
    }

    /// What has come on all its connections.
    pub fn heard(&self) -> Vec<Message> {
        self.ears.heard.lock().unwrap().clone()
    }
}

impl Ears {
    async fn listen(&self, mut reading: ReadHalf<TlsStream<TcpStream>>, writing: Writing) {
        let mut bytes = Vec::new();
        while reading.read_buf(&mut bytes).await.is_ok_and(|length| length > 0) {
            while let Some(end) = whole(&bytes) {
                let message: Vec<u8> = bytes.drain(..end).collect();
                // A refusal has its headers from what it refuses, which nobody may be able to read.
                let Ok(message) = Message::parse(message.into()) else {
                    continue;
                };
                if let Some(ack) = self.ack(&message) {
                    // Its end is seen by who reads.
                    drop(writing.lock().await.write_all(ack.as_bytes()).await);
                }
                self.heard.lock().unwrap().push(message);
                self.came.notify_waiters();
            }
        }
    }

    /// The ACK of a 2xx (RFC 3261 §13.2.2.4).
    fn ack(&self, message: &Message) -> Option<String> {
        let (number, method) = message.cseq();
        if method.as_str() != "INVITE" || !message.status().is_some_and(|status| (200..300).contains(&status)) {
            return None;
        }
        let call_id = message.call_id();
        let mut unacknowledged = self.unacknowledged.lock().unwrap();
        let (seen, left_out) = &mut *unacknowledged;
        if left_out.contains(&(call_id.to_owned(), number)) {
            return None;
        }
        *seen += 1;
        if self.acks == Acks::Most && seen.is_multiple_of(4) {
            left_out.insert((call_id.to_owned(), number));
            return None;
        }
        let header = |name| message.header(name).unwrap_or_default();
        let contact = message.contact().ok().flatten()?;
        Some(format!(
            "ACK {uri} SIP/2.0\r\nVIA: SIP/2.0/TLS {sbc}:5061;branch=z9hG4bKack{seen}x{number}\r\nMAX-FORWARDS: 70\r\nFROM: {from}\r\n\
             TO: {to}\r\nCALL-ID: {call_id}\r\nCSEQ: {number} ACK\r\nCONTENT-LENGTH: 0\r\n\r\n",
            uri = contact.uri(),
            sbc = Ipv4Addr::LOCALHOST,
            from = header(HeaderName::From),
            to = header(HeaderName::To),
        ))
    }

    /// Of what has come since there were `from` messages.
    async fn until(&self, mut from: usize, wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            let came = self.came.notified();
            {
                let heard = self.heard.lock().unwrap();
                let new = heard.get(from..).unwrap_or_default();
                if let Some(found) = new.iter().find(|message| wanted(message)) {
                    return found.clone();
                }
                from = heard.len();
            }
            came.await;
        }
    }
}

/// With a head that ends and the length of its body, so that the connection goes on.
pub fn framed(mut bytes: Vec<u8>) -> Vec<u8> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let head = head.unwrap_or_else(|| {
        bytes.extend(b"\r\n\r\n");
        bytes.len() - 4
    });
    let length = format!("\r\nCONTENT-LENGTH: {}", bytes.len() - head - 4);
    bytes.splice(head..head, length.into_bytes());
    bytes
}
