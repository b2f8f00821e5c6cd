//! The map of final codes between carriers and Teams, both ways: what goes on of an answer, by its status and the Q.850 cause
//! of its Reason. `docs/codes.md` is printed from the same rows.
//!
//! 408, 503 and 504 make Teams try its next SBC, every other 4xx and all 6xx end the call there (TEAMS-046): what the called
//! party said is never told by one of these.

use crate::sip::header::Reason;
use crate::sip::message::reason_phrase;

/// One row of the map; the first that fits counts, and what none fits goes on as it came.
#[derive(Debug)]
pub struct Row {
    /// Final statuses, the first and the last of each span.
    pub came: &'static [(u16, u16)],
    /// Q.850 causes of which one has to stand there; empty: with any, or with none.
    pub causes: &'static [u16],
    /// The status that goes on.
    pub goes: u16,
    /// The Q.850 cause that goes on instead of the one that came.
    pub cause: Option<u16>,
    /// What it means, for the page.
    pub means: &'static str,
}

/// A final answer as it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub status: u16,
    pub phrase: &'static str,
    /// Values of Reason.
    pub reasons: Vec<String>,
}

/// Statuses that say little of themselves: a Q.850 cause beside them says more.
const VAGUE: &[(u16, u16)] = &[(401, 401), (407, 407), (408, 408), (420, 422), (480, 480), (500, 599)];

/// What Teams' next SBC is tried on, where a trunk's FailoverResponseCodes are the default ones (TEAMS-046).
const FAILOVER: [u16; 3] = [408, 503, 504];

/// From whoever is called to Teams.
pub const TO_TEAMS: &[Row] = &[
    row(VAGUE, &[17], 486, "the called party is busy"),
    row(VAGUE, &[21], 603, "the called party said no"),
    row(VAGUE, &[1], 404, "nobody has the number"),
    row(VAGUE, &[22], 410, "the number has changed"),
    row(VAGUE, &[28], 484, "the number is incomplete"),
    row(VAGUE, &[18, 19, 20], 480, "nobody answers there"),
    row(
        &[(480, 480)],
        &[34, 38, 41, 42, 44, 47, 58],
        503,
        "the network fails, or is full: another SBC may help",
    ),
    row(&[(300, 399)], &[], 480, "a redirection: it is not followed"),
    row(
        &[(401, 401), (407, 407)],
        &[],
        503,
        "the carrier does not take our password: another SBC may help",
    ),
    row(
        &[(420, 422)],
        &[],
        503,
        "something between us and the carrier: another SBC may help",
    ),
    row(&[(500, 599)], &[], 503, "the carrier can't serve: another SBC may help"),
    row(&[(600, 600)], &[], 486, "busy everywhere"),
    row(&[(604, 604)], &[], 404, "the number exists nowhere"),
    row(&[(606, 606)], &[], 488, "no media in common"),
    row(&[(607, 608)], &[], 603, "the call is unwanted"),
];

/// From Teams to whoever has called.
pub const FROM_TEAMS: &[Row] = &[
    Row {
        cause: Some(17),
        ..row(
            &[(486, 486)],
            &[34],
            486,
            "the user is busy: Teams maps by NICC ND1017, and 34, \"no circuit\", would have carriers try another route",
        )
    },
    row(
        &[(410, 410)],
        &[],
        480,
        "no media got through: no word about the number, which 410 would be",
    ),
    row(&[(412, 412)], &[], 484, "the number is malformed"),
];

/// Q.850 causes that are the called party's own word: busy, rang and was not answered, said no.
const WORDS_OF_USERS: [u16; 3] = [17, 19, 21];

const fn row(came: &'static [(u16, u16)], causes: &'static [u16], goes: u16, means: &'static str) -> Row {
    Row {
        came,
        causes,
        goes,
        cause: None,
        means,
    }
}

/// What is made of a Q.850 cause on its way, with this status or with any, in words: where the map names it.
pub fn what_goes_on(cause: u16, status: Option<u16>) -> Vec<String> {
    let ways = [
        ("From Teams to carriers", FROM_TEAMS),
        ("From carriers to Teams", TO_TEAMS),
    ];
    let rows = ways
        .into_iter()
        .flat_map(|(way, rows)| rows.iter().map(move |row| (way, row)));
    rows.filter(|(_, row)| row.causes.contains(&cause) && status.is_none_or(|status| row.is_of(status)))
        .map(|(way, row)| {
            let with = row
                .cause
                .map(|cause| format!(" with cause {cause}"))
                .unwrap_or_default();
            let (came, goes, phrase) = (row.came_text(), row.goes, reason_phrase(row.goes));
            format!("{way}, {came} with it goes on as {goes} {phrase}{with}: {}", row.means)
        })
        .collect()
}

impl Row {
    fn is_of(&self, status: u16) -> bool {
        self.came.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    fn came_text(&self) -> String {
        let spans = self.came.iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        });
        spans.collect::<Vec<_>>().join(", ")
    }

    fn fits(&self, status: u16, cause: Option<u16>) -> bool {
        let is_known = |known: &u16| cause == Some(*known);
        self.is_of(status) && (self.causes.is_empty() || self.causes.iter().any(is_known))
    }

    /// Whether the answer goes on as another one.
    fn changes(&self, status: u16) -> bool {
        self.goes != status || self.cause.is_some()
    }
}

