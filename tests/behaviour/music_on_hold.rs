//! What a side on hold hears where an application has a say in it, by its tone, with Teams at either end.

use crate::app_server::AppServer;
use crate::applications::{MUSIC_TONE, RECEPTION, asked, lab, verbs};
use crate::lab::{CARRIER_TONE, OUTSIDE, TEAMS_TONE, USER};
use portcullis::sim::{Change, Dial, HoldForm, Script};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_teams_user_hears_it_and_so_does_who_a_teams_user_puts_on_hold() {
    let server = AppServer::build()
        .on("/incoming", |_| {
            verbs(json!([{
                "verb": "dial", "onHoldHook": "/hold", "target": [{ "type": "teams", "number": USER }]
            }]))
        })
        .on("/hold", |_| verbs(json!([{ "verb": "play", "url": "music.wav" }])))
        .on("/status", |_| verbs(json!([])))
        .start()
        .await;
    let lab = lab(&server, &server.url("/incoming")).await;
    lab.teams.set_script(Script::answer());
    let caller = lab.carrier.place_call(Dial::new(OUTSIDE, RECEPTION)).await.unwrap();
    let user = lab.teams.incoming().await.unwrap();
    caller.answered().await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    for form in [HoldForm::SendOnly, HoldForm::Inactive, HoldForm::Blackhole] {
        assert_eq!(caller.change(Change::Hold(form)).await.unwrap(), 200, "{form:?}");
        user.hears(MUSIC_TONE).await.unwrap();
        assert_eq!(caller.change(Change::Resume).await.unwrap(), 200);
        user.hears(CARRIER_TONE).await.unwrap();
    }
    assert_eq!(user.change(Change::Hold(HoldForm::Inactive)).await.unwrap(), 200);
    caller.hears(MUSIC_TONE).await.unwrap();
    assert_eq!(user.change(Change::Resume).await.unwrap(), 200);
    caller.hears(TEAMS_TONE).await.unwrap();
    asked(&server, "/hold", 4).await;
    caller.hang_up().await.unwrap();
    user.ended().await.unwrap();
    // The simulated Teams holds any other form of hold, or a moved address, against us.
    lab.close().await;
}
