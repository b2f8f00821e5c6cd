//! Which telephone numbers a tenant's calls may reach (TEAMS-109): premium numbers and countries that nobody there calls are
//! what a stolen password is used for.

use super::names::Invalid;
use std::fmt;

/// The beginning of a number: `+44`, or `*` and digits of what is dialled without a plus.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DialPrefix(Box<str>);

impl DialPrefix {
    /// Reads `+` and 1 to 15 digits, or 1 to 15 digits, `*` and `#`.
    pub fn parse(text: &str) -> Result<DialPrefix, Invalid> {
        const EXPECTED: Invalid =
            Invalid("the beginning of a number, such as \"+44\", or of a code, such as \"*\" or \"1800\"");
        let of_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        let of_code = |code: &str| {
            code.bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'#'))
        };
        let (rest, fits) = match text.strip_prefix('+') {
            Some(digits) => (digits, of_number(digits)),
            None => (text, of_code(text)),
        };
        match fits && (1..=15).contains(&rest.len()) {
            true => Ok(DialPrefix(text.into())),
            false => Err(EXPECTED),
        }
    }

    fn is_of_numbers(&self) -> bool {
        self.0.starts_with('+')
    }
}

impl fmt::Display for DialPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lists of a tenant; both empty: everything may be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destinations {
    pub allow: Vec<DialPrefix>,
    pub deny: Vec<DialPrefix>,
    /// Calls through carriers in a day.
    pub calls_per_day: Option<u32>,
}

/// What the lists say of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Nobody says anything.
    Open,
    Allowed(&'a DialPrefix),
    Denied(&'a DialPrefix),
    /// Nothing in `allow` is its beginning.
    Unlisted,
}

impl Destinations {
    /// The longest beginning decides. Where none is listed, a number passes unless `allow` lists numbers, and what has no
    /// plus does not: behind `00` or `9` it may be any number.
    pub fn verdict(&self, callee: &str) -> Verdict<'_> {
        let longest = |list: &'_ [DialPrefix]| {
            let position = (0..list.len()).filter(|at| callee.starts_with(&*list[*at].0));
            position.max_by_key(|at| list[*at].0.len())
        };
        let allowed = longest(&self.allow).and_then(|at| self.allow.get(at));
        let denied = longest(&self.deny).and_then(|at| self.deny.get(at));
        let length = |prefix: Option<&DialPrefix>| prefix.map_or(0, |prefix| prefix.0.len());
        match (allowed, denied) {
            (_, Some(denied)) if length(Some(denied)) >= length(allowed) => Verdict::Denied(denied),
            (Some(allowed), _) => Verdict::Allowed(allowed),
            _ if self.allow.is_empty() && self.deny.is_empty() => Verdict::Open,
            _ if callee.starts_with('+') && !self.allow.iter().any(DialPrefix::is_of_numbers) => Verdict::Open,
            _ => Verdict::Unlisted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<DialPrefix> {
        let parse = |text: &&str| DialPrefix::parse(text).expect("a prefix");
        texts.iter().map(parse).collect()
    }

    #[test]
    fn teams_109_the_longest_beginning_decides() {
        let lists = |allow: &[&str], deny: &[&str]| Destinations {
            allow: prefixes(allow),
            deny: prefixes(deny),
            calls_per_day: None,
        };
        for (allow, deny, callee, passes) in [
            (&[][..], &[][..], "+19005550100", true),
            (&[], &[], "0019005550100", true),
            (&[], &["+1900"], "+19005550100", false),
            (&[], &["+1900"], "+12065550100", true),
            (&[], &["+1900"], "0019005550100", false),
            (&["*"], &["+1900"], "*21", true),
            (&["*"], &["+1900"], "+12065550100", true),
            (&["+1", "+44"], &["+1900", "+44871"], "+442079460100", true),
            (&["+1", "+44"], &["+1900", "+44871"], "+448715550100", false),
            (&["+1", "+44"], &["+1900"], "+4915112345678", false),
            (&["+1", "+19005550100"], &["+1900"], "+19005550100", true),
            (&["+1"], &[], "00441234", false),
        ] {
            let lists = lists(allow, deny);
            let verdict = lists.verdict(callee);
            let may = matches!(verdict, Verdict::Open | Verdict::Allowed(_));
            assert_eq!(may, passes, "{allow:?} {deny:?} {callee}: {verdict:?}");
        }
    }

    #[test]
    fn what_begins_no_number_is_refused() {
        for text in ["", "+", "+0", "44 20", "+44-20", "x", "1234567890123456"] {
            assert!(DialPrefix::parse(text).is_err(), "{text}");
        }
    }
}
