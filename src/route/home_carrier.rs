//! Numbers that live on a PBX or another trunk, while their owner moves to Teams.

use super::decide::{Callee, Decision, Target, carriers_of};
use super::elin::Elin;
use super::refusal::Refusal;
use super::trace::Trace;
use crate::config::{Carrier, CarrierId, Config, Destination, E164, Tenant};
use std::sync::Arc;

/// A number that lives on a PBX or another trunk. It never goes back to where the call came from.
pub(super) fn to_home(
    config: &Config,
    tenant: &Arc<Tenant>,
    number: E164,
    caller: Option<E164>,
    (came_from, home): (&CarrierId, &CarrierId),
    trace: &mut Trace,
) -> Result<Decision, Refusal> {
    let refuse = |why| Refusal::carrier_not_callable(&number.to_string(), home.as_str(), why);
    if came_from == home {
        return Err(refuse("which the call came from"));
    }
    trace.step("target", number.to_string(), format!("lives on carrier '{home}'"));
    let carriers = carriers_of(config, std::slice::from_ref(home), trace);
    if carriers.is_empty() {
        return Err(refuse("which has no gateway"));
    }
    Ok(Decision {
        tenant: tenant.clone(),
        target: Target::Carriers {
            carriers,
            callee: Callee::Number(number),
        },
        caller,
        shown_instead: None,
        emergency: false,
        elin: Elin::None,
    })
}

/// The carriers of a call out of Teams: one of the tenant's own numbers that lives on a carrier is reached there first,
/// on the net, and then like any other.
pub fn ways_out(config: &Config, tenant: &Tenant, callee: &Callee, trace: &mut Trace) -> Vec<Arc<Carrier>> {
    let mut ids = Vec::new();
    if let Callee::Number(number) = callee
        && let Some((owner, entry)) = config.number(*number)
        && let Destination::Carrier(home) = &entry.to
        && owner.id == tenant.id
    {
        trace.step(
            "on-net",
            number.to_string(),
            format!("a number of tenant '{}' that lives on carrier '{home}'", tenant.id),
        );
        ids.push(home.clone());
    }
    for id in &tenant.carriers {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    carriers_of(config, &ids, trace)
}

#[cfg(test)]
mod tests {
    use super::super::{Caller, Facts, Origin, Vouched, decide};
    use super::*;
    use crate::config::fixture::machine;

    const CARRIERS: &str = r#"
[[carriers]]
id = "north"
networks = ["203.0.113.0/24"]
gateways = [{ host = "sip.north.example" }]

[[carriers]]
id = "pbx"
networks = ["192.0.2.99/32"]
gateways = [{ host = "192.0.2.99" }]
"#;

    fn config() -> Config {
        let tenant = |name: &str, numbers: &str| {
            format!("domains = [\"{name}.example\"]\nlabel = \"{name}\"\ncarriers = [\"north\"]\n{numbers}")
        };
        let numbers = "[[numbers]]\nrange = \"+14255550100-+14255550198\"\n\n\
                       [[numbers]]\nrange = \"+14255550110-+14255550119\"\nto = { carrier = \"pbx\" }\n";
        let tenants = [
            ("contoso", tenant("contoso", numbers)),
            (
                "fabrikam",
                tenant("fabrikam", "[[numbers]]\nnumber = \"+442079460100\"\n"),
            ),
        ];
        let tenants: Vec<(&str, &str)> = tenants.iter().map(|(name, text)| (*name, text.as_str())).collect();
        Config::from_toml_strs(&machine(CARRIERS), &tenants).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    fn route(origin: Origin, host: &str, caller: &str, dialled: &str) -> (Result<Decision, Refusal>, Trace) {
        let facts = Facts {
            origin,
            dialled: dialled.into(),
            extension: None,
            host: host.into(),
            caller: Caller {
                number: caller.into(),
                ..Caller::default()
            },
            colleague: None,
            diversions: Vec::new(),
            vouched: Vouched::default(),
            elin: Default::default(),
        };
        decide(&config(), &facts)
    }

    fn carrier(id: &str) -> Origin {
        Origin::Carrier(CarrierId::parse(id).expect("an id"))
    }

    fn ways(decision: Result<Decision, Refusal>) -> Vec<String> {
        match decision.expect("routed").target {
            Target::Carriers { carriers, .. } => carriers.iter().map(|carrier| carrier.id.to_string()).collect(),
            Target::Teams { .. } => vec!["Teams".into()],
            Target::User { name } => vec![name.to_string()],
            Target::Application { application, .. } => vec![application.name.to_string()],
        }
    }

    #[test]
    fn a_carrier_reaches_a_number_where_it_lives() {
        let (decision, trace) = route(carrier("north"), "", "+12065550100", "+14255550115");
        assert_eq!(ways(decision), ["pbx"]);
        assert!(
            trace.0.iter().any(|step| step.outcome == "lives on carrier 'pbx'"),
            "{trace:?}"
        );
        let (decision, _) = route(carrier("north"), "", "+12065550100", "+14255550120");
        assert_eq!(ways(decision), ["Teams"]);
    }

    #[test]
    fn a_number_never_goes_back_to_the_carrier_that_calls_it() {
        let (decision, _) = route(carrier("pbx"), "", "+14255550111", "+14255550115");
        assert_eq!(decision.expect_err("it lives there").status, 404);
    }

    #[test]
    fn from_teams_the_tenants_own_number_is_reached_on_the_net_first() {
        let contoso = "contoso.sbc1.example.net";
        let (decision, trace) = route(Origin::Teams, contoso, "+14255550101", "+14255550115");
        assert_eq!(ways(decision), ["pbx", "north"]);
        assert!(trace.0.iter().any(|step| step.rule == "on-net"), "{trace:?}");
        let (decision, _) = route(Origin::Teams, contoso, "+14255550101", "+12065550100");
        assert_eq!(ways(decision), ["north"]);
    }

    #[test]
    fn another_tenants_number_is_reached_like_any_other() {
        let (decision, trace) = route(
            Origin::Teams,
            "fabrikam.sbc1.example.net",
            "+442079460100",
            "+14255550115",
        );
        assert_eq!(ways(decision), ["north"]);
        assert!(!format!("{trace:?}").contains("contoso"), "{trace:?}");
    }
}
