//! One thing made wrong in a world that is well.

use super::{complaints, well};
use crate::cli::doctor::rehearsal::{Said, Scene};
use crate::cli::doctor::world::{Answered, Certificate, HubSeen, NodeSeen, Online, PastCall, World};
use crate::sip::Method;

pub fn certificate(world: &mut World) -> &mut Certificate {
    world.certificates[0].certificate.as_mut().expect("a certificate")
}

pub fn online(world: &mut World) -> &mut Online {
    world.online.as_mut().expect("online")
}

pub fn hub(world: &mut World) -> &mut HubSeen {
    &mut online(world).hubs[0]
}

pub fn test_name(world: &mut World) -> &mut HubSeen {
    online(world).test_name.as_mut().expect("the name for tests")
}

pub fn node(world: &mut World) -> &mut NodeSeen {
    online(world).node.as_mut().expect("a node")
}

pub fn records(world: &mut World) -> &mut Vec<PastCall> {
    world.records.as_mut().expect("records")
}

pub fn answered(status: u16, reason: &str) -> Result<Answered, String> {
    Ok(Answered {
        status,
        reasons: vec![reason.to_owned()],
        ..Answered::default()
    })
}

pub const fn anything(_: &Said) -> bool {
    true
}

pub fn invite_to_teams(said: &Said) -> bool {
    said.to_teams && said.scene == Scene::Begin && said.message.method() == Some(&Method::Invite)
}

/// Makes one thing wrong, and expects these complaints, no other ones.
pub fn expect(wrong: impl FnOnce(&mut World), ids: &[&str]) -> World {
    let mut world = well::world();
    wrong(&mut world);
    let mut found = complaints(&world);
    found.sort();
    found.dedup();
    let mut wanted = ids.to_vec();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    world
}
