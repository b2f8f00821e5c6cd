//! A whole node between simulated peers: real configuration files, sockets, TLS, SRTP. Every lab has loopback addresses of its
//! own, so that tests run side by side on the usual ports.

use crate::records::Records;
use portcullis::cli::run::{Running, start};
use portcullis::config::Loader;
use portcullis::sim::{
    Call, CarrierSettings, CarrierSim, CarrierWire, DnsSim, Heard, Papers, Showing, TeamsSettings, TeamsSim,
};
use portcullis::sip::digest::Algorithm;
use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub const HUB: &str = "sip.pstnhub.example.com";
pub const HUB2: &str = "sip2.pstnhub.example.com";
/// A number of the tenant.
pub const USER: &str = "+14255550100";
/// A number of the tenant that goes straight to voicemail.
pub const VOICEMAIL: &str = "+14255550199";
/// Somebody on the telephone network.
pub const OUTSIDE: &str = "+441632960001";
/// Hz of what each side sends.
pub const TEAMS_TONE: f64 = 440.0;
pub const CARRIER_TONE: f64 = 620.0;
/// No wait of a test is longer.
pub const BOUND: Duration = Duration::from_secs(15);

/// What a lab is made of.
#[derive(Default)]
pub struct Plan {
    /// Further lines of `sbc.toml`, before the carriers: `CARRIER` in them is the carrier's address, `NODE` the node's. The first ones, up to a
    /// table of their own, are of `[dns.hosts]`.
    pub machine: String,
    /// Further keys of `[media]`, `ports` in place of the usual 200.
    pub media: String,
    /// Further keys of `[teams]`.
    pub teams: String,
    /// Teams speaks IPv6, its media too; the carrier stays with IPv4.
    pub teams_over_ipv6: bool,
    /// Further keys of the one carrier.
    pub carrier: String,
    /// Further lines of the tenant, before its numbers.
    pub tenant: String,
    /// Whether the second hub is there at all.
    pub second_hub: bool,
    /// The first hub shows a certificate of a root that nobody trusts.
    pub foreign_hub: bool,
    /// The second hub shows a certificate for its own name alone, of another root that is trusted.
    pub hub_of_its_own: bool,
    /// How long the hubs keep a connection on which nothing is said.
    pub idle: Option<Duration>,
    /// Listeners for users on port 5080, a store, and alice (`wonderland`, who has a number) and bob (`builder`, who may
    /// call users alone).
    pub users: bool,
    /// The trunk has media bypass, on both sides.
    pub bypass: bool,
    /// Further files of `certificates` on the Teams listener: certificate, key.
    pub certificates: Vec<[PathBuf; 2]>,
    /// PEM: further roots that both sides believe.
    pub roots: String,
    /// Further tenants: name of the file, its text.
    pub tenants: Vec<(&'static str, String)>,
    /// The hub's names are a name server's to say, for a second at a time.
    pub names_that_move: bool,
}

/// A running lab.
pub struct Lab {
    pub running: Running,
    pub teams: TeamsSim,
    pub teams2: Option<TeamsSim>,
    pub carrier: CarrierSim,
    /// Where names move.
    pub names: Option<DnsSim>,
    pub records: Arc<Records>,
    net: [u8; 2],
    pub folder: PathBuf,
    /// The file of roots that the node believes.
    pub roots: PathBuf,
    pub papers: Papers,
}

static LABS: AtomicU8 = AtomicU8::new(1);
/// The second number of 127.x.y.z for all labs of this process; the lock ends with it.
static NET: LazyLock<(u8, File)> = LazyLock::new(|| {
    let lock = |net: u8| {
        let path = std::env::temp_dir().join(format!("portcullis-net-{net}"));
        let file = File::options().create(true).append(true).open(path).ok()?;
        file.try_lock().is_ok().then_some((net, file))
    };
    let first = std::process::id() % 200;
    (0..200)
        .find_map(|more| lock(20 + ((first + more) % 200) as u8))
        .expect("a free net")
});

impl Lab {
    /// The usual lab.
    pub async fn start() -> Lab {
        Lab::with(Plan::default()).await
    }

