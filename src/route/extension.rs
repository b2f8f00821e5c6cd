//! Extensions behind a main number, with which Teams has numbers of users (TEAMS-040): who has one is another than who has
//! the main number.

use super::facts::{Facts, number_of};
use super::trace::Trace;
use crate::config::{Config, E164, Tenant};
use crate::sip::{Scheme, Uri, plain_user, without_separators};

/// The extension of the telephone number that a URI names (RFC 3966 §5.3): a parameter of `tel:`, or of the user part of
/// `sip:` (RFC 3261 §19.1.6), its name in any case.
pub(super) fn extension_of(uri: &Uri) -> Option<String> {
    let extension = match uri.scheme() {
        Scheme::Tel => uri.param("ext"),
        _ => uri.user()?.split(';').skip(1).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case("ext").then_some(value)
        }),
    };
    let extension = without_separators(&plain_user(extension?));
    let is_one = (1..=15).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then_some(extension)
}

/// The number that a URI names in a call out of Teams: one that Teams has in another form is the one that it stands for.
pub(super) fn number_in_teams(tenant: Option<&Tenant>, uri: &Uri) -> String {
    let number = number_of(uri);
    let form = match extension_of(uri) {
        Some(extension) => assigned_form(&number, &extension),
        None => number.clone(),
    };
    let own = tenant.and_then(|tenant| tenant.number_assigned(&form));
    own.map_or(number, |own| own.to_string())
}

/// Who is called with the number that was dialled: behind an extension, a number of the tenant's, or of any where none is
/// given, that Teams has so.
pub(super) fn number_called(
    config: &Config,
    tenant: Option<&Tenant>,
    facts: &Facts,
    number: E164,
    trace: &mut Trace,
) -> E164 {
    let Some(extension) = &facts.extension else {
        return number;
    };
    let form = assigned_form(&number.to_string(), extension);
    // The extensions behind a number that somebody has are no one else's.
    let owner = tenant.or_else(|| config.number(number).map(|(owner, _)| owner.as_ref()));
    let own = match owner {
        Some(owner) => owner.number_assigned(&form),
        None => config.tenants.iter().find_map(|tenant| tenant.number_assigned(&form)),
    };
    match own {
        Some(own) => trace.step("extension", form, format!("`assigned` of {own}, which is called")),
        None => trace.step(
            "extension",
            form,
            "`assigned` of no number: the extension is passed over",
        ),
    }
    own.unwrap_or(number)
}

fn assigned_form(number: &str, extension: &str) -> String {
    format!("{number};ext={extension}")
}
