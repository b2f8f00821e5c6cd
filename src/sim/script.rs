//! How a side behaves, as plain data: what a test, a command line or a page can say.

use super::call::HoldForm;
use super::cause::Cause;
use super::sdp_shape::SdpShape;
use super::spoken::Spoken;
use serde::Serialize;
use std::time::Duration;

mod words;

pub use words::NoScript;

/// What a side does in a call, step by step. A called side's that ends without a final answer rings on; that of a call that is
/// placed begins with the answer.
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
    /// Of a call that is placed: CANCEL when it is not answered by then.
    pub patience: Option<Duration>,
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
    /// A re-INVITE that begins ICE anew (TEAMS-078).
    Restart,
    /// A re-INVITE that names the pair which was nominated (TEAMS-079).
    FinalCandidates,
    /// Digits by telephone-event.
    Digits(String),
    /// Another user of Teams, with this number, takes the call over by an INVITE with Replaces, and goes on with the steps
    /// that follow (TEAMS-088).
    Replace {
        by: Option<String>,
    },
}

/// A branch of the called side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Default)]
pub struct Fork(pub u8);

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
            patience: None,
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

    /// What is played in the call that a REFER of `asked` leads to: no script refers its own transfers on and on.
    pub(super) fn after_refer_of(mut self, asked: &Script) -> Script {
        if self == *asked {
            self.steps.retain(|step| !matches!(step, Step::Refer { .. }));
        }
        self
    }

    pub(super) fn is_silent(&self) -> bool {
        self.steps.first() == Some(&Step::Silence)
    }
}
