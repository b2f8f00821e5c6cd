//! The simulated peers by the command, as admins run them, against a node: what scripts play, hubs that stand beside one another,
//! certificates of every kind.

use crate::lab::{free_net, host};
use crate::records::Records;
use portcullis::cli::run::{Running, start};
use portcullis::config::Loader;
use portcullis::sim::{CarrierPapers, CarrierSettings, CarrierSim, CarrierWire, Showing};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const BOUND: Duration = Duration::from_secs(30);
const HUB: &str = "sip.pstnhub.microsoft.com";
const HUB2: &str = "sip2.pstnhub.microsoft.com";
const HUB3: &str = "sip3.pstnhub.microsoft.com";
const USER: &str = "+14255550100";
const OUTSIDE: &str = "+12065550123";
/// Whom a REFER names: a user of Teams at the first hub.
const REFER: &str = "refer sip:sip.pstnhub.microsoft.com:5061;transport=tls;x-m=8:orgid:9f9d51bc;x-t=adfb6898 by \
                     <sip:sip.pstnhub.microsoft.com:5061;x-m=8:orgid:8c8d357b;x-t=adfb6898;x-ti=e00fba6f>";

fn portcullis(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A simulator by the command.
struct Sim {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Sim {
    fn start(words: &[&str]) -> Sim {
        let mut child = portcullis(words).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Sim {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// The next line in which this stands.
    async fn says(&mut self, what: &str) -> String {
        let until = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.said.push(line.clone());
                if line.contains(what) {
                    return Some(line);
                }
            }
            None
        };
        let line = timeout(BOUND, until).await.ok().flatten();
        line.unwrap_or_else(|| panic!("{what:?} was not said, but {:#?}", self.said))
    }

    /// Everything that it said until it ended by itself, or after Ctrl-C.
    async fn ends(mut self) -> (ExitStatus, Vec<String>) {
        let rest = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.said.push(line);
            }
            self.child.wait().await.unwrap()
        };
        let status = timeout(BOUND, rest).await;
        let status = status.unwrap_or_else(|_| panic!("it goes on, and said {:#?}", self.said));
        (status, self.said)
    }

    async fn stopped(self) -> Vec<String> {
        let id = self.child.id().unwrap();
        // A shell's own: not every machine has the program.
        let told = Command::new("sh").args(["-c", &format!("kill -INT {id}")]).status();
        assert!(told.await.unwrap().success());
        self.ends().await.1
    }
}

/// Lines in which this stands.
fn count(said: &[String], what: &str) -> usize {
    said.iter().filter(|line| line.contains(what)).count()
}

struct World {
    net: [u8; 2],
    folder: PathBuf,
}

impl World {
    /// With certificates and a configuration. `more`: further options of `certs dev`, and keys of `[teams]`.
    async fn new(certificates: &[&str], teams: &str) -> World {
        let net = free_net();
        let folder = std::env::temp_dir().join(format!("portcullis-scripted-{}-{}", std::process::id(), net[1]));
        let world = World { net, folder };
        let certs = world.folder.join("config/certs");
        let words = [
            "certs",
            "dev",
            "--name",
            "sbc1.example.net",
            "--name",
            "pstnhub.microsoft.com",
        ];
        let mut command = portcullis(&words);
        command.args(["--out", certs.to_str().unwrap()]).args(certificates);
        let made = command.output().await.unwrap();
        assert!(made.status.success(), "{made:?}");
        let (sbc, carrier) = (host(net, 1), host(net, 2));
        let hosts = [(HUB, 3), (HUB2, 4), (HUB3, 5)].map(|(hub, last)| {
            let (label, base) = hub.split_once('.').unwrap();
            let at = host(net, last);
            format!("\"{hub}\" = [\"{at}\"]\n\"{label}-du-a-eu.{base}\" = [\"{at}\"]\n")
        });
        let text = format!(
            r#"
[[listeners]]
name = "teams"
purpose = "teams"
transport = "tls"
bind = "{sbc}:5061"
certificates = [{{ certificate = "certs/sbc1.example.net.pem", key = "certs/sbc1.example.net.key" }}]

[[listeners]]
name = "carriers"
purpose = "carrier"
transport = "udp"
bind = "{sbc}:5060"

[media]
bind = "{sbc}"
ports = "20000-20199"
allow_loopback = true

[teams]
base = "sbc1.example.net"
hubs = ["{HUB}", "{HUB2}", "{HUB3}"]
roots = "certs/ca.pem"
networks = ["127.0.0.0/8"]
{teams}

[dns.hosts]
{}

[[carriers]]
id = "north"
networks = ["{carrier}"]
refer = true
gateways = [{{ host = "{carrier}", port = 5060, listener = "carriers" }}]
"#,
            hosts.concat()
        );
        let tenant = "domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n\
                      [[numbers]]\nrange = \"+14255550100-+14255550198\"\nto = \"teams\"\n";
        std::fs::create_dir_all(world.folder.join("config/tenants")).unwrap();
        std::fs::write(world.folder.join("config/sbc.toml"), text).unwrap();
        std::fs::write(world.folder.join("config/tenants/contoso.toml"), tenant).unwrap();
        world
    }

