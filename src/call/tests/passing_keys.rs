//! Keys that change their form between the two sides of a call (TEAMS-098).

use super::application::{dial, to_application};
use super::messages::reply;
use super::peers::{carrier_sdp, teams_sdp};
use super::rig::Rig;
use super::scenario::{from_carrier, from_teams};
use crate::call::{Command, Effect, Event, LegIndex, Wish};
use crate::dial::KeyForm;
use crate::media::LegId;
use crate::sip::Method;
use crate::sip::message::HeaderName;
use serde_json::json;
use std::time::Duration;

const CALLER: LegIndex = LegIndex::CALLER;
const CALLEE: LegIndex = LegIndex(1);

/// What a carrier describes that knows no telephone-events.
fn without_events() -> String {
    carrier_sdp("sendrecv")
        .replace(" 101\r\n", "\r\n")
        .replace("a=rtpmap:101 telephone-event/8000\r\n", "")
}

impl Rig {
    /// The peer of a leg sends a key as INFO; the answer.
    fn info(&mut self, leg: LegIndex, kind: &str, body: &str) -> Option<u16> {
        let lines = format!("Content-Type: {kind}\r\n");
        self.request(leg, Method::Info, &lines, body);
        self.last_response(leg).message.status()
    }

    /// Keys that media workers were told to send, and to whom.
    fn keys_sent(&self) -> Vec<(LegId, String)> {
        let keys = |effect: &Effect| match effect {
            Effect::SendDigits { handle, digits, .. } => Some((*handle, digits.clone())),
            _ => None,
        };
        self.wishes.iter().filter_map(keys).collect()
    }

    fn listens(&self) -> Vec<(LegId, bool)> {
        let told = |effect: &Effect| match effect {
            Effect::ListenInBand { handle, on } => Some((*handle, *on)),
            _ => None,
        };
        self.wishes.iter().filter_map(told).collect()
    }
}

#[test]
fn teams_098_a_carriers_info_is_an_event_toward_teams() {
    let mut rig = from_carrier().begin().answered();
    let teams = rig.handle_of(CALLEE);
    assert_eq!(
        rig.info(CALLER, "application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
        Some(200)
    );
    assert_eq!(rig.info(CALLER, "application/dtmf", "#"), Some(200));
    assert_eq!(rig.keys_sent(), [(teams, "5".to_owned())], "one after the other");
    rig.step(Event::DigitsSent { leg: CALLEE, cookie: 0 });
    assert_eq!(rig.keys_sent(), [(teams, "5".to_owned()), (teams, "#".to_owned())]);
    rig.step(Event::DigitsSent { leg: CALLEE, cookie: 0 });
    assert_eq!(rig.info(CALLER, "text/plain", "5"), Some(415));
    assert_eq!(rig.info(CALLEE, "application/dtmf", "5"), Some(405), "of Teams");
    assert_eq!(rig.keys_sent().len(), 2);
    rig.hang_up_and_finish();
}

#[test]
fn teams_098_a_key_that_comes_both_ways_is_one_key() {
    let mut rig = from_carrier().begin().answered();
    rig.step(Event::Digit {
        leg: CALLER,
        digit: '5',
    });
    rig.info(CALLER, "application/dtmf", "5");
    rig.info(CALLER, "application/dtmf", "6");
    assert_eq!(rig.keys_sent(), [], "its events are relayed");
    rig.hang_up_and_finish();
}

#[test]
fn teams_098_keys_of_teams_reach_a_carrier_without_events_as_it_is_configured() {
    for (keys, tones, infos) in [("", 0, 0), ("dtmf = \"tones\"\n", 1, 0), ("dtmf = \"info\"\n", 0, 1)] {
        let mut rig = from_teams().of_carrier(keys).begin();
        rig.respond(&rig.last_invite(), reply(200).sdp(without_events()));
        rig.ack(CALLER, "");
        rig.step(Event::Digit {
            leg: CALLER,
            digit: '7',
        });
        assert_eq!(rig.keys_sent().len(), tones, "{keys}");
        assert!(
            rig.keys_sent()
                .iter()
                .all(|sent| *sent == (rig.handle_of(CALLEE), "7".to_owned()))
        );
        let sent = rig.requests_sent(&Method::Info);
        assert_eq!(sent.len(), infos, "{keys}");
        for info in sent {
            assert_eq!(info.leg, CALLEE);
            assert_eq!(info.header(HeaderName::ContentType), Some("application/dtmf-relay"));
            assert_eq!(info.sdp(), "Signal=7\r\nDuration=120\r\n");
        }
        rig.hang_up_and_finish();
    }
    // Whoever takes events gets them relayed.
    let mut rig = from_teams().of_carrier("dtmf = \"info\"\n").begin().answered();
    rig.step(Event::Digit {
        leg: CALLER,
        digit: '7',
    });
    assert_eq!((rig.keys_sent().len(), rig.requests_sent(&Method::Info).len()), (0, 0));
    rig.hang_up_and_finish();
}

#[test]
fn teams_098_tones_of_a_carrier_are_events_toward_teams_where_they_are_looked_for() {
    for (keys, listens) in [("", false), ("dtmf = \"tones\"\n", true)] {
        let mut rig = from_carrier().of_carrier(keys).sdp(&without_events()).begin();
        rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
        rig.ack(CALLER, "");
        let expected = [(rig.handle_of(CALLER), true)];
        assert_eq!(rig.listens(), &expected[..usize::from(listens)], "{keys}");
        rig.hang_up_and_finish();
    }
    let mut rig = from_carrier()
        .of_carrier("dtmf = \"tones\"\n")
        .sdp(&without_events())
        .begin();
    rig.respond(&rig.last_invite(), reply(200).sdp(teams_sdp("sendrecv")));
    rig.ack(CALLER, "");
    rig.step(Event::Digit {
        leg: CALLER,
        digit: '9',
    });
    assert_eq!(rig.keys_sent(), [(rig.handle_of(CALLEE), "9".to_owned())]);
    rig.hang_up_and_finish();
    // Who sends events needs no ear.
    let mut rig = from_carrier().of_carrier("dtmf = \"tones\"\n").begin().answered();
    assert_eq!(rig.listens(), []);
    rig.hang_up_and_finish();
}

/// Its caller was answered before anybody knew that who answers takes no events.
#[test]
fn an_applications_dial_passes_keys_in_the_form_that_the_callee_takes() {
    for (keys, tones, infos) in [(KeyForm::Events, 1, 0), (KeyForm::Tones, 1, 0), (KeyForm::Info, 0, 1)] {
        let mut rig = to_application().begin();
        rig.answer(&json!([dial(&["+12065550101"], &json!({}))]));
        rig.planned_on(&["+12065550101"], |terms| terms.keys = keys);
        rig.ack(CALLER, "");
        let invite = rig.last_invite();
        rig.respond(&invite, reply(200).sdp(without_events()));
        rig.info(CALLER, "application/dtmf", "8");
        rig.step(Event::DigitsSent {
            leg: invite.leg,
            cookie: 0,
        });
        rig.step(Event::Digit {
            leg: CALLER,
            digit: '7',
        });
        let callee = rig.handle_of(invite.leg);
        let sent = [(callee, "8".to_owned()), (callee, "7".to_owned())];
        assert_eq!(rig.keys_sent(), sent[..2 * tones], "{keys:?}");
        assert_eq!(rig.requests_sent(&Method::Info).len(), 2 * infos, "{keys:?}");
        rig.hang_up_and_finish();
    }
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&["+12065550101"], &json!({}))]));
    rig.planned(&["+12065550101"]);
    rig.ack(CALLER, "");
    rig.picks_up(&rig.last_invite());
    rig.step(Event::Digit {
        leg: CALLER,
        digit: '7',
    });
    assert_eq!(rig.keys_sent(), [], "an event is relayed as it is");
    rig.hang_up_and_finish();
}

