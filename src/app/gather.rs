//! Keys that are gathered for an application: how many, until which, how long.

use super::verb;
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// More keys than anybody can want.
const MOST_KEYS: usize = 128;

/// A collection of keys under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Gather {
    keys: String,
    exactly: Option<u16>,
    least: Option<u16>,
    most: Option<u16>,
    finish: Option<char>,
    timeout: Option<Duration>,
    between: Option<Duration>,
    due: Option<Moment>,
}

/// How a collection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// These keys, without the one that finished them.
    Digits(String),
    /// Not enough keys in time.
    Timeout,
}

impl Gather {
    /// What a gather verb wants; its time runs from [`Gather::start`].
    pub fn new(verb: &verb::Gather) -> Gather {
        Gather {
            keys: String::new(),
            exactly: verb.num_digits,
            least: verb.min_digits,
            most: verb.max_digits,
            finish: verb.finish_on_key,
            timeout: Some(verb.timeout).filter(|timeout| !timeout.is_zero()),
            between: verb.inter_digit_timeout,
            due: None,
        }
    }

    /// The prompt is over, or there is none.
    pub fn start(&mut self, now: Moment) {
        if self.due.is_none() {
            self.due = self.timeout.map(|timeout| now + timeout);
        }
    }

    /// A key was pressed.
    pub fn digit(&mut self, key: char, now: Moment) -> Option<Outcome> {
        self.start(now);
        if self.finish == Some(key) {
            return Some(Outcome::Digits(std::mem::take(&mut self.keys)));
        }
        self.keys.push(key);
        let enough = |limit: Option<u16>| limit.is_some_and(|limit| self.keys.len() >= usize::from(limit));
        if enough(self.exactly) || enough(self.most) || self.keys.len() >= MOST_KEYS {
            return Some(Outcome::Digits(std::mem::take(&mut self.keys)));
        }
        // The pause between keys ends a collection only once enough of them came.
        if let (Some(between), true) = (self.between, enough(self.least)) {
            self.due = Some(now + between);
        } else if let Some(timeout) = self.timeout {
            self.due = Some(now + timeout);
        }
        None
    }

    /// When [`Gather::expired`] is due.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.due
    }

    /// Time has passed.
    pub fn expired(&mut self, now: Moment) -> Option<Outcome> {
        self.due.filter(|due| *due <= now)?;
        let enough = self.least.is_some_and(|least| self.keys.len() >= usize::from(least));
        Some(match enough {
            true => Outcome::Digits(std::mem::take(&mut self.keys)),
            false => Outcome::Timeout,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(json: &str) -> Gather {
        let verbs = verb::parse_application(json.as_bytes()).unwrap();
        match &verbs[..] {
            [verb::Verb::Gather(verb)] => Gather::new(verb),
            other => panic!("{other:?}"),
        }
    }

    const START: Moment = Moment::from_micros(0);

    #[test]
    fn a_number_of_keys_or_the_key_that_finishes() {
        let mut two = gather(r#"{"verb":"gather","numDigits":2}"#);
        assert_eq!(two.digit('1', START), None);
        assert_eq!(two.digit('2', START), Some(Outcome::Digits("12".into())));
        let mut pound = gather(r##"{"verb":"gather","finishOnKey":"#","maxDigits":4}"##);
        assert_eq!(pound.digit('1', START), None);
        assert_eq!(pound.digit('#', START), Some(Outcome::Digits("1".into())));
    }

    #[test]
    fn too_few_keys_time_out_and_enough_of_them_count() {
        let mut least = gather(r#"{"verb":"gather","minDigits":2,"interDigitTimeout":2,"timeout":10}"#);
        least.start(START);
        assert_eq!(least.next_timeout(), Some(START + Duration::from_secs(10)));
        least.digit('1', START);
        assert_eq!(least.expired(START + Duration::from_secs(9)), None);
        least.digit('2', START);
        assert_eq!(least.next_timeout(), Some(START + Duration::from_secs(2)));
        assert_eq!(
            least.expired(START + Duration::from_secs(2)),
            Some(Outcome::Digits("12".into()))
        );
        let mut none = gather(r#"{"verb":"gather","timeout":10}"#);
        none.start(START);
        none.digit('1', START);
        assert_eq!(none.expired(START + Duration::from_secs(10)), Some(Outcome::Timeout));
        let mut patient = gather(r#"{"verb":"gather","timeout":0}"#);
        patient.start(START);
        assert_eq!(patient.next_timeout(), None);
    }
}
