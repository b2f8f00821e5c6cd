//! The OpenAPI document, made of the table of operations.

use super::page::words_of;
use super::routes::{Operation, operations};
use serde_json::{Map, Value, json};

/// Bodies that clients send.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    Create,
    Update,
}

/// Bodies that clients get.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    None,
    Problem,
    Placed,
    Answered,
    Call,
    Calls,
    Count,
    Resources,
}

/// The document that `/v1/openapi.json` serves; `docs/openapi.json` is a copy that a test keeps fresh.
pub fn openapi() -> Value {
    let mut paths = Map::new();
    for operation in operations() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(operation.method.to_owned(), described(&operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "portcullis",
            "description": "Calls of an account: placed, listed, changed. Bodies are those of jambonz' interface.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn described(operation: &Operation) -> Value {
    let mut parameters = Vec::new();
    for name in ["account_sid", "call_sid"] {
        if operation.path.contains(&format!("{{{name}}}")) {
            let schema = json!({ "type": "string", "format": "uuid" });
            parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
        }
    }
    for (name, description) in operation.queries {
        let schema = match (words_of(name), *name) {
            (Some(words), _) => json!({ "enum": words }),
            (None, "page" | "count") => json!({ "type": "integer", "minimum": 1 }),
            (None, _) => json!({ "type": "string" }),
        };
        parameters.push(json!({ "name": name, "in": "query", "description": description, "schema": schema }));
    }
    let mut answers = Map::new();
    let mut answer = |status: u16, description: &str, content: Content| {
        let mut value = json!({ "description": description });
        if let (Some(schema), Some(object)) = (content.schema(), value.as_object_mut()) {
            object.insert(
                "content".to_owned(),
                json!({ "application/json": { "schema": schema } }),
            );
        }
        answers.insert(status.to_string(), value);
    };
    for (status, description, content) in operation.answers {
        answer(*status, description, *content);
    }
    answer(401, "There is no token, or it is not known", Content::Problem);
    answer(
        429,
        "A limit is reached; `Retry-After` says how many seconds to wait",
        Content::Problem,
    );
    if operation.path.contains("{account_sid}") {
        answer(403, "The token is for another account", Content::Problem);
    }
    if operation.body.is_some() {
        answer(
            408,
            "The body did not come within 10 seconds of its head",
            Content::Problem,
        );
        answer(413, "The body is too long", Content::Problem);
    }
    let mut value = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": answers,
    });
    if let (Some(body), Some(object)) = (operation.body, value.as_object_mut()) {
        let schema = match body {
            Body::Create => reference("NewCall"),
            Body::Update => reference("CallUpdate"),
        };
        let body = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        object.insert("requestBody".to_owned(), body);
    }
    value
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

impl Content {
    fn schema(self) -> Option<Value> {
        Some(match self {
            Content::None => return None,
            Content::Problem => reference("Problem"),
            Content::Placed => reference("Placed"),
            Content::Answered => reference("SipAnswer"),
            Content::Call => reference("Call"),
            Content::Calls => json!({ "type": "array", "items": reference("Call") }),
            Content::Count => reference("CallCount"),
            Content::Resources => json!({ "type": "array", "items": { "type": "object" } }),
        })
    }
}

fn schemas() -> Value {
    let text = || json!({ "type": "string" });
    let whole = || json!({ "type": "integer", "minimum": 0 });
    let seconds = || json!({ "type": "number", "minimum": 0 });
    let object = |properties: Value| json!({ "type": "object", "properties": properties });
    let hook_table = object(json!({
        "url": text(),
        "method": { "enum": ["GET", "POST"] },
        "username": text(),
        "password": text(),
    }));
    let hook = json!({ "oneOf": [text(), hook_table] });
    let headers = json!({ "type": "object", "additionalProperties": { "type": ["string", "number"] } });
    let target = object(json!({
        "type": { "enum": ["phone", "sip", "user", "teams"] },
        "number": text(),
        "trunk": text(),
        "sipUri": text(),
        "name": text(),
        "tenant": text(),
        "vmail": { "type": "boolean" },
        "auth": object(json!({ "username": text(), "password": text() })),
    }));
    let whisper = json!({ "description": "One `say` or `play` verb, or several", "type": ["object", "array"] });
    json!({
        "Hook": hook,
        "NewCall": {
            "type": "object",
            "required": ["from", "to"],
            "description": "Steered by `application_sid` or by `call_hook`, once it is answered.",
            "properties": {
                "from": text(),
                "to": target,
                "application_sid": { "type": "string", "format": "uuid" },
                "call_hook": reference("Hook"),
                "call_status_hook": reference("Hook"),
                "referHook": reference("Hook"),
                "callerName": text(),
                "fromHost": text(),
                "headers": headers,
                "tag": { "type": "object" },
                "timeout": seconds(),
                "timeLimit": seconds(),
                "answerOnBridge": { "type": "boolean" },
                "speech_synthesis_vendor": text(),
                "speech_synthesis_language": text(),
                "speech_synthesis_voice": text(),
                "speech_recognizer_vendor": text(),
                "speech_recognizer_language": text(),
            },
        },
        "CallUpdate": object(json!({
            "call_hook": reference("Hook"),
            "child_call_hook": reference("Hook"),
            "call_status_hook": reference("Hook"),
            "boostAudioSignal": { "type": ["number", "string"] },
            "call_status": { "enum": ["completed", "no-answer"] },
            "mute_status": { "enum": ["mute", "unmute"] },
            "whisper": whisper,
            "dtmf": object(json!({ "digit": text(), "duration": whole() })),
            "tag": { "type": "object" },
            "sip_request": object(json!({
                "method": text(),
                "content_type": text(),
                "content": text(),
                "headers": headers,
            })),
        })),
        "Placed": object(json!({ "sid": { "type": "string", "format": "uuid" }, "callId": text() })),
        "SipAnswer": object(json!({ "status": whole(), "reason": text() })),
        "Call": {
            "type": "object",
            "properties": {
                "call_sid": { "type": "string", "format": "uuid" },
                "account_sid": { "type": "string", "format": "uuid" },
                "application_sid": { "type": "string", "format": "uuid" },
                "parent_call_sid": { "type": "string", "format": "uuid" },
                "direction": { "enum": ["inbound", "outbound"] },
                "from": text(),
                "to": text(),
                "call_status": text(),
                "sip_status": whole(),
                "sip_reason": text(),
                "call_id": text(),
                "duration": whole(),
            },
        },
        "CallCount": object(json!({ "inbound": whole(), "outbound": whole() })),
        "Problem": object(json!({ "msg": text() })),
    })
}