/// A dial whose callee settles no telephone-event, and takes keys in this form.
fn callee_without_events(caller: &str, keys: KeyForm) -> Rig {
    let mut rig = to_application().sdp(caller).begin();
    rig.answer(&json!([dial(&["+12065550101"], &json!({}))]));
    rig.planned_on(&["+12065550101"], |terms| terms.keys = keys);
    rig.ack(CALLER, "");
    rig.respond(&rig.last_invite(), reply(200).sdp(without_events()));
    rig
}

fn presses(rig: &mut Rig, digit: char) {
    rig.step(Event::Digit { leg: CALLER, digit });
}

#[test]
fn what_an_application_sends_is_not_cut_short_by_a_key_that_is_passed() {
    let mut rig = callee_without_events(&carrier_sdp("sendrecv"), KeyForm::Tones);
    let callee = rig.handle_of(CALLEE);
    let sends = Command {
        leg: rig.call.legs()[1].record.call_sid,
        wish: Wish::Digits {
            digits: "12".to_owned(),
            duration: Duration::from_millis(200),
        },
        reply: None,
    };
    rig.step(Event::Command(Box::new(sends)));
    presses(&mut rig, '7');
    assert_eq!(rig.keys_sent(), [(callee, "12".to_owned())], "the key waits");
    let sent = rig.wishes.iter().find_map(|wish| match wish {
        Effect::SendDigits { cookie, .. } => Some(*cookie),
        _ => None,
    });
    rig.step(Event::DigitsSent {
        leg: CALLEE,
        cookie: sent.expect("its number"),
    });
    assert_eq!(rig.keys_sent()[1..], [(callee, "7".to_owned())]);
    rig.hang_up_and_finish();
}

#[test]
fn no_key_of_a_muted_leg_is_passed() {
    let mut rig = callee_without_events(&carrier_sdp("sendrecv"), KeyForm::Tones);
    rig.command(Wish::Mute(true));
    presses(&mut rig, '7');
    rig.info(CALLER, "application/dtmf", "8");
    assert_eq!(rig.keys_sent(), []);
    rig.command(Wish::Mute(false));
    presses(&mut rig, '9');
    assert_eq!(rig.keys_sent().len(), 1);
    rig.hang_up_and_finish();
}

/// An application's patterns are looked for in tones too, and those go over as the audio that they are.
#[test]
fn a_tone_that_an_application_listens_for_is_not_passed_as_something_else() {
    let mut rig = callee_without_events(&without_events(), KeyForm::Info);
    presses(&mut rig, '7');
    assert_eq!(rig.requests_sent(&Method::Info).len(), 0);
    rig.hang_up_and_finish();
}
