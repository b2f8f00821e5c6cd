//! What a check says: how bad it is, what was seen, and what to do.

use super::world::World;
use serde::Serialize;

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    Dns,
    Net,
    Tls,
    Options,
    SipLint,
    Media,
    Tenants,
    Timers,
    Numbers,
    Carriers,
}

impl Group {
    /// A check of the group.
    pub const fn check(self, id: &'static str, needs: Needs, judge: fn(&World) -> Vec<Verdict>) -> Check {
        Check {
            id,
            group: self,
            needs,
            judge,
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Some calls will fail, or will some day.
    Warn,
    /// Calls fail.
    Fail,
}

/// What a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// Configuration and certificate files.
    Files,
    /// Files that a handshake can be tried with.
    Handshakes,
    /// A suite of Teams among those that has got one.
    Connection,
    /// A call to Teams that could be gone through.
    CallToTeams,
    /// One from Teams.
    CallFromTeams,
    /// Either.
    Call,
    /// The call records that the configuration names.
    Records,
    /// Name servers and hubs: `--online`.
    Network,
    /// Microsoft's name for tests: `--online`.
    TestName,
    /// The running node, by its admin listener: `--online`.
    Node,
}

/// One check: pure, over what was gathered.
pub struct Check {
    /// `group.word`.
    pub id: &'static str,
    pub group: Group,
    pub needs: Needs,
    pub judge: fn(&World) -> Vec<Verdict>,
}

/// What a check objects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The rule, where one check has several.
    pub rule: Option<&'static str>,
    pub severity: Severity,
    pub evidence: String,
    pub fix: String,
}

impl Verdict {
    /// As bad as this.
    pub fn new(severity: Severity, evidence: impl Into<String>, fix: impl Into<String>) -> Verdict {
        Verdict {
            rule: None,
            severity,
            evidence: evidence.into(),
            fix: fix.into(),
        }
    }

    /// Calls fail.
    pub fn fail(evidence: impl Into<String>, fix: impl Into<String>) -> Verdict {
        Verdict::new(Severity::Fail, evidence, fix)
    }

    /// Some calls will fail, or will some day.
    pub fn warn(evidence: impl Into<String>, fix: impl Into<String>) -> Verdict {
        Verdict::new(Severity::Warn, evidence, fix)
    }

    /// Worth knowing.
    pub fn note(evidence: impl Into<String>, fix: impl Into<String>) -> Verdict {
        Verdict::new(Severity::Note, evidence, fix)
    }

    /// Of this rule.
    pub fn of_rule(self, rule: &'static str) -> Verdict {
        Verdict {
            rule: Some(rule),
            ..self
        }
    }
}

/// One objection, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check, and its rule where it has several: `tls.names`, `sip-lint.contact.address`.
    pub id: String,
    pub group: Group,
    pub severity: Severity,
    /// What was seen.
    pub evidence: String,
    /// What to do.
    pub fix: String,
}

/// What all checks say together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The worst first, then by group.
    pub findings: Vec<Finding>,
    /// Checks that found nothing.
    pub passed: Vec<&'static str>,
    /// Checks that could not look.
    pub skipped: Vec<Skipped>,
}

/// A check that could not look, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub id: &'static str,
    pub why: String,
}

impl Diagnosis {
    /// Asks every check about the world.
    pub fn of(world: &World, checks: &[&[Check]]) -> Diagnosis {
        let mut diagnosis = Diagnosis {
            findings: Vec::new(),
            passed: Vec::new(),
            skipped: Vec::new(),
        };
        for check in checks.iter().copied().flatten() {
            if let Some(why) = world.missing(check.needs) {
                diagnosis.skipped.push(Skipped { id: check.id, why });
                continue;
            }
            let verdicts = (check.judge)(world);
            if verdicts.is_empty() {
                diagnosis.passed.push(check.id);
            }
            diagnosis
                .findings
                .extend(verdicts.into_iter().map(|verdict| finding(check, verdict)));
        }
        diagnosis
            .findings
            .sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.group));
        diagnosis
    }

    /// The worst of all.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

fn finding(check: &Check, verdict: Verdict) -> Finding {
    Finding {
        id: match verdict.rule {
            Some(rule) => format!("{}.{rule}", check.id),
            None => check.id.to_owned(),
        },
        group: check.group,
        severity: verdict.severity,
        evidence: verdict.evidence,
        fix: verdict.fix,
    }
}
