//! The messages of Teams as they are, each with what it has to lead to.

use crate::hub_wire::{Acks, HubWire};
use crate::lab::{BOUND, HUB, HUB2, Lab, OUTSIDE, Plan, USER};
use crate::vectors::{Names, TAG_OF_ANSWER, Vectors, header, with};
use portcullis::call::{Cause, TransferKind};
use portcullis::sim::{Call, Dial, EndedBy, Manner, Script, Simulator, Step};
use portcullis::sip::{HeaderName, Message, Method};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// A lab, a hub that says what is written, and what it may say.
async fn scene(plan: Plan) -> (Lab, HubWire, Vectors) {
    let lab = Lab::with(plan).await;
    let hub = HubWire::of(&lab, Acks::All);
    let vectors = Vectors::of(&lab);
    (lab, hub, vectors)
}

/// Ends a lab in which others than the simulated hub have spoken for Teams: it can't judge what it knows nothing of.
async fn close(lab: Lab) {
    lab.running.shut_down().await;
    assert_eq!(lab.records.panics(), 0);
    let _removed = std::fs::remove_dir_all(&lab.folder);
}

/// The dialog that a 200 of the node makes.
fn names(answer: &Message) -> Names {
    Names {
        call_id: answer.call_id().to_owned(),
        from_tag: answer.from_tag().expect("a tag").to_owned(),
        to_tag: answer.to_tag().expect("a tag").to_owned(),
    }
}

/// What comes after `start` in the one line of a description that begins so; empty when there is none.
fn after<'a>(description: &'a str, start: &str) -> &'a str {
    let mut found = description.lines().filter_map(|line| line.strip_prefix(start));
    let value = found.next().unwrap_or_default();
    assert_eq!(found.next(), None, "another {start} in {description}");
    value
}

/// Where its media are, and under which key: this never changes toward Teams.
fn place(message: &Message) -> [String; 3] {
    let body = String::from_utf8_lossy(message.body());
    let port = after(&body, "m=audio ").split(' ').next().unwrap_or_default();
    ["c=", "a=crypto:"]
        .map(|start| after(&body, start))
        .into_iter()
        .chain([port])
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .try_into()
        .expect("three")
}

fn has_line(message: &Message, line: &str) -> bool {
    String::from_utf8_lossy(message.body())
        .lines()
        .any(|known| known == line)
}