    /// A lab by plan.
    pub async fn with(plan: Plan) -> Lab {
        let net = free_net();
        let folder = std::env::temp_dir().join(format!("portcullis-lab-{}-{}", std::process::id(), net[1]));
        std::fs::create_dir_all(folder.join("config/tenants")).unwrap();
        let papers = Papers::make(&folder, "sbc1.example.net", &[HUB, HUB2]).unwrap();
        let carrier = CarrierSim::start(CarrierSettings {
            listen: SocketAddr::new(host(net, 2).into(), 5060),
            sbc: Some(SocketAddr::new(host(net, 1).into(), 5060)),
            wire: CarrierWire::Udp,
            tone: CARRIER_TONE,
        })
        .unwrap();
        let other_papers = |name: &str, hubs: &[&str]| {
            let folder = folder.join(name);
            std::fs::create_dir_all(&folder).unwrap();
            Papers::make(&folder, "sbc1.example.net", hubs).unwrap()
        };
        let foreign = plan.foreign_hub.then(|| other_papers("foreign", &[HUB, HUB2]));
        let second = plan.hub_of_its_own.then(|| {
            let second = other_papers("second", &[HUB2]);
            let roots = [&papers.root, &second.root].map(|file| std::fs::read_to_string(file).unwrap());
            std::fs::write(&papers.root, roots.concat()).unwrap();
            second
        });
        if !plan.roots.is_empty() {
            let roots = std::fs::read_to_string(&papers.root).unwrap();
            std::fs::write(&papers.root, roots + &plan.roots).unwrap();
        }
        let over_ipv6 = plan.teams_over_ipv6.then(ipv6_sockets);
        let hub = |name: &str, last| {
            let usual = [1, last].map(|last| SocketAddr::new(host(net, last).into(), 5061));
            let [sbc, listen] = over_ipv6.unwrap_or(usual);
            let shown = if name == HUB { &foreign } else { &second };
            let shown = shown.as_ref().unwrap_or(&papers);
            TeamsSettings {
                listen,
                sbc: Some(sbc),
                trunk: "contoso.sbc1.example.net".into(),
                hub: name.into(),
                certificate: shown.teams_certificate.clone(),
                key: shown.teams_key.clone(),
                roots: papers.root.clone(),
                tone: TEAMS_TONE,
                bypass: plan.bypass,
                strict: true,
                idle: plan.idle,
                showing: Showing::Sound,
            }
        };
        let teams = TeamsSim::start(hub(HUB, 3)).unwrap();
        let teams2 = plan.second_hub.then(|| teams.start_beside(hub(HUB2, 4)).unwrap());
        let mut names = None;
        if plan.names_that_move {
            let server = DnsSim::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
            for name in teams.names() {
                server.lead(&name, Duration::from_secs(1), &[teams.address().ip()]);
            }
            names = Some(server);
        }
        let server = names.as_ref().map(DnsSim::address);
        write_configuration(
            &folder,
            net,
            &papers,
            &plan,
            (over_ipv6, server),
            (&teams, teams2.as_ref()),
        );
        let records = Arc::new(Records::default());
        let config = Loader::new(&folder.join("config"))
            .load()
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let running = start(config, records.clone()).await.unwrap();
        Lab {
            running,
            teams,
            teams2,
            carrier,
            names,
            records,
            net,
            folder,
            roots: papers.root.clone(),
            papers,
        }
    }

    /// The node's address.
    pub fn address(&self) -> Ipv4Addr {
        host(self.net, 1)
    }

    /// The hub at another address, with the same name.
    pub fn hub_elsewhere(&self) -> TeamsSim {
        let papers = &self.papers;
        let settings = TeamsSettings {
            listen: SocketAddr::new(host(self.net, 5).into(), 5061),
            sbc: Some(SocketAddr::new(self.address().into(), 5061)),
            trunk: "contoso.sbc1.example.net".into(),
            hub: HUB.into(),
            certificate: papers.teams_certificate.clone(),
            key: papers.teams_key.clone(),
            roots: papers.root.clone(),
            tone: TEAMS_TONE,
            bypass: false,
            strict: true,
            idle: None,
            showing: Showing::Sound,
        };
        self.teams.start_beside(settings).unwrap()
    }

