//! The call: a value with a pure `step`, split by concern, and the task that carries it.
//!
//! In: [`Event`]s. Out: [`Effect`]s. The value reads no clock and touches no socket; nothing but its own task changes it.
//!
//! | concern | file |
//! |---|---|
//! | coordinator, data | `value` |
//! | birth, media, INVITE | `setup` |
//! | hops one after the other, failures | `hunt` |
//! | ringing, early media | `progress` |
//! | the answer, and answers too many | `answer` |
//! | refusals, challenges | `challenge` |
//! | hold, resume, codec | `change` |
//! | session timers | `refresh`, `session_clock` |
//! | BYE, CANCEL, ACK | `teardown` |
//! | finding or bearing the call of a message | `switchboard`, `sender`, `directory` |
//! | carrying out effects | `task`, `delivery` |

mod answer;
mod cause;
mod challenge;
mod change;
mod delivery;
mod directory;
mod event;
mod hop_mark;
mod hunt;
mod id;
mod leg;
mod leg_media;
mod location;
mod node;
mod progress;
mod record;
mod refresh;
mod sender;
mod session_clock;
mod setup;
mod switchboard;
mod task;
mod teardown;
mod users;
mod value;

#[cfg(test)]
mod tests;

pub use cause::{Cause, Party};
pub use directory::{CallStatus, Directory, LiveCall, Undelivered};
pub use event::{CallNews, Effect, Event, MediaNotice, PeerVerdict, SendFailure, To};
pub use hop_mark::HopMark;
pub use id::{CallId, LegIndex, Token};
pub use leg::{Leg, LegState};
pub use node::Node;
pub use record::{CallFacts, CallRecord, Direction, LegRecord, Milestones};
pub use setup::Birth;
pub use switchboard::{OutsideResponse, OutsideResponses, Switchboard};
pub use value::{Call, Phase};
