//! Configuration files that are saved while calls are up.

use crate::app_server::{AppServer, Reply};
use crate::lab::{BOUND, CARRIER_TONE, Lab, OUTSIDE, Plan, TEAMS_TONE, USER};
use portcullis::app::outbound::{Caller, HookRequest, HookUrl};
use portcullis::config::{Config, Loader, Reload, Watch};
use portcullis::sim::{Call, Change, Dial, HoldForm, Script};
use portcullis::sip::HeaderName;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The lab's folder under watch, as `portcullis run` has it.
struct Saved {
    _watch: Watch,
    outcomes: mpsc::UnboundedReceiver<Reload>,
}

impl Saved {
    fn watch(lab: &Lab) -> Saved {
        let mut loader = Loader::new(&lab.folder.join("config"));
        loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let (report, outcomes) = mpsc::unbounded_channel();
        let watch = Watch::start(loader, move |outcome| {
            // The test may be over.
            let _over = report.send(outcome);
        });
        Saved {
            _watch: watch.unwrap(),
            outcomes,
        }
    }

    /// Saves a file with `edit` made to it, and takes the outcome over.
    async fn save(&mut self, lab: &Lab, file: &str, edit: impl Fn(&str) -> String) -> (Arc<Config>, Vec<&'static str>) {
        let path = lab.folder.join("config").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let edited = edit(&text);
        assert_ne!(edited, text, "the edit has to hit something");
        // Whole, as editors do.
        let draft = lab.folder.join("draft.toml");
        std::fs::write(&draft, edited).unwrap();
        std::fs::rename(draft, &path).unwrap();
        self.applied(lab).await
    }

