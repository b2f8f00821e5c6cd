//! A name server that is slow: whoever gave up meanwhile is not called afterwards.

use crate::lab::{BOUND, Lab, Plan, USER};
use portcullis::sim::{Dial, Script};
use portcullis::sip::Message;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::UdpSocket;
use tokio::sync::watch;

/// A name server that keeps all questions until it is told which address every name has.
struct SlowNames {
    address: SocketAddr,
    told: watch::Sender<Option<Ipv4Addr>>,
    asked: watch::Receiver<bool>,
}

impl SlowNames {
    async fn serve() -> SlowNames {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (told, mut hears) = watch::channel(None);
        let (asking, asked) = watch::channel(false);
        tokio::spawn(async move {
            let mut held: Vec<(Vec<u8>, SocketAddr)> = Vec::new();
            let mut buffer = [0; 1500];
            loop {
                tokio::select! {
                    received = socket.recv_from(&mut buffer) => {
                        let (length, from) = received.unwrap();
                        held.push((buffer[..length].to_vec(), from));
                        // Nobody may wait for that any more.
                        let _unheard = asking.send(true);
                    }
                    changed = hears.changed() => if changed.is_err() { return },
                }
                if let Some(to) = *hears.borrow() {
                    for (question, from) in held.drain(..) {
                        // Who asked may be gone.
                        let _gone = socket.try_send_to(&answer(&question, to), from);
                    }
                }
            }
        });
        SlowNames { address, told, asked }
    }

    /// Waits until somebody has asked.
    async fn asked(&mut self) {
        let asked = self.asked.wait_for(|asked| *asked);
        tokio::time::timeout(BOUND, asked)
            .await
            .expect("a question")
            .expect("a server");
    }
}

/// The answer to a question for A; no records for any other type (RFC 1035 §4).
fn answer(question: &[u8], to: Ipv4Addr) -> Vec<u8> {
    let mut end = 12;
    while question[end] != 0 {
        end += 1 + usize::from(question[end]);
    }
    end += 5;
    let wants_a = question[end - 3] == 1;
    let mut reply = question[..end].to_vec();
    reply[2..4].copy_from_slice(&[0x81, 0x80]);
    reply[6..12].copy_from_slice(&[0, u8::from(wants_a), 0, 0, 0, 0]);
    if wants_a {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(to.octets());
    }
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_given_up_before_the_name_was_resolved_is_never_placed() {
    let mut names = SlowNames::serve().await;
    let lab = Lab::with(Plan {
        machine: format!(
            "[dns]\nservers = [\"{}\"]\ntimeout = \"20s\"\n[emergency]\ncarriers = [\"named\"]\n",
            names.address
        ),
        carrier: r#"
[[carriers]]
id = "named"
networks = ["192.0.2.0/24"]
gateways = [{ host = "gw.example.net", port = 5060, listener = "carrier" }]
"#
        .into(),
        ..Plan::default()
    })
    .await;
    let IpAddr::V4(gateway) = lab.carrier.address().ip() else {
        panic!("the lab is IPv4");
    };
    lab.carrier.set_script(Script::answer());
    let given_up = lab.teams.place_call(Dial::new(USER, "112")).await.unwrap();
    names.asked().await;
    assert_eq!(given_up.hang_up().await.unwrap().status, Some(487));
    names.told.send(Some(gateway)).unwrap();

    let caller = lab.teams.place_call(Dial::new(USER, "112")).await.unwrap();
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    let transcript = lab.carrier.transcript();
    // One INVITE may come again on its way.
    let invites: HashSet<&str> = transcript
        .iter()
        .filter(|message| message.cseq_method().as_str() == "INVITE" && message.is_request())
        .map(Message::call_id)
        .collect();
    assert_eq!(invites.len(), 1, "the call that was given up was placed");
    let record = lab.records.get(0).await;
    assert_eq!(record.legs.len(), 2, "the gateway was chosen before the caller gave up");
    lab.close().await;
}
