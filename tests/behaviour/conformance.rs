//! `tests/data/teams/rules.toml` is the contract of Teams, rule by rule: each rule stands there once, every test that it names
//! exists, and `docs/teams-conformance.md` is printed from it. `PORTCULLIS_UPDATE=1` writes the page anew.
//!
//! Whether the named tests passed is said by `tests/run`, which saw them; `tests/conformance.py --record` puts that into
//! `tests/data/teams/results.toml`, and the page has it from there.

use crate::source::{self, SourceFile};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The rules are numbered from 1 to this.
const LAST: u16 = 115;
const PAGE: &str = "docs/teams-conformance.md";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contract {
    rules: Vec<Rule>,
    outside: Vec<Outside>,
}

/// Beside the rules: what nobody can do without Microsoft.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outside {
    title: String,
    why: String,
}

/// What `tests/run` saw last.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Results {
    commit: String,
    /// Rule by number: how many of its tests passed, of how many.
    rules: BTreeMap<String, [usize; 2]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    id: u16,
    level: Level,
    /// What Teams expects, in a few words.
    title: String,
    state: State,
    /// How it is kept.
    how: String,
    /// `call::tests::holding::name` in the library, `behaviour::calls_in_progress::name`, or `interop/nat.py: what it prints`.
    tests: Vec<String>,
    /// Who was at the other end in these tests ([`peers_of`]).
    peer: String,
    /// A figure beside the tests: how it is taken, and what it shows.
    #[serde(default)]
    measured: String,
    /// What only a live tenant can show.
    #[serde(default)]
    awaits: String,
    /// What is not kept, or why it can't be.
    #[serde(default)]
    missing: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Level {
    #[serde(rename = "MUST")]
    Must,
    #[serde(rename = "SHOULD")]
    Should,
    #[serde(rename = "MAY")]
    May,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Kept,
    Partly,
    Open,
    /// Not ours to keep.
    Outside,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Kept => "kept",
            State::Partly => "partly",
            State::Open => "open",
            State::Outside => "outside",
        }
    }
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
            Level::May => "MAY",
        }
    }
}

