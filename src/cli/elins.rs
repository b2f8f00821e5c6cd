//! What is right by itself of emergency location identification numbers, and yet will hardly be meant: for `check` and `doctor`.

use crate::config::{Config, Tenant};
use crate::route::{Trace, emergency_carriers};

/// What is doubtful, and what to do about it.
pub fn doubts(config: &Config) -> Vec<(String, &'static str)> {
    let mut doubts = Vec::new();
    let mut is_wanted = false;
    for tenant in config.tenants.iter() {
        let wanting = wanting(config, tenant);
        is_wanted |= !wanting.is_empty();
        let has_some = tenant.elins().next().is_some();
        if !has_some && let Some(carrier) = wanting.first() {
            doubts.push((
                format!(
                    "tenant {} has no number with `elin = true`, and carrier {carrier} wants one: its emergency calls show the callers' \
                     own numbers",
                    tenant.id
                ),
                "Say `elin = true` in the `[[numbers]]` that stand for the tenant's places.",
            ));
        }
        if has_some && wanting.is_empty() {
            doubts.push((
                format!(
                    "tenant {} has numbers with `elin = true`, and no carrier that its emergency calls go to has `elin = true`: none is ever shown",
                    tenant.id
                ),
                "Say `elin = true` in `[[carriers]]` of those that find a place by its number.",
            ));
        }
    }
    if is_wanted && config.sbc.registrar.store.is_none() {
        doubts.push((
            "a carrier has `elin = true`, and there is no `store` under [registrar]: a restart forgets whom an ELIN stands for".to_owned(),
            "Name a file in `store` of [registrar]: emergency services may call back for as long as `callback` of [emergency] says.",
        ));
    }
    doubts
}

/// The carriers of a tenant's emergency calls that are shown ELINs.
fn wanting(config: &Config, tenant: &Tenant) -> Vec<String> {
    let carriers = emergency_carriers(config, tenant, &mut Trace::default());
    let wanting = carriers.iter().filter(|carrier| carrier.elin);
    wanting.map(|carrier| carrier.id.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::machine;

    fn doubted(carrier: &str, number: &str, store: &str) -> Vec<String> {
        let carriers = format!(
            "{store}[[carriers]]\nid = \"north\"\nnetworks = [\"203.0.113.0/24\"]\ngateways = [{{ host = \"203.0.113.2\" }}]\n{carrier}"
        );
        let tenant = format!(
            "domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n[[numbers]]\nnumber = \"+14255550180\"\n{number}"
        );
        let config = Config::from_toml_strs(&machine(&carriers), &[("contoso", &tenant)]);
        doubts(&config.unwrap_or_else(|wrong| panic!("{wrong}")))
            .into_iter()
            .map(|(doubt, _)| doubt)
            .collect()
    }

    #[test]
    fn elins_that_are_wanted_and_those_that_are_there_fit_together() {
        let (elin, store) = ("elin = true\n", "[registrar]\nstore = \"kept.redb\"\n");
        assert_eq!(doubted("", "", ""), [""; 0]);
        assert_eq!(doubted(elin, elin, store), [""; 0]);
        for (carrier, number, store, begins) in [
            (
                elin,
                "",
                store,
                "tenant contoso has no number with `elin = true`, and carrier north wants one",
            ),
            (
                "",
                elin,
                store,
                "tenant contoso has numbers with `elin = true`, and no carrier",
            ),
            (elin, elin, "", "a carrier has `elin = true`, and there is no `store`"),
        ] {
            let found = doubted(carrier, number, store);
            assert!(found.len() == 1 && found[0].starts_with(begins), "{found:?}");
        }
    }
}
