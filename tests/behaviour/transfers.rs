//! Transfers of Teams over real sockets: REFER, blind, consultative and to music, INVITE with Replaces. What each side hears is
//! checked by its tone after every step, and the carrier's dialog has nothing in it but its INVITE.

use crate::lab::{BOUND, CARRIER_TONE, HUB, Lab, OUTSIDE, Plan, TEAMS_TONE, USER, both_heard};
use portcullis::call::TransferKind;
use portcullis::sim::{Call, Change, Dial, HoldForm, Refer, Script};
use portcullis::sip::{HeaderName, Message};
use std::time::Duration;

/// Hz of who comes.
const OTHER_TONE: f64 = 800.0;
/// Of the ringing tone.
const RING_BACK: f64 = 425.0;

pub fn user_uri() -> String {
    format!(
        "sip:{HUB}:5061;transport=tls;x-m=8:orgid:9f9d51bc-70ef-41ca-ac14-f307980a29d8;\
         x-t=adfb6898-97b2-4525-aadc-aee72945c791"
    )
}

fn referred_by() -> String {
    format!(
        "<sip:{HUB}:5061;x-m=8:orgid:8c8d357b-5e87-4bba-ad45-197626bd5759;x-t=adfb6898-97b2-4525-aadc-aee72945c791;\
         x-ti=e00fba6f-edfb-4a49-a133-46f7099a23fc;x-tt={}%3d>",
        "aHR0cHM6Ly9hcGktZHUtYS1ldW5v".repeat(12)
    )
}

/// Re-INVITEs that the carrier got.
fn changes_of_carrier(lab: &Lab) -> usize {
    let is_change = |message: &&Message| {
        message.method().is_some_and(|method| method.as_str() == "INVITE") && message.to_tag().is_some()
    };
    lab.carrier.transcript().iter().filter(is_change).count()
}

/// A call of the carrier to a Teams user: both ends, talking.
async fn talking(lab: &Lab) -> (Call, Call) {
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    (caller, callee)
}

