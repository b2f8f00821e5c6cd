//! INVITEs that REFERs of ours ask for, wherever of the hubs that stand beside one another they come.

use super::script::Script;
use super::teams::transferred;
use super::violation::Violation;
use crate::sip::{HeaderName, Message, Uri};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many are remembered.
const KEPT: usize = 256;
/// Digits at the end of two numbers that make them one, however they are written.
const SAME_END: usize = 6;

/// The INVITE that a REFER asks for.
#[derive(Debug)]
pub(super) struct ExpectedTransfer {
    pub(super) uri: String,
    referred_by: Option<String>,
    /// The script that asked.
    script: Arc<Script>,
    /// The hub that it has to come to; `None`: any that stands here.
    hub: Option<String>,
    /// False: it comes as the node routes it, from a carrier's REFER; only what it is for can be told.
    word_for_word: bool,
    come: AtomicBool,
}

/// What an INVITE is that a REFER asked for.
pub(super) struct Asked {
    pub(super) violations: Vec<Violation>,
    /// By which script.
    pub(super) script: Arc<Script>,
}

impl ExpectedTransfer {
    pub(super) fn new(
        uri: &str,
        referred_by: Option<&str>,
        script: Arc<Script>,
        hub: Option<&str>,
    ) -> ExpectedTransfer {
        ExpectedTransfer {
            uri: uri.to_owned(),
            referred_by: referred_by.map(str::to_owned),
            script,
            hub: hub.map(str::to_owned),
            word_for_word: true,
            come: AtomicBool::new(false),
        }
    }

    /// As the node routes it.
    pub(super) fn routed(self) -> ExpectedTransfer {
        ExpectedTransfer {
            word_for_word: false,
            ..self
        }
    }

    /// True since its INVITE came.
    pub(super) fn has_come(&self) -> bool {
        self.come.load(Ordering::Acquire)
    }

    fn is_named_by(&self, invite: &Message) -> bool {
        if self.word_for_word {
            return invite.request_uri() == Some(self.uri.as_str());
        }
        let wanted = Uri::parse(&self.uri).ok();
        let wanted = wanted.as_ref().and_then(|uri| uri.user());
        let given = invite.uri();
        let given = given.as_ref().and_then(|uri| uri.user());
        matches!((wanted, given), (Some(wanted), Some(given)) if is_same_number(wanted, given))
    }
}

/// `+12065550100`, `12065550100` and `2065550100`; names to the letter.
fn is_same_number(one: &str, other: &str) -> bool {
    let digits = |text: &str| text.trim_start_matches(['+', '0']).to_owned();
    let (one, other) = (digits(one), digits(other));
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let is_number = short.len() >= SAME_END && short.bytes().all(|byte| byte.is_ascii_digit());
    short == long || (is_number && long.ends_with(&short))
}

/// Of all hubs that stand beside one another.
#[derive(Debug, Default)]
pub(super) struct Transfers(Mutex<VecDeque<Arc<ExpectedTransfer>>>);

impl Transfers {
    pub(super) fn expect(&self, expected: Arc<ExpectedTransfer>) {
        let mut transfers = self.lock();
        if transfers.len() == KEPT {
            transfers.pop_front();
        }
        transfers.push_back(expected);
    }

    pub(super) fn forget(&self, expected: &Arc<ExpectedTransfer>) {
        self.lock().retain(|known| !Arc::ptr_eq(known, expected));
    }

    /// What is wrong with an INVITE outside dialogs that comes to this hub, when it is one that a REFER asked for.
    pub(super) fn comes(&self, hub: Option<&str>, invite: &Message) -> Option<Asked> {
        let referred_by = invite.header(HeaderName::ReferredBy);
        let transfers = self.lock();
        let is_here = |known: &&Arc<ExpectedTransfer>| known.hub.is_none() || known.hub.as_deref() == hub;
        let here = || transfers.iter().filter(is_here);
        let mut waiting = here().filter(|known| !known.has_come());
        let named = waiting.clone().find(|known| known.is_named_by(invite));
        // Whose Request-URI was changed on the way.
        let first = named.or_else(|| waiting.find(|known| known.word_for_word && referred_by.is_some()));
        if let Some(expected) = first {
            expected.come.store(true, Ordering::Release);
            let violations = match expected.word_for_word {
                true => transferred(invite, &expected.uri, expected.referred_by.as_deref()),
                false => Vec::new(),
            };
            return Some(Asked {
                violations,
                script: expected.script.clone(),
            });
        }
        let again = here().find(|known| {
            let same_referrer = known.referred_by.as_deref() == referred_by;
            known.word_for_word && referred_by.is_some() && same_referrer && known.is_named_by(invite)
        })?;
        let evidence = format!("another INVITE to {}", again.uri);
        Some(Asked {
            violations: vec![Violation::new("second-invite", evidence)],
            script: again.script.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<ExpectedTransfer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_however_a_carrier_writes_them() {
        for same in ["12065550100", "2065550100", "0012065550100"] {
            assert!(is_same_number("+12065550100", same), "{same}");
        }
        assert!(is_same_number("alice", "alice"));
        for other in ["+12065550101", "100", "alice", ""] {
            assert!(!is_same_number("+12065550100", other), "{other}");
        }
    }
}
