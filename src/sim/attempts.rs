//! INVITEs that one call sends to the hubs of one Teams, one after the other.

use super::violation::Violation;
use crate::sip::Message;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How many are remembered.
const KEPT: usize = 1024;
/// Who dials anew does so later than this.
const REDIAL: Duration = Duration::from_secs(5);

/// What hubs that stand beside one another have heard.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<VecDeque<Attempt>>);

#[derive(Debug)]
struct Attempt {
    hub: String,
    caller: String,
    called: String,
    call_id: String,
    stage: Stage,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Nothing but 100 was said.
    Tried,
    Ringing,
    /// By a user, or for good.
    Refused {
        status: u16,
        at: Instant,
    },
    Over,
}

impl Attempts {
    /// An INVITE outside dialogs comes to this hub.
    pub(super) fn comes(&self, hub: &str, invite: &Message) -> Option<Violation> {
        let caller = invite.from().ok()?.uri().user().unwrap_or_default().to_owned();
        let called = invite.uri()?.user().unwrap_or_default().to_owned();
        let call_id = invite.call_id().to_owned();
        let mut attempts = self.lock();
        let breach = attempts.iter().rev().find_map(|known| {
            let elsewhere = known.hub != hub && known.caller == caller && known.called == called;
            let same = elsewhere || known.call_id == call_id;
            match known.stage {
                Stage::Ringing if elsewhere => {
                    let evidence = format!("INVITE to {called} at {hub} while {} rings for it", known.hub);
                    Some(Violation::new("two-hubs", evidence))
                }
                Stage::Refused { status, at } if same && at.elapsed() < REDIAL => {
                    let evidence = format!("INVITE to {called} at {hub} after {status} of {}", known.hub);
                    Some(Violation::new("tried-again", evidence))
                }
                _ => None,
            }
        });
        if attempts.len() == KEPT {
            attempts.pop_front();
        }
        attempts.push_back(Attempt {
            hub: hub.to_owned(),
            caller,
            called,
            call_id,
            stage: Stage::Tried,
        });
        breach
    }

    /// A response of ours to it.
    pub(super) fn answered(&self, call_id: &str, status: u16) {
        let stage = match status {
            ..=100 => return,
            101..200 => Stage::Ringing,
            // It may come again with what it lacked (RFC 3261 §22, RFC 4028 §7.4), or was cancelled.
            401 | 407 | 422 | 487 => Stage::Over,
            400..500 | 600.. => Stage::Refused {
                status,
                at: Instant::now(),
            },
            _ => Stage::Over,
        };
        let mut attempts = self.lock();
        if let Some(known) = attempts.iter_mut().rev().find(|known| known.call_id == call_id) {
            known.stage = stage;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Attempt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
