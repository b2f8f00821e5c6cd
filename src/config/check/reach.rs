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
    for application in raw.application.values() {
        let application = application.value();
        let own = place(&application.hook);
        let base = hook_url::HookUrl::parse(own.1).ok();
        check_whole(own, policy, reader);
        for other in [&application.call_status_hook, &application.fallback]
            .into_iter()
            .flatten()
        {
            let (place, text) = place(other);
            match base
                .as_ref()
                .filter(|_| text.starts_with('/'))
                .map(|base| base.beside(text))
            {
                // Of the server that it belongs to it was said where that stands.
                Some(Ok(url)) => judge(place, url.as_str(), None, reader),
                Some(Err(_)) => {}
                None => check_whole((place, text), policy, reader),
            }
        }
    }
    let services = raw.speech_service.values().map(|service| &service.value().url);
    let services = services.map(|url| (url.span(), url.value().as_str()));
    for hook in raw.registration_hook.iter().map(place).chain(services) {
        check_whole(hook, policy, reader);
    }
}

/// What is no URL at all is told where it is read, and a fallback may be a name.
fn check_whole((place, text): (Range<usize>, &str), policy: &AddressPolicy, reader: &mut Reader<'_>) {
    if hook_url::HookUrl::parse(text).is_ok() {
        judge(place, text, Some(policy), reader);
    }
}

fn place(hook: &At<RawHook>) -> (Range<usize>, &str) {
    match hook.value() {
        RawHook::Text(text) => (hook.span(), text),
        RawHook::Table(table) => (table.url.span(), table.url.value()),
    }
}

/// Without `policy` the address is judged elsewhere.
fn judge(place: Range<usize>, text: &str, policy: Option<&AddressPolicy>, reader: &mut Reader<'_>) {
    let url = match HookUrl::parse(text, None) {
        Ok(url) => url,
        Err(UrlFault::Retry(fault)) => {
            let expected = "such as #rc=3&rp=ct,5xx, or nothing behind the URL";
            return reader.fault_expecting(place, fault.to_string(), expected);
        }
        // The message has no text of its own: a password may stand in it.
        Err(_) => return reader.fault_expecting(place, "this URL can't be asked", "an absolute URL"),
    };
    let (Some(policy), Host::Ip(address)) = (policy, url.host()) else {
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
        Forbidden::NotOneHost | Forbidden::LinkLocal | Forbidden::Administration | Forbidden::NotPublic(_) => {
            "the address of a server of yours"
        }
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
