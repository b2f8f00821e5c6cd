//! `portcullis sim`: a simulated Teams or carrier by itself, to try a portcullis (or another SBC) against.
//!
//! In: where to listen, how to behave, whom to call. Out: a line for each thing that happens, a summary at the end;
//! exit code 1 when a rule was broken or a call to place was not heard.

mod names;
mod narration;
mod settings;

use crate::sim::{CarrierSim, Rule, SimError, SimStartError, Simulator, TeamsSim, catalogue};
use narration::{Narrator, Placing};
pub use settings::{CarrierArgs, DnsArgs, Lead, SimArgs, SimCommand, TeamsArgs};
use std::io::Write;
use std::process::ExitCode;

/// Why a simulator did not do what was asked.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Start(#[from] SimStartError),
    #[error(transparent)]
    Call(#[from] SimError),
    #[error("the name server does not start: {0}")]
    Names(std::io::Error),
    #[error("Ctrl-C can't be heard: {0}")]
    Signal(#[from] std::io::Error),
}

/// Until Ctrl-C, or the end of the call that was asked for.
pub fn run(args: &SimArgs) -> ExitCode {
    if let SimCommand::Rules { json } = args.command {
        return super::written(rules(json));
    }
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(perform(args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("portcullis: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn perform(args: &SimArgs) -> Result<bool, CommandError> {
    match &args.command {
        SimCommand::Teams(args) => {
            let sim = TeamsSim::start(args.settings())?;
            let names = sim.names().join(" and ");
            let narrator = Narrator::begin(
                "Teams",
                &sim,
                &format!("; {names} have to lead here"),
                args.behaviour.json,
            );
            let placed = match args.dial() {
                Some(dial) => Some(sim.place_call(dial).await?),
                None => None,
            };
            serve(&sim, narrator, &args.behaviour, placed).await
        }
        SimCommand::Dns(args) => names::serve(args).await,
        // Printed before anything was started.
        SimCommand::Rules { .. } => Ok(true),
        SimCommand::Carrier(args) => {
            let sim = CarrierSim::start(args.settings())?;
            let narrator = Narrator::begin("carrier", &sim, "", args.behaviour.json);
            let placed = match args.dial() {
                Some(dial) => Some(sim.place_call(dial).await?),
                None => None,
            };
            serve(&sim, narrator, &args.behaviour, placed).await
        }
    }
}

/// Every rule of the simulated Teams, a line each.
fn rules(json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        return writeln!(out, "{:#}", serde_json::json!(catalogue()));
    }
    for rule in catalogue() {
        let Rule {
            word,
            id,
            broken_by,
            answer,
            only_strict,
        } = rule;
        let id = id.map_or_else(|| "SIP".to_owned(), |id| id.to_string());
        let answer = answer.map_or_else(String::new, |answer| format!(" ({answer})"));
        let strict = if *only_strict { " [--strict]" } else { "" };
        writeln!(out, "{id:9}  {word:18} {broken_by}{answer}{strict}")?;
    }
    Ok(())
}

async fn serve(
    sim: &Simulator,
    mut narrator: Narrator,
    behaviour: &settings::Behaviour,
    placed: Option<crate::sim::Call>,
) -> Result<bool, CommandError> {
    if let Some(script) = &behaviour.script {
        sim.set_script(script.clone());
    }
    sim.set_manner(behaviour.manner());
    let placing = placed.map(Placing::new);
    let heard = tokio::select! {
        heard = narrator.tell(sim, placing) => heard,
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            true
        }
    };
    let kept = narrator.end(sim);
    sim.shut_down().await;
    Ok(heard && kept)
}
