//! Which emergency location identification number (ELIN) stands for whom.
//!
//! In: emergency calls whose location record names numbers that fit, and the ends of those calls. Out: the one number that is
//! shown for each, and, while it stands for its caller, whom a call to it reaches. [`Book`] is pure; [`Elins`] keeps one for
//! the node, under a lock that is held for a look-up or a change, and writes it to the store, so that a restart loses nobody.

mod book;
mod elins;
mod stored;
#[cfg(test)]
mod tests;

pub use book::{Book, Key, Why};
pub use elins::{Elins, Showing};
