//! Users that only the tenant's registration hook knows: a real server is asked, and checks the digest itself.

use crate::app_server::{AppRequest, AppServer, Reply};
use crate::device::{Device, REALM, is};
use crate::lab::{BOUND, Lab, OUTSIDE, Plan, USER};
use crate::referring_peers::{referred, to_alice};
use crate::users_call::{call, hang_up};
use portcullis::call::Direction;
use portcullis::sim::{Dial, Script};
use portcullis::sip::HeaderName;
use portcullis::sip::digest::Algorithm;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

const JOE_NUMBER: &str = "+14255550151";

/// Whether the response is that of somebody with this password (RFC 7616 §3.4.1).
fn proves(asked: &Value, password: &str) -> bool {
    let text = |name: &str| asked[name].as_str().unwrap().to_owned();
    let hash = |text: String| {
        let digest = Sha256::digest(text);
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!((text("algorithm").as_str(), text("qop").as_str()), ("SHA-256", "auth"));
    let secret = Algorithm::Sha256.hashed_secret(&text("username"), &text("realm"), password);
    let request = hash(format!("{}:{}", text("method"), text("uri")));
    let parts = [
        secret,
        text("nonce"),
        text("nc"),
        text("cnonce"),
        "auth".into(),
        request,
    ];
    hash(parts.join(":")) == text("response")
}

/// A hook that knows joe, whose password is `jazz`.
fn knows_joe(request: &AppRequest) -> Reply {
    let asked = request.json();
    let known = asked["username"] == "joe" && proves(&asked, "jazz");
    let status = if known { "ok" } else { "fail" };
    Reply::Json(
        200,
        json!({ "status": status, "msg": "as the list says", "expires": 300 }),
    )
}

async fn lab(server: &AppServer, machine: &str) -> Lab {
    let tenant = format!(
        "registration_hook = {{ url = \"{}\", username = \"sbc\", password = \"pw\" }}\n\
         registration_algorithms = [\"SHA-256\"]\nwebhook_secret = \"shared\"\n\
         [[numbers]]\nnumber = \"{JOE_NUMBER}\"\nto = {{ user = \"joe@{REALM}\" }}\n\
         [application.reception]\nhook = \"{}\"\nsid = \"6f1c2b9e-8d3a-4a55-9b07-2f4f0e6a1c3d\"\n",
        server.url("/who"),
        server.url("/incoming")
    );
    Lab::with(Plan {
        users: true,
        machine: format!("[application_servers]\nallow_loopback = true\n{machine}"),
        tenant,
        ..Plan::default()
    })
    .await
}

/// What the hook was asked.
fn asked(server: &AppServer) -> Vec<Value> {
    let requests = server.requests().into_iter().filter(|request| request.path == "/who");
    requests.map(|request| request.json()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_the_hook_vouches_for_is_called_and_calls_like_a_listed_one() {
    let server = AppServer::build().on("/who", knows_joe).start().await;
    let mut lab = lab(&server, "").await;
    lab.teams.set_script(Script::answer());
    let mut joe = Device::udp(&lab, 11, "joe", "jazz").await;
    let mut alice = Device::udp(&lab, 12, "alice", "wonderland").await;
    assert_eq!(alice.register(600).await.status(), Some(200));
    assert_eq!(asked(&server).len(), 0, "alice is in the file");
    let answer = joe.register(600).await;
    assert_eq!(answer.status(), Some(200));
    let questions = asked(&server);
    assert_eq!((questions.len(), &questions[0]["method"]), (1, &json!("REGISTER")));
    let request = server.requests().remove(0);
    assert!(
        request
            .header("jambonz-signature")
            .is_some_and(|signature| signature.starts_with("t="))
    );
    assert!(
        request
            .header("authorization")
            .is_some_and(|value| value.starts_with("Basic "))
    );

    // Known over a restart too.
    lab = lab.restart().await;
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, JOE_NUMBER)).await.unwrap();
    let invite = joe.ring().await;
    joe.reply(&invite, "486 Busy Here", "", "").await;
    joe.receive(|message| is(message, "ACK")).await;
    assert_eq!(caller.ended().await.unwrap().status, Some(486));
    assert_eq!(lab.records.get(0).await.facts.direction, Direction::CarrierToUser);

    // A listed colleague calls joe by name, joe calls Teams under the number that leads to him.
    let ringing = tokio::spawn(async move {
        let invite = joe.ring().await;
        joe.reply(&invite, "480 Temporarily Unavailable", "", "").await;
        joe.receive(|message| is(message, "ACK")).await;
        joe
    });
    let (refused, invite) = call(&mut alice, &format!("sip:joe@{REALM}")).await;
    alice.acknowledge(&invite, &refused).await;
    assert_eq!(refused.status(), Some(480));
    let mut joe = tokio::time::timeout(BOUND, ringing).await.unwrap().unwrap();
    let (answer, _) = call(&mut joe, &format!("sip:{USER}@{REALM}")).await;
    assert_eq!(answer.status(), Some(200));
    let question = asked(&server).pop().unwrap();
    assert_eq!(
        (&question["method"], &question["expires"]),
        (&json!("INVITE"), &Value::Null)
    );
    let invites = lab
        .teams
        .transcript()
        .into_iter()
        .filter(|message| is(message, "INVITE"));
    let shown: Vec<String> = invites
        .filter_map(|invite| invite.from().ok()?.uri().user().map(str::to_owned))
        .collect();
    assert!(
        shown.iter().all(|user| user == JOE_NUMBER) && !shown.is_empty(),
        "{shown:?}"
    );
    hang_up(&mut joe, &answer).await;
    let record = lab.records.get(2).await;
    assert_eq!(
        (record.facts.direction, record.facts.from.as_str()),
        (Direction::UserToTeams, JOE_NUMBER)
    );
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_user_refers_a_caller_to_one_that_the_hook_vouches_for_however_its_name_is_escaped() {
    let server = AppServer::build().on("/who", knows_joe).start().await;
    let lab = lab(&server, "").await;
    let mut joe = Device::udp(&lab, 11, "joe", "jazz").await;
    let mut alice = Device::udp(&lab, 12, "alice", "wonderland").await;
    for device in [&mut joe, &mut alice] {
        assert_eq!(device.register(600).await.status(), Some(200));
    }
    let (caller, invite) = to_alice(&lab, &mut alice).await;
    let target = format!("sip:j%6Fe;x=y@{REALM}");
    assert_eq!(referred(&mut alice, &invite, 1, &target).await, Some(202));
    let ringing = joe.ring().await;
    assert_eq!(ringing.from().unwrap().uri().user(), Some(OUTSIDE));
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_answer_has_its_result_and_what_is_no_yes_registers_nobody() {
    let script = |request: &AppRequest| match request.json()["username"].as_str() {
        Some("gone") => Reply::Hangup,
        Some("wrong") => Reply::Json(200, json!([{ "verb": "hangup" }])),
        Some("html") => Reply::Body(200, "text/html", b"{\"status\":\"ok\"}".to_vec()),
        Some("huge") => Reply::Json(200, json!({ "status": "ok", "msg": "x".repeat(600_000) })),
        Some("error") => Reply::Json(500, json!({ "status": "ok" })),
        Some("elsewhere") => Reply::Redirect(307, "http://169.254.169.254/".into()),
        Some("forbidden") => Reply::Json(403, json!({ "status": "ok" })),
        Some("stalls") => Reply::Stall(Vec::new()),
        Some("dribbles") => Reply::Dribble(b"HTTP/1.1 200 OK\r\n", Duration::from_millis(200)),
        Some("sid") => Reply::Json(200, json!({ "status": "ok", "application_sid": 7 })),
        Some("expires") => Reply::Json(200, json!({ "status": "ok", "expires": "soon" })),
        Some("right") => Reply::Json(200, json!({ "status": "ok", "allow_direct_user_calling": "false" })),
        _ => Reply::Json(200, json!({ "status": "fail" })),
    };
    let server = AppServer::build().on("/who", script).start().await;
    let lab = lab(&server, "timeout = \"3s\"\n").await;
    let later = [
        "gone",
        "wrong",
        "html",
        "huge",
        "error",
        "elsewhere",
        "stalls",
        "dribbles",
        "sid",
        "expires",
        "right",
    ];
    for (last, user) in (11..).zip(later) {
        let answer = Device::udp(&lab, last, user, "x").await.register(600).await;
        assert_eq!(answer.status(), Some(503), "{user}");
        assert!(answer.header(HeaderName::RetryAfter).is_some(), "{user}");
    }
    for (last, user) in (31..).zip(["forbidden", "unknown", "alice"]) {
        let answer = Device::udp(&lab, last, user, "x").await.register(600).await;
        assert_eq!(answer.status(), Some(403), "{user}");
        assert_eq!(answer.header_named("X-Reason"), Some("Invalid credentials"), "{user}");
    }
    let status = lab.running.node.registrar.status(lab.running.node.clock.now());
    assert_eq!(status.bindings, []);
    assert_eq!((status.asked.failed, status.asked.denied, status.asking), (11, 2, 0));
    lab.close().await;
}

/// Holds who passes until the test says so.
fn gate() -> (mpsc::Sender<()>, impl Fn() + Send + Sync) {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let pass = move || {
        let gate = gate.lock().unwrap();
        tokio::task::block_in_place(|| gate.recv_timeout(BOUND)).unwrap();
    };
    (open, pass)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_that_is_repeated_while_a_slow_hook_thinks_asks_once() {
    let (open, gate) = gate();
    let server = AppServer::build()
        .on("/who", move |_| {
            gate();
            Reply::Json(500, Value::Null)
        })
        .start()
        .await;
    let lab = lab(&server, "timeout = \"30s\"\n").await;
    let mut joe = Device::udp(&lab, 11, "joe", "jazz").await;
    open.send(()).unwrap();
    let to = format!("<sip:joe@{REALM}>");
    let more = format!("{}Expires: 600\r\n", joe.contact());
    let (answer, request) = joe.ask("REGISTER", &format!("sip:{REALM}"), &to, &more, "").await;
    assert_eq!(answer.status(), Some(503));
    // A copy that comes late gets the answer again, without a question.
    joe.send(&request).await;
    assert_eq!(joe.answer().await.status(), Some(503));
    assert_eq!(asked(&server).len(), 1);

    // And one that comes while the hook is asked gets none of its own.
    let first = joe.request("REGISTER", &format!("sip:{REALM}"), &to, &more, "");
    joe.send(&first).await;
    let challenge = joe.answer().await;
    let request = joe.proven("REGISTER", &format!("sip:{REALM}"), &to, &more, "", &challenge);
    for _ in 0..3 {
        joe.send(&request).await;
    }
    // The same Call-ID, so the same shard: whatever it answers, it has seen the copies.
    let options = joe.request("OPTIONS", &format!("sip:{REALM}"), &to, "", "");
    joe.send(&options).await;
    joe.answer().await;
    open.send(()).unwrap();
    joe.receive(|message| message.status() == Some(503)).await;
    assert_eq!(asked(&server).len(), 2);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cancelled_while_the_hook_is_asked_rings_nobody() {
    let (open, gate) = gate();
    let server = AppServer::build()
        .on("/who", move |request| {
            if request.json()["method"] == "INVITE" {
                gate();
            }
            knows_joe(request)
        })
        .start()
        .await;
    let lab = lab(&server, "initial_timeout = \"30s\"\n").await;
    let mut joe = Device::udp(&lab, 11, "joe", "jazz").await;
    let mut alice = Device::udp(&lab, 12, "alice", "wonderland").await;
    assert_eq!(alice.register(600).await.status(), Some(200));
    assert_eq!(joe.register(600).await.status(), Some(200));
    let uri = format!("sip:alice@{REALM}");
    let (to, contact, sdp) = (format!("<{uri}>"), joe.contact(), joe.sdp());
    let first = joe.request("INVITE", &uri, &to, &contact, &sdp);
    joe.send(&first).await;
    let challenge = joe.answer().await;
    joe.acknowledge(&first, &challenge).await;
    let invite = joe.proven("INVITE", &uri, &to, &contact, &sdp, &challenge);
    joe.send(&invite).await;
    let wait = async {
        while asked(&server).len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, wait).await.expect("the hook is asked");
    joe.send(&cancel_of(&invite)).await;
    let ended = joe.receive(|message| message.status() == Some(487)).await;
    joe.acknowledge(&invite, &ended).await;
    open.send(()).unwrap();
    let registrar = &lab.running.node.registrar;
    let over = async {
        while registrar.status(lab.running.node.clock.now()).asking > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, over).await.expect("the hook has spoken");
    // The same Call-ID, so the same shard: what the hook said was taken before this.
    let options = joe.request("OPTIONS", &format!("sip:{REALM}"), &to, "", "");
    joe.send(&options).await;
    assert_eq!(joe.answer().await.status(), Some(200));
    assert_eq!(lab.running.node.calls.count(), 0);
    lab.close().await;
}

/// The CANCEL of an INVITE that was sent.
fn cancel_of(invite: &str) -> String {
    let (head, _) = invite.split_once("\r\n\r\n").unwrap();
    let kept = head.lines().skip(1).filter(|line| {
        let names = ["Via:", "From:", "To:", "Call-ID:", "Max-Forwards:"];
        names.iter().any(|name| line.starts_with(name))
    });
    let lines: String = kept.map(|line| format!("{line}\r\n")).collect();
    let uri = head.split(' ').nth(1).unwrap();
    let cseq = head.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap();
    let number = cseq.split(' ').next().unwrap();
    format!("CANCEL {uri} SIP/2.0\r\n{lines}CSeq: {number} CANCEL\r\nContent-Length: 0\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hook_may_give_the_users_calls_to_an_application() {
    let server = AppServer::build()
        .on("/who", |_| {
            let sid = "6f1c2b9e-8d3a-4a55-9b07-2f4f0e6a1c3d";
            Reply::Json(200, json!({ "status": "ok", "application_sid": sid }))
        })
        .on("/incoming", |_| {
            Reply::Json(200, json!([{ "verb": "sip:decline", "status": 480 }]))
        })
        .start()
        .await;
    let lab = lab(&server, "").await;
    let mut joe = Device::tcp(&lab, 11, "joe", "jazz").await;
    assert_eq!(joe.register(600).await.status(), Some(200));
    let (refused, invite) = call(&mut joe, &format!("sip:alice@{REALM}")).await;
    joe.acknowledge(&invite, &refused).await;
    assert_eq!(refused.status(), Some(480));
    let requests = server.requests();
    let incoming = requests.iter().find(|request| request.path == "/incoming").unwrap();
    assert_eq!(incoming.json()["to"], "alice");
    assert_eq!(
        asked(&server).len(),
        1,
        "over its own connection nothing is asked twice"
    );
    lab.close().await;
}
