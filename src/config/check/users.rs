//! `[registrar]` of the machine, `realm` and `[[users]]` of a tenant.

use super::application;
use super::reader::Reader;
use crate::config::checked::{Reach, Realm, RegistrarSettings, User, UserSecret};
use crate::config::mistake::Mistake;
use crate::config::names::{HostName, Invalid, Secret, UserName};
use crate::config::number::{E164, NumberSpan};
use crate::config::raw::{At, RawAlgorithm, RawReach, RawRegistrar, RawTenant, RawUser, SecretText};
use crate::sip::digest::Algorithm;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

/// The registrar's settings.
pub fn registrar(raw: Option<&RawRegistrar>, reader: &mut Reader<'_>) -> Option<RegistrarSettings> {
    let whole = |text: Option<&At<_>>, default, reader: &mut Reader<'_>| {
        let time = reader.duration(text, Duration::from_secs(default))?;
        if let (Some(text), true) = (text, time.subsec_millis() != 0) {
            reader.fault_expecting(text.span(), "Expires has no fractions of a second", "whole seconds");
            return None;
        }
        Some(time)
    };
    let min_expires = whole(raw.and_then(|raw| raw.min_expires.as_ref()), 60, reader);
    let max_expires = whole(raw.and_then(|raw| raw.max_expires.as_ref()), 3600, reader);
    let nat_expires = whole(raw.and_then(|raw| raw.nat_expires.as_ref()), 60, reader);
    let response_timeout = reader.duration(
        raw.and_then(|raw| raw.response_timeout.as_ref()),
        Duration::from_secs(10),
    );
    if let (Some(min), Some(max)) = (min_expires, max_expires)
        && min > max
        && let Some(text) = raw.and_then(|raw| raw.min_expires.as_ref().or(raw.max_expires.as_ref()))
    {
        reader.fault(
            text.span(),
            "`min_expires` is above `max_expires`: nobody could register",
        );
        return None;
    }
    let count = |at: Option<&At<u32>>, default: u32| at.map_or(default, |at| *at.value());
    Some(RegistrarSettings {
        store: raw
            .and_then(|raw| raw.store.as_ref())
            .map(|store| reader.path(store.value())),
        min_expires: min_expires?,
        max_expires: max_expires?,
        nat_expires: nat_expires?,
        bindings_per_user: count(raw.and_then(|raw| raw.bindings_per_user.as_ref()), 10) as usize,
        bindings_per_tenant: count(raw.and_then(|raw| raw.bindings_per_tenant.as_ref()), 10_000) as usize,
        response_timeout: response_timeout?,
        requests_per_source: count(raw.and_then(|raw| raw.requests_per_source.as_ref()), 200),
    })
}

/// The tenant's realm with its users, or that it has none. `listened`: some listener is for users, where that is known.
/// `numbers` is `None` when they can't be read.
#[expect(
    clippy::option_option,
    reason = "outside: was there a mistake; inside: was there a realm"
)]
pub fn realm(
    raw: &RawTenant,
    listened: Option<bool>,
    numbers: Option<&[NumberSpan]>,
    reader: &mut Reader<'_>,
) -> Option<Option<Realm>> {
    let name = match &raw.realm {
        Some(text) => {
            if listened == Some(false) {
                reader.fault_expecting(
                    text.span(),
                    "nobody can register: no listener is for users",
                    "a listener with purpose = \"users\" in sbc.toml",
                );
            }
            let name = reader.parse(text, "realm", HostName::parse);
            name.filter(|_| listened != Some(false))
        }
        None => {
            let expected = "realm = \"sip.contoso.example\", a name of the tenant's own that its devices register with";
            match (raw.users.as_slice(), &raw.registration_hook) {
                ([_, ..], _) => {
                    let place = reader.written(raw.users.iter().map(At::span));
                    reader.fault_expecting(place, "users without a realm", expected);
                }
                ([], Some(hook)) => {
                    reader.fault_expecting(hook.span(), "`registration_hook` without a realm", expected);
                }
                ([], None) => return Some(None),
            }
            None
        }
    };
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut users = Vec::with_capacity(raw.users.len());
    let mut complete = true;
    for (position, raw_user) in raw.users.iter().enumerate() {
        let typed = &raw_user.value().name;
        if let Some(first) = places
            .insert(typed.value(), position)
            .and_then(|first| raw.users.get(first))
            .filter(|_| !typed.value().is_empty())
        {
            let there = Mistake::at(reader.source, first.value().name.span(), "").place();
            reader.fault(
                typed.span(),
                format!("user {:?} is there already ({there})", typed.value()),
            );
            complete = false;
        }
        match user(raw_user, numbers, reader) {
            Some(user) => users.push(user),
            None => complete = false,
        }
    }
    let hook = match &raw.registration_hook {
        Some(hook) => application::http_hook(hook, "it is asked one question at a time", reader).map(Some),
        None => Some(None),
    };
    // Without a user the others may share what all of them don't.
    let algorithms = match complete {
        true => common_algorithms(raw, &users, reader).and_then(|common| offered(raw, common, reader)),
        false => None,
    };
    users.sort_by(|a, b| a.name.cmp(&b.name));
    Some(Some(Realm {
        name: name?,
        users,
        algorithms: algorithms?,
        hook: hook?,
        refer: raw.users_refer.as_ref().is_none_or(|refer| *refer.value()),
    }))
}

