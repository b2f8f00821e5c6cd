//! A node that is well.

use super::papers::{Folder, Issuers, Leaf};
use crate::cli::doctor::files;
use crate::cli::doctor::rehearsal::{Rehearsal, Said};
use crate::cli::doctor::world::{
    Answered, CertificateSeen, ConnectionSeen, HubSeen, NodeSeen, Online, PastCall, PastLeg, PastMedia, PeerSeen, World,
};
use crate::config::fixture::machine;
use crate::config::{Config, Sbc};
use crate::net::tls::TrustRoots;
use crate::observe::unix_ms;
use crate::sip::Message;
use std::sync::{Arc, OnceLock};

pub const CARRIER: &str = r#"
[[carriers]]
id = "north"
networks = ["203.0.113.0/24"]
gateways = [{ host = "203.0.113.2" }]
"#;

pub const CONTOSO: &str = r#"
domains = ["contoso.example"]
label = "contoso"
carriers = ["north"]

[[numbers]]
range = "+4930555100-+4930555199"
"#;

const HUBS: [&str; 3] = [
    "sip.pstnhub.microsoft.com",
    "sip2.pstnhub.microsoft.com",
    "sip3.pstnhub.microsoft.com",
];

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    unix_ms() / 1_000
}

/// The configuration whose pair is in `folder`, where its peers have the roots in `root.pem`.
pub fn config(folder: &Folder) -> Arc<Config> {
    let place = |name: &str| folder.path(name).display().to_string();
    let sbc = machine(CARRIER)
        .replace("\"sbc.pem\"", &format!("{:?}", place("sbc.pem")))
        .replace("\"sbc.key\"", &format!("{:?}", place("sbc.key")))
        .replace(
            "base = \"sbc1.example.net\"",
            &format!("base = \"sbc1.example.net\"\nroots = {:?}", place("root.pem")),
        );
    let config = Config::from_toml_strs(&sbc, &[("contoso", CONTOSO)]);
    Arc::new(config.unwrap_or_else(|wrong| panic!("{wrong}")))
}

/// What files tell where the pair in `folder` is as given.
pub fn gathered(issuers: &Issuers, pair: &crate::net::tls::authority::PemPair) -> World {
    let folder = Folder::new();
    issuers.write_root(&folder.path("root.pem"));
    folder.put(pair);
    let world = files::gather(config(&folder), i64::try_from(now()).expect("now"));
    with_the_rest(world)
}

/// Made once: keys cost time.
pub fn world() -> World {
    static WORLD: OnceLock<World> = OnceLock::new();
    let make = || {
        let issuers = Issuers::new(now());
        gathered(&issuers, &issuers.leaf(&Leaf::default()))
    };
    WORLD.get_or_init(make).clone()
}

/// What else is known of a node that is well.
fn with_the_rest(mut world: World) -> World {
    world.trust.roots = Ok(TrustRoots::teams().expect("the roots").fingerprints());
    world.records = Ok(vec![call("a"), call("b"), call("c")]);
    let hub = |name: &str| HubSeen {
        peer: name.to_owned(),
        addresses: Ok(vec!["52.114.75.24".parse().expect("an address")]),
        connected: Ok("TLSv1_2".to_owned()),
        answer: Ok(Answered {
            status: 200,
            ..Answered::default()
        }),
    };
    let peer = |name: &str| PeerSeen {
        peer: name.to_owned(),
        up: true,
        answered_seconds_ago: Some(20),
        heard_seconds_ago: Some(30),
        ..PeerSeen::default()
    };
    let shown = world.usable().map(|(path, certificate)| CertificateSeen {
        listener: "teams".to_owned(),
        name: path.to_owned(),
        serial: certificate.serial.clone(),
        not_after: "2027-01-01T00:00:00.000Z".to_owned(),
    });
    let node = NodeSeen {
        up_seconds: 3_600,
        peers: HUBS.iter().copied().chain(["north/203.0.113.2"]).map(peer).collect(),
        connections: vec![ConnectionSeen {
            listener: "teams".to_owned(),
            remote: "52.114.75.24:5061".to_owned(),
            opener: "us".to_owned(),
            open_seconds: 600,
            ..ConnectionSeen::default()
        }],
        certificates: shown.collect(),
        heard_elsewhere_seconds_ago: None,
    };
    let own = world
        .trunks()
        .into_iter()
        .map(|name| (name.to_owned(), Ok(vec![world.config.sbc.media.address.advertise])));
    world.online = Some(Online {
        own_names: own.collect(),
        names_left: 0,
        hubs: HUBS.map(hub).into(),
        test_name: Some(hub("sip.g1.pstnhub.microsoft.com")),
        listener: Ok(()),
        node: Ok(node),
    });
    world
}

