//! The demonstration, as a user runs it.

use serde_json::{Value, json};
use tokio::process::Command;

/// Both calls are heard both ways, and its strict peers have nothing to object to.
#[tokio::test]
async fn the_demonstration_passes_before_strict_peers() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let output = command.args(["demo", "--json"]).output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["violations_at_teams"], json!([]));
    assert_eq!(report["violations_at_carrier"], json!([]));
    assert!(output.status.success(), "{report:#}");
}
