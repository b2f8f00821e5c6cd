//! Every rule that the simulated Teams enforces, with its number. What is found by a word that is not here has none.

use crate::sim::violation::{Rule, RuleId};

const fn rule(word: &'static str, id: u8, broken_by: &'static str, answer: Option<&'static str>) -> Rule {
    Rule {
        word,
        id: Some(RuleId(id)),
        broken_by,
        answer,
        only_strict: false,
    }
}

/// Noted only where the simulator is strict.
const fn strict(word: &'static str, id: u8, broken_by: &'static str) -> Rule {
    Rule {
        only_strict: true,
        ..rule(word, id, broken_by, None)
    }
}

const fn of_sip(word: &'static str, broken_by: &'static str, answer: Option<&'static str>) -> Rule {
    Rule {
        word,
        id: None,
        broken_by,
        answer,
        only_strict: false,
    }
}

/// In the order of their numbers.
pub(in crate::sim) const RULES: &[Rule] = &[
    rule("sips", 1, "`sips:` in the Request-URI or Contact", None),
    rule("via", 1, "a Via that is not TLS", None),
    rule(
        "version",
        2,
        "no version of TLS in common: Teams has 1.2 and 1.3",
        Some("no connection"),
    ),
    rule(
        "suite",
        3,
        "no suite in common: Teams has ECDHE-RSA-AES256-GCM-SHA384 and ECDHE-RSA-AES128-GCM-SHA256 in TLS 1.2, which need an RSA key",
        Some("no connection"),
    ),
    rule(
        "key",
        4,
        "a certificate whose key is not RSA of 2048 bits or more",
        Some("no connection"),
    ),
    rule("no-certificate", 6, "no client certificate", Some("no connection")),
    rule("usage", 7, "a certificate without serverAuth", Some("no connection")),
    rule(
        "own-connection",
        14,
        "a request on a connection that Teams opened",
        Some("none: it is dropped"),
    ),
    rule(
        "response-connection",
        15,
        "a response on a connection that the SBC opened, while those of Teams stand",
        None,
    ),
    strict(
        "old-connection",
        17,
        "a request on a connection that the SBC opened more than an hour ago",
    ),
    strict(
        "options-interval",
        22,
        "an OPTIONS less than 60 s or more than 180 s after the last one on its connection, give or take a fifth",
    ),
    rule(
        "options-contact",
        23,
        "an OPTIONS whose Contact lacks port or `transport=tls`, or has an empty user",
        None,
    ),
    rule(
        "options-unanswered",
        25,
        "an OPTIONS of Teams that is not answered with 200 and Allow, or with 503 by who drains",
        None,
    ),
    rule(
        "contact",
        29,
        "a request or an answer to INVITE without a Contact that can be read",
        Some("400"),
    ),
    rule(
        "trunk",
        29,
        "the host of Contact is no name of the connection's client certificate (exactly, or one label under a wildcard)",
        Some("403, cause 63"),
    ),
    rule(
        "tenant",
        29,
        "a Contact in an INVITE, 18x or 2xx with another host than the trunk that the call is of",
        None,
    ),
    rule("contact-transport", 29, "a Contact without `transport=tls`", None),
    rule("address", 30, "an IP address in Contact or Record-Route", None),
    rule(
        "own-record-route",
        31,
        "a Record-Route in a request of a user agent",
        None,
    ),
    rule(
        "route",
        33,
        "a request inside a call that does not go by Record-Route",
        None,
    ),
    rule("record-route", 33, "18x or 2xx without our Record-Route", None),
    rule(
        "request-uri",
        34,
        "a request inside a call whose Request-URI is not Contact, byte for byte",
        None,
    ),
    strict("x-ms-sbc", 38, "no X-MS-SBC, or one that is not Vendor/Product/Version"),
    rule(
        "user-phone",
        39,
        "a number in Request-URI, From, To or P-Asserted-Identity without `user=phone`",
        None,
    ),
    rule("e164", 40, "a Request-URI with a number without `+`", None),
    strict("from-e164", 41, "a From with a number without `+`"),
    rule(
        "anonymous",
        42,
        "an anonymous From at another host than anonymous.invalid",
        None,
    ),
    rule("privacy", 42, "an anonymous From without `Privacy: id`", None),
    rule("100rel", 43, "`Require: 100rel`", Some("420")),
    rule(
        "require",
        43,
        "a Require of anything that Teams does not know",
        Some("420"),
    ),
    rule("replaces", 43, "a Replaces header", Some("403")),
    rule(
        "method",
        44,
        "REFER, UPDATE, PRACK, INFO, SUBSCRIBE, MESSAGE",
        Some("405"),
    ),
    strict(
        "late-ringing",
        45,
        "neither 18x nor a final response within 10 s of our INVITE",
    ),
    rule("ringing-description", 48, "180 with a description", None),
    rule("max-forwards", 52, "a request without Max-Forwards", None),
    rule(
        "offer",
        59,
        "an INVITE without a description that can be read",
        Some("488"),
    ),
    rule(
        "tried-again",
        64,
        "an INVITE that comes again after 4xx or 6xx, under its Call-ID or at another hub",
        None,
    ),
    rule("ack-missing", 67, "no ACK within 4 s of our 200", Some("BYE")),
    rule(
        "two-hubs",
        70,
        "an INVITE of the same caller to the same number at a second hub while the first rings",
        None,
    ),
    rule("direction", 71, "`sendonly`, `recvonly`", None),
    rule("blackhole", 71, "`c=IN IP4 0.0.0.0`", None),
    rule(
        "hold-answer",
        72,
        "an offer of `inactive` that is answered with another direction",
        None,
    ),
    rule("hold-refused", 72, "a hold or a resume of ours that is refused", None),
    rule(
        "media-moved",
        73,
        "another media address or port than at the beginning",
        None,
    ),
    strict("protocol-moved", 73, "another transport than at the beginning"),
    rule(
        "description-version",
        74,
        "a version in `o=` that changes while nothing else does, or stays while something does",
        None,
    ),
    rule(
        "session-interval",
        75,
        "Session-Expires under 300 s",
        Some("422 under 90 s"),
    ),
    strict("min-se", 75, "Min-SE under 300 s"),
    rule("allow", 81, "an INVITE or its 2xx whose Allow lacks NOTIFY", None),
    rule(
        "transfer-invite",
        83,
        "an INVITE whose Request-URI or To is not Refer-To, byte for byte, or whose description is not live",
        None,
    ),
    rule(
        "referred-by",
        83,
        "Referred-By that is not as it came, byte for byte",
        None,
    ),
    rule(
        "notify",
        84,
        "a NOTIFY without Event, Subscription-State or a fragment of SIP, or none where one is due",
        None,
    ),
    rule(
        "second-invite",
        85,
        "another INVITE for a REFER after the first failed",
        None,
    ),
    strict(
        "supported",
        88,
        "an INVITE or its 2xx that does not list `replaces` in Supported",
    ),
    rule("replaced-bye", 88, "no BYE in the dialog that was replaced", None),
    rule(
        "replaces-refused",
        88,
        "a call that takes over one that is up, and is not answered",
        None,
    ),
    rule(
        "refer-refused",
        89,
        "a REFER that is not answered 202, where `Allow` lists REFER: else the trunk does not offer it, and a line says so",
        None,
    ),
    rule("srtp", 92, "RTP/AVP", Some("488, cause 88")),
    rule(
        "crypto",
        93,
        "no AES_CM_128_HMAC_SHA1_80 in an offer",
        Some("488, cause 88"),
    ),
    rule("crypto-lifetime", 93, "a key without its lifetime in an offer", None),
    rule("crypto-key", 93, "a key that is not 40 characters of Base64", None),
    rule(
        "answer-crypto",
        93,
        "an answer without just one key, under the tag that its AES_CM_128_HMAC_SHA1_80 has in the offer",
        None,
    ),
    rule(
        "answer-profile",
        94,
        "an answer with another transport than its offer",
        None,
    ),
    rule("answer-dtls", 94, "an answer with `a=fingerprint` or `a=setup`", None),
    rule("mux", 95, "an offer without `rtcp-mux`", None),
    rule(
        "answer-mux",
        95,
        "an answer with `rtcp-mux` to an offer without it",
        None,
    ),
    rule("packet-time", 96, "another `ptime` than 20", None),
    rule("codec", 96, "an offer without a codec of Teams", None),
    rule("payload-types", 97, "the same payload type twice", None),
    rule("telephone-event", 98, "an offer without telephone-event", None),
    rule(
        "ice",
        99,
        "on a trunk with media bypass: no ICE lite, or not one candidate of IPv4 for each port that is where media are said to be",
        Some("488, cause 88, to an offer without ICE"),
    ),
    rule(
        "ice-changed",
        101,
        "other credentials or candidates than at the beginning, while Teams has not restarted ICE",
        None,
    ),
    rule(
        "no-media",
        103,
        "neither RTP nor RTCP for 12 s while a call is up, on hold too",
        None,
    ),
    rule(
        "cancel-reason",
        115,
        "a CANCEL without `SIP;cause=200;text=\"Call completed elsewhere\"` after another side answered",
        None,
    ),
    of_sip("answer", "an answer that cannot be agreed with", None),
    of_sip("late-answer", "an answer in ACK that cannot be agreed with", None),
    of_sip("content-type", "anything but `application/sdp`", Some("415")),
    of_sip(
        "description",
        "a description that cannot be read, or has no audio",
        None,
    ),
    of_sip("dialog", "a response that makes no dialog", None),
    of_sip("early-request", "a request before the answer", Some("481")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_once_and_numbers_in_order() {
        let mut words: Vec<_> = RULES.iter().map(|rule| rule.word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), RULES.len());
        let numbers: Vec<_> = RULES.iter().filter_map(|rule| rule.id).collect();
        assert!(numbers.is_sorted());
    }

    /// The page has a line for each.
    #[test]
    fn every_rule_stands_in_the_documentation() {
        let page = include_str!("../../../../docs/simulators.md");
        for rule in RULES {
            let id = rule.id.map_or_else(String::new, |id| id.to_string());
            let answer = rule.answer.unwrap_or_default();
            let word = if rule.only_strict { "*" } else { "" };
            let row = format!("| `{}`{word} | {id} | {} | {answer} |", rule.word, rule.broken_by);
            assert!(page.contains(&row), "docs/simulators.md has no row\n{row}");
        }
    }
}
