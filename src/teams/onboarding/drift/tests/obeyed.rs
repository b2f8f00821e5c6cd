//! What Microsoft's commands would make of the script's: objects as the Get commands print them, with Microsoft's defaults for
//! what a command doesn't say.

use serde_json::{Map, Value, json};

/// All objects, gateways first; what administrators fill in is filled in.
pub fn obey(script: &str) -> Value {
    let mut gateways: Vec<Value> = Vec::new();
    let mut others: Vec<Value> = Vec::new();
    for line in script.replace(" `\n", " ").lines() {
        let line = line.trim();
        if let Some(number) = line.strip_suffix(" = ''").and_then(|line| line.strip_prefix('\'')) {
            let number = number.trim_end_matches('\'');
            others.push(json!({
                "TelephoneNumber": number,
                "NumberType": "DirectRouting",
                "PstnAssignmentStatus": "UserAssigned",
                "AssignedPstnTargetId": "0f5e1e53-2f3a-4d55-a8f0-2a6b6b6a3a51",
            }));
            others.push(json!({
                "UserPrincipalName": "ada@contoso.example",
                "LineUri": format!("tel:{number}"),
                "EnterpriseVoiceEnabled": true,
                "OnlineVoiceRoutingPolicy": { "Name": "portcullis-contoso" },
            }));
        }
        let line = line
            .strip_prefix("if ($site) { ")
            .and_then(|line| line.strip_suffix(" }"))
            .unwrap_or(line);
        let mut words = words(line).into_iter();
        let command = words.next().unwrap_or_default();
        let given = parameters(words);
        match command.as_str() {
            "New-CsOnlinePSTNGateway" => {
                let mut gateway = json!({
                    "Identity": given["Fqdn"],
                    "Enabled": false, "SendSipOptions": true, "MaxConcurrentSessions": null,
                    "FailoverTimeSeconds": 10, "FailoverResponseCodes": "408,503,504",
                    "ForwardCallHistory": false, "ForwardPai": false, "PidfLoSupported": false,
                    "MediaBypass": false, "BypassMode": "None", "GatewaySiteId": null, "ProxySbc": null,
                    "IPAddressVersion": "IPv4", "InboundTeamsNumberTranslationRules": [],
                });
                gateway.as_object_mut().expect("an object").extend(given);
                gateways.push(gateway);
            }
            "Set-CsOnlinePSTNGateway" => {
                let set = gateways.iter_mut().find(|gateway| gateway["Fqdn"] == given["Identity"]);
                set.expect("it is paired")
                    .as_object_mut()
                    .expect("an object")
                    .extend(given);
            }
            "New-CsOnlineVoiceRoute" => {
                let mut route = Value::Object(given);
                for list in ["OnlinePstnGatewayList", "OnlinePstnUsages"] {
                    let items: Vec<&str> = route[list].as_str().expect("a list").split(',').collect();
                    route[list] = json!(items);
                }
                others.push(route);
            }
            _ => {}
        }
    }
    gateways.extend(others);
    Value::Array(gateways)
}

/// Split at spaces, but not in quotes and braces.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut depth) = (Vec::new(), String::new(), None, 0);
    for letter in line.chars().chain([' ']) {
        match (letter, quote) {
            (' ', None) if depth == 0 => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            (end, Some(begun)) if end == begun => quote = None,
            ('\'' | '"', None) => quote = Some(letter),
            _ => {
                depth += i32::from(letter == '{') - i32::from(letter == '}');
                word.push(letter);
            }
        }
    }
    words
}

fn parameters(mut words: impl Iterator<Item = String>) -> Map<String, Value> {
    let mut given = Map::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        let value = match value.as_str() {
            "$true" => json!(true),
            "$false" => json!(false),
            "$null" => Value::Null,
            "$site" => json!("Seattle"),
            text => text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number)),
        };
        given.insert(name.trim_start_matches('-').to_owned(), value);
    }
    given
}
