//! When the end of a certificate is worth a word: 30, 14, 7 and 1 days before, and once it has come (TEAMS-013).

use super::identity::Identity;
use std::collections::HashMap;

const DAY: i64 = 86_400;
/// Days before the end, the nearest first.
const STEPS: [i64; 5] = [0, 1, 7, 14, 30];

/// Remembers what was told of each certificate.
#[derive(Debug, Default)]
pub struct ExpiryWatch {
    /// By listener and name of the certificate: its serial, and the step that was told last.
    told: HashMap<(String, String), (String, i64)>,
}

impl ExpiryWatch {
    /// True once for every step that a certificate of `listener` has come to; `now` is in seconds since the Unix epoch.
    pub fn is_due(&mut self, listener: &str, identity: &Identity, now: i64) -> bool {
        let left = identity.not_after.saturating_sub(now);
        let Some(step) = STEPS.into_iter().find(|days| left <= days * DAY) else {
            return false;
        };
        let certificate = (listener.to_owned(), identity.name.clone());
        let told = self.told.insert(certificate, (identity.serial.clone(), step));
        told.is_none_or(|(serial, last)| serial != identity.serial || step < last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::fixtures::identity_until;

    #[test]
    fn teams_013_each_step_is_told_once_and_a_new_certificate_begins_anew() {
        let end = 400 * DAY;
        let until = |end: i64| identity_until("sbc", end.unsigned_abs());
        let (old, new) = (until(end), until(end));
        let mut watch = ExpiryWatch::default();
        let mut told_at = |identity: &Identity, left: i64| watch.is_due("teams", identity, end - left);
        let told: Vec<i64> = (-2..=40).rev().filter(|days| told_at(&old, days * DAY)).collect();
        assert_eq!(told, [30, 14, 7, 1, 0]);
        assert!(!told_at(&old, -3 * DAY));
        assert!(told_at(&new, 5 * DAY), "it was put in place late");
        assert!(!told_at(&new, 4 * DAY));
        assert!(told_at(&new, DAY / 2));
    }
}
