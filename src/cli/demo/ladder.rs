//! The SIP ladder of one call: three columns, an arrow for each message.

use super::witness::Arrow;
use crate::call::CallRecord;
use crate::observe::Way;
use serde::Serialize;

/// Letters between two columns.
const SPAN: usize = 35;

/// A ladder, as data and as text.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Ladder {
    pub(super) call: String,
    pub(super) rungs: Vec<Rung>,
}

/// One message.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Rung {
    /// Milliseconds since the call's first message.
    pub(super) at_ms: f64,
    /// `carrier` or `Teams`: portcullis is the other end.
    pub(super) side: &'static str,
    pub(super) to_portcullis: bool,
    pub(super) what: String,
    pub(super) method: String,
    pub(super) has_sdp: bool,
}

impl Ladder {
    /// The arrows of one record's call.
    pub(super) fn of(record: &CallRecord, arrows: &[Arrow]) -> Ladder {
        let shown = |side| if side == "teams" { "Teams" } else { side };
        let (from, to) = record.facts.direction.sides();
        let sides = [shown(from), shown(to)];
        let own: Vec<&Arrow> = arrows.iter().filter(|arrow| arrow.call == record.call).collect();
        let begin = own.first().map(|arrow| arrow.at).unwrap_or_default();
        let rungs = own.iter().map(|arrow| Rung {
            at_ms: arrow.at.since(begin).as_secs_f64() * 1000.0,
            side: sides[usize::from(arrow.leg > 0)],
            to_portcullis: arrow.way == Way::In,
            what: arrow.what.clone(),
            method: arrow.method.clone(),
            has_sdp: arrow.has_sdp,
        });
        Ladder {
            call: record.call.clone(),
            rungs: rungs.collect(),
        }
    }

    /// A line each, under their heading.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:>9}  carrier{}portcullis{}Teams",
            "ms",
            " ".repeat(SPAN - 8),
            " ".repeat(SPAN - 8)
        )];
        lines.extend(self.rungs.iter().map(Rung::line));
        lines
    }
}

impl Rung {
    fn line(&self) -> String {
        let mut what = self.what.clone();
        if self.what.starts_with(|letter: char| letter.is_ascii_digit()) && self.method != "INVITE" {
            what = format!("{what} ({})", self.method);
        }
        if self.has_sdp {
            what.push_str(" [SDP]");
        }
        let rightward = (self.side == "carrier") == self.to_portcullis;
        let arrow = arrow(&what, rightward);
        let empty = " ".repeat(SPAN);
        let (left, right) = match self.side {
            "carrier" => (arrow, empty),
            _ => (empty, arrow),
        };
        format!("{:>9.1}     |{left}|{right}|", self.at_ms)
    }
}

/// ` --- INVITE [SDP] ---> ` over the whole span.
fn arrow(what: &str, rightward: bool) -> String {
    // A blank at both ends and the head.
    let room = SPAN.saturating_sub(3);
    let what: String = what.chars().take(room.saturating_sub(6)).collect();
    let dashes = room.saturating_sub(what.chars().count() + 2);
    let before = dashes / 2;
    let body = format!("{} {what} {}", "-".repeat(before), "-".repeat(dashes - before));
    match rightward {
        true => format!(" {body}> "),
        false => format!(" <{body} "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_from_the_sender() {
        let rung = |side, to_portcullis, what: &str| Rung {
            at_ms: 12.34,
            side,
            to_portcullis,
            what: what.to_owned(),
            method: "INVITE".to_owned(),
            has_sdp: what == "INVITE",
        };
        let lines = [
            rung("carrier", true, "INVITE").line(),
            rung("Teams", false, "INVITE").line(),
            rung("Teams", true, "180 Ringing").line(),
            rung("carrier", false, "180 Ringing").line(),
        ];
        let empty = " ".repeat(SPAN);
        assert_eq!(
            lines,
            [
                format!("     12.3     | --------- INVITE [SDP] ---------> |{empty}|"),
                format!("     12.3     |{empty}| --------- INVITE [SDP] ---------> |"),
                format!("     12.3     |{empty}| <--------- 180 Ringing ---------- |"),
                format!("     12.3     | <--------- 180 Ringing ---------- |{empty}|"),
            ]
        );
        assert!(arrow("183 Session Progress [SDP]", true).contains("[SDP]"));
        assert_eq!(arrow(&"x".repeat(80), true).chars().count(), SPAN);
    }
}
