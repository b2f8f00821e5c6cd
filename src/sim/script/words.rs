//! Scripts as text: the words, what may stand behind each, and where in a call it means something.

use super::{Fork, Script, Step};
use crate::config::nearest;
use crate::sim::call::HoldForm;
use std::str::FromStr;
use std::time::Duration;

/// A text that is no script: which step, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {position}, `{step}`: {why}")]
pub struct NoScript {
    /// From 1.
    pub position: usize,
    pub step: String,
    pub why: String,
}

/// Where a word may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The first step of a call that comes in.
    First,
    /// Before the answer of a call that comes in.
    Ringing,
    Answer,
    /// Ends a call that comes in and is not answered.
    Refusal,
    /// In a call that is answered.
    Talk,
    Anywhere,
    /// Of the whole call, wherever it stands.
    Setting,
    SettingOfCalled,
    SettingOfPlaced,
}

/// Word, form, place.
type Word = (&'static str, &'static str, Place);

const WORDS: &[Word] = &[
    (
        "ring",
        "`ring`, or `ring b`: a branch is a letter a to h",
        Place::Ringing,
    ),
    ("forwarded", "`forwarded`, or `forwarded b`", Place::Ringing),
    ("progress", "`progress`, or `progress b`", Place::Ringing),
    ("answer", "`answer`, or `answer b`", Place::Answer),
    ("wait", "`wait 500ms` or `wait 3s`", Place::Anywhere),
    ("busy", "`busy`", Place::Refusal),
    ("decline", "`decline`", Place::Refusal),
    ("refuse", "`refuse 480`: a status of 300 to 699", Place::Refusal),
    (
        "unavailable",
        "`unavailable 5`: the seconds of Retry-After",
        Place::Refusal,
    ),
    (
        "cause",
        "`cause` and 403, 404, 420, 422, 480, 486, 488, 500, 503 or 603; or `cause 480/31 text`, with a cause of Q.850",
        Place::Refusal,
    ),
    ("redirect", "`redirect sip:…`", Place::Refusal),
    ("challenge", "`challenge user:password@realm`", Place::First),
    ("silence", "`silence`", Place::First),
    ("hang-up", "`hang-up`", Place::Anywhere),
    (
        "hold",
        "`hold`, or `hold inactive`, `sendonly`, `recvonly`, `0.0.0.0` or `off`",
        Place::Talk,
    ),
    ("resume", "`resume`", Place::Talk),
    ("refresh", "`refresh`", Place::Talk),
    ("offerless", "`offerless`", Place::Talk),
    ("restart", "`restart`", Place::Talk),
    ("remote-candidates", "`remote-candidates`", Place::Talk),
    ("digits", "`digits 123#`: of 0 to 9, *, #, A to D", Place::Talk),
    ("refer", "`refer sip:…`, or `refer sip:… by <sip:…>`", Place::Talk),
    ("replace", "`replace`, or `replace +14255550101`", Place::Talk),
    ("elsewhere", "`elsewhere`", Place::SettingOfCalled),
    ("ignore-ack", "`ignore-ack`", Place::SettingOfCalled),
    ("cancel", "`cancel 500ms` or `cancel 3s`", Place::SettingOfPlaced),
    ("tone", "`tone 620`: Hz", Place::Setting),
    (
        "codec",
        "`codec PCMU`, `PCMA`, `G722`, `G729`, `SILK/8000` or `SILK/16000`",
        Place::Setting,
    ),
    (
        "sdp",
        "`sdp` and words of `RTP/SAVP`, `UDP/TLS/RTP/SAVP`, `AES_CM_128_HMAC_SHA1_32`, `no-rtcp-mux`, `mki`, `webrtc`",
        Place::Setting,
    ),
];

