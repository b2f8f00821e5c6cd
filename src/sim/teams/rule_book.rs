//! The rules that the simulated hub enforces, for who wants to know before anything is sent.

use super::catalogue;
use super::rules::{inspect, judge};
use crate::sim::persona::{Face, Known};
use crate::sim::violation::Violation;
use crate::sip::{Message, PeerCertificate};
use std::net::SocketAddr;

/// What is settled between Teams and us inside a call.
#[derive(Debug, Clone, Copy)]
pub struct Inside<'a> {
    /// Teams' Contact and its Record-Route, as header values.
    pub contact: &'a str,
    pub record_route: Option<&'a str>,
    /// Where we said that our media is.
    pub media: Option<SocketAddr>,
    /// The dialog is confirmed.
    pub answered: bool,
}

/// What a hub would object to in a request outside of calls, shown on a connection with this certificate of ours.
pub fn judged(request: &Message, certificate: Option<&PeerCertificate>) -> Vec<Violation> {
    everyday(judge(request, certificate).violations)
}

/// What it would object to in a message inside a call.
pub fn inspected(message: &Message, inside: Inside<'_>) -> Vec<Violation> {
    let known = Known {
        face: Face {
            home: String::new(),
            contact: inside.contact.to_owned(),
            record_route: inside.record_route.map(str::to_owned),
        },
        media: inside.media,
        protocol: None,
        answered: inside.answered,
    };
    everyday(inspect(message, &known))
}

/// Without what only strict simulators note.
fn everyday(mut found: Vec<Violation>) -> Vec<Violation> {
    let is_strict = |word: &str| catalogue().iter().any(|rule| rule.only_strict && rule.word == word);
    found.retain(|violation| !is_strict(violation.rule));
    found
}
