//! Reloads: only what changed, all or nothing, and by themselves.

use super::super::*;
use super::folder::Folder;
use super::{CONTOSO, SBC};
use arc_swap::ArcSwap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const FABRIKAM: &str = "domains = [\"fabrikam.example\"]\nlabel = \"fabrikam\"\ncarriers = [\"north\"]\n\
    [[numbers]]\nnumber = \"+14255550300\"\n";

fn applied(reload: Reload) -> (Arc<Config>, Vec<String>) {
    match reload {
        Reload::Applied { config, changed, .. } => {
            let name = |path: &std::path::PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
            (config, changed.iter().filter_map(name).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn refused(reload: Reload) -> Mistakes {
    match reload {
        Reload::Refused { mistakes, .. } => mistakes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reload_keeps_what_did_not_change() {
    let folder = Folder::with_contoso();
    let mut loader = Loader::new(folder.path());
    let first = loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(matches!(loader.reload(), Reload::Unchanged));

    folder.write("tenants/fabrikam.toml", FABRIKAM);
    let (second, changed) = applied(loader.reload());
    assert_eq!(changed, ["fabrikam.toml"]);
    assert_eq!((first.generation, second.generation), (1, 2));
    assert!(
        Arc::ptr_eq(&first.tenants[0], &second.tenants[0]),
        "contoso was read again"
    );
    assert!(Arc::ptr_eq(&first.sbc, &second.sbc), "the machine was replaced");
    assert!(second.number(E164::parse("+14255550300").expect("a number")).is_some());
    assert_eq!(first.tenants.len(), 1, "the old configuration is as it was");

    folder.remove("tenants/fabrikam.toml");
    let (third, changed) = applied(loader.reload());
    assert_eq!((third.tenants.len(), changed), (1, vec!["fabrikam.toml".to_owned()]));

    folder.write("tenants/contoso.toml", &format!("# a comment\n{CONTOSO}"));
    assert!(
        matches!(loader.reload(), Reload::Unchanged),
        "a comment changes nothing"
    );
}

/// Every name that a tenant is found by: a reload finds it by a new one, no more by the old one, and sees who has it already.
#[test]
fn a_reload_knows_a_tenant_by_its_new_realm_account_applications_and_tokens() {
    let (first, second) = (TokenDigest::of("one"), TokenDigest::of("two"));
    let named = |realm: &str, sid: u8, application: u8, token: TokenDigest| {
        format!(
            "realm = \"{realm}\"\naccount_sid = \"00000000-0000-4000-8000-0000000000{sid:02}\"\n{FABRIKAM}\
             [[tokens]]\nname = \"crm\"\nsha256 = \"{token}\"\n\
             [application.reception]\nsid = \"00000000-0000-4000-8000-0000000001{application:02}\"\n\
             hook = \"https://app.fabrikam.example/in\"\n"
        )
    };
    let folder = Folder::with_contoso();
    let users =
        "[[listeners]]\nname = \"users\"\npurpose = \"users\"\ntransport = \"udp\"\nbind = \"192.0.2.10:5070\"\n";
    folder.write("sbc.toml", &format!("{SBC}\n{users}"));
    folder.write("tenants/fabrikam.toml", &named("one.example", 1, 1, first));
    let mut loader = Loader::new(folder.path());
    let before = loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(before.tenant_by_token(&first).is_some() && before.realm("one.example").is_some());
    for text in [
        named("two.example", 1, 1, first),
        named("two.example", 2, 1, first),
        named("two.example", 2, 2, first),
        named("two.example", 2, 2, second),
    ] {
        folder.write("tenants/fabrikam.toml", &text);
        let (config, _) = applied(loader.reload());
        assert!(!Arc::ptr_eq(&config.names, &before.names), "{text}");
    }
    let (config, _) = {
        folder.write("tenants/fabrikam.toml", &named("three.example", 3, 3, first));
        applied(loader.reload())
    };
    assert!(config.tenant_by_token(&first).is_some() && config.tenant_by_token(&second).is_none());
    assert!(config.realm("three.example").is_some() && config.realm("two.example").is_none());
}

/// Beside mistakes in its users a tenant has no realm, before and now.
#[test]
fn a_realm_that_another_tenant_has_is_told_beside_mistakes_in_users() {
    let folder = Folder::with_contoso();
    let users =
        "[[listeners]]\nname = \"users\"\npurpose = \"users\"\ntransport = \"udp\"\nbind = \"192.0.2.10:5070\"\n";
    folder.write("sbc.toml", &format!("{SBC}\n{users}"));
    folder.write("tenants/contoso.toml", &format!("realm = \"sip.example\"\n{CONTOSO}"));
    folder.write("tenants/fabrikam.toml", FABRIKAM);
    let mut loader = Loader::new(folder.path());
    loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let user = "[[users]]\nname = \"a b\"\npassword = \"hunter2\"\n";
    folder.write(
        "tenants/fabrikam.toml",
        &format!("realm = \"sip.example\"\n{FABRIKAM}{user}"),
    );
    let said = refused(loader.reload()).to_string();
    assert!(said.contains("sip.example is tenant contoso's already"), "{said}");
    assert!(said.contains("fabrikam.toml:8:8: "), "{said}");
}

#[test]
fn one_wrong_file_keeps_everything_as_it_was() {
    let folder = Folder::with_contoso();
    let mut loader = Loader::new(folder.path());
    loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    folder.write("tenants/fabrikam.toml", FABRIKAM);
    folder.write("tenants/contoso.toml", &CONTOSO.replace("north", "nroth"));
    let Reload::Refused { mistakes, changed, .. } = loader.reload() else {
        panic!("a carrier that is not there")
    };
    assert_eq!(mistakes.count(), 1, "{mistakes}");
    assert_eq!(
        changed,
        ["contoso.toml", "fabrikam.toml"].map(|name| folder.path().join("tenants").join(name))
    );
    assert_eq!(
        mistakes.iter().next().and_then(|mistake| mistake.nearest.as_deref()),
        Some("north")
    );
    assert_eq!(
        refused(loader.reload()).count(),
        1,
        "it is said again, as long as it is so"
    );

    folder.write("tenants/contoso.toml", CONTOSO);
    let (config, changed) = applied(loader.reload());
    assert_eq!(
        (config.generation, config.tenants.len()),
        (2, 2),
        "what was right all along is applied now"
    );
    assert!(changed.contains(&"fabrikam.toml".to_owned()), "{changed:?}");
}

#[test]
fn a_machine_without_a_key_that_it_needs_is_refused_with_all_else_that_is_wrong() {
    let folder = Folder::with_contoso();
    let mut loader = Loader::new(folder.path());
    let first = loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    folder.write("sbc.toml", &SBC.replace("base = \"sbc1.example.net\"", ""));
    assert_eq!(refused(loader.reload()).count(), 1);
    // The tenants are as they were, and nothing else is made of them without the base.
    folder.write(
        "tenants/fabrikam.toml",
        &FABRIKAM.replace("0300", "0150").replace("fabrikam\"", "contoso\""),
    );
    let said = refused(loader.reload()).to_string();
    for part in [
        "`teams` has no `base`",
        "contoso is tenant contoso's already",
        "+14255550150 overlaps",
        "\n3 mistakes",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    folder.write("sbc.toml", SBC);
    let said = refused(loader.reload()).to_string();
    assert!(
        said.contains("contoso.sbc1.example.net is tenant contoso's already"),
        "{said}"
    );
    folder.remove("tenants/fabrikam.toml");
    assert!(matches!(loader.reload(), Reload::Unchanged));
    let in_force = loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(Arc::ptr_eq(&first, &in_force), "what was mended came into force");
}

#[test]
fn what_an_editor_leaves_beside_a_file_is_passed_over_and_a_mistyped_ending_is_not() {
    let folder = Folder::with_contoso();
    let mut loader = Loader::new(folder.path());
    loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    for left in [
        "contoso.toml~",
        "contoso.toml.~1~",
        "#contoso.toml#",
        ".contoso.toml.swp",
        "contoso.toml.bak",
    ] {
        folder.write(&format!("tenants/{left}"), CONTOSO);
    }
    folder.write(
        "tenants/contoso.toml",
        &CONTOSO.replace("label = \"contoso", "label = \"kontoso"),
    );
    let (config, changed) = applied(loader.reload());
    assert_eq!((config.tenants.len(), changed), (1, vec!["contoso.toml".to_owned()]));
    load(folder.path()).unwrap_or_else(|mistakes| panic!("a start: {mistakes}"));
    folder.write("tenants/fabrikam.tml", FABRIKAM);
    assert!(
        refused(loader.reload())
            .to_string()
            .contains("fabrikam.tml: this file is not read")
    );
}

#[test]
fn a_change_of_the_machine_checks_the_tenants_again() {
    let folder = Folder::with_contoso();
    let mut loader = Loader::new(folder.path());
    loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    folder.write("sbc.toml", &SBC.replace("id = \"north\"", "id = \"south\""));
    assert!(
        refused(loader.reload())
            .to_string()
            .contains("there is no carrier \"north\"")
    );
    folder.write("sbc.toml", &SBC.replace("sbc1.example.net", "sbc2.example.net"));
    let (config, _) = applied(loader.reload());
    assert!(config.tenant_by_host("contoso.sbc2.example.net").is_some());
    folder.remove("sbc.toml");
    assert!(refused(loader.reload()).to_string().contains("there is no such file"));
}

#[test]
fn only_the_named_files_are_read_and_the_outcome_is_that_of_reading_all() {
    let folder = Folder::with_contoso();
    folder.write("tenants/fabrikam.toml", FABRIKAM);
    let mut loader = Loader::new(folder.path());
    loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let named = |name: &str| BTreeSet::from([folder.path().join(name)]);
    let whole = || load(folder.path()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let agree = |part: &Config, whole: &Config| {
        assert_eq!(part.tenants, whole.tenants);
        assert_eq!((&part.numbers, &part.names), (&whole.numbers, &whole.names));
    };

    // The numbers of one, then its names.
    folder.write("tenants/fabrikam.toml", &FABRIKAM.replace("0300", "0301"));
    let (config, _) = applied(loader.reload_files(&named("tenants/fabrikam.toml")));
    agree(&config, &whole());
    folder.write(
        "tenants/fabrikam.toml",
        &FABRIKAM.replace("label = \"fab", "label = \"zab"),
    );
    let (config, _) = applied(loader.reload_files(&named("tenants/fabrikam.toml")));
    assert!(config.tenant_by_host("fabrikam.sbc1.example.net").is_none());
    agree(&config, &whole());

    // Another file than the one that is named: it waits for its own event.
    folder.write("tenants/fabrikam.toml", FABRIKAM);
    assert!(matches!(
        loader.reload_files(&named("tenants/contoso.toml")),
        Reload::Unchanged
    ));
    applied(loader.reload_files(&named("tenants/fabrikam.toml")));

    // New and gone files are seen whatever is named: positions move.
    folder.write(
        "tenants/adatum.toml",
        "domains = [\"adatum.example\"]\nlabel = \"adatum\"\ncarriers = [\"north\"]\n",
    );
    let (config, changed) = applied(loader.reload_files(&named("tenants/contoso.toml")));
    assert_eq!(changed, ["adatum.toml"]);
    agree(&config, &whole());

    // What collides is told as ever.
    folder.write("tenants/fabrikam.toml", &FABRIKAM.replace("0300", "0199"));
    let part = refused(loader.reload_files(&named("tenants/fabrikam.toml"))).to_string();
    assert_eq!(
        Some(part),
        load(folder.path()).err().map(|mistakes| mistakes.to_string())
    );
}

#[test]
fn after_a_file_that_could_not_be_read_all_are_read() {
    let folder = Folder::with_contoso();
    let mut loader = Loader::new(folder.path());
    loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let fabrikam = BTreeSet::from([folder.path().join("tenants/fabrikam.toml")]);
    let contoso = BTreeSet::from([folder.path().join("tenants/contoso.toml")]);
    std::fs::write(folder.path().join("tenants/fabrikam.toml"), b"\xff").expect("a file");
    refused(loader.reload_files(&fabrikam));
    folder.write("tenants/contoso.toml", &CONTOSO.replace("+14255550199", "+14255550201"));
    refused(loader.reload_files(&contoso));
    folder.write("tenants/fabrikam.toml", FABRIKAM);
    let (config, _) = applied(loader.reload_files(&contoso));
    assert_eq!(config.tenants.len(), 2);
}

/// A watch over the folder, and what it reports.
fn watched(folder: &Folder) -> (Watch, Arc<ArcSwap<Config>>, Receiver<Reload>) {
    let mut loader = Loader::new(folder.path());
    let current = Arc::new(ArcSwap::new(
        loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}")),
    ));
    let (report, outcomes) = channel();
    let in_force = current.clone();
    let watch = Watch::start(loader, move |outcome| {
        if let Reload::Applied { config, .. } = &outcome {
            in_force.store(config.clone());
        }
        // The test may be over.
        let _ = report.send(outcome);
    });
    (watch.expect("a watch"), current, outcomes)
}

fn wait_for(outcomes: &Receiver<Reload>) -> Reload {
    outcomes.recv_timeout(Duration::from_secs(20)).expect("an outcome")
}

#[test]
fn a_saved_file_is_in_force_without_asking_and_a_wrong_one_is_not() {
    let folder = Folder::with_contoso();
    let (watch, current, outcomes) = watched(&folder);

    let saved = Instant::now();
    folder.write("tenants/fabrikam.toml", FABRIKAM);
    applied(wait_for(&outcomes));
    println!("from the write to the new routing: {:?}", saved.elapsed());
    assert_eq!(current.load().tenants.len(), 2);

    // As editors save: a new file is renamed onto the old one.
    folder.write("tenants/.fabrikam.toml.new", "domains = 5\n");
    std::fs::rename(
        folder.path().join("tenants/.fabrikam.toml.new"),
        folder.path().join("tenants/fabrikam.toml"),
    )
    .expect("rename");
    refused(wait_for(&outcomes));
    assert_eq!(current.load().tenants.len(), 2, "the old configuration stays");

    watch.reload();
    refused(wait_for(&outcomes));
    folder.remove("tenants/fabrikam.toml");
    applied(wait_for(&outcomes));
    watch.reload();
    assert!(
        matches!(wait_for(&outcomes), Reload::Unchanged),
        "who asks gets an answer"
    );
    assert_eq!(current.load().tenants.len(), 1);

    // A mistake that is undone is over, though the configuration in force never changed.
    folder.write("tenants/contoso.toml", &format!("voicemial = true\n{CONTOSO}"));
    refused(wait_for(&outcomes));
    folder.write("tenants/contoso.toml", CONTOSO);
    assert!(
        matches!(wait_for(&outcomes), Reload::Unchanged),
        "the end of a mistake is reported"
    );
}

/// What stands in the folder's place is watched as the folder was, from then on.
#[test]
fn the_watch_stays_with_the_path_when_another_folder_takes_its_place() {
    use std::os::unix::fs::symlink;
    let home = Folder::with_contoso();
    let at = |name: &str| home.path().join(name);
    let prepare = |release: &str| {
        for (name, text) in [
            ("sbc.toml", SBC),
            ("sbc.pem", ""),
            ("sbc.key", ""),
            ("tenants/contoso.toml", CONTOSO),
        ] {
            home.write(&format!("{release}/{name}"), text);
        }
    };
    for release in ["one", "two", "three", "elsewhere"] {
        prepare(release);
    }
    home.write("two/tenants/fabrikam.toml", FABRIKAM);
    symlink(at("one"), at("config")).expect("a link");
    let mut loader = Loader::new(&at("config"));
    loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let (report, outcomes) = channel();
    let watch = Watch::start(loader, move |outcome| {
        // The test may be over.
        let _ = report.send(outcome);
    })
    .expect("a watch");
    // A moment without a folder may be seen, and is refused.
    let applied_with = |tenants: usize| {
        let is_it =
            |outcome: &Reload| matches!(outcome, Reload::Applied { config, .. } if config.tenants.len() == tenants);
        while !is_it(&wait_for(&outcomes)) {}
    };
    let asked = || {
        watch.reload();
        while !matches!(wait_for(&outcomes), Reload::Unchanged) {}
    };

    // The link leads elsewhere: nothing is asked for, and the next save is noticed too.
    symlink(at("two"), at("next")).expect("a link");
    std::fs::rename(at("next"), at("config")).expect("renamed");
    applied_with(2);
    home.remove("two/tenants/fabrikam.toml");
    applied_with(1);

    // A folder takes another's place.
    std::fs::remove_file(at("config")).expect("removed");
    std::fs::rename(at("two"), at("config")).expect("renamed");
    asked();
    std::fs::rename(at("config"), at("old")).expect("renamed");
    std::fs::rename(at("three"), at("config")).expect("renamed");
    asked();
    home.write("config/tenants/fabrikam.toml", FABRIKAM);
    applied_with(2);

    // The tenants alone are elsewhere.
    std::fs::remove_dir_all(at("config/tenants")).expect("removed");
    symlink(at("elsewhere/tenants"), at("config/tenants")).expect("a link");
    applied_with(1);
    home.write("elsewhere/tenants/fabrikam.toml", FABRIKAM);
    applied_with(2);
}

/// Certificates are looked at by whoever shows them, who goes on with what was read.
#[test]
fn a_certificate_that_is_gone_keeps_no_tenant_from_being_changed() {
    let folder = Folder::with_contoso();
    let mut loader = Loader::new(folder.path());
    loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    folder.remove("sbc.pem");
    assert!(
        refused(loader.reload()).to_string().contains("there is no file"),
        "no node runs with it"
    );
    folder.write("sbc.pem", "");
    assert!(matches!(loader.reload(), Reload::Unchanged));
    loader.started();
    folder.remove("sbc.pem");
    assert!(matches!(loader.reload(), Reload::Unchanged));
    folder.write("tenants/fabrikam.toml", FABRIKAM);
    let (config, _) = applied(loader.reload());
    assert_eq!(config.tenants.len(), 2);
    // Whoever writes the machine anew means the files that it names.
    folder.write("sbc.toml", &format!("drain = \"7m\"\n{SBC}"));
    assert!(refused(loader.reload()).to_string().contains("there is no file"));
    folder.write("sbc.pem", "");
    applied(loader.reload());
    // What waits for the next start is shown by nobody yet.
    folder.write("sbc.toml", &SBC.replace("0.0.0.0:5061", "0.0.0.0:5062"));
    applied(loader.reload());
    folder.remove("sbc.pem");
    assert!(refused(loader.reload()).to_string().contains("there is no file"));
}

#[test]
fn tenants_whose_folder_is_gone_stay_and_an_empty_one_means_none() {
    let folder = Folder::with_contoso();
    let mut loader = Loader::new(folder.path());
    let first = loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(loader.without_tenants(), None);
    let (tenants, away) = (folder.path().join("tenants"), folder.path().join("tnants"));
    std::fs::rename(&tenants, &away).expect("renamed");
    for _ in 0..2 {
        let said = refused(loader.reload()).to_string();
        assert!(said.contains("tenants: the folder tenants is gone"), "{said}");
        assert!(said.contains("an empty one means no tenants"), "{said}");
    }
    let doubt = loader.without_tenants().unwrap_or_default();
    assert!(doubt.contains("did you mean `tnants`"), "{doubt}");
    std::fs::rename(&away, &tenants).expect("renamed");
    assert!(matches!(loader.reload(), Reload::Unchanged));
    let in_force = loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(Arc::ptr_eq(&first, &in_force));

    folder.remove("tenants/contoso.toml");
    let (config, _) = applied(loader.reload());
    assert!(config.tenants.is_empty());
    // Who has none needs no folder, neither now nor at a start.
    std::fs::remove_dir(&tenants).expect("removed");
    assert!(matches!(loader.reload(), Reload::Unchanged));
    load(folder.path()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(
        loader
            .without_tenants()
            .is_some_and(|doubt| doubt.ends_with("no tenant"))
    );
}

/// Its first half would be a right configuration, too.
#[test]
fn a_file_that_is_copied_in_slowly_is_in_force_when_it_is_whole() {
    use std::io::Write;
    let folder = Folder::with_contoso();
    let (_watch, current, outcomes) = watched(&folder);
    let mut file = std::fs::File::create(folder.path().join("tenants/fabrikam.toml")).expect("a file");
    for part in [FABRIKAM, "[[numbers]]\nnumber = \"+14255550299\"\n"] {
        file.write_all(part.as_bytes()).expect("written");
        let early = outcomes.recv_timeout(Duration::from_millis(150));
        assert!(early.is_err(), "half a file was loaded");
    }
    file.write_all(b"to = \"teams\"\n").expect("written");
    drop(file);
    let (config, _) = applied(wait_for(&outcomes));
    let last = E164::parse("+14255550299").expect("a number");
    assert!(config.number(last).is_some() && current.load().number(last).is_some());
}

#[test]
fn a_thousand_tenants_with_a_hundred_numbers_each() {
    use std::fmt::Write;
    let folder = Folder::with_contoso();
    for tenant in 0..1000u64 {
        let mut text = format!("domains = [\"t{tenant}.example\"]\nlabel = \"t{tenant}\"\ncarriers = [\"north\"]\n");
        for number in 0..100 {
            write!(
                text,
                "[[numbers]]\nnumber = \"+{}\"\nto = \"teams\"\n",
                442_000_000_000 + tenant * 1000 + number
            )
            .expect("a text");
        }
        folder.write(&format!("tenants/t{tenant}.toml"), &text);
    }
    let mut loader = Loader::new(folder.path());
    let began = Instant::now();
    let config = loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    println!("1,001 tenants with 100,099 numbers: {:?}", began.elapsed());
    let owner = config
        .number(E164::parse("+442000517042").expect("a number"))
        .map(|(tenant, _)| tenant.id.as_str());
    assert_eq!(owner, Some("t517"));
    folder.write("tenants/contoso.toml", &CONTOSO.replace("+14255550199", "+14255550201"));
    let began = Instant::now();
    let (config, changed) = applied(loader.reload());
    println!("one of them changed: {:?}", began.elapsed());
    assert_eq!(changed, ["contoso.toml"]);
    assert!(config.number(E164::parse("+14255550201").expect("a number")).is_some());
    folder.write("tenants/contoso.toml", &CONTOSO.replace("+14255550199", "+14255550202"));
    let named = BTreeSet::from([folder.path().join("tenants/contoso.toml")]);
    let began = Instant::now();
    let (config, _) = applied(loader.reload_files(&named));
    println!("one of them changed, and named: {:?}", began.elapsed());
    assert!(config.number(E164::parse("+14255550202").expect("a number")).is_some());
}

/// Each reload counts the ELINs of all tenants where one of them has more than before.
#[test]
fn one_tenants_elins_above_what_a_node_takes_are_refused_on_a_reload_too() {
    let folder = Folder::with_contoso();
    let tenant = |name: &str, numbers: &str| {
        let numbers = format!("[[numbers]]\nrange = \"{numbers}\"\nelin = true\n");
        let text = format!("domains = [\"{name}.example\"]\nlabel = \"{name}\"\ncarriers = [\"north\"]\n{numbers}");
        folder.write(&format!("tenants/{name}.toml"), &text);
    };
    for number in 0..9 {
        tenant(&format!("t{number}"), &format!("+49{number}00000-+49{number}09999"));
    }
    tenant("t9", "+49900000-+49909998");
    tenant("last", "+49910000-+49910000");
    let mut loader = Loader::new(folder.path());
    loader.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    for (name, more, right) in [
        ("last", "+49910000-+49910001", false),
        ("last", "+49910000-+49910000", true),
        ("another", "+49920000-+49920000", false),
        ("t9", "+49900000-+49909997", true),
        ("last", "+49910000-+49910001", false),
    ] {
        tenant(name, more);
        match loader.reload() {
            Reload::Refused { mistakes, .. } => {
                let told = mistakes.to_string();
                assert!(
                    !right && told.contains("too many numbers of all tenants are ELINs"),
                    "{name} {more}: {told}"
                );
            }
            Reload::Applied { .. } | Reload::Unchanged => assert!(right, "{name} {more}"),
        }
    }
}
