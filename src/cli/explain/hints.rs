//! What is near a number or name that nobody has.

use crate::config::{Config, E164, NumberSpan, nearest};
use crate::route::{Facts, Origin, Refusal};

/// At most so many numbers are shown.
const SHOWN: usize = 3;
/// Fewer common digits than these are no likeness: a country code and an area code.
const ALIKE: usize = 4;

/// Who forwards is known by the call's history alone.
const FORWARDS: &str = "a forwarded or transferred call passes where Teams names a number of the tenant in History-Info, Diversion or \
                        Referred-By (-ForwardCallHistory $true on the trunk); `outside = \"replace\"` under [caller] shows a number of the \
                        tenant's instead";

/// Hints for a refused call; `number` is what the dialled number was read as.
pub fn hints(config: &Config, facts: &Facts, number: Option<E164>, refusal: &Refusal) -> Vec<String> {
    if let Some(tenant) = config.tenant_by_host(&facts.host)
        && *refusal == Refusal::foreign_caller(&facts.caller.number, tenant.id.as_str())
    {
        return vec![FORWARDS.to_owned()];
    }
    if refusal.status != 404 {
        return Vec::new();
    }
    match (&facts.origin, number) {
        (Origin::Carrier(_), Some(number)) => numbers(config, number),
        (Origin::Carrier(_), None) => Vec::new(),
        (Origin::User { .. }, _) => Vec::new(),
        (Origin::Teams, _) => trunks(config, &facts.host),
    }
}

fn numbers(config: &Config, wanted: E164) -> Vec<String> {
    let mut near: Vec<(usize, u64, NumberSpan, &str)> = Vec::new();
    for tenant in config.tenants.iter() {
        for entry in &tenant.numbers {
            let alike = common_digits(wanted, entry.span.first()).max(common_digits(wanted, entry.span.last()));
            let (first, last) = (entry.span.first().value(), entry.span.last().value());
            let away = first.abs_diff(wanted.value()).min(last.abs_diff(wanted.value()));
            if alike >= ALIKE {
                near.push((alike, away, entry.span, tenant.id.as_str()));
            }
        }
    }
    near.sort_by_key(|(alike, away, ..)| (usize::MAX - alike, *away));
    near.iter()
        .take(SHOWN)
        .map(|(_, _, span, tenant)| format!("near it: {span} of tenant '{tenant}'"))
        .collect()
}

fn common_digits(a: E164, b: E164) -> usize {
    let (a, b) = (a.value().to_string(), b.value().to_string());
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

fn trunks(config: &Config, host: &str) -> Vec<String> {
    let names = config
        .tenants
        .iter()
        .flat_map(|tenant| std::iter::once(&tenant.fqdn).chain(&tenant.aliases));
    let near = nearest(host, names.map(|name| name.as_str()));
    near.map(|name| format!("near it: the trunk name {name}"))
        .into_iter()
        .collect()
}
