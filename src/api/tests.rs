//! A node on addresses of its own, asked over real HTTP.

use super::*;
use crate::call::{
    CallFacts, CallId, CallRecord, Cause, Direction, Event, LiveCall, Talker, TransferKind, TransferStatus,
};
use crate::cli::run::{Running, start};
use crate::config::{Cdr, Config, Reload};
use crate::dial::PeerName;
use crate::guard::Fault;
use crate::net::tls::authority::{Authority, LeafRequest, LeafUsage};
use crate::observe::{Happening, LadderLine, Observation, Observer, Way, unix_ms};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

const BOUND: Duration = Duration::from_secs(20);

/// A node and its admin listener.
struct Lab {
    folder: PathBuf,
    running: Running,
    observer: Arc<dyn Observer>,
    admin: HttpServer,
}

impl Lab {
    async fn open() -> Lab {
        let unique: u32 = rand::random();
        let [_, b, c, _] = unique.to_be_bytes();
        let address = format!("127.{}.{c}.77", 16 + b % 200);
        let folder = std::env::temp_dir().join(format!("portcullis-api-{unique:08x}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let now = unix_ms() / 1_000;
        // Three days: soon enough for health to say so.
        let (not_before, not_after) = (now - 60, now + 3 * 86_400);
        let authority = Authority::new("test", not_before, not_after).expect("a CA");
        let request = LeafRequest {
            dns_names: vec!["sbc1.example.net".into(), "*.sbc1.example.net".into()],
            addresses: Vec::new(),
            usage: LeafUsage::ServerAndClient,
            not_before,
            not_after,
        };
        let (certificate, key) = (folder.join("leaf.pem"), folder.join("leaf.key"));
        authority
            .leaf(&request)
            .and_then(|leaf| leaf.write(&certificate, &key))
            .expect("a leaf");
        let sbc = format!(
            "[[listeners]]\nname = \"teams\"\npurpose = \"teams\"\ntransport = \"tls\"\nbind = \"{address}:5061\"\n\
             certificates = [{{ certificate = {certificate:?}, key = {key:?} }}]\n\
             [[listeners]]\nname = \"carriers\"\npurpose = \"carrier\"\ntransport = \"udp\"\nbind = \"{address}:5060\"\n\
             advertise = \"{address}\"\n\
             [media]\nbind = \"{address}\"\nadvertise = \"{address}\"\nallow_loopback = true\n\
             [teams]\nbase = \"sbc1.example.net\"\nhubs = [\"sip.pstnhub.example.com\"]\n\
             [[carriers]]\nid = \"north\"\nnetworks = [\"192.0.2.0/24\"]\n\
             gateways = [{{ host = \"192.0.2.1\", transport = \"udp\" }}, {{ host = \"192.0.2.2\", transport = \"udp\" }}]\n\
             options_interval = \"0s\"\n\
             [emergency]\nnumbers = [\"911\"]\n[log]\nredact_numbers = true\n"
        );
        let tenant = "domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n\
                      [[numbers]]\nnumber = \"+14255550100\"\nto = \"teams\"\n";
        let config =
            Config::from_toml_strs(&sbc, &[("contoso", tenant)]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let observation = Arc::new(Observation::without_logging(&config).expect("observation"));
        let observer = observation.observer(&config);
        let running = start(Arc::new(config), observer.clone()).await.expect("a node");
        let certificates = running.papers.certificates().to_vec();
        let state = AdminState::new(
            running.node.clone(),
            running.signalling.clone(),
            certificates,
            observation,
        );
        let admin = serve(([127, 0, 0, 1], 0).into(), Arc::new(state))
            .await
            .expect("the admin listener");
        Lab {
            folder,
            running,
            observer,
            admin,
        }
    }

    /// Tells of a call that was cleared.
    fn end_a_call(&self) {
        let (id, _events) = self.call();
        let live = self.running.node.calls.list().remove(0);
        let cause = Cause::Cleared {
            detail: "by this test".into(),
        };
        let record = CallRecord {
            call: id.to_string(),
            facts: CallFacts::clone(&live.facts),
            ringing_after_ms: None,
            answered_after_ms: None,
            ended_after_ms: 1,
            status: cause.status(),
            cause_text: cause.explain(),
            ended_by: cause.ended_by(),
            cause,
            application: None,
            legs: Vec::new(),
        };
        self.observer.happened(&Happening::CallOver { record: &record });
        self.running.node.calls.remove(id);
    }

    /// A live call whose events come to the receiver.
    fn call(&self) -> (CallId, mpsc::Receiver<Box<Event>>) {
        let (mailbox, events) = mpsc::channel(4);
        let id = CallId::from_random(rand::random());
        let facts = CallFacts {
            direction: Direction::CarrierToTeams,
            tenant: "contoso".into(),
            carrier: Some("north".into()),
            from: "+441632960001".into(),
            to: "+14255550100".into(),
            emergency: false,
            elin: None,
            began_unix_ms: unix_ms(),
            trace: Vec::new(),
        };
        let now = self.running.node.clock.now();
        assert!(self.running.node.calls.add(LiveCall::new(id, now, facts, mailbox)));
        (id, events)
    }

    async fn ask(&self, method: &str, path: &str) -> (u16, String) {
        ask(self.admin.address(), method, path, "localhost").await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.ask("GET", path).await;
        (
            status,
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")),
        )
    }

    async fn close(self) {
        self.admin.shut_down(BOUND).await;
        self.running.shut_down().await;
        std::fs::remove_dir_all(&self.folder).expect("clean up");
    }
}

/// One request on a connection of its own: status and body.
async fn ask(to: SocketAddr, method: &str, path: &str, host: &str) -> (u16, String) {
    let asked = async {
        let mut stream = TcpStream::connect(to).await.expect("a connection");
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), body.to_owned())
    };
    timeout(BOUND, asked).await.expect("in time")
}

#[tokio::test]
async fn health_readiness_metrics_and_status_are_served() {
    let lab = Lab::open().await;
    let (status, health) = lab.get("/healthz").await;
    assert_eq!((status, &health["status"]), (200, &"degraded".into()));
    let reason = health["reasons"][0].as_str().expect("a reason");
    assert!(reason.contains("leaf.pem of listener teams ends"), "{health}");
    assert_eq!(lab.get("/readyz").await, (200, serde_json::json!({ "ready": true })));
    let (_, config) = lab.get("/v1/config").await;
    assert_eq!(
        (&config["generation"], &config["last"]["outcome"]),
        (&1.into(), &"applied".into())
    );
    let outcome = Reload::Applied {
        config: lab.running.node.config.load_full(),
        changed: Vec::new(),
        waiting: vec!["listeners"],
        took: Duration::ZERO,
    };
    lab.observer.happened(&Happening::Reloaded { outcome: &outcome });
    let (_, config) = lab.get("/v1/config").await;
    assert_eq!(config["last"]["waiting"], serde_json::json!(["listeners"]));
    assert_eq!(lab.get("/v1/connections").await.0, 200);
    assert_eq!(lab.get("/v1/peers").await.0, 200);
    assert_eq!(lab.get("/v1/certificates").await.0, 200);
    assert_eq!(lab.get("/v1/registrations?user=alice").await.1["count"], 0);
    assert_eq!(lab.get("/nothing").await.0, 404);
    let (_, metrics) = lab.ask("GET", "/metrics").await;
    for line in [
        "portcullis_calls_live{direction=\"carrier_to_teams\",tenant=\"contoso\"} 0",
        "portcullis_config_last_reload_ok 1",
        "portcullis_draining 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
    let bind = lab.running.node.config.load().sbc.media.address.bind;
    let ports = format!("portcullis_media_ports_in_use{{address=\"{bind}\"}} 0");
    assert!(metrics.contains(&ports), "{ports} in\n{metrics}");
    for family in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = family.split(' ').next().unwrap_or_default();
        assert!(is_documented(name), "{name} is not in docs/metrics.md");
    }
    lab.running.node.drain();
    let (status, readiness) = lab.get("/readyz").await;
    assert_eq!((status, &readiness["ready"]), (503, &false.into()));
    lab.close().await;
}

/// Whether a line of the page names the metric: in full, by another ending than the line's first one (`_dropped_total`), or
/// with the others that begin and end like it (`portcullis_net_…_total`).
fn is_documented(name: &str) -> bool {
    let page = include_str!("../../docs/metrics.md");
    page.lines().any(|line| {
        let words: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        let begins_alike = |ending: &str| {
            let stem = name.strip_suffix(ending);
            stem.is_some_and(|stem| words.first().is_some_and(|first| first.starts_with(stem)))
        };
        words.iter().any(|word| match word.split_once('…') {
            Some((begin, end)) => name.starts_with(begin) && name.ends_with(end),
            None => *word == name || (word.starts_with('_') && begins_alike(word)),
        })
    })
}

#[tokio::test]
async fn a_node_that_has_lost_a_part_takes_no_calls() {
    let lab = Lab::open().await;
    lab.running.signalling.keep("a part of this test", async {});
    assert_eq!(lab.running.signalling.losing().await, "a part of this test");
    let (status, readiness) = lab.get("/readyz").await;
    assert_eq!(
        (status, &readiness["reason"]),
        (503, &"a part of this test has ended".into())
    );
    let (_, health) = lab.get("/healthz").await;
    assert_eq!(health["reasons"][0], "a part of this test has ended: the node stops");
    lab.close().await;
}

/// `/dev/full` refuses every write as a full disk does.
#[tokio::test]
async fn records_that_are_lost_are_a_word_of_health_until_they_are_written_again() {
    let lab = Lab::open().await;
    let config = lab.running.node.config.load_full();
    let keep_in = |path: PathBuf| {
        let mut config = (*config).clone();
        let sbc = Arc::make_mut(&mut config.sbc);
        sbc.cdr = Some(Cdr {
            path,
            rotate_size: 1 << 20,
            rotate_after: BOUND,
            keep: None,
        });
        lab.observer.happened(&Happening::Reloaded {
            outcome: &Reload::Applied {
                config: Arc::new(config),
                changed: Vec::new(),
                waiting: Vec::new(),
                took: Duration::ZERO,
            },
        });
    };
    let said = async || {
        lab.get("/healthz").await.1["reasons"]
            .to_string()
            .contains("records are being lost, 1 so far")
    };
    keep_in("/dev/full".into());
    lab.end_a_call();
    timeout(BOUND, async { while !said().await {} }).await.expect("said");
    keep_in(lab.folder.join("cdr.jsonl"));
    lab.end_a_call();
    timeout(BOUND, async { while said().await {} })
        .await
        .expect("forgotten");
    lab.close().await;
}

#[tokio::test]
async fn mistakes_of_a_refused_configuration_are_shown_with_masked_numbers() {
    let lab = Lab::open().await;
    let wrong = "domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n\
                 [[numbers]]\nnumber = \"+14255550100 \"\n";
    let mistakes = Config::from_toml_strs(include_str!("../../config/sbc.toml"), &[("contoso", wrong)])
        .map(|_| ())
        .expect_err("no number");
    assert!(mistakes.to_string().contains("+14255550100"), "{mistakes}");
    let outcome = Reload::Refused {
        mistakes,
        changed: vec!["tenants/contoso.toml".into()],
        took: Duration::ZERO,
    };
    lab.observer.happened(&Happening::Reloaded { outcome: &outcome });
    let (_, config) = lab.get("/v1/config").await;
    assert_eq!(config["last"]["outcome"], "refused");
    assert_eq!(config["last"]["files"], serde_json::json!(["tenants/contoso.toml"]));
    let shown = config.to_string();
    assert!(shown.contains("+*********00") && !shown.contains("5550100"), "{shown}");
    lab.close().await;
}

#[tokio::test]
async fn a_live_call_is_shown_with_masked_numbers_and_can_be_ended() {
    let lab = Lab::open().await;
    assert_eq!(lab.ask("PUT", "/v1/ladders?on=true").await.0, 200);
    let (id, mut events) = lab.call();
    lab.observer.happened(&Happening::Message(LadderLine {
        at: lab.running.node.clock.now(),
        call: id,
        leg: 0,
        way: Way::In,
        what: "INVITE",
        method: "INVITE",
        reason: None,
        has_sdp: true,
    }));
    let (_, list) = lab.get("/v1/calls?tenant=contoso").await;
    assert_eq!(
        (&list["count"], &list["calls"][0]["id"]),
        (&1.into(), &id.to_string().into())
    );
    assert_eq!(list["calls"][0]["from"], "+**********01");
    assert_eq!(list["calls"][0]["talkers"], json!([]));
    let talker = |party: &str| Talker {
        side: "teams",
        name: "contoso.sbc1.example.net".into(),
        through: Some("sip.pstnhub.example.com".into()),
        party: party.into(),
        since: Some(lab.running.node.clock.now()),
        holds: party.starts_with('+'),
    };
    let talkers = ["+14255550100", "sip:+14255550100@hub.example.com;x-m=8:orgid:9f9d51bc"].map(talker);
    let live = lab.running.node.calls.list().remove(0);
    live.status.lock().unwrap().talkers = talkers.to_vec();
    assert_eq!(list["calls"][0]["transfer"], json!(null));
    live.status.lock().unwrap().transfer = Some(TransferStatus {
        kind: TransferKind::Referred,
        leaves: "teams contoso.sbc1.example.net".into(),
        stays: "carrier north".into(),
        refer_to: Some("sip:+14255550101@hub.example.com;x-m=8".into()),
        status: Some(180),
    });
    let (_, list) = lab.get("/v1/calls").await;
    let shown = &list["calls"][0]["talkers"];
    assert_eq!(
        shown[0],
        json!({"side": "teams", "name": "contoso.sbc1.example.net", "through": "sip.pstnhub.example.com",
            "party": "+*********00", "seconds": 0, "holds": true})
    );
    assert_eq!(
        list["calls"][0]["transfer"],
        json!({"kind": "referred", "leaves": "teams contoso.sbc1.example.net", "stays": "carrier north",
            "refer_to": "sip:+*********01@hub.example.com;x-m=8", "status": 180})
    );
    assert_eq!(shown[1]["holds"], false);
    assert_eq!(
        shown[1]["party"],
        "sip:+*********00@hub.example.com;x-m=8:orgid:9f9d51bc"
    );
    assert_eq!(lab.get("/v1/calls?tenant=fabrikam").await.1["count"], 0);
    let (_, call) = lab.get(&format!("/v1/calls/{id}")).await;
    assert_eq!(
        (&call["phase"], &call["ladder"][0]["what"]),
        (&"opening".into(), &"INVITE".into())
    );
    assert_eq!(lab.ask("DELETE", &format!("/v1/calls/{id}")).await.0, 202);
    let event = timeout(BOUND, events.recv()).await.expect("in time").expect("an event");
    assert!(matches!(*event, Event::Clear { .. }), "{event:?}");
    assert_eq!(lab.ask("DELETE", "/v1/calls/0000000000").await.0, 404);
    lab.running.node.calls.remove(id);
    lab.close().await;
}

/// OPTIONS would tell in a minute. The node stays ready: other carriers' calls find their hubs and gateways.
#[tokio::test]
async fn health_follows_what_calls_find_of_hubs_and_gateways() {
    let lab = Lab::open().await;
    let node = &lab.running.node;
    let config = node.config.load_full();
    let hubs: Vec<PeerName> = config.sbc.teams.hubs.iter().map(crate::teams::hub_name).collect();
    let north = &config.sbc.carriers[0];
    let names = north.gateways.iter();
    let gateways: Vec<PeerName> = names
        .map(|gateway| crate::carrier::gateway_name(north, gateway))
        .collect();
    assert_eq!((hubs.len(), gateways.len()), (1, 2));
    let fault = Fault {
        span: Duration::from_secs(30),
        told: false,
        why: "no response in time".into(),
    };
    let now = node.clock.now();
    for (peers, start) in [
        (hubs, "no hub of Teams answers; "),
        (gateways, "no gateway of carrier north answers; north/"),
    ] {
        let said = || async {
            let (_, health) = lab.get("/healthz").await;
            let reasons = health["reasons"].as_array().expect("reasons").clone();
            let mut texts = reasons
                .into_iter()
                .filter_map(|reason| reason.as_str().map(str::to_owned));
            texts.find(|reason| reason.starts_with(start))
        };
        for peer in &peers {
            node.peers.update(peer, |known| {
                known.sent(now);
                known.answered(200, None, 3, now);
            });
        }
        assert_eq!(said().await, None);
        for peer in &peers {
            assert_eq!(said().await, None, "one is left");
            node.peers.update(peer, |known| known.call_failed(&fault, now));
        }
        let why = said().await.expect("a reason");
        assert!(
            why.ends_with(": a call through it failed: no response in time"),
            "{why}"
        );
        assert_eq!(lab.get("/readyz").await.0, 200);
        node.peers.takes_calls(&peers[0], None);
        assert_eq!(said().await, None);
    }
    lab.close().await;
}

#[tokio::test]
async fn every_error_is_json_that_says_what_is_wrong() {
    let lab = Lab::open().await;
    for (method, path, status, says) in [
        ("PUT", "/v1/ladders?on=maybe", 400, "`true` or `false`"),
        ("PUT", "/v1/ladders", 400, "on"),
        ("GET", "/v1/calls?tenant=a&tenant=b", 400, "tenant"),
        ("GET", "/v1/registrations?user=a&user=b", 400, "user"),
        ("GET", "/v1/calls/%ff", 400, "UTF-8"),
        ("GET", "/v1/ladders/%ff", 400, "UTF-8"),
        ("POST", "/v1/calls", 405, "POST"),
        ("DELETE", "/healthz", 405, "DELETE"),
        ("GET", "/v2", 404, "/v1/calls"),
    ] {
        let (got, body) = lab.ask(method, path).await;
        let body: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{method} {path}: {body:?}"));
        let told = body["error"].as_str().unwrap_or_default();
        assert!(got == status && told.contains(says), "{method} {path}: {got} {body}");
    }
    lab.close().await;
}

#[tokio::test]
async fn the_ladder_of_a_call_that_is_over_is_shown_with_its_reason_and_masked_numbers() {
    let lab = Lab::open().await;
    let call = CallId::from_random(rand::random());
    let path = format!("/v1/ladders/{call}");
    let off = lab.get(&path).await;
    assert_eq!((off.0, &off.1["error"]), (404, &"ladders are off".into()));
    assert_eq!(lab.ask("PUT", "/v1/ladders?on=true").await.0, 200);
    assert_eq!(lab.get(&path).await.0, 404);
    lab.observer.happened(&Happening::Message(LadderLine {
        at: lab.running.node.clock.now(),
        call,
        leg: 1,
        way: Way::In,
        what: "403 Forbidden for +441632960001",
        method: "INVITE",
        reason: Some(
            "Q.850;cause=63;text=\"d8534b2e-49b7-41ed-aded-121264567890;No trunk config was found for +441632960001\"",
        ),
        has_sdp: false,
    }));
    assert_eq!(lab.get(&format!("/v1/calls/{call}")).await.0, 404, "it is no live call");
    let (status, shown) = lab.get(&path).await;
    assert_eq!(
        (status, &shown["over"], &shown["id"]),
        (200, &true.into(), &call.to_string().into())
    );
    let arrow = &shown["ladder"][0];
    assert_eq!(arrow["what"], "403 Forbidden for +**********01");
    assert_eq!(
        arrow["reason"],
        "Q.850;cause=63;text=\"d8534b2e-49b7-41ed-aded-121264567890;No trunk config was found for +**********01\""
    );
    lab.close().await;
}

#[tokio::test]
async fn a_browser_that_was_tricked_gets_nothing() {
    let lab = Lab::open().await;
    let to = lab.admin.address();
    assert_eq!(ask(to, "GET", "/v1/calls", "evil.example").await.0, 403);
    // What an absolute target says counts, whatever Host says (RFC 9112 §3.2.2).
    for (path, host, status) in [
        ("http://evil.example/v1/calls", "127.0.0.1", 403),
        ("http://127.0.0.1/v1/calls", "evil.example", 200),
        ("/v1/calls", "127.0.0.1\r\nHost: 127.0.0.1", 400),
        ("/v1/calls", "127.0.0.1\r\nHost: evil.example", 400),
    ] {
        assert_eq!(ask(to, "GET", path, host).await.0, status, "{path} {host}");
    }
    assert_eq!(ask(to, "GET", "/v1/calls", &to.to_string()).await.0, 200);
    lab.close().await;
}
