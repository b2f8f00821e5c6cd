//! A description as Teams reads it: what would be refused with 488, by attribute.

use std::collections::HashSet;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub rule: &'static str,
    pub evidence: String,
    pub fix: &'static str,
}

/// Names of codecs that Teams has, as rtpmap writes them.
const CODECS: [&str; 5] = ["PCMU/8000", "PCMA/8000", "G722/8000", "G729/8000", "SILK/"];
/// Payload types that mean a codec of Teams without an rtpmap (RFC 3551).
const STATIC: [&str; 4] = ["0", "8", "9", "18"];
/// Base64 of 30 octets: key and salt of AES_CM_128 (RFC 4568 §6.1).
const KEY_LENGTH: usize = 40;
const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

/// Everything that is wrong with a description of ours.
pub fn faults(text: &str) -> Vec<Fault> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let audio = lines.iter().find_map(|line| line.strip_prefix("m=audio "));
    let Some(audio) = audio else {
        return vec![Fault {
            rule: "audio",
            evidence: "the description has no audio".to_owned(),
            fix: "Teams takes no call without audio.",
        }];
    };
    let words: Vec<&str> = audio.split(' ').collect();
    let (protocol, payloads) = (
        words.get(1).copied().unwrap_or_default(),
        words.get(2..).unwrap_or_default(),
    );
    let mut found = Vec::new();
    found.extend(security(protocol, &lines));
    found.extend(numbers(payloads, &lines));
    found.extend(codecs(payloads, &lines));
    found
}

fn security(protocol: &str, lines: &[&str]) -> Vec<Fault> {
    if !protocol.ends_with("/SAVP") {
        return vec![Fault {
            rule: "plain-rtp",
            evidence: format!("m=audio says {protocol}"),
            fix: "Teams takes SRTP alone (488, 531000).",
        }];
    }
    let crypto: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("a=crypto:")).collect();
    let ours: Vec<&&str> = crypto
        .iter()
        .filter(|line| line.split(' ').nth(1) == Some(SUITE))
        .collect();
    if ours.is_empty() {
        let listed: Vec<&str> = crypto.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        let listed = if listed.is_empty() {
            "no suite".to_owned()
        } else {
            listed.join(", ")
        };
        return vec![Fault {
            rule: "crypto-suite",
            evidence: format!("a=crypto lists {listed}, and not {SUITE}"),
            fix: "Without that suite there is one-way or no audio, or 488 (531000).",
        }];
    }
    let key = |line: &str| {
        let key = line.split(' ').find_map(|word| word.strip_prefix("inline:"))?;
        Some(key.split('|').next().unwrap_or(key).to_owned())
    };
    let is_right = |key: &String| {
        let base64 = key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
        key.len() == KEY_LENGTH && base64
    };
    let wrong = ours.iter().filter(|line| !key(line).as_ref().is_some_and(is_right));
    let fault = wrong.map(|line| Fault {
        rule: "crypto-key",
        // The key itself is nobody's business.
        evidence: format!(
            "the key of {SUITE} has {} characters, or others than Base64's",
            key(line).map_or(0, |key| key.len())
        ),
        fix: "It is 40 characters of Base64 without padding: 30 octets of key and salt.",
    });
    fault.collect()
}

fn numbers(payloads: &[&str], lines: &[&str]) -> Option<Fault> {
    let mapped: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("a=rtpmap:")?.split(' ').next())
        .collect();
    let number = twice(payloads).or_else(|| twice(&mapped))?;
    Some(Fault {
        rule: "payload-twice",
        evidence: format!("payload type {number} stands there twice"),
        fix: "Each format needs a number of its own: Teams refuses such an offer.",
    })
}

fn twice<'a>(numbers: &[&'a str]) -> Option<&'a str> {
    let mut seen = HashSet::new();
    numbers.iter().copied().find(|number| !seen.insert(*number))
}

fn codecs(payloads: &[&str], lines: &[&str]) -> Option<Fault> {
    let mapped = |payload: &str| {
        let map = lines.iter().find_map(|line| {
            let (number, name) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
            (number == payload).then_some(name)
        });
        map.map(str::to_ascii_uppercase)
    };
    let is_known = |payload: &&str| match mapped(payload) {
        Some(name) => CODECS.iter().any(|codec| name.starts_with(codec)),
        None => STATIC.contains(payload),
    };
    if payloads.iter().any(is_known) {
        return None;
    }
    Some(Fault {
        rule: "codec",
        evidence: format!("none of the formats {} is a codec that Teams has", payloads.join(" ")),
        fix: "Offer PCMU, PCMA, G722 or G729: `codecs` of the carrier.",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "v=0\r\nc=IN IP4 198.51.100.10\r\nm=audio 20000 RTP/SAVP 8 0 13 101\r\na=rtpmap:8 PCMA/8000\r\n\
        a=rtpmap:0 PCMU/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd|2^31\r\na=sendrecv\r\n";

    #[test]
    fn each_fault_has_its_rule() {
        assert_eq!(faults(RIGHT), []);
        for (from, to, rule) in [
            ("RTP/SAVP", "RTP/AVP", "plain-rtp"),
            ("SHA1_80", "SHA1_32", "crypto-suite"),
            ("GBkaGxwd|", "GBkaGxwdHg==|", "crypto-key"),
            ("8 0 13 101", "8 0 8 101", "payload-twice"),
            ("a=rtpmap:13 CN/8000", "a=rtpmap:101 CN/8000", "payload-twice"),
            ("8 0 13 101", "13 101", "codec"),
            ("m=audio", "m=video", "audio"),
        ] {
            let found = faults(&RIGHT.replacen(from, to, 1));
            assert_eq!(found.iter().map(|fault| fault.rule).collect::<Vec<_>>(), [rule], "{to}");
            assert!(!found[0].evidence.contains("AAECAw"), "a key: {found:?}");
        }
    }
}
