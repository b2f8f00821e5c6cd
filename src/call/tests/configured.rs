//! What `config` says holds for the verbs that follow.

use super::application::{dial, to_application};
use super::rig::Rig;
use crate::app::verb::{Synthesizer, Voice, Voicing};
use crate::call::{Effect, Event, LegIndex, Source};
use crate::sip::Method;
use serde_json::json;

const CALLER: LegIndex = LegIndex::CALLER;

impl Rig {
    /// Who speaks each text so far, and whether it is spoken anew.
    pub(super) fn spoken(&self) -> Vec<(Synthesizer, bool)> {
        let spoken = |source| match source {
            Source::Speech { by, fresh, .. } => Some((by, fresh)),
            Source::Url(_) => None,
        };
        let sounds = self.sounds().into_iter();
        sounds.filter_map(|(.., sound)| spoken(sound.source)).collect()
    }
}

#[test]
fn verbs_are_heard_before_the_answer_where_it_says_so() {
    let mut rig = to_application().begin();
    rig.answer(&json!([
        { "verb": "config", "earlyMedia": true },
        { "verb": "say", "text": "Hello" },
        { "verb": "play", "url": "a.wav" },
        { "verb": "gather", "numDigits": 1, "say": { "text": "One?" } },
        { "verb": "sip:decline", "status": 480 }
    ]));
    rig.sound_ends();
    rig.sound_ends();
    rig.key(CALLER, '1');
    assert_eq!(rig.sounds().len(), 3);
    assert_eq!(rig.statuses(), [183, 480], "it is never answered");
    rig.finish();
}

#[test]
fn an_application_is_told_its_variables_with_the_first_question_alone() {
    let mut terms = super::application::terms();
    terms.env_vars = vec![("QUEUE".into(), crate::dial::Secret("sales".into()))];
    let mut rig = super::scenario::from_carrier().decided_by(terms).begin();
    assert_eq!(rig.last_question().properties["env_vars"], json!({ "QUEUE": "sales" }));
    rig.answer(&json!([{ "verb": "gather", "timeout": 1, "actionHook": "/keys" }]));
    rig.ack(CALLER, "");
    rig.wait(std::time::Duration::from_secs(2));
    assert_eq!(rig.last_question().properties.get("env_vars"), None);
    rig.answer(&json!([]));
    rig.finish();
    let mut rig = to_application().begin();
    assert_eq!(rig.last_question().properties.get("env_vars"), None, "there are none");
    rig.answer(&json!([]));
    rig.finish();
}

#[test]
fn it_ends_with_the_config_that_says_no() {
    let mut rig = to_application().begin();
    rig.answer(&json!([
        { "verb": "config", "earlyMedia": true },
        { "verb": "play", "url": "a.wav" },
        { "verb": "config", "earlyMedia": false },
        { "verb": "play", "url": "b.wav" }
    ]));
    rig.sound_ends();
    assert_eq!(rig.statuses(), [183, 200]);
    rig.ack(CALLER, "");
    rig.hang_up_and_finish();
}

#[test]
fn a_reset_brings_the_applications_own_voice_back() {
    let mut rig = to_application().begin();
    let hello = json!({ "verb": "say", "text": "Hello" });
    rig.answer(&json!([
        hello,
        { "verb": "config", "synthesizer": { "vendor": "custom:aria", "language": "de-DE" }, "disableTtsCache": true },
        hello,
        { "verb": "config", "reset": ["recognizer"] },
        hello,
        { "verb": "config", "reset": "synthesizer", "disableTtsCache": false },
        hello
    ]));
    rig.ack(CALLER, "");
    for _ in 0..3 {
        rig.sound_ends();
    }
    let spoken = rig.spoken();
    assert_eq!(spoken[1].0.voicing.vendor.as_deref(), Some("custom:aria"));
    assert_eq!(spoken[2], spoken[1]);
    assert_eq!(spoken[3], spoken[0]);
    assert_eq!([spoken[0].1, spoken[1].1], [false, true], "disableTtsCache");
    rig.hang_up_and_finish();
}

