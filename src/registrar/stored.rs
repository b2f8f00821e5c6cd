//! A user's bindings as the store keeps them.

use super::aor::Aor;
use super::binding::{Binding, Device};
use crate::config::Sbc;
use crate::moment::Moment;
use crate::route::Voucher;
use crate::sip::{Transport, Uri};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One binding. Connections are gone with the process, and listeners are known by name: their order may change.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    contact: Uri,
    q: u16,
    instance: Option<String>,
    reg_id: Option<u32>,
    transport: Transport,
    listener: String,
    remote: SocketAddr,
    behind_nat: bool,
    call_id: String,
    cseq: u32,
    user_agent: Option<String>,
    /// Seconds since the Unix epoch.
    expires: u64,
    #[serde(default)]
    voucher: Option<Voucher>,
}

/// The process's clock beside the wall's.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    pub now: Moment,
    /// Seconds since the Unix epoch.
    pub unix: u64,
}

impl Clocks {
    /// Both clocks at `now`.
    #[allow(
        clippy::disallowed_methods,
        reason = "what is kept over a restart runs out by the wall's clock: the process's own begins anew"
    )]
    pub fn at(now: Moment) -> Clocks {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Clocks {
            now,
            unix: since.map_or(0, |since| since.as_secs()),
        }
    }
}

/// The key of a user.
pub fn key(aor: &Aor) -> Vec<u8> {
    aor.to_string().into_bytes()
}

/// A user's bindings in bytes; `None` for none.
pub fn encode(bindings: &[Binding], sbc: &Sbc, clocks: Clocks) -> Option<Vec<u8>> {
    let stored = |binding: &Binding| {
        Some(Stored {
            contact: binding.device.contact.clone(),
            q: binding.device.q,
            instance: binding.device.instance.clone(),
            reg_id: binding.device.reg_id,
            transport: binding.transport,
            listener: sbc.listener(binding.listener)?.name.to_string(),
            remote: binding.remote,
            behind_nat: binding.behind_nat,
            call_id: binding.call_id.clone(),
            cseq: binding.cseq,
            user_agent: binding.user_agent.clone(),
            expires: clocks.unix + binding.expires.since(clocks.now).as_secs(),
            voucher: binding.voucher.clone(),
        })
    };
    let all: Vec<Stored> = bindings.iter().filter_map(stored).collect();
    if all.is_empty() {
        return None;
    }
    serde_json::to_vec(&all).ok()
}

/// What is left of a kept entry: bindings that have not run out, on listeners that are still there. `None`: nothing.
pub fn decode(key: &[u8], value: &[u8], sbc: &Sbc, clocks: Clocks) -> Option<(Aor, Vec<Binding>)> {
    let aor = Aor::parse(std::str::from_utf8(key).ok()?)?;
    let all: Vec<Stored> = serde_json::from_slice(value).ok()?;
    let live = |stored: Stored| {
        let left = stored.expires.checked_sub(clocks.unix).filter(|left| *left > 0)?;
        let listener = sbc
            .listeners
            .iter()
            .find(|known| known.name.as_str() == stored.listener && known.transport == stored.transport)?;
        Some(Binding {
            device: Device {
                contact: stored.contact,
                q: stored.q,
                instance: stored.instance,
                reg_id: stored.reg_id,
            },
            transport: stored.transport,
            listener: listener.id,
            remote: stored.remote,
            connection: None,
            behind_nat: stored.behind_nat,
            call_id: stored.call_id,
            cseq: stored.cseq,
            user_agent: stored.user_agent,
            expires: clocks.now + Duration::from_secs(left),
            voucher: stored.voucher,
        })
    };
    let bindings: Vec<Binding> = all.into_iter().filter_map(live).collect();
    (!bindings.is_empty()).then_some((aor, bindings))
}
