//! Where a tenant's calls may go, and how many in a day (TEAMS-109), over real sockets.

use crate::lab::{Lab, OUTSIDE, Plan, USER};
use portcullis::sim::{Dial, Script};

#[tokio::test(flavor = "multi_thread")]
async fn teams_109_a_tenant_calls_where_it_may_and_so_often_a_day() {
    let lab = Lab::with(Plan {
        tenant: "destinations = { deny = [\"+1900\"], calls_per_day = 2 }\n".into(),
        machine: "[emergency]\nnumbers = [\"911\"]\n".into(),
        ..Plan::default()
    })
    .await;
    lab.carrier.set_script(Script::answer());
    let refused = async |number: &str| {
        let call = lab.teams.place_call(Dial::new(USER, number)).await.unwrap();
        call.ended().await.unwrap().status
    };
    assert_eq!(refused("+19005550100").await, Some(403));
    for _ in 0..2 {
        let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
        let callee = lab.carrier.incoming().await.unwrap();
        caller.answered().await.unwrap();
        caller.hang_up().await.unwrap();
        callee.ended().await.unwrap();
    }
    assert_eq!(refused(OUTSIDE).await, Some(503), "the third");
    let caller = lab.teams.place_call(Dial::new(USER, "911")).await.unwrap();
    caller.answered().await.expect("help is called without a limit");
    caller.hang_up().await.unwrap();
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    caller.answered().await.expect("who calls in costs nothing");
    caller.hang_up().await.unwrap();
    lab.close().await;
}
