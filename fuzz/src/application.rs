//! What applications answer, command and write.

use portcullis::app::command::{read_command, read_new_call, read_update};
use portcullis::app::outbound::HookUrl;
use portcullis::app::pattern::Collector;
use portcullis::app::sounds::Place;
use portcullis::app::verb::{Verb, is_markup, parse_application, passages};
use portcullis::app::websocket;
use portcullis::moment::Moment;
use serde_json::Value;

/// The answer to a hook.
pub fn answer_of_application(bytes: &[u8]) {
    match parse_application(bytes) {
        Ok(verbs) => {
            let kept = serde_json::to_string(&verbs).expect("verbs are kept with their call");
            let again: Vec<Verb> = serde_json::from_str(&kept).expect("and read back");
            assert_eq!(again, verbs);
        }
        Err(error) => {
            let _shown = error.to_string();
        }
    }
}

/// A command over a WebSocket.
pub fn command(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        let _said = read_command(value).map_err(|error| error.to_string());
    }
}

/// The body of an update, or of a new call, over REST.
pub fn update(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        let _wishes = read_update(value.clone()).map_err(|error| error.to_string());
        let _call = read_new_call(value).map_err(|error| error.to_string());
    }
}

/// A text frame of an application's WebSocket.
pub fn websocket_text(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        match websocket::read(text) {
            websocket::Said::Command(value) => {
                let _said = read_command(value).map_err(|error| error.to_string());
            }
            websocket::Said::Ack { data: Some(data), .. } => {
                let _verbs = portcullis::app::verb::read_application(data).map_err(|error| error.to_string());
            }
            websocket::Said::Ack { data: None, .. } | websocket::Said::Nonsense(_) => {}
        }
    }
}

/// A text that stands in a verb: what is to be said, a URL, the name of a sound, patterns of keys.
pub fn written_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let spoken = passages(text);
    let kept: usize = spoken.iter().map(String::len).sum();
    assert!(kept <= text.len() + spoken.len());
    let _markup = is_markup(text);
    let base = HookUrl::parse("https://app.example.com/start", None).expect("a URL");
    if let Ok(url) = HookUrl::parse(text, Some(&base)) {
        assert_eq!(
            HookUrl::parse(url.as_str(), None).map(|again| again.as_str() == url.as_str()),
            Ok(true)
        );
        let _next = url.follow(text);
        let _asked = url.with_query([("a", text.to_owned())].into_iter());
    }
    if let Ok(Place::File(name)) = Place::parse(text, Some(&base)) {
        assert!(
            !name.starts_with('/') && name.split('/').all(|part| part != ".."),
            "{name}"
        );
    }
    let mut collector = Collector::new(text.lines().map(str::to_owned).collect());
    for (at, key) in text.chars().take(1_000).enumerate() {
        collector.key(key, Moment::from_micros(at as u64));
    }
}
