//! `portcullis run` as a process: it hears signals whatever its files do, and keeps its configuration while it goes out of service.

use crate::lab::{BOUND, Lab, OUTSIDE, Plan, USER};
use portcullis::sim::{CarrierSim, Dial, Papers, Script, TeamsSim};
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// The process, between the lab's peers and over the lab's files.
struct Process {
    child: Child,
    admin: SocketAddr,
    folder: PathBuf,
    roots: PathBuf,
    teams: TeamsSim,
    carrier: CarrierSim,
}

impl Process {
    async fn start() -> Process {
        let lab = Lab::with(Plan {
            machine: "[admin]\nbind = \"NODE:9080\"\n".into(),
            ..Plan::default()
        })
        .await;
        let admin = SocketAddr::new(lab.address().into(), 9080);
        let Lab {
            running,
            teams,
            carrier,
            folder,
            roots,
            ..
        } = lab;
        running.shut_down().await;
        let child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["run", "--config"])
            .arg(folder.join("config"))
            .stderr(File::create(folder.join("log")).unwrap())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let process = Process {
            child,
            admin,
            folder,
            roots,
            teams,
            carrier,
        };
        process
            .until("ready", async || process.get("/readyz").await.contains(" 200 OK"))
            .await;
        process
    }

    /// The answer of the admin listener, empty without one.
    async fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(self.admin).await {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let _cut = stream.read_to_string(&mut answer).await;
        }
        answer
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    async fn says(&self, line: &str) {
        self.until(line, async || self.log().contains(line)).await;
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let look = async {
            while !holds().await {
                tokio::time::sleep(LOOK).await;
            }
        };
        let in_time = tokio::time::timeout(BOUND, look).await;
        assert!(in_time.is_ok(), "{what}:\n{}", self.log());
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs");
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status();
        assert!(sent.await.unwrap().success());
    }

    /// It ends by itself and rightly; the log comes out.
    async fn ended(mut self) -> String {
        let ended = tokio::time::timeout(BOUND, self.child.wait()).await;
        let log = self.log();
        let status = ended.unwrap_or_else(|_| panic!("it has not ended:\n{log}"));
        assert!(status.unwrap().success(), "{log}");
        let _removed = std::fs::remove_dir_all(&self.folder);
        log
    }
}

/// A file that whoever reads it waits at, as long as the end that comes out is open.
async fn hang(path: &Path, ask: impl AsyncFn()) -> File {
    std::fs::remove_file(path).unwrap();
    let made = Command::new("mkfifo").arg(path).status().await.unwrap();
    assert!(made.success());
    ask().await;
    let reader = async {
        loop {
            // Fails as long as nobody reads.
            let opened = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(path);
            match opened {
                Ok(end) => return end,
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    };
    tokio::time::timeout(BOUND, reader).await.expect("somebody reads it")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_roots_that_hangs_keeps_the_node_from_nothing() {
    let process = Process::start().await;
    let _end = hang(&process.roots, async || process.signal("HUP").await).await;
    // The reload that was asked for does not wait for it.
    process.says("the configuration is unchanged").await;
    process.signal("TERM").await;
    process.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_keeps_its_configuration_and_looks_at_certificates() {
    let process = Process::start().await;
    process.teams.set_script(Script::answer());
    let caller = process.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    caller.answered().await.unwrap();
    let before = process.get("/v1/config").await;
    process.signal("TERM").await;
    process
        .until("drains", async || process.get("/readyz").await.contains(" 503 "))
        .await;

    let tenant = process.folder.join("config/tenants/contoso.toml");
    let text = std::fs::read_to_string(&tenant).unwrap();
    std::fs::write(&tenant, text.replace("+14255550100-", "+14255550101-")).unwrap();
    let strangers = process.folder.join("strangers");
    std::fs::create_dir_all(&strangers).unwrap();
    let other = Papers::make(&strangers, "sbc1.example.net", &["sip.example"]).unwrap();
    std::fs::copy(&other.root, &process.roots).unwrap();
    process.signal("HUP").await;
    process.says("the configuration is not").await;
    process.says("other peers are trusted from now on").await;
    assert_eq!(body(&process.get("/v1/config").await), body(&before));

    caller.hang_up().await.unwrap();
    let log = process.ended().await;
    assert!(!log.contains("new configuration in force"), "{log}");
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}
