//! The call: a value with a pure `step`, split by concern, and the task that carries it.
//!
//! In: [`Event`]s. Out: [`Effect`]s. The value reads no clock and touches no socket; nothing but its own task changes it.
//!
//! | concern | file |
//! |---|---|
//! | coordinator, data | `value` |
//! | birth, hops, INVITE | `setup` |
//! | ringing, early media, answer, refusal | `progress` |
//! | hold, resume, codec, refresh | `change` |
//! | BYE, CANCEL, ACK | `teardown` |

mod cause;
mod change;
mod event;
mod id;
mod leg;
mod leg_media;
mod progress;
mod record;
mod session_clock;
mod setup;
mod teardown;
mod value;

pub use cause::{Cause, Party};
pub use event::{CallNews, Effect, Event, MediaNotice, PeerVerdict, SendFailure, To};
pub use id::{CallId, LegIndex, Token};
pub use leg::{Leg, LegState};
pub use record::{CallFacts, CallRecord, Direction, LegRecord, Milestones};
pub use setup::Birth;
pub use value::{Call, Phase};
