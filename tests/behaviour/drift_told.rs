//! `portcullis teams drift` as a process, over the example configuration: its exit code says whether calls break.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A route to the trunk, and nothing else.
const RIGHT: &str = r#"[{"Identity":"one","NumberPattern":".*","OnlinePstnUsages":["a"],"OnlinePstnGatewayList":["contoso.sbc1.example.net"]}]"#;

/// The example configuration beside files where it names certificates.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("portcullis-{name}-{}", std::process::id()));
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        for inner in ["tenants", "certs"] {
            std::fs::create_dir_all(folder.join(inner)).unwrap();
        }
        for file in ["sbc.toml", "tenants/contoso.toml"] {
            std::fs::copy(example.join(file), folder.join(file)).unwrap();
        }
        for file in ["certs/sbc1.example.net.pem", "certs/sbc1.example.net.key"] {
            std::fs::write(folder.join(file), "").unwrap();
        }
        Folder(folder)
    }

    /// The exit code, and what is printed and complained of, where standard input has `text`.
    fn drift(&self, tenant: &str, arguments: &[&str], text: &str) -> (Option<i32>, String, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["teams", "drift", tenant, "--config"])
            .arg(&self.0)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who never reads it has closed it.
        let _unread = child.stdin.take().unwrap().write_all(text.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn teams_110_what_breaks_calls_is_told_by_the_exit_code() {
    let folder = Folder::new("drift-codes");
    let (code, told, _) = folder.drift("contoso", &["-"], RIGHT);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("0 differences, 0 notes; compared 0 gateways, 1 voice routes"),
        "{told}"
    );
    let noted = r#"{"Fqdn":"sbc1.example.net","SipSignalingPort":5061,"ForwardCallHistory":false}"#;
    let (code, told, _) = folder.drift("contoso", &["-"], noted);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("0 differences, 1 notes; compared 1 gateways"), "{told}");

    let wrong = RIGHT.replace("contoso.sbc1", "sbc1");
    let (code, told, _) = folder.drift("contoso", &["-"], &wrong);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.starts_with("differs voice route one: sbc1.example.net is the carrier's trunk"),
        "{told}"
    );
    let (code, told, _) = folder.drift("contoso.example", &["--json", "-"], &wrong);
    let json: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (code, &json["differences"][0]["weight"]),
        (Some(1), &"breaks".into()),
        "{told}"
    );
}

#[test]
fn teams_110_what_cannot_be_compared_is_neither_right_nor_wrong() {
    let folder = Folder::new("drift-faults");
    for (tenant, file, text, why) in [
        ("contoso", "-", "hello\n", "-: nothing in it is a gateway"),
        (
            "contoso",
            "-",
            "Identity Fqdn\n-------- ----\na        b\n",
            "line 2 is part of a table",
        ),
        ("contoso", "no-such-file", "", "no-such-file: No such file"),
        (
            "tailspin",
            "-",
            RIGHT,
            "no tenant is called 'tailspin'; there are: contoso",
        ),
    ] {
        let (code, told, complaint) = folder.drift(tenant, &[file], text);
        assert_eq!((code, told.as_str()), (Some(2), ""), "{complaint}");
        assert!(complaint.contains(why), "{complaint}");
    }
}
