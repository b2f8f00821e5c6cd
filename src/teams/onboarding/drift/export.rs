//! What Microsoft's PowerShell module prints: objects with named properties, as JSON or as `Name : value` blocks.

use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Why an output cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("neither UTF-8 nor UTF-16 with a byte order mark")]
    Encoding,
    #[error("JSON cannot be read: {0}")]
    Json(String),
    #[error(
        "line {line} is part of a table, which leaves values out: pipe the command into ConvertTo-Json -Depth 5, or into Format-List"
    )]
    Table { line: usize },
    #[error(
        "nothing in it is a gateway, a voice route, a user or a number assignment: give the output of \
         Get-CsOnlinePSTNGateway, Get-CsOnlineVoiceRoute, Get-CsOnlineUser or Get-CsPhoneNumberAssignment"
    )]
    NothingKnown,
}

/// One object of an output; names of properties are case-blind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Object(BTreeMap<String, Value>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    /// `cut`: PowerShell left the rest out (`$FormatEnumerationLimit`).
    List {
        items: Vec<String>,
        cut: bool,
    },
}

/// Everything that was read, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Export {
    pub(super) gateways: Vec<Object>,
    pub(super) routes: Vec<Object>,
    pub(super) users: Vec<Object>,
    pub(super) assignments: Vec<Object>,
}

/// The text of a file as PowerShell writes it: UTF-16 where it has a byte order mark, else UTF-8.
///
/// # Errors
/// It is neither.
pub fn decode(bytes: &[u8]) -> Result<String, Fault> {
    let units = |order: fn([u8; 2]) -> u16, rest: &[u8]| -> Result<String, Fault> {
        let (pairs, odd) = rest.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(Fault::Encoding);
        }
        let units: Vec<u16> = pairs.iter().map(|pair| order(*pair)).collect();
        String::from_utf16(&units).map_err(|_| Fault::Encoding)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => units(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => units(u16::from_be_bytes, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => std::str::from_utf8(rest)
            .map(str::to_owned)
            .map_err(|_| Fault::Encoding),
    }
}

/// Reads one output, whatever of the known commands it is of.
///
/// # Errors
/// It has no shape that is known, or nothing of interest.
pub fn read(text: &str) -> Result<Export, Fault> {
    let objects = match text.trim_start().starts_with(['[', '{']) {
        true => from_json(text)?,
        false => from_blocks(text)?,
    };
    let mut export = Export::default();
    let mut known = false;
    for object in objects {
        let list = match () {
            () if object.has("SipSignalingPort") => &mut export.gateways,
            () if object.has("OnlinePstnGatewayList") => &mut export.routes,
            () if object.has("TelephoneNumber") && object.has("NumberType") => &mut export.assignments,
            () if object.has("LineUri") => &mut export.users,
            () => continue,
        };
        known = true;
        list.push(object);
    }
    match known {
        true => Ok(export),
        false => Err(Fault::NothingKnown),
    }
}

impl Export {
    /// What both hold.
    #[must_use]
    pub fn and(mut self, other: Export) -> Export {
        self.gateways.extend(other.gateways);
        self.routes.extend(other.routes);
        self.users.extend(other.users);
        self.assignments.extend(other.assignments);
        self
    }
}

impl Object {
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(&name.to_ascii_lowercase())
    }

    /// `None`: it has none, or an empty one.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(&name.to_ascii_lowercase())? {
            Value::Text(text) => Some(text.as_str()),
            Value::List { items, .. } => items.first().map(String::as_str),
        }
        .filter(|text| !text.is_empty())
    }

    /// The items of a list; a text is a list of one.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        match self.0.get(&name.to_ascii_lowercase()) {
            Some(Value::List { items, .. }) => items.iter().map(String::as_str).collect(),
            Some(Value::Text(text)) if !text.is_empty() => vec![text.as_str()],
            _ => Vec::new(),
        }
    }

    /// True when PowerShell left the end of this list out.
    pub(super) fn is_cut(&self, name: &str) -> bool {
        matches!(
            self.0.get(&name.to_ascii_lowercase()),
            Some(Value::List { cut: true, .. })
        )
    }

    /// `None`: it does not say.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.text(name)?.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}