/// A call of a Teams user to the carrier: both ends, talking.
async fn calling(lab: &Lab) -> (Call, Call) {
    lab.carrier.set_script(Script::answer());
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hears(TEAMS_TONE).await.unwrap();
    (caller, callee)
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_083_084_087_a_refer_rings_and_is_answered() {
    let lab = Lab::start().await;
    let (caller, callee) = talking(&lab).await;
    lab.teams.set_script(Script::no_answer().tone(OTHER_TONE));
    let refer = Refer::to(&user_uri()).by(&referred_by());
    assert_eq!(callee.refer(refer).await.unwrap(), 202);
    let third = lab.teams.incoming().await.unwrap();
    caller.hears(RING_BACK).await.unwrap();
    third.answer().await.unwrap();
    let [heard, _] = both_heard((&caller, OTHER_TONE), (&third, CARRIER_TONE)).await;
    assert_eq!(callee.transferred().await.unwrap().notified, [100, 180, 200]);
    callee.ended().await.unwrap();
    assert_eq!(changes_of_carrier(&lab), 0, "the carrier was told of a transfer");
    assert_eq!(heard.sources.len(), 1, "{heard:?}");
    caller.hang_up().await.unwrap();
    third.ended().await.unwrap();
    let record = lab.records.get(0).await;
    let transfer = record.legs[2].transfer.as_ref().expect("a transfer");
    assert_eq!((transfer.kind, transfer.of), (TransferKind::Referred, 1));
    lab.close().await;
}

/// From another hub, on a connection of its own.
#[tokio::test(flavor = "multi_thread")]
async fn teams_089_any_hub_may_refer() {
    let lab = Lab::with(Plan {
        second_hub: true,
        ..Plan::default()
    })
    .await;
    let (caller, callee) = calling(&lab).await;
    let other = lab.teams2.as_ref().expect("the second hub");
    lab.teams.set_script(Script::answer().tone(OTHER_TONE));
    let refer = Refer::to(&user_uri()).by(&referred_by()).through(other);
    assert_eq!(caller.refer(refer).await.unwrap(), 202);
    let third = lab.teams.incoming().await.unwrap();
    both_heard((&callee, OTHER_TONE), (&third, CARRIER_TONE)).await;
    caller.ended().await.unwrap();
    assert_eq!(changes_of_carrier(&lab), 0);
    callee.hang_up().await.unwrap();
    third.ended().await.unwrap();
    lab.close().await;
}

/// Its certificate is for its own name: that is what it has to prove where we connect to it, whatever its Record-Route says.
#[tokio::test(flavor = "multi_thread")]
async fn teams_010_a_hub_that_called_has_to_prove_its_own_name() {
    let lab = Lab::with(Plan {
        second_hub: true,
        hub_of_its_own: true,
        ..Plan::default()
    })
    .await;
    let other = lab.teams2.as_ref().expect("the second hub");
    lab.carrier.set_script(Script::answer());
    let caller = other.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    caller.answered().await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    callee.hang_up().await.unwrap();
    caller.ended().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_085_a_transfer_that_fails_leaves_the_call_as_it_was() {
    let lab = Lab::start().await;
    let (caller, callee) = calling(&lab).await;
    assert_eq!(caller.change(Change::Hold(HoldForm::Inactive)).await.unwrap(), 200);
    lab.teams.set_script(Script::busy());
    assert_eq!(caller.refer(Refer::to(&user_uri())).await.unwrap(), 202);
    let transfer = caller.transferred().await.unwrap();
    assert_eq!(
        (transfer.notified.first(), transfer.notified.last()),
        (Some(&100), Some(&486))
    );
    assert_eq!(caller.change(Change::Resume).await.unwrap(), 200);
    both_heard((&caller, CARRIER_TONE), (&callee, TEAMS_TONE)).await;
    callee.hang_up().await.unwrap();
    lab.close().await;
}

/// Hold with music: a REFER to a bot, and the user comes back by an INVITE with Replaces.
#[tokio::test(flavor = "multi_thread")]
async fn teams_088_090_to_the_music_and_back() {
    let lab = Lab::start().await;
    let (caller, callee) = calling(&lab).await;
    lab.teams.set_script(Script::answer().tone(OTHER_TONE));
    assert_eq!(caller.refer(Refer::to(&user_uri())).await.unwrap(), 202);
    let music = lab.teams.incoming().await.unwrap();
    let [with_music, _] = both_heard((&callee, OTHER_TONE), (&music, CARRIER_TONE)).await;
    caller.ended().await.unwrap();
    let dial = Dial {
        tone: Some(TEAMS_TONE),
        ..Dial::new(USER, OUTSIDE)
    };
    let back = lab.teams.replace(&music, dial).await.unwrap();
    let [with_back, _] = both_heard((&callee, TEAMS_TONE), (&back, CARRIER_TONE)).await;
    assert_eq!(changes_of_carrier(&lab), 0, "the carrier was told of a hold");
    assert_eq!(
        (with_music.sources.len(), with_back.sources),
        (1, with_music.sources),
        "one stream, whoever speaks in it"
    );
    callee.hang_up().await.unwrap();
    back.ended().await.unwrap();
    let record = lab.records.get(0).await;
    assert_eq!(record.legs.len(), 4, "it was one call: {record:?}");
    assert_eq!(lab.records.count(), 1);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_088_what_replaces_nothing_rings_nobody() {
    let fabrikam = "domains = [\"fabrikam.example\"]\nlabel = \"fabrikam\"\ncarriers = [\"north\"]\n\
                    [[numbers]]\nnumber = \"+442079460100\"\nto = \"teams\"\n";
    let lab = Lab::with(Plan {
        tenants: vec![("fabrikam", fabrikam.into())],
        ..Plan::default()
    })
    .await;
    let (caller, callee) = talking(&lab).await;
    // Teams' own dialog by another tenant's trunk.
    let names = callee.view().dialog.expect("a dialog");
    let of_teams = format!(
        "{};to-tag={};from-tag={}",
        callee.id(),
        names.remote_tag,
        names.local_tag
    );
    let dial = Dial {
        host: Some("fabrikam.sbc1.example.net".into()),
        ..Dial::new(USER, OUTSIDE).header("Replaces", &of_teams)
    };
    let refused = lab.teams.place_call(dial).await.unwrap();
    assert_eq!(refused.ended().await.unwrap().status, Some(481), "of another tenant");
    let names = caller.view().dialog.expect("a dialog");
    // The carrier's own dialog, which is not Teams' to replace; and one that never was.
    let of_carrier = format!(
        "{};to-tag={};from-tag={}",
        caller.id(),
        names.remote_tag,
        names.local_tag
    );
    for replaces in [of_carrier.as_str(), "x;to-tag=1;from-tag=2"] {
        let dial = Dial::new(USER, OUTSIDE).header("Replaces", replaces);
        let refused = lab.teams.place_call(dial).await.unwrap();
        assert_eq!(refused.ended().await.unwrap().status, Some(481), "{replaces}");
        let dial = Dial::new(OUTSIDE, USER).header("Replaces", replaces);
        let refused = lab.carrier.place_call(dial).await.unwrap();
        assert_eq!(refused.ended().await.unwrap().status, Some(481), "{replaces}");
    }
    let rung = |transcript: Vec<Message>| {
        let is_invite = |message: &&Message| message.method().is_some_and(|method| method.as_str() == "INVITE");
        transcript.iter().filter(is_invite).count()
    };
    assert_eq!((rung(lab.carrier.transcript()), rung(lab.teams.transcript())), (0, 1));
    let told = lab.records.replaces_refused();
    let reasons = [
        "is one of the trunk contoso.sbc1.example.net, and it calls fabrikam.sbc1.example.net",
        "is with a carrier",
        "none that this node has given",
    ];
    assert_eq!(told.len(), reasons.len(), "{told:?}");
    for ((status, why), reason) in told.iter().zip(reasons) {
        assert!(*status == 481 && why.contains(reason), "{status} {why}");
    }
    caller.hears(TEAMS_TONE).await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    // By its own trunk it is replaced.
    let dial = Dial::new(USER, OUTSIDE).header("Replaces", &of_teams);
    let fetched = lab.teams.place_call(dial).await.unwrap();
    fetched.answered().await.unwrap();
    fetched.hears(CARRIER_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_081_a_tenant_may_leave_transfers_to_teams() {
    for (tenant, takes) in [("", true), ("refer = false\n", false)] {
        let lab = Lab::with(Plan {
            tenant: tenant.into(),
            ..Plan::default()
        })
        .await;
        let (caller, callee) = talking(&lab).await;
        let invite = callee.invite().expect("our INVITE");
        assert_eq!(invite.lists(HeaderName::Allow, "REFER"), takes, "{tenant}");
        assert!(invite.lists(HeaderName::Allow, "NOTIFY") && invite.lists(HeaderName::Supported, "replaces"));
        caller.hang_up().await.unwrap();
        lab.close().await;
    }
}

/// Waits until the one live call shows this peer and these parties, the caller's place first.
pub async fn shows(lab: &Lab, peer: &str, parties: [&str; 2]) {
    let now = || {
        let calls = lab.running.node.calls.list();
        let status = calls.first().expect("a call").status.lock().unwrap().clone();
        let parties: Vec<String> = status.talkers.into_iter().map(|talker| talker.party).collect();
        (status.peer.map(|peer| peer.to_string()).unwrap_or_default(), parties)
    };
    let wanted = (peer.to_owned(), parties.map(str::to_owned).to_vec());
    let shown = async {
        while now() != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let shown = tokio::time::timeout(BOUND, shown).await;
    assert!(shown.is_ok(), "{:?} is shown, not {wanted:?}", now());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_talks_is_shown_through_every_transfer() {
    let lab = Lab::start().await;
    let (caller, callee) = talking(&lab).await;
    shows(&lab, HUB, [OUTSIDE, USER]).await;
    lab.teams.set_script(Script::answer().tone(OTHER_TONE));
    assert_eq!(callee.refer(Refer::to(&user_uri())).await.unwrap(), 202);
    let third = lab.teams.incoming().await.unwrap();
    caller.hears(OTHER_TONE).await.unwrap();
    shows(&lab, HUB, [OUTSIDE, &user_uri()]).await;
    let back = lab.teams.replace(&third, Dial::new(USER, OUTSIDE)).await.unwrap();
    // The host of its Record-Route.
    let came_by = HUB.replacen("sip.", "sip-du-a-eu.", 1);
    shows(&lab, &came_by, [OUTSIDE, USER]).await;
    caller.hang_up().await.unwrap();
    back.ended().await.unwrap();
    lab.close().await;
}
