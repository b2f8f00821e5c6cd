//! Devices that are registered, as shown.

use super::state::AdminState;
use crate::observe::printable;
use crate::registrar::{Aor, Binding};
use serde::Serialize;

/// So many users at most: who looks for one names it.
const MOST_USERS: usize = 1_000;

/// A device.
#[derive(Debug, Serialize)]
pub struct RegistrationView {
    pub user: String,
    /// The Contact as it registered.
    pub contact: String,
    pub transport: &'static str,
    /// Where it is reached: the source of its REGISTER.
    pub source: String,
    pub behind_nat: bool,
    /// False: it is behind NAT, and its connection is gone.
    pub reachable: bool,
    pub user_agent: Option<String>,
    pub expires_in_seconds: u64,
}

/// The devices of one realm, of one user, or of all, by user.
pub fn list(state: &AdminState, realm: Option<&str>, user: Option<&str>) -> Vec<RegistrationView> {
    let now = state.node.clock.now();
    let wanted = |aor: &Aor| {
        realm.is_none_or(|realm| aor.realm.eq_ignore_ascii_case(realm)) && user.is_none_or(|user| *aor.user == *user)
    };
    let view = |aor: &Aor, binding: &Binding| RegistrationView {
        user: state.text(&aor.to_string()),
        contact: state.text(&printable(binding.device.contact.as_str())),
        transport: binding.transport.uri_name(),
        source: binding.remote.to_string(),
        behind_nat: binding.behind_nat,
        reachable: binding.is_reachable(),
        user_agent: binding.user_agent.as_deref().map(|agent| printable(agent).into_owned()),
        expires_in_seconds: binding.expires.since(now).as_secs(),
    };
    let users = state.node.registrar.list(now, MOST_USERS, wanted);
    users
        .iter()
        .flat_map(|(aor, bindings)| bindings.iter().map(move |binding| view(aor, binding)))
        .collect()
}
