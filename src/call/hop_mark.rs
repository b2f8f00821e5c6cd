//! Loops are found by our own mark: every INVITE that we send bears a Call-ID that says, to us alone, how often the call
//! has already passed this node. A peer that is a proxy keeps the Call-ID when it sends the call back; that a call comes
//! back once is legitimate (a tenant that calls another one over its carrier), that it does so again and again is not.
//! Peers that make a new Call-ID are bounded by Max-Forwards.

use serde::{Deserialize, Serialize};

/// Passes after which a call is refused with 482.
pub const MOST_PASSES: u8 = 3;

/// Makes and reads marked Call-IDs of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopMark {
    key: u64,
    /// Passes so far.
    passes: u8,
}

impl HopMark {
    /// The mark of calls that never passed here; `key` is random and the process's own.
    pub const fn new(key: u64) -> HopMark {
        HopMark { key, passes: 0 }
    }

    /// The mark for a call that arrived with this Call-ID: one pass more when the Call-ID is ours.
    pub fn after(self, call_id: &str) -> HopMark {
        let passes = self.read(call_id).map_or(0, |passes| passes.saturating_add(1));
        HopMark { passes, ..self }
    }

    /// Whether the call has passed too often.
    pub const fn is_loop(self) -> bool {
        self.passes >= MOST_PASSES
    }

    /// A Call-ID: 64 random bits, the passes, and a check of both; 34 hexadecimal digits.
    pub fn call_id(self, random: u64) -> String {
        format!(
            "{random:016x}{:02x}{:016x}",
            self.passes,
            self.check(random, self.passes)
        )
    }

    fn read(self, call_id: &str) -> Option<u8> {
        if call_id.len() != 34 || !call_id.is_ascii() {
            return None;
        }
        let random = u64::from_str_radix(call_id.get(..16)?, 16).ok()?;
        let passes = u8::from_str_radix(call_id.get(16..18)?, 16).ok()?;
        let check = u64::from_str_radix(call_id.get(18..)?, 16).ok()?;
        (check == self.check(random, passes)).then_some(passes)
    }

    fn check(self, random: u64, passes: u8) -> u64 {
        super::value::mix(
            super::value::mix(random ^ self.key).wrapping_add(u64::from(passes)) ^ self.key.rotate_left(32),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_may_come_back_but_not_for_ever() {
        let fresh = HopMark::new(0x1234_5678_9abc_def0);
        let mut mark = fresh.after("0a3d72134fb3d6c024db4c510bc1605b");
        assert!(!mark.is_loop());
        for pass in 0..MOST_PASSES {
            assert!(!mark.is_loop(), "pass {pass}");
            mark = fresh.after(&mark.call_id(u64::from(pass) * 77));
        }
        assert!(mark.is_loop());
    }

    #[test]
    fn another_process_or_a_forger_leaves_no_mark() {
        let mark = HopMark::new(1).after(&HopMark::new(2).call_id(3));
        assert_eq!(mark, HopMark::new(1));
        assert_eq!(HopMark::new(1).after("é".repeat(17).as_str()), HopMark::new(1));
    }
}
