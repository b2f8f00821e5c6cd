//! What both kinds of peers can be told: scripts, the call to place, its headers.

use super::CommandError;
use crate::sim::{Dial, Manner, OwnHeader, Script, SdpShape, Simulator, Step};
use clap::Args;
use std::time::Duration;

/// How long a call can be held: a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What both can be told.
#[derive(Debug, Args)]
pub struct Behaviour {
    /// What becomes of calls that come in, such as `ring, wait 2s, answer, wait 10s, hang-up`; repeated: of the first, the second …, and
    /// the last script of all that follow
    #[arg(long = "script", value_name = "STEPS")]
    pub scripts: Vec<Script>,
    /// Hz of the tone that is sent
    #[arg(long, value_name = "HERTZ", default_value_t = 440.0)]
    pub tone: f64,
    /// Place one call to this number, and end with it and what comes of it
    #[arg(long, value_name = "NUMBER", requires = "sbc")]
    pub call: Option<String>,
    /// What is done in that call once it is answered, such as `wait 1s, hold, wait 1s, resume, hang-up`
    #[arg(long, value_name = "STEPS", requires = "call", value_parser = Script::of_placed_call)]
    pub call_script: Option<Script>,
    /// How long that call is held after its script, in seconds; `0.5` too
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub seconds: Duration,
    /// The name that is shown with the number that calls
    #[arg(long, value_name = "NAME", requires = "call")]
    pub display: Option<String>,
    /// A header of INVITEs that are placed, such as `X-MS-UserLocation: internal`, in place of the simulator's own of that name; repeat
    /// it for more
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<OwnHeader>,
    /// Answer every INVITE and OPTIONS with 503
    #[arg(long, conflicts_with = "stalled")]
    pub unavailable: bool,
    /// Answer no request at all
    #[arg(long)]
    pub stalled: bool,
    /// Print what happens and which rules are broken as JSON, a line each
    #[arg(long)]
    pub json: bool,
}

impl Behaviour {
    /// The call to place.
    pub(super) fn dial(&self, from: &str) -> Option<Dial> {
        let mut dial = Dial::new(from, self.call.as_ref()?);
        dial.hang_up_after = Some(self.seconds);
        dial.display.clone_from(&self.display);
        Some(match &self.call_script {
            Some(script) => dial.script(script.clone()),
            None => dial,
        })
    }

    /// True when the script of the call gives it up before it is answered.
    pub(super) fn gives_up(&self) -> bool {
        self.call_script
            .as_ref()
            .is_some_and(|script| script.patience.is_some())
    }

    /// Scripts and headers, before the first call.
    pub(super) fn prepare(&self, sim: &Simulator, from: &str) {
        sim.set_scripts(&self.scripts);
        sim.set_headers(self.headers.clone());
        sim.set_number(from);
    }

    pub(super) fn manner(&self) -> Manner {
        match (self.unavailable, self.stalled) {
            (true, _) => Manner::Unavailable { retry_after: 1 },
            (false, true) => Manner::Stalled,
            (false, false) => Manner::Normal,
        }
    }

    /// What such a peer can't play, with what to do.
    pub(super) fn objection(&self, beside: &[&Script], peer: Peer) -> Result<(), CommandError> {
        let own = self.scripts.iter().map(|script| ("--script", script));
        let placed = self.call_script.iter().map(|script| ("--call-script", script));
        let beside = beside.iter().map(|script| ("--beside", *script));
        for (option, script) in own.chain(placed).chain(beside) {
            if peer == Peer::Carrier && script.sdp != SdpShape::default() {
                return Err(CommandError::Usage(format!(
                    "`sdp` in {option} is of Teams alone: a carrier's descriptions have one shape"
                )));
            }
            for step in &script.steps {
                let why = match (step, peer) {
                    (Step::Restart | Step::FinalCandidates, Peer::Teams) => {
                        "is of a trunk with media bypass: add --bypass"
                    }
                    (Step::Restart | Step::FinalCandidates, Peer::Carrier) => "is of Teams alone: carriers have no ICE",
                    (Step::Replace { .. }, Peer::Carrier) => "is of Teams alone: calls are taken over by nobody else",
                    _ => continue,
                };
                return Err(CommandError::Usage(format!("`{}` in {option} {why}", step.word())));
            }
        }
        Ok(())
    }
}

