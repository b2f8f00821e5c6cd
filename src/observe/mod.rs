//! One stream of what happens: inner rooms return or report enums, and everything that people read (logs, metrics,
//! CDRs, ladders) is made from them here.

mod happening;

pub use happening::{Happening, LadderLine, Observer, Way};
