//! Tenants whose trunk names stand in the second certificate of the Teams listener, beside one below the base: a name of its own,
//! and one below a further carrier trunk.

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
/// A further carrier trunk.
const FURTHER: &str = "sbc1.example.org";
/// A number of the tenant whose trunk the second certificate bears.
const FABRIKAM: &str = "+14255550300";

/// The CA of the second certificate, and where it is.
struct Office {
    authority: Authority,
    now: u64,
    folder: PathBuf,
    /// In the certificate.
    names: Vec<String>,
}

impl Office {
    #[expect(clippy::disallowed_methods, reason = "certificates are dated by the wall clock")]
    fn new(name: &str, names: &[&str]) -> Office {
        let folder = std::env::temp_dir().join(format!("portcullis-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let office = Office {
            authority: Authority::new("Fabrikam's CA", now - 3_600, now + 3_600).unwrap(),
            now,
            folder,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        office.issue();
        office
    }

    fn files(&self) -> [PathBuf; 2] {
        ["pem", "key"].map(|kind| self.folder.join(format!("second.{kind}")))
    }

    /// Writes a certificate for the names, over the one before.
    fn issue(&self) {
        let request = LeafRequest {
            dns_names: self.names.clone(),
            addresses: vec![],
            usage: LeafUsage::Server,
            not_before: self.now - 3_600,
            not_after: self.now + 3_600,
        };
        let [certificate, key] = self.files();
        let leaf = self.authority.leaf(&request).unwrap();
        leaf.write(&certificate, &key).unwrap();
    }

    /// `trunk`: the tenant's; `teams`: keys of `[teams]`.
    async fn lab(&self, trunk: &str, teams: &str) -> Lab {
        let tenant = format!(
            "domains = [\"fabrikam.example\"]\n{trunk}\ncarriers = [\"north\"]\n\
             [[numbers]]\nnumber = \"{FABRIKAM}\"\nto = \"teams\"\n"
        );
        let lab = Lab::with(Plan {
            certificates: vec![self.files()],
            roots: self.authority.root_pem(),
            tenants: vec![("fabrikam", tenant)],
            teams: teams.to_owned(),
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

/// Teams has answered OPTIONS of the base and of this trunk.
async fn both_are_known(lab: &Lab, trunk: &str) {
    let further = PeerName::Trunk {
        hub: HUB.into(),
        trunk: trunk.into(),
    };
    let answered = |peer: &PeerName| {
        let node = &lab.running.node;
        let report = node.peers.report(node.clock.now());
        let known = report.iter().find(|known| known.peer == peer.to_string());
        known.and_then(|known| known.status)
    };
    until(|| answered(&further).is_some() && answered(&PeerName::Hub(HUB.into())).is_some()).await;
    assert_eq!(answered(&further), Some(200));
}

/// OPTIONS of these trunks came and of no others, calls of those, and all on a connection whose certificate bears the name.
fn each_under_its_certificate(lab: &Lab, announced: [&str; 2], called: [&str; 2]) {
    let all = heard(lab);
    let trunks = |method: Method| -> HashSet<&str> {
        let of_method = all.iter().filter(|heard| heard.method == method);
        of_method.map(|heard| heard.trunk.as_str()).collect()
    };
    assert_eq!(trunks(Method::Options), HashSet::from(announced));
    for method in [Method::Invite, Method::Ack, Method::Bye] {
        assert_eq!(trunks(method.clone()), HashSet::from(called), "{method}");
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
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_107_a_tenant_below_a_further_carrier_trunk_calls_both_ways_under_that_trunks_certificate() {
    let office = Office::new("further-base", &[FURTHER, &format!("*.{FURTHER}")]);
    let trunk = format!("label = \"fabrikam\"\nbase = \"{FURTHER}\"");
    let lab = office.lab(&trunk, &format!("further_bases = [\"{FURTHER}\"]")).await;
    both_are_known(&lab, FURTHER).await;
    // Teams asks back at the name in each Contact, and is answered by the certificate of that.
    lab.teams.pings_until(|pings| pings.answered >= 2).await.unwrap();
    let (below, further) = (format!("contoso.{BASE}"), format!("fabrikam.{FURTHER}"));
    calls_both_ways(&lab, USER, &below).await;
    calls_both_ways(&lab, FABRIKAM, &further).await;
    each_under_its_certificate(&lab, [BASE, FURTHER], [&below, &further]);

    // The carrier trunk itself has no users, and another base's label is nobody.
    for nobody in [FURTHER, "contoso.sbc1.example.org"] {
        let mut dial = Dial::new(FABRIKAM, OUTSIDE);
        dial.host = Some(nobody.to_owned());
        let refused = lab.teams.place_call(dial).await.unwrap().ended().await.unwrap();
        assert_eq!(refused.status, Some(404), "{nobody}: {refused:?}");
    }
    lab.close().await;
}

/// Teams compares our Contact with the trunk that it called and with the certificate of that connection: both are the alias'.
#[tokio::test(flavor = "multi_thread")]
async fn teams_029_a_call_that_comes_for_an_alias_is_of_that_trunk_to_its_end() {
    const OLD: &str = "old.fabrikam.example";
    let office = Office::new("alias", &[OLD]);
    let trunk = format!("label = \"fabrikam\"\naliases = [\"{OLD}\"]");
    let lab = office.lab(&trunk, "").await;
    both_are_known(&lab, OLD).await;
    let below = format!("fabrikam.{BASE}");
    // To Teams by the tenant's own name, out of Teams by the alias.
    calls_both_ways(&lab, FABRIKAM, OLD).await;
    let all = heard(&lab);
    let of = |method: Method| -> Vec<(&str, bool)> {
        let of_method = all.iter().filter(|heard| heard.method == method);
        of_method
            .map(|heard| (heard.trunk.as_str(), heard.is_covered()))
            .collect()
    };
    assert_eq!(of(Method::Invite), [(below.as_str(), true)]);
    assert_eq!(of(Method::Bye), [(below.as_str(), true), (OLD, true)]);
    assert_eq!(lab.teams.violations(), []);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_029_each_trunks_requests_go_under_the_certificate_that_bears_its_name() {
    let office = Office::new("own-trunk", &[OWN]);
    let lab = office.lab(&format!("fqdn = \"{OWN}\""), "").await;
    both_are_known(&lab, OWN).await;
    let below = format!("contoso.{BASE}");
    calls_both_ways(&lab, USER, &below).await;
    calls_both_ways(&lab, FABRIKAM, OWN).await;

    each_under_its_certificate(&lab, [BASE, OWN], [&below, OWN]);

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
