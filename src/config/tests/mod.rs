//! Whole configurations through the front door.

mod carrier_trunks;
mod folder;
mod golden;
mod mending;
mod published;
mod reloading;

use super::*;

const SBC: &str = r#"
[[listeners]]
name = "teams"
purpose = "teams"
transport = "tls"
bind = "0.0.0.0:5061"
certificates = [{ certificate = "sbc.pem", key = "sbc.key" }]

[[listeners]]
name = "north"
purpose = "carrier"
transport = "udp"
bind = "192.0.2.10:5060"

[media]
advertise = "198.51.100.10"

[teams]
base = "sbc1.example.net"

[[carriers]]
id = "north"
networks = ["203.0.113.0/24"]
gateways = [{ host = "sip.north.example" }]
"#;

const CONTOSO: &str = r#"
domains = ["contoso.example"]
label = "contoso"
carriers = ["north"]

[[numbers]]
range = "+14255550100-+14255550198"

[[numbers]]
number = "+14255550199"
voicemail = true
"#;

fn config(sbc: &str, tenants: &[(&str, &str)]) -> Config {
    Config::from_toml_strs(sbc, tenants).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn the_smallest_configuration_has_all_defaults() {
    let config = config(SBC, &[]);
    assert_eq!(config.sbc.node.as_str(), "sbc1.example.net");
    assert_eq!(config.sbc.teams.hubs.len(), 3);
    assert_eq!(config.sbc.teams.hubs[0].port, 5061);
    assert_eq!(config.sbc.listeners[0].advertise.to_string(), "sbc1.example.net");
    assert_eq!(config.sbc.carriers[0].gateways[0].listener, config.sbc.listeners[1].id);
}

#[test]
fn a_tenant_is_found_by_host_name_domain_and_number() {
    let config = config(SBC, &[("contoso", CONTOSO)]);
    let tenant = config.tenant_by_host("Contoso.SBC1.example.net").expect("by host");
    assert_eq!(tenant.id.as_str(), "contoso");
    assert!(
        config.tenant_by_host("contoso.example").is_none(),
        "a domain is no trunk name"
    );
    assert!(config.tenant_by_name("CONTOSO.example").is_some());
    let number = |text| {
        E164::parse(text)
            .ok()
            .and_then(|number| config.number(number))
            .map(|(_, entry)| entry.to.clone())
    };
    assert_eq!(number("+14255550150"), Some(Destination::Teams));
    assert_eq!(number("+14255550199"), Some(Destination::TeamsVoicemail));
    assert_eq!(number("+14255550200"), None);
}

#[test]
fn a_cloud_settles_hubs_and_networks_that_nobody_wrote() {
    for (cloud, hub, inside, outside) in [
        (
            "gcc-high",
            "sip.pstnhub.gov.teams.microsoft.us",
            "52.127.88.9",
            "52.112.0.9",
        ),
        (
            "dod",
            "sip.pstnhub.dod.teams.microsoft.us",
            "52.127.64.9",
            "52.127.88.9",
        ),
        ("commercial", "sip.pstnhub.microsoft.com", "52.112.0.9", "52.127.64.9"),
    ] {
        let text = fixture::machine("").replace("[teams]\n", &format!("[teams]\ncloud = \"{cloud}\"\n"));
        let teams = &config(&text, &[]).sbc.teams;
        assert_eq!(teams.cloud.name(), cloud);
        let first = teams.hubs.first().expect("a hub");
        assert_eq!((first.host.as_str(), first.port), (hub, 5061));
        let lets_in = |address: &str| {
            let address = address.parse().expect("an address");
            teams.networks.iter().any(|network| network.contains(address))
        };
        assert!(lets_in(inside) && !lets_in(outside), "{cloud}");
    }
}

#[test]
fn a_number_may_live_on_a_carrier() {
    let moved = format!("{CONTOSO}\n[[numbers]]\nnumber = \"+14255550200\"\nto = {{ carrier = \"north\" }}\n");
    let config = config(SBC, &[("contoso", &moved)]);
    let number = E164::parse("+14255550200").expect("a number");
    let (_, entry) = config.number(number).expect("the tenant's");
    assert_eq!(entry.to, Destination::Carrier(config.sbc.carriers[0].id.clone()));
}

#[test]
fn a_password_is_read_from_its_file_and_never_printed() {
    let folder = folder::Folder::with_contoso();
    folder.write("north.password", "hunter2\r\n");
    folder.write(
        "sbc.toml",
        &format!("{SBC}credentials = {{ realm = \"north\", username = \"us\", password_file = \"north.password\" }}\n"),
    );
    let mut loader = Loader::new(folder.path());
    let config = loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let password = config.sbc.carriers[0]
        .credentials
        .as_ref()
        .map(|credentials| credentials.password.reveal());
    assert_eq!(password, Some("hunter2"));
    assert!(!format!("{config:?} {loader:?}").contains("hunter2"));
    let inline = SBC.to_owned() + "credentials = { realm = \"north\", username = \"us\", password = \"hunter2\" }\n";
    folder.write("sbc.toml", &inline);
    assert!(matches!(loader.reload(), Reload::Unchanged), "it is the same password");
    assert!(!format!("{loader:?}").contains("hunter2"));
    folder.write(
        "sbc.toml",
        &inline.replace("password = \"hunter2\"", "password_file = \"north.password\""),
    );
    folder.write("north.password", "hunter3");
    assert!(
        matches!(loader.reload(), Reload::Applied { .. }),
        "a new password is a change"
    );
}

#[test]
fn a_secret_is_in_no_mistake_that_is_found_beside_it() {
    let of_carrier = [
        "credentials = { realm = \"n\", username = \"a\", password_file = \"f\", password = \"hunter2\" }",
        "digest = { username = \"a\", pasword = \"hunter2\" }",
        "credentials = { realm = 5, username = \"a\", password = \"hunter2\" }",
        "credentials = { username = \"a\", password = hunter2 }",
        "credentials = { realm = \"n\", username_password = \"hunter2\\u0000\" }",
        "credentials = { username = \"a\", password \"hunter2\" }",
    ];
    let of_tenant = [
        "webhook_secret = hunter2",
        "webhook_secret = [\"hunter2\"]",
        "[speech_service.aria]\nurl = \"https://tts.example/\"\ntoken = hunter2",
        "[speech_service.aria]\nurl = \"https://tts.example/\"\ntoken = 5 # it was hunter2, the token",
        "[[users]]\nname = \"a b\"\nha1_md5 = \"hunter2\"",
        "[[users]]\nname = 5\nha1_sha256 = \"hunter2",
        "[application.x]\nhook = \"https://app.example/\"\nenv_vars = { PIN = \"hunter2\", MORE = 5 }",
        "[application.x]\nhook = \"https://app.example/\"\n[application.x.env_vars]\nPIN = hunter2",
        "[application.x]\nhook = \"https://app.example/\"\nenv_vars.PIN = \"\"\"\nhunter2 \\x \"\"\"",
        "[application.x]\nhook = { url = \"https://a:hunter2@app.example/\" }",
        "[application.x]\nhook = { url = \"https://app.example/\", username_token = \"hunter2:\" }",
        "[application.x]\nhok = { ulr = \"https://app.example/\", pasword = \"hunter2\" }",
        "[[users]]\nnam = \"a\"\nha1_md = \"hunter2\"",
    ];
    let of_carrier = of_carrier.map(|line| (format!("{SBC}{line}\n"), CONTOSO.to_owned()));
    let of_tenant = of_tenant.map(|line| {
        let (keys, numbers) = CONTOSO.split_once("\n\n").unwrap_or_default();
        (SBC.to_owned(), format!("{keys}\n{line}\n\n{numbers}"))
    });
    for (sbc, contoso) in of_carrier.into_iter().chain(of_tenant) {
        let mistakes = Config::from_toml_strs(&sbc, &[("contoso", &contoso)])
            .map(|_| ())
            .expect_err(&format!("{sbc}{contoso}"));
        let json = serde_json::to_string(&mistakes.iter().collect::<Vec<_>>()).unwrap_or_default();
        let said = format!("{mistakes} {mistakes:?} {json}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_changed_secret_of_a_tenant_is_a_change_of_the_configuration() {
    let folder = folder::Folder::with_contoso();
    let contoso = CONTOSO.replace("label =", "webhook_secret_file = \"contoso.secret\"\nlabel =");
    let application = "\n[application.reception]\nhook = \"https://app.contoso.example/in\"\n";
    folder.write("tenants/contoso.toml", &format!("{contoso}{application}"));
    folder.write("contoso.secret", "first\n");
    let mut loader = Loader::new(folder.path());
    let secret = |config: &Config| {
        let applications = &config.tenants[0].account.applications;
        applications[0].secret.as_ref().map(|secret| secret.reveal().to_owned())
    };
    let config = loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(secret(&config).as_deref(), Some("first"));
    folder.write("contoso.secret", "second\n");
    let Reload::Applied { config, .. } = loader.reload() else {
        panic!("the secret was not read again")
    };
    assert_eq!(secret(&config).as_deref(), Some("second"));
}

#[test]
fn accounts_and_applications_are_found_by_their_sids() {
    let tenant = |label: &str, sid: &str, number: &str| {
        format!(
            "domains = [\"{label}.example\"]\nlabel = \"{label}\"\ncarriers = [\"north\"]\n{sid}\n\
             [[numbers]]\nnumber = \"{number}\"\n\n[application.reception]\nhook = \"wss://app.{label}.example/\"\n"
        )
    };
    let contoso = tenant("contoso", "", "+14255550100");
    let mut fabrikam = tenant("fabrikam", "", "+442079460100");
    let known = config(SBC, &[("contoso", &contoso), ("fabrikam", &fabrikam)]);
    let account = known.tenants[0].account.clone();
    assert_eq!(
        known.account(&account.sid).map(|tenant| tenant.id.as_str()),
        Some("contoso")
    );
    let reception = account.applications[0].clone();
    let (owner, found) = known.application(&reception.sid).expect("known");
    assert_eq!((owner.id.as_str(), found), ("contoso", &reception));
    assert!(known.account(&reception.sid).is_none(), "an application is no account");
    fabrikam = tenant(
        "fabrikam",
        &format!("account_sid = \"{}\"", account.sid),
        "+442079460100",
    );
    let mistakes = Config::from_toml_strs(SBC, &[("contoso", &contoso), ("fabrikam", &fabrikam)])
        .expect_err("one sid, two accounts");
    assert!(
        mistakes.to_string().contains("is tenant contoso's already"),
        "{mistakes}"
    );
}

#[test]
fn a_path_belongs_to_the_server_of_its_application() {
    let tenant = "domains = [\"contoso.example\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n\
                  [application.one]\nhook = \"https://app.example:8443/in?a=b#rc=1\"\n\
                  call_status_hook = { url = \"/told?x=1#rc=2\", method = \"GET\" }\nfallback = \"/closed\"\n\
                  [application.two]\nhook = \"https://app.example\"\ncall_status_hook = \"/\"\n\
                  [application.watched]\nhook = \"https://app.example\"\ncall_status_hook = \"wss://eye.example/\"\n";
    let known = config(SBC, &[("contoso", tenant)]);
    let applications = &known.tenants[0].account.applications;
    let urls: Vec<[Option<&str>; 2]> = applications
        .iter()
        .map(|known| {
            let fallback = known.fallback.as_ref().map(|fallback| &fallback.hook);
            [known.status_hook.as_ref(), fallback].map(|hook| hook.map(|hook| hook.url.as_str()))
        })
        .collect();
    assert_eq!(
        urls,
        [
            [
                Some("https://app.example:8443/told?x=1#rc=2"),
                Some("https://app.example:8443/closed")
            ],
            [Some("https://app.example/"), None],
            [Some("wss://eye.example/"), None],
        ]
    );
    let told = applications[0].status_hook.as_ref().map(|hook| hook.method);
    assert_eq!(told, Some(HookMethod::Get));
}

#[test]
fn two_carriers_that_call_from_one_network_have_to_be_told_apart() {
    let second = |how: &str| format!("{SBC}\n[[carriers]]\nid = \"south\"\nnetworks = [\"203.0.113.0/24\"]\n{how}\n");
    let mistakes = Config::from_toml_strs(&second(""), &[]).expect_err("both are the caller");
    assert!(
        mistakes
            .to_string()
            .contains("carrier \"north\" calls from this network too"),
        "{mistakes}"
    );
    let by_transport = SBC.replace("id = \"north\"", "id = \"north\"\ntransports = [\"udp\"]");
    let apart = second("transports = [\"tls\"]").replace(SBC, &by_transport);
    assert_eq!(config(&apart, &[]).sbc.carriers.len(), 2);
}

#[test]
fn on_loopback_a_carrier_may_be_everybody() {
    let open = SBC.replace("203.0.113.0/24", "0.0.0.0/0");
    let mistakes = Config::from_toml_strs(&open, &[]).expect_err("an open door");
    assert!(mistakes.to_string().contains("could call at your cost"), "{mistakes}");
    config(&open.replace("192.0.2.10:5060", "127.0.0.1:5060"), &[]);
}
