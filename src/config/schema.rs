//! JSON Schema of the two kinds of files, for editors, for the documentation, and for the structural check.

use super::raw::{RawSbc, RawTenant};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// Which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `sbc.toml`
    Sbc,
    /// `tenants/<name>.toml`
    Tenant,
}

/// The JSON Schema (draft 2020-12) of a kind of file.
pub fn schema(kind: FileKind) -> Value {
    match kind {
        FileKind::Sbc => schema_of::<RawSbc>("portcullis sbc.toml"),
        FileKind::Tenant => schema_of::<RawTenant>("portcullis tenants/<name>.toml"),
    }
}

fn schema_of<T: JsonSchema>(title: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    let mut schema = schema.to_value();
    tidy(&mut schema);
    schema
}

/// TOML has no null: an absent key is the only "nothing". Wrapped lines of doc comments become one line. The names of
/// Rust types stay out.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("enum") {
                choices.retain(|choice| !choice.is_null());
            }
            if let Some(Value::Array(forms)) = object.get_mut("anyOf") {
                forms.retain(|form| form.get("type").is_none_or(|name| name != "null"));
                if let [only] = forms.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    if let Value::Object(only) = only {
                        for (key, value) in only {
                            object.entry(key).or_insert(value);
                        }
                    }
                }
            }
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            if object
                .get("default")
                .is_some_and(|default| default.is_null() || default.as_array().is_some_and(Vec::is_empty))
            {
                object.remove("default");
            }
            if let Some(Value::String(reference)) = object.get_mut("$ref") {
                *reference = reference.replace("/Raw", "/");
            }
            if let Some(Value::Object(definitions)) = object.get_mut("$defs") {
                let named = std::mem::take(definitions);
                definitions.extend(
                    named
                        .into_iter()
                        .map(|(name, schema)| (name.trim_start_matches("Raw").to_owned(), schema)),
                );
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(values) => values.iter_mut().for_each(tidy),
        _ => {}
    }
}
