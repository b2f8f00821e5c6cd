//! Log lines on standard error: human or JSON, the level reloadable, numbers masked where the configuration says so.
//!
//! In: [`Happening`](super::Happening)s and whatever else uses `tracing`. Out: lines, through a bounded queue and a
//! thread of its own, so that a stalled terminal or journal never stalls a call; lines that do not fit are dropped and
//! counted.

mod calls;
mod lines;
mod queue;
mod subscriber;
mod throttle;
mod transports;
mod unconnected;
mod unidentified;
mod users;

pub use lines::LogLines;
pub use queue::LineQueue;
pub use subscriber::{Logging, LoggingError};
pub use throttle::Throttle;

#[cfg(test)]
mod tests;
