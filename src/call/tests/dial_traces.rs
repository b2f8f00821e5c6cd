//! What the record of a call keeps of how the targets of its dials were planned.

use super::application::to_application;
use super::messages::reply;
use crate::call::LegIndex;
use crate::call::record::MOST_DIAL_STEPS;
use crate::route::TraceStep;
use serde_json::{Value, json};

const A: &str = "+12065550101";

fn words(trace: &[TraceStep]) -> Vec<String> {
    let words = |step: &TraceStep| format!("{} {}: {}", step.rule, step.subject, step.outcome);
    trace.iter().map(words).collect()
}

#[test]
fn the_record_says_why_each_target_led_where_it_did_and_why_one_was_refused() {
    let mut rig = to_application().begin();
    let targets = json!([{ "type": "phone", "number": A }, { "type": "phone", "number": A, "trunk": "north" },
        { "type": "phone", "number": A.trim_start_matches('+') }]);
    let other = json!([{ "type": "phone", "number": A, "trunk": "west" }]);
    rig.answer(&json!([{ "verb": "dial", "target": targets }, { "verb": "dial", "target": other }]));
    rig.planned_really();
    rig.ack(LegIndex::CALLER, "");
    for invite in rig.invites() {
        rig.respond(&invite, reply(486));
    }
    rig.planned_really();
    let dials = rig.finish().application.expect("an application").dials;
    let [first, second] = &dials[..] else {
        panic!("{dials:?}")
    };
    let [by_any, by_north] = &first.targets[..] else {
        panic!("{:?}", first.targets)
    };
    let (by_any, by_north) = (words(&by_any.trace), words(&by_north.trace));
    assert_eq!(by_any[0], format!("target target[0]: phone {A}"));
    assert!(
        by_any.contains(&"carrier north: tried as number 1".to_owned()),
        "{by_any:?}"
    );
    assert!(by_any.iter().any(|step| step.starts_with("hop north/")), "{by_any:?}");
    assert_eq!(by_north[0], format!("target target[1]: phone {A}"));
    assert!(
        by_north.contains(&"carrier north: named by the target".to_owned()),
        "{by_north:?}"
    );
    assert_eq!(
        words(&first.trace)[1],
        "left out target[2]: an earlier target is the same"
    );
    assert_eq!(second.targets, []);
    let refused = words(&second.trace).pop().expect("steps");
    assert!(refused.starts_with("refused target[0].trunk: "), "{refused}");
}

#[test]
fn the_record_keeps_a_bounded_number_of_steps_however_often_an_application_dials() {
    let mut rig = to_application().begin();
    let numbers = (0..9).map(|last| json!({ "type": "phone", "number": format!("+1206555010{last}") }));
    let targets: Vec<Value> = numbers.chain([json!({ "type": "phone", "number": "bob" })]).collect();
    let verbs = vec![json!({ "verb": "dial", "target": targets }); 60];
    rig.answer(&json!(verbs));
    for _ in &verbs {
        rig.planned_really();
    }
    let dials = rig.finish().application.expect("an application").dials;
    let steps: Vec<usize> = dials.iter().map(|dial| dial.trace.len()).collect();
    assert_eq!((dials.len(), steps[0], steps.iter().sum()), (60, 32, MOST_DIAL_STEPS));
    let last = |position: usize| words(&dials[position].trace).pop();
    let refused = "refused target[9].number: 'bob' is not a telephone number";
    assert!(last(0).is_some_and(|step| step.starts_with(refused)), "{:?}", last(0));
    assert_eq!(last(59), None);
}
