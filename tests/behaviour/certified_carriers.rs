//! Carriers over mutual TLS: who shows one carrier's certificate is no other.

use crate::lab::{BOUND, Lab, OUTSIDE, Plan, USER};
use portcullis::net::tls::authority::{Authority, LeafRequest, LeafUsage};
use portcullis::net::tls::{ClientCertificates, IdentityFiles, IdentityStore, TlsProfile, TrustRoots};
use portcullis::sim::Script;
use rustls::pki_types::ServerName;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const WEST: &str = "gw.west.example";
const EAST: &str = "gw.east.example";
const OTHER: &str = "gw.other.example";
const PORT: u16 = 5063;

/// The CA of the carriers and what it has signed, in a folder of its own.
struct Office {
    folder: PathBuf,
}

impl Office {
    #[expect(clippy::disallowed_methods, reason = "certificates are dated by the wall clock")]
    fn new(name: &str) -> Office {
        let folder = std::env::temp_dir().join(format!("portcullis-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let (from, to) = (now - 3_600, now + 3_600);
        let authority = Authority::new("Carriers", from, to).unwrap();
        std::fs::write(folder.join("root.pem"), authority.root_pem()).unwrap();
        for bearer in [WEST, EAST, OTHER] {
            let request = LeafRequest {
                dns_names: vec![bearer.to_owned()],
                addresses: vec![],
                usage: LeafUsage::Client,
                not_before: from,
                not_after: to,
            };
            let [certificate, key] = files(&folder, bearer);
            authority.leaf(&request).unwrap().write(&certificate, &key).unwrap();
        }
        Office { folder }
    }

    /// A lab where carriers call over TLS, and `more` of them.
    async fn lab(&self, more: &str) -> Lab {
        let root = self.folder.join("root.pem");
        let listener = format!(
            "[[listeners]]\nname = \"tls\"\npurpose = \"carrier\"\ntransport = \"tls\"\nbind = \"NODE:{PORT}\"\n\
             advertise = \"sbc1.example.net\"\ncertificates = [{{ certificate = \"../sbc.pem\", key = \"../sbc.key\" }}]\n\
             client_certificate = \"require\"\nroots = \"{}\"\n",
            root.display()
        );
        let carrier = |id: &str, names: &str| {
            format!("[[carriers]]\nid = \"{id}\"\nnetworks = [\"127.0.0.0/8\"]\ntransports = [\"tls\"]\n{names}\n")
        };
        let named = |name: &str| format!("client_names = [\"{name}\"]");
        let carriers = [
            carrier("west", &named(WEST)),
            carrier("east", &named(EAST)),
            more.to_owned(),
        ];
        Lab::with(Plan {
            machine: listener,
            carrier: carriers.concat(),
            ..Plan::default()
        })
        .await
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

fn files(folder: &Path, name: &str) -> [PathBuf; 2] {
    ["pem", "key"].map(|kind| folder.join(format!("{name}.{kind}")))
}

/// A carrier's connection.
struct Trunk {
    stream: TlsStream<TcpStream>,
    us: Ipv4Addr,
    unread: String,
}

impl Trunk {
    /// Connects, showing the certificate for `name`.
    async fn open(office: &Office, lab: &Lab, name: &str) -> Trunk {
        let [certificate, key] = files(&office.folder, name);
        let identities = IdentityStore::open(vec![IdentityFiles {
            name: name.to_owned(),
            certificate,
            key,
        }])
        .unwrap();
        let roots = Arc::new(TrustRoots::from_file(&lab.roots).unwrap());
        let profile = TlsProfile::new(Arc::new(identities), ClientCertificates::Ignore, roots, name);
        let (config, _evidence) = profile.connect(profile.presented(None)).unwrap();
        let [a, b, c, _] = lab.address().octets();
        let us = Ipv4Addr::new(a, b, c, 50);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((us, 0).into()).unwrap();
        let stream = socket.connect((lab.address(), PORT).into()).await.unwrap();
        let sbc = ServerName::try_from("sbc1.example.net").unwrap();
        let stream = TlsConnector::from(config).connect(sbc, stream).await.unwrap();
        Trunk {
            stream,
            us,
            unread: String::new(),
        }
    }

    async fn send(&mut self, method: &str, number: u8, call: &str, to_tag: &str, body: &str) {
        let us = self.us;
        let typed = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let request = format!(
            "{method} sip:{USER}@sbc1.example.net SIP/2.0\r\nVia: SIP/2.0/TLS {us};branch=z9hG4bK{call}{method}{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{OUTSIDE}@{us}>;tag=1\r\nTo: <sip:{USER}@sbc1.example.net>{to_tag}\r\n\
             Call-ID: {call}\r\nCSeq: {number} {method}\r\nContact: <sip:{OUTSIDE}@{us};transport=tls>\r\n{typed}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    async fn invite(&mut self, call: &str) -> String {
        let us = self.us;
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 {us}\r\ns=-\r\nc=IN IP4 {us}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\na=sendrecv\r\n"
        );
        self.send("INVITE", 1, call, "", &offer).await;
        self.answer().await
    }

    /// The next final response.
    async fn answer(&mut self) -> String {
        let wait = async {
            loop {
                while let Some((head, rest)) = self.unread.split_once("\r\n\r\n") {
                    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
                    let Some(left) = rest.get(length..) else { break };
                    let (head, left) = (head.to_owned(), left.to_owned());
                    self.unread = left;
                    if head.starts_with("SIP/2.0 ") && !head.starts_with("SIP/2.0 1") {
                        return head;
                    }
                }
                let mut bytes = [0; 4096];
                let length = self.stream.read(&mut bytes).await.unwrap();
                assert!(length > 0, "closed");
                self.unread.push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        };
        tokio::time::timeout(BOUND, wait).await.expect("an answer")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_its_carriers_alone() {
    let office = Office::new("certified");
    let lab = office.lab("").await;
    lab.teams.set_script(Script::busy());
    for (index, (name, carrier)) in [(WEST, "west"), (EAST, "east")].into_iter().enumerate() {
        let answer = Trunk::open(&office, &lab, name).await.invite(carrier).await;
        assert!(answer.starts_with("SIP/2.0 486 "), "{answer}");
        let record = lab.records.get(index).await;
        assert_eq!(record.facts.carrier.as_deref(), Some(carrier));
    }
    let refused = Trunk::open(&office, &lab, OTHER).await.invite("other").await;
    assert!(refused.starts_with("SIP/2.0 403 "), "{refused}");
    let told = lab.records.unidentified(1).await;
    let names = format!("the certificate bears none of its `client_names`, which are {EAST}: it is for {OTHER}");
    assert_eq!((told[0].reason, told.len()), ("certificate", 1));
    assert_eq!(told[0].why, format!("carrier \"east\" has this address, but {names}"));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_without_names_has_what_is_nobody_elses() {
    let office = Office::new("uncertified");
    let plain = "[[carriers]]\nid = \"plain\"\nnetworks = [\"127.0.0.0/8\"]\ntransports = [\"tls\"]\n";
    let lab = office.lab(plain).await;
    lab.teams.set_script(Script::busy());
    for (index, (name, carrier)) in [(OTHER, "plain"), (WEST, "west")].into_iter().enumerate() {
        let answer = Trunk::open(&office, &lab, name).await.invite(carrier).await;
        assert!(answer.starts_with("SIP/2.0 486 "), "{answer}");
        let record = lab.records.get(index).await;
        assert_eq!(record.facts.carrier.as_deref(), Some(carrier));
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inside_a_call_only_its_own_carriers_certificate_is_heard() {
    let office = Office::new("inside");
    let lab = office.lab("").await;
    lab.teams.set_script(Script::answer());
    let mut west = Trunk::open(&office, &lab, WEST).await;
    let answer = west.invite("call").await;
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let to = answer.lines().find(|line| line.starts_with("To:")).expect("a To");
    let tag = to
        .split_once(";tag=")
        .map(|(_, tag)| format!(";tag={tag}"))
        .expect("a tag");
    west.send("ACK", 1, "call", &tag, "").await;
    let mut east = Trunk::open(&office, &lab, EAST).await;
    east.send("BYE", 2, "call", &tag, "").await;
    let refused = east.answer().await;
    assert!(refused.starts_with("SIP/2.0 481 "), "{refused}");
    west.send("BYE", 3, "call", &tag, "").await;
    let over = west.answer().await;
    assert!(over.starts_with("SIP/2.0 200 "), "{over}");
    lab.close().await;
}
