//! Questions to registration hooks that are under way: so many in all, of one tenant, and of one source of a tenant, so
//! that a hook that is slow holds up nobody else, and a guesser not the others behind the same hook.

use super::door::lock;
use crate::config::TenantId;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// In all.
const MOST: usize = 256;
/// Of one tenant.
const MOST_OF_TENANT: usize = 64;
/// From one address to one tenant's hook: an office may sit behind it.
const MOST_OF_SOURCE: usize = 32;

/// The counts. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Crowd(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    tenants: HashMap<TenantId, usize>,
    sources: HashMap<(TenantId, IpAddr), usize>,
}

/// One question's place; it is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Crowd,
    tenant: TenantId,
    source: IpAddr,
}

impl Crowd {
    /// A place for a question about somebody at `source`, unless too many are under way.
    pub fn enter(&self, tenant: &TenantId, source: IpAddr) -> Option<Place> {
        let mut counts = lock(&self.0);
        let key = (tenant.clone(), source);
        let of_tenant = counts.tenants.get(tenant).copied().unwrap_or(0);
        let of_source = counts.sources.get(&key).copied().unwrap_or(0);
        if counts.all >= MOST || of_tenant >= MOST_OF_TENANT || of_source >= MOST_OF_SOURCE {
            return None;
        }
        counts.all += 1;
        *counts.tenants.entry(tenant.clone()).or_default() += 1;
        *counts.sources.entry(key).or_default() += 1;
        Some(Place {
            crowd: self.clone(),
            tenant: tenant.clone(),
            source,
        })
    }

    /// Questions that are under way.
    pub fn count(&self) -> usize {
        lock(&self.0).all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.crowd.0);
        counts.all = counts.all.saturating_sub(1);
        leave(&mut counts.tenants, &self.tenant);
        leave(&mut counts.sources, &(self.tenant.clone(), self.source));
    }
}

fn leave<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_source_takes_all_of_a_tenant_and_no_tenant_all_of_the_node() {
        let crowd = Crowd::default();
        let tenant = |name: &str| TenantId::parse(name).expect("an id");
        let at = |last: u8| IpAddr::from([192, 0, 2, last]);
        let fill =
            |name: &str, last: u8| std::iter::from_fn(|| crowd.enter(&tenant(name), at(last))).collect::<Vec<_>>();
        let mut places = fill("contoso", 1);
        assert_eq!(places.len(), MOST_OF_SOURCE);
        places.extend(fill("contoso", 2));
        assert_eq!(places.len(), MOST_OF_TENANT);
        assert!(fill("contoso", 3).is_empty());
        for name in ["fabrikam", "northwind", "tailspin", "wingtip"] {
            for last in [1, 2] {
                places.extend(fill(name, last));
            }
        }
        assert_eq!((places.len(), crowd.count()), (MOST, MOST));
        places.clear();
        assert_eq!(crowd.count(), 0);
        let counts = lock(&crowd.0);
        assert!(counts.tenants.is_empty() && counts.sources.is_empty());
    }
}