impl Step {
    /// Its first word.
    pub const fn word(&self) -> &'static str {
        match self {
            Step::Wait(_) => "wait",
            Step::Ring(_) => "ring",
            Step::Forwarded(_) => "forwarded",
            Step::Progress(_) => "progress",
            Step::Answer(_) => "answer",
            Step::Refuse { .. } => "refuse",
            Step::Cause(_) => "cause",
            Step::Redirect(_) => "redirect",
            Step::Challenge { .. } => "challenge",
            Step::Silence => "silence",
            Step::HangUp => "hang-up",
            Step::Hold | Step::HoldAs(_) => "hold",
            Step::Refer { .. } => "refer",
            Step::Resume => "resume",
            Step::Refresh => "refresh",
            Step::Offerless => "offerless",
            Step::Restart => "restart",
            Step::FinalCandidates => "remote-candidates",
            Step::Digits(_) => "digits",
            Step::Replace { .. } => "replace",
        }
    }
}

/// How far the call is when a step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Ringing,
    Talk,
    Over,
}

impl At {
    /// How far it is after a word at this place; else why it can't stand there.
    fn after(self, word: &str, place: Place) -> Result<At, &'static str> {
        match (self, place) {
            (_, Place::Setting | Place::SettingOfCalled | Place::SettingOfPlaced) => Ok(self),
            (At::Over, _) => Err("the call is over by then"),
            (At::Start, Place::First) if word == "silence" => Ok(At::Over),
            (At::Start, Place::First) => Ok(At::Ringing),
            (_, Place::First) => Err("it counts only as the first step"),
            (At::Talk, Place::Ringing | Place::Answer) => Err("the call is answered by then"),
            (At::Talk, Place::Refusal) => Err("the call is answered by then, `hang-up` ends it"),
            (_, Place::Refusal) => Ok(At::Over),
            (_, Place::Answer) => Ok(At::Talk),
            (At::Start | At::Ringing, Place::Talk) => Err("it comes after `answer`"),
            (_, Place::Anywhere) if word == "hang-up" => Ok(At::Over),
            (At::Talk, _) => Ok(At::Talk),
            (At::Start | At::Ringing, _) => Ok(At::Ringing),
        }
    }
}

/// Whose script it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Called,
    Placed,
}

impl Whose {
    fn objection(self, place: Place) -> Option<&'static str> {
        match (self, place) {
            (Whose::Placed, Place::First | Place::Ringing | Place::Answer | Place::Refusal) => {
                Some("it is of calls that come in; the script of a call that is placed begins with its answer")
            }
            (Whose::Placed, Place::SettingOfCalled) => Some("it is of calls that come in"),
            (Whose::Called, Place::SettingOfPlaced) => Some("it is of calls that are placed"),
            _ => None,
        }
    }
}

impl FromStr for Script {
    type Err = NoScript;

    /// Of a call that comes in.
    fn from_str(text: &str) -> Result<Script, NoScript> {
        read(text, Whose::Called)
    }
}

impl Script {
    /// Of a call that is placed: it begins with the answer.
    ///
    /// # Errors
    /// A step that is none, or is of calls that come in.
    pub fn of_placed_call(text: &str) -> Result<Script, NoScript> {
        read(text, Whose::Placed)
    }
}

fn read(text: &str, whose: Whose) -> Result<Script, NoScript> {
    let mut script = Script::of([]);
    let mut at = match whose {
        Whose::Called => At::Start,
        Whose::Placed => At::Talk,
    };
    let steps = text.split(',').map(str::trim).filter(|step| !step.is_empty());
    let mut read = 0;
    for (step, position) in steps.zip(1..) {
        let wrong = |why: String| NoScript {
            position,
            step: step.to_owned(),
            why,
        };
        let (word, rest) = step.split_once(char::is_whitespace).unwrap_or((step, ""));
        let known = WORDS.iter().find(|(known, ..)| *known == word);
        let (_, form, place) = known.ok_or_else(|| wrong(unknown(word, whose)))?;
        script
            .take(word, rest.trim())
            .ok_or_else(|| wrong(format!("expected {form}")))?;
        let objection = whose.objection(*place).map_or_else(|| at.after(word, *place), Err);
        at = objection.map_err(|why| wrong(why.to_owned()))?;
        read = position;
    }
    match read {
        0 => Err(NoScript {
            position: 1,
            step: text.to_owned(),
            why: "no step at all; such as `ring, wait 2s, answer`".to_owned(),
        }),
        _ => Ok(script),
    }
}