    /// Stops the node and starts it anew from the same files.
    pub async fn restart(self) -> Lab {
        self.running.shut_down().await;
        let config = Loader::new(&self.folder.join("config"))
            .load()
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let running = start(config, self.records.clone()).await.unwrap();
        Lab { running, ..self }
    }

    /// Stops everything, and holds the peers' verdicts against the node: no rule of Teams broken, nothing of one side seen
    /// on the other.
    pub async fn close(self) {
        let mut violations = self.teams.violations();
        violations.extend(self.teams2.iter().flat_map(|hub| hub.violations()));
        violations.extend(self.carrier.violations());
        let names = [HUB, HUB2, "pstnhub", "x-i=", "x-c="].map(str::to_owned);
        violations.extend(self.carrier.leaks_of(&names));
        self.running.shut_down().await;
        let _removed = std::fs::remove_dir_all(&self.folder);
        assert!(
            violations.is_empty(),
            "{}",
            violations.iter().map(|v| format!("{v}\n")).collect::<String>()
        );
    }
}

/// What may be silent in a call that goes on.
const LONGEST_GAP: Duration = Duration::from_millis(300);

/// Each hears this tone, and goes on hearing it without a gap. What each had heard until then, from the last such look on.
///
/// A busy machine lets a task or a thread of media wait now and then: such a gap is nobody's, and the next look has none.
/// What is cut or lost has one in each.
pub async fn both_heard(one: (&Call, f64), other: (&Call, f64)) -> [Heard; 2] {
    let before = [one.0.hears(one.1).await.unwrap(), other.0.hears(other.1).await.unwrap()];
    let span = LONGEST_GAP * 2;
    for looks_left in (0..4).rev() {
        let (at_one, at_other) = tokio::join!(one.0.listen(span), other.0.listen(span));
        let all = [(at_one.unwrap(), one.1), (at_other.unwrap(), other.1)];
        if all
            .iter()
            .all(|(heard, tone)| heard.is_tone(*tone) && heard.longest_gap <= LONGEST_GAP)
        {
            break;
        }
        assert_ne!(looks_left, 0, "{all:?}");
    }
    before
}

/// The middle of 127.x.y.z, which nobody else has.
pub fn free_net() -> [u8; 2] {
    [NET.0, LABS.fetch_add(1, Relaxed)]
}

pub fn host(net: [u8; 2], last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, net[0], net[1], last)
}

/// Where the node listens for Teams, and the hub for the node: on `::1`, which all labs of all processes share.
fn ipv6_sockets() -> [SocketAddr; 2] {
    static LABS_OVER_IPV6: AtomicU8 = AtomicU8::new(0);
    let nth = u16::from(LABS_OVER_IPV6.fetch_add(1, Relaxed));
    let first = 10_000 + u16::from(NET.0) * 100 + nth * 2;
    [first, first + 1].map(|port| SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port))
}

fn listeners_for_users(sbc: Ipv4Addr) -> String {
    let listener = |transport: &str| {
        format!(
            "\n[[listeners]]\nname = \"users-{transport}\"\npurpose = \"users\"\ntransport = \"{transport}\"\n\
             bind = \"{sbc}:5080\"\n"
        )
    };
    ["udp", "tcp"].map(listener).concat()
}

fn users() -> String {
    let user = |name: &str, password: &str, more: &str| {
        let hash = Algorithm::Sha256.hashed_secret(name, "sip.contoso.example", password);
        format!("\n[[users]]\nname = \"{name}\"\nha1_sha256 = \"{hash}\"\n{more}\n")
    };
    let number = "+14255550150";
    [
        format!("\n[[numbers]]\nnumber = \"{number}\"\nto = {{ user = \"alice@sip.contoso.example\" }}\n"),
        user("alice", "wonderland", &format!("number = \"{number}\"")),
        user("bob", "builder", "may_call = [\"users\"]"),
    ]
    .concat()
}

