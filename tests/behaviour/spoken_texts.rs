//! Texts that callers hear spoken: by speech services over HTTP, and by the synthesiser of this machine.

use crate::app_server::{AppServer, AppServerBuilder, Reply};
use crate::applications::{RECEPTION, asked, lab_with, tone, verbs, wav};
use crate::lab::{BOUND, Lab, OUTSIDE, Plan};
use portcullis::sim::{Call, Dial};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;

const WAV_TONE: f64 = 1_000.0;
const LINEAR_TONE: f64 = 1_500.0;
/// Of `tests/data/sounds/tone.mp3`.
const MP3_TONE: f64 = 700.0;
const MP3: &[u8] = include_bytes!("../data/sounds/tone.mp3");

/// Services that answer no sound, each in its own way.
const WRONG: [&str; 8] = ["stalls", "cut", "torn", "empty", "nothing", "rate", "huge", "gone"];

/// A server that is a speech service of each kind, and an application with these first verbs.
fn speaking(first: Value) -> AppServerBuilder {
    let linear: Vec<u8> = tone(LINEAR_TONE, 24_000)
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    AppServer::build()
        .on("/incoming", move |_| verbs(first.clone()))
        .on("/status", |_| verbs(json!([])))
        .on("/wav", |_| Reply::Body(200, "audio/wav", wav(WAV_TONE)))
        .on("/mp3", |_| Reply::Body(200, "audio/mpeg", MP3.to_vec()))
        .on("/linear", move |_| {
            Reply::Body(200, "audio/l16;rate=24000", linear.clone())
        })
        .on("/broken", |_| {
            Reply::Body(503, "text/plain", b"no voices today".to_vec())
        })
        .on("/page", |_| {
            Reply::Body(200, "text/html", b"<html>sign in</html>".to_vec())
        })
        .on("/stalls", |_| Reply::Stall(half(&wav(WAV_TONE))))
        .on("/cut", |_| Reply::Raw(half(&wav(WAV_TONE))))
        .on("/torn", |_| Reply::Body(200, "audio/mpeg", MP3[..40].to_vec()))
        .on("/empty", |_| Reply::Body(200, "audio/wav", Vec::new()))
        .on("/nothing", |_| {
            Reply::Raw(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_vec())
        })
        .on("/rate", |_| Reply::Body(200, "audio/l16;rate=7", vec![0; 320]))
        .on("/huge", |_| Reply::Body(200, "audio/l16;rate=8000", vec![0; 17 << 20]))
        .on("/gone", |_| Reply::Hangup)
}

/// An answer that promises a sound and brings half of it.
fn half(sound: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: {}\r\n\r\n",
        sound.len()
    );
    [head.as_bytes(), &sound[..sound.len() / 2]].concat()
}

/// A lab whose tenant knows the services of this server, and one that nobody may ask.
async fn lab(server: &AppServer, hook: &str) -> Lab {
    let service = |name: &str| {
        format!(
            "[speech_service.{name}]\nurl = \"{}\"\ntoken = \"hush-{name}\"\n\n",
            server.url(&format!("/{name}"))
        )
    };
    let names = ["wav", "mp3", "linear", "broken", "page"].iter().chain(&WRONG);
    let services: String = names.map(|name| service(name)).collect();
    let private = "[speech_service.private]\nurl = \"http://inner.example/\"\n\n";
    let plan = Plan {
        machine: "\"inner.example\" = [\"10.255.255.1\"]".to_owned(),
        tenant: format!("{services}{private}"),
        ..Plan::default()
    };
    lab_with(server, hook, plan).await
}