    /// Takes the outcome of what was saved over.
    async fn applied(&mut self, lab: &Lab) -> (Arc<Config>, Vec<&'static str>) {
        let outcome = tokio::time::timeout(BOUND, self.outcomes.recv()).await;
        match outcome.expect("an outcome").expect("the watch runs") {
            Reload::Applied { config, waiting, .. } => {
                let in_force = || lab.running.node.config.load().generation;
                assert!(in_force() < config.generation, "it comes into force in one place");
                lab.running.apply(&config).await;
                assert_eq!(in_force(), config.generation);
                (config, waiting)
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A call that carries sound both ways, by who placed it and who answered.
async fn up(lab: &Lab, from_teams: bool) -> (Call, Call) {
    let (caller, callee) = match from_teams {
        true => {
            let caller = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
            (caller, lab.carrier.incoming().await.unwrap())
        }
        false => {
            let caller = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
            (caller, lab.teams.incoming().await.unwrap())
        }
    };
    caller.answered().await.unwrap();
    let (caller_tone, callee_tone) = match from_teams {
        true => (TEAMS_TONE, CARRIER_TONE),
        false => (CARRIER_TONE, TEAMS_TONE),
    };
    callee.hears(caller_tone).await.unwrap();
    caller.hears(callee_tone).await.unwrap();
    (caller, callee)
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_and_the_trunk_name_wait_and_calls_go_on_as_before() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    lab.carrier.set_script(Script::answer());
    let (before, _callee) = up(&lab, false).await;
    let mut saved = Saved::watch(&lab);

    let address = lab.running.node.config.load().sbc.listeners[0].bind.ip();
    let (_, waiting) = saved
        .save(&lab, "sbc.toml", |text| {
            let users = format!(
                "[[listeners]]\nname = \"users\"\npurpose = \"users\"\ntransport = \"udp\"\nbind = \"{address}:5090\"\n\n"
            );
            text.replacen("[[listeners]]", &format!("{users}[[listeners]]"), 1)
                .replace(&format!("{address}:5060"), &format!("{address}:5070"))
                .replace("base = \"sbc1.example.net\"", "base = \"sbc2.example.net\"")
                .replace("networks = [\"127.0.0.0/8\"]", "networks = [\"127.0.0.0/8\", \"192.0.2.0/24\"]")
        })
        .await;
    assert_eq!(waiting, ["listeners", "teams.base"]);
    let config = lab.running.node.config.load_full();
    assert_eq!(config.sbc.teams.networks.len(), 2, "what need not wait is in force");

    // The call that was up, and new ones both ways.
    assert_eq!(before.change(Change::Hold(HoldForm::SendOnly)).await.unwrap(), 200);
    assert_eq!(before.change(Change::Resume).await.unwrap(), 200);
    before.hears(TEAMS_TONE).await.unwrap();
    for from_teams in [false, true] {
        let (caller, callee) = up(&lab, from_teams).await;
        let invite = callee.invite().expect("what portcullis sent");
        let contact = invite.header(HeaderName::Contact).unwrap();
        let expected = match from_teams {
            true => format!("{address}:5060"),
            false => "contoso.sbc1.example.net:5061".to_owned(),
        };
        assert!(contact.contains(&expected), "{contact}");
        caller.hang_up().await.unwrap();
        callee.ended().await.unwrap();
    }
    before.hang_up().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_taken_away_ends_no_call_and_takes_no_new_one() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    let (caller, callee) = up(&lab, false).await;
    let mut saved = Saved::watch(&lab);
    let (_, waiting) = saved
        .save(&lab, "tenants/contoso.toml", |text| {
            text.replace("+14255550100-+14255550198", "+14255550101-+14255550198")
        })
        .await;
    assert!(waiting.is_empty());
    let refused = lab.carrier.place_call(Dial::new(OUTSIDE, USER)).await.unwrap();
    assert_eq!(refused.ended().await.unwrap().status, Some(404));
    assert_eq!(caller.change(Change::Refresh).await.unwrap(), 200);
    callee.hears(CARRIER_TONE).await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    caller.hang_up().await.unwrap();
    callee.ended().await.unwrap();
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn teams_088_the_call_of_a_tenant_that_was_taken_away_is_still_taken_over() {
    let other = "domains = [\"fabrikam.example\"]\nlabel = \"fabrikam\"\ncarriers = [\"north\"]\n".to_owned();
    let lab = Lab::with(Plan {
        tenants: vec![("fabrikam", other)],
        ..Plan::default()
    })
    .await;
    lab.teams.set_script(Script::answer());
    let (caller, callee) = up(&lab, false).await;
    let mut saved = Saved::watch(&lab);
    std::fs::remove_file(lab.folder.join("config/tenants/contoso.toml")).unwrap();
    saved.applied(&lab).await;
    let taker = lab.teams.replace(&callee, Dial::new(USER, OUTSIDE)).await.unwrap();
    taker.hears(CARRIER_TONE).await.unwrap();
    caller.hears(TEAMS_TONE).await.unwrap();
    // Nobody else is called there any more.
    let refused = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    assert_eq!(refused.ended().await.unwrap().status, Some(404));
    caller.hang_up().await.unwrap();
    taker.ended().await.unwrap();
    lab.close().await;
}

/// Requests to application servers that were counted.
fn asked(lab: &Lab) -> u64 {
    let figures = lab.running.node.ways.load().connector.figures().read();
    figures.iter().map(|(_, _, count)| count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ways_to_application_servers_stay_until_they_would_be_others() {
    let lab = Lab::with(Plan {
        machine: "\"app.example\" = [\"CARRIER\"]\n[application_servers]\ntimeout = \"9s\"\n".into(),
        ..Plan::default()
    })
    .await;
    let url = "http://app.example/hook";
    let caller = Caller {
        account: "contoso".into(),
        hook: HookUrl::parse(url, None).unwrap(),
        auth: None,
        secret: None,
    };
    let request = HookRequest::new(Arc::new(caller), url, serde_json::json!({})).unwrap();
    let client = lab.running.node.ways.load().client.clone();
    client.ask(&request).await.expect_err("no server may be on loopback");
    assert_eq!(asked(&lab), 1);
    let sounds = lab.running.node.sounds.load_full();
    let kept = || Arc::ptr_eq(&sounds, &lab.running.node.sounds.load_full());

    let mut saved = Saved::watch(&lab);
    saved
        .save(&lab, "tenants/contoso.toml", |text| {
            text.replace("+14255550100-", "+14255550101-")
        })
        .await;
    assert_eq!((asked(&lab), kept()), (1, true));
    saved
        .save(&lab, "sbc.toml", |text| {
            text.replace("timeout = \"9s\"", "timeout = \"8s\"")
        })
        .await;
    assert_eq!((asked(&lab), kept()), (0, false));
    lab.close().await;
}

/// Eight of the longest files are half of the memory for them: all that an account may have.
#[tokio::test(flavor = "multi_thread")]
async fn files_on_their_way_count_over_a_reload_that_makes_the_ways_anew() {
    let server = AppServer::build()
        .on("/stalled", |_| Reply::Stall(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()))
        .on("/small", |_| Reply::Body(200, "audio/wav", vec![7; 100]))
        .start()
        .await;
    let lab = Lab::with(Plan {
        machine: "[application_servers]\nallow_loopback = true\ntimeout = \"9s\"\n".into(),
        ..Plan::default()
    })
    .await;
    let client = || lab.running.node.ways.load().client.clone();
    let url = |path| HookUrl::parse(&server.url(path), None).unwrap();
    let mut stalled = JoinSet::new();
    for _ in 0..8 {
        let (client, url) = (client(), url("/stalled"));
        stalled.spawn(async move { client.fetch("a", &url, 16 << 20, BOUND).await });
    }
    let (small, hasty) = (url("/small"), Duration::from_millis(300));
    let finds_room = async |owner| {
        let fetched = client().fetch(owner, &small, 1_000, hasty).await;
        fetched.map_or_else(|failure| failure.label(), |_| "ok")
    };
    let full = async { while finds_room("a").await != "no_room" {} };
    tokio::time::timeout(BOUND, full).await.expect("all is taken");
    let mut saved = Saved::watch(&lab);
    let before = lab.running.node.ways.load_full();
    saved
        .save(&lab, "sbc.toml", |text| {
            text.replace("timeout = \"9s\"", "timeout = \"8s\"")
        })
        .await;
    assert!(!Arc::ptr_eq(&before, &lab.running.node.ways.load_full()));
    // A slow machine may not have its answer yet.
    assert!(["no_room", "timeout"].contains(&finds_room("a").await));
    let others = async { while finds_room("b").await != "ok" {} };
    tokio::time::timeout(BOUND, others).await.expect("room");
    stalled.shutdown().await;
    let own = async { while finds_room("a").await != "ok" {} };
    tokio::time::timeout(BOUND, own).await.expect("room");
    lab.close().await;
}
