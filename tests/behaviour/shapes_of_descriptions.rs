//! Each shape of description that media processors and clients of Teams are known or said to write, over real sockets and in
//! real SRTP: audio and digits both ways, reports where they belong, changes of both sides. The simulated hub holds each of
//! our answers against its offer (TEAMS-093 to TEAMS-095), when the lab closes. Those of media bypass stand beside its other calls.

use crate::calls_in_progress::hears_digits;
use crate::lab::{BOUND, CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use crate::transfers::user_uri;
use portcullis::call::LegRecord;
use portcullis::sim::{Call, Change, Dial, HoldForm, Refer, Script, SdpShape};
use portcullis::sip::Message;
use std::time::Duration;

const DTLS: &str = "UDP/TLS/RTP/SAVP";
const SHORT_FIRST: &str = "AES_CM_128_HMAC_SHA1_32";
const NO_MUX: &str = "no-rtcp-mux";
/// Hz of who comes by a transfer.
const OTHER_TONE: f64 = 800.0;

/// Each by itself, and all at once.
fn shapes() -> [String; 6] {
    let all = [DTLS, SHORT_FIRST, NO_MUX, "mki", "webrtc"];
    let [dtls, short_first, no_mux, mki, webrtc] = all.map(str::to_owned);
    [dtls, short_first, no_mux, mki, webrtc, all.join(" ")]
}

fn shape(words: &str) -> SdpShape {
    words.parse().unwrap()
}

async fn lab(bypass: bool) -> Lab {
    Lab::with(Plan {
        bypass,
        ..Plan::default()
    })
    .await
}

/// Each hears what the other one says from now on.
async fn talk(teams: (&Call, f64), carrier: (&Call, f64)) {
    for call in [teams.0, carrier.0] {
        call.listen_anew();
    }
    teams.0.hears(carrier.1).await.unwrap();
    carrier.0.hears(teams.1).await.unwrap();
}

/// Both sides hold, resume and refresh, we are asked to offer, Teams takes other keys and ports, and ICE goes on and begins anew; what is said afterwards is heard.
async fn changes(teams: (&Call, f64), carrier: (&Call, f64), bypass: bool) {
    let mut asked = vec![
        Change::Refresh,
        Change::Offerless,
        Change::Hold(HoldForm::Inactive),
        Change::Resume,
        Change::Hold(HoldForm::Inactive),
        Change::NewKey,
    ];
    if bypass {
        asked.extend([Change::FinalCandidates, Change::Restart, Change::FinalCandidates]);
    }
    asked.push(Change::Processor);
    for change in asked {
        assert_eq!(teams.0.change(change).await.unwrap(), 200, "{change:?}");
        if !matches!(change, Change::Hold(_)) {
            talk(teams, carrier).await;
        }
    }
    let before = teams.0.view().changes;
    for change in [Change::Hold(HoldForm::SendOnly), Change::Resume] {
        assert_eq!(carrier.0.change(change).await.unwrap(), 200, "{change:?}");
    }
    talk(teams, carrier).await;
    assert!(teams.0.view().changes > before, "Teams has heard of no hold");
}

/// Verified reports come to where the side of Teams has said, and there alone.
async fn reported(teams: &Call, words: &str) {
    let come = async {
        loop {
            let heard = teams.heard_so_far().unwrap();
            if heard.rtcp_received > 0 {
                return heard;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let heard = tokio::time::timeout(BOUND, come).await.expect("a report");
    let beside = if words.contains(NO_MUX) { heard.rtcp_received } else { 0 };
    assert_eq!(heard.rtcp_on_next_port, beside, "{words}: {heard:?}");
    assert!(heard.srtp, "{words}: {heard:?}");
    assert_eq!(
        (heard.suite, heard.auth_failures),
        (Some("AES_CM_128_HMAC_SHA1_80"), 0),
        "{words}"
    );
}

/// The whole of a call that is up.
async fn converse(teams: (&Call, f64), carrier: (&Call, f64), words: &str, bypass: bool) {
    talk(teams, carrier).await;
    teams.0.send_digits("4").await.unwrap();
    hears_digits(carrier.0, "4").await;
    carrier.0.send_digits("7").await.unwrap();
    hears_digits(teams.0, "7").await;
    changes(teams, carrier, bypass).await;
    reported(teams.0, words).await;
}

/// Descriptions of ours in this call.
fn described(lab: &Lab, call: &Call, is_meant: impl Fn(&Message) -> bool) -> Vec<String> {
    let of_call = |message: &Message| message.call_id() == call.id() && !message.body().is_empty();
    let messages = lab.teams.transcript().into_iter();
    let messages = messages.filter(|message| of_call(message) && is_meant(message));
    messages
        .map(|message| String::from_utf8_lossy(message.body()).into_owned())
        .collect()
}

/// Our answers and our own later offers say what the offer said.
fn is_in_kind(lab: &Lab, caller: &Call, words: &str, bypass: bool) {
    let ours = described(lab, caller, |_| true);
    // 183, 200, seven changes of Teams or more, two of the carrier.
    assert!(ours.len() >= 11, "{words}: {}", ours.len());
    let transport = if words.contains(DTLS) { DTLS } else { "RTP/SAVP" };
    let mux = !words.contains(NO_MUX);
    for body in ours {
        assert!(body.contains(&format!(" {transport} ")), "{words}: {body}");
        assert_eq!(body.contains("a=rtcp-mux"), mux, "{words}: {body}");
        let keys: Vec<&str> = body.lines().filter(|line| line.starts_with("a=crypto:")).collect();
        assert_eq!(keys.len(), 1, "{words}: {body}");
        assert!(keys[0].starts_with("a=crypto:1 AES_CM_128_HMAC_SHA1_80 "), "{body}");
        assert!(!body.contains("a=fingerprint") && !body.contains("a=setup"), "{body}");
        let candidates = body.matches("a=candidate:").count();
        assert_eq!(
            candidates,
            usize::from(bypass) * (2 - usize::from(mux)),
            "{words}: {body}"
        );
    }
}

/// Reports of Teams were verified, and no packet was a repetition or unreadable. No tag was wrong either, unless packets came before
/// their key was known.
async fn recorded(lab: &Lab, calls: usize, came_before_key: bool) {
    for index in 0..calls {
        let record = lab.records.get(index).await;
        let has_reports = |leg: &&LegRecord| leg.media.as_ref().is_some_and(|media| media.received.rtcp_packets > 0);
        let teams = record.legs.iter().find(|leg| leg.side == "teams");
        let teams = teams.filter(has_reports).unwrap_or_else(|| panic!("{:?}", record.legs));
        let dropped = teams.media.as_ref().map(|media| media.received.dropped.clone());
        let dropped = dropped.unwrap_or_default();
        assert_eq!((dropped.replays, dropped.malformed), (0, 0), "{dropped:?}");
        assert!(came_before_key || dropped.auth_failures == 0, "{dropped:?}");
    }
}

pub async fn each_shape_calls(bypass: bool) {
    let lab = lab(bypass).await;
    lab.carrier.set_script(Script::early_media(Duration::from_millis(300)));
    let mut calls = Vec::new();
    for (words, last) in shapes().into_iter().zip(0u8..) {
        let tone = 800.0 + 40.0 * f64::from(last);
        let dial = Dial {
            tone: Some(tone),
            ..Dial::new(USER, &format!("+44163296001{last}"))
        };
        let caller = lab.teams.place_call(dial.sdp(shape(&words))).await.unwrap();
        let callee = lab.carrier.incoming().await.unwrap();
        let (ours, theirs, said) = (caller.clone(), callee.clone(), words.clone());
        let talking = tokio::spawn(async move {
            assert!(ours.provisional(183).await.unwrap().has_description);
            ours.answered().await.unwrap();
            converse((&ours, tone), (&theirs, CARRIER_TONE), &said, bypass).await;
        });
        calls.push((talking, caller, callee, words));
    }
    let count = calls.len();
    for (talking, caller, callee, words) in calls {
        talking.await.unwrap_or_else(|why| panic!("{words}: {why}"));
        is_in_kind(&lab, &caller, &words, bypass);
        caller.hang_up().await.unwrap();
        callee.ended().await.unwrap();
    }
    recorded(&lab, count, false).await;
    lab.close().await;
}

/// Three forks that all stream, each under a key and from ports of its own, until one answers.
pub async fn each_shape_answers(bypass: bool) {
    let lab = lab(bypass).await;
    let mut calls = Vec::new();
    for words in shapes() {
        let script: Script = "progress, progress b, wait 300ms, progress c".parse().unwrap();
        lab.teams.script_once(script.sdp(shape(&words)));
        let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
        let callee = lab.teams.incoming().await.unwrap();
        let (ours, theirs, said) = (caller.clone(), callee.clone(), words.clone());
        let talking = tokio::spawn(async move {
            assert!(ours.provisional(183).await.unwrap().has_description);
            ours.hears(TEAMS_TONE).await.unwrap();
            assert!(!ours.view().answered);
            theirs.answer().await.unwrap();
            ours.answered().await.unwrap();
            converse((&theirs, TEAMS_TONE), (&ours, CARRIER_TONE), &said, bypass).await;
        });
        calls.push((talking, caller, callee, words));
    }
    let count = calls.len();
    for (talking, caller, callee, words) in calls {
        talking.await.unwrap_or_else(|why| panic!("{words}: {why}"));
        let answers = described(&lab, &callee, Message::is_response);
        let transport = if words.contains(DTLS) { DTLS } else { "RTP/SAVP" };
        // Each re-INVITE of Teams is answered in its own words, whatever we have offered.
        assert!(answers.len() >= 6, "{words}: {}", answers.len());
        for body in answers {
            assert!(body.contains(&format!(" {transport} ")), "{words}: {body}");
        }
        caller.hang_up().await.unwrap();
        callee.ended().await.unwrap();
    }
    // Who answers streams before its answer is read.
    recorded(&lab, count, true).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_093_094_095_a_processor_that_calls_is_answered_in_its_own_words() {
    each_shape_calls(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_093_094_095_forks_of_each_shape_are_heard() {
    each_shape_answers(false).await;
}

/// Whoever comes by REFER or by Replaces writes in another way than who was there before.
#[tokio::test(flavor = "multi_thread")]
async fn teams_083_088_094_who_takes_a_call_over_may_write_in_another_way() {
    for bypass in [false, true] {
        let lab = lab(bypass).await;
        lab.carrier.set_script(Script::answer());
        let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
        let callee = lab.carrier.incoming().await.unwrap();
        caller.answered().await.unwrap();
        talk((&caller, TEAMS_TONE), (&callee, CARRIER_TONE)).await;
        let client = format!("{DTLS} {SHORT_FIRST} {NO_MUX} webrtc");
        let forks = Script::forked(Duration::from_millis(300)).tone(OTHER_TONE);
        lab.teams.set_script(forks.sdp(shape(&client)));
        assert_eq!(caller.refer(Refer::to(&user_uri())).await.unwrap(), 202);
        let third = lab.teams.incoming().await.unwrap();
        callee.hears(OTHER_TONE).await.unwrap();
        third.hears(CARRIER_TONE).await.unwrap();
        caller.ended().await.unwrap();
        let dial = Dial::new(USER, OUTSIDE).sdp(shape(&client));
        let back = lab.teams.replace(&third, dial).await.unwrap();
        converse((&back, TEAMS_TONE), (&callee, CARRIER_TONE), &client, bypass).await;
        callee.hang_up().await.unwrap();
        back.ended().await.unwrap();
        lab.close().await;
    }
}
