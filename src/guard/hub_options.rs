//! OPTIONS to hubs as a node would send them, for whoever asks beside it.

use super::monitor::{Asked, as_trunk, asked, draft};
use crate::config::{Config, Hub};
use crate::dial::PeerName;
use crate::sip::RequestDraft;
use crate::sip::locate::Target;
use crate::teams;
use std::time::Duration;

/// OPTIONS as a hub gets them.
#[derive(Debug, Clone)]
pub struct HubOptions {
    pub peer: PeerName,
    /// The hub's name, which its certificate bears.
    pub hub: String,
    /// The trunk, which our certificate has to bear.
    pub trunk: String,
    pub target: Target,
    pub draft: RequestDraft,
    /// For the answer.
    pub timeout: Duration,
}

/// The OPTIONS that a node with this configuration sends to hubs: for each carrier trunk, and for trunks that are not derived from
/// one.
pub fn options_to_hubs(config: &Config) -> Vec<HubOptions> {
    let hubs = asked(config).into_iter().filter(Asked::is_hub);
    hubs.filter_map(to_hub).collect()
}

/// The same for the base trunk to the cloud's name for tests. The node itself asks it nothing.
pub fn options_to_test_name(config: &Config) -> Option<HubOptions> {
    let teams = &config.sbc.teams;
    let hub = Hub::published(teams.cloud.test_names().first()?)?;
    let target = Target::new(hub.host.as_str()).ok()?;
    to_hub(as_trunk(
        config,
        (&hub, &target),
        teams::hub_name(&hub),
        teams.base.as_str(),
    ))
}

fn to_hub(asked: Asked) -> Option<HubOptions> {
    Some(HubOptions {
        draft: draft(&asked)?,
        hub: asked.server_name.as_deref()?.to_owned(),
        trunk: asked.presented.as_deref()?.to_owned(),
        peer: asked.peer,
        target: asked.target,
        timeout: asked.timeout,
    })
}
