//! An application behind one WebSocket a call: the subprotocol `ws.jambonz.org`, without its verbs.
//!
//! In: messages with JSON that others made, through [`Session::send`]. Out: acknowledgements, commands and the end, as
//! [`SessionEvent`]s; commands are JSON that nobody has checked yet. Touches: connections through
//! [`Connector`](crate::app::outbound::Connector), so the same rules on addresses, TLS and credentials as for hooks.
//! Promises: messages leave in the order given, and what is not known to have arrived when a connection breaks leaves again
//! over the next one; a message that asks for an acknowledgement is told its fate once, at the latest by the session's end;
//! nothing grows: a full queue refuses the newest message, and events that nobody fetches stop the reading.

mod failure;
mod handshake;
mod message;
mod outstanding;
mod session;
mod worker;

pub use failure::SessionFailure;
pub use message::{MessageId, OutMessage, Said, read};
pub use session::{CloseCode, End, SendRefused, Session, SessionEvent, SessionSettings, Unanswered};
