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
//! | a side out of line with the other | `realign` |
//! | session timers | `refresh`, `session_clock` |
//! | BYE, CANCEL, ACK | `teardown` |
//! | an application's terms, lines and questions | `application`, `app_terms`, `asking`, `describing` |
//! | its verbs, one after the other | `running`, `playing`, `gathering`, `whispering`, `keys`, `listening`, `requesting`, `referring`, `commands`, `verb_events` |
//! | calls that it places, callees that become calls | `placing`, `engaging`, `parting` |
//! | its dials: children, screening, keys, results | `dialing`, `child`, `screening`, `capture`, `held`, `referred` |
//! | media that end here | `ending_here` |
//! | finding or bearing the call of a message | `switchboard`, `sender`, `directory`, `ended` |
//! | who may speak inside a dialog | `source` |
//! | carrying out effects | `task`, `tasks`, `delivery`, `server` |

mod answer;
mod app_terms;
mod application;
mod asked_change;
mod asking;
mod capture;
mod carrier_proof;
mod cause;
mod challenge;
mod change;
mod child;
mod commands;
mod delivery;
mod describing;
mod dialing;
mod directory;
mod ended;
mod ending_here;
mod engaging;
mod event;
mod gathering;
mod held;
mod hop_mark;
mod hunt;
mod id;
mod keys;
mod leg;
mod leg_media;
mod listed;
mod listening;
mod location;
mod moving;
mod node;
mod parting;
mod placing;
mod playing;
mod progress;
mod realign;
mod record;
mod referred;
mod referring;
mod refresh;
mod replacing;
mod requesting;
mod running;
mod screening;
mod sender;
mod server;
mod session_clock;
mod setup;
mod source;
mod switchboard;
mod tally;
mod task;
mod tasks;
mod teardown;
mod users;
mod value;
mod verb_events;
mod vouching;
mod whispering;

#[cfg(test)]
mod tests;

pub use application::{AppTerms, CallerFacts};
pub use cause::{Cause, Party};
pub use directory::{CallStatus, Directory, LineStatus, LiveCall, MovedDialog, Undelivered};
pub use event::{
    Answered, CallNews, Command, Effect, Event, MediaNotice, Onward, Outcome, PeerVerdict, PlayOutcome, Reply,
    SendFailure, Sound, Source, To, Wish,
};
pub use hop_mark::HopMark;
pub use id::{CallId, LegIndex, Token};
pub use leg::{Leg, LegState};
pub use node::Node;
pub use parting::Parted;
pub use placing::{NotPlaced, PlacedCall};
pub use record::{
    ApplicationRecord, CallFacts, CallRecord, DialRecord, Direction, LegRecord, Milestones, TargetRecord,
};
pub use server::Ways;
pub use setup::{Birth, PlacedBirth, Placing, Program, Settings};
pub use switchboard::{OutsideResponse, OutsideResponses, Switchboard};
pub use tally::{Counted, One, Tally};
pub use tasks::CallTasks;
pub use value::{Call, Phase};
