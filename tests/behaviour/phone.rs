//! A carrier's telephone made of nothing but a socket: what the simulator would never send, or never leave out.

use crate::lab::{BOUND, Lab, OUTSIDE, USER};
use socket2::SockRef;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::UdpSocket;

/// It calls [`USER`], or another number, as [`OUTSIDE`], from the address of the lab's carrier.
pub struct Phone {
    pub to: &'static str,
    socket: UdpSocket,
    pub sbc: SocketAddr,
    pub us: SocketAddr,
    carrier: Ipv4Addr,
    /// The tag of the other side, once it is known.
    tag: Option<String>,
    /// The 200 that answered its call.
    pub answer: String,
}

impl Phone {
    pub async fn new(lab: &Lab) -> Phone {
        Phone::at(lab, |carrier| carrier).await
    }

    /// One that nobody knows: its address is no carrier's.
    pub async fn stranger(lab: &Lab) -> Phone {
        Phone::at(lab, |carrier| {
            let [a, b, c, _] = carrier.octets();
            Ipv4Addr::new(a, b, c, 99)
        })
        .await
    }

    async fn at(lab: &Lab, place: impl Fn(Ipv4Addr) -> Ipv4Addr) -> Phone {
        let IpAddr::V4(carrier) = lab.carrier.address().ip() else {
            panic!("the lab is IPv4")
        };
        let [a, b, c, _] = carrier.octets();
        let carrier = place(carrier);
        let socket = UdpSocket::bind((carrier, 0)).await.unwrap();
        Phone {
            to: USER,
            us: socket.local_addr().unwrap(),
            sbc: SocketAddr::new(Ipv4Addr::new(a, b, c, 1).into(), 5060),
            socket,
            carrier,
            tag: None,
            answer: String::new(),
        }
    }

    /// An offer of PCMA in this direction.
    pub fn offer(&self, direction: &str) -> String {
        let at = self.carrier;
        format!(
            "v=0\r\no=- 1 1 IN IP4 {at}\r\ns=-\r\nc=IN IP4 {at}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\na={direction}\r\n"
        )
    }

    /// A request; `branch` names its transaction, `more` are further header lines.
    pub fn request(&self, method: &str, cseq: &str, branch: &str, more: &str, sdp: &str) -> String {
        let Phone { sbc, us, to, .. } = self;
        let port = us.port();
        let tag = self.tag.as_ref().map_or_else(String::new, |tag| format!(";tag={tag}"));
        let typed = if sdp.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} sip:{to}@{sbc} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK{port}{branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:{OUTSIDE}@{us}>;tag=1\r\nTo: <sip:{to}@{sbc}>{tag}\r\nCall-ID: {port}\r\nCSeq: {cseq}\r\n\
             {more}{typed}Content-Length: {length}\r\n\r\n{sdp}",
            length = sdp.len(),
        )
    }

    pub async fn send(&self, message: &str) {
        self.socket.send_to(message.as_bytes(), self.sbc).await.unwrap();
    }

    /// 200 to a request.
    pub async fn accept(&self, request: &str) {
        let copied = |line: &&str| {
            let names = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
            names.iter().any(|name| line.starts_with(name))
        };
        let lines: String = request
            .lines()
            .filter(copied)
            .map(|line| format!("{line}\r\n"))
            .collect();
        self.send(&format!("SIP/2.0 200 OK\r\n{lines}Content-Length: 0\r\n\r\n"))
            .await;
    }

    /// What has come and was not read. The socket itself is asked, not what the runtime knows of it.
    pub fn unread(&self) -> Option<String> {
        let mut bytes = [0; 4096];
        let length = (&*SockRef::from(&self.socket)).read(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    /// The next message that begins with `start`; others are passed over.
    pub async fn receive(&mut self, start: &str) -> String {
        self.receive_that(|text| text.starts_with(start)).await
    }

    /// The next message that is wanted; others are passed over.
    pub async fn receive_that(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let mut bytes = [0; 4096];
        let wait = async {
            loop {
                let length = self.socket.recv(&mut bytes).await.unwrap();
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                if wanted(&text) {
                    return text;
                }
            }
        };
        tokio::time::timeout(BOUND, wait).await.expect("an answer")
    }

    /// The final answer to the request with this CSeq, and no copy of an earlier one.
    pub async fn refusal(&mut self, cseq: &str) -> String {
        let cseq = format!("\r\nCSeq: {cseq}\r\n");
        self.receive_that(|text| !text.starts_with("SIP/2.0 100 ") && text.contains(&cseq))
            .await
    }

    /// Calls, and acknowledges the 200.
    pub async fn call(&mut self) {
        let contact = format!("Contact: <sip:{OUTSIDE}@{}>\r\n", self.us);
        let invite = self.request("INVITE", "1 INVITE", "a", &contact, &self.offer("sendrecv"));
        self.send(&invite).await;
        let answer = self.receive("SIP/2.0 200 ").await;
        let to = answer.lines().find(|line| line.starts_with("To:")).expect("a To");
        self.tag = to.split_once(";tag=").map(|(_, tag)| tag.to_owned());
        self.answer = answer;
        self.send(&self.request("ACK", "1 ACK", "b", "", "")).await;
    }

    /// A re-INVITE that puts the other side on hold.
    pub fn hold(&self) -> String {
        let contact = format!("Contact: <sip:{OUTSIDE}@{}>\r\n", self.us);
        self.request("INVITE", "2 INVITE", "c", &contact, &self.offer("sendonly"))
    }
}
