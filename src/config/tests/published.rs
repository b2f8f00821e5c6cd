//! What the repository shows of the configuration is what the code does: schema, reference page, example.
//!
//! `PORTCULLIS_UPDATE=1 cargo test config::tests` writes the generated files anew.

use super::super::*;
use super::folder::Folder;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- generated from the schema: begin -->";
const END: &str = "<!-- generated from the schema: end -->";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Fails when the file at `path` has not this text; or makes it so, when asked to.
pub(super) fn assert_fresh(path: &Path, text: &str) {
    if std::env::var_os("PORTCULLIS_UPDATE").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("make the folder");
        fs::write(path, text).expect("write");
        return;
    }
    let stored = fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == text,
        "{} is not fresh; PORTCULLIS_UPDATE=1 writes it. It should be:\n{text}",
        path.display()
    );
}

#[test]
fn the_schemas_in_the_repository_are_fresh() {
    for (kind, name) in [(FileKind::Sbc, "sbc"), (FileKind::Tenant, "tenant")] {
        let path = root().join(format!("config/schema/{name}.schema.json"));
        assert_fresh(&path, &format!("{:#}\n", schema(kind)));
    }
}

#[test]
fn the_reference_page_is_fresh() {
    let path = root().join("docs/configuration.md");
    let page = fs::read_to_string(&path).expect("docs/configuration.md");
    let (before, rest) = page.split_once(BEGIN).expect("the page has a begin mark");
    let (_, after) = rest.split_once(END).expect("the page has an end mark");
    let generated = format!(
        "\n{}{}",
        reference(FileKind::Sbc, "sbc.toml"),
        reference(FileKind::Tenant, "tenants/<name>.toml")
    );
    assert_fresh(&path, &format!("{before}{BEGIN}{generated}{END}{after}"));
}

#[test]
fn the_example_loads_once_its_certificates_are_there() {
    let folder = Folder::new();
    for name in ["sbc.toml", "tenants/contoso.toml"] {
        folder.write(name, &fs::read_to_string(root().join("config").join(name)).expect(name));
    }
    let mistakes = load(folder.path()).expect_err("there are no certificates");
    for mistake in mistakes.iter() {
        assert!(mistake.message.contains("there is no file"), "{mistake}");
    }
    folder.write("certs/sbc1.example.net.pem/leaf.pem", "");
    folder.write("certs/sbc1.example.net.key", "");
    let mistakes = load(folder.path()).expect_err("a folder of certificates");
    assert!(
        mistakes
            .to_string()
            .contains("certs/sbc1.example.net.pem is a directory"),
        "{mistakes}"
    );
    fs::remove_dir_all(folder.path().join("certs/sbc1.example.net.pem")).expect("removed");
    folder.write("certs/sbc1.example.net.pem", "");
    let config = load(folder.path()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config.tenants.len(), 1);
    assert_eq!(config.sbc.carriers.len(), 2);
}

/// Every default that the schema states is what an absent key means: writing them all out changes nothing.
#[test]
fn the_defaults_in_the_schema_are_those_in_the_code() {
    let sbc = format!("{}\n[cdr]\npath = \"cdr.jsonl\"\n[api]\n", super::SBC);
    let tenant = super::CONTOSO;
    let plain = super::config(&sbc, &[("contoso", tenant)]);
    let mut sbc_tree: toml::Table = toml::from_str(&sbc).expect("TOML");
    let mut tenant_tree: toml::Table = toml::from_str(tenant).expect("TOML");
    let (sbc_schema, tenant_schema) = (schema(FileKind::Sbc), schema(FileKind::Tenant));
    let mut written = Vec::new();
    write_defaults(&sbc_schema, &sbc_schema, &mut sbc_tree, "", &mut written);
    write_defaults(&tenant_schema, &tenant_schema, &mut tenant_tree, "", &mut written);
    assert!(written.len() > 50, "{written:?}");
    let text = |tree: &toml::Table| toml::to_string(tree).expect("TOML");
    let explicit = super::config(&text(&sbc_tree), &[("contoso", &text(&tenant_tree))]);
    assert_eq!(plain.sbc, explicit.sbc);
    assert_eq!(plain.tenants, explicit.tenants);
}

fn write_defaults(schema: &Value, root: &Value, table: &mut toml::Table, path: &str, written: &mut Vec<String>) {
    let schema = resolve(schema, root);
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{path}.{key}");
        // Refused where the transport or the purpose gives them no meaning.
        if ["listeners.client_certificate", "listeners.roots", "inbound.strip"]
            .iter()
            .any(|end| place.ends_with(end))
        {
            continue;
        }
        if let Some(default) = property.get("default") {
            if !table.contains_key(key) {
                table.insert(key.clone(), toml::Value::try_from(default).expect("a TOML value"));
                written.push(place);
            }
            continue;
        }
        let target = resolve(property, root);
        let optional_tables = [
            "caller",
            "failover",
            "numbers",
            "guard",
            "registrar",
            "admin",
            "log",
            "dns",
            "timers",
            "emergency",
            "application_servers",
        ];
        match (target["type"].as_str(), table.get_mut(key)) {
            (Some("object"), Some(toml::Value::Table(inner))) => write_defaults(target, root, inner, &place, written),
            (Some("object"), None) if optional_tables.contains(&key.as_str()) => {
                let mut inner = toml::Table::new();
                write_defaults(target, root, &mut inner, &place, written);
                table.insert(key.clone(), toml::Value::Table(inner));
            }
            (Some("array"), Some(toml::Value::Array(items))) => {
                for item in items {
                    if let toml::Value::Table(inner) = item {
                        write_defaults(&target["items"], root, inner, &place, written);
                    }
                }
            }
            _ => {}
        }
    }
}

