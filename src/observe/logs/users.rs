//! Lines about users that register.

use super::lines::LogLines;
use crate::observe::printable;
use crate::registrar::{Aor, Verdict};
use crate::sip::Method;
use std::net::SocketAddr;
use std::time::Duration;

/// What a registration hook said of a user.
pub(super) fn hook_asked(
    lines: &LogLines,
    (tenant, user): (&str, &Aor),
    source: SocketAddr,
    method: &Method,
    (verdict, took): (&Verdict, Duration),
) {
    let (user, took_ms) = (lines.text(&user.to_string()), took.as_millis());
    match verdict {
        Verdict::Granted(_) => {
            tracing::debug!(tenant, user, %source, %method, took_ms, "the registration hook knows the user");
        }
        Verdict::Denied { why, blacklist } => {
            let why = printable(why);
            lines.throttles.hooks.say(|withheld| {
                tracing::info!(
                    tenant, user, %source, %method, took_ms, blacklist, withheld,
                    "the registration hook refuses the user: {why}; answered 403"
                );
            });
        }
        Verdict::Failed(why) => {
            let why = printable(why);
            lines.throttles.hooks.say(|withheld| {
                tracing::warn!(
                    tenant, user, %source, %method, took_ms, withheld,
                    "the registration hook says nothing about the user: {why}; answered 503, the device comes again"
                );
            });
        }
    }
}
