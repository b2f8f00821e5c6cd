//! How a side behaves, as plain data: what a test, a command line or a page can say.

use super::call::HoldForm;
use super::cause::Cause;
use super::sdp_shape::SdpShape;
use super::spoken::Spoken;
use serde::Serialize;
use std::str::FromStr;
use std::time::Duration;

/// What a called side does, step by step. A script that ends without a final answer rings on.
///
/// As text: `ring, wait 300ms, progress b, answer b, wait 5s, hang-up`.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Script {
    pub steps: Vec<Step>,
    /// Hz of the tone that this side sends; `None`: the simulator's own.
    pub tone: Option<f64>,
    /// The only codec that this side speaks; `None`: as the real peer is wont to. An offer without it is refused with 488.
    pub codec: Option<Spoken>,
    /// How descriptions are written, where Teams is called.
    pub sdp: SdpShape,
    /// False: our 2xx is sent again and again, as if no ACK ever came.
    pub hears_ack: bool,
    /// The CANCEL that comes has to say that the call was answered elsewhere (TEAMS-115).
    pub elsewhere: bool,
}

/// One step. `fork` names a branch of the called side: each has its own To-tag, media address and key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Step {
    Wait(Duration),
    /// 180 without a description.
    Ring(Fork),
    /// 181.
    Forwarded(Fork),
    /// 183 with a description; early media flows.
    Progress(Fork),
    /// 200.
    Answer(Fork),
    /// A final refusal.
    Refuse {
        status: u16,
        /// Seconds.
        retry_after: Option<u32>,
        /// Cause of Q.850 for the Reason header.
        cause: Option<u16>,
    },
    /// A final refusal in Teams' own words.
    Cause(Cause),
    /// 302 to this URI.
    Redirect(String),
    /// 401, or 407 when `proxy`; the script goes on when the right credentials come.
    Challenge {
        proxy: bool,
        realm: String,
        username: String,
        password: String,
    },
    /// No response at all, not even 100. Counts only as the first step.
    Silence,
    HangUp,
    /// In the peer's usual form.
    Hold,
    HoldAs(HoldForm),
    /// REFER to this URI, and the value of Referred-By.
    Refer {
        to: String,
        by: Option<String>,
    },
    Resume,
    /// A re-INVITE that changes nothing.
    Refresh,
    /// A re-INVITE without a description.
    Offerless,
}

/// A branch of the called side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Default)]
pub struct Fork(pub u8);

/// A text that is no script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no step; steps are ring, forwarded, progress, answer (each with a branch a to h), wait 500ms, \
         busy, decline, refuse 486, unavailable 5, redirect sip:…, challenge user:password@realm, silence, hang-up, \
         hold (or hold inactive, sendonly, recvonly, 0.0.0.0, off), resume, refresh, offerless, refer sip:… by <sip:…>, cause 486, cause 486/34 text, elsewhere, ignore-ack, tone 440, codec SILK/16000, sdp UDP/TLS/RTP/SAVP (or other words of SDP)"
)]
pub struct NoScript(pub String);

impl Script {
    /// These steps.
    pub fn of(steps: impl IntoIterator<Item = Step>) -> Script {
        Script {
            steps: steps.into_iter().collect(),
            tone: None,
            codec: None,
            sdp: SdpShape::default(),
            hears_ack: true,
            elsewhere: false,
        }
    }

    /// 200 at once.
    pub fn answer() -> Script {
        Script::of([Step::Answer(Fork(0))])
    }

    /// 180, then 200 after a time.
    pub fn ring_then_answer(after: Duration) -> Script {
        Script::of([Step::Ring(Fork(0)), Step::Wait(after), Step::Answer(Fork(0))])
    }

    /// 183 with early media, then 200 on the same branch.
    pub fn early_media(after: Duration) -> Script {
        Script::of([Step::Progress(Fork(0)), Step::Wait(after), Step::Answer(Fork(0))])
    }

    /// Two 180, a 183 on a third branch, 200 on the second: as Teams with several clients.
    pub fn forked(between: Duration) -> Script {
        Script::of([
            Step::Ring(Fork(0)),
            Step::Ring(Fork(1)),
            Step::Wait(between),
            Step::Progress(Fork(2)),
            Step::Wait(between),
            Step::Answer(Fork(1)),
        ])
    }

    /// 180 for ever.
    pub fn no_answer() -> Script {
        Script::of([Step::Ring(Fork(0))])
    }

    /// Not one response.
    pub fn silent() -> Script {
        Script::of([Step::Silence])
    }

    /// 486.
    pub fn busy() -> Script {
        Script::refuse(486)
    }

    /// 603.
    pub fn decline() -> Script {
        Script::refuse(603)
    }

    /// This final status.
    pub fn refuse(status: u16) -> Script {
        Script::of([Step::Refuse {
            status,
            retry_after: None,
            cause: None,
        }])
    }

    /// 503 with Retry-After in seconds.
    pub fn unavailable(retry_after: u32) -> Script {
        Script::of([Step::Refuse {
            status: 503,
            retry_after: Some(retry_after),
            cause: Some(42),
        }])
    }

    /// The same and one step more.
    #[must_use]
    pub fn then(mut self, step: Step) -> Script {
        self.steps.push(step);
        self
    }

    /// Sending this tone, in Hz.
    #[must_use]
    pub fn tone(mut self, frequency: f64) -> Script {
        self.tone = Some(frequency);
        self
    }

    /// Speaking this codec alone.
    #[must_use]
    pub fn codec(mut self, codec: Spoken) -> Script {
        self.codec = Some(codec);
        self
    }

    /// With descriptions of this shape.
    #[must_use]
    pub fn sdp(mut self, shape: SdpShape) -> Script {
        self.sdp = shape;
        self
    }