fn write_configuration(
    folder: &Path,
    net: [u8; 2],
    papers: &Papers,
    plan: &Plan,
    (over_ipv6, names): (Option<[SocketAddr; 2]>, Option<SocketAddr>),
    (hub, hub2): (&TeamsSim, Option<&TeamsSim>),
) {
    let (sbc, carrier) = (host(net, 1), host(net, 2));
    let [hub, proxy] = hub.names();
    let usual = [1, 3].map(|last| SocketAddr::new(host(net, last).into(), 5061));
    let [teams_bind, hub_socket] = over_ipv6.unwrap_or(usual);
    let (teams_host, hub_port) = (hub_socket.ip(), hub_socket.port());
    let (teams_media, media_of_teams) = match over_ipv6 {
        Some(_) => (
            "media = \"six\"",
            "[[media.addresses]]\nname = \"six\"\nbind = \"::1\"\n",
        ),
        None => Default::default(),
    };
    let (name_server, first) = match names {
        Some(server) => (format!("[dns]\nservers = [\"{server}\"]"), String::new()),
        None => (
            String::new(),
            format!("\"{hub}\" = [\"{teams_host}\"]\n\"{proxy}\" = [\"{teams_host}\"]"),
        ),
    };
    let second: String = hub2
        .into_iter()
        .flat_map(TeamsSim::names)
        .map(|name| format!("\"{name}\" = [\"{}\"]\n", host(net, 4)))
        .collect();
    let hubs = match plan.second_hub {
        true => format!("[\"{HUB}:5061\", \"{HUB2}:5061\"]"),
        false => format!("[\"{HUB}:{hub_port}\"]"),
    };
    let (root, certificate, key) = (
        papers.root.display(),
        papers.sbc_certificate.display(),
        papers.sbc_key.display(),
    );
    let more = |[certificate, key]: &[PathBuf; 2]| {
        let (certificate, key) = (certificate.display(), key.display());
        format!(", {{ certificate = \"{certificate}\", key = \"{key}\" }}")
    };
    let certificates: String = plan.certificates.iter().map(more).collect();
    let (listeners, store, users) = match plan.users {
        true => (
            listeners_for_users(sbc),
            "[registrar]\nstore = \"bindings.redb\"\n",
            users(),
        ),
        false => Default::default(),
    };
    let realm = if plan.users {
        "realm = \"sip.contoso.example\""
    } else {
        ""
    };
    let Plan {
        machine,
        media,
        teams,
        carrier: more,
        tenant,
        ..
    } = plan;
    let ports = match media.contains("ports = ") {
        true => "",
        false => "ports = \"20000-20199\"",
    };
    let machine = machine
        .replace("CARRIER", &carrier.to_string())
        .replace("NODE", &sbc.to_string());
    let bypass = plan.bypass;
    let sbc_toml = format!(
        r#"
node = "sbc1.example.net"

[[listeners]]
name = "teams"
purpose = "teams"
transport = "tls"
bind = "{teams_bind}"
{teams_media}
certificates = [{{ certificate = "{certificate}", key = "{key}" }}{certificates}]

[[listeners]]
name = "carrier"
purpose = "carrier"
transport = "udp"
bind = "{sbc}:5060"
{listeners}
[media]
bind = "{sbc}"
{ports}
allow_loopback = true
{media}
{media_of_teams}

[teams]
base = "sbc1.example.net"
hubs = {hubs}
roots = "{root}"
networks = ["127.0.0.0/8", "::1/128"]
bypass = {bypass}
{teams}

{name_server}
[dns.hosts]
{first}
{second}
{store}
{machine}

[[carriers]]
id = "north"
networks = ["{carrier}"]
gateways = [{{ host = "{carrier}", port = 5060, listener = "carrier" }}]
{more}
"#
    );
    let tenant_toml = format!(
        r#"
domains = ["contoso.example"]
label = "contoso"
carriers = ["north"]
{realm}
{tenant}

[[numbers]]
range = "+14255550100-+14255550198"
to = "teams"

[[numbers]]
number = "{VOICEMAIL}"
to = "teams"
voicemail = true
{users}
"#
    );
    std::fs::write(folder.join("config/sbc.toml"), sbc_toml).unwrap();
    std::fs::write(folder.join("config/tenants/contoso.toml"), tenant_toml).unwrap();
    for (name, text) in &plan.tenants {
        std::fs::write(folder.join(format!("config/tenants/{name}.toml")), text).unwrap();
    }
}
