//! The rules that the simulated hub enforces, for who wants to know before anything is sent.

use super::catalogue;
use super::rules::{ice_lines, inspect, judge, notified, transferred};
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
    /// Media come from users' clients.
    pub bypass: bool,
    /// What we said of ICE then ([`said_of_ice`]).
    pub ice: Option<&'a str>,
    /// The dialog is confirmed.
    pub answered: bool,
}

/// What a hub would object to in a request outside of calls, shown on a connection with this certificate of ours; `bypass`: the
/// trunk has media bypass.
pub fn judged(request: &Message, certificate: Option<&PeerCertificate>, bypass: bool) -> Vec<Violation> {
    let mut found = judge(request, certificate, bypass).violations;
    let known = Known::before_a_call(bypass);
    // Its description is one of a call as well; what both know of is told once.
    let beside = inspect(request, &known);
    let is_new = |violation: &Violation| !found.iter().any(|known| known.rule == violation.rule);
    let beside: Vec<Violation> = beside.into_iter().filter(is_new).collect();
    found.extend(beside);
    everyday(found)
}

/// What it would object to in the INVITE that it has asked for by REFER.
pub fn transfers(invite: &Message, refer_to: &str, referred_by: Option<&str>) -> Vec<Violation> {
    everyday(transferred(invite, refer_to, referred_by))
}

/// What it would object to in a NOTIFY of a REFER.
pub fn told_of_transfer(notify: &Message) -> Option<Violation> {
    notified(notify).err()
}

/// What a description says of ICE, to be compared with later ones of the call.
pub fn said_of_ice(body: &[u8]) -> String {
    ice_lines(body)
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
        bypass: inside.bypass,
        ice: inside.ice.map(str::to_owned),
        answered: inside.answered,
        trunk: None,
        described: None,
        offered: None,
    };
    everyday(inspect(message, &known))
}

/// Without what only strict simulators note.
fn everyday(mut found: Vec<Violation>) -> Vec<Violation> {
    let is_strict = |word: &str| catalogue().iter().any(|rule| rule.only_strict && rule.word == word);
    found.retain(|violation| !is_strict(violation.rule));
    found
}
