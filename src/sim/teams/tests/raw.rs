//! A session border controller made of templates: it says what a test wants, right or wrong.

use super::super::*;
use crate::net::tls::{Evidence, IdentityStore};
use crate::sim::{Bearer, Call, Papers, Showing, WrongPaper};
use crate::sip::{HeaderName, Message};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

pub const HUB: &str = "sip.pstnhub.example.com";
pub const HUB2: &str = "sip2.pstnhub.example.com";
pub const TRUNK: &str = "woodgrove.sbc1.example.net";
const BOUND: Duration = Duration::from_secs(10);
const KEY: &str = "xhqrJOKme4fZTKjOLe56fy9ZZ/yUV11f+nW7VOXU|2^31";

/// The controller, its papers, and the hubs that it knows.
pub struct Raw {
    listening: TcpListener,
    profile: TlsProfile,
    papers: Papers,
    folder: PathBuf,
}

/// One connection.
pub struct Wire {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    port: u16,
}

/// A dialog of the controller, as its requests spell it.
pub struct Leg {
    /// With its parameters, such as `<sip:a@b>;tag=1`.
    pub local: String,
    pub remote: String,
    pub call_id: String,
    pub target: String,
    pub route: String,
    pub cseq: u32,
}

impl Raw {
    pub async fn listen() -> Raw {
        Raw::showing(None).await
    }

    /// Its leaf has this fault.
    pub async fn showing(wrong: Option<WrongPaper>) -> Raw {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("portcullis-raw-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let hubs = [HUB, HUB2];
        let papers = match wrong {
            None => Papers::make(&folder, "sbc1.example.net", &hubs),
            Some(wrong) => Papers::make_wrong(&folder, "sbc1.example.net", &hubs, Bearer::Sbc, wrong),
        };
        let papers = papers.unwrap();
        let identities = IdentityStore::open(vec![IdentityFiles {
            name: "sbc1.example.net".to_owned(),
            certificate: papers.sbc_certificate.clone(),
            key: papers.sbc_key.clone(),
        }])
        .unwrap();
        let roots = Arc::new(TrustRoots::from_file(&papers.root).unwrap());
        let trust = ClientTrust::teams(roots.clone(), Vec::new());
        let profile = TlsProfile::new(
            Arc::new(identities),
            ClientCertificates::Require(trust),
            roots,
            "sbc1.example.net",
        );
        Raw {
            listening: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            profile,
            papers,
            folder,
        }
    }

    pub fn hub(&self, name: &str) -> TeamsSim {
        self.hub_with(name, None)
    }

    /// Another hub of the same Teams.
    pub fn hub_beside(&self, hub: &TeamsSim, name: &str) -> TeamsSim {
        hub.start_beside(self.settings(name, None)).unwrap()
    }

    pub fn hub_with(&self, name: &str, idle: Option<Duration>) -> TeamsSim {
        TeamsSim::start(self.settings(name, idle)).unwrap()
    }

    fn settings(&self, name: &str, idle: Option<Duration>) -> TeamsSettings {
        TeamsSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            sbc: Some(self.listening.local_addr().unwrap()),
            trunk: TRUNK.to_owned(),
            hub: name.to_owned(),
            certificate: self.papers.teams_certificate.clone(),
            key: self.papers.teams_key.clone(),
            roots: self.papers.root.clone(),
            tone: 440.0,
            bypass: false,
            strict: true,
            idle,
            showing: Showing::Sound,
        }
    }

    fn port(&self) -> u16 {
        self.listening.local_addr().unwrap().port()
    }

    /// The next connection of a hub.
    pub async fn accept(&self) -> Wire {
        self.shaken().await.unwrap()
    }

    /// The same, if the handshake comes to a good end.
    pub async fn shaken(&self) -> std::io::Result<Wire> {
        let (stream, _) = timeout(BOUND, self.listening.accept())
            .await
            .expect("a connection")
            .unwrap();
        let (config, _): (_, Evidence) = self.profile.accept().unwrap();
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        Ok(Wire::of(stream.into(), self.port()))
    }

    /// A connection of its own.
    pub async fn connect(&self, hub: &TeamsSim) -> Wire {
        self.connecting(hub).await.unwrap()
    }

    /// The same, if it comes about.
    pub async fn connecting(&self, hub: &TeamsSim) -> std::io::Result<Wire> {
        let (config, _) = self.profile.connect(self.profile.presented(None)).unwrap();
        self.connect_with(hub, config).await
    }

    /// PEM: the root of both sides.
    pub fn root(&self) -> &Path {
        &self.papers.root
    }

