//! Talking to application servers: connections that can't be led astray, and the HTTP client over them.
//!
//! In: [`HookRequest`]s of any application, URLs of files, [`FileRequest`]s. Out: a [`HookReply`] whose bytes nobody has parsed yet, or a
//! [`HookFailure`] that knows whether repeating helps, and its metric label. Touches: name servers, TCP, TLS.
//! Promises: every address is checked by [`AddressPolicy`] after every resolution, right before it is connected to; time,
//! size and number of requests are bounded, so that no account takes the places of others; credentials and signatures go to one origin alone; a redirect to another
//! origin reaches public addresses alone.

mod address;
mod client;
mod connect;
mod failure;
mod figures;
mod kept;
mod paced;
mod places;
mod request;
mod retry;
mod room;
mod signature;
mod url;

pub use address::{AddressPolicy, Forbidden, embedded};
pub use client::{ClientSettings, HookClient};
pub use connect::{Connector, Stream};
pub use failure::{ConnectFailure, HookFailure};
pub use figures::{Asked, Figures};
pub use paced::{Paced, ReadRate};
pub use request::{BasicAuth, Caller, Fetched, FileRequest, HookReply, HookRequest, Method};
pub use retry::{RetryFault, RetryPolicy};
pub use room::Room;
pub use signature::{SIGNATURE, sign};
pub use url::{HookUrl, Scheme, UrlFault};
