//! Applications that name as `callerId` what they were told of the caller.

use crate::app_server::AppServer;
use crate::applications::{MOBILE, RECEPTION, lab, verbs};
use crate::lab::BOUND;
use portcullis::sim::{Dial, Script};
use portcullis::sip::{HeaderName, Method};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_id_that_repeats_from_passes_the_caller_as_it_came() {
    let server = AppServer::build()
        .on("/incoming", |request| {
            let from = request.json()["from"].clone();
            verbs(
                json!([{ "verb": "dial", "answerOnBridge": true, "callerId": from, "actionHook": "/done",
                "target": [{ "type": "phone", "number": MOBILE }] }]),
            )
        })
        .on("/done", |_| verbs(json!([])))
        .on("/status", |_| verbs(json!([])))
        .start()
        .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    lab.carrier.set_script(Script::answer());
    for (caller, shown) in [
        // By the rules of this carrier digits alone are an international number.
        ("1001", "<sip:+1001@"),
        ("anonymous", "<sip:anonymous@anonymous.invalid>"),
    ] {
        let calling = lab.carrier.place_call(Dial::new(caller, RECEPTION)).await.unwrap();
        let callee = tokio::time::timeout(BOUND, lab.carrier.incoming())
            .await
            .expect("a call")
            .unwrap();
        calling.answered().await.unwrap();
        let invites = lab.carrier.transcript().into_iter().rev();
        let mut invites = invites.filter(|message| message.method() == Some(&Method::Invite));
        let invite = invites.find(|invite| invite.request_uri().is_some_and(|uri| uri.contains(MOBILE)));
        let from = invite.as_ref().and_then(|invite| invite.header(HeaderName::From));
        assert!(from.is_some_and(|from| from.contains(shown)), "{caller}: {from:?}");
        calling.hang_up().await.unwrap();
        callee.ended().await.unwrap();
    }
    let told: Vec<_> = server
        .requests()
        .into_iter()
        .filter(|request| request.path == "/incoming")
        .collect();
    let told: Vec<_> = told.iter().map(|request| request.json()["from"].clone()).collect();
    assert_eq!(told, [json!("1001"), json!("anonymous")]);
    let record = lab.records.get(0).await;
    let dials = record.application.expect("an application").dials;
    let trace = &dials[0].targets[0].trace;
    let caller = trace.iter().find(|step| step.rule == "caller").expect("who is shown");
    assert_eq!(
        (&*caller.subject, &*caller.outcome),
        ("1001", "the caller's own, as it came")
    );
    lab.close().await;
}