/// The first message at a simulator that is wanted, as soon as it is there.
async fn reaches(side: &Simulator, wanted: impl Fn(&Message) -> bool) -> Message {
    let look = async {
        loop {
            if let Some(found) = side.transcript().into_iter().find(&wanted) {
                return found;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(BOUND, look).await.expect("it comes")
}

fn is(message: &Message, method: Method) -> bool {
    message.method() == Some(&method)
}

/// TV-01, TV-02.
#[tokio::test(flavor = "multi_thread")]
async fn teams_025_027_options_are_answered_and_the_answers_to_ours_count() {
    let (lab, mut hub, vectors) = scene(Plan {
        teams: "options_interval = \"100ms\"\noptions_failures = 1".into(),
        second_hub: true,
        ..Plan::default()
    })
    .await;
    let answer = hub.ask(vectors.text("options")).await.expect("an answer");
    assert_eq!(answer.status(), Some(200));
    let allowed = answer.header(HeaderName::Allow).expect("Allow");
    assert!(allowed.contains("INVITE") && allowed.contains("BYE"), "{allowed}");
    let second = lab.teams2.as_ref().expect("the second hub");
    second.set_manner(Manner::Stalled);
    let node = &lab.running.node;
    for (name, status, up) in [("options-refused", 403, false), ("options-answered", 200, true)] {
        let known = second.transcript().len();
        let shown = async {
            loop {
                // One that was sent since waits for its answer.
                if let Some(ping) = second.transcript().into_iter().skip(known).last() {
                    hub.say(&vectors.answering(name, &ping)).await;
                }
                let reports = node.peers.report(node.clock.now());
                let shown = reports.into_iter().find(|report| report.peer.contains(HUB2));
                if let Some(report) = shown.filter(|report| report.status == Some(status)) {
                    return report;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let report = timeout(BOUND, shown).await.expect("it counts");
        assert_eq!(report.up, up, "{report:?}");
        assert!(
            report
                .server
                .is_some_and(|server| server.starts_with("Microsoft.PSTNHub.SIPProxy"))
        );
    }
    close(lab).await;
}

/// TV-03, TV-08, TV-09 with the same key and another one, TV-18 on another connection than the INVITE's.
#[tokio::test(flavor = "multi_thread")]
async fn teams_072_073_a_call_is_held_resumed_and_hung_up_and_its_media_stay_where_they_are() {
    let (lab, mut hub, vectors) = scene(Plan::default()).await;
    lab.carrier.set_script(Script::answer());
    let answer = hub.ask(vectors.text("invite")).await.expect("an answer");
    assert_eq!(answer.status(), Some(200));
    let contact = answer.contact().unwrap().expect("a Contact");
    assert_eq!(contact.uri().host(), "contoso.sbc1.example.net");
    let first = place(&answer);
    assert!(first[1].starts_with("1 AES_CM_128_HMAC_SHA1_80 inline:"), "{first:?}");
    let callee = lab.carrier.incoming().await.unwrap();
    let asserted = callee
        .invite()
        .and_then(|invite| invite.header(HeaderName::PAssertedIdentity));
    assert!(
        asserted.is_some_and(|value| value.contains("+14255550111")),
        "{asserted:?}"
    );
    let dialog = names(&answer);
    let key = "PPo4ehfXhNOzs1JIuYc2a6DOXMzhabvIt2Pmzo8P";
    let changes = [
        ("hold", "inactive", key),
        ("resume", "sendrecv", key),
        ("hold", "inactive", key),
        ("resume", "sendrecv", "LoX90FBS5h2ukvU3FrANWTTF93vEXXDNbQX4z/IJ"),
    ];
    for (cseq, (name, direction, keyed)) in (2..).zip(changes) {
        let request = vectors.inside(name, (&dialog, cseq), cseq as usize).replace(key, keyed);
        let answer = hub.ask(&request).await.expect("an answer");
        assert_eq!(answer.status(), Some(200), "{name}");
        assert_eq!(place(&answer), first, "{name}");
        assert!(has_line(&answer, &format!("a={direction}")), "{name}: {answer:?}");
    }
    hub.let_go().await;
    let answer = hub
        .ask(&vectors.inside("bye", (&dialog, 9), 9))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), Some(200));
    assert_eq!(callee.ended().await.unwrap().by, EndedBy::Peer);
    let record = lab.records.get(0).await;
    assert!(
        record.legs[0]
            .reasons
            .iter()
            .any(|reason| reason.contains("81f328d9-9c68-4ce3-ad43-4869491af7d4"))
    );
    close(lab).await;
}

/// The user of TV-03 who has no P-Asserted-Identity and writes his name without quotes; and one who dials `*21#`.
#[tokio::test(flavor = "multi_thread")]
async fn teams_035_036_a_bare_display_name_and_a_raw_hash_are_read() {
    let (lab, mut hub, vectors) = scene(Plan::default()).await;
    lab.carrier.set_script(Script::busy());
    // Who calls is said by From alone.
    let named = |number| {
        let text = vectors.anew("invite", number);
        let lines = text.split_inclusive("\r\n");
        let told = |line: &&str| !line.starts_with("P-ASSERTED-IDENTITY") && !line.starts_with("PRIVACY");
        lines.filter(told).collect::<String>()
    };
    let text = named(1);
    let tag = header(&text, "FROM").split_once(";tag=").expect("a tag").1.to_owned();
    let bare = with(
        &text,
        "FROM",
        &format!("Ada Jones<sip:+14255550111@{HUB}:5061;user=phone>;tag={tag}"),
    );
    let answer = hub.ask(&bare).await.expect("an answer");
    assert_eq!(answer.status(), Some(486));
    let invite = reaches(&lab.carrier, |message| is(message, Method::Invite)).await;
    let from = invite.from().unwrap();
    assert_eq!(from.uri().user(), Some("+14255550111"), "{invite:?}");
    let hash = vectors.anew("invite", 2).replace("sip:+12065550100@", "sip:*21#@");
    let answer = hub.ask(&hash).await.expect("an answer");
    assert_eq!(answer.status(), Some(486), "{answer:?}");
    let is_hash =
        |message: &Message| is(message, Method::Invite) && message.request_uri().is_some_and(|uri| uri.contains("*21"));
    let invite = reaches(&lab.carrier, is_hash).await;
    // A raw `#` would begin a fragment (RFC 3261 §19.1.2).
    assert!(
        invite.request_uri().is_some_and(|uri| uri.starts_with("sip:*21%23@")),
        "{invite:?}"
    );
    close(lab).await;
}

/// TV-04, TV-10a, TV-10b.
#[tokio::test(flavor = "multi_thread")]
async fn teams_078_079_a_client_on_bypass_names_the_pair_and_begins_ice_anew() {
    let (lab, mut hub, vectors) = scene(Plan {
        bypass: true,
        ..Plan::default()
    })
    .await;
    lab.carrier.set_script(Script::answer());
    let answer = hub.ask(vectors.text("invite-bypass")).await.expect("an answer");
    assert_eq!(answer.status(), Some(200));
    let ice = |message: &Message| {
        let body = String::from_utf8_lossy(message.body()).into_owned();
        assert!(
            body.contains("a=ice-lite\r\n") && after(&body, "a=candidate:").ends_with(" typ host"),
            "{body}"
        );
        ["a=ice-ufrag:", "a=ice-pwd:"].map(|start| after(&body, start).to_owned())
    };
    let (first, credentials) = (place(&answer), ice(&answer));
    // The key without a tag of 0 and the events of 8 kHz.
    assert!(first[1].starts_with("1 AES_CM_128_HMAC_SHA1_80 "), "{first:?}");
    assert!(has_line(&answer, "a=rtpmap:126 telephone-event/8000"));
    let dialog = names(&answer);
    let [address, _, port] = &first;
    let address = address.strip_prefix("IN IP4 ").expect("an address");
    let chosen = vectors.inside("final-candidates", (&dialog, 2), 2);
    let named = after(&chosen, "a=remote-candidates:").to_owned();
    let chosen = chosen.replace(&named, &format!("1 {address} {port}"));
    let answer = hub.ask(&chosen).await.expect("an answer");
    assert_eq!(
        (answer.status(), ice(&answer), place(&answer)),
        (Some(200), credentials.clone(), first.clone())
    );
    let answer = hub
        .ask(&vectors.inside("ice-restart", (&dialog, 3), 3))
        .await
        .expect("an answer");
    let [address_now, key_now, port_now] = place(&answer);
    let [address, key, port] = first;
    // Who comes with new credentials gets new ones, and a key of its own.
    assert_eq!((answer.status(), &address_now, &port_now), (Some(200), &address, &port));
    assert_ne!(key_now, key);
    for (new, old) in ice(&answer).iter().zip(&credentials) {
        assert_ne!(new, old);
    }
    let answer = hub
        .ask(&vectors.inside("bye", (&dialog, 4), 4))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), Some(200));
    lab.records.get(0).await;
    close(lab).await;
}

/// TV-11, TV-12, and TV-13a, which would have us send Replaces.
#[tokio::test(flavor = "multi_thread")]
async fn teams_083_refer_leads_back_to_teams_with_what_it_says_byte_for_byte() {
    let (lab, mut hub, vectors) = scene(Plan::default()).await;
    lab.carrier.set_script(Script::answer());
    lab.teams.set_script(Script::answer());
    for (number, (name, expected)) in [("refer-number", 202), ("refer-user", 202), ("refer-replaces", 403)]
        .into_iter()
        .enumerate()
    {
        let answer = hub.ask(&vectors.anew("invite", number)).await.expect("an answer");
        let callee = lab.carrier.incoming().await.unwrap();
        let refer = vectors.inside(name, (&names(&answer), 4), number);
        hub.let_go().await;
        let refused = hub.ask(&refer).await.expect("an answer");
        assert_eq!(refused.status(), Some(expected), "{name}");
        if expected == 202 {
            let third = lab.teams.incoming().await.unwrap();
            let invite = third.invite().expect("the node calls");
            let target = header(&refer, "REFER-TO").trim_matches(['<', '>']);
            assert_eq!(invite.request_uri(), Some(target));
            assert_eq!(
                invite.header(HeaderName::ReferredBy),
                Some(header(&refer, "REFERRED-BY"))
            );
            assert!(invite.header(HeaderName::Replaces).is_none());
            let host = invite.contact().unwrap().expect("a Contact").uri().host().to_owned();
            assert_eq!(host, "contoso.sbc1.example.net");
            let call_id = answer.call_id();
            let notified = reaches(&lab.teams, |message| {
                is(message, Method::Notify) && message.call_id() == call_id
            })
            .await;
            assert!(notified.body().starts_with(b"SIP/2.0 100 "), "{notified:?}");
            third.hears(crate::lab::CARRIER_TONE).await.unwrap();
        }
        callee.hang_up().await.unwrap();
        lab.records.get(number).await;
    }
    close(lab).await;
}

/// TV-13b, with and without `Require`, and once more when what it replaces is gone.
#[tokio::test(flavor = "multi_thread")]
async fn teams_088_replaces_takes_a_call_over_and_the_replaced_dialog_ends() {
    let (lab, mut hub, vectors) = scene(Plan::default()).await;
    lab.carrier.set_script(Script::answer());
    let answer = hub.ask(vectors.text("invite")).await.expect("an answer");
    let callee = lab.carrier.incoming().await.unwrap();
    let mut replaced = names(&answer);
    for (number, require) in [(1, ""), (2, "REQUIRE: replaces\r\nUSER-AGENT: ")] {
        let request = vectors.inside("replaces", (&replaced, 0), number);
        let request = match require {
            "" => request,
            require => request.replacen("USER-AGENT: ", require, 1),
        };
        // Another caller than the last one.
        let request = request.replace("89b45ff321063b749efc5b5b3aa79930", &format!("89b45ff321063b74{number}"));
        let answer = hub.ask(&request).await.expect("an answer");
        assert_eq!(answer.status(), Some(200), "{require}");
        let bye = reaches(&lab.teams, |message| {
            is(message, Method::Bye) && message.call_id() == replaced.call_id
        })
        .await;
        assert_eq!(bye.to_tag(), Some(replaced.from_tag.as_str()));
        replaced = names(&answer);
    }
    assert!(callee.view().ending.is_none());
    callee.hang_up().await.unwrap();
    let record = lab.records.get(0).await;
    let taken = |leg: &portcullis::call::LegRecord| {
        leg.transfer
            .as_ref()
            .is_some_and(|by| by.kind == TransferKind::Replaced)
    };
    assert_eq!(record.legs.iter().filter(|leg| taken(leg)).count(), 2);
    let answer = hub
        .ask(&vectors.inside("replaces", (&replaced, 0), 3))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), Some(481));
    close(lab).await;
}

