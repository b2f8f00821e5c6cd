//! Calls that an application of the tenant decides about. Emergency calls never get here (promise 6).

use super::decide::{Callee, Decision, Target};
use super::elin::Elin;
use super::refusal::Refusal;
use super::trace::Trace;
use crate::config::{Application, ApplicationName, Config, Destination, E164, FromTeams, Tenant};
use std::sync::Arc;

/// The call goes to the application `name` of `tenant`.
pub(super) fn to_application(
    tenant: &Arc<Tenant>,
    name: &ApplicationName,
    callee: Callee,
    numbers: (Option<E164>, Option<E164>),
    trace: &mut Trace,
) -> Result<Decision, Refusal> {
    let application = tenant
        .account
        .application(name)
        .ok_or_else(|| Refusal::unavailable(format!("there is no application '{name}' any more"), None))?;
    Ok(asked(tenant, application, callee, numbers, trace))
}

/// The call goes to this application.
pub(super) fn asked(
    tenant: &Arc<Tenant>,
    application: &Arc<Application>,
    callee: Callee,
    (caller, shown_instead): (Option<E164>, Option<E164>),
    trace: &mut Trace,
) -> Decision {
    trace.step("application", application.name.as_str(), way_to(application));
    Decision {
        tenant: tenant.clone(),
        target: Target::Application {
            application: application.clone(),
            callee,
        },
        caller,
        shown_instead,
        emergency: false,
        elin: Elin::None,
    }
}

/// The application that a call out of Teams, or of a user, for `callee` meets: that of the tenant's own number.
pub(super) fn of_own_number<'c>(config: &'c Config, tenant: &Tenant, callee: &Callee) -> Option<&'c ApplicationName> {
    let Callee::Number(number) = callee else { return None };
    match config.number(*number) {
        Some((owner, entry)) if owner.id == tenant.id => match &entry.to {
            Destination::Application(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// The application that decides about a call out of Teams: that of the called number, else the tenant's.
pub(super) fn of_call_out_of_teams<'c>(
    config: &'c Config,
    tenant: &'c Tenant,
    callee: &Callee,
) -> Option<&'c ApplicationName> {
    of_own_number(config, tenant, callee).or(match &tenant.from_teams {
        FromTeams::Application(name) => Some(name),
        FromTeams::Carriers => None,
    })
}

/// How an application is asked, in words.
fn way_to(application: &Application) -> String {
    let hook = &application.hook;
    match application.is_connected() {
        true => format!("decides, connected to {}", hook.url),
        false => format!("decides, asked by {} {}", hook.method.word(), hook.url),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Caller, Facts, Origin, Vouched, decide};
    use super::*;
    use crate::config::CarrierId;
    use crate::config::fixture::machine;

    const CARRIERS: &str = r#"
[[carriers]]
id = "north"
networks = ["203.0.113.0/24"]
gateways = [{ host = "sip.north.example" }]
"#;

    const CONTOSO: &str = r#"
domains = ["contoso.example"]
label = "contoso"
carriers = ["north"]
from_teams = { application = "outgoing" }

[[numbers]]
range = "+14255550100-+14255550198"

[[numbers]]
number = "+14255550150"
to = { application = "reception" }

[application.reception]
hook = { url = "https://app.contoso.example/incoming", method = "GET" }

[application.outgoing]
hook = "wss://app.contoso.example/outgoing"
"#;

    fn route(origin: Origin, caller: &str, dialled: &str) -> (Decision, String) {
        let config = Config::from_toml_strs(&machine(CARRIERS), &[("contoso", CONTOSO)])
            .unwrap_or_else(|wrong| panic!("{wrong}"));
        let facts = Facts {
            origin,
            dialled: dialled.into(),
            extension: None,
            host: "contoso.sbc1.example.net".into(),
            caller: Caller {
                number: caller.into(),
                ..Caller::default()
            },
            colleague: None,
            diversions: Vec::new(),
            vouched: Vouched::default(),
            elin: Default::default(),
        };
        let (decision, trace) = decide(&config, &facts);
        let steps = trace
            .0
            .iter()
            .map(|step| format!("{} {}: {}\n", step.rule, step.subject, step.outcome));
        (
            decision.unwrap_or_else(|refusal| panic!("{}", refusal.sentence)),
            steps.collect(),
        )
    }

    fn application(decision: &Decision) -> Option<&str> {
        match &decision.target {
            Target::Application { application, .. } => Some(application.name.as_str()),
            _ => None,
        }
    }

    #[test]
    fn a_number_of_a_carrier_call_leads_to_its_application() {
        let north = Origin::Carrier(CarrierId::parse("north").expect("an id"));
        let (decision, trace) = route(north.clone(), "+12065550100", "+14255550150");
        assert_eq!(application(&decision), Some("reception"));
        assert!(
            trace.contains("application reception: decides, asked by GET https://app.contoso.example/incoming"),
            "{trace}"
        );
        let (decision, _) = route(north, "+12065550100", "+14255550151");
        assert_eq!(application(&decision), None, "its neighbours stay in Teams");
    }

    #[test]
    fn out_of_teams_the_called_numbers_application_comes_before_the_tenants() {
        let (decision, trace) = route(Origin::Teams, "+14255550100", "+12065550100");
        assert_eq!(application(&decision), Some("outgoing"));
        assert!(
            trace.contains("decides, connected to wss://app.contoso.example/outgoing"),
            "{trace}"
        );
        let (decision, _) = route(Origin::Teams, "+14255550100", "+14255550150");
        assert_eq!(application(&decision), Some("reception"));
    }

    #[test]
    fn no_application_decides_about_an_emergency_call() {
        for dialled in ["112", "+112"] {
            let (decision, trace) = route(Origin::Teams, "+14255550100", dialled);
            assert!(decision.emergency && application(&decision).is_none(), "{trace}");
            assert!(!trace.contains("application"), "{trace}");
        }
    }
}
