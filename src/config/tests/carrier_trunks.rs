//! The node's carrier trunks, and the tenants below each.

use super::super::*;
use super::folder::Folder;
use super::{CONTOSO, SBC, config};

const FABRIKAM: &str = "domains = [\"fabrikam.example\"]\nlabel = \"fabrikam\"\ncarriers = [\"north\"]\n";

#[test]
fn teams_107_a_tenant_names_the_carrier_trunk_that_its_own_derives_from() {
    let sbc = SBC.replace(
        "base = \"sbc1.example.net\"",
        "base = \"sbc1.example.net\"\nfurther_bases = [\"sbc1.example.org\", \"eu.sbc1.example.com\"]",
    );
    let tenant = |name: &str, trunk: &str| format!("domains = [\"{name}.example\"]\ncarriers = [\"north\"]\n{trunk}\n");
    let texts = [
        (
            "adatum",
            tenant("adatum", "label = \"adatum\"\nbase = \"SBC1.example.org\""),
        ),
        ("contoso", tenant("contoso", "label = \"adatum\"")),
        (
            "fabrikam",
            tenant("fabrikam", "label = \"adatum\"\nbase = \"sbc1.example.net\"").replace("adatum", "fabrikam"),
        ),
        ("litware", tenant("litware", "fqdn = \"litware.eu.sbc1.example.com\"")),
        (
            "tailspin",
            tenant("tailspin", "fqdn = \"a.litware.eu.sbc1.example.com\""),
        ),
    ];
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let config = config(&sbc, &texts);
    let teams = &config.sbc.teams;
    let trunks: Vec<(&str, Option<&str>)> = config
        .tenants
        .iter()
        .map(|tenant| {
            (
                tenant.fqdn.as_str(),
                teams.base_of(&tenant.fqdn).map(|base| base.as_str()),
            )
        })
        .collect();
    assert_eq!(
        trunks,
        [
            ("adatum.sbc1.example.org", Some("sbc1.example.org")),
            ("adatum.sbc1.example.net", Some("sbc1.example.net")),
            ("fabrikam.sbc1.example.net", Some("sbc1.example.net")),
            ("litware.eu.sbc1.example.com", Some("eu.sbc1.example.com")),
            ("a.litware.eu.sbc1.example.com", None),
        ]
    );
    let found = |host: &str| config.tenant_by_host(host).map(|tenant| tenant.id.as_str());
    assert_eq!(found("ADATUM.sbc1.example.org"), Some("adatum"));
    assert_eq!(found("adatum.sbc1.example.net"), Some("contoso"));
    assert_eq!(found("adatum.eu.sbc1.example.com"), None);
    assert!(teams.is_base("Eu.sbc1.example.com") && !teams.is_base("adatum.sbc1.example.org"));
}

/// `base` is what the Teams listener is known by, so another one waits for the start; further ones are names like any tenant's own.
#[test]
fn further_trunks_come_into_force_at_once_and_another_base_waits() {
    const NET: &str = "base = \"sbc1.example.net\"";
    let folder = Folder::with_contoso();
    folder.write("tenants/fabrikam.toml", FABRIKAM);
    let mut loader = Loader::new(folder.path());
    loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    loader.started();
    let reloaded = |loader: &mut Loader| match loader.reload() {
        Reload::Applied { config, waiting, .. } => (config, waiting),
        other => panic!("{other:?}"),
    };
    let bases = |config: &Config| -> Vec<String> { config.sbc.teams.bases().map(ToString::to_string).collect() };
    let trunks = |config: &Config| -> Vec<String> {
        let names = config.tenants.iter().map(|tenant| tenant.fqdn.to_string());
        names.collect()
    };

    let further = format!("{NET}\nfurther_bases = [\"sbc1.example.org\"]");
    folder.write("sbc.toml", &SBC.replace(NET, &further));
    folder.write(
        "tenants/fabrikam.toml",
        &format!("base = \"sbc1.example.org\"\n{FABRIKAM}"),
    );
    let (config, waiting) = reloaded(&mut loader);
    assert!(waiting.is_empty(), "{waiting:?}");
    assert_eq!(bases(&config), ["sbc1.example.net", "sbc1.example.org"]);
    assert_eq!(
        trunks(&config),
        ["contoso.sbc1.example.net", "fabrikam.sbc1.example.org"]
    );
    assert!(config.tenant_by_host("fabrikam.sbc1.example.net").is_none());

    // The two change places: the listener's own name waits, and each tenant is where it is written.
    let swapped = "base = \"sbc1.example.org\"\nfurther_bases = [\"sbc1.example.net\"]";
    folder.write("sbc.toml", &SBC.replace(NET, swapped));
    folder.write("tenants/adatum.toml", &FABRIKAM.replace("fabrikam", "adatum"));
    folder.write(
        "tenants/contoso.toml",
        &format!("base = \"sbc1.example.net\"\n{CONTOSO}"),
    );
    let (config, waiting) = reloaded(&mut loader);
    assert!(waiting.contains(&"teams.base"), "{waiting:?}");
    let as_written = [
        "adatum.sbc1.example.org",
        "contoso.sbc1.example.net",
        "fabrikam.sbc1.example.org",
    ];
    assert_eq!(bases(&config), ["sbc1.example.net", "sbc1.example.org"]);
    assert_eq!(trunks(&config), as_written);
    let config = load(folder.path()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(bases(&config), ["sbc1.example.org", "sbc1.example.net"]);
    assert_eq!(trunks(&config), as_written, "as after a start");

    // One that is new waits, and whoever is below it, named or not.
    let new = "base = \"sbc1.example.com\"\nfurther_bases = [\"sbc1.example.net\", \"sbc1.example.org\"]";
    folder.write("sbc.toml", &SBC.replace(NET, new));
    folder.write(
        "tenants/contoso.toml",
        &format!("base = \"sbc1.example.com\"\n{CONTOSO}"),
    );
    let (config, waiting) = reloaded(&mut loader);
    assert!(waiting.contains(&"teams.base"), "{waiting:?}");
    assert_eq!(bases(&config), ["sbc1.example.net", "sbc1.example.org"]);
    assert_eq!(
        trunks(&config),
        [
            "adatum.sbc1.example.net",
            "contoso.sbc1.example.net",
            "fabrikam.sbc1.example.org"
        ]
    );

    // A trunk that a tenant is below can't go.
    folder.write("sbc.toml", SBC);
    folder.write("tenants/contoso.toml", CONTOSO);
    let Reload::Refused { mistakes, .. } = loader.reload() else {
        panic!("a trunk that nobody has");
    };
    let mistakes = mistakes.to_string();
    assert!(
        mistakes.contains("this node has no trunk sbc1.example.org"),
        "{mistakes}"
    );
}
