//! Filters and pages of lists.

use super::problem::Problem;
use crate::app::payload::Status;
use serde_json::{Map, Value};

/// The most entries of one answer, and their number where the client says none.
pub(super) const MOST: usize = 500;

const DIRECTIONS: [&str; 2] = ["inbound", "outbound"];

/// A word of jambonz' that clients may ask for; no call is ever said to be so.
const QUEUED: &str = "queued";

/// Every name that a query may have.
const NAMES: [&str; 6] = ["direction", "from", "to", "callStatus", "page", "count"];

/// What one filter accepts, where that is a list of words.
pub(super) fn words_of(name: &str) -> Option<Vec<&'static str>> {
    match name {
        "direction" => Some(DIRECTIONS.to_vec()),
        "callStatus" => Some(Status::ALL.map(Status::as_str).into_iter().chain([QUEUED]).collect()),
        _ => None,
    }
}

/// Which calls of an account are listed.
#[derive(Debug)]
pub(super) struct CallFilter {
    /// Properties of a call and what they have to be.
    wanted: Vec<(&'static str, Wanted)>,
    page: usize,
    count: usize,
}

#[derive(Debug)]
enum Wanted {
    Word(String),
    /// As [`written_alike`] has it.
    Party(String),
}

impl CallFilter {
    /// Reads the pairs of a query. What would silently find nothing, or everything, is a problem.
    pub(super) fn read(query: Vec<(String, String)>) -> Result<CallFilter, Problem> {
        let mut filter = CallFilter {
            wanted: Vec::new(),
            page: 1,
            count: MOST,
        };
        let mut seen = Vec::new();
        for (name, value) in query {
            if seen.contains(&name) {
                return Err(Problem::new(400, format!("{}: it stands twice", excerpt(&name))));
            }
            match name.as_str() {
                "direction" => filter.wanted.push(("direction", word("direction", &value)?)),
                "callStatus" => filter.wanted.push(("call_status", word("callStatus", &value)?)),
                "from" => filter.wanted.push(("from", party("from", &value)?)),
                "to" => filter.wanted.push(("to", party("to", &value)?)),
                "page" => filter.page = whole("page", &value, usize::MAX)?,
                "count" => filter.count = whole("count", &value, MOST)?,
                unknown => return Err(unknown_filter(unknown, &NAMES)),
            }
            seen.push(name);
        }
        Ok(filter)
    }

    /// The asked page of what passes.
    pub(super) fn apply(&self, calls: Vec<Map<String, Value>>) -> Vec<Map<String, Value>> {
        let passes = |call: &Map<String, Value>| {
            self.wanted.iter().all(|(name, wanted)| {
                let given = call.get(*name).and_then(Value::as_str);
                given.is_some_and(|given| match wanted {
                    Wanted::Word(word) => given == word,
                    Wanted::Party(party) => written_alike(given) == *party,
                })
            })
        };
        let first = (self.page - 1).saturating_mul(self.count);
        let passing = calls.into_iter().filter(passes);
        passing.skip(first).take(self.count).map(scalars).collect()
    }
}

/// A list that is shown whole has no filters.
pub(super) fn no_filters(query: &[(String, String)]) -> Result<(), Problem> {
    match query.first() {
        Some((name, _)) => Err(unknown_filter(name, &[])),
        None => Ok(()),
    }
}

fn unknown_filter(name: &str, known: &[&str]) -> Problem {
    let known = match known {
        [] => "everything is told".to_owned(),
        known => format!("{} are known", known.join(", ")),
    };
    Problem::new(400, format!("{}: there is no such filter; {known}", excerpt(name)))
}

fn word(name: &str, value: &str) -> Result<Wanted, Problem> {
    let known = words_of(name).unwrap_or_default();
    match known.contains(&value) {
        true => Ok(Wanted::Word(value.to_owned())),
        false => Err(Problem::new(
            400,
            format!("{name}: '{}' is none of {}", excerpt(value), known.join(", ")),
        )),
    }
}

fn party(name: &str, value: &str) -> Result<Wanted, Problem> {
    match value.trim().is_empty() {
        true => Err(Problem::new(
            400,
            format!("{name}: it is empty; leave it out to have all calls"),
        )),
        false => Ok(Wanted::Party(written_alike(value))),
    }
}

/// 1 to `most`.
fn whole(name: &str, value: &str, most: usize) -> Result<usize, Problem> {
    let number = value.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| {
        let expected = match most {
            usize::MAX => "a whole number from 1 on".to_owned(),
            most => format!("a whole number from 1 to {most}"),
        };
        Problem::new(400, format!("{name}: '{}' is not {expected}", excerpt(value)))
    })
}

/// A number without its plus, everything else as it stands. A plus that is written as such in a query arrives as a space, and
/// many leave it away.
fn written_alike(party: &str) -> String {
    let party = party.replace(' ', "+");
    match party.strip_prefix('+') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) => digits.to_owned(),
        _ => party,
    }
}

/// As much of what a client wrote as a sentence bears.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Without nested properties: what an application attached is not listed.
pub(super) fn scalars(call: Map<String, Value>) -> Map<String, Value> {
    let flat = |value: &Value| !value.is_object() && !value.is_array();
    call.into_iter().filter(|(_, value)| flat(value)).collect()
}