/// What challenges offer in the end: where a hook is asked, what it can check too.
fn offered(raw: &RawTenant, mut common: Vec<Algorithm>, reader: &mut Reader<'_>) -> Option<Vec<Algorithm>> {
    let Some(hook) = &raw.registration_hook else {
        if let Some(list) = &raw.registration_algorithms {
            let expected = "`registration_hook` too; without it the users' hashes say what is offered";
            reader.fault_expecting(list.span(), "`registration_algorithms` without a hook", expected);
            return None;
        }
        return Some(common);
    };
    let checked = |algorithm: RawAlgorithm| match &raw.registration_algorithms {
        Some(list) => list.value().iter().any(|item| *item.value() == algorithm),
        None => algorithm == RawAlgorithm::Md5,
    };
    common.retain(|algorithm| match algorithm {
        Algorithm::Sha256 | Algorithm::Sha256Sess => checked(RawAlgorithm::Sha256),
        Algorithm::Md5 | Algorithm::Md5Sess => checked(RawAlgorithm::Md5),
    });
    if common.is_empty() {
        let place = raw.registration_algorithms.as_ref().map_or(hook.span(), At::span);
        reader.fault_expecting(
            place,
            "the hook can check nothing that all users have a hash for, and a challenge is the same for everybody",
            "`ha1_md5` for every user, or `ha1_sha256` and registration_algorithms = [\"SHA-256\"]",
        );
        return None;
    }
    Some(common)
}

/// A challenge is the same for everybody, or it would tell who exists: it offers what all users can answer.
fn common_algorithms(raw: &RawTenant, users: &[User], reader: &mut Reader<'_>) -> Option<Vec<Algorithm>> {
    let mut algorithms = Vec::new();
    if users.iter().all(|user| user.secret.sha256.is_some()) {
        algorithms.push(Algorithm::Sha256);
    }
    if users.iter().all(|user| user.secret.md5.is_some()) {
        algorithms.push(Algorithm::Md5);
    }
    if algorithms.is_empty() {
        let odd = users.iter().position(|user| user.secret.md5.is_none());
        let place = odd
            .and_then(|odd| raw.users.get(odd))
            .map_or(0..0, |raw| raw.value().name.span());
        reader.fault_expecting(
            place,
            "the users' passwords share no algorithm, and a challenge is the same for all of them",
            "`ha1_md5` for every user, or `ha1_sha256` for every user",
        );
        return None;
    }
    Some(algorithms)
}

fn user(raw: &At<RawUser>, numbers: Option<&[NumberSpan]>, reader: &mut Reader<'_>) -> Option<User> {
    let (place, raw) = (raw.span(), raw.value());
    let name = reader.parse(&raw.name, "user name", UserName::parse);
    let has_password = raw.ha1_md5.is_some() || raw.ha1_sha256.is_some();
    if !has_password {
        reader.fault_expecting(
            place.clone(),
            "the user has no password",
            "`ha1_sha256`, `ha1_md5` or both; `portcullis user` makes them",
        );
    }
    let place = reader.written([raw.name.span(), place]);
    let md5 = hash(("ha1_md5", raw.ha1_md5.as_ref()), 32, &place, reader);
    let sha256 = hash(("ha1_sha256", raw.ha1_sha256.as_ref()), 64, &place, reader);
    let mut number = reader.parse_optional(raw.number.as_ref(), "number", E164::parse);
    if let (Some(Some(shown)), Some(text), Some(numbers)) = (number, &raw.number, numbers)
        && !numbers.iter().any(|span| span.contains(shown))
    {
        reader.fault_expecting(
            text.span(),
            format!("{shown} is not the tenant's"),
            "one of its [[numbers]]",
        );
        number = None;
    }
    let display = reader.parse_optional(raw.display.as_ref(), "name to show", |text| {
        let fits = (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits.then(|| text.to_owned())
            .ok_or(Invalid("1 to 64 characters on one line"))
    });
    let may_call = raw.may_call.as_ref().map_or(
        Reach {
            users: true,
            teams: true,
            phones: true,
        },
        |list| {
            let has = |reach| list.iter().any(|item| *item.value() == reach);
            Reach {
                users: has(RawReach::Users),
                teams: has(RawReach::Teams),
                phones: has(RawReach::Phones),
            }
        },
    );
    has_password.then_some(User {
        name: name?,
        secret: UserSecret {
            md5: md5?,
            sha256: sha256?,
        },
        number: number?,
        display: display?,
        may_call,
        srtp: raw.srtp.as_ref().is_some_and(|srtp| *srtp.value()),
    })
}

#[expect(
    clippy::option_option,
    reason = "outside: was there a mistake; inside: was there a key"
)]
fn hash(
    (key, raw): (&str, Option<&At<SecretText>>),
    digits: usize,
    place: &Range<usize>,
    reader: &mut Reader<'_>,
) -> Option<Option<Secret>> {
    let Some(raw) = raw else { return Some(None) };
    if reader.is_mended(&raw.span()) {
        return None;
    }
    let text = &raw.value().0;
    if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let expected =
            format!("{digits} hexadecimal digits, as `portcullis user` prints them; never the password itself");
        // Told at the user: the line of the key may show a password.
        reader.fault_expecting(
            place.clone(),
            format!("the user's `{key}` is no hash of a password"),
            expected,
        );
        return None;
    }
    Some(Some(Secret::new(&text.to_ascii_lowercase())))
}
