//! `[destinations]` of a tenant.

use super::reader::Reader;
use crate::config::destinations::{Destinations, DialPrefix};
use crate::config::raw::{At, RawDestinations};

/// The lists; `None`: mistakes were told.
pub fn read(raw: Option<&RawDestinations>, reader: &mut Reader<'_>) -> Option<Destinations> {
    let Some(raw) = raw else {
        return Some(Destinations::default());
    };
    let mut list = |list: &[At<String>]| reader.parse_list(list, "prefix", DialPrefix::parse);
    let (allow, deny) = (list(&raw.allow), list(&raw.deny));
    let mut apart = true;
    for denied in &raw.deny {
        if !denied.value().is_empty() && raw.allow.iter().any(|allowed| allowed.value() == denied.value()) {
            let what = format!("{:?} is allowed and denied", denied.value());
            reader.fault_expecting(denied.span(), what, "it in one of the two lists");
            apart = false;
        }
    }
    apart.then_some(Destinations {
        allow: allow?,
        deny: deny?,
        calls_per_day: raw.calls_per_day.as_ref().map(|calls| *calls.value()),
    })
}