/// Arrays, single objects, several of them one after the other, and arrays that Windows PowerShell wraps in `value`.
fn from_json(text: &str) -> Result<Vec<Object>, Fault> {
    let mut objects = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Json>() {
        collect(document.map_err(|error| Fault::Json(error.to_string()))?, &mut objects);
    }
    Ok(objects)
}

fn collect(json: Json, objects: &mut Vec<Object>) {
    match json {
        Json::Array(list) => {
            for item in list {
                collect(item, objects);
            }
        }
        Json::Object(mut map) => match map.remove("value") {
            Some(Json::Array(list)) => collect(Json::Array(list), objects),
            _ => objects.push(Object(
                map.into_iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value_of(value)))
                    .collect(),
            )),
        },
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn value_of(json: Json) -> Value {
    match json {
        Json::Array(items) => Value::List {
            items: items.into_iter().map(text_of).collect(),
            cut: false,
        },
        other => Value::Text(text_of(other)),
    }
}

fn text_of(json: Json) -> String {
    match json {
        Json::Null => String::new(),
        Json::String(text) => text,
        // Policies stand as objects with a name.
        Json::Object(mut map) => map.remove("Name").map_or_else(String::new, text_of),
        other => other.to_string(),
    }
}

/// A property whose value may go on in the next lines.
struct Open {
    name: String,
    value: String,
    /// Where values of its block begin.
    column: usize,
    /// Characters of its last line.
    width: usize,
}

fn from_blocks(text: &str) -> Result<Vec<Object>, Fault> {
    let text = text.replace("\r\n", "\n");
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let mut objects = vec![Object::default()];
    let mut open: Option<Open> = None;
    for (index, line) in text.lines().enumerate() {
        let indent = line.chars().take_while(|letter| *letter == ' ').count();
        if let Some(open) = open.as_mut().filter(|open| indent > 0 && indent >= open.column) {
            open.go_on(line, widest);
            continue;
        }
        if let Some(done) = open.take() {
            done.close(&mut objects);
        }
        if is_rule(line) {
            return Err(Fault::Table { line: index + 1 });
        }
        match property(line) {
            Some(property) => open = Some(property),
            None if line.trim().is_empty() => objects.push(Object::default()),
            // Prompts and messages between two outputs.
            None => {}
        }
    }
    if let Some(done) = open {
        done.close(&mut objects);
    }
    objects.retain(|object| !object.0.is_empty());
    Ok(objects)
}

impl Open {
    /// PowerShell breaks at spaces, and takes them away, or in the middle of a word that fills the line.
    fn go_on(&mut self, line: &str, widest: usize) {
        if self.value.ends_with(',') || self.width < widest {
            self.value.push(' ');
        }
        self.value.push_str(line.trim());
        self.width = line.chars().count();
    }

    /// A name that stands in the object already begins the next one.
    fn close(self, objects: &mut Vec<Object>) {
        let name = self.name.to_ascii_lowercase();
        if objects.last().is_none_or(|object| object.0.contains_key(&name)) {
            objects.push(Object::default());
        }
        if let Some(object) = objects.last_mut() {
            object.0.insert(name, list_or_text(&self.value));
        }
    }
}

/// `Name     : value`.
fn property(line: &str) -> Option<Open> {
    let (name, value) = match line.split_once(" : ") {
        Some(parts) => parts,
        None => (line.trim_end().strip_suffix(" :")?, ""),
    };
    let name = name.trim_end();
    let letters = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if name.is_empty() || !name.chars().all(letters) {
        return None;
    }
    Some(Open {
        name: name.to_owned(),
        value: value.trim().to_owned(),
        column: line.find(" :").map_or(0, |at| at + 2),
        width: line.chars().count(),
    })
}

/// The line below a table's headings.
fn is_rule(line: &str) -> bool {
    line.contains("--") && line.chars().all(|letter| letter == '-' || letter == ' ')
}

