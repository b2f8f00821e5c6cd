//! What a connected application hears of its verbs while they run.

use super::application::{terms, verbs};
use super::rig::Rig;
use super::scenario::from_carrier;
use crate::app::payload::{Kind, Voiced};
use crate::call::{Event, LegIndex, Wish};
use serde_json::{Value, json};
use std::time::Duration;

fn connected() -> Rig {
    let mut connected = terms();
    connected.connected = true;
    from_carrier().decided_by(connected).begin()
}

impl Rig {
    /// The last sound is there.
    fn sound_begins(&mut self) {
        let (leg, play, _) = self.sounds().pop().expect("a sound");
        self.step(Event::PlayBegan { leg, play });
    }

    /// What was told of verbs: event, name and id.
    fn verb_events(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let told = self.told(Kind::VerbStatus);
        told.iter()
            .map(|told| {
                let name = told.get("name").or_else(|| told.get("verb")).map_or("-".into(), text);
                let id = told.get("id").map_or("-".into(), text);
                format!("{} {name} {id}", text(&told["event"]))
            })
            .collect()
    }
}

#[test]
fn verbs_are_told_from_their_begin_to_their_end() {
    let mut rig = connected();
    rig.answer(&json!([
        { "verb": "config", "notifyEvents": true, "id": "c" },
        { "verb": "play", "url": ["a.wav", "b.wav"], "id": "p" },
        { "verb": "pause", "length": 1, "id": "w" },
        { "verb": "hangup", "id": "h" }
    ]));
    rig.ack(LegIndex::CALLER, "");
    for _ in 0..2 {
        rig.sound_begins();
        rig.sound_ends();
    }
    rig.wait(Duration::from_secs(2));
    assert_eq!(
        rig.verb_events(),
        [
            "finished config c",
            "starting play p",
            "start-playback play p",
            "stop-playback play p",
            "finished play p",
            "starting pause w",
            "finished pause w",
            "starting hangup h",
            "finished hangup h",
        ]
    );
    let own = &rig.questions()[0].properties["call_sid"];
    let told = rig.told(Kind::VerbStatus);
    assert!(told.iter().all(|event| event["call_sid"] == *own));
    rig.finish();
}

#[test]
fn a_key_on_the_prompt_and_other_verbs_are_told() {
    let mut rig = connected();
    rig.answer(&json!([
        { "verb": "config", "notifyEvents": true },
        { "verb": "gather", "numDigits": 1, "id": "g", "play": { "url": "a.wav", "id": "prompt" } },
        { "verb": "play", "url": "b.wav" }
    ]));
    rig.ack(LegIndex::CALLER, "");
    rig.sound_begins();
    rig.key(LegIndex::CALLER, '7');
    let bargein = rig.told(Kind::VerbStatus).into_iter().nth(3).expect("an event");
    assert_eq!(bargein["dtmf"], "7");
    rig.sound_begins();
    rig.command(Wish::Verbs {
        verbs: verbs(&json!([{ "verb": "pause", "length": 5 }])),
        append: false,
    });
    assert_eq!(
        rig.verb_events(),
        [
            "finished config -",
            "starting gather g",
            "start-playback play prompt",
            "dtmf-bargein-detected gather g",
            "kill-playback play prompt",
            "finished gather g",
            "starting play -",
            "start-playback play -",
            "kill-playback play -",
            "finished play -",
            "starting pause -",
        ]
    );
    rig.hang_up_and_finish();
    assert_eq!(rig.verb_events().last().map(String::as_str), Some("finished pause -"));
}

#[test]
fn who_did_not_ask_or_is_not_connected_hears_nothing_of_verbs() {
    let said = json!([{ "verb": "config", "notifyEvents": true }, { "verb": "play", "url": "a.wav" }]);
    let mut over_http = super::application::to_application().begin();
    over_http.answer(&said);
    let mut unasked = connected();
    unasked.answer(&json!([{ "verb": "play", "url": "a.wav" }]));
    let mut gone = connected();
    gone.answer(&said);
    for mut rig in [over_http, unasked] {
        rig.ack(LegIndex::CALLER, "");
        rig.sound_begins();
        assert!(rig.verb_events().is_empty(), "{:?}", rig.verb_events());
        rig.hang_up_and_finish();
    }
    let before = gone.verb_events().len();
    gone.ack(LegIndex::CALLER, "");
    gone.step(Event::Disconnected { failed: None });
    gone.sound_begins();
    assert_eq!(gone.verb_events().len(), before, "nobody is there to hear it");
    gone.hang_up_and_finish();
}

#[test]
fn a_text_that_is_spoken_is_told_with_who_spoke_it() {
    let mut rig = connected();
    rig.answer(&json!([
        { "verb": "config", "notifyEvents": true },
        { "verb": "say", "text": "Hello", "id": "s" }
    ]));
    rig.ack(LegIndex::CALLER, "");
    let (leg, play, _) = rig.sounds().pop().expect("a sound");
    for (took, of) in [(Some(Duration::from_millis(120)), play), (None, play), (None, play + 1)] {
        let voiced = Voiced {
            vendor: "custom:aria".into(),
            language: "en-GB".into(),
            characters: 5,
            took,
        };
        rig.step(Event::Voiced { leg, play: of, voiced });
    }
    let mut told = rig.told(Kind::VerbStatus);
    told.retain(|told| told["event"] == "synthesized-audio");
    let sid = &told[0]["call_sid"];
    let new = json!({
        "event": "synthesized-audio", "verb": "say", "id": "s", "call_sid": sid, "vendor": "custom:aria",
        "language": "en-GB", "served_from_cache": false, "characters": 5, "elapsed_time": 120
    });
    let known = json!({
        "event": "synthesized-audio", "verb": "say", "id": "s", "call_sid": sid, "vendor": "custom:aria",
        "language": "en-GB", "served_from_cache": true
    });
    assert_eq!(json!(told), json!([new, known]), "and nothing of another sound");
    rig.hang_up_and_finish();
}
