//! Configurations in which keys are broken, one or many: each has its mistake, and nothing else has one.

use super::super::file::{File, Reread};
use super::super::mistake::Source;
use super::super::raw::RawTenant;
use super::super::*;
use super::folder::Folder;
use proptest::collection;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeSet;
use std::path::Path;

/// More than the example shows: a listener for users, a carrier with a password.
const MORE: &str = r#"
[[listeners]]
name = "users"
purpose = "users"
transport = "tcp"
bind = "0.0.0.0:5080"
advertise = "198.51.100.10"

[[carriers]]
id = "west"
digest = { username = "west", password = "hunter2" }
gateways = [{ host = "sip.west.example", listener = "carriers-udp" }]

[registrar]
min_expires = "60s"
max_expires = "1h"

[application_servers]
allow_networks = ["10.0.0.0/8"]
allow_loopback = false

[api]
bind = "127.0.0.1:8081"
allow_remote = false
"#;

const FABRIKAM: &str = r#"
domains = ["fabrikam.example"]
label = "fabrikam"
carriers = ["west", "north"]
realm = "sip.fabrikam.example"
registration_hook = "https://app.fabrikam.example/who"
from_teams = { application = "reception" }
bypass = false
refer = false

[[users]]
name = "alice"
ha1_md5 = "0123456789abcdef0123456789abcdef"
number = "+442079460100"

[[numbers]]
range = "+442079460100-+442079460199"
to = "teams"

[[numbers]]
number = "+442079460110"
to = { user = "alice@sip.fabrikam.example" }

[[numbers]]
number = "+442079460111"
to = { application = "reception" }

[[numbers]]
number = "+442079460112"
to = { carrier = "west" }

[application.reception]
hook = "http://10.0.0.7/incoming"
fallback = "other"
speech = { vendor = "custom:aria", language = "en-GB" }

[application.other]
hook = { url = "https://app.fabrikam.example/other", method = "POST" }

[speech_service.aria]
url = "https://tts.fabrikam.example/"

[[tokens]]
name = "crm"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
"#;

const NAMES: [&str; 3] = ["sbc", "contoso", "fabrikam"];

fn files() -> [Vec<String>; 3] {
    let sbc = format!("{}{MORE}", include_str!("../../../config/sbc.toml"));
    let contoso = include_str!("../../../config/tenants/contoso.toml");
    [&sbc, contoso, FABRIKAM].map(|text| text.lines().map(str::to_owned).collect())
}

/// A key with its value on one line: the file, the line from 0, the key.
fn keys(files: &[Vec<String>; 3]) -> Vec<(usize, usize, String)> {
    let mut keys = Vec::new();
    for (file, lines) in files.iter().enumerate() {
        for (at, line) in lines.iter().enumerate() {
            if let Ok(table) = line.parse::<toml::Table>()
                && let Some((key, _)) = table.iter().next().filter(|_| !line.starts_with('['))
            {
                keys.push((file, at, key.clone()));
            }
        }
    }
    keys
}

/// The lines with mistakes, from 0.
fn mistaken(files: &[Vec<String>; 3]) -> (BTreeSet<(usize, usize)>, String) {
    let [sbc, contoso, fabrikam] = files.each_ref().map(|lines| lines.join("\n"));
    let Err(mistakes) = Config::from_toml_strs(&sbc, &[(NAMES[1], &contoso), (NAMES[2], &fabrikam)]) else {
        return (BTreeSet::new(), String::new());
    };
    let file = |mistake: &Mistake| {
        NAMES
            .iter()
            .position(|name| mistake.file.ends_with(format!("{name}.toml")))
    };
    let lines = mistakes
        .iter()
        .map(|mistake| (file(mistake).unwrap_or(9), mistake.line.wrapping_sub(1)));
    (lines.collect(), mistakes.to_string())
}

#[derive(Debug, Clone, Copy)]
enum Break {
    /// A value that nothing may have.
    Misfit,
    /// The key has a letter too many.
    Misspelt,
    /// A text that is nothing.
    Nonsense,
}