#[test]
fn who_refers_is_named() {
    let mut rig = to_application().begin();
    rig.answer(&json!([
        { "verb": "answer" },
        { "verb": "sip:refer", "referTo": "+14255550109", "referredBy": "sip:desk@contoso.example",
          "referredByDisplayName": "The \"Desk\"" }
    ]));
    rig.ack(CALLER, "");
    let refer = rig.requests_sent(&Method::Refer).pop().expect("a REFER");
    let raw = String::from_utf8_lossy(refer.message.as_bytes()).into_owned();
    assert!(
        raw.contains(r#"Referred-By: "The \"Desk\"" <sip:desk@contoso.example>"#),
        "{raw}"
    );
    rig.hang_up_and_finish();
}

#[test]
fn all_that_the_caller_hears_is_made_louder() {
    const A: &str = "+12065550101";
    let mut rig = to_application().begin();
    rig.answer(&json!([
        { "verb": "play", "url": "before.wav" },
        { "verb": "config", "boostAudioSignal": "-10 dB" },
        { "verb": "play", "url": "after.wav" },
        dial(&[A], &json!({ "boostAudioSignal": 5 }))
    ]));
    rig.ack(CALLER, "");
    rig.sound_ends();
    rig.sound_ends();
    let decibels: Vec<i8> = rig.sounds().iter().map(|(.., sound)| sound.decibels).collect();
    assert_eq!(decibels, [0, -10]);
    rig.planned(&[A]);
    let invite = rig.last_invite();
    rig.picks_up(&invite);
    let gain = |effect: &Effect| match effect {
        Effect::Boost { handle, decibels } => Some((*handle, *decibels)),
        _ => None,
    };
    let handle = |rig: &Rig, position: usize| rig.call.legs()[position].media.handle().expect("media");
    let gains: Vec<_> = rig.wishes.iter().filter_map(gain).collect();
    assert_eq!(gains, [(handle(&rig, 1), Some(5)), (handle(&rig, 0), Some(-10))]);
    rig.hang_up_and_finish();
}

#[test]
fn keys_that_a_verb_sends_answer_the_call_or_are_sent_early() {
    for (early, statuses) in [(false, vec![200]), (true, vec![183, 603])] {
        let mut rig = to_application().begin();
        rig.answer(&json!([{ "verb": "config", "earlyMedia": early }, { "verb": "dtmf", "dtmf": "1" }]));
        let cookie = rig.wishes.iter().find_map(|effect| match effect {
            Effect::SendDigits { cookie, .. } => Some(*cookie),
            _ => None,
        });
        if !early {
            rig.ack(CALLER, "");
        }
        rig.step(Event::DigitsSent {
            leg: CALLER,
            cookie: cookie.expect("keys"),
        });
        assert_eq!(rig.statuses(), statuses);
        rig.finish();
    }
}

#[test]
fn a_text_that_is_a_sound_is_played() {
    let mut rig = to_application().begin();
    rig.answer(&json!([{ "verb": "say", "text": [
        "silence_stream://500", "https://a.example/hello.wav", "https://a.example/ is ours"
    ] }]));
    rig.ack(CALLER, "");
    rig.sound_ends();
    rig.sound_ends();
    let heard: Vec<Source> = rig.sounds().into_iter().map(|(.., sound)| sound.source).collect();
    let urls = ["silence_stream://500", "https://a.example/hello.wav"].map(|url| Source::Url(url.into()));
    assert_eq!(heard[..2], urls);
    assert!(matches!(&heard[2], Source::Speech { text, .. } if text == "https://a.example/ is ours"));
    rig.hang_up_and_finish();
}

#[test]
fn what_is_default_is_the_applications_own() {
    let mut terms = super::application::terms();
    terms.speech = Voicing {
        vendor: Some("custom:aria".into()),
        language: Some("de-DE".into()),
        voice: Some(Voice::Name("alba".into())),
    };
    let usual = terms.usual_speech();
    let mut rig = super::scenario::from_carrier().decided_by(terms).begin();
    let default = json!({
        "vendor": "default", "language": "default", "voice": "default", "label": "default",
        "fallbackVendor": "default", "fallbackLanguage": "default", "fallbackVoice": "default",
        "fallbackLabel": "default"
    });
    rig.answer(&json!([
        { "verb": "say", "text": "Hello", "synthesizer": default },
        { "verb": "config", "synthesizer": default },
        { "verb": "gather", "numDigits": 1, "say": { "text": "One?", "synthesizer": default } }
    ]));
    rig.ack(CALLER, "");
    rig.sound_ends();
    let spoken: Vec<Synthesizer> = rig.spoken().into_iter().map(|(by, _)| by).collect();
    assert_eq!(spoken, [usual.clone(), usual]);
    rig.hang_up_and_finish();
}
