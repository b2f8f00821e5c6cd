//! Forwardings that go round in a circle (TEAMS-052). Each of them makes a new call, so that neither Max-Forwards nor our own
//! mark in Call-IDs need see it; History-Info and Diversion grow with each round.

use super::diversions::Diversion;
use super::refusal::Refusal;
use super::trace::Trace;
use crate::config::E164;

/// How often the called number may have forwarded this call before: a call may rightly come back to its first callee once
/// or twice, as to a voicemail, and not for ever.
const MOST_ROUNDS: usize = 2;

/// Refuses a call to `number` that it has forwarded itself again and again.
///
/// # Errors
/// 482.
pub(super) fn check(number: E164, diversions: &[Diversion], trace: &mut Trace) -> Result<(), Refusal> {
    let rounds = diversions.iter().filter(|by| by.e164() == Some(number)).count();
    if rounds == 0 {
        return Ok(());
    }
    trace.step(
        "forwarded",
        number.to_string(),
        format!("has forwarded this call {rounds} times before, and {MOST_ROUNDS} at most are let pass"),
    );
    match rounds > MOST_ROUNDS {
        true => Err(Refusal::circle(&number.to_string())),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_052_a_circle_of_forwardings_ends_with_the_third_round() {
        let number = |text: &str| E164::parse(text).expect("a number");
        let by = |text: &str| Diversion {
            number: text.into(),
            reason: "unconditional".into(),
            private: false,
        };
        let (one, other) = ("+14255550111", "+442079460199");
        let mut diversions = Vec::new();
        for round in 0..=3 {
            let told = check(number(one), &diversions, &mut Trace::default());
            assert_eq!(
                told.err().map(|refusal| refusal.status),
                (round > MOST_ROUNDS).then_some(482),
                "round {round}"
            );
            diversions.extend([by(one), by(other)]);
        }
        let unconcerned = check(number("+12065550100"), &diversions, &mut Trace::default());
        assert_eq!(unconcerned, Ok(()));
    }
}
