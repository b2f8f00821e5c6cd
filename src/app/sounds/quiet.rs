//! Panics of a decoder: caught, and kept for the log. What the panic hook would write to standard error goes past the log, and
//! whoever names a file could have it written without end.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// Characters of a panic's text that are kept.
const LONGEST: usize = 300;

thread_local! {
    /// Set while this thread's panics are ours; then the text of the last one.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does `work`; `Err` is what its panic said, in one line.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            let is_ours = SAID.try_with(|said| match &mut *said.borrow_mut() {
                Some(said) => {
                    let line = panic.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
                    *said = line.chars().take(LONGEST).collect();
                    true
                }
                None => false,
            });
            if !is_ours.unwrap_or(false) {
                before(panic);
            }
        }));
    });
    SAID.set(Some(String::new()));
    let done = catch_unwind(AssertUnwindSafe(work));
    let said = SAID.take().unwrap_or_default();
    done.map_err(|_| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_to_who_caught_it_alone() {
        assert_eq!(quietly(|| 1), Ok(1));
        let said = quietly(|| panic!("two\nlines")).expect_err("a panic");
        assert!(said.contains("quiet.rs") && said.ends_with("two lines"), "{said}");
        assert!(catch_unwind(|| panic!("this one is for the hook of before")).is_err());
        assert!(SAID.with_borrow(|said| said.is_none()));
    }
}