    /// The node, which greets the hubs at once: they have to be there.
    async fn node(&self) -> Running {
        let config = Loader::new(&self.folder.join("config")).load();
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        start(config, Arc::new(Records::default())).await.unwrap()
    }

    fn at(&self, last: u8, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(host(self.net, last)), port)
    }

    fn file(&self, name: &str) -> String {
        self.folder.join("config/certs").join(name).to_str().unwrap().to_owned()
    }

    /// `sim teams` on 127.x.y.`last`.
    fn teams_command(&self, last: u8, more: &[&str]) -> Vec<String> {
        let (listen, sbc) = (self.at(last, 5061).to_string(), self.at(1, 5061).to_string());
        let files = ["pstnhub.microsoft.com.pem", "pstnhub.microsoft.com.key", "ca.pem"].map(|name| self.file(name));
        let [certificate, key, roots] = &files;
        let words = ["sim", "teams", "--strict", "--listen", &listen, "--sbc", &sbc];
        let words = words
            .into_iter()
            .chain(["--certificate", certificate, "--key", key, "--roots", roots]);
        words.chain(more.iter().copied()).map(str::to_owned).collect()
    }

    fn teams(&self, more: &[&str]) -> Sim {
        let words = self.teams_command(3, more);
        Sim::start(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn carrier(&self, more: &[&str]) -> Sim {
        let (listen, sbc) = (self.at(2, 5060).to_string(), self.at(1, 5060).to_string());
        let words = ["sim", "carrier", "--listen", &listen, "--sbc", &sbc, "--from", OUTSIDE];
        Sim::start(&[&words, more].concat())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placed_call_holds_resumes_sends_digits_and_hangs_up_by_script() {
    let world = World::new(&[], "").await;
    let node = world.node().await;
    let mut carrier = world.carrier(&["--script", "ring, answer"]);
    carrier.says("simulated on ").await;
    let script = "wait 300ms, hold, wait 200ms, resume, digits 12#, refresh, hang-up";
    let caller = world.teams(&["--call", OUTSIDE, "--call-script", script]);
    let (status, said) = caller.ends().await;
    for word in ["hold", "resume", "refresh"] {
        assert_eq!(
            count(&said, &format!("our call: {word} was answered 200")),
            1,
            "{said:#?}"
        );
    }
    assert_eq!(count(&said, "our call is over by us"), 1, "{said:#?}");
    assert!(status.success() && count(&said, "RULE BROKEN") == 0, "{said:#?}");
    carrier.stopped().await;
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placed_call_is_given_up_by_script() {
    let world = World::new(&[], "").await;
    let node = world.node().await;
    let mut carrier = world.carrier(&["--script", "ring"]);
    carrier.says("simulated on ").await;
    let caller = world.teams(&["--call", OUTSIDE, "--call-script", "cancel 500ms"]);
    let (status, said) = caller.ends().await;
    assert_eq!(
        count(&said, "our call was not answered, ended by us, 487"),
        1,
        "{said:#?}"
    );
    assert!(status.success(), "{said:#?}");
    carrier.stopped().await;
    node.shut_down().await;
}

/// As it is by default: one script for every call.
#[tokio::test(flavor = "multi_thread")]
async fn a_script_with_refer_refers_once_and_not_what_came_of_it() {
    let world = World::new(&[], "").await;
    let mut hub = world.teams(&["--script", &format!("answer, wait 200ms, {REFER}")]);
    hub.says("simulated on ").await;
    let node = world.node().await;
    hub.says("our OPTIONS was answered").await;
    // The old chain had one transfer in 200 ms.
    let (status, said) = world.carrier(&["--call", USER, "--seconds", "8"]).ends().await;
    assert!(status.success(), "{said:#?}");
    let said = hub.stopped().await;
    assert_eq!(
        (count(&said, "a call to "), count(&said, "refer was answered 202")),
        (2, 1),
        "{said:#?}"
    );
    assert_eq!(count(&said, "the transfer is at 200"), 1, "{said:#?}");
    assert_eq!(count(&said, "RULE BROKEN"), 0, "{said:#?}");
    node.shut_down().await;
}

/// Its INVITE is as the node routes it, which breaks no rule.
#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_refers_by_script_to_whom_the_node_routes() {
    let world = World::new(&[], "").await;
    let mut hub = world.teams(&["--script", "answer"]);
    hub.says("simulated on ").await;
    let node = world.node().await;
    hub.says("our OPTIONS was answered").await;
    let refer = format!("wait 300ms, refer sip:+14255550101@{}", world.at(1, 5060).ip());
    let (status, said) = world.carrier(&["--call", USER, "--call-script", &refer]).ends().await;
    for told in ["refer was answered 202", "the transfer is at 200", "is over by us"] {
        assert_eq!(
            count(&said, &format!("our call: {told}")) + count(&said, &format!("our call {told}")),
            1,
            "{said:#?}"
        );
    }
    assert!(status.success() && count(&said, "RULE BROKEN") == 0, "{said:#?}");
    let said = hub.stopped().await;
    assert_eq!(
        (count(&said, "a call to "), count(&said, "RULE BROKEN")),
        (2, 0),
        "{said:#?}"
    );
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placed_call_refers_and_the_command_ends_with_what_came_of_it() {
    let world = World::new(&[], "").await;
    let node = world.node().await;
    let mut carrier = world.carrier(&["--script", "answer"]);
    carrier.says("simulated on ").await;
    let words = [
        "--call",
        OUTSIDE,
        "--call-script",
        &format!("wait 200ms, {REFER}"),
        "--script",
        "ring, answer, wait 700ms, hang-up",
    ];
    let (status, said) = world.teams(&words).ends().await;
    assert_eq!(count(&said, "our call: the transfer is at 200"), 1, "{said:#?}");
    assert_eq!(count(&said, "x-t=adfb6898 is over by us"), 1, "{said:#?}");
    assert!(status.success() && count(&said, "RULE BROKEN") == 0, "{said:#?}");
    carrier.stopped().await;
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_takes_a_call_over_and_plays_the_rest_of_the_script() {
    let world = World::new(&[], "").await;
    let mut hub = world.teams(&[
        "--script",
        "answer, wait 300ms, replace +14255550101, wait 3s, hold, resume, hang-up",
    ]);
    hub.says("simulated on ").await;
    let node = world.node().await;
    hub.says("our OPTIONS was answered").await;
    let (status, said) = world.carrier(&["--call", USER, "--seconds", "20"]).ends().await;
    assert!(status.success(), "{said:#?}");
    assert_eq!(count(&said, "our call is over by the peer"), 1, "{said:#?}");
    let said = hub.stopped().await;
    let taker = said
        .iter()
        .filter(|line| line.contains("who replaces sip:+14255550100@"))
        .cloned();
    let taker: Vec<String> = taker.collect();
    for word in [
        " is answered",
        "hold was answered 200",
        "resume was answered 200",
        " is over by us",
    ] {
        assert_eq!(count(&taker, word), 1, "{word} in {said:#?}");
    }
    assert_eq!(count(&said, "RULE BROKEN"), 0, "{said:#?}");
    node.shut_down().await;
}

/// Its number is taken for the one who takes over, and the command ends with that one.
#[tokio::test(flavor = "multi_thread")]
async fn a_placed_call_is_taken_over_too() {
    let world = World::new(&[], "").await;
    let node = world.node().await;
    let mut carrier = world.carrier(&["--script", "answer"]);
    carrier.says("simulated on ").await;
    let words = [
        "--call",
        OUTSIDE,
        "--call-script",
        "wait 200ms, replace",
        "--seconds",
        "1",
    ];
    let (status, said) = world.teams(&words).ends().await;
    assert_eq!(count(&said, "who replaces our call is over by us"), 1, "{said:#?}");
    assert!(status.success() && count(&said, "RULE BROKEN") == 0, "{said:#?}");
    carrier.stopped().await;
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_with_media_bypass_restart_ice_and_name_their_pair() {
    let world = World::new(&[], "bypass = true").await;
    let node = world.node().await;
    let mut carrier = world.carrier(&["--script", "answer"]);
    carrier.says("simulated on ").await;
    let script = "wait 700ms, remote-candidates, restart, wait 700ms, remote-candidates, wait 300ms, hang-up";
    let (status, said) = world
        .teams(&["--bypass", "--call", OUTSIDE, "--call-script", script])
        .ends()
        .await;
    assert_eq!(
        count(&said, "our call: remote-candidates was answered 200"),
        2,
        "{said:#?}"
    );
    assert_eq!(count(&said, "our call: restart was answered 200"), 1, "{said:#?}");
    assert!(status.success() && count(&said, "RULE BROKEN") == 0, "{said:#?}");
    carrier.stopped().await;
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_of_one_process_are_dead_drain_and_answer() {
    let world = World::new(&[], "").await;
    let beside = [(HUB2, 4, "draining"), (HUB3, 5, "ring, answer")]
        .map(|(hub, last, conduct)| format!("{hub}={} {conduct}", world.at(last, 5061)));
    let mut hubs = world.teams(&["--stalled", "--beside", &beside[0], "--beside", &beside[1]]);
    hubs.says(&format!("{HUB3} on {} plays its own script", world.at(5, 5061)))
        .await;
    let node = world.node().await;
    hubs.says(&format!("{HUB3}: our OPTIONS was answered")).await;
    let (status, said) = world.carrier(&["--call", USER, "--seconds", "1"]).ends().await;
    assert!(status.success(), "{said:#?}");
    let said = hubs.stopped().await;
    assert_eq!(count(&said, &format!("{HUB3}: a call to ")), 1, "{said:#?}");
    assert_eq!(
        (count(&said, ": a call to "), count(&said, "RULE BROKEN")),
        (1, 0),
        "{said:#?}"
    );
    assert!(count(&said, &format!("{HUB2}: OPTIONS came")) > 0, "{said:#?}");
    node.shut_down().await;

    let beside = [(HUB, 3, "dead"), (HUB2, 4, "mute")]
        .map(|(hub, last, conduct)| format!("{hub}={} {conduct}", world.at(last, 5061)));
    let words = ["--hub", HUB3, "--beside", &beside[0], "--beside", &beside[1]];
    let words = world.teams_command(5, &words);
    let mut hubs = Sim::start(&words.iter().map(String::as_str).collect::<Vec<_>>());
    hubs.says("is mute: no handshake is answered").await;
    let node = world.node().await;
    hubs.says("our OPTIONS was answered").await;
    let (status, said) = world.carrier(&["--call", USER, "--seconds", "1"]).ends().await;
    assert!(status.success(), "{said:#?}");
    let said = hubs.stopped().await;
    assert_eq!(
        (count(&said, "a call to "), count(&said, "RULE BROKEN")),
        (1, 0),
        "{said:#?}"
    );
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_are_opened_at_once() {
    let world = World::new(&[], "").await;
    let node = world.node().await;
    let mut hub = world.teams(&["--connections", "60"]);
    hub.says("60 connections are open, and an OPTIONS was answered on each")
        .await;
    let open = node.signalling.transports().connections().len();
    assert!(open >= 60, "{open} connections");
    let said = hub.stopped().await;
    assert_eq!(
        count(&said, "RULE BROKEN") + count(&said, "no connection"),
        0,
        "{said:#?}"
    );
    node.shut_down().await;
}

/// What the node says of each in its alert.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_every_wrong_kind_are_shown_by_a_word() {
    let world = World::new(&["--wrong"], "").await;
    let node = world.node().await;
    for (kind, alert) in [
        ("expired", "CertificateExpired"),
        ("not-yet-valid", "CertificateExpired"),
        ("other-name", "BadCertificate"),
        ("other-ca", "UnknownCA"),
        ("self-signed", "UnknownCA"),
        ("none", "CertificateRequired"),
    ] {
        let (status, said) = world.teams(&["--call", OUTSIDE, "--wrong", kind]).ends().await;
        assert_eq!(status.code(), Some(1), "{kind}: {said:#?}");
        let refused = said
            .iter()
            .find(|line| line.contains("our call was not answered, ended by nobody, 503: no connection to"));
        assert!(refused.is_some_and(|line| line.contains(alert)), "{kind}: {said:#?}");
    }
    node.shut_down().await;
}

/// The called side is a carrier with a certificate of portcullis, which takes what comes and refuses its SRTP.
#[tokio::test(flavor = "multi_thread")]
async fn an_invite_bears_the_headers_that_were_given() {
    let world = World::new(&[], "").await;
    let papers = CarrierPapers {
        certificate: world.file("sbc1.example.net.pem").into(),
        key: world.file("sbc1.example.net.key").into(),
        roots: world.file("ca.pem").into(),
        showing: Showing::Sound,
    };
    let called = CarrierSim::start(CarrierSettings {
        listen: world.at(1, 5061),
        sbc: None,
        wire: CarrierWire::Tls(papers),
        tone: 440.0,
    })
    .unwrap();
    let headers = [
        ("X-MS-UserLocation", "internal"),
        ("X-MS-MediaPath", "sbc1.example.net, contoso.sbc1.example.net"),
        ("P-Asserted-Identity", "<tel:+14255550100>"),
        ("History-Info", "<sip:+14255550101@sip.pstnhub.microsoft.com>;index=1"),
        ("Session-Expires", "600"),
    ];
    let lines = headers.map(|(name, value)| format!("{name}: {value}"));
    let more = lines.iter().flat_map(|line| ["--header", line.as_str()]);
    let words: Vec<&str> = ["--display", "Ada Jones", "--call", OUTSIDE]
        .into_iter()
        .chain(more)
        .collect();
    let caller = world.teams(&words);
    let call = called.incoming_within(BOUND).await.unwrap();
    let invite = call.invite().unwrap();
    for (name, value) in headers {
        let given: Vec<_> = invite
            .raw_headers()
            .filter(|header| header.name().eq_ignore_ascii_case(name))
            .collect();
        let [given] = given[..] else {
            panic!("{} of {name}", given.len())
        };
        assert_eq!(given.value, value.as_bytes(), "{name}");
    }
    assert_eq!(invite.from().unwrap().display(), Some("Ada Jones"));
    caller.ends().await;
}

async fn refused(words: &[String]) -> (Option<i32>, String) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Output { status, stderr, .. } = portcullis(&words).output().await.unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_played_is_refused_before_anything_listens() {
    let world = World {
        net: free_net(),
        folder: Path::new("/nowhere").to_owned(),
    };
    for (more, told) in [
        (
            &["--script", "ring, hold"][..],
            "step 2, `hold`: it comes after `answer`",
        ),
        (
            &["--call", OUTSIDE, "--call-script", "hold, answer"],
            "step 2, `answer`: it is of calls that come in",
        ),
        (
            &["--script", "answer, restart"],
            "`restart` in --script is of a trunk with media bypass: add --bypass",
        ),
        (&["--header", "Via: x"], "Via is the simulator's to write"),
        (
            &["--wrong", "expired"],
            "expired.pem is not there: `portcullis certs dev --wrong`",
        ),
        (
            &["--beside", "sip2.pstnhub.microsoft.com=127.0.0.4"],
            "`127.0.0.4` is no address with a port",
        ),
        (&["--connections", "0"], "0 is not in 1..=4096"),
    ] {
        let (code, said) = refused(&world.teams_command(3, more)).await;
        assert!(code == Some(2) && said.contains(told), "{more:?}: {code:?} {said}");
    }
}
