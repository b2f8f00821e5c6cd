//! Configuration: a folder of TOML files becomes one immutable [`Config`].
//!
//! *raw* is what was typed, with its places; *checked* is what it means, every value typed and every reference
//! resolved. In between every mistake is collected, of all files at once, each with file, line, column, the text, what
//! was expected and the nearest right name. A reload is all or nothing: [`Loader`] parses what changed, checks
//! everything, and either a new [`Config`] comes out or the old one stays. Under a running node, what is made once at its
//! start is held as it is. Reads files and the environment; opens no
//! socket.

mod check;
mod checked;
mod destinations;
mod file;
#[cfg(test)]
pub mod fixture;
mod held;
mod hook_url;
mod load;
mod mend;
mod mistake;
mod names;
mod network;
mod number;
mod number_index;
mod own_addresses;
mod planned;
mod raw;
mod readings;
mod resource;
mod schema;
mod secret_files;
mod secret_text;
mod shape;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "what is loaded is timed, and printed")]
mod tests;
mod tls_files;
mod token;
mod twice;
mod watch;

pub use checked::*;
pub use destinations::{Destinations, DialPrefix, Verdict};
pub use hook_url::{HookProtocol, HookUrl};
pub use load::{Loader, Reload, load};
pub use mistake::{Mistake, Mistakes, nearest};
pub use names::{
    ApplicationName, AssignedForm, CarrierId, HostName, Invalid, ListenerName, MediaAddressName, Secret, Sid,
    SpeechServiceName, TenantFqdn, TenantId, UserName,
};
pub use network::Network;
pub use number::{DialString, E164, NumberSpan, without_trunk_zeros};
pub use own_addresses::OwnAddresses;
pub use resource::Resource;
pub use schema::{FileKind, schema};
pub use tls_files::{NamedFile, TlsFiles};
pub use token::TokenDigest;
pub use watch::Watch;