/// TV-14.
#[tokio::test(flavor = "multi_thread")]
async fn teams_057_a_cancel_ends_the_invite_and_the_carriers_phone_stops() {
    let (lab, mut hub, vectors) = scene(Plan::default()).await;
    lab.carrier.set_script(Script::no_answer());
    hub.say(vectors.text("invite")).await;
    hub.hears(|message| message.status() == Some(180)).await;
    let answer = hub.ask(vectors.text("cancel")).await.expect("an answer");
    assert_eq!(answer.status(), Some(200));
    let last = hub.hears(|message| message.status() == Some(487)).await;
    assert_eq!(last.cseq(), (1, Method::Invite));
    let callee = lab.carrier.incoming().await.unwrap();
    assert_eq!(callee.ended().await.unwrap().status, Some(487));
    assert_eq!(lab.records.get(0).await.cause, Cause::CallerGaveUp);
    close(lab).await;
}

/// A call of the carrier that Teams has heard of and nobody has answered: who calls, and our INVITE.
async fn called(lab: &Lab, script: Script) -> (Call, Message) {
    lab.teams.set_script(script);
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    (caller, callee.invite().expect("the node calls").clone())
}

/// TV-05: what is in the INVITE that Teams expects of us is in ours, on a trunk with media bypass and on one without.
#[tokio::test(flavor = "multi_thread")]
async fn teams_029_040_our_invite_has_all_that_teams_expects() {
    for bypass in [true, false] {
        let (lab, _, vectors) = scene(Plan {
            bypass,
            ..Plan::default()
        })
        .await;
        let (caller, ours) = called(&lab, Script::no_answer()).await;
        caller.provisional(180).await.unwrap();
        // The carrier offers neither G.722 nor G.729.
        let expected = vectors.text("invite-of-ours").replace("a=rtpmap:9 G722/8000\r\n", "");
        let expected = expected.replace("a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n", "");
        let expected = expected.replace("\r\n\r\n", "\r\n");
        let body = String::from_utf8_lossy(ours.body()).into_owned();
        let start = |line: &str| line.find([':', ' ', '=']).map_or(line.len(), |end| end + 1);
        for line in expected.lines().skip(1) {
            // The name of a header, and the kind of a line of the description.
            let (kind, is_header) = match line.split_once(": ") {
                Some((name, _)) => (name, true),
                // Which formats there are, and the attributes that are a word alone.
                None if line.starts_with("a=rtpmap:") => (line.split(' ').next().unwrap_or(line), false),
                None if line.starts_with("a=") => (line.split(':').next().unwrap_or(line), false),
                None => (&line[..start(line).min(2)], false),
            };
            let of_ice = ["a=ice-lite", "a=ice-ufrag", "a=ice-pwd", "a=candidate"].contains(&kind);
            let there = match is_header {
                true => ours.header_named(kind).is_some(),
                false => body.lines().any(|known| known.starts_with(kind)),
            };
            assert_eq!(there, bypass || !of_ice, "{kind} in {ours:?}");
        }
        let uri = ours.request_uri().expect("a request");
        assert_eq!(uri, format!("sip:{USER}@{HUB}:5061;user=phone;transport=tls"));
        let contact = ours.contact().unwrap().expect("a Contact");
        assert_eq!(contact.uri().host(), "contoso.sbc1.example.net");
        caller.hang_up().await.unwrap();
        lab.close().await;
    }
}

