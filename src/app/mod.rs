//! Applications that steer calls: their verbs and wire JSON, and the ways to their servers.
//!
//! In: the JSON that an application answers with. Out: typed [`verb::Verb`]s, or a [`verb::PayloadError`] that names the
//! place and the nearest name; [`command`]s for calls that run or are to be placed; and the JSON that an application is
//! told ([`payload`]). `gather` and `pattern` are what keys are collected by. These are pure; [`outbound`] and [`websocket`] touch the network.

pub mod command;
pub mod gather;
pub mod outbound;
pub mod pattern;
pub mod payload;
pub mod sid;
pub mod sounds;
pub mod verb;
pub mod websocket;