/// A call to a Teams user that was answered and ended well after a minute.
pub fn call(id: &str) -> PastCall {
    let media = || {
        Some(PastMedia {
            received_packets: 3_000,
            sent_packets: 3_000,
            ..PastMedia::default()
        })
    };
    let leg = |side: &str, peer: Option<&str>| PastLeg {
        side: side.to_owned(),
        peer: peer.map(str::to_owned),
        status: Some(200),
        media: media(),
        ..PastLeg::default()
    };
    PastCall {
        call: id.to_owned(),
        direction: "carrier_to_teams".to_owned(),
        tenant: "contoso".to_owned(),
        carrier: Some("north".to_owned()),
        from: "+12065550123".to_owned(),
        to: "+4930555100".to_owned(),
        ringing_after_ms: Some(800),
        talked_ms: 61_000,
        status: 200,
        cause: "hung_up".to_owned(),
        ended_by: "caller".to_owned(),
        legs: vec![leg("carrier", None), leg("teams", Some(HUBS[0]))],
        ..PastCall::default()
    }
}

/// A call that Teams refused.
pub fn refused(id: &str, status: u16, phrase: &str, class: &str) -> PastCall {
    let mut call = call(id);
    (call.status, call.talked_ms, call.cause) = (status, 0, "refused".to_owned());
    call.legs[1] = PastLeg {
        side: "teams".to_owned(),
        peer: Some(HUBS[0].to_owned()),
        status: Some(status),
        reason_phrase: Some(phrase.to_owned()),
        cause_class: Some(class.to_owned()),
        ..PastLeg::default()
    };
    call
}

/// A call out of Teams that the carrier refused; `class`: of our answer to Teams, as older records have it.
pub fn refused_by_carrier(id: &str, status: u16, class: &str) -> PastCall {
    let mut call = refused(id, status, "", class);
    call.direction = "teams_to_carrier".to_owned();
    (call.legs[1].peer, call.legs[1].reason_phrase) = (None, None);
    call.legs.swap(0, 1);
    call.legs[1] = PastLeg {
        side: "carrier".to_owned(),
        peer: Some("north/203.0.113.2".to_owned()),
        status: Some(status),
        ..PastLeg::default()
    };
    call
}

/// The machine's part of the configuration, to be made wrong where no file could.
pub fn sbc(world: &mut World) -> &mut Sbc {
    Arc::make_mut(&mut Arc::make_mut(&mut world.config).sbc)
}

/// Rewrites our messages in one rehearsal where `is_meant`.
pub fn rewrite(rehearsal: &mut Result<Rehearsal, String>, is_meant: impl Fn(&Said) -> bool, from: &str, to: &str) {
    let rehearsal = rehearsal.as_mut().expect("a rehearsal");
    let mut changed = 0;
    for said in rehearsal.said.iter_mut().filter(|said| is_meant(said)) {
        let text = String::from_utf8(said.message.as_bytes().to_vec()).expect("text");
        let new = text.replace(from, to);
        if new == text {
            continue;
        }
        // The length of the body has changed with it.
        let (head, body) = new.split_once("\r\n\r\n").expect("a head");
        let head: Vec<&str> = head
            .split("\r\n")
            .filter(|line| !line.starts_with("Content-Length"))
            .collect();
        let new = format!("{}\r\nContent-Length: {}\r\n\r\n{body}", head.join("\r\n"), body.len());
        said.message = Message::parse(new.into_bytes().into()).expect("a message");
        changed += 1;
    }
    assert!(changed > 0, "{from} stands in no message");
}