fn say(text: Value, vendor: &str) -> Value {
    json!({
        "verb": "say", "text": text,
        "synthesizer": { "vendor": format!("custom:{vendor}"), "language": "de-DE", "voice": "aria" }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn speech_services_answer_in_every_form_of_audio() {
    let server = speaking(json!([
        say(json!(["one", "<speak>two</speak>"]), "wav"),
        say(json!(["three", "three"]), "linear"),
        { "verb": "config", "synthesizer": { "vendor": "custom:mp3", "voice": { "name": "bob" } } },
        { "verb": "say", "text": "four", "loop": 2 },
        { "verb": "hangup" }
    ]))
    .start()
    .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    for hertz in [WAV_TONE, LINEAR_TONE, MP3_TONE] {
        caller.hears(hertz).await.unwrap();
    }
    caller.ended().await.unwrap();
    let mut bodies = asked(&server, "/wav", 2).await;
    // The second is made ready while the first is.
    bodies.sort_by_key(|body| body["type"] == "text");
    let body = |kind, text| json!({ "language": "de-DE", "voice": "aria", "type": kind, "text": text });
    assert_eq!(bodies, [body("ssml", "<speak>two</speak>"), body("text", "one")]);
    let spoken = asked(&server, "/linear", 1).await;
    assert_eq!(spoken, [body("text", "three")], "what was spoken is kept");
    assert_eq!(
        asked(&server, "/mp3", 1).await,
        [json!({ "language": "en-US", "voice": { "name": "bob" }, "type": "text", "text": "four" })]
    );
    let tokens: HashSet<_> = server
        .requests()
        .iter()
        .filter_map(|request| Some((request.path.clone(), request.header("authorization")?.to_owned())))
        .collect();
    let token = |path: &str| (format!("/{path}"), format!("Bearer hush-{path}"));
    assert_eq!(tokens, ["wav", "linear", "mp3"].map(token).into());
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_speaks_where_a_service_fails_and_the_application_hears_of_both() {
    let mut server = speaking(json!([])).start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let mut socket = server.socket().await;
    let first = socket.message().await;
    let by = |vendor: &str| json!({ "vendor": format!("custom:{vendor}") });
    let mut rescued = say(json!("hello"), "broken");
    rescued["synthesizer"]["fallbackVendor"] = json!("custom:wav");
    socket
        .ack(
            &first,
            json!([
                { "verb": "config", "notifyEvents": true },
                rescued,
                { "verb": "say", "text": "hello", "synthesizer": by("page") },
                { "verb": "say", "text": "hello", "synthesizer": by("private") },
                { "verb": "say", "text": "hello", "synthesizer": by("nobody") },
                say(json!(["goodbye", "goodbye"]), "linear"),
                { "verb": "hangup" }
            ]),
        )
        .await;
    caller.hears(WAV_TONE).await.unwrap();
    let (mut complaints, mut spoken) = (Vec::new(), Vec::new());
    while complaints.len() < 4 || spoken.len() < 3 {
        let message = socket.message().await;
        if message["data"]["event"] == "synthesized-audio" {
            spoken.push(message["data"].clone());
        }
        if message["type"] == "jambonz:error" {
            assert_eq!(
                (&message["data"]["msg"], &message["data"]["verb"]),
                (&json!("TTS error"), &json!("say"))
            );
            complaints.push(message["data"]["details"].as_str().unwrap().to_owned());
        }
    }
    for (complaint, words) in complaints.iter().zip([
        "status 503",
        "the server says text/html",
        "private",
        "there is no [speech_service.nobody]",
    ]) {
        assert!(complaint.contains(words), "{complaint}");
    }
    let told: Vec<_> = spoken
        .iter()
        .map(|told| {
            [
                &told["vendor"],
                &told["language"],
                &told["characters"],
                &told["served_from_cache"],
            ]
        })
        .map(|told| told.map(Value::clone))
        .collect();
    let [linear, german] = ["custom:linear", "de-DE"].map(Value::from);
    assert_eq!(
        told,
        [
            [json!("custom:wav"), json!("en-US"), json!(5), json!(false)],
            [linear.clone(), german.clone(), json!(7), json!(false)],
            [linear, german, Value::Null, json!(true)],
        ],
        "{spoken:?}"
    );
    assert!(spoken[1]["elapsed_time"].is_u64() && spoken[2].get("elapsed_time").is_none());
    caller.hears(LINEAR_TONE).await.unwrap();
    caller.ended().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stalls_breaks_off_or_answers_no_sound_costs_one_say_and_the_next_verb_is_heard() {
    let mut server = speaking(json!([])).start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let mut socket = server.socket().await;
    let first = socket.message().await;
    let broken = WRONG.map(|vendor| say(json!("hello"), vendor));
    let rest = [say(json!("hello"), "wav"), json!({ "verb": "hangup" })];
    socket.ack(&first, broken.into_iter().chain(rest).collect()).await;
    let mut complaints = Vec::new();
    while complaints.len() < WRONG.len() {
        let message = socket.message().await;
        if message["type"] == "jambonz:error" {
            complaints.push(message["data"]["details"].as_str().unwrap().to_owned());
        }
    }
    for (complaint, words) in complaints.iter().zip([
        "no whole answer within 10000 ms",
        "the connection broke",
        "neither wav nor mp3",
        "the audio is empty",
        "status 204",
        "a sample rate of 7 Hz",
        "longer than 16777216 bytes",
        "the connection broke",
    ]) {
        assert!(complaint.contains(words), "{complaint}");
    }
    caller.hears(WAV_TONE).await.unwrap();
    caller.ended().await.unwrap();
    lab.close().await;
}

/// Needs `espeak-ng`.
#[tokio::test(flavor = "multi_thread")]
async fn the_synthesiser_of_this_machine_is_heard_as_a_voice() {
    let text = "The quick brown fox jumps over the lazy dog, and then it sleeps all day long under a tree.";
    let server = speaking(json!([{ "verb": "say", "text": text, "loop": 2 }, { "verb": "pause", "length": 60 }]))
        .start()
        .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    caller.answered().await.unwrap();
    let voiced = listen(&caller, 8, |heard| heard.level > -35.0 && heard.frequency.is_none()).await;
    let levels: HashSet<i64> = voiced.iter().map(|level| (level / 2.0).round() as i64).collect();
    assert!(levels.len() > 1, "speech rises and falls: {voiced:?}");
    caller.hang_up().await.unwrap();
    lab.close().await;
}

/// The levels of so many parts of 200 ms that sound so.
async fn listen(caller: &Call, parts: usize, sounds: impl Fn(&portcullis::sim::Heard) -> bool) -> Vec<f64> {
    let (mut levels, mut last) = (Vec::new(), 0);
    let wait = async {
        while levels.len() < parts {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let Some(heard) = caller.heard_so_far().filter(|heard| heard.packets >= last + 10) else {
                continue;
            };
            last = heard.packets;
            if sounds(&heard) {
                levels.push(heard.level);
            }
        }
    };
    let in_time = tokio::time::timeout(BOUND, wait).await.is_ok();
    assert!(in_time, "no voice: {levels:?}, {:?}", caller.heard_so_far());
    levels
}