/// TV-06, TV-07: early media of one fork, the answer of another one.
#[tokio::test(flavor = "multi_thread")]
async fn teams_033_060_an_answer_of_another_fork_is_acknowledged_by_its_record_route() {
    let (lab, mut hub, vectors) = scene(Plan::default()).await;
    let (caller, invite) = called(&lab, Script::no_answer()).await;
    hub.say(&vectors.answering("progress", &invite)).await;
    hub.say(&vectors.answering("answer", &invite)).await;
    caller.answered().await.unwrap();
    let ack = reaches(&lab.teams, |message| is(message, Method::Ack)).await;
    let answer = vectors.text("answer");
    let target = header(answer, "CONTACT").trim_matches(['<', '>']);
    assert_eq!(ack.request_uri(), Some(target));
    assert_eq!(ack.header(HeaderName::Route), Some(header(answer, "RECORD-ROUTE")));
    assert_eq!(ack.to_tag(), Some(TAG_OF_ANSWER));
    caller.hang_up().await.unwrap();
    let bye = reaches(&lab.teams, |message| is(message, Method::Bye)).await;
    assert_eq!((bye.request_uri(), bye.to_tag()), (Some(target), Some(TAG_OF_ANSWER)));
    close(lab).await;
}

/// TV-15: a user's word is final, wherever else there is a hub; a hub that is full is left at once.
#[tokio::test(flavor = "multi_thread")]
async fn teams_063_064_065_refusals_of_users_are_final_and_those_of_hubs_lead_on() {
    let runs = [
        ("486 Busy Here", "cause=34;", "", [1, 0]),
        ("403 Forbidden", "cause=63;", "", [1, 0]),
        ("404 Not Found", "cause=1;", "", [1, 0]),
        ("480 Temporarily Unavailable", "cause=31;", "", [1, 0]),
        ("488 Not Acceptable Here", "cause=88;", "", [1, 0]),
        ("420 Bad Extension", "cause=111;", "UNSUPPORTED: 100rel\r\n", [1, 0]),
        (
            "422 Session Interval Too Small",
            "cause=102;",
            "MIN-SE: 3600\r\n",
            [2, 0],
        ),
        ("500 Internal Server Error", "cause=41;", "", [1, 0]),
        ("603 Decline", "cause=21;", "", [1, 0]),
        ("503 Service Unavailable", "cause=42;", "", [1, 1]),
    ];
    let (lab, mut hub, vectors) = scene(Plan {
        second_hub: true,
        ..Plan::default()
    })
    .await;
    let second = lab.teams2.as_ref().expect("the second hub");
    second.set_script(Script::decline());
    let invites = |hub: &Simulator| {
        let transcript = hub.transcript();
        transcript.iter().filter(|message| is(message, Method::Invite)).count()
    };
    for (number, (status, cause, more, expected)) in runs.into_iter().enumerate() {
        let before = [invites(&lab.teams), invites(second)];
        // Whoever has alerted a user is the last one to be tried.
        let unheard = Script::of([Step::Wait(BOUND)]);
        let (caller, invite) = called(&lab, unheard).await;
        let answer = match status.starts_with("503") {
            true => vectors.answering("unavailable", &invite),
            false => vectors
                .answering("busy", &invite)
                .replace("486 Busy Here", status)
                .replace("cause=34;", cause)
                .replacen("REASON: ", &format!("{more}REASON: "), 1),
        };
        lab.teams.set_script(Script::decline());
        hub.say(&answer).await;
        let ending = caller.ended().await.unwrap();
        let come = [invites(&lab.teams) - before[0], invites(second) - before[1]];
        assert_eq!(come, expected, "{status}");
        let code: u16 = status[..3].parse().unwrap();
        match code {
            // A user who is busy is no full trunk.
            486 => {
                let reasons = &ending.reasons;
                assert!(reasons.iter().any(|reason| reason.contains("cause=17")), "{reasons:?}");
                assert_eq!(ending.status, Some(486));
            }
            // The same leg, once more: it was declined.
            422 => {
                let again = lab.teams.incoming().await.unwrap();
                let interval = again
                    .invite()
                    .and_then(|invite| invite.header(HeaderName::SessionExpires));
                assert!(interval.is_some_and(|value| value.starts_with("3600")), "{interval:?}");
            }
            503 => assert_eq!(ending.status, Some(603)),
            _ => {}
        }
        let record = lab.records.get(number).await;
        let first = &record.legs[1];
        let last = if code == 422 { 603 } else { code };
        assert_eq!(first.status, Some(last), "{first:?}");
        let (_, text) = header(&answer, "REASON").split_once("text=\"").expect("a text");
        let is_kept = first.reasons.iter().any(|reason| reason.contains(text));
        assert!(is_kept || code == 422, "{first:?}");
    }
    close(lab).await;
}

/// TV-16, TV-17.
#[tokio::test(flavor = "multi_thread")]
async fn teams_051_053_a_forwarded_call_and_one_for_help_reach_the_carrier() {
    let (lab, mut hub, vectors) = scene(Plan::default()).await;
    lab.carrier.set_script(Script::busy());
    for (name, user) in [("forwarded", "+442079460199"), ("emergency", "911")] {
        let answer = hub.ask(vectors.text(name)).await.expect("an answer");
        assert_eq!(answer.status(), Some(486), "{name}");
        let call = lab.carrier.incoming().await.unwrap();
        let invite = call.invite().expect("the node calls");
        assert_eq!(invite.uri().expect("a URI").user(), Some(user));
        assert!(!invite.body().is_empty());
        let diversion = invite.header_named("Diversion");
        assert_eq!(
            diversion.is_some_and(|value| value.contains("+14255550111")),
            name == "forwarded",
            "{diversion:?}"
        );
    }
    close(lab).await;
}
