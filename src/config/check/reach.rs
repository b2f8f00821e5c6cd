//! Hooks that would never be asked: what their client refuses while a call waits is told beforehand.

use super::reader::Reader;
use crate::app::outbound::{AddressPolicy, Forbidden, HookUrl, UrlFault};
use crate::config::hook_url;
use crate::config::network::Network;
use crate::config::raw::{At, RawHook, RawTenant};
use crate::sip::locate::Host;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::LazyLock;

/// Nothing but what no machine can allow.
static UNKNOWN: LazyLock<AddressPolicy> = LazyLock::new(|| {
    let everything = ["0.0.0.0/0", "::/0"]
        .map(Network::parse)
        .into_iter()
        .filter_map(Result::ok);
    AddressPolicy::new(everything.collect(), true, Vec::new())
});

/// Every hook of the tenant, by the rules of the client. Without `policy` it is not known what the machine allows. A name is
/// not judged: what it leads to is judged when it is asked.
pub fn check(raw: &RawTenant, policy: Option<&AddressPolicy>, reader: &mut Reader<'_>) {
    let policy = policy.unwrap_or(&UNKNOWN);
    let applications = raw.application.values().flat_map(|application| {
        let application = application.value();
        let others = [&application.call_status_hook, &application.fallback];
        std::iter::once(&application.hook).chain(others.into_iter().flatten())
    });
    let hooks: Vec<(Range<usize>, &str)> = applications.chain(&raw.registration_hook).map(place).collect();
    let services = raw.speech_service.values().map(|service| &service.value().url);
    let services = services.map(|url| (url.span(), url.value().as_str()));
    for (place, text) in hooks.into_iter().chain(services) {
        // What is no URL at all is told where it is read, and a fallback may be a name.
        if hook_url::HookUrl::parse(text).is_ok() {
            judge(place, text, policy, reader);
        }
    }
}

fn place(hook: &At<RawHook>) -> (Range<usize>, &str) {
    match hook.value() {
        RawHook::Text(text) => (hook.span(), text),
        RawHook::Table(table) => (table.url.span(), table.url.value()),
    }
}

fn judge(place: Range<usize>, text: &str, policy: &AddressPolicy, reader: &mut Reader<'_>) {
    let url = match HookUrl::parse(text, None) {
        Ok(url) => url,
        Err(UrlFault::Retry(fault)) => {
            let expected = "such as #rc=3&rp=ct,5xx, or nothing behind the URL";
            return reader.fault_expecting(place, fault.to_string(), expected);
        }
        // The message has no text of its own: a password may stand in it.
        Err(_) => return reader.fault_expecting(place, "this URL can't be asked", "an absolute URL"),
    };
    let Host::Ip(address) = url.host() else {
        return;
    };
    let Err(why) = policy.check_socket(SocketAddr::new(*address, url.port())) else {
        return;
    };
    let expected = match why {
        Forbidden::Private | Forbidden::Reserved | Forbidden::Own => {
            "a public address, or one in `allow_networks` of [application_servers]"
        }
        Forbidden::Loopback => {
            "another machine; `allow_loopback` of [application_servers] is for demonstrations and tests"
        }
        Forbidden::NotOneHost | Forbidden::LinkLocal | Forbidden::Administration => "the address of a server of yours",
    };
    reader.fault_expecting(place, format!("{address} is never asked: it is {why}"), expected);
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::fixture::machine;

    const CARRIER: &str = "[[carriers]]\nid = \"north\"\nnetworks = [\"192.0.2.1\"]\n";

    /// What is said of a tenant whose hooks these are, on a machine with `servers`.
    fn said(servers: &str, hooks: &str) -> Vec<String> {
        let sbc = machine(&format!("{CARRIER}[application_servers]\n{servers}\n"));
        let tenant = format!("domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n{hooks}");
        match Config::from_toml_strs(&sbc, &[("contoso", &tenant)]) {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes
                .iter()
                .map(|mistake| format!("{}: {}", mistake.line, mistake.message))
                .collect(),
        }
    }

    #[test]
    fn a_hook_that_its_client_would_never_ask_is_a_mistake_where_it_stands() {
        let hooks = "realm = \"sip.contoso.example\"\nregistration_hook = \"http://[fe80::1]/who\"\n\
                     [application.one]\nhook = \"http://169.254.169.254/x\"\n\
                     call_status_hook = { url = \"http://10.0.0.1/\" }\nfallback = \"http://127.0.0.1/\"\n\
                     [application.two]\nhook = \"https://app.example/#rp=zz\"\ncall_status_hook = \"https://app.example/#rc=x\"\n\
                     fallback = \"http://[::ffff:169.254.169.254]/\"\n\
                     [application.three]\nhook = \"http://198.51.100.10:80/\"\n\
                     [speech_service.aria]\nurl = \"http://0.0.0.0/\"\n";
        let mistakes = said("", hooks);
        for (line, words) in [
            (5, "fe80::1 is never asked: it is link-local"),
            (7, "169.254.169.254 is never asked: it is link-local"),
            (8, "10.0.0.1 is never asked: it is private"),
            (9, "127.0.0.1 is never asked: it is loopback"),
            (11, "`rp=zz` is none of"),
            (12, "`rc=x` is no number"),
            (13, "::ffff:169.254.169.254 is never asked"),
            (15, "198.51.100.10 is never asked: it is reserved"),
            (17, "0.0.0.0 is never asked"),
        ] {
            let found = mistakes
                .iter()
                .any(|said| said.starts_with(&format!("{line}: ")) && said.contains(words));
            assert!(found, "{line}: {words} in {mistakes:#?}");
        }
    }

    #[test]
    fn what_the_machine_allows_is_none() {
        let hooks = "[application.one]\nhook = \"http://10.0.0.1/x#rc=99\"\ncall_status_hook = \"http://127.0.0.1:3000/\"\n\
                     fallback = \"two\"\n[application.two]\nhook = \"https://app.example/\"\n";
        let servers = "allow_networks = [\"10.0.0.0/8\"]\nallow_loopback = true";
        assert_eq!(said(servers, hooks), Vec::<String>::new());
    }
}
