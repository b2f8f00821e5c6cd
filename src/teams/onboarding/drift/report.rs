//! Differences as text.

use super::{Compared, Difference, Fix, Weight};
use std::collections::HashSet;
use std::fmt::Write;

/// What an administrator reads: each difference, and below it what mends it.
pub fn report(found: &[Difference], compared: Compared) -> String {
    let mut text = String::new();
    // A String takes everything.
    let _written = write_report(&mut text, found, compared);
    text
}

fn write_report(out: &mut String, found: &[Difference], compared: Compared) -> std::fmt::Result {
    let mut told: HashSet<&str> = HashSet::new();
    for difference in found {
        let mark = match difference.weight {
            Weight::Breaks => "differs",
            Weight::Note => "note   ",
        };
        writeln!(
            out,
            "{mark} {}: {} (there: {}; here: {})",
            plain(&difference.subject),
            plain(&difference.what),
            plain(&difference.there),
            plain(&difference.here)
        )?;
        let lines = match &difference.fix {
            // One route takes all trunks: made twice, the second command fails.
            Fix::Powershell(command) if !told.insert(command) => {
                writeln!(out, "    the same command mends it")?;
                continue;
            }
            Fix::Powershell(command) => command,
            Fix::Config { file, lines } => {
                writeln!(out, "    in {file}:")?;
                lines
            }
        };
        for line in lines.lines() {
            writeln!(out, "    {}", plain(line))?;
        }
    }
    let breaking = found.iter().filter(|one| one.weight == Weight::Breaks).count();
    let Compared {
        gateways,
        has_gateways,
        routes,
        users,
        assignments,
        trunk_absent,
    } = compared;
    writeln!(
        out,
        "{breaking} differences, {} notes; compared {gateways} gateways, {routes} voice routes, {users} users, {assignments} number assignments",
        found.len() - breaking
    )?;
    if let Some(trunk) = &trunk_absent {
        writeln!(
            out,
            "the trunk {} is in none of the gateways: the pairing was not compared",
            plain(trunk)
        )?;
    }
    let looked = [
        (
            usize::from(has_gateways),
            "gateway: the pairing was not compared (Get-CsOnlinePSTNGateway)",
        ),
        (
            routes,
            "voice route: the routing was not compared (Get-CsOnlineVoiceRoute)",
        ),
        (
            users + assignments,
            "user and no assignment: the numbers were not compared (Get-CsOnlineUser, Get-CsPhoneNumberAssignment)",
        ),
    ];
    for (_, what) in looked.into_iter().filter(|(count, _)| *count == 0) {
        writeln!(out, "there was no {what}")?;
    }
    Ok(())
}

/// Nothing of an output moves the cursor of a terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '\u{fffd}' } else { letter })
        .collect()
}
