//! Whispers, and the other sounds of a leg: one at a time, and which gives way.

use super::application::{dial, to_application, verbs};
use super::peers::carrier_sdp;
use super::rig::Rig;
use crate::call::{CallNews, Effect, Event, LegIndex, PlayOutcome, Source, Wish};
use crate::sip::Method;
use serde_json::{Value, json};
use std::time::Duration;

const A: &str = "+12065550101";

/// A caller who was answered at once and talks to the destination of a dial, the first of these verbs.
fn talking(verbs: &Value) -> Rig {
    let mut rig = to_application().begin();
    rig.answer(verbs);
    rig.planned(&[A]);
    rig.ack(LegIndex::CALLER, "");
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    rig
}

impl Rig {
    fn whisper(&mut self, urls: &Value) {
        self.command(Wish::Whisper(verbs(&json!([{ "verb": "play", "url": urls }]))));
    }

    /// Whispers that were refused.
    fn refused_whispers(&self) -> usize {
        let told = |news: &&CallNews| matches!(news, CallNews::ApplicationError { what: "whisper", .. });
        self.news.iter().filter(told).count()
    }

    /// The last sound is stopped by the next one, and its worker tells so late.
    fn is_stopped(&mut self, (leg, play): (LegIndex, u32)) {
        let stopped = |effect: &Effect| matches!(effect, Effect::StopPlaying { play: stopped, .. } if *stopped == play);
        assert!(self.wishes.iter().any(stopped));
        let outcome = PlayOutcome::Stopped { played: Duration::ZERO };
        self.step(Event::Played { leg, play, outcome });
    }

    fn urls_played(&self) -> Vec<String> {
        let url = |source: Source| match source {
            Source::Url(url) => url,
            Source::Speech { text, .. } => text,
        };
        self.sounds().into_iter().map(|(.., sound)| url(sound.source)).collect()
    }
}

#[test]
fn whispers_come_one_after_the_other() {
    let mut rig = talking(&json!([dial(&[A], &json!({}))]));
    let said = verbs(&json!([{ "verb": "play", "url": ["a.wav", "b.wav"] }]));
    rig.command(Wish::Whisper(said));
    assert_eq!(rig.sounds().len(), 1);
    assert!(rig.sounds()[0].2.mixed);
    rig.sound_ends();
    assert_eq!(rig.sounds().len(), 2);
    rig.hang_up_and_finish();
}

#[test]
fn whispers_do_not_pile_up() {
    let mut rig = talking(&json!([dial(&[A], &json!({}))]));
    let sixty: Vec<String> = (0..60).map(|number| format!("{number}.wav")).collect();
    for refused in [0, 1] {
        rig.command(Wish::Whisper(verbs(&json!([{ "verb": "play", "url": sixty }]))));
        assert_eq!(rig.refused_whispers(), refused);
    }
    for _ in 0..60 {
        rig.sound_ends();
    }
    assert_eq!(rig.sounds().len(), 60);
    rig.hang_up_and_finish();
}

#[test]
fn a_prompt_after_the_dial_is_not_cut_off_by_whispers() {
    let mut rig = talking(&json!([
        dial(&[A], &json!({})),
        { "verb": "play", "url": "prompt.wav" },
        { "verb": "hangup" }
    ]));
    rig.whisper(&json!(["a.wav", "b.wav"]));
    let (leg, play, _) = rig.sounds()[0].clone();
    let callee = rig.last_invite().leg;
    rig.request(callee, Method::Bye, "", "");
    rig.is_stopped((leg, play));
    assert_eq!(
        rig.urls_played(),
        ["a.wav", "prompt.wav"],
        "and nothing is whispered into the prompt"
    );
    assert!(rig.byes(LegIndex::CALLER).is_empty(), "it is heard to its end");
    rig.sound_ends();
    assert_eq!(rig.byes(LegIndex::CALLER).len(), 1);
    rig.finish();
}

#[test]
fn music_for_who_waits_is_not_stopped_by_a_whisper() {
    let mut rig = to_application().begin();
    rig.answer(&json!([dial(&[A], &json!({ "dialMusic": "music.mp3" }))]));
    rig.planned(&[A]);
    rig.ack(LegIndex::CALLER, "");
    rig.whisper(&json!("soon.wav"));
    assert_eq!(
        (rig.urls_played(), rig.refused_whispers()),
        (vec!["music.mp3".to_owned()], 1)
    );
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    rig.whisper(&json!("now.wav"));
    assert_eq!((rig.urls_played().len(), rig.refused_whispers()), (2, 1));
    rig.hang_up_and_finish();
}

#[test]
fn music_on_hold_ends_a_whisper_and_goes_on() {
    let mut rig = talking(&json!([dial(&[A], &json!({ "onHoldHook": "/hold" }))]));
    rig.whisper(&json!(["a.wav", "b.wav"]));
    let (leg, play, _) = rig.sounds()[0].clone();
    let callee = rig.last_invite().leg;
    rig.request(callee, Method::Invite, "", &carrier_sdp("sendonly"));
    rig.answer(&json!([{ "verb": "play", "url": "hold.wav" }]));
    rig.is_stopped((leg, play));
    assert_eq!(rig.urls_played(), ["a.wav", "hold.wav"]);
    rig.sound_ends();
    assert_eq!(
        rig.urls_played(),
        ["a.wav", "hold.wav", "hold.wav"],
        "for as long as it is held"
    );
    rig.hang_up_and_finish();
}
