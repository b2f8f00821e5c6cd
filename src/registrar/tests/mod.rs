//! A registrar with users, and devices that know their passwords.

mod attacks;
mod kept;
mod planning;
mod registering;
mod vouching;

use super::*;
use crate::config::Config;
use crate::config::fixture::machine;
use crate::moment::Moment;
use crate::sip::digest::{Algorithm, Credentials, DigestClient};
use crate::sip::message::{HeaderName, Message, ResponseDraft};
use crate::sip::{ConnectionId, Flow, ListenerId, Transport};
use std::net::SocketAddr;

pub const REALM: &str = "sip.contoso.example";
pub const NAT: &str = "203.0.113.7:40001";

/// Listeners for users beside those of the usual machine, and a carrier without a known address.
fn sbc() -> String {
    machine(
        r#"
[[listeners]]
name = "users-udp"
purpose = "users"
transport = "udp"
bind = "192.0.2.10:5080"

[[listeners]]
name = "users-tcp"
purpose = "users"
transport = "tcp"
bind = "192.0.2.10:5080"

[registrar]
max_expires = "2h"
bindings_per_user = 3
bindings_per_tenant = 5

[[carriers]]
id = "north"
networks = ["203.0.113.0/24"]
gateways = [{ host = "sip.north.example" }]
"#,
    )
}

/// `users`: `[[users]]` tables beside alice, whose password is `wonderland`, and bob, whose is `builder`.
pub fn config_with(users: &str) -> Config {
    config_of("", users)
}

/// The same with further keys of the tenant.
pub fn config_of(keys: &str, users: &str) -> Config {
    let user = |name: &str, password: &str| {
        let hash = |algorithm: Algorithm| algorithm.hashed_secret(name, REALM, password);
        format!(
            "[[users]]\nname = \"{name}\"\nha1_md5 = \"{}\"\nha1_sha256 = \"{}\"\n",
            hash(Algorithm::Md5),
            hash(Algorithm::Sha256)
        )
    };
    let tenant = format!(
        "domains = [\"contoso.example\"]\nlabel = \"contoso\"\nrealm = \"{REALM}\"\ncarriers = [\"north\"]\n{keys}\n\
         [[numbers]]\nnumber = \"+14255550100\"\nto = {{ user = \"alice@{REALM}\" }}\n{}number = \"+14255550100\"\n{}{users}",
        user("alice", "wonderland"),
        user("bob", "builder"),
    );
    Config::from_toml_strs(&sbc(), &[("contoso", &tenant)]).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

pub fn config() -> Config {
    config_with("")
}

pub fn at(seconds: u64) -> Moment {
    Moment::from_micros(seconds * 1_000_000)
}

pub fn clocks(seconds: u64) -> Clocks {
    Clocks {
        now: at(seconds),
        unix: 1_800_000_000 + seconds,
    }
}

pub fn udp(remote: &str) -> Flow {
    Flow {
        transport: Transport::Udp,
        listener: ListenerId(2),
        local: "192.0.2.10:5080".parse().expect("an address"),
        remote: remote.parse::<SocketAddr>().expect("an address"),
        connection: ConnectionId::NONE,
        peer: None,
    }
}

pub fn tcp(remote: &str, connection: u64) -> Flow {
    Flow {
        transport: Transport::Tcp,
        listener: ListenerId(3),
        connection: ConnectionId(connection),
        ..udp(remote)
    }
}

/// A device: remembers its Call-ID and counts its CSeq.
pub struct Phone {
    pub user: &'static str,
    pub password: &'static str,
    /// The user part of To and From.
    pub address: String,
    pub call_id: String,
    pub cseq: u32,
    pub flow: Flow,
}

impl Phone {
    pub fn new(user: &'static str, password: &'static str, flow: Flow) -> Phone {
        Phone {
            user,
            password,
            address: format!("{user}@{REALM}"),
            call_id: format!("{user}-{}", flow.remote),
            cseq: 0,
            flow,
        }
    }

    pub fn alice() -> Phone {
        Phone::new("alice", "wonderland", udp(NAT))
    }

    pub fn request(&mut self, method: &str, uri: &str, more: &str) -> Message {
        self.cseq += 1;
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK{}\r\nFrom: <sip:{}>;tag=1\r\n\
             To: <sip:{}>\r\nCall-ID: {}\r\nCSeq: {} {method}\r\n{more}Content-Length: 0\r\n\r\n",
            self.cseq, self.address, self.address, self.call_id, self.cseq
        );
        Message::parse(text.into_bytes().into()).expect("a message")
    }

    /// The value that answers the challenges of a refusal.
    pub fn answer(&self, refusal: &ResponseDraft, method: &str, uri: &str) -> String {
        let mut client = DigestClient::new(Credentials {
            realm: REALM.into(),
            username: self.user.into(),
            password: self.password.into(),
        });
        let challenges = [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate];
        let challenges: Vec<&str> = challenges.iter().flat_map(|name| refusal.values(*name)).collect();
        client.answer(challenges, method, uri, "0a4f113b").expect("an answer")
    }

    /// REGISTER, challenged and answered: the last answer.
    pub fn register(&mut self, registrar: &Registrar, config: &Config, more: &str, seconds: u64) -> ResponseDraft {
        let uri = format!("sip:{REALM}");
        let first = self.request("REGISTER", &uri, more);
        let challenge = draft(registrar.register(config, &first, &self.flow, clocks(seconds)));
        if challenge.status() != 401 {
            return challenge;
        }
        let answer = self.answer(&challenge, "REGISTER", &uri);
        let second = self.request("REGISTER", &uri, &format!("Authorization: {answer}\r\n{more}"));
        draft(registrar.register(config, &second, &self.flow, clocks(seconds)))
    }
}

pub fn registrar() -> Registrar {
    Registrar::new([7; 32])
}

pub fn draft(reply: Reply) -> ResponseDraft {
    match reply {
        Reply::Answer(draft) | Reply::Forgotten(draft) | Reply::Unasked(draft, _) => draft,
        other => panic!("no answer: {other:?}"),
    }
}

pub fn contacts(draft: &ResponseDraft) -> Vec<String> {
    draft.values(HeaderName::Contact).map(str::to_owned).collect()
}
