//! Calls that an application decides about: a real server, real sockets, real audio.

use crate::app_server::{AppServer, Reply};
use crate::device::Device;
use crate::lab::{BOUND, CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use portcullis::sim::{Dial, Script};
use serde_json::{Value, json};
use std::f32::consts::TAU;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// A number of the tenant that its application answers.
pub const RECEPTION: &str = "+14255550177";
/// Another telephone.
pub const MOBILE: &str = "+441632960002";
/// Hz of the music file.
pub const MUSIC_TONE: f64 = 1_000.0;

pub fn verbs(verbs: Value) -> Reply {
    Reply::Json(200, verbs)
}

/// A lab whose reception is this server's.
pub async fn lab(server: &AppServer, hook: &str) -> Lab {
    lab_with(server, hook, Plan::default()).await
}

pub async fn lab_with(server: &AppServer, hook: &str, plan: Plan) -> Lab {
    let folder = std::env::temp_dir().join(format!("portcullis-sounds-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    write_wav(&folder.join("music.wav"), MUSIC_TONE);
    let (hosts, keys): (Vec<&str>, Vec<&str>) = plan.machine.lines().partition(|line| line.starts_with('"'));
    let machine = format!(
        "{}\n[application_servers]\nallow_loopback = true\nmedia_folder = \"{}\"\n{}",
        hosts.join("\n"),
        folder.display(),
        keys.join("\n")
    );
    // Over a WebSocket the events go where everything goes.
    let status = match hook.starts_with("ws") {
        true => String::new(),
        false => format!("call_status_hook = \"{}\"\n", server.url("/status")),
    };
    let tenant = format!(
        "{}\n[[numbers]]\nnumber = \"{RECEPTION}\"\nto = {{ application = \"reception\" }}\n\n\
         [application.reception]\nhook = \"{hook}\"\n{status}",
        plan.tenant,
    );
    Lab::with(Plan {
        machine,
        tenant,
        ..plan
    })
    .await
}

/// Of a sound: who was not listening at once hears it still.
const SECONDS: u32 = 3;

/// A tone of some seconds.
pub fn tone(hertz: f64, rate: u32) -> Vec<i16> {
    (0..rate * SECONDS)
        .map(|at| ((at as f32 * hertz as f32 / rate as f32 * TAU).sin() * 8_000.0) as i16)
        .collect()
}

/// A tone, 8 kHz, one channel.
pub fn wav(hertz: f64) -> Vec<u8> {
    let samples = tone(hertz, 8_000);
    let data = (samples.len() * 2) as u32;
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + data).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(8_000_u32.to_le_bytes());
    wav.extend(16_000_u32.to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend(data.to_le_bytes());
    wav.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    wav
}

/// Several labs share the file: it is put in place whole.
fn write_wav(path: &Path, hertz: f64) {
    let draft = path.with_extension(format!("{:08x}", rand::random::<u32>()));
    std::fs::write(&draft, wav(hertz)).unwrap();
    std::fs::rename(draft, path).unwrap();
}

/// The requests of this path, once there are so many.
pub async fn asked(server: &AppServer, path: &str, count: usize) -> Vec<Value> {
    let wait = async {
        loop {
            let requests: Vec<Value> = server
                .requests()
                .iter()
                .filter(|request| request.path == path)
                .map(crate::app_server::AppRequest::json)
                .collect();
            if requests.len() >= count {
                return requests;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(BOUND, wait).await.expect("a request")
}

/// The status events, once this leg has had this one.
async fn told_until(server: &AppServer, call_sid: &Value, status: &str) -> Vec<Value> {
    let mut count = 1;
    loop {
        let events = asked(server, "/status", count).await;
        let is_last = |event: &Value| event["call_sid"] == *call_sid && event["call_status"] == status;
        if events.iter().any(is_last) {
            return events;
        }
        count = events.len() + 1;
    }
}

/// Teams offers G.722 before what the simulators prefer, and an application answers with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_teams_calls_an_application() {
    let server = AppServer::build()
        .on("/incoming", |_| {
            verbs(json!([{ "verb": "play", "url": "music.wav", "loop": 100 }]))
        })
        .start()
        .await;
    let plan = Plan {
        tenant: "from_teams = { application = \"reception\" }\n".into(),
        ..Plan::default()
    };
    let lab = lab_with(&server, &server.url("/incoming"), plan).await;
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    caller.hears(MUSIC_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    assert_eq!(lab.records.get(0).await.legs[0].codec.as_deref(), Some("G722"));
    lab.close().await;
}

/// What is described is played as what lies somewhere is.
#[tokio::test(flavor = "multi_thread")]
async fn a_tone_that_an_application_describes_is_heard() {
    let server = AppServer::build()
        .on("/incoming", |_| {
            let ringing = "tone_stream://v=-10;%(500,20,1000);loops=-1";
            verbs(json!([{ "verb": "play", "url": "silence_stream://100" }, { "verb": "play", "url": ringing }]))
        })
        .start()
        .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    caller.hears(MUSIC_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_play_that_is_cut_says_how_far_it_came() {
    let asked_at = Arc::new(OnceLock::new());
    let server = AppServer::build()
        .on("/incoming", {
            let asked_at = asked_at.clone();
            move |_| {
                asked_at.get_or_init(Instant::now);
                verbs(json!([{
                    "verb": "play", "url": "silence_stream://60000", "timeoutSecs": 3, "actionHook": "/played"
                }]))
            }
        })
        // What was played is counted before the call is over.
        .on("/played", |_| {
            verbs(json!([{ "verb": "answer" }, { "verb": "pause", "length": 1 }]))
        })
        .on("/status", |_| verbs(json!([])))
        .start()
        .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    let call = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let told = asked(&server, "/played", 1).await.remove(0);
    let took = u64::try_from(asked_at.get().unwrap().elapsed().as_millis()).unwrap();
    let millis = told["playback_milliseconds"].as_u64().unwrap();
    // Its time runs from the verb on, what it played from when the sound was there.
    assert!(took >= 3_000 && millis <= took, "{told}, in {took} ms");
    assert_eq!(told["playback_last_offset_pos"].as_u64().unwrap() / 8, millis);
    tokio::time::timeout(BOUND, call.ended()).await.unwrap().unwrap();
    // However late it began and wherever the machine stalled: each packet that was heard is 20 ms of it.
    let heard = async {
        while call.heard_so_far().is_none_or(|heard| heard.packets * 20 < millis) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, heard).await.expect("all of it");
    let heard = call.heard_so_far().unwrap();
    assert_eq!((heard.packets * 20, heard.lost), (millis, 0), "{heard:?}");
    assert!(millis > 0);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_kinds_of_destinations_ring_at_once_and_the_first_wins() {
    let server = AppServer::build()
        .on("/incoming", |_| {
            verbs(json!([{
                "verb": "dial",
                "answerOnBridge": true,
                "actionHook": "/done",
                "target": [
                    { "type": "teams", "number": USER },
                    { "type": "phone", "number": MOBILE },
                    { "type": "user", "name": "alice@sip.contoso.example" }
                ]
            }]))
        })
        .on("/done", |_| verbs(json!([])))
        .on("/status", |_| verbs(json!([])))
        .start()
        .await;
    let plan = Plan {
        users: true,
        ..Plan::default()
    };
    let lab = lab_with(&server, &server.url("/incoming"), plan).await;
    let mut alice = Device::udp(&lab, 9, "alice", "wonderland").await;
    alice.register(300).await;
    lab.teams.set_script(Script::no_answer());
    lab.carrier.set_script(Script::no_answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let phone = lab.carrier.incoming().await.unwrap();
    let teams = lab.teams.incoming().await.unwrap();
    let ringing = alice.ring().await;
    phone.answer().await.unwrap();
    caller.answered().await.unwrap();
    // The others hear why they stopped ringing.
    let cancel = alice.receive(|message| crate::device::is(message, "CANCEL")).await;
    let reason = cancel.header(portcullis::sip::message::HeaderName::Reason);
    assert_eq!(reason, Some(r#"SIP;cause=200;text="Call completed elsewhere""#));
    alice.reply(&cancel, "200 OK", "", "").await;
    alice.reply(&ringing, "487 Request Terminated", "", "").await;
    teams.ended().await.unwrap();
    caller.hears(CARRIER_TONE).await.unwrap();
    phone.hears(CARRIER_TONE).await.unwrap();
    phone.hang_up().await.unwrap();
    let done = asked(&server, "/done", 1).await.remove(0);
    assert_eq!(done["dial_call_status"], "completed");
    assert_eq!(done["dial_sip_status"], 200);
    assert_eq!(done["dial_answered_target"]["name"], MOBILE);
    assert_eq!(done["dial_targets"].as_array().map(Vec::len), Some(3));
    // No verb is left: the caller is hung up.
    caller.ended().await.unwrap();
    let own = &done["call_sid"];
    let events = told_until(&server, own, "completed").await;
    let of = |sid: &Value| -> Vec<&str> {
        let theirs = events.iter().filter(|event| event["call_sid"] == *sid);
        theirs.filter_map(|event| event["call_status"].as_str()).collect()
    };
    assert_eq!(of(own), ["trying", "in-progress", "completed"]);
    for target in done["dial_targets"].as_array().unwrap() {
        let told = of(&target["call_sid"]);
        let last = if target["name"] == MOBILE {
            "completed"
        } else {
            "no-answer"
        };
        assert_eq!((told.first(), told.last()), (Some(&"trying"), Some(&last)), "{told:?}");
    }
    let record = lab.records.get(0).await;
    assert_eq!(record.status, 200);
    // The record says of every target what the application was told.
    let application = record.application.expect("an application");
    assert_eq!(
        (application.name.as_str(), json!(application.call_sid)),
        ("reception", own.clone())
    );
    let [dial] = &application.dials[..] else {
        panic!("{:?}", application.dials)
    };
    assert_eq!(
        (dial.dial_status.as_str(), json!(dial.call_sid)),
        ("completed", done["dial_call_sid"].clone())
    );
    assert_eq!(dial.ended_by.as_deref(), Some("callee"));
    let told = done["dial_targets"].as_array().unwrap();
    for (target, told) in dial.targets.iter().zip(told) {
        assert_eq!(
            (json!(target.call_sid), json!(target.name)),
            (told["call_sid"].clone(), told["name"].clone())
        );
        assert_eq!(json!(target.status.as_str()), told["status"]);
    }
    assert_eq!(dial.targets.len(), told.len());
    let legs: Vec<Value> = record.legs.iter().map(|leg| json!(leg.call_sid)).collect();
    assert!(
        legs[0] == *own && told.iter().all(|target| legs.contains(&target["call_sid"])),
        "{legs:?}"
    );
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_hears_music_until_somebody_answers() {
    let server = AppServer::build()
        .on("/incoming", |_| {
            verbs(json!([{
                "verb": "dial",
                "answerOnBridge": true,
                "dialMusic": "music.wav",
                "target": [{ "type": "teams", "number": USER }]
            }]))
        })
        .on("/status", |_| verbs(json!([])))
        .start()
        .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    lab.teams.set_script(Script::no_answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    assert!(caller.provisional(183).await.unwrap().has_description);
    // The music lasts a second and is played again and again.
    caller.hears(MUSIC_TONE).await.unwrap();
    callee.answer().await.unwrap();
    caller.answered().await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_screened_with_a_prompt_and_a_key() {
    let server = AppServer::build()
        .on("/incoming", |_| {
            verbs(json!([{
                "verb": "dial",
                "answerOnBridge": true,
                "confirmHook": "/screen",
                "target": [{ "type": "phone", "number": MOBILE }]
            }]))
        })
        .on("/screen", |_| {
            verbs(json!([
                { "verb": "gather", "input": ["digits"], "numDigits": 1, "timeout": 10, "actionHook": "/key",
                  "play": { "url": "music.wav", "loop": 5 } },
                { "verb": "hangup" }
            ]))
        })
        .on("/key", |request| match request.json()["digits"].as_str() {
            Some("1") => verbs(json!([{ "verb": "tag", "data": { "accepted": true } }])),
            _ => verbs(json!([])),
        })
        .on("/status", |_| verbs(json!([])))
        .start()
        .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    lab.carrier.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    // The destination hears the prompt; the caller hears nobody and is not answered.
    callee.hears(MUSIC_TONE).await.unwrap();
    callee.send_digits("1").await.unwrap();
    caller.answered().await.unwrap();
    caller.hears(CARRIER_TONE).await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    let key = asked(&server, "/key", 1).await.remove(0);
    assert_eq!((&key["reason"], &key["digits"]), (&json!("dtmfDetected"), &json!("1")));
    assert_eq!(key["direction"], "outbound");
    callee.hang_up().await.unwrap();
    caller.ended().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_screening_leaves_the_caller_to_the_application() {
    let server = AppServer::build()
        .on("/incoming", |_| {
            verbs(json!([
                { "verb": "dial", "answerOnBridge": true, "confirmHook": "/screen", "actionHook": "/done",
                  "target": [{ "type": "phone", "number": MOBILE }] }
            ]))
        })
        .on("/screen", |_| verbs(json!([{ "verb": "hangup" }])))
        .on("/done", |_| {
            verbs(json!([{ "verb": "sip:decline", "status": 480, "reason": "Not Now" }]))
        })
        .on("/status", |_| verbs(json!([])))
        .start()
        .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    lab.carrier.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    callee.ended().await.unwrap();
    assert_eq!(caller.ended().await.unwrap().status, Some(480));
    let done = asked(&server, "/done", 1).await.remove(0);
    assert_eq!(
        (&done["dial_call_status"], &done["dial_sip_status"]),
        (&json!("failed"), &json!(603))
    );
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_over_a_websocket_steers_a_call_while_it_lasts() {
    let mut server = AppServer::build().on("/status", |_| verbs(json!([]))).start().await;
    let lab = lab(&server, &server.ws_url("/socket")).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let mut socket = server.socket().await;
    let first = socket.message().await;
    assert_eq!(first["type"], "session:new");
    assert_eq!(first["data"]["to"], RECEPTION);
    assert_eq!(first["data"]["sip"]["method"], "INVITE");
    socket.ack(&first, json!([{ "verb": "answer" }])).await;
    caller.answered().await.unwrap();
    socket
        .send(json!({ "type": "command", "command": "redirect", "data": [
            { "verb": "play", "url": "music.wav", "loop": 20 }
        ] }))
        .await;
    caller.hears(MUSIC_TONE).await.unwrap();
    socket
        .send(json!({ "type": "command", "command": "redirect", "data": [{ "verb": "hangup" }] }))
        .await;
    caller.ended().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_fails_costs_its_call_alone() {
    let server = AppServer::build()
        .on("/incoming", |_| Reply::Json(200, json!([{ "verb": "dail" }])))
        .on("/status", |_| verbs(json!([])))
        .start()
        .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    assert_eq!(caller.ended().await.unwrap().status, Some(480));
    assert_eq!(lab.records.get(0).await.cause.label(), "application_failed");
    // Another call is not touched.
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    caller.answered().await.unwrap();
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_does_not_wait_longer_than_the_first_question_may_take() {
    let server = AppServer::build()
        .on("/incoming", |_| Reply::Stall(vec![]))
        .on("/status", |_| verbs(json!([])))
        .start()
        .await;
    // The usual time is longer than any wait of a test.
    let plan = Plan {
        machine: "initial_timeout = \"300ms\"\ntimeout = \"60s\"\n".to_owned(),
        ..Plan::default()
    };
    let lab = lab_with(&server, &server.url("/incoming"), plan).await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    assert_eq!(caller.ended().await.unwrap().status, Some(480));
    lab.close().await;
}
