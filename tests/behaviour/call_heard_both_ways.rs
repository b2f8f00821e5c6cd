//! The main job: a call crosses the node in either direction and both sides hear each other, SRTP on Teams' side.

use crate::lab::{CARRIER_TONE, Lab, OUTSIDE, TEAMS_TONE, USER};
use portcullis::call::{Cause, Direction, Party};
use portcullis::sim::{Dial, Script};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn from_a_carrier_to_a_teams_user() {
    let lab = Lab::start().await;
    lab.teams
        .set_script(Script::ring_then_answer(Duration::from_millis(200)));
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.provisional(180).await.unwrap();
    caller.answered().await.unwrap();
    let at_carrier = caller.hears(TEAMS_TONE).await.unwrap();
    let at_teams = callee.hears(CARRIER_TONE).await.unwrap();
    assert!(at_teams.srtp && !at_carrier.srtp);
    assert_eq!((at_carrier.lost, at_teams.lost, at_teams.auth_failures), (0, 0, 0));
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();
    let record = lab.records.get(0).await;
    assert_eq!(record.facts.direction, Direction::CarrierToTeams);
    assert_eq!((record.facts.tenant.as_str(), record.status), ("contoso", 200));
    assert_eq!(record.cause, Cause::hung_up(Party::Caller));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_teams_user_to_a_carrier() {
    let lab = Lab::start().await;
    lab.carrier.set_script(Script::early_media(Duration::from_millis(200)));
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    let early = caller.provisional(183).await.unwrap();
    assert!(early.has_description);
    caller.answered().await.unwrap();
    let at_teams = caller.hears(CARRIER_TONE).await.unwrap();
    let at_carrier = callee.hears(TEAMS_TONE).await.unwrap();
    assert!(at_teams.srtp && !at_carrier.srtp);
    callee.hang_up().await.unwrap();
    caller.ended().await.unwrap();
    let record = lab.records.get(0).await;
    assert_eq!(record.facts.direction, Direction::TeamsToCarrier);
    assert_eq!(record.cause, Cause::hung_up(Party::Callee));
    let media: Vec<u64> = record
        .legs
        .iter()
        .filter_map(|leg| Some(leg.media.as_ref()?.received.packets))
        .collect();
    assert!(
        media.len() == 2 && media.iter().all(|packets| *packets >= 5),
        "{media:?}"
    );
    lab.close().await;
}
