//! The two calls: placed together, listened to until all that has to be heard was heard, hung up.

use super::plan::{OUTSIDE, USER};
use super::printing::Printer;
use super::stage::Stage;
use crate::sim::{Call, Dial, Heard, Pings, Script, SimError, Simulator};
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The called side rings so long.
const RINGING: Duration = Duration::from_millis(300);
/// Reports of RTCP come every five seconds: so long is waited for them.
const REPORTS: Duration = Duration::from_millis(6500);

/// Everything that was tried.
#[derive(Debug, Default)]
pub(super) struct Tried {
    pub(super) calls: Vec<Conversation>,
    /// What did not work before there were calls.
    pub(super) failure: Option<String>,
    /// Somebody ended the demo.
    pub(super) stopped: bool,
}

impl Tried {
    pub(super) fn stopped() -> Tried {
        Tried {
            failure: Some("stopped before the calls were over".into()),
            stopped: true,
            ..Tried::default()
        }
    }
}

/// One call.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Conversation {
    pub(super) name: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) caller: End,
    pub(super) called: End,
    /// What went wrong.
    pub(super) failure: Option<String>,
}

/// One end of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct End {
    pub(super) side: &'static str,
    /// The far end's tone, Hz.
    pub(super) expected: f64,
    pub(super) heard: Option<Heard>,
    /// Call-ID and tags of its leg, which the other side must not see.
    #[serde(skip)]
    pub(super) names: Vec<String>,
}

/// Who calls whom.
struct Course {
    name: &'static str,
    from: &'static str,
    to: &'static str,
    caller: &'static str,
    called: &'static str,
    /// The caller's tone and the called side's, Hz.
    tones: [f64; 2],
}

const COURSES: [Course; 2] = [
    Course {
        name: "carrier to Teams",
        from: OUTSIDE,
        to: USER,
        caller: "carrier",
        called: "Teams",
        tones: [440.0, 620.0],
    },
    Course {
        name: "Teams to carrier",
        from: USER,
        to: OUTSIDE,
        caller: "Teams",
        called: "carrier",
        tones: [770.0, 950.0],
    },
];

/// Both calls at the same time.
pub(super) async fn both(stage: &Stage, printer: &Printer) -> Tried {
    let greeted = |pings: &Pings| pings.received > 0 && pings.answered > 0;
    match stage.teams.pings_until(greeted).await {
        Ok(_) => printer.line(
            "OPTIONS",
            "answered in both directions, each side on its own connection",
        ),
        Err(error) => {
            let told = stage.witness.troubles().join("; ");
            return Tried {
                calls: Vec::new(),
                failure: Some(format!("{error}; portcullis says: {told}")),
                stopped: false,
            };
        }
    }
    let [to_teams, to_carrier] = &COURSES;
    let (first, second) = tokio::join!(converse(stage, printer, to_teams), converse(stage, printer, to_carrier));
    stage.calls_over().await;
    Tried {
        calls: vec![first, second],
        failure: None,
        stopped: false,
    }
}

async fn converse(stage: &Stage, printer: &Printer, course: &Course) -> Conversation {
    let [calls, answers] = course.tones;
    let end = |side, expected| End {
        side,
        expected,
        heard: None,
        names: Vec::new(),
    };
    let mut conversation = Conversation {
        name: course.name,
        from: course.from,
        to: course.to,
        caller: end(course.caller, answers),
        called: end(course.called, calls),
        failure: None,
    };
    if let Err(error) = talk(stage, printer, course, &mut conversation).await {
        conversation.failure = Some(error.to_string());
        printer.line(course.name, &format!("failed: {error}"));
    }
    conversation
}

async fn talk(stage: &Stage, printer: &Printer, course: &Course, told: &mut Conversation) -> Result<(), SimError> {
    let [calls, answers] = course.tones;
    let script = Script::ring_then_answer(RINGING).tone(answers);
    let mut dial = Dial::new(course.from, course.to);
    dial.tone = Some(calls);
    let (caller, called): (Call, Call) = if course.caller == "Teams" {
        stage.carrier.script_once(script);
        dial.display = Some("Ada Jones".to_owned());
        let caller = stage.teams.place_call(dial).await?;
        let called = arriving(&caller, &stage.carrier).await?;
        (caller, called)
    } else {
        // As a user with several clients: the answer comes on another branch than the early media.
        stage.teams.script_once(Script::forked(RINGING / 2).tone(answers));
        let caller = stage.carrier.place_call(dial).await?;
        let called = arriving(&caller, &stage.teams).await?;
        (caller, called)
    };
    printer.line(course.name, &format!("{} calls {}", course.from, course.to));
    caller.answered().await?;
    called.answered().await?;
    printer.line(course.name, "answered; listening");
    for (end, call) in [(&mut told.caller, &caller), (&mut told.called, &called)] {
        let view = call.view();
        end.names = view.tags;
        end.names.push(view.call_id);
    }
    let mut failure = None;
    for (call, tone) in [(&caller, answers), (&called, calls)] {
        failure = call.hears(tone).await.err().or(failure);
    }
    let limit = Instant::now() + REPORTS;
    let reported = |call: &Call| call.heard_so_far().is_some_and(|heard| heard.rtcp_received > 0);
    while !(reported(&caller) && reported(&called)) && Instant::now() < limit {
        sleep(Duration::from_millis(50)).await;
    }
    told.caller.heard = caller.heard_so_far();
    told.called.heard = called.heard_so_far();
    caller.hang_up().await?;
    called.ended().await?;
    printer.line(course.name, "hung up");
    failure.map_or(Ok(()), Err)
}

/// The call that `caller` becomes on the other side. Refused before it got there: that is the better reason.
async fn arriving(caller: &Call, simulator: &Simulator) -> Result<Call, SimError> {
    tokio::select! {
        called = simulator.incoming() => called,
        Err(refused) = caller.answered() => Err(refused),
    }
}
