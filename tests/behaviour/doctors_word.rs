//! `portcullis doctor` by the command: what it says where, and its exit code by the worst of it.

use portcullis::sim::Papers;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

const HUB: &str = "sip.pstnhub.microsoft.com";

/// A configuration whose hub is on this machine.
struct Laboratory {
    folder: PathBuf,
    papers: Papers,
}

impl Laboratory {
    fn new(name: &str) -> Laboratory {
        let folder = std::env::temp_dir().join(format!("portcullis-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Laboratory {
            papers: Papers::make(&folder, "sbc1.example.net", &[HUB]).unwrap(),
            folder,
        }
    }

    fn examined(&self, base: &str, more: &str, arguments: &[&str]) -> Output {
        let Papers {
            root,
            sbc_certificate,
            sbc_key,
            ..
        } = &self.papers;
        let sbc = format!(
            "[[listeners]]\nname = \"teams\"\npurpose = \"teams\"\ntransport = \"tls\"\nbind = \"127.0.0.1:1\"\n\
             certificates = [{{ certificate = {sbc_certificate:?}, key = {sbc_key:?} }}]\n\
             [media]\nbind = \"127.0.0.1\"\nallow_loopback = true\n\
             [admin]\nbind = \"127.0.0.1:2\"\n\
             [dns]\nhosts = {{ \"{HUB}\" = [\"127.0.0.1\"], \"{base}\" = [\"127.0.0.1\"] }}\n\
             [teams]\nbase = \"{base}\"\nhubs = [\"{HUB}:3\"]\nroots = {root:?}\nnetworks = [\"127.0.0.0/8\"]\n{more}\n"
        );
        std::fs::write(self.folder.join("sbc.toml"), sbc).unwrap();
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["doctor", "--config"])
            .arg(&self.folder)
            .args(arguments)
            .output()
            .unwrap()
    }
}

impl Drop for Laboratory {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.folder);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(output: &Output) -> Value {
    assert_eq!(text(&output.stderr), "");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Ids of this severity.
fn of(severity: &str, json: &Value) -> Vec<String> {
    let findings = json["findings"].as_array().unwrap().iter();
    let of_it = findings.filter(|finding| finding["severity"] == severity);
    of_it
        .map(|finding| finding["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_exit_code_tells_the_worst_that_was_found() {
    let laboratory = Laboratory::new("doctors-code");
    let none: [String; 0] = [];
    let base = "sbc1.example.net";

    let well = laboratory.examined(base, "", &["--json"]);
    let found = json(&well);
    assert_eq!((of("fail", &found), of("warn", &found)), (none.to_vec(), none.to_vec()));
    assert_eq!(well.status.code(), Some(0));

    let requested = "client_certificate = \"request\"";
    let doubtful = laboratory.examined(base, requested, &["--json"]);
    let found = json(&doubtful);
    assert_eq!(of("fail", &found), none);
    assert_eq!(of("warn", &found), ["tls.client-certificate"]);
    assert_eq!(doubtful.status.code(), Some(3));
    let doubtful = laboratory.examined(base, requested, &[]);
    assert!(
        text(&doubtful.stdout).contains("warn  tls.client-certificate"),
        "{doubtful:?}"
    );
    assert_eq!(doubtful.status.code(), Some(3));

    let broken = laboratory.examined("sbc9.example.org", "", &["--json"]);
    assert!(
        of("fail", &json(&broken)).contains(&"tls.names".to_owned()),
        "{broken:?}"
    );
    assert_eq!(broken.status.code(), Some(1));

    // Nobody runs the node, nor the hub.
    let alone = laboratory.examined(base, "", &["--json", "--online"]);
    assert_eq!(of("fail", &json(&alone)), ["net.listener", "net.hubs"]);
    assert_eq!(alone.status.code(), Some(1));
}

#[test]
fn a_configuration_with_mistakes_is_told_to_people_and_to_scripts() {
    let laboratory = Laboratory::new("doctors-mistakes");
    let typed = "cloud = \"gcc\"";
    let to_people = laboratory.examined("sbc1.example.net", typed, &[]);
    assert_eq!(
        (to_people.status.code(), text(&to_people.stdout)),
        (Some(1), String::new())
    );
    assert!(
        text(&to_people.stderr).contains("`cloud` can't be \"gcc\""),
        "{to_people:?}"
    );

    let to_scripts = laboratory.examined("sbc1.example.net", typed, &["--json"]);
    assert_eq!(to_scripts.status.code(), Some(1));
    let told = json(&to_scripts);
    assert_eq!(told["right"], false);
    let mistakes = told["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), 1, "{told}");
    assert_eq!(mistakes[0]["message"], "`cloud` can't be \"gcc\"", "{told}");
}
