//! Whether a tenant's calls may reach a telephone number (TEAMS-109).

use super::decide::Callee;
use super::refusal::Refusal;
use super::trace::Trace;
use crate::carrier;
use crate::config::{Config, Tenant, Verdict, without_trunk_zeros};

/// Refuses a call of `tenant` to where its `[destinations]` do not let it. Its own numbers are always reached, and emergency
/// calls never ask.
///
/// # Errors
/// 403.
pub fn may_reach(config: &Config, tenant: &Tenant, callee: &Callee, trace: &mut Trace) -> Result<(), Refusal> {
    if let Callee::Number(number) = callee
        && config.number(*number).is_some_and(|(owner, _)| owner.id == tenant.id)
    {
        return Ok(());
    }
    let text = callee.to_string();
    // Who writes the trunk prefix behind the country code means the number without it, and so may a switch: a zero in most
    // countries, in others what a carrier's rules say.
    let of_carriers = tenant
        .carriers
        .iter()
        .filter_map(|id| config.carrier(id))
        .filter_map(|carrier| carrier::without_trunk_prefix(&carrier.numbers, &text));
    for meant in of_carriers.chain(without_trunk_zeros(&text)) {
        if let Verdict::Denied(by) = tenant.destinations.verdict(&meant) {
            let why = format!("its destinations deny {by}, which {meant} begins with");
            return Err(Refusal::destination(&text, tenant.id.as_str(), &why));
        }
    }
    let why = match tenant.destinations.verdict(&text) {
        Verdict::Open => return Ok(()),
        Verdict::Allowed(by) => {
            trace.step("destination", text, format!("allowed by {by}"));
            return Ok(());
        }
        Verdict::Denied(by) => format!("its destinations deny {by}"),
        Verdict::Unlisted => "its destinations allow no such number".to_owned(),
    };
    Err(Refusal::destination(&text, tenant.id.as_str(), &why))
}
