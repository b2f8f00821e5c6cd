//! A node with several media addresses: Teams over IPv6 beside a carrier over IPv4, and users inside the tenant's network.

use crate::lab::{CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use portcullis::sim::{Change, Dial, HoldForm, Script};
use portcullis::sip::Message;
use std::net::IpAddr;

/// The address that our descriptions to Teams name, in order.
fn told(lab: &Lab) -> Vec<IpAddr> {
    let ours = lab.teams.transcript();
    let lines = ours.iter().filter_map(|message| {
        let body = std::str::from_utf8(message.body()).ok()?;
        let line = body.lines().find(|line| line.starts_with("c=IN IP"))?;
        is_ours(message).then(|| line.rsplit(' ').next()?.parse().ok())?
    });
    lines.collect()
}

/// What the node sent bears its product.
fn is_ours(message: &Message) -> bool {
    message.header_named("X-MS-SBC").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_020_teams_over_ipv6_and_a_carrier_over_ipv4_hear_each_other() {
    let lab = Lab::with(Plan {
        teams_over_ipv6: true,
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    assert_eq!(caller.change(Change::Hold(HoldForm::SendOnly)).await.unwrap(), 200);
    assert_eq!(caller.change(Change::Resume).await.unwrap(), 200);
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();

    lab.carrier.set_script(Script::answer());
    let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    let callee = lab.carrier.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hears(TEAMS_TONE).await.unwrap();
    caller.hears(CARRIER_TONE).await.unwrap();
    callee.hang_up().await.unwrap();
    caller.ended().await.unwrap();
    let told = told(&lab);
    assert!(!told.is_empty() && told.iter().all(IpAddr::is_ipv6), "{told:?}");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_056_media_of_a_user_inside_the_network_are_at_the_inner_address() {
    let inner: IpAddr = "127.0.0.9".parse().unwrap();
    let lab = Lab::with(Plan {
        bypass: true,
        media: format!("[[media.addresses]]\nname = \"inside\"\nbind = \"{inner}\"\n"),
        tenant: "local_media = \"inside\"\n".into(),
        ..Plan::default()
    })
    .await;
    let outer = IpAddr::from(lab.address());
    let trunk = "contoso.sbc1.example.net";
    for (location, path, expected) in [
        ("internal", trunk, inner),
        ("external", trunk, outer),
        ("internal", "contoso.sbc1.example.net, other.example.net", outer),
    ] {
        lab.carrier.set_script(Script::answer());
        let dial = Dial::new(USER, OUTSIDE)
            .header("X-MS-USERLOCATION", location)
            .header("X-MS-MEDIAPATH", path)
            .header("X-MS-USERSITE", "London");
        let caller = lab.teams.place_call(dial).await.unwrap();
        let callee = lab.carrier.incoming().await.unwrap();
        caller.answered().await.unwrap();
        callee.hears(TEAMS_TONE).await.unwrap();
        caller.hears(CARRIER_TONE).await.unwrap();
        caller.hang_up().await.unwrap();
        callee.ended().await.unwrap();
        assert_eq!(told(&lab).last(), Some(&expected), "{location} {path}");
    }
    let record = lab.records.get(0).await;
    let leg = record.legs.first().unwrap();
    assert_eq!(leg.local_media.as_deref(), Some("inside"));
    assert_eq!(
        leg.user_place.as_ref().and_then(|place| place.site.as_deref()),
        Some("London")
    );
    assert_eq!(lab.records.get(1).await.legs.first().unwrap().local_media, None);

    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    let callee = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    callee.hears(CARRIER_TONE).await.unwrap();
    assert_eq!(told(&lab).last(), Some(&outer), "where nobody said where the user is");
    caller.hang_up().await.unwrap();
    lab.close().await;
}
