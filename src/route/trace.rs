//! The steps of a decision, as data: what `explain` prints and the CDR keeps.

use serde::{Deserialize, Serialize};

/// Bytes of a text that [`Trace::bounded`] keeps.
const LONGEST_KEPT: usize = 200;

/// One step: which rule looked at what, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceStep {
    /// A word that names the rule: `tenant`, `number`, `emergency`, `caller`, `carrier` …
    pub rule: String,
    /// What it looked at.
    pub subject: String,
    /// What came of it, in words.
    pub outcome: String,
}

/// Steps in the order they were taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace(pub Vec<TraceStep>);

impl Trace {
    /// Adds a step.
    pub fn step(&mut self, rule: &str, subject: impl Into<String>, outcome: impl Into<String>) {
        self.0.push(TraceStep {
            rule: rule.into(),
            subject: subject.into(),
            outcome: outcome.into(),
        });
    }

    /// The steps as a record keeps what applications cause: `most` at most and no long texts. Where there are more, the first
    /// ones stand there, how many were left out, and the last one, which says what came of it all.
    pub fn bounded(&self, most: usize) -> Vec<TraceStep> {
        let steps = &self.0;
        if steps.len() <= most {
            return steps.iter().map(TraceStep::bounded).collect();
        }
        let (first, last) = (most.saturating_sub(2), usize::from(most > 1));
        let more = TraceStep {
            rule: "more".into(),
            subject: String::new(),
            outcome: format!("{} steps are left out", steps.len() - first - last),
        };
        let kept = steps.iter().take(first).map(TraceStep::bounded);
        let end = steps.iter().skip(steps.len() - last).map(TraceStep::bounded);
        kept.chain([more]).chain(end).take(most).collect()
    }
}

impl TraceStep {
    fn bounded(&self) -> TraceStep {
        let cut = |text: &str| match text.get(..text.floor_char_boundary(LONGEST_KEPT)) {
            Some(kept) if kept.len() < text.len() => format!("{kept}…"),
            _ => text.to_owned(),
        };
        TraceStep {
            rule: self.rule.clone(),
            subject: cut(&self.subject),
            outcome: cut(&self.outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_a_record_is_said() {
        let mut trace = Trace::default();
        for number in 0..5 {
            trace.step("carrier", number.to_string(), "ü".repeat(200));
        }
        let kept = trace.bounded(5);
        assert_eq!((kept.len(), kept[4].subject.as_str()), (5, "4"));
        assert_eq!(kept[0].outcome, format!("{}…", "ü".repeat(LONGEST_KEPT / 2)));
        let kept = trace.bounded(4);
        let words: Vec<(&str, &str)> = kept.iter().map(|step| (&*step.rule, &*step.subject)).collect();
        assert_eq!(
            words,
            [("carrier", "0"), ("carrier", "1"), ("more", ""), ("carrier", "4")]
        );
        assert_eq!(kept[2].outcome, "2 steps are left out");
        assert_eq!(trace.bounded(1)[0].outcome, "5 steps are left out");
        assert_eq!(trace.bounded(0), []);
    }
}
