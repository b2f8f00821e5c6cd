//! SIP wire and machines (RFC 3261, 3263 rules, 6026, 4028, 8760). Pure: bytes and time come in, messages and
//! effects go out; nothing here reads a clock or touches a socket.

pub mod dialog;
pub mod digest;
mod flow;
mod framing;
mod grammar;
pub mod header;
pub mod locate;
pub mod message;
mod method;
mod rsip_adapter;
pub mod session_timer;
mod source;
mod timer_wheel;
pub mod transaction;
mod uri;

pub use flow::{ConnectionId, Flow, Hop, HopAccount, ListenerId, PeerCertificate, Transport};
pub use framing::{Frame, FramingError, FramingErrorKind, StreamFramer};
pub use header::{HeaderError, NameAddr, Via};
pub use message::{HeaderName, HeaderValue, Message, ParseError, RequestDraft, ResponseDraft};
pub use method::{ExtensionMethod, InvalidMethod, Method};
pub use source::source_network;
pub use uri::{MAX_URI, Scheme, Uri, UriError, dialled_with, escaped_user, plain_user, unescaped, without_separators};