fn broken(line: &str, key: &str, how: Break) -> String {
    match how {
        Break::Misfit => format!("{key} = 1979-05-27"),
        Break::Misspelt => line.replacen(key, &format!("{key}x"), 1),
        Break::Nonsense => format!("{key} = \"§ \\u0001\""),
    }
}

#[test]
fn the_configuration_that_is_broken_here_is_right() {
    let files = files();
    let (lines, said) = mistaken(&files);
    assert!(lines.is_empty(), "{said}");
    assert!(keys(&files).len() > 90, "{}", keys(&files).len());
}

#[test]
fn a_broken_key_is_one_mistake_and_no_other() {
    let right = files();
    for (file, at, key) in keys(&right) {
        for how in [Break::Misfit, Break::Misspelt] {
            let mut files = right.clone();
            files[file][at] = broken(&files[file][at], &key, how);
            let (lines, said) = mistaken(&files);
            assert_eq!(lines, BTreeSet::from([(file, at)]), "{how:?}\n{said}");
            assert!(said.ends_with("\n1 mistake"), "{said}");
        }
    }
}

#[test]
fn a_table_without_a_key_that_it_needs_has_one_mistake() {
    let right = files();
    let mut without = 0;
    for (file, at, _) in keys(&right) {
        let mut files = right.clone();
        files[file][at] = String::new();
        let (_, said) = mistaken(&files);
        if said.contains(" has no `") && !said.contains("`media` has no `advertise`, and") {
            without += 1;
            assert!(said.ends_with("\n1 mistake"), "{}\n{said}", right[file][at]);
        }
    }
    assert!(without > 25, "{without}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However many are broken, all have their mistakes, and nothing else has.
    #[test]
    fn broken_keys_are_all_told_and_nothing_else(
        chosen in collection::vec((any::<Index>(), any::<bool>()), 1..12),
    ) {
        let mut files = files();
        let keys = keys(&files);
        let mut expected = BTreeSet::new();
        for (chosen, misspelt) in chosen {
            let (file, at, key) = chosen.get(&keys);
            if !expected.insert((*file, *at)) {
                continue;
            }
            let how = if misspelt { Break::Misspelt } else { Break::Misfit };
            files[*file][*at] = broken(&files[*file][*at], key, how);
        }
        let (lines, said) = mistaken(&files);
        prop_assert_eq!(lines, expected, "{}", said);
    }

    /// What is wrong by itself is told beside anything else that is.
    #[test]
    fn no_broken_key_hides_what_is_wrong_with_another(
        nonsense in any::<Index>(),
        chosen in collection::vec(any::<Index>(), 1..6),
        misspelt in any::<bool>(),
    ) {
        let mut files = files();
        let keys = keys(&files);
        let (file, at, key) = nonsense.get(&keys);
        files[*file][*at] = broken(&files[*file][*at], key, Break::Nonsense);
        let (alone, _) = mistaken(&files);
        prop_assume!(alone.contains(&(*file, *at)));
        let how = if misspelt { Break::Misspelt } else { Break::Misfit };
        for chosen in chosen {
            let (other, line, key) = chosen.get(&keys);
            if (other, line) != (file, at) {
                files[*other][*line] = broken(&files[*other][*line], key, how);
            }
        }
        let (lines, said) = mistaken(&files);
        prop_assert!(lines.contains(&(*file, *at)), "{} {}\n{}", file, at + 1, said);
    }
}

#[test]
fn what_stands_there_for_something_else_names_no_file() {
    let folder = Folder::with_contoso();
    let named = |certificates: &str, transport: &str| {
        let sbc = super::SBC.replace("{ certificate = \"sbc.pem\", key = \"sbc.key\" }", certificates);
        folder.write("sbc.toml", &sbc.replace("\"tls\"", transport));
        let mut loader = Loader::new(folder.path());
        loader.load().expect_err("something is missing");
        (loader.tls_files().pairs.len(), loader.secret_files())
    };
    assert_eq!(
        named("{ certificate = 5, key = \"sbc.key\" }", "\"tls\""),
        (0, Vec::new())
    );
    assert_eq!(named("{ key = \"sbc.key\" }", "\"tls\""), (0, Vec::new()));
    // Whoever names one means TLS, whatever stands there.
    let key = folder.path().join("sbc.key");
    assert_eq!(
        named("{ certificate = \"sbc.pem\", key = \"sbc.key\" }", "\"sctp\""),
        (1, vec![key])
    );
}

/// A tenant with a name that is none and so many unclear words, and lines of this many bytes that say nothing.
fn unclear(words: usize, silent: usize) -> String {
    let mut tenant = "domains = [\"§\"]\nlabel = \"contoso\"\ncarriers = [\"north\"]\n".to_owned();
    for number in 0..words {
        tenant.push_str(&format!(
            "[[numbers]]\nnumber = \"+44207946{number:04}\"\nto = \"pbx\"\n"
        ));
    }
    let line = format!("# {}\n", "-".repeat(97));
    tenant + &line.repeat(silent / line.len())
}

fn parsed(text: &str) -> File<RawTenant> {
    File::parse(FileKind::Tenant, Source::new(Path::new("tenants/contoso.toml"), text))
}

#[test]
fn a_long_file_in_which_much_is_unclear_is_read_in_few_ways() {
    let tenant = unclear(2_000, 0);
    let file = parsed(&tenant);
    assert_eq!(file.mended.unclear.len(), 2_000);
    let readings = file.other_readings(&mut Reread::of_a_folder()).map(Iterator::count);
    assert_eq!(readings, Some(48));
    let mistakes = Config::from_toml_strs(super::SBC, &[("contoso", &tenant)])
        .map(|_| ())
        .expect_err("no words");
    assert_eq!(mistakes.count(), 2_001, "{mistakes}");
}

#[test]
fn a_file_that_is_right_costs_nothing_to_read_again() {
    let file = parsed(super::CONTOSO);
    let mut left = Reread::of_a_folder();
    for _ in 0..100_000 {
        assert_eq!(file.other_readings(&mut left).map(Iterator::count), Some(0));
    }
}

/// The name that is none waits, and that it does is said.
#[test]
fn of_a_file_in_which_too_much_is_unclear_the_rest_waits() {
    let tenant = unclear(20, 400_000);
    let mistakes = Config::from_toml_strs(super::SBC, &[("contoso", &tenant)])
        .map(|_| ())
        .expect_err("no words");
    let said = mistakes.to_string();
    assert_eq!(mistakes.count(), 21, "{said}");
    assert!(said.starts_with("tenants/contoso.toml: too much is unclear"), "{said}");
    let machine = format!(
        "{}# {}\n",
        super::SBC.replace("\"carrier\"", "5").replace("\"tls\"", "5"),
        "-".repeat(9 << 20)
    );
    let mistakes = Config::from_toml_strs(&machine, &[("contoso", super::CONTOSO)])
        .map(|_| ())
        .expect_err("no words");
    let said = mistakes.to_string();
    assert_eq!(mistakes.count(), 3, "{said}");
    assert!(said.starts_with("sbc.toml: too much is unclear"), "{said}");
}

/// Each of three files could be read in all ways alone, and two of them together can.
#[test]
fn a_folder_is_read_again_for_no_more_than_one_file_would_be() {
    let folder = Folder::with_contoso();
    let tenant = |label: &str, number: usize| {
        let text = unclear(10, 150_000).replace("contoso", label);
        text.replace("+44207946", &format!("+4420794{number}"))
    };
    for (number, label) in ["contoso", "fabrikam", "northwind"].into_iter().enumerate() {
        folder.write(&format!("tenants/{label}.toml"), &tenant(label, number));
    }
    let mut loader = Loader::new(folder.path());
    let waiting = |loader: &mut Loader| {
        let mistakes = loader.load().map(|_| ()).expect_err("no words");
        let files = mistakes
            .iter()
            .filter(|mistake| mistake.message.starts_with("too much"));
        let names = files.filter_map(|mistake| mistake.file.file_stem()?.to_str().map(str::to_owned));
        (names.collect::<Vec<_>>(), mistakes.count())
    };
    assert_eq!(waiting(&mut loader), (vec!["northwind".to_owned()], 33));
    // What was read needs no reading any more.
    assert_eq!(waiting(&mut loader), (Vec::new(), 33));
}
