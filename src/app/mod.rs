//! Applications that steer calls: their verbs and wire JSON.
//!
//! In: the JSON that an application answers with. Out: typed [`verb::Verb`]s, or a [`verb::PayloadError`] that names the
//! place and the nearest name; and the JSON that an application is told ([`payload`]). `gather` and `pattern` are what
//! keys are collected by. Pure: no clock, no socket.

pub mod gather;
pub mod pattern;
pub mod payload;
pub mod sid;
pub mod verb;
