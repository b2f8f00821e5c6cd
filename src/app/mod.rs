//! Applications that steer calls: their verbs and wire JSON, the ways to their servers, and the sounds that they name.
//!
//! In: the JSON that an application answers with. Out: typed [`verb::Verb`]s, or a [`verb::PayloadError`] that names the
//! place and the nearest name; what is wanted of a running call ([`command`]); and the JSON that an application is told
//! ([`payload`]). `gather` and `pattern` are what keys are collected by, `json` reads all of
//! this. These are pure; [`outbound`], [`websocket`] and
//! [`sounds`] touch the network, files and processes, and what they take of the node for it they take in `turns`.

pub mod command;
pub mod gather;
pub mod json;
pub mod outbound;
pub mod pattern;
pub mod payload;
pub mod sid;
pub mod sounds;
pub mod tones;
mod turns;
pub mod verb;
pub mod websocket;