/// `{a, b…}` is a list.
fn list_or_text(value: &str) -> Value {
    let Some(inner) = value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Value::Text(value.to_owned());
    };
    let whole = inner.trim_end_matches('…').trim_end_matches("...");
    let items = whole.split(',').map(str::trim).filter(|item| !item.is_empty());
    Value::List {
        items: items.map(str::to_owned).collect(),
        cut: whole.len() < inner.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_were_wrapped_are_whole_again() {
        let text = "\r\nIdentity              : Contoso\r\n\
                    OnlinePstnGatewayList : {contoso.sbc1.example.net,\r\n                        contoso.sbc2.ex\r\n                        ample.net}\r\n\
                    Description           :\r\n\r\nIdentity : Two\r\nOnlinePstnGatewayList : {a, b, c, d...}\r\n";
        let export = read(text).unwrap();
        let [one, two] = export.routes.as_slice() else {
            panic!("{export:?}")
        };
        assert_eq!(one.text("identity"), Some("Contoso"));
        assert_eq!(one.text("Description"), None);
        assert_eq!(one.list("OnlinePstnGatewayList")[0], "contoso.sbc1.example.net");
        assert_eq!(two.list("onlinepstngatewaylist"), ["a", "b", "c", "d"]);
        assert!(two.is_cut("OnlinePstnGatewayList") && !one.is_cut("OnlinePstnGatewayList"));
    }

    #[test]
    fn a_word_that_fills_the_line_is_glued_and_a_shorter_line_is_not() {
        let wide = "NumberPattern         : ^\\+1425555\n                        0100$\nDescription           : one\n                        two\nOnlinePstnGatewayList : {}\n";
        let export = read(wide).unwrap();
        assert_eq!(export.routes[0].text("NumberPattern"), Some("^\\+14255550100$"));
        assert_eq!(export.routes[0].text("Description"), Some("one two"));
        assert!(export.routes[0].list("OnlinePstnGatewayList").is_empty());
    }

    #[test]
    fn json_is_read_in_every_shape_that_powershell_gives_it() {
        let one = r#"{"Fqdn":"a.example","SipSignalingPort":5061,"Enabled":true,"MediaBypass":null}"#;
        for text in [
            one.to_owned(),
            format!("[{one}]"),
            format!("{{\"value\":[{one}],\"Count\":1}}"),
            format!("{one}\n"),
        ] {
            let export = read(&text).unwrap();
            assert_eq!(export.gateways.len(), 1, "{text}");
            assert_eq!(export.gateways[0].number("sipSignalingPort"), Some(5061));
            assert_eq!(export.gateways[0].flag("Enabled"), Some(true));
            assert_eq!(export.gateways[0].flag("MediaBypass"), None);
        }
        assert_eq!(read(&format!("{one}{one}")).unwrap().gateways.len(), 2);
        assert!(matches!(read("[{]"), Err(Fault::Json(_))));
        assert_eq!(read("{\"a\":1}"), Err(Fault::NothingKnown));
    }

    #[test]
    fn tables_and_other_texts_are_named_for_what_they_are() {
        let table = "Identity SipSignalingPort\n-------- ----------------\na        5061\n";
        assert_eq!(read(table), Err(Fault::Table { line: 2 }));
        assert_eq!(read("hello\n"), Err(Fault::NothingKnown));
        assert_eq!(read(""), Err(Fault::NothingKnown));
    }

    #[test]
    fn each_encoding_of_powershell_is_read() {
        let text = "Identity : é\n";
        let utf16 = |order: fn(u16) -> [u8; 2], mark: [u8; 2]| -> Vec<u8> {
            mark.into_iter().chain(text.encode_utf16().flat_map(order)).collect()
        };
        let marked = [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat();
        for bytes in [
            utf16(u16::to_le_bytes, [0xff, 0xfe]),
            utf16(u16::to_be_bytes, [0xfe, 0xff]),
            marked,
            text.as_bytes().to_vec(),
        ] {
            assert_eq!(decode(&bytes), Ok(text.to_owned()));
        }
        assert_eq!(decode(&[0xff, 0xfe, 0x41]), Err(Fault::Encoding));
        assert_eq!(decode(&[0x41, 0xe9]), Err(Fault::Encoding));
    }
}
