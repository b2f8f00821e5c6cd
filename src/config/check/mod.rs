//! From raw to checked: what the values mean, alone and together. Every mistake is collected; nothing stops at the
//! first. May read the environment and files that hold passwords, and look whether certificate files are there.

mod address;
mod api;
mod application;
mod bases;
mod carrier;
mod credentials;
mod destinations;
mod facts;
mod listener;
mod machine;
mod media;
mod numbers;
mod reach;
mod reader;
mod secret;
mod sockets;
mod speech;
mod teams;
mod tenant;
mod together;
mod users;

pub use facts::MachineFacts;
pub use machine::check as machine;
pub use reader::Reader;
pub use tenant::check as tenant;
pub use together::{Member, together};