    /// A connection with this configuration of TLS.
    pub async fn connect_with(&self, hub: &TeamsSim, config: Arc<ClientConfig>) -> std::io::Result<Wire> {
        let stream = TcpStream::connect(hub.address()).await?;
        let name = ServerName::try_from(HUB).unwrap();
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Wire::of(stream.into(), self.port()))
    }

    /// A call of `hub` that is answered: the hub's side, the connection that it came on, and the dialog.
    pub async fn answered(&self, hub: &TeamsSim) -> (Call, Wire, Leg) {
        let call = hub.place_call(Dial::new("+14255550100", "+12065550100")).await.unwrap();
        let mut wire = self.accept().await;
        let invite = wire.read().await;
        let leg = wire.answer_invite(&invite, "t1").await;
        call.answered().await.unwrap();
        (call, wire, leg)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A folder left behind in the temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Leg {
    /// That of a hub's INVITE, answered with this tag.
    pub fn of(invite: &Message, tag: &str) -> Leg {
        let header = |name| invite.header(name).unwrap_or_default().to_owned();
        let to = header(HeaderName::To);
        let tag = if invite.to_tag().is_some() {
            String::new()
        } else {
            format!(";tag={tag}")
        };
        Leg {
            local: format!("{to}{tag}"),
            remote: header(HeaderName::From),
            call_id: invite.call_id().to_owned(),
            target: invite.contact().unwrap().unwrap().uri().as_str().to_owned(),
            route: format!("Route: {}\r\n", header(HeaderName::RecordRoute)),
            cseq: 1,
        }
    }
}

impl Wire {
    fn of(stream: TlsStream<TcpStream>, port: u16) -> Wire {
        Wire {
            stream,
            buffer: Vec::new(),
            port,
        }
    }

    /// The next message that is no 1xx.
    pub async fn read(&mut self) -> Message {
        loop {
            let message = timeout(BOUND, self.next()).await.expect("in time").expect("a message");
            if message.status().is_none_or(|status| status >= 200) {
                return message;
            }
        }
    }

    /// `None`: the hub closed the connection.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            while self.buffer.first().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
                self.buffer.remove(0);
            }
            if let Some(length) = whole(&self.buffer) {
                let message: Vec<u8> = self.buffer.drain(..length).collect();
                return Some(Message::parse(message.into()).unwrap());
            }
            let mut more = [0; 4096];
            match self.stream.read(&mut more).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.buffer.extend_from_slice(&more[..length]),
            }
        }
    }

    pub async fn write(&mut self, head: String, body: &str) {
        let text = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// A response with these header lines beside those that every response has.
    pub async fn respond(&mut self, request: &Message, status: &str, more: &str, body: &str) {
        let mut head = format!("SIP/2.0 {status}\r\n");
        for name in [HeaderName::Via, HeaderName::RecordRoute] {
            for value in request.headers(name) {
                head.push_str(&format!("{}: {value}\r\n", name.as_str()));
            }
        }
        let header = |name| request.header(name).unwrap_or_default();
        let tag = if request.to_tag().is_some() { "" } else { ";tag=t1" };
        let to = header(HeaderName::To);
        head.push_str(&format!(
            "From: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\nX-MS-SBC: Example/SBC/1\r\n{more}",
            header(HeaderName::From),
            request.call_id(),
            header(HeaderName::CSeq)
        ));
        self.write(head, body).await;
    }

    /// 200 with a description, and the ACK.
    pub async fn answer_invite(&mut self, invite: &Message, tag: &str) -> Leg {
        let audio = match direction_of(invite) {
            "inactive" => "inactive",
            "sendonly" => "recvonly",
            "recvonly" => "sendonly",
            _ => "sendrecv",
        };
        let off = String::from_utf8_lossy(invite.body()).contains("m=audio 0 ");
        let port = if off { 0 } else { 40_000 };
        let more = self.terms();
        self.respond(invite, "200 OK", &more, &description(port, audio)).await;
        let ack = self.read().await;
        assert_eq!(ack.method().map(|method| method.as_str()), Some("ACK"));
        Leg::of(invite, tag)
    }

    /// Contact and what a description needs beside it.
    pub fn terms(&self) -> String {
        format!(
            "Contact: <sip:+12065550100@{TRUNK}:{};transport=tls>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER\r\n\
             Supported: timer, replaces\r\nContent-Type: application/sdp\r\n",
            self.port
        )
    }

    /// A request inside a dialog; its final response.
    pub async fn request(&mut self, leg: &mut Leg, method: &str, more: &str, body: &str) -> Message {
        leg.cseq += 1;
        self.send(leg, method, more, body).await;
        self.read().await
    }

    /// The same without a response: an ACK, or what none comes to.
    pub async fn send(&mut self, leg: &Leg, method: &str, more: &str, body: &str) {
        let head = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/TLS {TRUNK};branch=z9hG4bK{}\r\nMax-Forwards: 70\r\n{}From: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {} {method}\r\nX-MS-SBC: Example/SBC/1\r\n{more}",
            leg.target,
            rand::random::<u64>(),
            leg.route,
            leg.local,
            leg.remote,
            leg.call_id,
            leg.cseq
        );
        self.write(head, body).await;
    }

    /// A NOTIFY about a REFER.
    pub async fn notify(&mut self, leg: &mut Leg, state: &str, fragment: &str) {
        let more = format!(
            "Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag;version=2.0\r\nContact: \
             <sip:{TRUNK}:{};transport=tls>\r\n",
            self.port
        );
        let response = self.request(leg, "NOTIFY", &more, fragment).await;
        assert_eq!(response.status(), Some(200));
    }

    /// An INVITE outside dialogs, on its way.
    pub async fn invite(&mut self, uri: &str, to: &str, more: &str, direction: &str) -> String {
        self.invite_with(uri, to, more, &description(40_000, direction)).await
    }

    /// The same, and its final response.
    pub async fn invite_and_read(&mut self, uri: &str, to: &str) -> Message {
        self.invite(uri, to, "", "sendrecv").await;
        self.read().await
    }

    /// The same with this description.
    pub async fn invite_with(&mut self, uri: &str, to: &str, more: &str, body: &str) -> String {
        let call_id = format!("{:x}", rand::random::<u64>());
        let head = format!(
            "INVITE {uri} SIP/2.0\r\n{}Max-Forwards: 70\r\nX-MS-SBC: Example/SBC/1\r\n{}{more}",
            identity(&call_id, to, "INVITE"),
            self.terms()
        );
        self.write(head, body).await;
        call_id
    }

    /// OPTIONS; its final response.
    pub async fn options(&mut self) -> Message {
        let call_id = format!("{:x}", rand::random::<u64>());
        let head = format!(
            "OPTIONS sip:{HUB}:5061;transport=tls SIP/2.0\r\n{}Max-Forwards: 70\r\nX-MS-SBC: Example/SBC/1\r\n\
             Contact: <sip:{TRUNK}:{};transport=tls>\r\n",
            identity(&call_id, &format!("<sip:{HUB}>"), "OPTIONS"),
            self.port
        );
        self.write(head, "").await;
        self.read().await
    }

    /// The ACK of a 200.
    pub async fn acknowledge(&mut self, answer: &Message) {
        let target = answer.contact().unwrap().unwrap().uri().as_str().to_owned();
        let header = |name| answer.header(name).unwrap_or_default();
        let head = format!(
            "ACK {target} SIP/2.0\r\nVia: SIP/2.0/TLS {TRUNK};branch=z9hG4bK{}\r\nMax-Forwards: 70\r\nRoute: {}\r\n\
             From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 ACK\r\n",
            rand::random::<u64>(),
            header(HeaderName::RecordRoute),
            header(HeaderName::From),
            header(HeaderName::To),
            answer.call_id()
        );
        self.write(head, "").await;
    }

    /// The CANCEL of that INVITE.
    pub async fn cancel(&mut self, uri: &str, to: &str, call_id: &str, more: &str) {
        let head = format!(
            "CANCEL {uri} SIP/2.0\r\n{}Max-Forwards: 70\r\n{more}",
            identity(call_id, to, "CANCEL")
        );
        self.write(head, "").await;
    }
}

