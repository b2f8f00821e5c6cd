//! Work on one message, on the task that serves many: a panic costs that message alone.

use super::counters::Counters;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// After so many panics in a row the task's own state is what is broken: it ends, and the node with it.
const MOST_PANICS: u32 = 16;

pub(super) struct Guarded {
    counters: Arc<Counters>,
    in_a_row: u32,
}

impl Guarded {
    pub(super) fn new(counters: Arc<Counters>) -> Guarded {
        Guarded { counters, in_a_row: 0 }
    }

    /// Does `work`; panics itself only after [`MOST_PANICS`] times without success.
    pub(super) fn run(&mut self, work: impl FnOnce()) {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(()) => self.in_a_row = 0,
            Err(panic) => {
                self.in_a_row += 1;
                if self.in_a_row >= MOST_PANICS {
                    resume_unwind(panic);
                }
                self.counters.tasks_panicked.add();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_counted_and_borne_until_nothing_else_comes() {
        let counters = Arc::new(Counters::default());
        let mut guarded = Guarded::new(counters.clone());
        let mut done = 0;
        for _ in 0..3 {
            for _ in 1..MOST_PANICS {
                guarded.run(|| panic!("a defect"));
            }
            guarded.run(|| done += 1);
        }
        assert_eq!(
            (done, counters.tasks_panicked.get()),
            (3, u64::from(MOST_PANICS - 1) * 3)
        );
        for _ in 1..MOST_PANICS {
            guarded.run(|| panic!("a defect"));
        }
        assert!(catch_unwind(AssertUnwindSafe(|| guarded.run(|| panic!("a defect")))).is_err());
    }
}
