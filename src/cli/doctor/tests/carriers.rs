//! What carriers do before a call is up: the tone that ends, the calls that come again.

use super::well::{call, refused, refused_by_carrier, rewrite};
use super::wrong::{expect, records};
use super::{complaints, said, well};
use crate::cli::doctor::diagnose;
use crate::cli::doctor::finding::Severity;
use crate::cli::doctor::rehearsal::{self, Rehearsal, Said, Scene};
use crate::cli::doctor::world::{PastCall, World};
use crate::config::Config;
use crate::config::fixture::machine;
use std::sync::Arc;

/// A node with these carriers beside the first.
fn with_carriers(world: &mut World, more: &str, tenant: &str) {
    let sbc = machine(&format!("{}{more}", well::CARRIER));
    let config = Config::from_toml_strs(&sbc, &[("contoso", tenant)]).unwrap_or_else(|wrong| panic!("{wrong}"));
    world.to_teams = rehearsal::to_teams(&config);
    world.from_teams = rehearsal::from_teams(&config);
    world.of_other_kinds = rehearsal::of_other_kinds(&config);
    world.config = Arc::new(config);
}

fn carrier(id: &str, net: u8, more: &str) -> String {
    format!(
        "[[carriers]]\nid = \"{id}\"\nnetworks = [\"198.18.{net}.0/24\"]\ngateways = [{{ host = \"198.18.{net}.2\" }}]\n{more}\n"
    )
}

#[test]
fn failure_13_no_ringing_tone() {
    for tells in ["media", "first", "plain", "tone"] {
        let south = carrier("south", 1, &format!("ringing = \"{tells}\""));
        expect(|world| with_carriers(world, &south, well::CONTOSO), &[]);
    }
    let all = |id, net| carrier(id, net, "ringing = \"all\"");
    let both = all("south", 1) + &all("west", 2);
    let world = expect(
        |world| with_carriers(world, &both, well::CONTOSO),
        &["carriers.ringback"],
    );
    let told = said(&world, "carriers.ringback");
    for carrier in ["south", "west"] {
        assert!(told.contains(&format!("carrier '{carrier}' hears 180")), "{told}");
    }
    assert!(!told.contains("north"), "{told}");
    // The first carrier itself.
    let mut world = well::world();
    with_carriers(&mut world, "ringing = \"all\"", well::CONTOSO);
    assert_eq!(complaints(&world), ["carriers.ringback"]);
}

#[test]
fn a_carrier_of_each_kind_is_rehearsed_both_ways() {
    let kinds = |more: &str| {
        let mut world = well::world();
        let tenant = well::CONTOSO.replace("[\"north\"]", "[\"north\", \"south\"]");
        with_carriers(&mut world, more, &tenant);
        let of_other_kinds = world.of_other_kinds.iter();
        let ids = |rehearsal: &Rehearsal| rehearsal.carriers.iter().map(ToString::to_string).collect();
        of_other_kinds.map(ids).collect::<Vec<Vec<String>>>()
    };
    assert!(kinds(&carrier("south", 1, "")).is_empty());
    let south = carrier("south", 1, "codecs = [\"PCMA\"]");
    assert_eq!(kinds(&south), [["south"], ["south"]], "one each way");
    // One that never calls is called alone.
    let called = south.replace("networks = [\"198.18.1.0/24\"]\n", "");
    assert_eq!(kinds(&called), [["south"]]);
    let alike = south + &carrier("west", 2, "codecs = [\"PCMA\"]");
    assert_eq!(kinds(&alike), [vec!["south", "west"], vec!["south"]]);
}

/// A refused call that was over a second after its birth.
fn busy(id: &str, began_ms: u64) -> PastCall {
    PastCall {
        began_ms,
        ended_ms: began_ms + 1_000,
        from: format!("+1206555{id}"),
        ..refused(id, 486, "Callee is busy", "busy")
    }
}

/// The same call once more, so long after it.
fn again(call: &PastCall, after_ms: u64) -> PastCall {
    PastCall {
        began_ms: call.ended_ms + after_ms,
        ended_ms: call.ended_ms + after_ms + 1_000,
        ..call.clone()
    }
}

#[test]
fn failure_19_calls_that_come_again_after_a_no() {
    let world = expect(
        |world| {
            for id in ["d", "e", "f"] {
                let refused = busy(id, 1_000);
                let second = again(&refused, 800);
                records(world).extend([refused, second]);
            }
        },
        &["carriers.retries"],
    );
    let told = said(&world, "carriers.retries");
    assert!(
        told.starts_with(
            "of 6 calls that Teams had ended with a user's \"no\" carrier 'north' sent 3 again within 5 s"
        ),
        "{told}"
    );
    expect(
        |world| {
            let to_carrier = |said: &Said| !said.to_teams && said.scene == Scene::Busy;
            rewrite(&mut world.to_teams, to_carrier, "cause=17", "cause=34");
        },
        &["sip-lint.busy"],
    );
}

/// People dial once more, too.
#[test]
fn a_redial_is_no_habit_of_the_carrier() {
    let many = |world: &mut World, repeated: usize| {
        for place in 0..40 {
            let refused = busy(&place.to_string(), 10_000 * place);
            let second = again(&refused, 800);
            let repeats = usize::try_from(place).expect("small") < repeated;
            records(world).push(refused);
            records(world).extend(repeats.then_some(second));
        }
    };
    let redialled = expect(
        |world| {
            let refused = busy("d", 1_000);
            let answered = PastCall {
                from: refused.from.clone(),
                began_ms: refused.ended_ms + 12_000,
                ..call("e")
            };
            records(world).extend([refused, answered]);
        },
        &[],
    );
    assert_eq!(said(&redialled, "carriers.retries"), "");
    let once = expect(|world| many(world, 1), &[]);
    assert!(said(&once, "carriers.retries").contains("of 41 calls"));
    expect(|world| many(world, 3), &[]);
    // A tenth is suspect, and what was a habit once is over when others are let be.
    expect(|world| many(world, 5), &["carriers.retries"]);
    let world = expect(|world| many(world, 30), &["carriers.retries"]);
    assert!(said(&world, "carriers.retries").contains("since then it has worked"));
    let warned = diagnose(&world).worst();
    assert_eq!(warned, Some(Severity::Warn));
}

/// Calls out of Teams are answered by us, with what the carrier said: nothing of it is said of Teams.
#[test]
fn what_a_carrier_refuses_is_not_told_of_teams() {
    let three = |status: u16, class: &'static str| {
        move |world: &mut World| {
            let refused = ["d", "e", "f"].map(|id| refused_by_carrier(id, status, class));
            records(world).extend(refused);
        }
    };
    let world = expect(three(488, "media"), &["media.refused"]);
    let told = said(&world, "media.refused");
    assert!(
        told.starts_with("carrier 'north' refused the media of 3 calls (488), the last of them f of 1970-01-01T00:00Z"),
        "{told}"
    );
    let world = expect(three(403, "policy"), &["carriers.refused"]);
    let told = said(&world, "carriers.refused");
    assert!(
        told.starts_with("carrier 'north' refused 3 of 3 calls with 403"),
        "{told}"
    );
    // A number that nobody has, or nobody who answers, is the callers' affair.
    expect(three(404, "wrong_number"), &[]);
    expect(three(480, "unavailable"), &[]);
    // One barred number is no pattern.
    let once = expect(|world| records(world).push(refused_by_carrier("d", 403, "policy")), &[]);
    assert!(said(&once, "carriers.refused").contains("to +4930555100"));
}