    /// Deaf to ACK.
    #[must_use]
    pub fn ignoring_ack(mut self) -> Script {
        self.hears_ack = false;
        self
    }

    /// Expecting to be told that another side answered.
    #[must_use]
    pub fn completed_elsewhere(mut self) -> Script {
        self.elsewhere = true;
        self
    }

    pub(super) fn is_silent(&self) -> bool {
        self.steps.first() == Some(&Step::Silence)
    }
}

impl FromStr for Script {
    type Err = NoScript;

    fn from_str(text: &str) -> Result<Script, NoScript> {
        let mut script = Script::of([]);
        for step in text.split(',').map(str::trim).filter(|step| !step.is_empty()) {
            let wrong = || NoScript(step.to_owned());
            let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
            match (word, rest.trim()) {
                ("tone", hertz) => script.tone = Some(hertz.parse().map_err(|_| wrong())?),
                ("codec", name) => script.codec = Some(name.parse().map_err(|()| wrong())?),
                ("sdp", words) => script.sdp = words.parse().map_err(|_| wrong())?,
                ("ignore-ack", "") => script.hears_ack = false,
                ("elsewhere", "") => script.elsewhere = true,
                (word, rest) => script.steps.push(step_of(word, rest).ok_or_else(wrong)?),
            }
        }
        match script == Script::of([]) {
            true => Err(NoScript(text.to_owned())),
            false => Ok(script),
        }
    }
}

fn step_of(word: &str, rest: &str) -> Option<Step> {
    let refuse = |status, retry_after| Step::Refuse {
        status,
        retry_after,
        cause: None,
    };
    Some(match word {
        "wait" => Step::Wait(duration(rest)?),
        "ring" => Step::Ring(fork(rest)?),
        "forwarded" => Step::Forwarded(fork(rest)?),
        "progress" => Step::Progress(fork(rest)?),
        "answer" => Step::Answer(fork(rest)?),
        "busy" => refuse(486, None),
        "decline" => refuse(603, None),
        "refuse" => refuse(rest.parse().ok().filter(|status| (300..700).contains(status))?, None),
        "unavailable" => refuse(503, Some(rest.parse().ok()?)),
        "cause" => Step::Cause(rest.parse().ok()?),
        "refer" if !rest.is_empty() => match rest.split_once(" by ") {
            Some((to, by)) => Step::Refer {
                to: to.trim().to_owned(),
                by: Some(by.trim().to_owned()),
            },
            None => Step::Refer {
                to: rest.to_owned(),
                by: None,
            },
        },
        "redirect" if !rest.is_empty() => Step::Redirect(rest.to_owned()),
        "challenge" => {
            let (user, realm) = rest.rsplit_once('@')?;
            let (username, password) = user.split_once(':')?;
            Step::Challenge {
                proxy: true,
                realm: realm.to_owned(),
                username: username.to_owned(),
                password: password.to_owned(),
            }
        }
        "silence" => Step::Silence,
        "hang-up" => Step::HangUp,
        "hold" => match rest {
            "" => Step::Hold,
            "inactive" => Step::HoldAs(HoldForm::Inactive),
            "sendonly" => Step::HoldAs(HoldForm::SendOnly),
            "recvonly" => Step::HoldAs(HoldForm::RecvOnly),
            "0.0.0.0" => Step::HoldAs(HoldForm::Blackhole),
            "off" => Step::HoldAs(HoldForm::PortZero),
            _ => return None,
        },
        "resume" => Step::Resume,
        "refresh" => Step::Refresh,
        "offerless" => Step::Offerless,
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
pub(super) fn duration(text: &str) -> Option<Duration> {
    let seconds = match text.strip_suffix("ms") {
        Some(number) => number.parse::<f64>().ok()? / 1000.0,
        None => text.strip_suffix('s')?.parse::<f64>().ok()?,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_the_builders_say() {
        let read: Script = "ring, ring b, wait 200ms, progress c, wait 0.2s, answer b"
            .parse()
            .unwrap();
        assert_eq!(read, Script::forked(Duration::from_millis(200)));
        let toned: Script = "tone 440, answer, ignore-ack, wait 1s, hang-up".parse().unwrap();
        let built = Script::answer().tone(440.0).ignoring_ack();
        assert_eq!(toned, built.then(Step::Wait(Duration::from_secs(1))).then(Step::HangUp));
        let held: Script = "answer, hold recvonly, hold off, refer sip:a@b;x-t=1 by <sip:c;x-m=2>, elsewhere"
            .parse()
            .unwrap();
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
        assert!("silence".parse::<Script>().unwrap().is_silent());
    }

    /// The steps in the page's table, by their first words.
    #[test]
    fn every_step_that_is_written_about_is_read_and_named_to_who_errs() {
        let page = include_str!("../../docs/simulators.md");
        let table = page.split("| step | what it does |").nth(1).expect("the table");
        let told = NoScript("dance".to_owned()).to_string();
        let mut seen = 0;
        for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
            let steps = row.split('|').nth(1).unwrap_or_default();
            for step in steps.split('`').skip(1).step_by(2) {
                let text = step.replace('…', "a@b");
                assert!(text.parse::<Script>().is_ok(), "{step}");
                let word = step.split(' ').next().unwrap_or_default();
                assert!(told.contains(word), "{word} is not in: {told}");
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen} steps");
    }

    #[test]
    fn a_wrong_step_is_named() {
        for bad in ["dance", "wait", "wait 5", "answer z", "refuse 200", "challenge x"] {
            let text = format!("ring, {bad}");
            assert_eq!(text.parse::<Script>(), Err(NoScript(bad.to_owned())));
        }
        for empty in ["", " , "] {
            assert_eq!(empty.parse::<Script>(), Err(NoScript(empty.to_owned())));
        }
    }
}