/// What an INVITE and its CANCEL share.
fn identity(call_id: &str, to: &str, method: &str) -> String {
    format!(
        "Via: SIP/2.0/TLS {TRUNK};branch=z9hG4bK{call_id}\r\nFrom: <sip:+12065550100@{TRUNK};user=phone>;tag=f1\r\nTo: {to}\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 {method}\r\n"
    )
}

/// A description without a fault.
pub fn description(port: u16, direction: &str) -> String {
    // Another version for each that is another one.
    let directions = ["sendrecv", "sendonly", "recvonly", "inactive"];
    let direction_number = directions.iter().position(|known| *known == direction).unwrap();
    let version = usize::from(port) * 10 + direction_number;
    format!(
        "v=0\r\no=- 88001 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/SAVP 0 101\r\n\
         a=rtcp-mux\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )
}

fn direction_of(invite: &Message) -> &'static str {
    let body = String::from_utf8_lossy(invite.body()).into_owned();
    let known = ["inactive", "sendonly", "recvonly"];
    let found = known.into_iter().find(|word| body.contains(&format!("a={word}")));
    found.unwrap_or("sendrecv")
}

/// The length of the first message, when all of it is there.
fn whole(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |value| value.trim().parse().unwrap());
    (buffer.len() >= head + length).then_some(head + length)
}
