//! Which files hold the secrets of a configuration: for whoever looks at who may read them.

use super::load::Loader;
use super::secret_text::{holds_secrets, may_hold_secrets};
use std::collections::BTreeSet;
use std::path::PathBuf;
use toml::{Table, Value};

/// What one file of a configuration says of secrets.
#[derive(Debug, Default)]
struct Found {
    /// Some stand in it.
    own: bool,
    /// Files that it names under `…_file`.
    others: Vec<String>,
}

impl Found {
    fn look(&mut self, value: &Value) {
        match value {
            Value::Table(table) => table.iter().for_each(|(key, value)| self.look_at(key, value)),
            Value::Array(list) => list.iter().for_each(|value| self.look(value)),
            _ => {}
        }
    }

    fn look_at(&mut self, key: &str, value: &Value) {
        let names_file = key.strip_suffix("_file").is_some_and(holds_secrets);
        match value.as_str() {
            Some(file) if names_file => self.others.push(file.to_owned()),
            _ if holds_secrets(key) => self.own = true,
            _ => self.look(value),
        }
    }
}

impl Loader {
    /// The files that hold secrets in the text read last: those of the configuration in which some stand, those that it
    /// names for one, and private keys.
    pub fn secret_files(&self) -> Vec<PathBuf> {
        let mut files = BTreeSet::new();
        for source in self.sources() {
            let mut found = Found::default();
            // Most tenants have none, and a text is searched much faster than parsed.
            let may_hold = may_hold_secrets(&source.text);
            if let Some(Ok(table)) = may_hold.then(|| source.text.parse::<Table>()) {
                found.look(&Value::Table(table));
            }
            if found.own {
                files.insert(source.path.to_path_buf());
            }
            files.extend(found.others.iter().map(|file| self.folder().join(file)));
        }
        files.extend(self.tls_files().pairs.into_iter().map(|(_, key)| key.path));
        files.into_iter().collect()
    }
}
