//! Keys that come as tones are listened for while they are waited for, and no longer.

use super::application::{dial, to_application};
use super::messages::reply;
use super::peers::carrier_sdp;
use super::rig::Rig;
use crate::call::{Effect, LegIndex};
use crate::sip::Method;
use serde_json::json;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const A: &str = "+12065550101";

/// A peer that sends no events.
fn without_events() -> String {
    carrier_sdp("sendrecv").replace("AVP 8 0 101", "AVP 8 0")
}

impl Rig {
    /// Where listening began or ended so far.
    fn listening(&self) -> Vec<(LegIndex, bool)> {
        let listening = |effect: &Effect| match effect {
            Effect::ListenInBand { handle, on } => {
                let (_, leg) = self.opened.iter().find(|(known, _)| known == handle)?;
                Some((*leg, *on))
            }
            _ => None,
        };
        self.wishes.iter().filter_map(listening).collect()
    }
}

#[test]
fn a_gathering_is_listened_to_until_it_is_over() {
    let gather = json!({ "verb": "gather", "input": ["digits"], "numDigits": 1, "timeout": 5 });
    for ends in ["by a key", "by time", "with its call"] {
        let mut rig = to_application().sdp(&without_events()).begin();
        rig.answer(&json!([{ "verb": "answer" }, gather, { "verb": "pause", "length": 60 }]));
        rig.ack(CALLER, "");
        assert_eq!(rig.listening(), [(CALLER, true)]);
        match ends {
            "by a key" => rig.key(CALLER, '1'),
            "by time" => rig.wait(Duration::from_secs(6)),
            _ => {
                rig.hang_up_and_finish();
                assert_eq!(rig.listening(), [(CALLER, true)], "its media is closed");
                continue;
            }
        }
        assert_eq!(rig.listening(), [(CALLER, true), (CALLER, false)], "{ends}");
        rig.hang_up_and_finish();
    }
}

#[test]
fn a_bridge_is_listened_to_on_the_side_whose_keys_are_captured() {
    let mut rig = to_application().sdp(&without_events()).begin();
    rig.answer(&json!([
        dial(&[A], &json!({ "dtmfHook": "/keys", "dtmfCapture": { "parentCall": ["9"] } })),
        { "verb": "pause", "length": 60 }
    ]));
    rig.planned(&[A]);
    rig.ack(CALLER, "");
    assert!(rig.listening().is_empty(), "nobody talks yet");
    let invite = rig.last_invite();
    rig.respond(&invite, reply(200).sdp(without_events()));
    assert_eq!(rig.listening(), [(CALLER, true)]);
    rig.request(invite.leg, Method::Bye, "", "");
    assert_eq!(rig.listening(), [(CALLER, true), (CALLER, false)]);
    rig.hang_up_and_finish();
}

#[test]
fn who_sends_events_is_not_listened_to() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "gather", "input": ["digits"], "numDigits": 1 }]));
    rig.ack(CALLER, "");
    assert!(rig.listening().is_empty());
    rig.hang_up_and_finish();
}
