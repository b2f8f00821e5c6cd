//! Media bypass, a whole node between a carrier and clients of Teams: full ICE agents whose `c=` leads nowhere.

use crate::lab::{CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use crate::shapes_of_descriptions::{each_shape_answers, each_shape_calls};
use crate::transfers::user_uri;
use portcullis::sim::{Change, Dial, HoldForm, Refer, Script};
use std::time::Duration;

/// Hz of who comes by a transfer.
const OTHER_TONE: f64 = 800.0;

async fn lab() -> Lab {
    Lab::with(Plan {
        bypass: true,
        ..Plan::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_099_a_client_that_is_found_by_checks_alone_is_called_and_heard() {
    let lab = lab().await;
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    assert_eq!(caller.change(Change::Hold(HoldForm::Inactive)).await.unwrap(), 200);
    assert_eq!(caller.change(Change::Resume).await.unwrap(), 200);
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_100_a_client_that_calls_is_found_by_its_checks() {
    let lab = lab().await;
    lab.carrier.set_script(Script::early_media(Duration::from_millis(300)));
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hears(TEAMS_TONE).await.unwrap();
    caller.hears(CARRIER_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_102_the_fork_that_answers_is_heard_whoever_had_early_media() {
    let lab = lab().await;
    lab.teams.set_script(Script::forked(Duration::from_millis(300)));
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_078_079_the_named_pair_and_a_restart_keep_the_audio() {
    let lab = lab().await;
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    for change in [Change::FinalCandidates, Change::Restart, Change::FinalCandidates] {
        assert_eq!(callee.change(change).await.unwrap(), 200, "{change:?}");
        callee.hears(CARRIER_TONE).await.unwrap();
        caller.hears(TEAMS_TONE).await.unwrap();
    }
    caller.hang_up().await.unwrap();
    lab.close().await;
}

/// Each client that comes has credentials of its own, and finds us by them.
#[tokio::test(flavor = "multi_thread")]
async fn teams_082_088_who_comes_by_refer_or_replaces_is_found_by_its_checks() {
    let lab = lab().await;
    lab.carrier.set_script(Script::answer());
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hears(TEAMS_TONE).await.unwrap();
    lab.teams
        .set_script(Script::forked(Duration::from_millis(300)).tone(OTHER_TONE));
    assert_eq!(caller.refer(Refer::to(&user_uri())).await.unwrap(), 202);
    let third = lab.teams.incoming().await.unwrap();
    callee.hears(OTHER_TONE).await.unwrap();
    third.hears(CARRIER_TONE).await.unwrap();
    caller.ended().await.unwrap();
    let dial = Dial {
        tone: Some(TEAMS_TONE),
        ..Dial::new(USER, OUTSIDE)
    };
    let back = lab.teams.replace(&third, dial).await.unwrap();
    callee.hears(TEAMS_TONE).await.unwrap();
    back.hears(CARRIER_TONE).await.unwrap();
    callee.hang_up().await.unwrap();
    back.ended().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_093_094_095_a_client_that_calls_is_answered_in_its_own_words() {
    each_shape_calls(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_093_094_095_102_forks_of_each_shape_are_heard() {
    each_shape_answers(true).await;
}
