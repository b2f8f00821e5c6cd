//! A tenant whose trunk name stands in the second certificate of the Teams listener, beside one below the base.

use crate::lab::{BOUND, HUB, Lab, OUTSIDE, Plan, USER};
use portcullis::dial::PeerName;
use portcullis::net::Opener;
use portcullis::net::tls::authority::{Authority, LeafRequest, LeafUsage};
use portcullis::net::tls::covers;
use portcullis::sim::{Dial, Script};
use portcullis::sip::{ConnectionId, Flow, Message, Method, PeerCertificate};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const BASE: &str = "sbc1.example.net";
const OWN: &str = "sbc.fabrikam.example";
/// A number of the tenant with a trunk of its own.
const FABRIKAM: &str = "+14255550300";

/// The CA of the second certificate, and where it is.
struct Office {
    authority: Authority,
    now: u64,
    folder: PathBuf,
}

impl Office {
    #[expect(clippy::disallowed_methods, reason = "certificates are dated by the wall clock")]
    fn new(name: &str) -> Office {
        let folder = std::env::temp_dir().join(format!("portcullis-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let office = Office {
            authority: Authority::new("Fabrikam's CA", now - 3_600, now + 3_600).unwrap(),
            now,
            folder,
        };
        office.issue();
        office
    }

    fn files(&self) -> [PathBuf; 2] {
        ["pem", "key"].map(|kind| self.folder.join(format!("{OWN}.{kind}")))
    }

    /// Writes a certificate for the trunk, over the one before.
    fn issue(&self) {
        let request = LeafRequest {
            dns_names: vec![OWN.to_owned()],
            addresses: vec![],
            usage: LeafUsage::Server,
            not_before: self.now - 3_600,
            not_after: self.now + 3_600,
        };
        let [certificate, key] = self.files();
        let leaf = self.authority.leaf(&request).unwrap();
        leaf.write(&certificate, &key).unwrap();
    }

    async fn lab(&self) -> Lab {
        let tenant = format!(
            "domains = [\"fabrikam.example\"]\nfqdn = \"{OWN}\"\ncarriers = [\"north\"]\n\
             [[numbers]]\nnumber = \"{FABRIKAM}\"\nto = \"teams\"\n"
        );
        let lab = Lab::with(Plan {
            certificates: vec![self.files()],
            roots: self.authority.root_pem(),
            tenants: vec![("fabrikam", tenant)],
            ..Plan::default()
        });
        lab.await
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

/// A request that a hub heard: for which trunk, and on what connection.
struct Heard {
    method: Method,
    trunk: String,
    shown: Arc<PeerCertificate>,
    connection: ConnectionId,
}

impl Heard {
    fn is_covered(&self) -> bool {
        self.shown.names().any(|name| covers(name, &self.trunk))
    }
}

/// Every request that the hub heard. A call's trunk is the host of its Contact, which not all of its messages have.
fn heard(lab: &Lab) -> Vec<Heard> {
    let all: Vec<(Message, Flow)> = lab.teams.overheard().collect();
    let trunks: HashMap<&str, String> = all
        .iter()
        .filter_map(|(message, _)| {
            let contact = message.contact().ok().flatten()?;
            Some((message.call_id(), contact.uri().host().to_owned()))
        })
        .collect();
    let requests = all.iter().filter(|(message, _)| message.is_request());
    requests
        .map(|(message, flow)| Heard {
            method: message.method().expect("a request").clone(),
            trunk: trunks[message.call_id()].clone(),
            shown: flow.peer.clone().expect("a certificate of ours"),
            connection: flow.connection,
        })
        .collect()
}

/// A call from the telephone network to `user`, and one back, each hung up by the carrier's side.
async fn calls_both_ways(lab: &Lab, user: &str, trunk: &str) {
    lab.teams.set_script(Script::answer());
    lab.carrier.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, user)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();

    let mut dial = Dial::new(user, OUTSIDE);
    dial.host = Some(trunk.to_owned());
    let caller = lab.teams.place_call(dial).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hang_up().await.unwrap();
    caller.ended().await.unwrap();
}

/// The connections that the node has opened to hubs and uses for what is new.
fn in_use(lab: &Lab) -> Vec<ConnectionId> {
    let connections = lab.running.signalling.transports().connections();
    let ours = connections
        .iter()
        .filter(|connection| connection.opener == Opener::Us && !connection.draining);
    ours.map(|connection| connection.flow.connection).collect()
}

async fn until(reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(BOUND, wait).await.expect("it comes in time");
}

/// The last certificate that requests of a trunk came under.
fn last_serial(lab: &Lab, trunk: &str) -> String {
    let heard = heard(lab);
    let last = heard.iter().rev().find(|heard| heard.trunk == trunk);
    last.expect("a request").shown.serial.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_029_each_trunks_requests_go_under_the_certificate_that_bears_its_name() {
    let office = Office::new("own-trunk");
    let lab = office.lab().await;
    let own = PeerName::Trunk {
        hub: HUB.into(),
        trunk: OWN.into(),
    };
    let answered = |peer: &PeerName| {
        let node = &lab.running.node;
        let report = node.peers.report(node.clock.now());
        let known = report.iter().find(|known| known.peer == peer.to_string());
        known.and_then(|known| known.status)
    };
    until(|| answered(&own).is_some() && answered(&PeerName::Hub(HUB.into())).is_some()).await;
    assert_eq!(answered(&own), Some(200));
    let below = format!("contoso.{BASE}");
    calls_both_ways(&lab, USER, &below).await;
    calls_both_ways(&lab, FABRIKAM, OWN).await;

    let all = heard(&lab);
    for (method, trunk) in [
        (Method::Options, BASE),
        (Method::Options, OWN),
        (Method::Invite, &below),
        (Method::Invite, OWN),
        (Method::Ack, &below),
        (Method::Ack, OWN),
        (Method::Bye, &below),
        (Method::Bye, OWN),
    ] {
        let are_there = all.iter().any(|heard| heard.method == method && heard.trunk == trunk);
        assert!(are_there, "{method} of {trunk}");
    }
    for heard in &all {
        assert!(
            heard.is_covered(),
            "{} of {}: {:?}",
            heard.method,
            heard.trunk,
            heard.shown
        );
    }
    let connections: HashSet<ConnectionId> = all.iter().map(|heard| heard.connection).collect();
    assert_eq!(connections.len(), 2, "one for each certificate");

    // The second certificate is renewed, the first stays.
    let (before, old) = (in_use(&lab), [&*below, OWN].map(|trunk| last_serial(&lab, trunk)));
    office.issue();
    lab.running.papers.reload_certificates(&*lab.records).await;
    until(|| {
        let now = in_use(&lab);
        now.len() == 2 && !now.iter().any(|connection| before.contains(connection))
    })
    .await;
    calls_both_ways(&lab, FABRIKAM, OWN).await;
    calls_both_ways(&lab, USER, &below).await;
    let new = [&*below, OWN].map(|trunk| last_serial(&lab, trunk));
    assert!(old[0] == new[0] && old[1] != new[1], "{old:?} {new:?}");
    lab.close().await;
}
