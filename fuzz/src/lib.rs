//! One function for each parser that a stranger's bytes reach: it panics when the parser does, and when what was read
//! doesn't hold what the parser promises.
//!
//! `targets.txt` names each with what libFuzzer starts from. The tests of portcullis run all of them over that, too.

mod application;
mod description;
mod files;
mod media;
mod signalling;

pub use application::{answer_of_application, command, update, websocket_text, written_text};
pub use description::{location, multipart, offer_answer, sdp};
pub use files::{configuration, sound};
pub use media::{rtcp, rtp, srtp, stun, telephone_event};
pub use signalling::{datagram, digest, header_values, stream, uri};
