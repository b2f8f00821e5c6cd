//! What happens while a call is up: hold in every form, offerless and unchanged re-INVITEs, digits, forks.

use crate::lab::{BOUND, CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER, VOICEMAIL, both_heard};
use portcullis::net::Opener;
use portcullis::sim::{Call, Change, Dial, HoldForm, Script};
use portcullis::sip::{HeaderName, Message};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_holds_in_either_form_and_teams_sees_inactive() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    for form in [
        HoldForm::SendOnly,
        HoldForm::RecvOnly,
        HoldForm::Blackhole,
        HoldForm::Inactive,
        HoldForm::PortZero,
    ] {
        assert_eq!(caller.change(Change::Hold(form)).await.unwrap(), 200, "{form:?}");
        assert_eq!(caller.change(Change::Resume).await.unwrap(), 200, "{form:?}");
        both_heard((&caller, TEAMS_TONE), (&callee, CARRIER_TONE)).await;
    }
    caller.hang_up().await.unwrap();
    // The simulated Teams holds any other form, or a moved address, against us.
    lab.close().await;
}

/// Of a carrier that plays while it holds.
#[tokio::test(flavor = "multi_thread")]
async fn teams_080_a_teams_user_hears_a_carriers_own_music() {
    let lab = Lab::with(Plan {
        carrier: "music_on_hold = true\n".into(),
        ..Plan::default()
    })
    .await;
    let music = 800.0;
    lab.teams.set_script(Script::answer());
    let dial = Dial {
        tone: Some(music),
        ..Dial::new(OUTSIDE, USER)
    };
    let caller = lab.carrier.place_call(dial).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    assert_eq!(caller.change(Change::Hold(HoldForm::SendOnly)).await.unwrap(), 200);
    callee.hears(music).await.unwrap();
    let changes = |message: &&Message| {
        message.method().is_some_and(|method| method.as_str() == "INVITE") && message.to_tag().is_some()
    };
    assert_eq!(
        lab.teams.transcript().iter().filter(changes).count(),
        0,
        "Teams was told"
    );
    assert_eq!(caller.change(Change::Resume).await.unwrap(), 200);
    both_heard((&caller, TEAMS_TONE), (&callee, music)).await;
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_holds_and_resumes() {
    let lab = Lab::start().await;
    lab.carrier.set_script(Script::answer());
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hears(TEAMS_TONE).await.unwrap();
    assert_eq!(caller.change(Change::Hold(HoldForm::Inactive)).await.unwrap(), 200);
    assert_eq!(caller.change(Change::Resume).await.unwrap(), 200);
    both_heard((&caller, CARRIER_TONE), (&callee, TEAMS_TONE)).await;
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_of_the_carrier_never_reaches_teams() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    assert_eq!(caller.change(Change::Refresh).await.unwrap(), 200);
    assert_eq!(caller.change(Change::Offerless).await.unwrap(), 200);
    caller.hears(TEAMS_TONE).await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();
    let invites = lab
        .teams
        .transcript()
        .iter()
        .filter(|message| message.method().is_some_and(|m| m.as_str() == "INVITE"))
        .count();
    assert_eq!(invites, 1, "re-INVITEs were passed through (TEAMS-076)");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_makes_no_offer_gets_ours() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    let caller = lab
        .carrier
        .place_call(Dial {
            offerless: true,
            ..Dial::new(OUTSIDE, USER)
        })
        .await
        .unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_rings_several_clients_and_another_one_answers() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::forked(Duration::from_millis(100)));
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    let tags: Vec<_> = caller
        .view()
        .provisionals
        .into_iter()
        .filter_map(|provisional| provisional.to_tag)
        .collect();
    assert!(tags.len() >= 2, "each fork rings: {tags:?}");
    assert!(
        tags.windows(2).all(|pair| pair[0] == pair[1]),
        "forks of Teams shown to the carrier: {tags:?}"
    );
    caller.hears(TEAMS_TONE).await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    lab.close().await;
}

/// Waits until exactly these digits were heard; each is heard once.
pub async fn hears_digits(call: &Call, digits: &str) {
    let heard = async {
        while call
            .heard_so_far()
            .is_none_or(|heard| heard.digits.len() < digits.len())
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(BOUND, heard).await.expect("the digits");
    assert_eq!(call.heard_so_far().map(|heard| heard.digits).as_deref(), Some(digits));
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_pass_both_ways() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.send_digits("42#").await.unwrap();
    callee.send_digits("7*").await.unwrap();
    hears_digits(&callee, "42#").await;
    hears_digits(&caller, "7*").await;
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voicemail_number_goes_straight_to_voicemail() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, VOICEMAIL)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    let invite = callee.invite().unwrap();
    assert!(
        invite.request_uri().unwrap().ends_with(";opaque=app:voicemail"),
        "{:?}",
        invite.request_uri()
    );
    assert!(invite.header(HeaderName::XMsSbc).is_some());
    caller.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_never_acknowledges_loses_the_call_with_a_reason() {
    let lab = Lab::with(Plan {
        // 64 of them are all the time that the calls' own transactions have, too.
        machine: "[timers]\nt1 = \"60ms\"\n".into(),
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::answer());
    let caller = lab
        .carrier
        .place_call(Dial {
            never_ack: true,
            ..Dial::new(OUTSIDE, USER)
        })
        .await
        .unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    callee.ended().await.unwrap();
    drop(caller);
    let record = lab.records.get(0).await;
    assert_eq!(record.cause.label(), "ack_lost");
    assert!(record.cause_text.contains("NAT"), "{}", record.cause_text);
    lab.close().await;
}

/// Whether Teams has a connection to us that it opened.
fn teams_is_connected(lab: &Lab) -> bool {
    let connections = lab.running.signalling.transports().connections();
    connections.iter().any(|connection| connection.opener == Opener::Peer)
}

/// The answer goes to where the request came from, over a connection of ours to whoever proves the same (RFC 3261 §18.2.2);
/// the Via names an address, as that of Teams does.
#[tokio::test(flavor = "multi_thread")]
async fn teams_015_a_connection_that_closes_while_it_rings_costs_no_call() {
    let lab = Lab::with(Plan {
        idle: Some(Duration::from_millis(1_500)),
        ..Plan::default()
    })
    .await;
    lab.carrier.set_script(Script::no_answer());
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    caller.provisional(180).await.unwrap();
    tokio::time::timeout(BOUND, async {
        while teams_is_connected(&lab) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("an idle connection is closed");
    callee.answer().await.unwrap();
    caller.answered().await.unwrap();
    caller.hears(CARRIER_TONE).await.unwrap();
    callee.hears(TEAMS_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();
    lab.close().await;
}