fn unknown(word: &str, whose: Whose) -> String {
    let fitting = |(_, _, place): &&Word| whose.objection(*place).is_none();
    let words: Vec<&str> = WORDS.iter().filter(fitting).map(|(word, ..)| *word).collect();
    let meant = nearest(word, words.iter().copied());
    let meant = meant.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
    format!("no such word{meant}; the words are {}", words.join(", "))
}

impl Script {
    /// One step, or one setting.
    fn take(&mut self, word: &str, rest: &str) -> Option<()> {
        match (word, rest) {
            ("tone", hertz) => {
                let hertz: f64 = hertz.parse().ok()?;
                self.tone = Some(hertz).filter(|hertz| hertz.is_finite() && *hertz > 0.0);
                self.tone?;
            }
            ("codec", name) => self.codec = Some(name.parse().ok()?),
            ("sdp", words) => self.sdp = words.parse().ok()?,
            ("ignore-ack", "") => self.hears_ack = false,
            ("elsewhere", "") => self.elsewhere = true,
            ("cancel", span) => self.patience = Some(duration(span)?),
            (word, rest) => self.steps.push(step_of(word, rest)?),
        }
        Some(())
    }
}

fn step_of(word: &str, rest: &str) -> Option<Step> {
    let refuse = |status, retry_after| Step::Refuse {
        status,
        retry_after,
        cause: None,
    };
    let alone = |step: Step| rest.is_empty().then_some(step);
    match word {
        "wait" => duration(rest).map(Step::Wait),
        "ring" => fork(rest).map(Step::Ring),
        "forwarded" => fork(rest).map(Step::Forwarded),
        "progress" => fork(rest).map(Step::Progress),
        "answer" => fork(rest).map(Step::Answer),
        "busy" => alone(refuse(486, None)),
        "decline" => alone(refuse(603, None)),
        "refuse" => {
            let status = rest.parse().ok().filter(|status| (300..700).contains(status))?;
            Some(refuse(status, None))
        }
        "unavailable" => Some(refuse(503, Some(rest.parse().ok()?))),
        "cause" => rest.parse().ok().map(Step::Cause),
        "refer" => refer(rest),
        "redirect" => (!rest.is_empty()).then(|| Step::Redirect(rest.to_owned())),
        "challenge" => {
            let (user, realm) = rest.rsplit_once('@')?;
            let (username, password) = user.split_once(':')?;
            Some(Step::Challenge {
                proxy: true,
                realm: realm.to_owned(),
                username: username.to_owned(),
                password: password.to_owned(),
            })
        }
        "silence" => alone(Step::Silence),
        "hang-up" => alone(Step::HangUp),
        "hold" => hold(rest),
        "resume" => alone(Step::Resume),
        "refresh" => alone(Step::Refresh),
        "offerless" => alone(Step::Offerless),
        "restart" => alone(Step::Restart),
        "remote-candidates" => alone(Step::FinalCandidates),
        "digits" => {
            let is_digit = |letter: char| letter.is_ascii_digit() || "*#ABCD".contains(letter);
            (!rest.is_empty() && rest.chars().all(is_digit)).then(|| Step::Digits(rest.to_owned()))
        }
        "replace" if rest.contains(char::is_whitespace) => None,
        "replace" => Some(Step::Replace {
            by: Some(rest.to_owned()).filter(|number| !number.is_empty()),
        }),
        _ => None,
    }
}

