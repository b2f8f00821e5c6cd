//! Files of roots that change while the node runs.

use crate::lab::{HUB, Lab, OUTSIDE, USER};
use portcullis::net::Opener;
use portcullis::observe::{Happening, Observer};
use portcullis::sim::{Dial, Papers, Script};
use std::sync::Mutex;

/// What was said of trust: replaced, or what is wrong.
#[derive(Default)]
struct Said(Mutex<Vec<(bool, Option<String>)>>);

impl Observer for Said {
    fn happened(&self, happening: &Happening<'_>) {
        if let Happening::Trust { replaced, failed, .. } = happening {
            self.0.lock().unwrap().push((*replaced, failed.map(str::to_owned)));
        }
    }
}

/// Whether the connections that Teams opened drain; `None` when there are none, or only some do.
fn draining(lab: &Lab) -> Option<bool> {
    let connections = lab.running.signalling.transports().connections();
    let theirs = connections
        .iter()
        .filter(|connection| connection.opener == Opener::Peer);
    let drain: Vec<bool> = theirs.map(|connection| connection.draining).collect();
    let first = *drain.first()?;
    drain.iter().all(|each| *each == first).then_some(first)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_taken_away_drains_whom_it_let_in_and_a_broken_file_changes_nothing() {
    let lab = Lab::start().await;
    lab.teams.set_script(Script::answer());
    lab.carrier.set_script(Script::answer());
    let call = lab.teams.place_call(Dial::new(USER, OUTSIDE)).await.unwrap();
    call.answered().await.unwrap();
    // No connection is opened any more.
    lab.teams.pings_until(|pings| pings.answered > 0).await.unwrap();
    let said = Said::default();
    let file = lab.roots.clone();
    let roots = std::fs::read(&file).unwrap();

    std::fs::write(&file, "no certificate").unwrap();
    lab.running.papers.reload_trust(&said).await;
    assert_eq!(draining(&lab), Some(false));
    std::fs::write(&file, &roots).unwrap();
    lab.running.papers.reload_trust(&said).await;
    assert_eq!(draining(&lab), Some(false));

    let strangers = lab.folder.join("strangers");
    std::fs::create_dir_all(&strangers).unwrap();
    let other = Papers::make(&strangers, "sbc1.example.net", &[HUB]).unwrap();
    std::fs::copy(&other.root, &file).unwrap();
    lab.running.papers.reload_trust(&said).await;
    assert_eq!(
        draining(&lab),
        Some(true),
        "the call goes on, and the connection ends after it"
    );
    call.hang_up().await.unwrap();

    let said = said.0.lock().unwrap().clone();
    let (broken, rest) = said.split_first().unwrap();
    assert!(
        broken
            .1
            .as_ref()
            .is_some_and(|why| why.contains("contains no certificate")),
        "{broken:?}"
    );
    assert_eq!(rest, [(false, None), (true, None)]);
    lab.close().await;
}