/// `5`, `0.5`: as long as a call may last in any case.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|span| *span <= LONGEST)
        .ok_or_else(|| format!("seconds are expected, 0 to {}, such as 5 or 0.5", LONGEST.as_secs()))
}

/// Who plays a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Teams,
    TeamsWithBypass,
    Carrier,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[arg(long)]
        sbc: Option<String>,
        #[command(flatten)]
        behaviour: Behaviour,
    }

    fn read(words: &[&str]) -> Result<Behaviour, String> {
        let words = std::iter::once("sim").chain(words.iter().copied());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        Ok(line.behaviour)
    }

    const CALL: [&str; 4] = ["--sbc", "x", "--call", "+12065550100"];

    #[test]
    fn a_placed_call_has_a_script_and_headers_of_its_own() {
        let more = [
            "--call-script",
            "tone 800, wait 1s, hold",
            "--display",
            "Ada Jones",
            "--header",
            "X-MS-UserLocation: internal",
            "--script",
            "busy",
            "--script",
            "ring, answer",
        ];
        let behaviour = read(&[&CALL[..], &more].concat()).unwrap();
        let dial = behaviour.dial("+14255550100").unwrap();
        assert_eq!((dial.tone, dial.display.as_deref()), (Some(800.0), Some("Ada Jones")));
        assert_eq!((dial.script.steps.len(), behaviour.scripts.len()), (2, 2));
        assert_eq!(behaviour.headers.len(), 1);
        assert_eq!(behaviour.seconds, Duration::from_secs(5));
        assert_eq!(read(&["--seconds", "0.6"]).unwrap().seconds, Duration::from_millis(600));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (words, told) in [
            (&["--call-script", "hold"][..], "--call <NUMBER>"),
            (&["--header", "X-MS-UserLocation internal"], "`Name: value` is expected"),
            (&["--script", "answer, hold on"], "step 2, `hold on`: expected `hold`"),
            (&["--seconds=-1"], "0 to 86400, such as 5 or 0.5"),
            (&["--seconds", "90000"], "0 to 86400"),
        ] {
            let said = read(words).unwrap_err();
            assert!(said.contains(told), "{said}");
        }
        let said = read(&[&CALL[..], &["--call-script", "ring"]].concat()).unwrap_err();
        assert!(said.contains("step 1, `ring`: it is of calls that come in"), "{said}");
    }

    #[test]
    fn a_peer_plays_only_what_it_can() {
        let behaviour = read(&["--script", "answer, restart"]).unwrap();
        let told = |peer| behaviour.objection(&[], peer).err().map(|why| why.to_string());
        assert_eq!(told(Peer::TeamsWithBypass), None);
        let without = told(Peer::Teams).unwrap();
        assert_eq!(
            without,
            "`restart` in --script is of a trunk with media bypass: add --bypass"
        );
        assert!(told(Peer::Carrier).unwrap().contains("is of Teams alone"));
        let shaped = read(&["--script", "sdp mki, answer"]).unwrap();
        assert!(shaped.objection(&[], Peer::Teams).is_ok());
        let told = shaped.objection(&[], Peer::Carrier).unwrap_err().to_string();
        assert!(told.starts_with("`sdp` in --script is of Teams alone"), "{told}");
        let replaces: Script = "answer, replace".parse().unwrap();
        let plain = read(&[]).unwrap();
        assert!(plain.objection(&[&replaces], Peer::Teams).is_ok());
        let told = plain.objection(&[&replaces], Peer::Carrier).unwrap_err().to_string();
        assert!(told.starts_with("`replace` in --beside is of Teams alone"), "{told}");
    }
}
