//! `[carriers.numbers]`: how a trunk writes numbers.

use super::reader::Reader;
use crate::config::checked::{BareNumbers, NumberFormat, NumberRule, NumberRules};
use crate::config::names::Invalid;
use crate::config::number::DialString;
use crate::config::raw::{At, RawBare, RawFormat, RawNumberRule, RawNumberRules};

/// The rules, or `None` when something was wrong.
pub fn check(raw: Option<&RawNumberRules>, reader: &mut Reader<'_>) -> Option<NumberRules> {
    let Some(raw) = raw else {
        return Some(NumberRules {
            country_code: None,
            national_prefix: String::new(),
            international_prefix: "00".to_owned(),
            bare: BareNumbers::International,
            inbound: Vec::new(),
            outbound: Vec::new(),
            format: NumberFormat::Plus,
        });
    };
    let country_code = reader.parse_optional(raw.country_code.as_ref(), "country code", country_code);
    let national_prefix = prefix(raw.national_prefix.as_ref(), "", reader);
    let international_prefix = prefix(raw.international_prefix.as_ref(), "00", reader);
    let bare = match raw.bare.as_ref().map(At::value) {
        None | Some(RawBare::International) => BareNumbers::International,
        Some(RawBare::National) => BareNumbers::National,
    };
    let format = match raw.format.as_ref().map(At::value) {
        None | Some(RawFormat::Plus) => NumberFormat::Plus,
        Some(RawFormat::Digits) => NumberFormat::Digits,
        Some(RawFormat::Prefixed) => NumberFormat::Prefixed,
        Some(RawFormat::National) => NumberFormat::National,
    };
    let needs = [
        (raw.bare.as_ref().map(At::span), bare == BareNumbers::National),
        (raw.format.as_ref().map(At::span), format == NumberFormat::National),
        (
            raw.national_prefix.as_ref().map(At::span),
            raw.national_prefix
                .as_ref()
                .is_some_and(|prefix| !prefix.value().is_empty()),
        ),
    ];
    for (span, needed) in needs {
        if let (Some(span), true, true) = (span, needed, raw.country_code.is_none()) {
            reader.fault_expecting(
                span,
                "national numbers without a country",
                "`country_code`, such as \"1\" or \"44\"",
            );
        }
    }
    let inbound = rules(&raw.inbound, reader);
    let outbound = rules(&raw.outbound, reader);
    Some(NumberRules {
        country_code: country_code?,
        national_prefix: national_prefix?,
        international_prefix: international_prefix?,
        bare,
        inbound: inbound?,
        outbound: outbound?,
        format,
    })
}

fn country_code(text: &str) -> Result<String, Invalid> {
    let fits = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Invalid("1 to 3 digits without +, such as \"1\" or \"44\""))
    }
}

fn prefix(text: Option<&At<String>>, default: &str, reader: &mut Reader<'_>) -> Option<String> {
    let digits = |text: &str| {
        let fits = text.len() <= 8 && text.bytes().all(|b| b.is_ascii_digit());
        if fits {
            Ok(text.to_owned())
        } else {
            Err(Invalid("up to 8 digits"))
        }
    };
    text.map_or_else(|| Some(default.to_owned()), |text| reader.parse(text, "prefix", digits))
}

fn rules(raw: &[At<RawNumberRule>], reader: &mut Reader<'_>) -> Option<Vec<NumberRule>> {
    let rules: Vec<Option<NumberRule>> = raw.iter().map(|raw| rule(raw, reader)).collect();
    rules.into_iter().collect()
}

fn rule(raw: &At<RawNumberRule>, reader: &mut Reader<'_>) -> Option<NumberRule> {
    let (place, raw) = (raw.span(), raw.value());
    let mut dialled = |text: Option<&At<String>>| match text {
        Some(text) => reader.parse(text, "dial string", DialString::parse),
        None => DialString::parse("").ok(),
    };
    let prefix = dialled(raw.prefix.as_ref());
    let add = dialled(raw.add.as_ref());
    let bound = |at: &Option<At<u8>>, default: u8| at.as_ref().map_or(default, |at| *at.value());
    let (least, most) = (bound(&raw.min_length, 1), bound(&raw.max_length, 32));
    let strip = bound(&raw.strip, 0);
    let before = reader.mistakes.len();
    if least > most {
        reader.fault(place.clone(), "`min_length` is above `max_length`: no number matches");
    }
    if strip == 0 && raw.add.is_none() {
        reader.fault_expecting(place.clone(), "this rule changes nothing", "`strip`, `add` or both");
    }
    let sure = usize::from(least).max(raw.prefix.as_ref().map_or(0, |prefix| prefix.value().len()));
    if usize::from(strip) > sure && raw.strip.is_some() && prefix.is_some() {
        let expected = format!("at most {sure}, what every matching number has, or a longer `prefix` or `min_length`");
        reader.fault_expecting(
            raw.strip.as_ref().map_or(place, At::span),
            "`strip` takes more than a matching number may have",
            expected,
        );
    }
    let bounded = raw.min_length.is_some() || raw.max_length.is_some();
    let (prefix, add) = (prefix?, add?);
    (reader.mistakes.len() == before).then_some(NumberRule {
        prefix,
        length: bounded.then_some(usize::from(least)..=usize::from(most)),
        strip: usize::from(strip),
        add,
    })
}