fn contract() -> Contract {
    let file = source::root().join("tests/data/teams/rules.toml");
    let text = std::fs::read_to_string(file).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// Software that others wrote, by the script that calls with it.
const FOREIGN: [(&str, &[&str]); 9] = [
    (
        "interop/pjsua_teams.py: OPTIONS and certificates",
        &["a script over OpenSSL"],
    ),
    ("interop/pjsua_teams.py: ", &["pjsua2"]),
    ("interop/pjsua_transfers.py: ", &["pjsua2"]),
    ("interop/pjsua_bypass.py: ", &["pjsua2"]),
    ("interop/kamailio_hub.py: ", &["Kamailio"]),
    ("interop/sipp_carrier.py: ", &["pjsua2", "SIPp"]),
    ("interop/sipp_habits.py: ", &["pjsua2", "SIPp"]),
    ("interop/baresip_carrier.py: ", &["pjsua2", "baresip"]),
    ("interop/nat.py: ", &["pjsua2"]),
];

/// Who takes part in these tests: others' software, our own simulators in whole calls, or nobody.
fn peers_of(tests: &[String]) -> String {
    let mut peers = BTreeSet::new();
    for test in tests {
        let script = FOREIGN.iter().find(|(script, _)| test.starts_with(script));
        peers.extend(script.map(|(_, peers)| peers.iter().copied()).into_iter().flatten());
        if test.starts_with("media::tests::checks::") || test.starts_with("behaviour::media_bypass::") {
            peers.insert("is (another project's ICE agent)");
        }
    }
    // These modules call nobody.
    let alone = ["behaviour::nothing_panics_on_bytes::", "behaviour::conformance::"];
    let simulated = |test: &String| {
        let called = ["behaviour::", "sim::", "cli::doctor::tests::hubs::"];
        called.iter().any(|module| test.starts_with(module)) && !alone.iter().any(|module| test.starts_with(module))
    };
    let mut peers: Vec<&str> = peers.into_iter().collect();
    if tests.iter().any(simulated) {
        peers.push("own simulator");
    }
    match peers[..] {
        [] => "none".to_owned(),
        ["own simulator"] => "own simulator only".to_owned(),
        _ => peers.join(", "),
    }
}

/// What is wrong with a rule's entry.
fn mistakes(rule: &Rule, places: &Places) -> Vec<String> {
    let mut found = Vec::new();
    if rule.state == State::Kept && (rule.tests.is_empty() || !rule.missing.is_empty()) {
        found.push("it is kept: it has a test, and nothing is missing".to_owned());
    }
    if rule.state != State::Kept && rule.missing.is_empty() {
        found.push("`missing` says what is not kept".to_owned());
    }
    if rule.title.is_empty() || rule.peer.is_empty() || (rule.how.is_empty() && rule.state <= State::Partly) {
        found.push("`title`, `how` and `peer` are filled".to_owned());
    }
    let peers = peers_of(&rule.tests);
    if rule.peer != peers {
        found.push(format!("by its tests `peer` is \"{peers}\""));
    }
    found.extend(rule.tests.iter().filter_map(|test| places.lacks(test)));
    found
}

/// Where tests stand.
struct Places {
    library: Vec<SourceFile>,
}

impl Places {
    /// Says so when there is no such test.
    fn lacks(&self, test: &str) -> Option<String> {
        let stands = if let Some((script, label)) = test.strip_prefix("interop/").and_then(|rest| rest.split_once(": "))
        {
            let file = source::root().join("tests/interop").join(script);
            std::fs::read_to_string(file).is_ok_and(|text| text.contains(label))
        } else if let Some((module, name)) = test.strip_prefix("behaviour::").and_then(|rest| rest.rsplit_once("::")) {
            let module = module.split("::").next().unwrap_or(module);
            let file = source::root().join(format!("tests/behaviour/{module}.rs"));
            std::fs::read_to_string(file).is_ok_and(|text| declares(&text, name))
        } else {
            let (module, name) = test.rsplit_once("::")?;
            let parts: Vec<&str> = module.split("::").collect();
            let files: Vec<String> = (1..=parts.len())
                .flat_map(|count| {
                    let path = parts[..count].join("/");
                    [format!("{path}.rs"), format!("{path}/mod.rs")]
                })
                .collect();
            let mut files = self.library.iter().filter(|file| files.contains(&file.name));
            files.any(|file| declares(&file.text, name))
        };
        (!stands).then(|| format!("no test `{test}`"))
    }
}

fn declares(text: &str, name: &str) -> bool {
    text.contains(&format!("fn {name}("))
}

/// How many of its tests passed when that was last recorded.
fn result(rule: &Rule, results: &Results) -> String {
    let count = rule.tests.len();
    match results.rules.get(&rule.id.to_string()) {
        _ if count == 0 => "no test".to_owned(),
        Some([passed, of]) if *of == count => format!("{passed} of {count} passed"),
        _ => "not recorded since its tests changed".to_owned(),
    }
}

/// The page.
fn page(contract: &Contract, results: &Results) -> String {
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for rule in &contract.rules {
        *counts.entry(rule.state).or_default() += 1;
    }
    let count = |state| counts.get(&state).copied().unwrap_or(0);
    let mut page = format!(
        "# What Teams expects of an SBC, rule by rule\n\n\
         Printed from `tests/data/teams/rules.toml`; a test keeps it fresh. {} rules are kept, {} partly, {} are open, {} are not\n\
         an SBC's to keep.\n\n\
         *Peer* is who was at the other end in the tests: software that others wrote, or our own simulator; *none* where bytes,\n\
         files and the test's own clock are enough. *Confirmed* is a rule of which nothing is left for a live tenant to show: it stands\n\
         in Microsoft's texts, was seen in traces of its hubs, or is our own side's business. The others await a tenant, and nothing\n\
         here was seen on one. *Result* is what `tests/run` saw{}; it says so after each run in `target/teams-conformance.txt`.\n\n\
         | rule | level | what Teams expects | state | how it is kept | tests | peer | confirmed | result |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        count(State::Kept),
        count(State::Partly),
        count(State::Open),
        count(State::Outside),
        match results.commit.as_str() {
            "" => String::new(),
            commit => format!(" at commit {commit}"),
        },
    );
    for rule in &contract.rules {
        let mut how = rule.how.clone();
        let more = [("Missing", &rule.missing), ("Measured", &rule.measured)];
        for (title, text) in more.iter().filter(|(_, text)| !text.is_empty()) {
            if !how.is_empty() {
                how.push_str("<br>");
            }
            let _infallible = write!(how, "*{title}:* {text}");
        }
        let tests: Vec<String> = rule.tests.iter().map(|test| format!("`{test}`")).collect();
        let _infallible = writeln!(
            page,
            "| TEAMS-{:03} | {} | {} | {} | {} | {} | {} | {} | {} |",
            rule.id,
            rule.level.word(),
            rule.title,
            rule.state.word(),
            how,
            tests.join("<br>"),
            rule.peer,
            match rule.awaits.as_str() {
                "" => "confirmed".to_owned(),
                awaits => format!("awaits a tenant: {awaits}"),
            },
            result(rule, results)
        );
    }
    page.push_str("\n## What can't be done here\n\n");
    for Outside { title, why } in &contract.outside {
        let _infallible = writeln!(page, "- **{title}** {why}");
    }
    page
}

fn results() -> Results {
    let file = source::root().join("tests/data/teams/results.toml");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    match text.is_empty() {
        true => Results::default(),
        false => toml::from_str(&text).unwrap_or_else(|error| panic!("{error}")),
    }
}

#[test]
fn every_rule_stands_once_with_tests_that_exist() {
    let contract = contract();
    let ids: Vec<u16> = contract.rules.iter().map(|rule| rule.id).collect();
    assert_eq!(ids, (1..=LAST).collect::<Vec<_>>(), "each rule once, in order");
    let places = Places { library: source::all() };
    let wrong: Vec<String> = contract
        .rules
        .iter()
        .flat_map(|rule| {
            let id = rule.id;
            mistakes(rule, &places)
                .into_iter()
                .map(move |mistake| format!("TEAMS-{id:03}: {mistake}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_entry_without_a_test_and_a_test_that_is_not_there_are_found() {
    let places = Places { library: source::all() };
    let mut rule = Rule {
        id: 1,
        level: Level::Must,
        title: "a title".into(),
        state: State::Kept,
        how: "somehow".into(),
        tests: Vec::new(),
        peer: "none".into(),
        measured: String::new(),
        awaits: String::new(),
        missing: String::new(),
    };
    assert_eq!(mistakes(&rule, &places).len(), 1);
    rule.tests = [
        "call::tests::holding::nothing_of_that_name",
        "interop/nat.py: no such label",
        "behaviour::house::no",
    ]
    .map(str::to_owned)
    .to_vec();
    // And its peers are others.
    assert_eq!(mistakes(&rule, &places).len(), 4);
    rule.tests =
        ["behaviour::conformance::an_entry_without_a_test_and_a_test_that_is_not_there_are_found".to_owned()].to_vec();
    assert_eq!(mistakes(&rule, &places), Vec::<String>::new());
    rule.state = State::Open;
    assert_eq!(mistakes(&rule, &places).len(), 1);
}

#[test]
fn the_page_is_printed_from_the_rules() {
    let page = page(&contract(), &results());
    let file = source::root().join(PAGE);
    if std::env::var_os("PORTCULLIS_UPDATE").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let stands = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(stands == page, "{PAGE} is not fresh; PORTCULLIS_UPDATE=1 writes it");
}
