//! `portcullis check`: every mistake of a configuration at once, or what was understood of it.

use super::run::{doubts_of_modes, inspect, secret_files, tls_mistakes};
use super::understood::{named_media, summary, summary_json};
use super::writable::{unkept, unwritable};
use super::{elins, ip_versions};
use crate::config::{Carrier, ClientCertificate, Config, Listener, Loader, Mistake, Mistakes, Purpose, Roots, Sbc};
use crate::media::FEWEST_WITH_RESERVE;
use crate::sip::Transport;
use serde_json::json;
use std::io::{self, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Check a configuration folder: all mistakes at once, with file, line and the way out.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration folder.
    #[arg(long, default_value = "config")]
    pub config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// FailoverTimeSeconds of a trunk that nobody changed.
const FAILOVER_TIME: Duration = Duration::from_secs(10);

/// Exit code 1 when something is wrong.
pub fn run(args: &CheckArgs) -> ExitCode {
    let mut warnings = Vec::new();
    let mut loader = Loader::new(&args.config);
    let loaded = loader.load();
    let outcome = whole(&loader, loaded.clone()).and_then(|config| {
        warnings = certificates(&args.config, &config, |alias| loader.place_of_alias(alias))?;
        Ok(config)
    });
    // A configuration may be right while the files that it names are not.
    if let Ok(config) = &loaded {
        warnings.extend(loader.without_tenants());
        warnings.extend(doubts(config));
        warnings.extend(doubts_of_modes(&secret_files(&loader, config)));
    }
    match report(&outcome.as_deref(), &warnings, args.json, &mut io::stdout().lock()) {
        Ok(()) if outcome.is_ok() => ExitCode::SUCCESS,
        // Nobody reads on: the exit code still tells.
        Ok(()) | Err(_) => ExitCode::FAILURE,
    }
}

/// What was loaded, with all that is wrong in the certificate files that it names.
pub(super) fn whole(loader: &Loader, loaded: Result<Arc<Config>, Mistakes>) -> Result<Arc<Config>, Mistakes> {
    let mut mistakes = tls_mistakes(&loader.tls_files());
    if mistakes.is_empty() {
        return loaded;
    }
    if let Err(others) = &loaded {
        mistakes.extend(others.iter().cloned());
    }
    Mistakes::none_in(mistakes).and(loaded)
}

/// What is right by itself, and yet will hardly be meant or does not fit this machine.
fn doubts(config: &Config) -> Vec<String> {
    let mut doubts = Vec::new();
    let interval = config.sbc.teams.options_interval;
    if !(Duration::from_secs(60)..=Duration::from_secs(180)).contains(&interval) && !config.sbc.media.allow_loopback {
        doubts.push(format!(
            "options_interval of {} s under [teams]; Microsoft asks for 60 to 180 s",
            interval.as_secs_f64()
        ));
    }
    let patience = config.sbc.teams.patience;
    if patience >= FAILOVER_TIME {
        doubts.push(format!(
            "patience of {} s under [teams]; Teams waits for FailoverTimeSeconds of its trunk, 10 s where nobody changed it",
            patience.as_secs_f64()
        ));
    }
    let sbc = &config.sbc;
    let binds = sbc
        .listeners
        .iter()
        .map(|listener| (format!("listener {}", listener.name), listener.bind.ip()));
    let of_media = named_media(&sbc.media).map(|(what, address)| (what, address.bind));
    for (what, bind) in binds.chain(of_media) {
        if let Err(error) = UdpSocket::bind((bind, 0)) {
            doubts.push(format!(
                "`bind` of {what} is no address of this machine, and `run` would not start here: {bind}: {error}"
            ));
        }
    }
    for (what, address) in named_media(&sbc.media) {
        if address.bind.is_loopback() && !sbc.media.allow_loopback {
            doubts.push(format!(
                "{what} is bound to {} without `allow_loopback`: nobody outside reaches it, and calls from inside get 488",
                address.bind
            ));
        }
    }
    let ports = sbc.media.ports;
    // Whole pairs, as legs get them.
    let count = u32::from(ports.last).div_ceil(2) * 2 - u32::from(ports.first).div_ceil(2) * 2;
    if count < FEWEST_WITH_RESERVE {
        doubts.push(format!(
            "{count} media ports: none of them are kept for emergency calls; from {FEWEST_WITH_RESERVE} on those of one call are"
        ));
    }
    if sbc.emergency.numbers.is_empty() {
        doubts.push("no `numbers` under [emergency]: no call counts as an emergency call".to_owned());
    }
    if sbc.drain.is_zero() {
        doubts.push("drain of 0 s: a node that stops ends its live calls at once".to_owned());
    }
    for tenant in config.tenants.iter() {
        let carriers: Vec<_> = sbc
            .carriers
            .iter()
            .filter(|known| tenant.carriers.contains(&known.id))
            .collect();
        if !carriers.is_empty() && carriers.iter().all(|carrier| carrier.gateways.is_empty()) {
            doubts.push(format!(
                "none of the carriers of tenant {} has a gateway: its calls out of Teams, emergency calls too, get 503",
                tenant.id
            ));
        }
    }
    let versions = ip_versions::doubts(sbc).into_iter();
    doubts.extend(versions.map(|(doubt, fix)| format!("{doubt}. {fix}")));
    doubts.extend(elins::doubts(config).into_iter().map(|(doubt, _)| doubt));
    doubts.extend(certified_as_anybody(sbc));
    if let Some(why) = config.sbc.cdr.as_ref().and_then(|cdr| unwritable(&cdr.path)) {
        doubts.push(format!(
            "call detail records can't be written on this machine, and `run` would not start: {why}"
        ));
    }
    if let Some(why) = config.sbc.registrar.store.as_ref().and_then(|path| unkept(path)) {
        doubts.push(format!(
            "bindings can't be kept on this machine, and `run` would not start: {why}"
        ));
    }
    doubts
}

/// Certificates and keys as `run` would load them: a file that is there may still be broken, expired or of another pair.
/// Gives warnings where only Microsoft would object.
fn certificates(
    folder: &Path,
    config: &Config,
    place: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>, Mistakes> {
    inspect(config, place).or_else(|errors| {
        let file = folder.join("sbc.toml");
        let mistakes = errors.iter().map(|error| Mistake::about(&file, error.to_string()));
        Mistakes::none_in(mistakes.collect()).map(|()| Vec::new())
    })
}

fn report(
    outcome: &Result<&Config, &Mistakes>,
    warnings: &[String],
    as_json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    match (outcome, as_json) {
        (Ok(config), false) => {
            summary(config, out)?;
            warn(warnings, out)
        }
        (Err(mistakes), false) => {
            writeln!(out, "{mistakes}")?;
            warn(warnings, out)
        }
        (Ok(config), true) => {
            let mut summary = summary_json(config);
            summary["warnings"] = json!(warnings);
            writeln!(out, "{summary:#}")
        }
        (Err(mistakes), true) => {
            let mistakes: Vec<_> = mistakes.iter().collect();
            let found = json!({ "right": false, "mistakes": mistakes, "warnings": warnings });
            writeln!(out, "{found:#}")
        }
    }
}

fn warn(warnings: &[String], out: &mut impl Write) -> io::Result<()> {
    warnings
        .iter()
        .try_for_each(|warning| writeln!(out, "  warning: {warning}"))
}

/// Carriers that come over TLS with any certificate that the roots of their listener prove, where that may be another's.
fn certified_as_anybody(sbc: &Sbc) -> Vec<String> {
    let asks = |listener: &&Listener| {
        let tls = listener.tls.as_ref();
        listener.purpose == Purpose::Carrier && tls.is_some_and(|tls| tls.client_certificate != ClientCertificate::None)
    };
    let mut doubts = Vec::new();
    for listener in sbc.listeners.iter().filter(asks) {
        let comes = |carrier: &&Arc<Carrier>| {
            carrier.identify.transports.contains(&Transport::Tls)
                || carrier.gateways.iter().any(|gateway| gateway.listener == listener.id)
        };
        let come: Vec<_> = sbc.carriers.iter().filter(comes).collect();
        let public = listener.tls.as_ref().is_some_and(|tls| tls.roots == Roots::System);
        let unnamed = come.iter().filter(|carrier| carrier.identify.client_names.is_empty());
        doubts.extend(unnamed.filter(|_| public || come.len() > 1).map(|carrier| {
            format!(
                "carrier {} has no `client_names`: any certificate that the roots of listener {} prove counts as its own",
                carrier.id, listener.name
            )
        }));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::os::unix::fs::PermissionsExt;

    const SBC: &str = include_str!("../../config/sbc.toml");
    const CONTOSO: &str = include_str!("../../config/tenants/contoso.toml");

    fn printed(outcome: &Result<Config, Mistakes>, as_json: bool) -> String {
        let mut out = Vec::new();
        report(&outcome.as_ref(), &[], as_json, &mut out).expect("a vector takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_right_configuration_says_what_was_understood() {
        let outcome = Config::from_toml_strs(SBC, &[("contoso", CONTOSO)]);
        let text = printed(&outcome, false);
        for part in [
            "known as sbc1.example.net:5061",
            "carrier north: from 203.0.113.0/28",
            "1 tenant, 100 numbers",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let by_password = "digest = { username = \"trunk\", password = \"x\" }\nnetworks = []";
        let sbc = SBC.replace("networks = [\"203.0.113.0/28\"]", by_password);
        let text = printed(&Config::from_toml_strs(&sbc, &[("contoso", CONTOSO)]), false);
        assert!(
            text.contains("carrier north: from anywhere as trunk by its password"),
            "{text}"
        );
        let json: Value = serde_json::from_str(&printed(&outcome, true)).expect("JSON");
        assert_eq!((&json["right"], &json["numbers"]), (&json!(true), &json!(100)));
        // A number that stands inside a range is none more.
        let twice = format!("{CONTOSO}\n[[numbers]]\nnumber = \"+14255550110\"\n");
        let text = printed(&Config::from_toml_strs(SBC, &[("contoso", &twice)]), false);
        assert!(
            text.contains("1 tenant, 100 numbers") && text.contains(": 100 numbers,"),
            "{text}"
        );
    }

    #[test]
    fn a_wrong_one_says_where_and_how() {
        let outcome = Config::from_toml_strs(
            SBC,
            &[("contoso", &CONTOSO.replace("voicemail = true", "voicemial = true"))],
        );
        assert!(printed(&outcome, false).contains("did you mean `voicemail`?"));
        let json: Value = serde_json::from_str(&printed(&outcome, true)).expect("JSON");
        assert_eq!(json["mistakes"][0]["nearest"], "voicemail");
        assert_eq!(json["mistakes"][0]["file"], "tenants/contoso.toml");
    }

    #[test]
    fn certificates_are_loaded_and_not_only_looked_for() {
        use crate::sim::Papers;
        let folder = std::env::temp_dir().join(format!("portcullis-check-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let papers = Papers::make(&folder, "sbc1.example.net", &["sip.pstnhub.example.com"]).expect("papers");
        let sbc = |key: &Path, base: &str| {
            let text = SBC
                .replace(
                    "certs/sbc1.example.net.pem",
                    &papers.sbc_certificate.display().to_string(),
                )
                .replace("certs/sbc1.example.net.key", &key.display().to_string())
                .replace("base = \"sbc1.example.net\"", &format!("base = \"{base}\""));
            Config::from_toml_strs(&text, &[("contoso", CONTOSO)]).expect("a right configuration")
        };
        let config = Path::new("config");
        assert_eq!(
            certificates(config, &sbc(&papers.sbc_key, "sbc1.example.net"), |_| None),
            Ok(Vec::new())
        );
        let mistakes = certificates(config, &sbc(&papers.teams_key, "sbc1.example.net"), |_| None)
            .expect_err("the key of another");
        assert!(
            mistakes.to_string().contains("does not belong to the certificate"),
            "{mistakes}"
        );
        // Told with its place, and with what else is wrong.
        let text = SBC
            .replace(
                "certs/sbc1.example.net.pem",
                &papers.sbc_certificate.display().to_string(),
            )
            .replace("certs/sbc1.example.net.key", &papers.teams_key.display().to_string());
        std::fs::write(folder.join("sbc.toml"), format!("drian = \"5m\"\n{text}")).expect("a file");
        let mut loader = Loader::new(&folder);
        let loaded = loader.load();
        let mistakes = whole(&loader, loaded).expect_err("two mistakes");
        let pair: Vec<&Mistake> = mistakes
            .iter()
            .filter(|mistake| mistake.message.contains("does not belong"))
            .collect();
        assert_eq!(pair.len(), 1, "{mistakes}");
        assert!(pair[0].line > 0 && pair[0].text.contains(".key"), "{mistakes}");
        assert!(mistakes.to_string().contains("unknown key `drian`"), "{mistakes}");

        let warnings = certificates(config, &sbc(&papers.sbc_key, "sbc2.example.net"), |_| None).expect("no mistake");
        assert!(warnings[0].contains("sbc2.example.net, nor for 1 more"), "{warnings:?}");

        // An alias is a trunk as well, and is told where it stands.
        let right = SBC
            .replace(
                "certs/sbc1.example.net.pem",
                &papers.sbc_certificate.display().to_string(),
            )
            .replace("certs/sbc1.example.net.key", &papers.sbc_key.display().to_string());
        std::fs::write(folder.join("sbc.toml"), right).expect("a file");
        let tenants = folder.join("tenants");
        std::fs::create_dir_all(&tenants).expect("a folder");
        let aliases = "aliases = [\"old.sbc1.example.net\", \"old.contoso.example\"]\n";
        std::fs::write(tenants.join("contoso.toml"), format!("{aliases}{CONTOSO}")).expect("a file");
        let mut loader = Loader::new(&folder);
        let loaded = loader.load().unwrap_or_else(|wrong| panic!("{wrong}"));
        let warnings = certificates(&folder, &loaded, |alias| loader.place_of_alias(alias)).expect("no mistake");
        let told = "contoso.toml:1:36: no certificate of the Teams listener is for the alias old.contoso.example;";
        assert!(warnings.len() == 1 && warnings[0].contains(told), "{warnings:?}");
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn all_carrier_trunks_and_the_cloud_are_said() {
        let more = "\nfurther_bases = [\"sbc2.example.org\"]\ncloud = \"gcc-high\"\n# further_bases";
        let sbc = SBC.replace("\n# further_bases", more);
        let outcome = Config::from_toml_strs(&sbc, &[("contoso", CONTOSO)]);
        let text = printed(&outcome, false);
        let line = "Teams trunks sbc1.example.net, sbc2.example.org in the cloud gcc-high by sip.pstnhub.gov.teams.microsoft.us:5061";
        assert!(text.contains(line), "{text}");
        let json: Value = serde_json::from_str(&printed(&outcome, true)).expect("JSON");
        assert_eq!(
            (&json["base"], &json["further_bases"], &json["cloud"]),
            (
                &json!("sbc1.example.net"),
                &json!(["sbc2.example.org"]),
                &json!("gcc-high")
            )
        );
        let text = printed(&Config::from_toml_strs(SBC, &[("contoso", CONTOSO)]), false);
        assert!(text.contains("Teams trunk sbc1.example.net by "), "{text}");
    }

    #[test]
    fn what_is_doubtful_is_said_beside_mistakes() {
        let wrong = Config::from_toml_strs("drian = \"5m\"\n", &[]).expect_err("a mistake");
        let warnings = ["call detail records can't be written".to_owned()];
        let printed = |as_json| {
            let mut out = Vec::new();
            report(&Err(&wrong), &warnings, as_json, &mut out).expect("a vector takes everything");
            String::from_utf8(out).expect("text")
        };
        let text = printed(false);
        assert!(
            text.contains("drian") && text.contains("warning: call detail records"),
            "{text}"
        );
        let json: Value = serde_json::from_str(&printed(true)).expect("JSON");
        assert_eq!(json["warnings"], json!(warnings));
    }

    #[test]
    fn few_ports_are_too_few_to_keep_some_for_emergency_calls() {
        let said = |ports: &str| {
            let written = format!("\nports = \"{ports}\"");
            let sbc = SBC.replace("\n# ports = \"20000-39999\"", &written);
            assert!(sbc.contains(&written), "{sbc}");
            let config = Config::from_toml_strs(&sbc, &[("contoso", CONTOSO)]).expect("a right configuration");
            let doubts = doubts(&config);
            doubts
                .into_iter()
                .find(|doubt| doubt.contains("kept for emergency calls"))
        };
        assert_eq!(said("32000-32015"), None);
        let few = said("32001-32016").expect("fourteen in pairs");
        assert!(few.starts_with("14 media ports"), "{few}");
    }

    #[test]
    fn teams_020_a_listener_whose_media_have_another_ip_version_is_named_with_the_way_out() {
        let said = |sbc: &str| {
            let config = Config::from_toml_strs(sbc, &[("contoso", CONTOSO)]).expect("a right configuration");
            let doubts = doubts(&config).into_iter();
            doubts.filter(|doubt| doubt.contains(" speaks ")).collect::<Vec<_>>()
        };
        assert_eq!(said(SBC), Vec::<String>::new());
        let six = "\n[[media.addresses]]\nname = \"six\"\nbind = \"2001:db8::7\"\n";
        let mixed = SBC.replacen("purpose = \"teams\"", "purpose = \"teams\"\nmedia = \"six\"", 1) + six;
        let found = said(&mixed);
        assert_eq!(found.len(), 1, "{found:?}");
        for part in [
            "listener teams speaks IPv4 (`bind`), and its media are IPv6, sent to 2001:db8::7. A trunk of Teams has one",
            "one of [[media.addresses]] that is IPv4 as the `media` of the listener",
        ] {
            assert!(found[0].contains(part), "{part} in {found:?}");
        }
        let alike = mixed.replacen("0.0.0.0:5061", "[2001:db8::7]:5061", 1);
        assert_eq!(said(&alike), Vec::<String>::new());
    }

    #[test]
    fn what_this_machine_or_microsoft_would_not_like_is_said() {
        let sbc = SBC
            .replace("/var/log/portcullis/cdr.jsonl", "/dev/null/folder/cdr.jsonl")
            .replace("0.0.0.0:5071", "203.0.113.9:5071")
            .replace("numbers = [\"112\", \"911\", \"933\", \"999\"]", "numbers = []")
            .replace(
                "carriers = [\"north\", \"south\"]\n\n# ---- Running",
                "\n# ---- Running",
            );
        let sbc = format!("{sbc}\n[registrar]\nstore = \"/dev/null/bindings.redb\"\n");
        let sbc = format!("{sbc}\n[[carriers]]\nid = \"calls-only\"\nnetworks = [\"192.0.2.77\"]\n");
        let tenant = "domains = [\"fabrikam.example\"]\nlabel = \"fabrikam\"\ncarriers = [\"calls-only\"]\n";
        let sbc = sbc.replace(
            "base = \"sbc1.example.net\"",
            "base = \"sbc1.example.net\"\noptions_interval = \"5s\"\npatience = \"12s\"",
        );
        let config = Config::from_toml_strs(&sbc, &[("fabrikam", tenant)]).expect("a right configuration");
        let doubts = doubts(&config).join("\n");
        for part in [
            "options_interval of 5 s",
            "patience of 12 s",
            "/dev/null/folder/cdr.jsonl",
            "bindings can't be kept on this machine, and `run` would not start: /dev/null/bindings.redb",
            "no call counts as an emergency call",
            "no address of this machine, and `run` would not start here: 203.0.113.9",
            "none of the carriers of tenant fabrikam has a gateway",
        ] {
            assert!(doubts.contains(part), "{part} in\n{doubts}");
        }
    }

    #[test]
    fn files_with_secrets_that_everybody_may_read_are_named() {
        use std::fs::{Permissions, set_permissions, write};
        let folder = std::env::temp_dir().join(format!("portcullis-modes-{}", std::process::id()));
        let tenants = folder.join("tenants");
        std::fs::create_dir_all(&tenants).expect("a folder");
        let mode = |name: &str, mode| {
            set_permissions(folder.join(name), Permissions::from_mode(mode)).expect("its owner's");
        };
        let fabrikam = "domains = [\"fabrikam.example\"]\nlabel = \"fabrikam\"\ncarriers = [\"north\"]\n";
        let sbc = format!("{SBC}\n[registrar]\nstore = \"bindings.redb\"\n");
        for (name, text) in [
            ("sbc.toml", sbc.as_str()),
            ("tenants/contoso.toml", CONTOSO),
            ("tenants/fabrikam.toml", &format!("{fabrikam}webhook_secret = \"wh\"\n")),
            ("tenants/adatum.toml", "webhook_secret_file = \"adatum\"\n"),
            ("adatum", "wh"),
            ("bindings.redb", ""),
        ] {
            write(folder.join(name), text).expect("a file");
            mode(name, 0o644);
        }
        mode("", 0o755);
        mode("tenants", 0o755);
        let mut loader = Loader::new(&folder);
        let _whatever_else = loader.load();
        let mut config = Config::from_toml_strs(SBC, &[("contoso", CONTOSO)]).expect("a right configuration");
        Arc::make_mut(&mut config.sbc).registrar.store = Some(folder.join("bindings.redb"));
        let open = || {
            let doubts = doubts_of_modes(&secret_files(&loader, &config));
            let begins = format!("{}/", folder.display());
            let name = |doubt: &String| Some(doubt.strip_prefix(&begins)?.split(' ').next()?.to_owned());
            doubts.iter().filter_map(name).collect::<Vec<_>>()
        };
        assert_eq!(open(), ["adatum", "tenants/fabrikam.toml", "bindings.redb"]);
        mode("adatum", 0o640);
        mode("bindings.redb", 0o600);
        assert_eq!(open(), ["tenants/fabrikam.toml"]);
        mode("tenants", 0o750);
        assert!(open().is_empty(), "nobody else enters the folder");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
