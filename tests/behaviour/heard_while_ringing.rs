//! What a carrier's caller hears before somebody answers, checked by its tone.

use crate::lab::{CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use portcullis::sim::{Dial, Fork, Script, Step};

/// Hz of our ringing tone.
const RING_BACK: f64 = 425.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_ringing_tone_of_ours_until_the_answer() {
    let lab = Lab::with(Plan {
        carrier: "ringing = \"tone\"\n".into(),
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::no_answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    assert!(caller.provisional(183).await.unwrap().has_description);
    caller.hears(RING_BACK).await.unwrap();
    callee.answer().await.unwrap();
    caller.answered().await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    let sources = caller.heard_so_far().expect("media").sources;
    assert_eq!(
        sources.len(),
        1,
        "the tone is in the stream that the callee goes on in: {sources:?}"
    );
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();
    lab.close().await;
}

/// Nobody answers: what is heard is early media.
#[tokio::test(flavor = "multi_thread")]
async fn teams_062_a_183_goes_on_when_there_is_audio() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::of([Step::Progress(Fork(0))]));
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    assert!(!caller.provisional(180).await.unwrap().has_description);
    assert!(caller.provisional(183).await.unwrap().has_description);
    caller.hears(TEAMS_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();
    lab.close().await;
}
