//! Two simulators by the command, one of which refuses the other's certificate: each says so, with the reason.

use portcullis::sim::{Bearer, Papers, WrongPaper};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const BOUND: Duration = Duration::from_secs(20);
const HUB: &str = "sip.pstnhub.microsoft.com";

/// A simulator by the command.
struct Sim {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Sim {
    fn start(kind: &str, certificate: &Path, key: &Path, roots: &Path, more: &[&str]) -> Sim {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["sim", kind, "--listen", "127.0.0.1:0", "--certificate"])
            .arg(certificate)
            .arg("--key")
            .arg(key)
            .arg("--roots")
            .arg(roots)
            .args(more)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Sim { _child: child, lines }
    }

    /// The next line in which this stands.
    async fn says(&mut self, what: &str) -> String {
        let mut said = Vec::new();
        let until = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.contains(what) {
                    return Some(line);
                }
                said.push(line);
            }
            None
        };
        let line = timeout(BOUND, until).await.ok().flatten();
        line.unwrap_or_else(|| panic!("{what:?} was not said, but {said:#?}"))
    }
}

struct World {
    folder: PathBuf,
    papers: Papers,
}

impl World {
    /// One of the two has signed its own certificate.
    fn new(name: &str, self_signed: Bearer) -> World {
        let folder = std::env::temp_dir().join(format!("portcullis-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let papers = Papers::make_wrong(&folder, "sbc1.example.net", &[HUB], self_signed, WrongPaper::SelfSigned);
        World {
            papers: papers.unwrap(),
            folder,
        }
    }

    /// A hub, and a carrier that calls it; the hub's address.
    async fn call(&self) -> (Sim, Sim, String) {
        let ours = &self.papers;
        let mut teams = Sim::start("teams", &ours.teams_certificate, &ours.teams_key, &ours.root, &[]);
        let line = teams.says("simulated on ").await;
        let address = line.split(" on ").nth(1).and_then(|rest| rest.split(';').next());
        let address = address.unwrap().to_owned();
        let caller = [
            "--transport",
            "tls",
            "--host",
            HUB,
            "--sbc",
            &address,
            "--call",
            "+14255550100",
        ];
        let carrier = Sim::start("carrier", &ours.sbc_certificate, &ours.sbc_key, &ours.root, &caller);
        (teams, carrier, address)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulator_that_refuses_a_certificate_says_so_and_its_peer_tells_the_alert() {
    let world = World::new("refusing", Bearer::Teams);
    let (mut teams, mut carrier, address) = world.call().await;
    let why = carrier
        .says(&format!("no connection to {address}: the peer was refused"))
        .await;
    assert!(why.contains("is self-signed"), "{why}");
    let end = carrier.says("our call was not answered, ended by nobody, 503: ").await;
    assert!(end.contains("is self-signed"), "{end}");
    let alert = teams.says("no connection from 127.0.0.1:").await;
    assert!(
        alert.contains("the peer refused us with TLS alert UnknownCA"),
        "{alert}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulator_whose_certificate_is_refused_tells_the_alert() {
    let world = World::new("refused", Bearer::Sbc);
    let (mut teams, mut carrier, address) = world.call().await;
    let alert = carrier.says(&format!("no connection to {address}: ")).await;
    assert!(
        alert.contains("the peer refused us with TLS alert UnknownCA"),
        "{alert}"
    );
    let end = carrier.says("our call was not answered, ended by nobody, 503: ").await;
    assert!(end.contains("TLS alert UnknownCA"), "{end}");
    let why = teams.says("no connection from 127.0.0.1:").await;
    assert!(why.contains("is self-signed"), "{why}");
}
