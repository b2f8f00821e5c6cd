//! A registered user's device made of nothing but a socket and a password.

use crate::lab::{BOUND, Lab};
use portcullis::sip::digest::{Credentials, DigestClient};
use portcullis::sip::{HeaderName, Message};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

pub const REALM: &str = "sip.contoso.example";

enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

/// One device. It speaks from a loopback address of its own, to the lab's listeners for users.
pub struct Device {
    pub user: &'static str,
    password: &'static str,
    wire: Wire,
    /// Where the node spoke from last.
    sbc: SocketAddr,
    pub us: SocketAddr,
    branch: u32,
    cseq: u32,
    /// Transactions of the node that it has ended, by branch and method.
    answered: HashSet<(String, String)>,
}

impl Device {
    pub async fn udp(lab: &Lab, last: u8, user: &'static str, password: &'static str) -> Device {
        let (sbc, own) = addresses(lab, last);
        let socket = UdpSocket::bind((own, 0)).await.unwrap();
        let us = socket.local_addr().unwrap();
        Device::new(user, password, Wire::Udp(socket), sbc, us)
    }

    pub async fn tcp(lab: &Lab, last: u8, user: &'static str, password: &'static str) -> Device {
        let (sbc, own) = addresses(lab, last);
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((own, 0).into()).unwrap();
        let stream = socket.connect(sbc).await.unwrap();
        let us = stream.local_addr().unwrap();
        Device::new(user, password, Wire::Tcp(stream, Vec::new()), sbc, us)
    }

    /// Ends its connection, and waits until the node has seen it end.
    pub async fn disconnect(&mut self, lab: &Lab) {
        if let Wire::Tcp(stream, _) = &mut self.wire {
            stream.shutdown().await.unwrap();
        }
        let us = self.us;
        let gone = async {
            let transports = lab.running.signalling.transports();
            while transports.connections().iter().any(|open| open.flow.remote == us) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(BOUND, gone)
            .await
            .expect("the node lets go of the connection");
    }

    /// Goes on with the connection that somebody opens to it.
    pub async fn reached_at(&mut self, listener: &TcpListener) {
        let accepted = tokio::time::timeout(BOUND, listener.accept()).await;
        self.wire = Wire::Tcp(accepted.expect("a connection").unwrap().0, Vec::new());
    }

    fn new(user: &'static str, password: &'static str, wire: Wire, sbc: SocketAddr, us: SocketAddr) -> Device {
        Device {
            user,
            password,
            wire,
            sbc,
            us,
            branch: 0,
            cseq: 0,
            answered: HashSet::new(),
        }
    }

    /// Its address as it would be behind NAT: nobody reaches it there.
    pub fn contact(&self) -> String {
        let transport = if matches!(self.wire, Wire::Tcp(..)) {
            ";transport=tcp"
        } else {
            ""
        };
        format!("Contact: <sip:{}@10.255.0.1:5060{transport}>\r\n", self.user)
    }

    /// A request outside dialogs, or inside where `more` says so; `to` is a whole header value.
    pub fn request(&mut self, method: &str, uri: &str, to: &str, more: &str, body: &str) -> String {
        self.branch += 1;
        self.cseq += 1;
        let (user, port, branch, cseq) = (self.user, self.us.port(), self.branch, self.cseq);
        let via = if matches!(self.wire, Wire::Tcp(..)) {
            "TCP"
        } else {
            "UDP"
        };
        let typed = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{via} 10.255.0.1:5060;rport;branch=z9hG4bK{port}x{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@{REALM}>;tag=t{port}\r\nTo: {to}\r\nCall-ID: {user}-{port}\r\n\
             CSeq: {cseq} {method}\r\n{more}{typed}Content-Length: {length}\r\n\r\n{body}",
            length = body.len(),
        )
    }

    pub async fn send(&mut self, text: &str) {
        match &mut self.wire {
            Wire::Udp(socket) => drop(socket.send_to(text.as_bytes(), self.sbc).await.unwrap()),
            Wire::Tcp(stream, _) => stream.write_all(text.as_bytes()).await.unwrap(),
        }
    }

    /// The next message that is wanted; others are passed over, and so are copies of what was answered for good: where an answer
    /// was late, they were on their way already.
    pub async fn receive(&mut self, wanted: impl Fn(&Message) -> bool) -> Message {
        let wait = async {
            loop {
                let message = self.next().await;
                if !self.answered.contains(&transaction(&message)) && wanted(&message) {
                    return message;
                }
            }
        };
        tokio::time::timeout(BOUND, wait).await.expect("a message")
    }

    /// Answers the requests of a dialog until something is done: the node sends them again until it has answers.
    pub async fn answers_until<T>(&mut self, done: impl Future<Output = T>) -> T {
        let mut done = std::pin::pin!(done);
        loop {
            tokio::select! {
                done = &mut done => return done,
                request = self.receive(|message| is(message, "BYE") || is(message, "NOTIFY")) => {
                    self.reply(&request, "200 OK", "", "").await;
                }
            }
        }
    }

    async fn next(&mut self) -> Message {
        match &mut self.wire {
            Wire::Udp(socket) => {
                let mut bytes = vec![0; 8192];
                let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
                self.sbc = from;
                bytes.truncate(length);
                Message::parse(bytes.into()).unwrap()
            }
            Wire::Tcp(stream, rest) => loop {
                if let Some(end) = whole(rest) {
                    let message = rest.drain(..end).collect::<Vec<u8>>();
                    return Message::parse(message.into()).unwrap();
                }
                assert_ne!(stream.read_buf(rest).await.unwrap(), 0, "the connection was closed");
            },
        }
    }

    /// A final answer to what was sent last.
    pub async fn answer(&mut self) -> Message {
        let cseq = self.cseq;
        self.receive(|message| message.status().is_some_and(|status| status >= 200) && message.cseq().0 == cseq)
            .await
    }

    /// Sends a request, answers a challenge, and gives the final answer with the request that got it.
    pub async fn ask(&mut self, method: &str, uri: &str, to: &str, more: &str, body: &str) -> (Message, String) {
        let request = self.request(method, uri, to, more, body);
        self.send(&request).await;
        let answer = self.answer().await;
        if !matches!(answer.status(), Some(401 | 407)) {
            return (answer, request);
        }
        if method == "INVITE" {
            self.acknowledge(&request, &answer).await;
        }
        let request = self.proven(method, uri, to, more, body, &answer);
        self.send(&request).await;
        (self.answer().await, request)
    }

    /// The request again, with an answer to the challenge that it got.
    pub fn proven(&mut self, method: &str, uri: &str, to: &str, more: &str, body: &str, challenge: &Message) -> String {
        let name = match challenge.status() {
            Some(401) => HeaderName::WwwAuthenticate,
            _ => HeaderName::ProxyAuthenticate,
        };
        let mut client = DigestClient::new(Credentials {
            realm: REALM.into(),
            username: self.user.into(),
            password: self.password.into(),
        });
        let value = client.answer(challenge.headers(name), method, uri, "0a4f113b").unwrap();
        let header = match name {
            HeaderName::WwwAuthenticate => "Authorization",
            _ => "Proxy-Authorization",
        };
        self.request(method, uri, to, &format!("{header}: {value}\r\n{more}"), body)
    }

    /// The ACK of a refusal: it is part of the INVITE's transaction.
    pub async fn acknowledge(&mut self, invite: &str, refusal: &Message) {
        let lines = invite.lines().filter(|line| {
            ["Via:", "From:", "Call-ID:", "Max-Forwards:"]
                .iter()
                .any(|name| line.starts_with(name))
        });
        let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
        let uri = invite.split(' ').nth(1).unwrap();
        let to = refusal.header(HeaderName::To).unwrap();
        let cseq = refusal.cseq().0;
        let text = format!("ACK {uri} SIP/2.0\r\n{lines}To: {to}\r\nCSeq: {cseq} ACK\r\nContent-Length: 0\r\n\r\n");
        self.send(&text).await;
    }

    /// Registers for `expires` seconds; the final answer.
    pub async fn register(&mut self, expires: u32) -> Message {
        let to = format!("<sip:{}@{REALM}>", self.user);
        let more = format!("{}Expires: {expires}\r\n", self.contact());
        self.ask("REGISTER", &format!("sip:{REALM}"), &to, &more, "").await.0
    }

    /// Answers a request that came.
    pub async fn reply(&mut self, request: &Message, status: &str, more: &str, body: &str) {
        self.reply_as("d", request, status, more, body).await;
    }

    /// The same as the fork of this tag.
    pub async fn reply_as(&mut self, tag: &str, request: &Message, status: &str, more: &str, body: &str) {
        let copied = |name: HeaderName| {
            let lines = request
                .headers(name)
                .map(move |value| format!("{}: {value}\r\n", name.as_str()));
            lines.collect::<String>()
        };
        let tag = match request.to_tag() {
            None => format!(";tag={tag}"),
            Some(_) => String::new(),
        };
        let to = request.header(HeaderName::To).unwrap();
        let typed = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "SIP/2.0 {status}\r\n{}{}To: {to}{tag}\r\n{}{}{more}{typed}Content-Length: {}\r\n\r\n{body}",
            copied(HeaderName::Via),
            copied(HeaderName::From),
            copied(HeaderName::CallId),
            copied(HeaderName::CSeq),
            body.len(),
        );
        self.send(&text).await;
        if !status.starts_with('1') {
            self.answered.insert(transaction(request));
        }
    }

