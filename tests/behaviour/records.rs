//! What a node tells about itself, kept for tests: records of calls, news of them, what was refused.

use crate::lab::BOUND;
use portcullis::call::{CallNews, CallRecord, RefusedReplace};
use portcullis::observe::{Happening, Ladders, Observer};
use portcullis::sip::Method;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;

/// What was turned away because it is nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unidentified {
    /// None: a connection.
    pub method: Option<Method>,
    pub reason: &'static str,
    pub why: String,
}

/// Call records and news of calls as they come.
#[derive(Default)]
pub struct Records {
    records: Mutex<Vec<CallRecord>>,
    news: Mutex<Vec<CallNews>>,
    overflows: Mutex<Vec<&'static str>>,
    alerts: Mutex<Vec<(&'static str, String)>>,
    unidentified: Mutex<Vec<Unidentified>>,
    replaces_refused: Mutex<Vec<(u16, String)>>,
    panics: AtomicU8,
    answered_by: Mutex<Vec<String>>,
    came: Notify,
    /// Off, unless a test wants them.
    pub ladders: Ladders,
    /// The next answer makes it panic, on the task of the call.
    pub trap: AtomicBool,
    /// The next call makes it panic, before there is a task.
    pub early_trap: AtomicBool,
}

impl Observer for Records {
    fn happened(&self, happening: &Happening<'_>) {
        self.ladders.happened(happening);
        if let Happening::CallNews {
            news: CallNews::Answered,
            ..
        } = happening
        {
            assert!(!self.trap.swap(false, Relaxed), "the trap of this test");
        }
        if let Happening::CallBegan { .. } = happening {
            assert!(!self.early_trap.swap(false, Relaxed), "the trap of this test");
        }
        match happening {
            Happening::CallOver { record } => self.records.lock().unwrap().push((*record).clone()),
            Happening::CallNews { news, peer, hub, .. } => {
                if **news == CallNews::Answered {
                    let who = [peer.map(ToString::to_string), hub.map(str::to_owned)];
                    let who: Vec<String> = who.into_iter().flatten().collect();
                    self.answered_by.lock().unwrap().push(who.join(" for "));
                }
                if let CallNews::ApplicationError { what, detail, .. } = news {
                    self.alerts.lock().unwrap().push((what, detail.clone()));
                }
                if let CallNews::ReplaceRefused(refused) = news {
                    self.replace_refused(refused);
                }
                self.news.lock().unwrap().push((*news).clone());
            }
            Happening::ReplaceRefused { refused, .. } => self.replace_refused(refused),
            Happening::Unidentified { method, why, .. } => self.unidentified.lock().unwrap().push(Unidentified {
                method: method.cloned(),
                reason: why.label(),
                why: why.to_string(),
            }),
            Happening::CallPanicked { .. } => drop(self.panics.fetch_add(1, Relaxed)),
            Happening::Overflow { queue } => self.overflows.lock().unwrap().push(queue.label()),
            _ => return,
        }
        self.came.notify_waiters();
    }

    fn wants_messages(&self) -> bool {
        self.ladders.wants_messages()
    }
}

impl Records {
    fn replace_refused(&self, refused: &RefusedReplace) {
        let told = (refused.status, refused.why.clone());
        self.replaces_refused.lock().unwrap().push(told);
    }

    /// INVITEs with Replaces that took nobody's place: status and reason.
    pub fn replaces_refused(&self) -> Vec<(u16, String)> {
        self.replaces_refused.lock().unwrap().clone()
    }

    /// Queues that dropped something.
    pub fn overflows(&self) -> Vec<&'static str> {
        self.overflows.lock().unwrap().clone()
    }

    /// Calls that a fault of ours ended.
    pub fn panics(&self) -> u8 {
        self.panics.load(Relaxed)
    }

    /// What applications did wrong: of what, and how.
    pub fn alerts(&self) -> Vec<(&'static str, String)> {
        self.alerts.lock().unwrap().clone()
    }

    /// The hub or gateway that answered each call, and the hub that called.
    pub fn answered_by(&self) -> Vec<String> {
        self.answered_by.lock().unwrap().clone()
    }

    /// What was turned away, as soon as there are `count`.
    pub async fn unidentified(&self, count: usize) -> Vec<Unidentified> {
        let there = |records: &Records| Some(records.unidentified.lock().unwrap().clone());
        self.until(|records| there(records).filter(|all| all.len() >= count))
            .await
    }

    /// How many came.
    pub fn count(&self) -> usize {
        self.records.lock().unwrap().len()
    }

    /// The record number `index`, as soon as it is there.
    pub async fn get(&self, index: usize) -> CallRecord {
        self.until(|records| records.records.lock().unwrap().get(index).cloned())
            .await
    }

    /// Those that are there.
    pub fn all(&self) -> Vec<CallRecord> {
        self.records.lock().unwrap().clone()
    }

    /// The first record that is wanted, as soon as it is there.
    pub async fn that(&self, wanted: impl Fn(&CallRecord) -> bool) -> CallRecord {
        self.until(|records| {
            let records = records.records.lock().unwrap();
            records.iter().find(|record| wanted(record)).cloned()
        })
        .await
    }

    /// The first news that is wanted, as soon as it is there.
    pub async fn news(&self, wanted: impl Fn(&CallNews) -> bool) -> CallNews {
        self.until(|records| records.news.lock().unwrap().iter().find(|news| wanted(news)).cloned())
            .await
    }

    async fn until<T>(&self, look: impl Fn(&Records) -> Option<T>) -> T {
        let wait = async {
            loop {
                let came = self.came.notified();
                if let Some(found) = look(self) {
                    return found;
                }
                // The notification may fall between the look and the wait.
                let _again = tokio::time::timeout(Duration::from_millis(50), came).await;
            }
        };
        tokio::time::timeout(BOUND, wait).await.expect("it comes in time")
    }
}