/// What Teams is told of a final answer; `None`: the answer itself. What came stands in its Reason, too. Where it `rang`
/// nothing has Teams try its next SBC, which would ring the same phone again.
pub fn to_teams(status: u16, reasons: &[String], rang: bool) -> Option<Told> {
    let goes = row_for(TO_TEAMS, status, reasons).map_or(status, |row| row.goes);
    let goes = if rang && FAILOVER.contains(&goes) { 480 } else { goes };
    let came = Reason::new("SIP", status, Some(reason_phrase(status))).to_string();
    (goes != status).then(|| Told {
        status: goes,
        phrase: reason_phrase(goes),
        reasons: reasons.iter().cloned().chain([came]).collect(),
    })
}

/// What a carrier or a device is told of a final answer; `None`: the answer itself. Where it `rang` nothing has it try another
/// route, by which the same phone would ring again.
pub fn to_others(status: u16, reasons: &[String], rang: bool) -> Option<Told> {
    let advances = matches!(status, 408 | 500..=599);
    (rang && advances).then(|| Told {
        status: 480,
        phrase: reason_phrase(480),
        reasons: reasons.to_vec(),
    })
}

/// What a caller is told of a final answer of Teams; `None`: the answer itself.
pub fn from_teams(status: u16, reasons: &[String]) -> Option<Told> {
    let row = row_for(FROM_TEAMS, status, reasons)?;
    row.changes(status).then(|| Told {
        status: row.goes,
        phrase: reason_phrase(row.goes),
        reasons: match row.cause.zip(q850(reasons)) {
            Some((goes, came)) => reasons.iter().map(|value| with_cause(value, came, goes)).collect(),
            None => reasons.to_vec(),
        },
    })
}

/// Whether the called party has decided, whatever the status says: nobody else is asked for it (TEAMS-064).
pub fn is_users_word(reasons: &[String]) -> bool {
    q850(reasons).is_some_and(|cause| WORDS_OF_USERS.contains(&cause))
}

fn row_for<'a>(rows: &'a [Row], status: u16, reasons: &[String]) -> Option<&'a Row> {
    let cause = q850(reasons);
    rows.iter().find(|row| row.fits(status, cause))
}

/// The first Q.850 cause.
fn q850(reasons: &[String]) -> Option<u16> {
    reasons.iter().find_map(|value| {
        let reason: Reason = value.parse().ok()?;
        reason.cause.filter(|_| reason.is_q850())
    })
}

