//! Each codec of Teams on each side of a call (TEAMS-096): equal ones pass byte for byte under each side's own number, unlike
//! ones are recoded and heard, and what can't be recoded is refused before anybody rings. Teams speaks SRTP, the carrier RTP.

use crate::lab::{BOUND, CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use portcullis::sim::{Call, Dial, Payloads, Script, SimError, Spoken};
use std::time::Duration;

/// Packets in a row that are looked at.
const PACKETS: usize = 10;

/// How audio gets from one side to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Passes,
    Recoded,
}

/// What becomes of a call from Teams to a carrier that may have `carrier` alone.
fn way(teams: Spoken, carrier: Spoken) -> Option<Way> {
    match (teams == carrier, teams.speech(), carrier.speech()) {
        (true, ..) => Some(Way::Passes),
        (false, Some(_), Some(_)) => Some(Way::Recoded),
        (false, ..) => None,
    }
}

/// A carrier that may have the codecs of this word.
async fn lab(word: &str) -> Lab {
    Lab::with(Plan {
        carrier: format!("codecs = [\"{word}\"]\n"),
        ..Plan::default()
    })
    .await
}

fn calling(from: &str, to: &str, codec: Spoken) -> Dial {
    Dial {
        codec: Some(codec),
        ..Dial::new(from, to)
    }
}

/// The last packets that `hearer` got are packets that `speaker` sent, one after the other, and not a bit is another one.
async fn passed_untouched(speaker: &Call, hearer: &Call) {
    let wait = async {
        while hearer.payloads().heard.len() < PACKETS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(BOUND, wait).await.expect("packets");
    // What was heard was said before.
    let Payloads { mut heard, .. } = hearer.payloads();
    let Payloads { mut said, .. } = speaker.payloads();
    let (heard, said) = (heard.make_contiguous(), said.make_contiguous());
    let last = &heard[heard.len() - PACKETS..];
    assert!(said.windows(PACKETS).any(|run| run == last), "{said:x?}\n{last:x?}");
}

/// Both sides talk for a moment, each in its own codec.
async fn talk((at_teams, teams): (&Call, Spoken), (at_carrier, carrier): (&Call, Spoken), way: Way) {
    match way {
        Way::Passes => {
            passed_untouched(at_teams, at_carrier).await;
            passed_untouched(at_carrier, at_teams).await;
        }
        Way::Recoded => {
            at_teams.hears(CARRIER_TONE).await.unwrap();
            at_carrier.hears(TEAMS_TONE).await.unwrap();
        }
    }
    if teams.speech().is_some() {
        at_teams.hears(CARRIER_TONE).await.unwrap();
        at_carrier.hears(TEAMS_TONE).await.unwrap();
    }
    let (teams_heard, carrier_heard) = (at_teams.heard_so_far().unwrap(), at_carrier.heard_so_far().unwrap());
    assert!(teams_heard.srtp && !carrier_heard.srtp);
    assert_eq!(
        (teams_heard.lost, carrier_heard.lost, teams_heard.auth_failures),
        (0, 0, 0)
    );
    // SILK has other numbers at the carrier than in Teams.
    let number = |codec: Spoken, narrow, wide| match codec {
        Spoken::Pcmu => 0,
        Spoken::Pcma => 8,
        Spoken::G722 => 9,
        Spoken::G729 => 18,
        Spoken::SilkNarrow => narrow,
        Spoken::SilkWide => wide,
    };
    assert_eq!(teams_heard.payload_type, Some(number(teams, 103, 104)));
    assert_eq!(carrier_heard.payload_type, Some(number(carrier, 97, 96)));
}

/// Digits go along, whatever is spoken.
async fn digits(at_teams: &Call, at_carrier: &Call) {
    at_teams.send_digits("4").await.unwrap();
    crate::calls_in_progress::hears_digits(at_carrier, "4").await;
    at_carrier.send_digits("7").await.unwrap();
    crate::calls_in_progress::hears_digits(at_teams, "7").await;
}

async fn teams_calls(lab: &Lab, teams: Spoken, carrier: Spoken) {
    lab.carrier.set_script(Script::answer().codec(carrier));
    let caller = lab.teams.place_call(calling(USER, OUTSIDE, teams)).await.unwrap();
    let Some(way) = way(teams, carrier) else {
        let refused = caller.answered().await;
        let Err(SimError::NotAnswered(ending)) = refused else {
            panic!("{teams:?} to {carrier:?}: {refused:?}");
        };
        assert_eq!(ending.status, Some(488), "{teams:?} to {carrier:?}");
        // Both clocks of SILK are one word: who has the other one alone says so itself.
        if carrier.name().split('/').next() == teams.name().split('/').next() {
            lab.carrier.incoming().await.unwrap().ended().await.unwrap();
        }
        return;
    };
    let callee = lab.carrier.incoming().await.unwrap();
    caller.answered().await.unwrap();
    talk((&caller, teams), (&callee, carrier), way).await;
    digits(&caller, &callee).await;
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();
}

async fn carrier_calls(lab: &Lab, carrier: Spoken, teams: Spoken) {
    lab.teams.set_script(Script::answer().codec(teams));
    let caller = lab.carrier.place_call(calling(OUTSIDE, USER, carrier)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    if teams != carrier {
        // Teams may have every codec of a carrier, so it is asked for that one and nothing is recoded.
        let refused = caller.answered().await;
        let Err(SimError::NotAnswered(ending)) = refused else {
            panic!("{carrier:?} to {teams:?}: {refused:?}");
        };
        assert_eq!(ending.status, Some(488), "{carrier:?} to {teams:?}");
        callee.ended().await.unwrap();
        return;
    }
    caller.answered().await.unwrap();
    talk((&callee, teams), (&caller, carrier), Way::Passes).await;
    digits(&callee, &caller).await;
    callee.hang_up().await.unwrap();
    caller.ended().await.unwrap();
}

/// A carrier that may have this one word, against all that Teams has.
async fn against_every_codec(word: &str, carrier: &[Spoken]) {
    let lab = lab(word).await;
    for (carrier, teams) in carrier
        .iter()
        .flat_map(|carrier| Spoken::ALL.map(|teams| (*carrier, teams)))
    {
        teams_calls(&lab, teams, carrier).await;
        carrier_calls(&lab, carrier, teams).await;
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_096_pcmu_of_a_carrier_with_each_codec_of_teams() {
    against_every_codec("PCMU", &[Spoken::Pcmu]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_096_pcma_of_a_carrier_with_each_codec_of_teams() {
    against_every_codec("PCMA", &[Spoken::Pcma]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_096_g722_of_a_carrier_with_each_codec_of_teams() {
    against_every_codec("G722", &[Spoken::G722]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_096_g729_of_a_carrier_with_each_codec_of_teams() {
    against_every_codec("G729", &[Spoken::G729]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_096_silk_of_a_carrier_with_each_codec_of_teams() {
    against_every_codec("SILK", &[Spoken::SilkNarrow, Spoken::SilkWide]).await;
}
