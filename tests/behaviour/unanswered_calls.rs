//! Calls that nobody answers: the caller is told the right code with the right reason, and nobody is tried who must not be.

use crate::lab::{BOUND, CARRIER_TONE, HUB, HUB2, Lab, OUTSIDE, Plan, TEAMS_TONE, USER, both_heard};
use portcullis::call::{Cause, Party};
use portcullis::dial::PeerName;
use portcullis::sim::{Dial, Ending, Script, Step};
use portcullis::sip::Message;
use std::time::Duration;

fn is_invite(message: &Message) -> bool {
    message.cseq_method().as_str() == "INVITE"
}

async fn ending_of_call_to_teams(lab: &Lab, script: Script) -> Ending {
    lab.teams.set_script(script);
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    caller.ended().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_and_declined_are_final() {
    let plan = Plan {
        second_hub: true,
        ..Plan::default()
    };
    let lab = Lab::with(plan).await;
    for (script, status) in [
        (Script::busy(), 486),
        (Script::decline(), 603),
        (Script::refuse(404), 404),
    ] {
        let ending = ending_of_call_to_teams(&lab, script).await;
        assert_eq!(ending.status, Some(status));
    }
    let second = lab.teams2.as_ref().unwrap();
    assert!(!second.transcript().iter().any(is_invite), "a 4xx or 6xx was retried");
    assert_eq!(lab.records.get(0).await.cause.label(), "refused");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_drains_is_left_for_the_next_one_and_held_down() {
    let lab = Lab::with(Plan {
        second_hub: true,
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::unavailable(60));
    let second = lab.teams2.as_ref().unwrap();
    second.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    caller.answered().await.unwrap();
    let callee = second.incoming().await.unwrap();
    both_heard((&caller, TEAMS_TONE), (&callee, CARRIER_TONE)).await;
    caller.hang_up().await.unwrap();
    let record = lab.records.get(0).await;
    let tried: Vec<String> = record
        .legs
        .iter()
        .filter_map(|leg| Some(leg.peer.as_ref()?.to_string()))
        .collect();
    assert_eq!(tried, [HUB, HUB2]);
    // The next call goes straight to the other hub: Retry-After was heard.
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    let record = lab.records.get(1).await;
    assert_eq!(
        record
            .legs
            .get(1)
            .and_then(|leg| leg.peer.as_ref())
            .map(ToString::to_string)
            .as_deref(),
        Some(HUB2)
    );
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_063_a_hub_that_fails_the_handshake_is_left_for_the_next_one() {
    let lab = Lab::with(Plan {
        second_hub: true,
        foreign_hub: true,
        ..Plan::default()
    })
    .await;
    let second = lab.teams2.as_ref().unwrap();
    second.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    caller.answered().await.unwrap();
    let callee = second.incoming().await.unwrap();
    both_heard((&caller, TEAMS_TONE), (&callee, CARRIER_TONE)).await;
    caller.hang_up().await.unwrap();
    let record = lab.records.get(0).await;
    let tried: Vec<_> = record
        .legs
        .iter()
        .skip(1)
        .map(|leg| (leg.peer.as_ref(), leg.status))
        .collect();
    let hubs = [HUB, HUB2].map(|hub| PeerName::Hub(hub.into()));
    assert_eq!(tried, [(Some(&hubs[0]), Some(503)), (Some(&hubs[1]), Some(200))]);
    let why = record.legs[1].why.as_deref().unwrap_or_default();
    assert!(why.starts_with("the peer was refused: "), "{why}");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_hub_is_given_up_in_time() {
    let plan = Plan {
        second_hub: true,
        ..Plan::default()
    };
    let lab = Lab::with(plan).await;
    lab.teams.set_script(Script::silent());
    let second = lab.teams2.as_ref().unwrap();
    second.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    tokio::time::timeout(BOUND, caller.answered()).await.unwrap().unwrap();
    let callee = second.incoming().await.unwrap();
    both_heard((&caller, TEAMS_TONE), (&callee, CARRIER_TONE)).await;
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers() {
    let lab = Lab::with(Plan {
        machine: "[timers]\nringing = \"1s\"\n".into(),
        ..Plan::default()
    })
    .await;
    let ending = ending_of_call_to_teams(&lab, Script::no_answer()).await;
    assert_eq!(ending.status, Some(480));
    assert_eq!(lab.records.get(0).await.cause, Cause::NoAnswer);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_gives_up() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::no_answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    assert_eq!(caller.hang_up().await.unwrap().status, Some(487));
    callee.ended().await.unwrap();
    let record = lab.records.get(0).await;
    assert_eq!(
        (record.cause.clone(), record.ended_by),
        (Cause::CallerGaveUp, Party::Caller)
    );
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_everybody_has_left_takes_no_place() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::silent());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let rung = async {
        while !lab.teams.transcript().iter().any(is_invite) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, rung).await.unwrap();
    assert_eq!(caller.hang_up().await.unwrap().status, Some(487));
    let node = &lab.running.node;
    let free = async {
        while node.places.calls("node") > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, free).await.unwrap();
    assert_eq!(node.calls.count(), 1, "the hub may still answer our INVITE");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_number_is_told_so_without_anybody_ringing() {
    let lab = Lab::start().await;
    let caller = lab
        .carrier
        .place_call(Dial::new(OUTSIDE, "+19995550100"))
        .await
        .unwrap();
    let ending = caller.ended().await.unwrap();
    assert_eq!(ending.status, Some(404));
    assert_eq!(
        ending.reasons,
        ["Q.850;cause=1;text=\"Unallocated number\""],
        "and nothing of what is inside"
    );
    assert_eq!(ending.x_reason, None);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_in_teams_is_no_caller_of_the_tenant() {
    let lab = Lab::start().await;
    let caller = lab.teams.place_call(Dial::new("+18885550100", OUTSIDE)).await.unwrap();
    assert_eq!(caller.ended().await.unwrap().status, Some(403));
    let unknown = Dial {
        host: Some("fabrikam.sbc1.example.net".into()),
        ..Dial::new(USER, OUTSIDE)
    };
    let caller = lab.teams.place_call(unknown).await.unwrap();
    assert_eq!(caller.ended().await.unwrap().status, Some(404));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirection_is_not_followed() {
    let lab = Lab::start().await;
    let script = Script::of([Step::Redirect("sip:+19005550100@premium.example".into())]);
    lab.carrier.set_script(script);
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    assert_eq!(caller.ended().await.unwrap().status, Some(480));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_free_media_port_nobody_rings() {
    let lab = Lab::with(Plan {
        machine: String::new(),
        media: "ports = \"20000-20047\"\n".to_owned(),
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::answer());
    // 48 ports, two to four for a call.
    let mut held = Vec::new();
    let ending = loop {
        let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
        match caller.answered().await {
            Ok(()) => held.push(caller),
            Err(_) => break caller.ended().await.unwrap(),
        }
        assert!(held.len() <= 24, "more calls than ports");
    };
    assert_eq!(ending.status, Some(503));
    assert!(ending.retry_after.is_some(), "a peer has to know when to come back");
    for caller in &held {
        caller.hang_up().await.unwrap();
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_is_shown_as_calls_find_it() {
    let lab = Lab::start().await;
    let is_up = async |wanted: bool| {
        let node = &lab.running.node;
        let shown = async {
            loop {
                let reports = node.peers.report(node.clock.now());
                let hub = reports.into_iter().find(|report| report.peer == HUB);
                if hub.is_some_and(|hub| hub.up == wanted && hub.answered_seconds_ago.is_some()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(BOUND, shown).await.expect("it is shown")
    };
    is_up(true).await;
    lab.teams.set_script(Script::of([Step::Refuse {
        status: 503,
        retry_after: None,
        cause: None,
    }]));
    let refused = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    assert_eq!(refused.ended().await.unwrap().status, Some(503));
    is_up(false).await;
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    caller.answered().await.unwrap();
    is_up(true).await;
    caller.hang_up().await.unwrap();
    lab.close().await;
}