fn refer(rest: &str) -> Option<Step> {
    let (to, by) = match rest.split_once(" by ") {
        Some((to, by)) => (to.trim(), Some(by.trim().to_owned())),
        None => (rest, None),
    };
    let is_uri = !to.is_empty() && !to.contains(char::is_whitespace) && by.as_deref() != Some("");
    is_uri.then(|| Step::Refer { to: to.to_owned(), by })
}

fn hold(rest: &str) -> Option<Step> {
    Some(match rest {
        "" => Step::Hold,
        "inactive" => Step::HoldAs(HoldForm::Inactive),
        "sendonly" => Step::HoldAs(HoldForm::SendOnly),
        "recvonly" => Step::HoldAs(HoldForm::RecvOnly),
        "0.0.0.0" => Step::HoldAs(HoldForm::Blackhole),
        "off" => Step::HoldAs(HoldForm::PortZero),
        _ => return None,
    })
}

/// A letter, `a` when there is none.
fn fork(text: &str) -> Option<Fork> {
    match text.as_bytes() {
        [] => Some(Fork(0)),
        [letter @ b'a'..=b'h'] => Some(Fork(letter - b'a')),
        _ => None,
    }
}

/// `500ms`, `3s`, `1.5s`.
fn duration(text: &str) -> Option<Duration> {
    let seconds = match text.strip_suffix("ms") {
        Some(number) => number.parse::<f64>().ok()? / 1000.0,
        None => text.strip_suffix('s')?.parse::<f64>().ok()?,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::cause::CAUSES;

    fn called(text: &str) -> Result<Script, String> {
        text.parse::<Script>().map_err(|wrong| wrong.to_string())
    }

    fn placed(text: &str) -> Result<Script, String> {
        Script::of_placed_call(text).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn a_text_says_what_the_builders_say() {
        let read = called("ring, ring b, wait 200ms, progress c, wait 0.2s, answer b").unwrap();
        assert_eq!(read, Script::forked(Duration::from_millis(200)));
        let toned = called("tone 440, answer, ignore-ack, wait 1s, hang-up").unwrap();
        let built = Script::answer().tone(440.0).ignoring_ack();
        assert_eq!(toned, built.then(Step::Wait(Duration::from_secs(1))).then(Step::HangUp));
        let held = called("answer, hold recvonly, hold off, refer sip:a@b;x-t=1 by <sip:c;x-m=2>, elsewhere").unwrap();
        let refer = Step::Refer {
            to: "sip:a@b;x-t=1".to_owned(),
            by: Some("<sip:c;x-m=2>".to_owned()),
        };
        let built = Script::answer()
            .then(Step::HoldAs(HoldForm::RecvOnly))
            .then(Step::HoldAs(HoldForm::PortZero))
            .then(refer)
            .completed_elsewhere();
        assert_eq!(held, built);
        assert!(called("silence").unwrap().is_silent());
    }

    #[test]
    fn a_placed_call_begins_with_its_answer() {
        let script =
            placed("tone 800, cancel 4s, wait 1s, restart, digits 12#, replace +14255550101, hang-up").unwrap();
        let by = Some("+14255550101".to_owned());
        let steps = [
            Step::Wait(Duration::from_secs(1)),
            Step::Restart,
            Step::Digits("12#".to_owned()),
            Step::Replace { by },
            Step::HangUp,
        ];
        assert_eq!(script.steps, steps);
        assert_eq!(
            (script.tone, script.patience),
            (Some(800.0), Some(Duration::from_secs(4)))
        );
        let shaped = placed("sdp UDP/TLS/RTP/SAVP no-rtcp-mux").unwrap();
        assert_eq!(shaped.sdp, "UDP/TLS/RTP/SAVP no-rtcp-mux".parse().unwrap());
        let told = placed("wait 1s, answer").unwrap_err();
        assert!(
            told.starts_with("step 2, `answer`: it is of calls that come in"),
            "{told}"
        );
        let told = placed("rng").unwrap_err();
        assert!(!told.contains("ring,") && told.contains("cancel"), "{told}");
        assert!(
            called("cancel 4s, answer")
                .unwrap_err()
                .contains("calls that are placed")
        );
    }

    /// The steps in the page's table, by their first words.
    #[test]
    fn every_step_that_is_written_about_is_read_and_named_to_who_errs() {
        let page = include_str!("../../../docs/simulators.md");
        let table = page.split("| step | what it does |").nth(1).expect("the table");
        let told = [called("dance").unwrap_err(), placed("dance").unwrap_err()].concat();
        let mut seen = Vec::new();
        for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
            let steps = row.split('|').nth(1).unwrap_or_default();
            for step in steps.split('`').skip(1).step_by(2) {
                let text = step.replace('…', "a@b");
                let read = called(&text).or_else(|_| placed(&text));
                assert!(read.is_ok(), "{step}: {read:?}");
                let word = step.split(' ').next().unwrap_or_default();
                assert!(told.contains(word), "{word} is not in: {told}");
                seen.push(word.to_owned());
            }
        }
        let (_, causes, _) = WORDS.iter().find(|(word, ..)| *word == "cause").expect("a word");
        for known in CAUSES {
            assert!(causes.contains(&known.status.to_string()), "{}: {causes}", known.status);
        }
        for (word, ..) in WORDS {
            assert!(seen.iter().any(|seen| seen == word), "{word} is not in the table");
        }
    }

    #[test]
    fn a_wrong_step_is_named_with_its_place_and_what_would_be_right() {
        for (text, told) in [
            ("ring, dance", "step 2, `dance`: no such word; the words are ring, "),
            ("ring, anwser", "step 2, `anwser`: no such word, did you mean `answer`?"),
            ("ring, wait", "step 2, `wait`: expected `wait 500ms` or `wait 3s`"),
            ("ring, wait 5", "step 2, `wait 5`: expected `wait 500ms`"),
            ("answer z", "step 1, `answer z`: expected `answer`, or `answer b`"),
            ("refuse 200", "step 1, `refuse 200`: expected `refuse 480`"),
            (
                "challenge x",
                "step 1, `challenge x`: expected `challenge user:password@realm`",
            ),
            ("busy now", "step 1, `busy now`: expected `busy`"),
            (
                "answer, hold on",
                "step 2, `hold on`: expected `hold`, or `hold inactive`",
            ),
            ("answer, digits 1x", "step 2, `digits 1x`: expected `digits 123#`"),
            ("answer, refer", "step 2, `refer`: expected `refer sip:…`"),
            ("sdp DTLS, answer", "step 1, `sdp DTLS`: expected `sdp` and words of"),
            ("tone 0, answer", "step 1, `tone 0`: expected `tone 620`"),
            ("cause 487", "step 1, `cause 487`: expected `cause` and 403, 404, "),
            ("ring, hold", "step 2, `hold`: it comes after `answer`"),
            ("answer, ring", "step 2, `ring`: the call is answered by then"),
            (
                "answer, busy",
                "step 2, `busy`: the call is answered by then, `hang-up` ends it",
            ),
            ("ring, silence", "step 2, `silence`: it counts only as the first step"),
            ("busy, wait 1s", "step 2, `wait 1s`: the call is over by then"),
            ("answer, hang-up, hold", "step 3, `hold`: the call is over by then"),
            (" , ", "step 1, ` , `: no step at all"),
            ("", "step 1, ``: no step at all"),
        ] {
            let said = called(text).unwrap_err();
            assert!(said.starts_with(told), "{text}: {said}");
        }
    }

    #[test]
    fn no_script_refers_what_its_own_refer_leads_to() {
        let script = called("answer, wait 1s, refer sip:a@b, hang-up").unwrap();
        let after = script.clone().after_refer_of(&script);
        assert_eq!(after, called("answer, wait 1s, hang-up").unwrap());
        let other = called("answer, refer sip:c@d").unwrap();
        assert_eq!(other.clone().after_refer_of(&script), other);
    }
}
