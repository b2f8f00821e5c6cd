//! Keys of and for a carrier that knows no telephone-event (TEAMS-098): INFO and tones, what Teams hears of them, and what comes of
//! the keys of Teams. A telephone of the carrier sends and hears real audio.

use crate::app_server::AppServer;
use crate::applications::{RECEPTION, asked, lab as lab_of, verbs};
use crate::calls_in_progress::hears_digits;
use crate::lab::{BOUND, Lab, Plan, USER};
use crate::phone::Phone;
use portcullis::codec::dtmf::Listener;
use portcullis::codec::g711::Law;
use portcullis::codec::tone::{DigitTone, dtmf};
use portcullis::sim::{Call, Script};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// Samples of a packet.
const FRAME: usize = 160;

/// A telephone of the carrier that talks, and its media: PCMA and nothing else.
struct Telephone {
    phone: Phone,
    media: UdpSocket,
}

/// The same with the Teams user that it talks to.
struct Talking {
    lab: Lab,
    own: Telephone,
    callee: Call,
}

async fn talking(carrier: &str) -> Talking {
    let lab = Lab::with(Plan {
        carrier: carrier.into(),
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::answer());
    let own = Telephone::call(&lab, USER).await;
    let callee = lab.teams.incoming().await.unwrap();
    Talking { lab, own, callee }
}

impl Telephone {
    async fn call(lab: &Lab, to: &'static str) -> Telephone {
        let mut phone = Phone::new(lab).await;
        phone.to = to;
        // Where its offer says.
        let media = UdpSocket::bind((phone.us.ip(), 40_000)).await.unwrap();
        phone.call().await;
        Telephone { phone, media }
    }

    /// A key as INFO.
    async fn info(&mut self, cseq: u32, kind: &str, body: &str) {
        let request = self
            .phone
            .request("INFO", &format!("{cseq} INFO"), &format!("i{cseq}"), "", body)
            .replace("application/sdp", kind);
        self.phone.send(&request).await;
        let answered = format!("CSeq: {cseq} INFO");
        let answer = self
            .phone
            .receive_that(|text| text.starts_with("SIP/2.0") && text.contains(&answered))
            .await;
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    }

    /// Where the node wants the telephone's media.
    fn there(&self) -> SocketAddr {
        let line = |start: &str| {
            let line = self.phone.answer.lines().find(|line| line.starts_with(start));
            line.expect("a description")
                .split(' ')
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let address: IpAddr = line("c=")[2].parse().unwrap();
        SocketAddr::new(address, line("m=audio ")[1].parse().unwrap())
    }

    /// Says these keys as tones, as slowly as a person.
    async fn dial(&self, keys: &str) {
        let there = self.there();
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        let mut sequence = 0_u16;
        for key in keys.chars() {
            let mut tone = DigitTone::new(dtmf(key).unwrap(), 8_000);
            for packet in 0..20 {
                let mut samples = [0_i16; FRAME];
                if (5..12).contains(&packet) {
                    tone.fill(&mut samples);
                }
                let mut bytes = vec![0x80, 8];
                bytes.extend(sequence.to_be_bytes());
                bytes.extend((u32::from(sequence) * FRAME as u32).to_be_bytes());
                bytes.extend(0x0102_0304_u32.to_be_bytes());
                bytes.extend(samples.map(|sample| Law::A.encode_sample(sample)));
                beat.tick().await;
                self.media.send_to(&bytes, there).await.unwrap();
                sequence += 1;
            }
        }
    }

    /// The next key that the telephone hears as a tone.
    async fn heard(&self) -> char {
        let mut listener = Listener::default();
        let wait = async {
            let mut bytes = [0; 2_048];
            loop {
                let length = self.media.recv(&mut bytes).await.unwrap();
                let payload = bytes.get(12..length).unwrap_or_default();
                let samples: Vec<i16> = payload.iter().map(|byte| Law::A.decode_sample(*byte)).collect();
                if let Some(tone) = listener.hear(&samples) {
                    return tone.digit;
                }
            }
        };
        tokio::time::timeout(BOUND, wait).await.expect("a tone")
    }

    async fn bye(&self, cseq: u32) {
        let bye = self.phone.request("BYE", &format!("{cseq} BYE"), "e", "", "");
        self.phone.send(&bye).await;
    }
}

impl Talking {
    async fn hang_up(mut self, cseq: u32) {
        self.own.bye(cseq).await;
        self.callee.ended().await.unwrap();
        self.own.phone.receive("SIP/2.0 200 ").await;
        self.lab.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_098_info_of_a_carrier_is_an_event_toward_teams() {
    let mut talking = talking("").await;
    talking
        .own
        .info(2, "application/dtmf-relay", "Signal=5\r\nDuration=160\r\n")
        .await;
    talking.own.info(3, "application/dtmf", "#").await;
    hears_digits(&talking.callee, "5#").await;
    talking.hang_up(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_098_tones_of_a_carrier_are_events_toward_teams_and_back() {
    let talking = talking("dtmf = \"tones\"\n").await;
    talking.own.dial("42").await;
    hears_digits(&talking.callee, "42").await;
    talking.callee.send_digits("7").await.unwrap();
    assert_eq!(talking.own.heard().await, '7');
    talking.hang_up(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_098_keys_of_teams_are_info_to_a_carrier_that_wants_it() {
    let mut talking = talking("dtmf = \"info\"\n").await;
    talking.callee.send_digits("9").await.unwrap();
    let info = talking.own.phone.receive("INFO ").await;
    assert!(info.contains("Content-Type: application/dtmf-relay\r\n"), "{info}");
    assert!(info.ends_with("\r\n\r\nSignal=9\r\nDuration=120\r\n"), "{info}");
    talking.hang_up(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_gathers_keys_that_come_as_tones_and_as_info() {
    let server = AppServer::build()
        .on("/incoming", |_| {
            let gather = |hook| json!({ "verb": "gather", "numDigits": 3, "finishOnKey": "#", "actionHook": hook });
            verbs(json!([gather("/tones"), gather("/info"), { "verb": "hangup" }]))
        })
        .on("/tones", |_| verbs(json!([])))
        .on("/info", |_| verbs(json!([])))
        .on("/status", |_| verbs(json!([])))
        .start()
        .await;
    let lab = lab_of(&server, &server.url("/incoming")).await;
    let mut caller = Telephone::call(&lab, RECEPTION).await;
    caller.dial("42#").await;
    let told = asked(&server, "/tones", 1).await.remove(0);
    assert_eq!(
        (&told["reason"], &told["digits"]),
        (&json!("dtmfDetected"), &json!("42"))
    );
    for (cseq, key) in (2..).zip(["7", "8", "9"]) {
        caller.info(cseq, "application/dtmf", key).await;
    }
    let told = asked(&server, "/info", 1).await.remove(0);
    assert_eq!(
        (&told["reason"], &told["digits"]),
        (&json!("dtmfDetected"), &json!("789"))
    );
    let bye = caller.phone.receive("BYE ").await;
    caller.phone.accept(&bye).await;
    lab.records.get(0).await;
    lab.close().await;
}
