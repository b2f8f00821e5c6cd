//! Listeners that speak one IP version while their media have the other: for `check` and `doctor`.

use crate::config::{Listener, Purpose, Sbc};
use std::net::IpAddr;

/// What is doubtful, and what to do about it. Whose signalling comes over one IP version mostly offers media of the same one,
/// media of a listener have one alone, and a trunk of Teams has one for both (`-IPAddressVersion`, TEAMS-020).
pub fn doubts(sbc: &Sbc) -> Vec<(String, String)> {
    let doubt = |listener: &Listener| {
        let place = sbc.media_of(listener.id);
        let (speaks, media) = (version(listener.bind.ip()), version(place.advertise));
        let doubt = format!(
            "listener {} speaks {speaks} (`bind`), and its media are {media}, sent to {}",
            listener.name, place.advertise
        );
        let way_out = format!("name one of [[media.addresses]] that is {speaks} as the `media` of the listener");
        let fix = match listener.purpose {
            Purpose::Teams => format!(
                "A trunk of Teams has one IP version for signalling and media, its `-IPAddressVersion`: {way_out}, or `bind` the listener to an address that \
                 is {media}."
            ),
            _ => format!(
                "Offers from there with {speaks} media are refused (488): whoever calls there has to offer {media}, or {way_out}."
            ),
        };
        (speaks != media).then_some((doubt, fix))
    };
    sbc.listeners.iter().filter_map(doubt).collect()
}

fn version(address: IpAddr) -> &'static str {
    if address.is_ipv6() { "IPv6" } else { "IPv4" }
}
