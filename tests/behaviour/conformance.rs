//! `tests/data/teams/rules.toml` is the contract of Teams, rule by rule: each rule stands there once, every test that it names
//! exists, and `docs/teams-conformance.md` is printed from it. `PORTCULLIS_UPDATE=1` writes the page anew.
//!
//! Whether the named tests passed is said by `tests/run`, which saw them.

use crate::source::{self, SourceFile};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The rules are numbered from 1 to this.
const LAST: u16 = 115;
const PAGE: &str = "docs/teams-conformance.md";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contract {
    rules: Vec<Rule>,
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
    /// Who was at the other end: `pjsua2`, `own simulator`, `none` where no peer is needed …
    peer: String,
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

/// The page.
fn page(contract: &Contract) -> String {
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for rule in &contract.rules {
        *counts.entry(rule.state).or_default() += 1;
    }
    let count = |state| counts.get(&state).copied().unwrap_or(0);
    let mut page = format!(
        "# What Teams expects of an SBC, rule by rule\n\n\
         Printed from `tests/data/teams/rules.toml`; a test keeps it fresh, and `tests/run` says for each rule whether its tests\n\
         passed (`target/teams-conformance.txt`). {} rules are kept, {} partly, {} are open, {} are not an SBC's to keep.\n\n\
         *Peer* is who was at the other end in the tests: software that others wrote, or our own simulator. What only a live\n\
         tenant can show is said in the rule's row; nothing here was seen on one.\n\n\
         | rule | level | what Teams expects | state | how it is kept | tests | peer |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
        count(State::Kept),
        count(State::Partly),
        count(State::Open),
        count(State::Outside),
    );
    for rule in &contract.rules {
        let mut how = rule.how.clone();
        let more = [("Missing", &rule.missing), ("Awaits a tenant", &rule.awaits)];
        for (title, text) in more.iter().filter(|(_, text)| !text.is_empty()) {
            if !how.is_empty() {
                how.push_str("<br>");
            }
            let _infallible = write!(how, "*{title}:* {text}");
        }
        let tests: Vec<String> = rule.tests.iter().map(|test| format!("`{test}`")).collect();
        let _infallible = writeln!(
            page,
            "| TEAMS-{:03} | {} | {} | {} | {} | {} | {} |",
            rule.id,
            rule.level.word(),
            rule.title,
            rule.state.word(),
            how,
            tests.join("<br>"),
            rule.peer
        );
    }
    page
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
    assert_eq!(mistakes(&rule, &places).len(), 3);
    rule.tests =
        ["behaviour::conformance::an_entry_without_a_test_and_a_test_that_is_not_there_are_found".to_owned()].to_vec();
    assert_eq!(mistakes(&rule, &places), Vec::<String>::new());
    rule.state = State::Open;
    assert_eq!(mistakes(&rule, &places).len(), 1);
}

#[test]
fn the_page_is_printed_from_the_rules() {
    let page = page(&contract());
    let file = source::root().join(PAGE);
    if std::env::var_os("PORTCULLIS_UPDATE").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let stands = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(stands == page, "{PAGE} is not fresh; PORTCULLIS_UPDATE=1 writes it");
}