    /// The next INVITE, ringing.
    pub async fn ring(&mut self) -> Message {
        let invite = self.receive(|message| is(message, "INVITE")).await;
        self.reply(&invite, "180 Ringing", &self.contact(), "").await;
        invite
    }

    /// Answers an INVITE and waits for its ACK.
    pub async fn accept(&mut self, invite: &Message) {
        let (contact, sdp) = (self.contact(), self.sdp());
        self.reply(invite, "200 OK", &contact, &sdp).await;
        self.receive(|message| is(message, "ACK")).await;
    }

    pub fn sdp(&self) -> String {
        let at = self.us.ip();
        format!("v=0\r\no=- 1 1 IN IP4 {at}\r\ns=-\r\nc=IN IP4 {at}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n")
    }
}

/// What a copy of a request has in common with it (RFC 3261 §17.2.3); nothing where it is a response.
fn transaction(message: &Message) -> (String, String) {
    let branch = message.top_via().branch().unwrap_or_default().to_owned();
    (
        branch,
        message
            .method()
            .map_or_else(String::new, |method| method.as_str().to_owned()),
    )
}

/// Whether a message is a request of this method.
pub fn is(message: &Message, method: &str) -> bool {
    message.method().is_some_and(|found| found.as_str() == method)
}

/// The lab's listeners for users, and an address of the device's own.
fn addresses(lab: &Lab, last: u8) -> (SocketAddr, Ipv4Addr) {
    let IpAddr::V4(carrier) = lab.carrier.address().ip() else {
        panic!("the lab is IPv4")
    };
    let [a, b, c, _] = carrier.octets();
    let sbc = SocketAddr::new(Ipv4Addr::new(a, b, c, 1).into(), 5080);
    (sbc, Ipv4Addr::new(a, b, c, last))
}

/// The length of the message that a buffer begins with, once all of it is there.
pub fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let end = head + length.unwrap_or(0);
    (bytes.len() >= end).then_some(end)
}
