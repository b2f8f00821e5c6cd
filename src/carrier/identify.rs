//! Whose call is it: the carrier by source address and transport.

use crate::config::{Carrier, Config};
use crate::sip::Flow;
use std::sync::Arc;

/// The carrier whose networks hold the source of `flow`; the longest prefix wins, so that one gateway inside another
/// carrier's network is still its own. `None`: nobody's.
pub fn identify<'a>(config: &'a Config, flow: &Flow) -> Option<&'a Arc<Carrier>> {
    let address = flow.remote.ip().to_canonical();
    let matches = config.sbc.carriers.iter().filter_map(|carrier| {
        carrier
            .identify
            .matches(address, flow.transport)
            .map(|prefix| (prefix, carrier))
    });
    matches.max_by_key(|(prefix, _)| *prefix).map(|(_, carrier)| carrier)
}
