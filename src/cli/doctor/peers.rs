//! Hubs in health tables: by themselves for the node's own trunk, and "hub for trunk" for each further one. What is wrong with the hub
//! is wrong for all of them, and is told once.

/// A hub, and the trunks for which the same is seen of it.
pub struct AtHub<'a, T> {
    pub hub: &'a str,
    /// `None`: the node's own.
    pub trunks: Vec<Option<&'a str>>,
    /// What was seen for the first of them.
    pub seen: T,
}

/// The trunks that are named one by one.
const MOST: usize = 5;

impl<T> AtHub<'_, T> {
    /// For people: the hub alone where it is the node's own trunk and no other.
    pub fn named(&self, own: &str) -> String {
        if self.trunks == [None] {
            return self.hub.to_owned();
        }
        let names = self.trunks.iter().take(MOST).map(|trunk| trunk.unwrap_or(own));
        let names = names.collect::<Vec<_>>().join(", ");
        match self.trunks.len().saturating_sub(MOST) {
            0 => format!("{} for {names}", self.hub),
            more => format!("{} for {names} and {more} more", self.hub),
        }
    }
}

/// The hub and the further trunk of a peer.
pub fn hub_and_trunk(peer: &str) -> (&str, Option<&str>) {
    match peer.split_once(" for ") {
        Some((hub, trunk)) => (hub, Some(trunk)),
        None => (peer, None),
    }
}

/// One for each hub and kind of trouble.
pub fn by_hub<'a, K: PartialEq, T>(peers: impl Iterator<Item = (&'a str, K, T)>) -> Vec<AtHub<'a, T>> {
    let mut found: Vec<(K, AtHub<'a, T>)> = Vec::new();
    for (peer, kind, seen) in peers {
        let (hub, trunk) = hub_and_trunk(peer);
        match found.iter_mut().find(|(known, at)| at.hub == hub && *known == kind) {
            Some((_, at)) => at.trunks.push(trunk),
            None => found.push((
                kind,
                AtHub {
                    hub,
                    trunks: vec![trunk],
                    seen,
                },
            )),
        }
    }
    found.into_iter().map(|(_, at)| at).collect()
}
