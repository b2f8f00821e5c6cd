//! Media bypass, a whole node between a carrier and clients of Teams: full ICE agents whose `c=` leads nowhere.

use crate::lab::{CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use portcullis::sim::{Change, Dial, HoldForm, Script};
use std::time::Duration;

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
