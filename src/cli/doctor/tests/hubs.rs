//! The network for real: simulated hubs on loopback that are right, silent, strangers, or gone.

use super::papers::Folder;
use super::{complaints, said};
use crate::cli::doctor::world::{Answered, HubSeen, World};
use crate::cli::doctor::{files, online};
use crate::config::Config;
use crate::observe::unix_ms;
use crate::sim::{Manner, Papers, Showing, TeamsSettings, TeamsSim};
use crate::sip::HeaderName;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const HUB: &str = "sip.pstnhub.microsoft.com";
const TEST_NAME: &str = "sip.g1.pstnhub.microsoft.com";

fn simulated(papers: &Papers, roots: &Path) -> TeamsSim {
    simulated_at(SocketAddr::from(([127, 0, 0, 1], 0)), HUB, papers, roots)
}

fn simulated_at(listen: SocketAddr, hub: &str, papers: &Papers, roots: &Path) -> TeamsSim {
    let settings = TeamsSettings {
        listen,
        sbc: None,
        trunk: "sbc1.example.net".to_owned(),
        hub: hub.to_owned(),
        certificate: papers.teams_certificate.clone(),
        key: papers.teams_key.clone(),
        roots: roots.to_owned(),
        tone: 440.0,
        bypass: false,
        strict: false,
        idle: None,
        showing: Showing::Sound,
    };
    TeamsSim::start(settings).expect("a hub")
}

fn papers(folder: &Folder, name: &str, base: &str) -> Papers {
    let path = folder.path(name);
    std::fs::create_dir_all(&path).expect("a folder");
    Papers::make(&path, base, &[HUB, TEST_NAME]).expect("papers")
}

/// A node whose hub is at this port, with its certificate and roots.
fn config(papers: &Papers, roots: &Path, port: u16) -> Arc<Config> {
    with_hosts(papers, roots, port, "")
}

/// The same where name servers know these hosts, too.
fn with_hosts(papers: &Papers, roots: &Path, port: u16, more: &str) -> Arc<Config> {
    let (certificate, key) = (&papers.sbc_certificate, &papers.sbc_key);
    let sbc = format!(
        "[[listeners]]\nname = \"teams\"\npurpose = \"teams\"\ntransport = \"tls\"\nbind = \"127.0.0.7:1\"\n\
         certificates = [{{ certificate = {certificate:?}, key = {key:?} }}]\n\
         [media]\nbind = \"127.0.0.1\"\nallow_loopback = true\n\
         [teams]\nbase = \"sbc1.example.net\"\nhubs = [\"{HUB}:{port}\"]\nroots = {roots:?}\nnetworks = [\"127.0.0.0/8\"]\n\
         options_timeout = \"500ms\"\n\
         [admin]\nbind = \"127.0.0.1:2\"\n\
         [dns]\nhosts = {{ \"{HUB}\" = [\"127.0.0.1\"], \"sbc1.example.net\" = [\"127.0.0.1\"]{more} }}\n"
    );
    let config = Config::from_toml_strs(&sbc, &[]);
    Arc::new(config.unwrap_or_else(|wrong| panic!("{wrong}")))
}

async fn looked_at(config: Arc<Config>) -> World {
    let now = i64::try_from(unix_ms() / 1_000).expect("now");
    let mut world = files::gather(config.clone(), now);
    let names = world.trunks().into_iter().map(str::to_owned).collect();
    let online = online::gather(&config, names, Duration::from_secs(20))
        .await
        .expect("in time");
    world.online = Some(online);
    world
}

fn of_hubs(world: &World) -> Vec<String> {
    let mut found = complaints(world);
    // Nobody runs the node itself here, and whether a chain leads to a root is tried with files.
    found.retain(|id| !matches!(id.as_str(), "net.listener" | "tls.root" | "tls.chain"));
    found
}

fn seen(world: &World) -> &HubSeen {
    &world.online.as_ref().expect("online").hubs[0]
}

