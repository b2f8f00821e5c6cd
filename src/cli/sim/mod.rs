//! `portcullis sim`: a simulated Teams or carrier by itself, to try a portcullis (or another SBC) against.
//!
//! In: where to listen, how to behave, whom to call. Out: a line for each thing that happens, a summary at the end;
//! exit code 1 when a rule was broken or a call to place was not heard.

mod behaviour;
mod beside;
mod names;
mod narration;
mod settings;

use crate::net::tls::{Identity, IdentityFiles};
use crate::sim::{CarrierSim, Rule, SimError, SimStartError, Simulator, TeamsSettings, TeamsSim, catalogue};
pub use behaviour::Behaviour;
use beside::Standing;
pub use beside::{Beside, Conduct};
use narration::{Narrator, Placing};
pub use settings::{CarrierArgs, DnsArgs, Lead, SimArgs, SimCommand, TeamsArgs, Wrong};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code of a command line that can't be.
const WRONG_USAGE: u8 = 2;

/// Why a simulator did not do what was asked.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Start(#[from] SimStartError),
    #[error(transparent)]
    Call(#[from] SimError),
    #[error("the name server does not start: {0}")]
    Names(std::io::Error),
    #[error("signals can't be heard: {0}")]
    Signal(#[from] std::io::Error),
    #[error("{0}")]
    Usage(String),
    #[error("no hub can be pretended on {listen}: {why}")]
    NotThere { listen: SocketAddr, why: io::Error },
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
            match error {
                CommandError::Usage(_) => ExitCode::from(WRONG_USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

async fn perform(args: &SimArgs) -> Result<bool, CommandError> {
    match &args.command {
        SimCommand::Teams(args) => teams(args).await,
        SimCommand::Dns(args) => names::serve(args).await,
        // Printed before anything was started.
        SimCommand::Rules { .. } => Ok(true),
        SimCommand::Carrier(args) => {
            args.check()?;
            let sim = CarrierSim::start(args.settings())?;
            args.behaviour.prepare(&sim, &args.from);
            sim.set_manner(args.behaviour.manner());
            let mut narrator = Narrator::new(args.behaviour.json);
            narrator.watch("carrier", &sim, "");
            let placing = match args.dial() {
                Some(dial) => Some(Placing::new(sim.place_call(dial).await?, &args.behaviour)),
                None => None,
            };
            serve(&[&sim], narrator, placing).await
        }
    }
}

/// One hub, and those beside it.
async fn teams(args: &TeamsArgs) -> Result<bool, CommandError> {
    args.check()?;
    let settings = args.settings();
    let first = TeamsSim::start(settings.clone())?;
    args.behaviour.prepare(&first, &args.from);
    first.set_manner(args.behaviour.manner());
    let mut narrator = Narrator::new(args.behaviour.json);
    narrator.watch(&settings.hub, &first, &names_of(&first));
    let mut standing = Vec::new();
    for beside in &args.beside {
        let stands = beside.begin(&first, args).await?;
        if let Standing::Hub(hub) = &stands {
            narrator.watch(&beside.hub, hub, &names_of(hub));
        }
        narrator.line(&beside.described());
        standing.push(stands);
    }
    for hub in std::iter::once(&settings.hub).chain(args.beside.iter().map(|beside| &beside.hub)) {
        if args.wrong.is_none() && !bears(&settings, hub) {
            let file = settings.certificate.display();
            narrator.line(&format!("{file} does not bear {hub}: nobody will believe that hub"));
        }
    }
    let mut all_open = true;
    if let Some(count) = args.connections {
        all_open = first.ping_on_connections(count).await.is_ok();
        let answered = first.pings().answered;
        narrator.line(&match all_open {
            true => format!("{count} connections are open, and an OPTIONS was answered on each"),
            false => format!("of {count} connections, an OPTIONS was answered on {answered}; a node takes 64 of one address (connections_per_source)"),
        });
    }
    let placing = match args.dial() {
        Some(dial) => Some(Placing::new(first.place_call(dial).await?, &args.behaviour)),
        None => None,
    };
    let beside = standing.iter().filter_map(|stands| match stands {
        Standing::Hub(hub) => Some(&***hub),
        Standing::Mute(_) | Standing::Nothing => None,
    });
    let sims: Vec<&Simulator> = std::iter::once(&*first).chain(beside).collect();
    let kept = serve(&sims, narrator, placing).await?;
    for stands in standing {
        if let Standing::Mute(mute) = stands {
            mute.end().await;
        }
    }
    Ok(kept && all_open)
}

fn names_of(hub: &TeamsSim) -> String {
    format!("; {} have to lead here", hub.names().join(" and "))
}

/// Whether the certificate is for this hub. One that can't be read was told of before.
fn bears(settings: &TeamsSettings, hub: &str) -> bool {
    let files = IdentityFiles {
        name: hub.to_owned(),
        certificate: settings.certificate.clone(),
        key: settings.key.clone(),
    };
    let now = rustls::pki_types::UnixTime::now().as_secs();
    let identity = Identity::load(&files, i64::try_from(now).unwrap_or(i64::MAX));
    identity.is_ok_and(|identity| identity.covers(hub))
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

async fn serve(sims: &[&Simulator], mut narrator: Narrator, placing: Option<Placing>) -> Result<bool, CommandError> {
    let mut terminated = signal(SignalKind::terminate())?;
    let heard = tokio::select! {
        heard = narrator.tell(sims, placing) => heard,
        pressed = tokio::signal::ctrl_c() => {
            pressed?;
            true
        }
        // Whoever ends it so wants the summary as well.
        _ = terminated.recv() => true,
    };
    let kept = narrator.end(sims);
    for sim in sims {
        sim.shut_down().await;
    }
    Ok(heard && kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: SimArgs,
    }

    /// Words of a shell's line with single quotes.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
        for letter in line.chars() {
            match letter {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(std::mem::take(&mut word)),
                letter => word.push(letter),
            }
        }
        words.push(word);
        words
    }

    /// Each row of the page's table of scenarios is a command that can be given.
    #[test]
    fn every_scenario_that_is_written_about_can_be_played() {
        let page = include_str!("../../../docs/simulators.md");
        let table = page.split("| scenario | command |").nth(1).expect("the table");
        let hub = "sim teams --sbc 127.0.0.1:5061 --roots r --certificate c --key k";
        let mut played = 0;
        for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
            let commands = row.split('`').skip(1).step_by(2).filter(|text| text.starts_with('$'));
            for command in commands {
                let line = command
                    .replace("$HUB", hub)
                    .replace("$CARRIER", "sim carrier --sbc 127.0.0.1:5060");
                let read = Line::try_parse_from(words(&line));
                let checked = read.map(|line| match line.args.command {
                    SimCommand::Teams(args) => args.check().map_err(|wrong| wrong.to_string()),
                    SimCommand::Carrier(args) => args.check().map_err(|wrong| wrong.to_string()),
                    other => Err(format!("{other:?}")),
                });
                assert!(matches!(checked, Ok(Ok(()))), "{command}: {checked:?}");
                played += 1;
            }
        }
        assert!(played > 20, "{played} commands");
    }
}
