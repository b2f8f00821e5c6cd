//! What applications and REST are told of legs: their names, whose they are, how they ended.

use super::application::{dial, terms, to_application};
use super::rig::Rig;
use super::scenario::placed;
use crate::app::payload::{Kind, Properties};
use crate::call::LegIndex;
use serde_json::{Value, json};

const A: &str = "+12065550101";
const B: &str = "+12065550102";

/// The status events of the children of a dial.
fn of_children(rig: &Rig) -> Vec<Properties> {
    let mut events = rig.told(Kind::CallStatus);
    events.retain(|event| event.contains_key("parent_call_sid"));
    events
}

#[test]
fn every_event_of_a_child_bears_the_call_id_of_its_invite() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&[A, B], &json!({}))]));
    rig.planned(&[A, B]);
    rig.ack(LegIndex::CALLER, "");
    let ids: Vec<String> = rig
        .invites()
        .iter()
        .map(|invite| invite.message.call_id().to_owned())
        .collect();
    let told: Vec<Value> = of_children(&rig).iter().map(|event| event["call_id"].clone()).collect();
    assert_eq!(json!(told), json!(ids), "each is told of as soon as it begins");
    assert_eq!(of_children(&rig)[0]["sbc_callid"], json!(ids[0]));
    rig.hang_up_and_finish();
    let rig = placed(terms(), &[A]);
    assert_eq!(
        rig.told(Kind::CallStatus)[0]["call_id"],
        json!(rig.last_invite().message.call_id())
    );
}
