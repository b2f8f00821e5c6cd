//! `Allow`: what a peer may send us (RFC 3261 §20.5). Each list holds what is taken there, nothing that is refused always.

use crate::sip::Message;
use crate::sip::message::HeaderName;

/// Option tags that an INVITE may require of us (RFC 4028, RFC 3891).
const EXTENSIONS: [&str; 2] = ["timer", "replaces"];

/// What a request requires of us and would not get, for `Unsupported` (RFC 3261 §8.2.2.3).
pub fn foreign_extensions(request: &Message) -> Option<String> {
    let required = request.headers(HeaderName::Require);
    let foreign: Vec<&str> = required
        .filter(|tag| !tag.is_empty() && !EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(tag)))
        .collect();
    (!foreign.is_empty()).then(|| foreign.join(", "))
}

/// A call that a static route made: keys come as INFO, too.
pub const ROUTED: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO";

/// The same with a peer that may transfer it.
pub const ROUTED_REFER: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, REFER";

/// A call that an application steers: keys by INFO, a REFER for its `referHook`, and how a REFER of ours goes on.
pub const STEERED: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, REFER";

/// Outside of calls, on listeners of users that may transfer.
pub const USERS_REFER: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, REFER, REGISTER";

/// The same for those who may not.
pub const USERS: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, REGISTER";

/// Calls and OPTIONS with Teams: NOTIFY always, and a REFER, so that Teams has us transfer (TEAMS-081).
pub const TEAMS_REFER: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER";

/// The same without REFER: Teams transfers by itself.
pub const TEAMS: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY";