#[tokio::test]
async fn hubs_are_asked_and_each_kind_of_silence_has_its_id() {
    let folder = Folder::new();
    let ours = papers(&folder, "ours", "sbc1.example.net");
    let hub = simulated(&ours, &ours.root);
    let port = hub.address().port();

    let world = looked_at(config(&ours, &ours.root, port)).await;
    assert_eq!(of_hubs(&world), Vec::<String>::new());
    assert!(
        matches!(
            &seen(&world).answer,
            Ok(Answered {
                status: 200,
                server: Some(_),
                ..
            })
        ),
        "{:?}",
        seen(&world)
    );
    assert_eq!(hub.violations(), [], "doctor's own OPTIONS keep the rules");
    let asked = hub.transcript();
    let via = asked.iter().find_map(|message| message.header(HeaderName::Via));
    assert!(
        via.is_some_and(|via| via.contains("127.0.0.7:")),
        "from where the node connects: {via:?}"
    );
    assert!(
        complaints(&world).contains(&"net.listener".to_owned()),
        "nobody listens at port 1"
    );

    hub.set_manner(Manner::Stalled);
    let world = looked_at(config(&ours, &ours.root, port)).await;
    assert_eq!(of_hubs(&world), ["options.answer"]);
    assert!(said(&world, "options.answer").contains("answers no OPTIONS"), "silence");

    hub.set_manner(Manner::Unavailable { retry_after: 1 });
    let world = looked_at(config(&ours, &ours.root, port)).await;
    assert_eq!(of_hubs(&world), ["options.answer"]);
    assert!(
        said(&world, "options.answer").contains("DrainingTransactions"),
        "the hub's own words"
    );
    hub.set_manner(Manner::Normal);

    // Its certificate is of nobody whom we know.
    let strangers = papers(&folder, "strangers", "sbc1.example.net");
    let world = looked_at(config(&ours, &strangers.root, port)).await;
    assert_eq!(of_hubs(&world), ["tls.hub"]);
    assert!(said(&world, "tls.hub").contains("we do not believe"), "our objection");

    // Ours is of nobody whom it knows.
    let foreign = config(&strangers, &ours.root, port);
    let world = looked_at(foreign).await;
    assert_eq!(of_hubs(&world), ["tls.hub"]);
    assert!(
        said(&world, "tls.hub").contains("does not like our certificate"),
        "{:?}",
        seen(&world)
    );

    // Ours is for another name.
    hub.shut_down().await;
    let other = papers(&folder, "other", "sbc9.example.org");
    let hub = simulated(&other, &other.root);
    let world = looked_at(config(&other, &other.root, hub.address().port())).await;
    assert_eq!(
        of_hubs(&world),
        ["tls.names", "options.answer", "sip-lint.options.trunk"]
    );
    assert!(
        said(&world, "options.answer").contains("Provided Trunk FQDN"),
        "{:?}",
        seen(&world)
    );
    let port = hub.address().port();
    hub.shut_down().await;

    let world = looked_at(config(&ours, &ours.root, port)).await;
    assert_eq!(of_hubs(&world), ["net.hubs"]);
}

#[tokio::test]
async fn a_hub_that_takes_tcp_and_lets_tls_hang_is_reached_and_fails_the_handshake() {
    let folder = Folder::new();
    let ours = papers(&folder, "ours", "sbc1.example.net");
    // What nobody accepts is connected all the same.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = mute.local_addr().expect("its address").port();
    let world = looked_at(config(&ours, &ours.root, port)).await;
    assert_eq!(of_hubs(&world), ["tls.hub"]);
    let told = said(&world, "tls.hub");
    assert!(
        told.contains("lets the TLS handshake hang")
            && told.contains("not done within 5000 ms")
            && told.contains("MTU"),
        "{told}"
    );
}

#[tokio::test]
async fn the_test_name_is_asked_by_options_and_what_it_refuses_is_a_warning() {
    let folder = Folder::new();
    let ours = papers(&folder, "ours", "sbc1.example.net");
    let hub = simulated(&ours, &ours.root);
    let port = hub.address().port();
    // Its port is the usual one, so it has an address of its own.
    let [.., second, first] = std::process::id().to_be_bytes();
    let address = SocketAddr::from(([127, 91, second, first], 5_061));
    let pinned = format!(", \"{TEST_NAME}\" = [\"{}\"]", address.ip());
    let config = |papers: &Papers| with_hosts(papers, &ours.root, port, &pinned);

    let of_test_name = |world: &World| world.online.as_ref().expect("online").test_name.clone();
    let unasked = looked_at(with_hosts(&ours, &ours.root, port, "")).await;
    assert!(of_test_name(&unasked).is_none(), "hubs are simulated, and it is not");

    let next = simulated_at(address, TEST_NAME, &ours, &ours.root);
    let world = looked_at(config(&ours)).await;
    assert_eq!(of_hubs(&world), Vec::<String>::new());
    let answer = of_test_name(&world).expect("asked").answer;
    assert!(answer.is_ok_and(|answer| answer.status == 200));
    assert_eq!(next.violations(), [], "doctor's own OPTIONS keep the rules");
    next.set_manner(Manner::Stalled);
    let world = looked_at(config(&ours)).await;
    assert_eq!(of_hubs(&world), Vec::<String>::new());
    assert!(said(&world, "tls.test-name").contains("answers no OPTIONS"));
    next.shut_down().await;

    // A root that it does not know of us, and one that we do not know of it: the hubs themselves are well.
    let strangers = papers(&folder, "strangers", "sbc1.example.net");
    let next = simulated_at(address, TEST_NAME, &ours, &strangers.root);
    let world = looked_at(config(&ours)).await;
    assert_eq!(of_hubs(&world), ["tls.test-name"]);
    assert!(said(&world, "tls.test-name").contains("does not like our certificate"));
    next.shut_down().await;
    let next = simulated_at(address, TEST_NAME, &strangers, &ours.root);
    let world = looked_at(config(&ours)).await;
    assert_eq!(of_hubs(&world), ["tls.test-name"]);
    assert!(said(&world, "tls.test-name").contains("that we do not believe"));
    next.shut_down().await;

    let world = looked_at(config(&ours)).await;
    assert_eq!(of_hubs(&world), Vec::<String>::new());
    assert!(said(&world, "tls.test-name").contains("is not reached"));
}