fn resolve<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).expect("the definition"),
        None => schema,
    }
}

/// Tables of all keys of a file, in Markdown.
fn reference(kind: FileKind, title: &str) -> String {
    let schema = schema(kind);
    let mut out = format!(
        "\n## `{title}`\n\n{}\n",
        schema["description"].as_str().unwrap_or_default()
    );
    section(&schema, &schema, "", &mut out);
    out
}

fn section(table: &Value, root: &Value, path: &str, out: &mut String) {
    let required: Vec<&str> = table["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut inner = Vec::new();
    out.push_str("\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for (key, property) in table["properties"].as_object().into_iter().flatten() {
        let target = resolve(property, root);
        let items = resolve(&target["items"], root);
        let place = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let named = resolve(&target["additionalProperties"], root);
        let forms = target["oneOf"].as_array().into_iter().flatten();
        let table_form = forms
            .map(|form| resolve(form, root))
            .find(|form| form["properties"].as_object().is_some_and(|keys| keys.len() > 1));
        if let Some(table) = table_form {
            inner.push((format!("{place} = {{ … }}"), place, table));
        } else if named["properties"].is_object() {
            let place = format!("{place}.<name>");
            inner.push((format!("[{place}]"), place, named));
        } else if target["properties"].is_object() {
            inner.push((format!("[{place}]"), place, target));
        } else if items["properties"].is_object() {
            inner.push((format!("[[{place}]]"), place, items));
        }
        let default = match (required.contains(&key.as_str()), property.get("default")) {
            (true, _) => "required".to_owned(),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => String::new(),
        };
        let description = property["description"]
            .as_str()
            .or(target["description"].as_str())
            .unwrap_or_default();
        writeln!(
            out,
            "| `{key}` | {} | {default} | {description} |",
            form(property, root)
        )
        .expect("a text");
    }
    for (heading, place, table) in inner {
        write!(
            out,
            "\n### `{heading}`\n\n{}\n",
            table["description"].as_str().unwrap_or_default()
        )
        .expect("a text");
        section(table, root, &place, out);
    }
}

fn form(property: &Value, root: &Value) -> String {
    let target = resolve(property, root);
    if let Some(forms) = target["oneOf"].as_array() {
        let forms = forms.iter().map(|one| match one["required"][0].as_str() {
            Some(key) => format!("`{{ {key} = \"…\" }}`"),
            None => form(one, root),
        });
        return forms.collect::<Vec<_>>().join(", ");
    }
    if let Some(choices) = target["enum"].as_array() {
        return choices
            .iter()
            .map(|choice| format!("`{choice}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    match (target["type"].as_str(), target["pattern"].as_str()) {
        (Some("string"), Some(pattern)) if pattern.contains("ms") => "time".to_owned(),
        (Some("string"), Some(_)) => "size".to_owned(),
        (Some("string"), None) => "text".to_owned(),
        (Some("integer"), _) => match (target["minimum"].as_u64(), target["maximum"].as_u64()) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("{min} or more"),
            _ => "whole number".to_owned(),
        },
        (Some("boolean"), _) => "`true`, `false`".to_owned(),
        (Some("array"), _) if resolve(&target["items"], root)["properties"].is_object() => "tables".to_owned(),
        (Some("array"), _) => format!("list of {}", form(&target["items"], root)),
        (Some("object"), _) if target["properties"].is_object() => "table".to_owned(),
        (Some("object"), _) => format!("table of name = {}", form(&target["additionalProperties"], root)),
        _ => "text".to_owned(),
    }
}

#[test]
fn the_laboratory_in_the_documentation_is_right() {
    let page = fs::read_to_string(root().join("docs/simulators.md")).expect("the page");
    let blocks: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let [sbc, tenant, certificates, second] = blocks[..] else {
        panic!(
            "sbc.toml, a tenant, and two blocks of the second one, not {}",
            blocks.len()
        )
    };
    let config = Config::from_toml_strs(sbc, &[("contoso", tenant)]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!((config.tenants.len(), config.sbc.carriers.len()), (1, 1));

    let one = sbc.lines().find(|line| line.starts_with("certificates = "));
    let sbc = sbc.replace(one.expect("a certificate"), certificates);
    let tenants = [("contoso", tenant), ("fabrikam", second)];
    let config = Config::from_toml_strs(&sbc, &tenants).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let tls = config.sbc.listeners.iter().find_map(|listener| listener.tls.as_ref());
    assert_eq!(
        (config.tenants.len(), tls.map(|tls| tls.identities.len())),
        (2, Some(2))
    );
}
