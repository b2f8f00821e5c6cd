//! The functions that are fuzzed, run over what their fuzzing starts from: whole, cut short, and with bytes turned over.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

type Target = fn(&[u8]);

const TARGETS: &[(&str, Target)] = &[
    ("datagram", fuzz::datagram),
    ("stream", fuzz::stream),
    ("header_values", fuzz::header_values),
    ("uri", fuzz::uri),
    ("digest", fuzz::digest),
    ("sdp", fuzz::sdp),
    ("offer_answer", fuzz::offer_answer),
    ("multipart", fuzz::multipart),
    ("location", fuzz::location),
    ("rtp", fuzz::rtp),
    ("rtcp", fuzz::rtcp),
    ("telephone_event", fuzz::telephone_event),
    ("srtp", fuzz::srtp),
    ("stun", fuzz::stun),
    ("answer_of_application", fuzz::answer_of_application),
    ("command", fuzz::command),
    ("update", fuzz::update),
    ("websocket_text", fuzz::websocket_text),
    ("written_text", fuzz::written_text),
    ("sound", fuzz::sound),
    ("configuration", fuzz::configuration),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each target of `targets.txt` with what it starts from.
fn listed() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(root().join("fuzz/targets.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let (name, dictionary) = (words.next().unwrap(), words.next().unwrap());
            let known = dictionary == "-" || root().join("fuzz/words").join(&dictionary).is_file();
            assert!(known, "{name}: there is no fuzz/words/{dictionary}");
            (name, words.collect())
        })
        .collect()
}

fn files(path: &Path, found: &mut Vec<Vec<u8>>) {
    if path.is_file() {
        found.push(fs::read(path).unwrap());
        return;
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for entry in entries {
        files(&entry.unwrap().path(), found);
    }
}

#[test]
fn every_target_is_listed_and_has_its_program() {
    let tested: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let listed: BTreeSet<_> = listed().into_iter().map(|(name, _)| name).collect();
    assert_eq!(listed, tested);
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for name in tested {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
        let program = fs::read_to_string(root().join(format!("fuzz/targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("portcullis_fuzz::{name}(bytes)")), "{name}");
    }
}

#[test]
fn no_bytes_that_fuzzing_starts_from_make_a_panic() {
    for (name, seeds) in listed() {
        let (_, run) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
        let mut inputs = vec![Vec::new(), (0..=255).collect(), (0..=255).rev().collect()];
        for seed in &seeds {
            files(&root().join(seed), &mut inputs);
        }
        // Whole configurations are checked, and whole sounds decoded: a few changes of each are enough.
        let changes = if matches!(name.as_str(), "configuration" | "sound") {
            2
        } else {
            12
        };
        for input in inputs {
            run(&input);
            for change in 1..changes {
                let at = input.len() * change / changes;
                run(&input[..at]);
                let mut turned = input.clone();
                if let Some(byte) = turned.get_mut(at) {
                    *byte ^= 0x15;
                    run(&turned);
                }
            }
        }
    }
}
