//! The house rules that a machine can check: file sizes, names, and a contract at each room's door.

use crate::source::{SourceFile, all};
use std::collections::BTreeSet;

/// At this many lines a file needs a seam, or a reason here.
const LONGEST: usize = 600;

/// Longer files: name under `src/`, and why it stays one file.
const LONG_FILES: &[(&str, &str)] = &[];

const FORBIDDEN: &[&str] = &["utils", "util", "helpers", "helper", "common", "manager", "misc"];

fn too_long(files: &[SourceFile], reasons: &[(&str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        let lines = file.text.lines().count();
        let listed = reasons.iter().any(|(name, _)| *name == file.name);
        match (lines > LONGEST, listed) {
            (true, false) => faults.push(format!("src/{}: {lines} lines: find the seam", file.name)),
            (false, true) => faults.push(format!("src/{}: {lines} lines: take it off the list", file.name)),
            _ => {}
        }
    }
    let gone = reasons
        .iter()
        .filter(|(name, _)| !files.iter().any(|file| file.name == *name));
    faults.extend(gone.map(|(name, _)| format!("src/{name} is listed but doesn't exist")));
    faults
}

fn badly_named(files: &[SourceFile]) -> Vec<String> {
    let bad = |part: &str| {
        let stem = part.trim_end_matches(".rs");
        FORBIDDEN
            .iter()
            .any(|word| stem == *word || stem.ends_with(&format!("_{word}")))
    };
    let named = files.iter().filter(|file| file.name.split('/').any(bad));
    named
        .map(|file| format!("src/{}: a name that says nothing", file.name))
        .collect()
}

fn without_contract(files: &[SourceFile]) -> Vec<String> {
    let folders: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| file.name.rsplit_once('/'))
        .map(|(folder, _)| folder)
        .collect();
    let mut faults = Vec::new();
    for folder in folders {
        let doors = [format!("{folder}/mod.rs"), format!("{folder}.rs")];
        match files.iter().find(|file| doors.contains(&file.name)) {
            None => faults.push(format!("src/{folder}: neither mod.rs nor {folder}.rs")),
            Some(door) if !door.text.starts_with("//! ") => {
                faults.push(format!("src/{}: no `//!` contract", door.name));
            }
            Some(_) => {}
        }
    }
    faults
}

fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn no_file_is_too_long_without_a_reason() {
    assert_none(too_long(&all(), LONG_FILES));
}

#[test]
fn no_file_hides_behind_a_name_that_says_nothing() {
    assert_none(badly_named(&all()));
}

#[test]
fn every_room_states_its_contract_at_the_door() {
    assert_none(without_contract(&all()));
}

#[test]
fn the_checks_can_fail() {
    let file = |name: &str, text: String| SourceFile::new(name, &text);
    let long = [
        file("sip/long.rs", "x\n".repeat(601)),
        file("sip/mod.rs", "//! Door.\n".to_owned()),
    ];
    assert_eq!(too_long(&long, &[]).len(), 1);
    assert_eq!(too_long(&long, &[("sip/long.rs", "because")]).len(), 0);
    assert_eq!(
        too_long(&long, &[("sip/long.rs", ""), ("sip/mod.rs", ""), ("gone.rs", "")]).len(),
        2
    );
    let named = [
        "sip/utils.rs",
        "net/helpers/mod.rs",
        "call/call_manager.rs",
        "sip/utilisation.rs",
    ]
    .map(|n| file(n, String::new()));
    assert_eq!(badly_named(&named).len(), 3);
    let doors = [
        file("a/mod.rs", "use x;".into()),
        file("b/x.rs", String::new()),
        file("c/mod.rs", "//! C.\n".into()),
    ];
    assert_eq!(without_contract(&doors).len(), 2);
}
