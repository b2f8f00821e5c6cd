//! `portcullis run`: the node, from configuration to the last call.

mod assemble;
mod command;
mod descriptors;
mod modes;
mod overload;
mod papers;
mod servers;
mod start;
mod tls;

pub use assemble::dns as dns_settings;
pub use command::{RunArgs, run};
pub use modes::{doubts_of_modes, secret_files};
pub use papers::Papers;
pub use start::{Running, StartError, start};
pub use tls::{inspect, mistakes as tls_mistakes, teams_profile};
