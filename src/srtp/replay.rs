//! Packet index and replay window (RFC 3711 §3.3.1, §3.3.2).

use super::SrtpError;

/// How far behind the newest packet one is still accepted, in packets. RFC 3711 asks for at least 64.
pub(super) const WINDOW: u64 = 128;

/// The highest index seen and which of the 128 up to it were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReplayWindow {
    highest: u64,
    /// Bit `n` is `highest - n`.
    seen: u128,
}

impl ReplayWindow {
    /// A window whose newest packet is `index`.
    pub(super) fn starting_at(index: u64) -> ReplayWindow {
        ReplayWindow {
            highest: index,
            seen: 1,
        }
    }

    pub(super) fn restored(highest: u64, seen: u128) -> ReplayWindow {
        ReplayWindow {
            highest,
            seen: seen | 1,
        }
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    pub(super) fn seen(&self) -> u128 {
        self.seen
    }

    /// Whether `index` may still be accepted.
    pub(super) fn check(&self, index: u64) -> Result<(), SrtpError> {
        let Some(age) = self.highest.checked_sub(index) else {
            return Ok(());
        };
        if age >= WINDOW {
            Err(SrtpError::TooOld { index })
        } else if self.seen >> age & 1 == 1 {
            Err(SrtpError::Replayed { index })
        } else {
            Ok(())
        }
    }

    /// Marks `index` as seen. Only for an index that `check` passed and whose packet was verified.
    pub(super) fn accept(&mut self, index: u64) {
        if let Some(ahead) = index.checked_sub(self.highest) {
            self.seen = if ahead < WINDOW { self.seen << ahead } else { 0 } | 1;
            self.highest = index;
        } else {
            let age = self.highest - index;
            if age < WINDOW {
                self.seen |= 1 << age;
            }
        }
    }
}

/// The 48-bit packet index that `sequence` most likely means, next to the highest one seen (RFC 3711 Appendix A).
/// `None` when it would lie beyond 2^48.
///
/// The RFC's guess below index zero wraps to the last rollover; no packet has that index, so zero is kept.
pub(super) fn estimate_index(highest: u64, sequence: u16) -> Option<u64> {
    const HALF: u64 = 1 << 15;
    const SPAN: u64 = 1 << 16;
    let same_roc = highest & !(SPAN - 1) | u64::from(sequence);
    let guess = if same_roc > highest + HALF {
        same_roc.checked_sub(SPAN).unwrap_or(same_roc)
    } else if same_roc + HALF < highest {
        same_roc + SPAN
    } else {
        same_roc
    };
    (guess < 1 << 48).then_some(guess)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn guesses_across_the_wrap() {
        let at = |roc: u64, sequence: u64| roc << 16 | sequence;
        assert_eq!(estimate_index(at(0, 65_535), 0), Some(at(1, 0)));
        assert_eq!(estimate_index(at(1, 3), 65_535), Some(at(0, 65_535)));
        assert_eq!(estimate_index(at(7, 40_000), 10_000), Some(at(7, 10_000)));
        assert_eq!(estimate_index(at(7, 40_000), 100), Some(at(8, 100)));
        assert_eq!(estimate_index(at(7, 100), 40_000), Some(at(6, 40_000)));
        assert_eq!(estimate_index(at(0, 100), 40_000), Some(at(0, 40_000)));
        assert_eq!(estimate_index(at(0xffff_ffff, 65_535), 0), None);
    }

    #[test]
    fn window_edges() {
        let mut window = ReplayWindow::starting_at(1000);
        assert_eq!(window.check(1000), Err(SrtpError::Replayed { index: 1000 }));
        assert_eq!(window.check(873), Ok(()));
        assert_eq!(window.check(872), Err(SrtpError::TooOld { index: 872 }));
        window.accept(873);
        assert_eq!(window.check(873), Err(SrtpError::Replayed { index: 873 }));
        window.accept(1127);
        assert_eq!(window.check(1000), Err(SrtpError::Replayed { index: 1000 }));
        window.accept(5000);
        assert_eq!(window.check(4999), Ok(()));
    }

    proptest! {
        #[test]
        fn a_true_index_near_the_highest_is_found(highest in 32_768u64..(1 << 48) - 40_000, offset in -32_767i64..=32_767) {
            let index = highest.checked_add_signed(offset).unwrap();
            prop_assert_eq!(estimate_index(highest, index as u16), Some(index));
        }

        #[test]
        fn the_window_agrees_with_a_set(indices in prop::collection::vec(0u64..400, 1..200)) {
            let mut window: Option<ReplayWindow> = None;
            let mut seen = std::collections::BTreeSet::new();
            for index in indices {
                let fresh = match seen.last() {
                    Some(highest) => index + WINDOW > *highest && !seen.contains(&index),
                    None => true,
                };
                match &mut window {
                    Some(window) => {
                        prop_assert_eq!(window.check(index).is_ok(), fresh);
                        if fresh { window.accept(index) }
                    }
                    None => window = Some(ReplayWindow::starting_at(index)),
                }
                if fresh { seen.insert(index); }
            }
        }
    }
}
