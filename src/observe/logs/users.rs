//! Lines about who proves who he is: users that register, carriers with a password.

use super::lines::{LogLines, millis};
use crate::registrar::{Aor, Unasked, Verdict};
use crate::sip::Method;
use std::net::SocketAddr;
use std::time::Duration;

/// A carrier's password was not proven.
pub(super) fn password_refused(lines: &LogLines, source: SocketAddr, username: &str, banned: bool) {
    let username = lines.text(username);
    lines.throttles.passwords.say(|withheld| match banned {
        true => tracing::warn!(username, %source, withheld, "a carrier's password was guessed too often from there; answered 403"),
        false => tracing::warn!(username, %source, withheld, "wrong answer for a carrier's password; answered 401"),
    });
}

/// What a registration hook said of a user.
pub(super) fn hook_asked(
    lines: &LogLines,
    (tenant, user): (&str, &Aor),
    source: SocketAddr,
    method: &Method,
    (verdict, took): (&Verdict, Duration),
) {
    let (user, took_ms) = (lines.text(&user.to_string()), millis(took));
    match verdict {
        Verdict::Granted(_) => {
            tracing::debug!(tenant, user, %source, %method, took_ms, "the registration hook knows the user");
        }
        Verdict::Denied { why, blacklist } => {
            let why = lines.text(why);
            lines.throttles.hooks.say(|withheld| {
                tracing::info!(
                    tenant, user, %source, %method, took_ms, blacklist, withheld,
                    "the registration hook refuses the user: {why}; answered 403"
                );
            });
        }
        Verdict::Failed(why) => {
            let why = lines.text(why);
            lines.throttles.hooks.say(|withheld| {
                tracing::warn!(
                    tenant, user, %source, %method, took_ms, withheld,
                    "the registration hook says nothing about the user: {why}; answered 503, the device comes again"
                );
            });
        }
    }
}

/// A name that no registration hook was asked about.
pub(super) fn hook_unasked(lines: &LogLines, unasked: &Unasked, source: SocketAddr, method: &Method) {
    let (tenant, username, why) = (unasked.tenant.as_str(), lines.text(&unasked.username), unasked.why);
    lines.throttles.unasked.say(|withheld| {
        tracing::info!(
            tenant, username, %source, %method, withheld,
            "the registration hook is not asked about this user name: {why}; answered 403"
        );
    });
}
