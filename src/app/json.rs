//! JSON of applications as it was meant: a name that stands twice in an object is a mistake, not the last one's.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// What some servers write before UTF-8; a reader may ignore it (RFC 8259 §8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads JSON of which every name counts. Depth is bounded by the parser (128).
pub fn read(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    serde_json::from_slice::<Once>(bytes).map(|once| once.0)
}

/// A value in which every object has each name once.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Once, D::Error> {
        deserializer.deserialize_any(Reader).map(Once)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Once(value)) = list.next_element()? {
            all.push(value);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((name, Once(value))) = object.next_entry::<String, Once>()? {
            if all.contains_key(&name) {
                let shown: String = name.chars().take(64).collect();
                return Err(A::Error::custom(format_args!(
                    "'{}' is there twice",
                    shown.escape_debug()
                )));
            }
            all.insert(name, value);
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_stands_twice_is_named_with_its_place() {
        for text in [
            r#"{"status":404,"status":486}"#,
            r#"[{"verb":"sip:decline","a":{"status":1,"x":[],"status":1}}]"#,
        ] {
            let said = read(text.as_bytes()).expect_err(text).to_string();
            assert!(said.starts_with("'status' is there twice at line 1"), "{said}");
        }
        assert!(read(br#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#).is_ok());
    }

    #[test]
    fn what_is_deep_is_refused_as_before() {
        for depth in [100, 1_000] {
            let text = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(read(text.as_bytes()).is_ok(), depth == 100);
        }
    }

    #[test]
    fn a_byte_order_mark_before_it_means_nothing() {
        assert_eq!(read(b"\xef\xbb\xbf[1]").expect("a list"), serde_json::json!([1]));
        assert!(read(b"[\xef\xbb\xbf1]").is_err());
    }

    proptest! {
        #[test]
        fn all_else_reads_as_it_would(text in r#"[\[\]{}",:a-c0-9.eE+\- nulltrfs\\]{0,40}"#) {
            if let Ok(read) = read(text.as_bytes()) {
                prop_assert_eq!(read, serde_json::from_str::<Value>(&text).expect("read before"));
            }
        }
    }
}
