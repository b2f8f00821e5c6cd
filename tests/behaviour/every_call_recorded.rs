//! Every call that began has one record, however it ends.

use crate::lab::{BOUND, HUB, Lab, OUTSIDE, Plan, USER};
use crate::phone::Phone;
use portcullis::route::TraceStep;
use portcullis::sim::{Dial, Script, Step};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_answers_no_bye_at_the_end_of_a_drain() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    let mut phone = Phone::new(&lab).await;
    phone.call().await;
    let callee = lab.teams.incoming().await.unwrap();
    lab.running.drain(Duration::ZERO).await;
    phone.receive("BYE ").await;
    callee.ended().await.unwrap();
    assert_eq!(lab.running.node.calls.count(), 1, "the phone has not answered");
    let records = lab.records.clone();
    lab.close().await;
    let record = records.get(0).await;
    assert_eq!(record.cause.label(), "cleared");
    assert!(record.answered_after_ms.is_some());
    assert_eq!(record.legs.len(), 2);
    assert_eq!(records.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_leaves_its_ladder_with_the_reasons() {
    let lab = Lab::start().await;
    lab.records.ladders.switch(true);
    lab.teams.set_script(Script::of([Step::Refuse {
        status: 404,
        retry_after: None,
        cause: Some(1),
    }]));
    let _caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let record = lab.records.get(0).await;
    let ladder = lab.records.ladders.of(&record.call);
    let refusals: Vec<_> = ladder.iter().filter(|arrow| arrow.what.starts_with("404 ")).collect();
    let [heard, passed_on] = refusals.as_slice() else {
        panic!("{ladder:?}");
    };
    assert_eq!(
        (heard.way, heard.leg, passed_on.way, passed_on.leg),
        ("in", 1, "out", 0)
    );
    for refusal in refusals {
        let reason = refusal.reason.as_deref().unwrap_or_default();
        assert!(reason.starts_with("Q.850;cause=1"), "{refusal:?}");
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_task_panics_is_hung_up_on_both_sides() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    lab.carrier.set_script(Script::answer());
    lab.records.trap.store(true, Relaxed);
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    caller.ended().await.unwrap();
    callee.ended().await.unwrap();
    let record = lab.records.get(0).await;
    assert_eq!(record.cause.label(), "fault");
    assert!(record.cause_text.contains("defect"), "{}", record.cause_text);
    assert_eq!(record.legs.len(), 2);

    // It cost nothing but itself.
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    assert_eq!(lab.records.get(1).await.cause.label(), "hung_up");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_birth_panics_is_in_no_list_and_has_its_record() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    lab.records.early_trap.store(true, Relaxed);
    let mut lost = Phone::new(&lab).await;
    let contact = format!("Contact: <sip:{OUTSIDE}@{}>\r\n", lost.us);
    let invite = lost.request("INVITE", "1 INVITE", "lost", &contact, &lost.offer("sendrecv"));
    lost.send(&invite).await;
    lost.receive("SIP/2.0 500 ").await;
    let record = lab.records.get(0).await;
    assert_eq!(record.cause.label(), "fault");
    assert!(record.legs.is_empty(), "{:?}", record.legs);
    let left = async {
        while lab.running.node.calls.count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, left).await.expect("the call is in no list");

    // It cost nothing but itself.
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    assert_eq!(lab.records.get(1).await.cause.label(), "hung_up");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_observes_a_call_hears_which_gateway_or_hub_answered_it() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    lab.carrier.set_script(Script::answer());
    let call = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    call.answered().await.unwrap();
    call.hang_up().await.unwrap();
    let call = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    call.answered().await.unwrap();
    call.hang_up().await.unwrap();
    lab.records.get(1).await;
    let answered_by = lab.records.answered_by();
    let gateway = format!("north/{}", lab.carrier.address());
    assert!(
        answered_by[0].starts_with(&gateway) && answered_by[1] == HUB,
        "{answered_by:?}"
    );
    lab.close().await;
}

/// What a peer writes, and how many carriers there are, may make a step longer and steps more.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_long_decision_the_first_steps_are_kept_and_the_last_and_how_many_are_left_out() {
    let idle: Vec<String> = (0..20).map(|number| format!("idle{number}")).collect();
    let carriers: String = (1..)
        .zip(&idle)
        .map(|(host, name)| format!("[[carriers]]\nid = \"{name}\"\nnetworks = [\"203.0.113.{host}/32\"]\n"))
        .collect();
    let lab = Lab::with(Plan {
        machine: format!("[emergency]\nnumbers = [\"911\"]\ncarriers = {idle:?}\n{carriers}"),
        carrier: "elin = true\n".into(),
        ..Plan::default()
    })
    .await;
    lab.carrier.set_script(Script::answer());
    lab.teams.set_script(Script::answer());
    let elins: String = (0..16).map(|number| format!("+19005550{number:03};")).collect();
    let record = include_str!("../data/pidf/elin.xml").replace("+14255550180;4255550181", &elins);
    let dial = Dial::new(USER, "911").located(&record);
    let call = lab.teams.place_call(dial).await.unwrap();
    call.answered().await.unwrap();
    call.hang_up().await.unwrap();
    let trace = lab.records.get(0).await.facts.trace;
    let is_more = |step: &&TraceStep| step.rule == "more";
    let left_out = trace.iter().find(is_more).expect("how many are left out");
    assert!(left_out.outcome.ends_with("steps are left out"), "{left_out:?}");
    let decision = trace.iter().position(|step| step.rule == "hop").expect("where it went");
    assert_eq!(decision, 32, "{trace:?}");

    let name = "x".repeat(1_000);
    let caller = lab.carrier.place_call(Dial::new(&name, USER)).await.unwrap();
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    let trace = lab.records.get(1).await.facts.trace;
    let longest = trace
        .iter()
        .map(|step| step.subject.len().max(step.outcome.len()))
        .max();
    assert_eq!(longest, Some(203), "200 and a mark: {trace:?}");
    lab.close().await;
}
