//! What goes to the application.

use serde_json::{Map, Value};
use std::fmt;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// A message before it has its number.
#[derive(Debug, Clone, PartialEq)]
pub struct OutMessage {
    /// `verb:hook`, `call:status` and so on.
    pub kind: &'static str,
    /// The call that it is about.
    pub call_sid: String,
    /// The hook as the application wrote it, where the kind has one.
    pub hook: Option<String>,
    pub data: Value,
    /// Where the call is traced.
    pub b3: Option<String>,
    /// Whether the application has to acknowledge it.
    pub wants_ack: bool,
}

/// The number of a message, unique in its session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageId(pub(super) String);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Numbered {
    pub id: MessageId,
    pub kind: &'static str,
    pub wants_ack: bool,
    pub text: Utf8Bytes,
    /// How often it has left.
    pub times: u8,
}

impl OutMessage {
    pub(super) fn numbered(&self, id: MessageId) -> Numbered {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("type", self.kind.into());
        put("msgid", id.0.clone().into());
        put("call_sid", self.call_sid.clone().into());
        if let Some(hook) = &self.hook {
            put("hook", hook.clone().into());
        }
        put("data", self.data.clone());
        if let Some(b3) = &self.b3 {
            put("b3", b3.clone().into());
        }
        Numbered {
            id,
            kind: self.kind,
            wants_ack: self.wants_ack,
            text: Value::Object(object).to_string().into(),
            times: 0,
        }
    }
}

/// What an application said.
#[derive(Debug)]
pub enum Said {
    Ack { id: MessageId, data: Option<Value> },
    Command(Value),
    Nonsense(String),
}

/// Reads one text frame. Depth is bounded by the JSON parser (128), size by the connection.
pub fn read(text: &str) -> Said {
    let mut object = match crate::app::json::read(text.as_bytes()) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Said::Nonsense("a message is a JSON object".to_owned()),
        Err(error) => return Said::Nonsense(format!("a message is JSON: {error}")),
    };
    match object.get("type").and_then(Value::as_str) {
        Some("ack") => match object.remove("msgid") {
            Some(Value::String(id)) => Said::Ack {
                id: MessageId(id),
                data: object.remove("data").filter(|data| !data.is_null()),
            },
            _ => Said::Nonsense("an ack names the msgid that it acknowledges".to_owned()),
        },
        Some("command") => Said::Command(Value::Object(object)),
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            Said::Nonsense(format!("type {other:?} is neither ack nor command"))
        }
        None => Said::Nonsense("a message has a type: ack or command".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_message_carries_what_the_subprotocol_names() {
        let mut message = OutMessage {
            kind: "verb:hook",
            call_sid: "c1".to_owned(),
            hook: Some("/done".to_owned()),
            data: json!({"digits": "1"}),
            b3: Some("a-b-1".to_owned()),
            wants_ack: true,
        };
        let text = message.numbered(MessageId("m1".to_owned())).text;
        let expected = json!({"type": "verb:hook", "msgid": "m1", "call_sid": "c1", "hook": "/done",
            "data": {"digits": "1"}, "b3": "a-b-1"});
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        message.hook = None;
        message.b3 = None;
        let text = message.numbered(MessageId("m2".to_owned())).text;
        let expected = json!({"type": "verb:hook", "msgid": "m2", "call_sid": "c1", "data": {"digits": "1"}});
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }

    #[test]
    fn acks_and_commands_are_told_from_nonsense() {
        let Said::Ack { id, data } = read(r#"{"type":"ack","msgid":"m1","data":[{"verb":"hangup"}]}"#) else {
            panic!("no ack")
        };
        assert_eq!((id.0.as_str(), data), ("m1", Some(json!([{"verb": "hangup"}]))));
        assert!(matches!(
            read(r#"{"type":"ack","msgid":"m1","data":null}"#),
            Said::Ack { data: None, .. }
        ));
        assert!(matches!(
            read(r#"{"type":"command","command":"redirect"}"#),
            Said::Command(_)
        ));
        let deep = "[".repeat(1_000);
        for text in ["", "1", "[]", "{}", r#"{"type":"ack"}"#, r#"{"type":"hello"}"#, &deep] {
            assert!(matches!(read(text), Said::Nonsense(_)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,120}") {
            let _said = read(&text);
        }
    }
}