/// A value of Reason with one Q.850 cause for another.
fn with_cause(value: &str, came: u16, goes: u16) -> String {
    match value.parse::<Reason>() {
        Ok(reason) if reason.is_q850() && reason.cause == Some(came) => Reason {
            cause: Some(goes),
            ..reason
        }
        .to_string(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;
    use std::path::Path;

    fn with(cause: u16) -> Vec<String> {
        vec![format!("Q.850;cause={cause};text=\"as the switch said\"")]
    }

    /// The status that Teams is told.
    fn told(status: u16, cause: Option<u16>) -> u16 {
        let reasons = cause.map(with).unwrap_or_default();
        to_teams(status, &reasons, false).map_or(status, |told| told.status)
    }

    #[test]
    fn teams_046_another_sbc_is_tried_where_it_may_help() {
        for status in [401, 407, 420, 421, 422, 500, 501, 502, 503, 504, 505, 513, 580] {
            assert_eq!(told(status, None), 503, "{status}");
            for network in [3, 27, 34, 38, 41, 42, 47, 102, 127] {
                assert_eq!(told(status, Some(network)), 503, "{status} with {network}");
            }
        }
        for network in [34, 38, 41, 42, 44, 47, 58] {
            assert_eq!(told(480, Some(network)), 503);
        }
        assert_eq!(
            (told(480, None), told(480, Some(27)), told(480, Some(31))),
            (480, 480, 480)
        );
        assert_eq!((told(408, None), told(408, Some(102))), (408, 408));
    }

    #[test]
    fn teams_046_064_what_the_called_party_said_is_never_retried() {
        for status in 300..=699 {
            for word in WORDS_OF_USERS {
                assert!(is_users_word(&with(word)));
                assert!(!FAILOVER.contains(&told(status, Some(word))), "{status} with {word}");
            }
        }
        for status in [302, 403, 404, 410, 484, 486, 487, 488, 600, 603, 604, 606, 607, 608] {
            for cause in [None, Some(17), Some(34), Some(41), Some(127)] {
                assert!(!FAILOVER.contains(&told(status, cause)), "{status} with {cause:?}");
            }
        }
        assert!(!is_users_word(&with(34)) && !is_users_word(&["SIP;cause=17".into()]));
    }

    #[test]
    fn teams_047_a_cause_says_more_than_a_vague_status() {
        for status in [408, 480, 500, 502, 503, 504] {
            let causes = [
                (17, 486),
                (21, 603),
                (1, 404),
                (22, 410),
                (28, 484),
                (18, 480),
                (19, 480),
                (20, 480),
            ];
            for (cause, wanted) in causes {
                assert_eq!(told(status, Some(cause)), wanted, "{status} with {cause}");
            }
        }
        // A status that says it itself stands.
        for (status, cause) in [(404, 17), (484, 1), (486, 34), (603, 17), (403, 21)] {
            assert_eq!(told(status, Some(cause)), status);
        }
        for (status, wanted) in [(302, 480), (600, 486), (604, 404), (606, 488), (607, 603), (608, 603)] {
            assert_eq!(told(status, None), wanted);
        }
    }

    #[test]
    fn teams_046_what_came_is_told_beside_it() {
        let heard = [String::from("Q.850;cause=38;text=\"a switch\""), "nonsense \"".into()];
        let wanted = Told {
            status: 503,
            phrase: "Service Unavailable",
            reasons: vec![
                heard[0].clone(),
                heard[1].clone(),
                "SIP;cause=502;text=\"Bad Gateway\"".into(),
            ],
        };
        assert_eq!(to_teams(502, &heard, false), Some(wanted));
        assert_eq!(to_teams(503, &heard, false), None);
        assert_eq!(to_teams(486, &with(34), false), None);
    }

    #[test]
    fn teams_046_nothing_lets_another_sbc_ring_whom_this_one_has_rung() {
        for status in 300..=699 {
            for cause in [None, Some(3), Some(17), Some(34), Some(102)] {
                let reasons = cause.map(with).unwrap_or_default();
                let rang = to_teams(status, &reasons, true);
                let goes = rang.as_ref().map_or(status, |told| told.status);
                match FAILOVER.contains(&told(status, cause)) {
                    true => assert_eq!(goes, 480, "{status} with {cause:?}"),
                    false => assert_eq!(goes, told(status, cause), "{status} with {cause:?}"),
                }
                if let Some(rang) = rang {
                    assert!(rang.reasons.starts_with(&reasons));
                    assert!(
                        rang.reasons
                            .last()
                            .is_some_and(|last| last.contains(&status.to_string()))
                    );
                }
            }
        }
    }

    #[test]
    fn teams_065_a_busy_user_is_no_full_trunk() {
        let heard = [
            "Q.850; cause=34;text=\"5f1d;busy;cause=34\"".to_owned(),
            "SIP;cause=34".to_owned(),
        ];
        let told = from_teams(486, &heard).expect("another");
        assert_eq!((told.status, told.phrase), (486, "Busy Here"));
        assert_eq!(
            told.reasons,
            ["Q.850;cause=17;text=\"5f1d;busy;cause=34\"", "SIP;cause=34"]
        );
        assert_eq!((from_teams(503, &heard), from_teams(486, &with(17))), (None, None));
    }

    #[test]
    fn of_teams_own_statuses_two_mean_something_else_to_carriers() {
        let status = |status| from_teams(status, &[]).map(|told| told.status);
        assert_eq!((status(410), status(412)), (Some(480), Some(484)));
        for untouched in (300..=699).filter(|status| ![410, 412].contains(status)) {
            assert_eq!(from_teams(untouched, &[]), None);
        }
    }

    fn table(rows: &[Row], head: &str) -> String {
        let list = |numbers: &mut dyn Iterator<Item = String>| numbers.collect::<Vec<_>>().join(", ");
        let mut text = format!("\n| {head} | with Q.850 | goes on as | means |\n| --- | --- | --- | --- |\n");
        for row in rows {
            let came = row.came_text();
            let causes = match row.causes.is_empty() {
                true => "any, or none".to_owned(),
                false => list(&mut row.causes.iter().map(u16::to_string)),
            };
            let cause = row.cause.map(|cause| format!(", Q.850 {cause}")).unwrap_or_default();
            let goes = format!("{} {}{cause}", row.goes, reason_phrase(row.goes));
            writeln!(text, "| {came} | {causes} | {goes} | {} |", row.means).expect("text");
        }
        text
    }

    /// The tables of the page are the rows of the map; `PORTCULLIS_UPDATE=1` writes them anew.
    #[test]
    fn the_page_shows_the_map() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/codes.md");
        let page = std::fs::read_to_string(&path).expect("docs/codes.md");
        let mut fresh = page.clone();
        for (name, rows, head) in [
            ("to Teams", TO_TEAMS, "the called side said"),
            ("from Teams", FROM_TEAMS, "Teams said"),
        ] {
            let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
            let (before, rest) = fresh.split_once(&begin).expect("the page has a begin mark");
            let (_, after) = rest.split_once(&end).expect("the page has an end mark");
            fresh = format!("{before}{begin}\n{}\n{end}{after}", table(rows, head));
        }
        if std::env::var_os("PORTCULLIS_UPDATE").is_some() {
            std::fs::write(&path, fresh).expect("write");
        } else {
            assert!(
                page == fresh,
                "docs/codes.md is not fresh; PORTCULLIS_UPDATE=1 writes it"
            );
        }
    }
}
