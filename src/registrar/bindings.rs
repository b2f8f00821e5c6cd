//! All bindings: plain data that changes by one REGISTER at a time.

use super::aor::Aor;
use super::binding::Binding;
use crate::moment::Moment;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Where every user is.
#[derive(Debug, Default)]
pub struct Bindings {
    users: HashMap<Aor, Vec<Binding>>,
    /// Each user once, by its binding that runs out first.
    due: BTreeSet<(Moment, Aor)>,
    by_realm: HashMap<Arc<str>, usize>,
}

/// The realm has as many bindings as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Bindings {
    /// The user's bindings that have not run out, the preferred first.
    pub fn of(&self, aor: &Aor, now: Moment) -> Vec<Binding> {
        let mut live = self.live(aor, now);
        live.sort_by_key(|binding| std::cmp::Reverse(binding.device.q));
        live
    }

    /// The same in the order in which they were registered, the oldest first.
    pub fn live(&self, aor: &Aor, now: Moment) -> Vec<Binding> {
        let all = self.users.get(aor).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|binding| binding.expires > now).cloned().collect()
    }

    /// How many there are in a realm.
    pub fn count_of(&self, realm: &str) -> usize {
        self.by_realm.get(realm).copied().unwrap_or(0)
    }

    /// Realms with their counts.
    pub fn counts(&self) -> impl Iterator<Item = (&str, usize)> {
        self.by_realm.iter().map(|(realm, count)| (&**realm, *count))
    }

    /// Every user that has a binding, with all that it has.
    pub fn users(&self) -> impl Iterator<Item = (&Aor, &[Binding])> {
        self.users.iter().map(|(aor, bindings)| (aor, bindings.as_slice()))
    }

    /// Puts `bindings` in the place of the user's. More of them in the realm than `most` are refused, and nothing
    /// changes; fewer than before are never refused.
    pub fn replace(&mut self, aor: &Aor, bindings: Vec<Binding>, most: usize) -> Result<(), Full> {
        let before = self.users.get(aor).map_or(0, Vec::len);
        let in_realm = self.count_of(&aor.realm);
        let after = in_realm.saturating_sub(before) + bindings.len();
        if bindings.len() > before && after > most {
            return Err(Full);
        }
        if let Some(old) = self.users.remove(aor)
            && let Some(first) = first_due(&old)
        {
            self.due.remove(&(first, aor.clone()));
        }
        match after {
            0 => self.by_realm.remove(&aor.realm),
            _ => self.by_realm.insert(aor.realm.clone(), after),
        };
        if let Some(first) = first_due(&bindings) {
            self.due.insert((first, aor.clone()));
            self.users.insert(aor.clone(), bindings);
        }
        Ok(())
    }

    /// Takes out what has run out by `now`, of at most `most` users; who has changed.
    pub fn expire(&mut self, now: Moment, most: usize) -> Vec<Aor> {
        let mut changed = Vec::new();
        while changed.len() < most {
            let Some((when, aor)) = self.due.first().cloned() else {
                break;
            };
            if when > now {
                break;
            }
            let left = self.live(&aor, now);
            // Never refused: there are fewer than before.
            let _fewer = self.replace(&aor, left, usize::MAX);
            changed.push(aor);
        }
        changed
    }
}

fn first_due(bindings: &[Binding]) -> Option<Moment> {
    bindings.iter().map(|binding| binding.expires).min()
}

#[cfg(test)]
mod tests {
    use super::super::binding::Device;
    use super::*;
    use crate::sip::{ListenerId, Transport, Uri};
    use proptest::prelude::*;

    fn binding(port: u16, expires: u64) -> Binding {
        Binding {
            device: Device {
                contact: Uri::parse(&format!("sip:a@192.0.2.1:{port}")).expect("a URI"),
                q: port % 1000,
                instance: None,
                reg_id: None,
            },
            transport: Transport::Udp,
            listener: ListenerId(0),
            remote: ([192, 0, 2, 1], port).into(),
            connection: None,
            behind_nat: false,
            call_id: "c".into(),
            cseq: 1,
            user_agent: None,
            expires: at(expires),
            voucher: None,
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn what_has_run_out_is_no_way_to_anybody_and_is_taken_out() {
        let (mut bindings, aor) = (Bindings::default(), Aor::new("a", "r.example"));
        bindings
            .replace(&aor, vec![binding(5001, 10), binding(5002, 20)], 9)
            .expect("room");
        let ports = |bindings: &Bindings, now| {
            let found = bindings.of(&aor, at(now));
            found.iter().map(|binding| binding.remote.port()).collect::<Vec<_>>()
        };
        assert_eq!(ports(&bindings, 9), [5002, 5001], "the preferred first");
        assert_eq!(ports(&bindings, 10), [5002]);
        assert_eq!(bindings.count_of("r.example"), 2);
        assert_eq!(bindings.expire(at(10), 9).len(), 1);
        assert_eq!(bindings.count_of("r.example"), 1);
        assert_eq!(bindings.expire(at(19), 9), []);
        assert_eq!(bindings.expire(at(20), 9), [aor]);
        assert_eq!((bindings.users().count(), bindings.counts().count()), (0, 0));
    }

    #[test]
    fn a_full_realm_refuses_one_more_but_never_a_refresh_or_another_realm() {
        let mut bindings = Bindings::default();
        let (a, b) = (Aor::new("a", "r.example"), Aor::new("b", "r.example"));
        bindings.replace(&a, vec![binding(5001, 10)], 1).expect("room");
        assert_eq!(bindings.replace(&b, vec![binding(5002, 10)], 1), Err(Full));
        assert_eq!(bindings.replace(&a, vec![binding(5001, 30)], 1), Ok(()));
        assert_eq!(
            bindings.replace(&Aor::new("b", "s.example"), vec![binding(5002, 10)], 1),
            Ok(())
        );
        assert_eq!(bindings.replace(&a, Vec::new(), 1), Ok(()));
        assert_eq!(bindings.replace(&b, vec![binding(5002, 10)], 1), Ok(()));
    }

    proptest! {
        /// Counts and the order of expiry always tell what is there.
        #[test]
        fn the_books_balance(steps in prop::collection::vec((0u8..4, 0u8..2, prop::collection::vec(1u64..100, 0..4), 0u64..100), 0..40)) {
            let mut bindings = Bindings::default();
            let mut now = 0;
            for (user, realm, expiries, step) in steps {
                let aor = Aor::new(&format!("u{user}"), &format!("r{realm}.example"));
                let wanted = expiries.iter().zip(5000u16..).map(|(left, port)| binding(port, now + left)).collect();
                let _full = bindings.replace(&aor, wanted, 6);
                now += step / 10;
                bindings.expire(at(now), 2);
                for realm in ["r0.example", "r1.example"] {
                    let there: usize = bindings.users.iter().filter(|(aor, _)| &*aor.realm == realm).map(|(_, all)| all.len()).sum();
                    prop_assert_eq!(bindings.count_of(realm), there);
                    prop_assert!(there <= 6);
                }
                prop_assert_eq!(bindings.due.len(), bindings.users.len());
                prop_assert!(bindings.users.values().all(|all| !all.is_empty()));
            }
            bindings.expire(at(now + 1000), usize::MAX);
            prop_assert!(bindings.users.is_empty() && bindings.due.is_empty() && bindings.by_realm.is_empty());
        }
    }
}
