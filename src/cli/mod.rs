//! Command line: one file a command.

pub mod check;
pub mod run;
pub mod schema;
