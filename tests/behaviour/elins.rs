//! Emergency callers are shown by the number of their place, and called back by it.

use crate::device::{Device, REALM, is};
use crate::lab::{BOUND, CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use crate::users_call::hang_up;
use portcullis::call::{Direction, ElinUse};
use portcullis::config::E164;
use portcullis::sim::{Call, Dial, Script};
use portcullis::sip::message::{HeaderName, Message};
use std::time::Duration;

const ELIN: &str = "+14255550180";
/// TV-17, with an ELIN.
const RECORD: &str = include_str!("../data/pidf/elin.xml");
/// A place of somebody else's.
const FOREIGN: &str = "+442079460100";

/// One carrier that wants ELINs, with one call at a time but for emergencies, and two tenants that have some. Teams answers.
async fn lab(users: bool) -> Lab {
    // Users have a store already.
    let store = if users {
        ""
    } else {
        "[registrar]\nstore = \"store.redb\"\n"
    };
    let fabrikam = format!(
        "domains = [\"fabrikam.example\"]\nlabel = \"fabrikam\"\ncarriers = [\"north\"]\n[[numbers]]\nnumber = \"{FOREIGN}\"\n\
         elin = true\n"
    );
    let lab = Lab::with(Plan {
        users,
        machine: format!("[emergency]\nnumbers = [\"911\"]\n{store}"),
        carrier: "elin = true\nlimits = { calls = 1 }\n".into(),
        tenant: "[[numbers]]\nrange = \"+14255550180-+14255550181\"\nelin = true\n".into(),
        tenants: vec![("fabrikam", fabrikam)],
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::answer());
    lab
}

fn number(text: &str) -> E164 {
    E164::parse(text).unwrap()
}

fn user_of(invite: &Message, name: HeaderName) -> String {
    let address = invite.addresses(name).flatten().next().unwrap();
    address.uri().user().unwrap().to_owned()
}

/// An emergency call of a Teams user at the place of this record, answered.
async fn call_for_help(lab: &Lab, record: &str) -> Call {
    let dial = Dial::new(USER, "911").located(record);
    let call = lab.teams.place_call(dial).await.unwrap();
    call.answered().await.unwrap();
    call
}

/// A call to the ELIN, to where it leads: the called user part.
async fn call_back(lab: &Lab) -> String {
    let psap = lab.carrier.place_call(Dial::new(OUTSIDE, ELIN)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    psap.answered().await.unwrap();
    psap.hears(TEAMS_TONE).await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    let invite = callee.invite().unwrap();
    let called = invite.uri().unwrap().user().unwrap().to_owned();
    assert_eq!(user_of(invite, HeaderName::From), OUTSIDE);
    psap.hang_up().await.unwrap();
    callee.ended().await.unwrap();
    called
}

#[tokio::test(flavor = "multi_thread")]
async fn elin_is_shown_and_leads_back_to_the_caller_past_limits_and_over_a_restart() {
    let lab = lab(false).await;
    assert_eq!(call_back(&lab).await, ELIN, "it stands for nobody yet");
    let record = lab.records.get(0).await;
    assert_eq!((record.facts.emergency, record.facts.elin), (false, None));

    let call = call_for_help(&lab, RECORD).await;
    let psap = lab.carrier.incoming().await.unwrap();
    let invite = psap.invite().unwrap();
    assert_eq!(user_of(invite, HeaderName::From), ELIN);
    assert_eq!(user_of(invite, HeaderName::PAssertedIdentity), ELIN);
    assert_eq!(user_of(invite, HeaderName::Contact), ELIN);
    assert_eq!(invite.header(HeaderName::Privacy), None);
    assert_eq!(
        invite.header(HeaderName::ContentType),
        Some("application/sdp"),
        "where somebody is stays here"
    );
    let text = String::from_utf8_lossy(invite.as_bytes()).into_owned();
    assert!(!text.contains("5550100"), "nothing of the caller's number: {text}");

    // The carrier has its one call up; this one is another.
    assert_eq!(call_back(&lab).await, USER);
    let record = lab.records.get(1).await;
    assert_eq!((record.facts.emergency, record.facts.to.as_str()), (true, USER));
    assert_eq!(record.facts.elin, Some(ElinUse::CalledBack(number(ELIN))));
    let ordinary = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    assert_eq!(ordinary.ended().await.unwrap().status, Some(503));

    call.hang_up().await.unwrap();
    psap.ended().await.unwrap();
    let record = lab.records.get(2).await;
    assert_eq!((record.facts.emergency, record.facts.from.as_str()), (true, USER));
    assert_eq!(record.facts.elin, Some(ElinUse::Shown(number(ELIN))));

    let lab = lab.restart().await;
    assert_eq!(lab.running.node.elins.count(), 1);
    assert_eq!(call_back(&lab).await, USER);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elin_of_nobody_here_never_keeps_an_emergency_call_from_going_out() {
    let lab = lab(false).await;
    let many: String = (0..4_000).map(|number| format!("+1900{number:07};")).collect();
    let with = |elin: &str| RECORD.replace("+14255550180;4255550181", elin);
    let records = [
        with(FOREIGN),
        with(USER),
        with("12"),
        with(&many),
        "<!DOCTYPE p [<!ENTITY a \"1\">]><p>&a;</p>".to_owned(),
        "<presence><ELIN>".repeat(2_000),
        "\u{0}\u{1}".to_owned(),
        String::new(),
    ];
    for (index, record) in records.iter().enumerate() {
        let call = call_for_help(&lab, record).await;
        let psap = lab.carrier.incoming().await.unwrap();
        assert_eq!(user_of(psap.invite().unwrap(), HeaderName::From), USER, "{index}");
        call.hang_up().await.unwrap();
        psap.ended().await.unwrap();
        let record = lab.records.get(index).await;
        assert_eq!(record.facts.elin, Some(ElinUse::Missing), "{index}");
        let last = record.facts.trace.iter().rfind(|step| step.rule == "elin").unwrap();
        assert!(last.outcome.ends_with("the caller's own number is shown"), "{last:?}");
    }
    assert_eq!(lab.running.node.elins.count(), 0);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elin_is_forgotten_with_the_number_and_a_draining_node_still_calls_back() {
    let lab = lab(false).await;
    let call = call_for_help(&lab, RECORD).await;
    lab.running.node.drain();
    assert_eq!(call_back(&lab).await, USER);
    call.hang_up().await.unwrap();
    lab.records.get(1).await;

    let tenant = lab.folder.join("config/tenants/contoso.toml");
    let text = std::fs::read_to_string(&tenant).unwrap();
    std::fs::write(&tenant, text.replace("elin = true\n", "")).unwrap();
    let config = portcullis::config::Loader::new(&lab.folder.join("config"))
        .load()
        .unwrap();
    lab.running.apply(&config).await;
    assert_eq!(lab.running.node.elins.count(), 0);
    let refused = lab.carrier.place_call(Dial::new(OUTSIDE, ELIN)).await.unwrap();
    assert_eq!(
        refused.ended_within(BOUND).await.unwrap().status,
        Some(503),
        "a call like others"
    );
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elin_leads_back_to_a_registered_user_and_where_its_entry_says_once_nobody_is_there() {
    let lab = lab(true).await;
    let mut bob = Device::tcp(&lab, 11, "bob", "builder").await;
    assert_eq!(bob.register(600).await.status(), Some(200));
    let (uri, contact) = (format!("sip:911@{REALM}"), bob.contact());
    let body = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{}\r\n--b\r\nContent-Type: application/pidf+xml\r\n\r\n{RECORD}\r\n--b--\r\n",
        bob.sdp()
    );
    let request = bob.request("INVITE", &uri, &format!("<{uri}>"), &contact, &body);
    let [plain, mixed] =
        ["application/sdp", "multipart/mixed;boundary=b"].map(|kind| format!("Content-Type: {kind}\r\nContent-Length"));
    bob.send(&request.replace(&plain, &mixed)).await;
    let answer = bob.answer().await;
    assert_eq!(answer.status(), Some(200));
    let psap = lab.carrier.incoming().await.unwrap();
    assert_eq!(user_of(psap.invite().unwrap(), HeaderName::From), ELIN);
    hang_up(&mut bob, &answer).await;
    assert_eq!(lab.records.get(0).await.facts.elin, Some(ElinUse::Shown(number(ELIN))));

    let psap = lab.carrier.place_call(Dial::new(OUTSIDE, ELIN)).await.unwrap();
    let invite = bob.ring().await;
    bob.accept(&invite).await;
    psap.answered().await.unwrap();
    psap.hang_up().await.unwrap();
    let bye = bob.receive(|message| is(message, "BYE")).await;
    bob.reply(&bye, "200 OK", "", "").await;
    let record = lab.records.get(1).await;
    assert_eq!(record.facts.direction, Direction::CarrierToUser);
    assert_eq!(record.facts.elin, Some(ElinUse::CalledBack(number(ELIN))));

    assert_eq!(bob.register(0).await.status(), Some(200));
    assert_eq!(call_back(&lab).await, ELIN);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elin_lets_eight_calls_past_limits_at_once() {
    let lab = lab(false).await;
    let _call = call_for_help(&lab, RECORD).await;
    let mut up = Vec::new();
    for _ in 0..8 {
        let back = lab.carrier.place_call(Dial::new(OUTSIDE, ELIN)).await.unwrap();
        back.answered().await.unwrap();
        up.push(back);
    }
    let ninth = lab.carrier.place_call(Dial::new(OUTSIDE, ELIN)).await.unwrap();
    assert_eq!(ninth.ended().await.unwrap().status, Some(503));
    up.swap_remove(0).hang_up().await.unwrap();
    let places = &lab.running.node.places;
    let one_free = async {
        while places.calls(&format!("calls back to {ELIN}")) == 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, one_free).await.expect("its place is free");
    let again = lab.carrier.place_call(Dial::new(OUTSIDE, ELIN)).await.unwrap();
    again.answered().await.unwrap();
    lab.close().await;
}
