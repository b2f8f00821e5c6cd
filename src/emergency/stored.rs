//! An ELIN and for whom it stands, as the store keeps it.

use super::book::{Key, Standing};
use crate::config::{E164, TenantId};
use crate::registrar::Clocks;
use crate::route::EmergencyCaller;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A call that was up when the process ended has ended with it. When that was is not kept: of a call that began longer ago
/// nobody is called back.
const LONGEST_CALL: u64 = 86_400;

/// Times are seconds since the Unix epoch.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    caller: Option<EmergencyCaller>,
    began: u64,
    /// None while a call was up.
    until: Option<u64>,
}

/// The key in bytes. No name of a tenant has a blank.
pub fn key(key: &Key) -> Vec<u8> {
    format!("{} {}", key.tenant, key.number).into_bytes()
}

/// The value in bytes.
pub fn encode(standing: &Standing, clocks: Clocks) -> Option<Vec<u8>> {
    let stored = Stored {
        caller: standing.caller.clone(),
        began: clocks.unix.saturating_sub(clocks.now.since(standing.began).as_secs()),
        until: standing
            .until
            .map(|until| clocks.unix + until.since(clocks.now).as_secs()),
    };
    serde_json::to_vec(&stored).ok()
}

/// What is left of a kept entry; `None`: nothing. `keep`: how long an ELIN stands after a call.
pub fn decode(key: &[u8], value: &[u8], keep: Duration, clocks: Clocks) -> Option<(Key, Standing)> {
    let (tenant, number) = std::str::from_utf8(key).ok()?.rsplit_once(' ')?;
    let key = Key {
        tenant: TenantId::parse(tenant).ok()?,
        number: E164::parse(number).ok()?,
    };
    let stored: Stored = serde_json::from_slice(value).ok()?;
    let left = match stored.until {
        Some(until) => Duration::from_secs(until.checked_sub(clocks.unix)?),
        None if clocks.unix.saturating_sub(stored.began) < LONGEST_CALL => keep,
        None => return None,
    };
    let standing = Standing {
        caller: stored.caller,
        calls: 0,
        // The process's clock does not reach back to before its start.
        began: clocks.now,
        since: clocks.now,
        until: Some(clocks.now + left),
    };
    (!left.is_zero()).then_some((key, standing))
}
