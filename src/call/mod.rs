//! The call: a value with a pure `step`, split by concern, and the task that carries it.
//!
//! In: [`Event`]s. Out: [`Effect`]s. The value reads no clock and touches no socket; nothing but its own task changes it.
//!
//! docs/architecture.md says which file holds which concern of the value. Around it:
//!
//! | concern | file |
//! |---|---|
//! | finding or bearing the call of a message | `switchboard`, `admitting`, `deciding`, `sender`, `carrier_proof`, `vouching`, `directory`, `listed`, `ended`, `farewells`, `late_answers` |
//! | carrying out effects | `task`, `tasks`, `delivery`, `repeated_byes`, `server`, `tally` |
//! | what calls share | `node`, `users` |
//! | what goes in and out, and is kept | `event`, `id`, `cause`, `record`, `location`, `hop_mark` |

mod admitting;
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
mod deciding;
mod delivery;
mod describing;
mod dialing;
mod directory;
mod ended;
mod ending_here;
mod engaging;
mod event;
mod farewells;
mod final_word;
mod gathering;
mod hearing;
mod held;
mod holds;
mod hop_mark;
mod hunt;
mod id;
mod keys;
mod last_word;
mod late_answers;
mod late_change;
mod leg;
mod leg_media;
mod listed;
mod listening;
mod location;
mod moving;
mod node;
mod offering;
mod parting;
mod passing_keys;
mod placing;
mod playing;
mod progress;
mod readable;
mod realign;
mod record;
mod referred;
mod referring;
mod refresh;
mod repeated_byes;
mod replacing;
mod requesting;
mod ringing;
mod running;
mod screening;
mod sender;
mod server;
mod session_clock;
mod setup;
mod source;
mod switchboard;
mod talkers;
mod tally;
mod task;
mod tasks;
mod teardown;
mod transfer;
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
    Answered, CallNews, Command, Effect, Event, MediaNotice, NoReply, Onward, Outcome, PeerVerdict, PlayOutcome, Reply,
    SendFailure, Sound, Source, To, Unplanned, Wish,
};
pub use hop_mark::HopMark;
pub use id::{CallId, LegIndex, Token};
pub use leg::{Leg, LegState};
pub use node::Node;
pub use offering::RecodingPlace;
pub use parting::Parted;
pub use placing::{NotPlaced, PlacedCall};
pub use record::{
    ApplicationRecord, CallFacts, CallRecord, DialRecord, Direction, ElinUse, ErrorRecord, LegRecord, LegTransfer,
    Milestones, RefusedRefer, TargetRecord, TransferKind,
};
pub use server::Ways;
pub use setup::{Birth, PlacedBirth, Placing, Program, Settings};
pub use switchboard::{OutsideResponse, OutsideResponses, Switchboard};
pub use talkers::Talker;
pub use tally::{Counted, One, Tally};
pub use tasks::CallTasks;
pub use transfer::{
    GivenLeg, LegAnswer, LegWanted, Referring, RefusedReplace, TransferNews, TransferStatus, TransferStep,
    TransferWish, Unmovable,
};
pub use value::{Call, Phase};
