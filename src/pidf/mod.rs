//! Location records of emergency callers (PIDF-LO, RFC 4119 and RFC 5139), as far as numbers are in them. Pure.
//!
//! In: the body of an INVITE and its Content-Type. Out: the emergency location identification numbers (ELINs) that the
//! record names, as they are written there. Teams' administrators set one with a location (`-Elin`), which comes in the
//! element `ELIN`; older location servers have no field of that name and carry it in `NAM`, the company's.

use crate::sdp;

/// Numbers of one record that are looked at. Other border controllers take five.
pub const MOST_ELINS: usize = 16;
/// Octets of a record that is read. Those of Teams have about a thousand.
const MOST_OCTETS: usize = 16_384;
/// Elements, texts and comments of a record that is read; attributes and namespaces are no nodes of the parser's.
const MOST_NODES: u32 = 4_096;
/// What a record may have how often: the parser copies all namespaces in scope to each element that declares one, and
/// compares each attribute of an element with those before it. Records of Teams have about ten of each.
const MOST_OF: [(&str, usize); 2] = [("xmlns", 64), ("=", 1_024)];
/// Characters of the parser's word about a record: names of a peer's stand in it.
const LONGEST_WHY: usize = 80;

/// Why a location record says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PidfError {
    #[error("the body's parts can't be told: {0}")]
    Parts(sdp::SdpError),
    #[error("{octets} octets, more than {MOST_OCTETS}")]
    TooLong { octets: usize },
    #[error("more than {most} times `{what}`")]
    TooMany { what: &'static str, most: usize },
    #[error("it is not written in UTF-8")]
    NotUtf8,
    /// A document type is refused unread, so that its entities can't grow.
    #[error("no XML that is read here: {0}")]
    Xml(String),
}

/// The ELINs in the location record of a body, those in `ELIN` first, each once and in order: digits, mostly with a `+`.
/// `None`: the body has no such record.
pub fn elins(content_type: &str, body: &[u8]) -> Result<Option<Vec<String>>, PidfError> {
    let record = sdp::part_of(content_type, body, "application/pidf+xml").map_err(PidfError::Parts)?;
    record.map(read).transpose()
}

fn read(record: &[u8]) -> Result<Vec<String>, PidfError> {
    if record.len() > MOST_OCTETS {
        return Err(PidfError::TooLong { octets: record.len() });
    }
    let text = std::str::from_utf8(record).map_err(|_| PidfError::NotUtf8)?;
    for (what, most) in MOST_OF {
        if text.matches(what).nth(most).is_some() {
            return Err(PidfError::TooMany { what, most });
        }
    }
    let options = roxmltree::ParsingOptions {
        allow_dtd: false,
        nodes_limit: MOST_NODES,
        ..roxmltree::ParsingOptions::default()
    };
    // The line end before the next delimiter belongs to the delimiter (RFC 2046 §5.1.1); XML may not begin with one either.
    let document = roxmltree::Document::parse_with_options(text.trim(), options)
        .map_err(|error| PidfError::Xml(printable(&error.to_string())))?;
    let mut found: Vec<String> = Vec::new();
    for wanted in ["ELIN", "NAM"] {
        // Whatever namespace it is in: some write that of civic addresses wrong.
        let elements = document.descendants().filter(|node| node.tag_name().name() == wanted);
        let written = elements.filter_map(|element| element.text());
        for number in written.flat_map(numbers) {
            if found.len() < MOST_ELINS && !found.contains(&number) {
                found.push(number);
            }
        }
    }
    Ok(found)
}

fn printable(why: &str) -> String {
    let seen = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    why.chars().take(LONGEST_WHY).map(seen).collect()
}

/// The numbers of a list with semicolons or commas, without what is there for the eye. A company's name is none.
fn numbers(list: &str) -> impl Iterator<Item = String> {
    list.split([';', ',']).filter_map(|written| {
        let eye = |c: &char| c.is_whitespace() || matches!(c, '-' | '.' | '(' | ')');
        let number: String = written.chars().filter(|c| !eye(c)).take(17).collect();
        let digits = number.strip_prefix('+').unwrap_or(&number);
        let is_number = (3..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PIDF: &str = "application/pidf+xml";

    fn record(civic: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
             xmlns:gp=\"urn:ietf:params:xml:ns:pidf:geopriv10\" \
             xmlns:ca=\"urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr\" entity=\"sip:ada@woodgrove.example\">\r\n\
             <tuple id=\"0\"><status><gp:geopriv><gp:location-info><ca:civicAddress><ca:country>US</ca:country>\
             <ca:HNO>100</ca:HNO>{civic}<ca:PC>98000</ca:PC></ca:civicAddress></gp:location-info><gp:usage-rules/>\
             <gp:method>LIS</gp:method></gp:geopriv></status></tuple>\r\n</presence>\r\n"
        )
    }

    fn found(civic: &str) -> Vec<String> {
        elins(PIDF, record(civic).as_bytes())
            .expect("a record")
            .expect("of that type")
    }

    #[test]
    fn elins_are_in_the_element_of_that_name_or_in_the_companys() {
        for (civic, expected) in [
            ("<ca:ELIN>+14255550180</ca:ELIN>", &["+14255550180"][..]),
            (
                "<ca:NAM>1-425-555-0180; 4255550181 </ca:NAM>",
                &["14255550180", "4255550181"],
            ),
            ("<ca:NAM>Contoso, Ltd.; 24/7</ca:NAM>", &[]),
            (
                "<ca:NAM>Contoso; +14255550182</ca:NAM><ca:ELIN>+1 (425) 555-0180,+14255550181,+14255550180</ca:ELIN>",
                &["+14255550180", "+14255550181", "+14255550182"],
            ),
            ("<ELIN><![CDATA[+14255550180]]></ELIN>", &["+14255550180"]),
            ("<ca:ELIN>&#43;14255550180</ca:ELIN>", &["+14255550180"]),
            (
                "<ca:ELIN/><ca:ELIN> </ca:ELIN><ca:ELIN>12</ca:ELIN><ca:ELIN>1234567890123456</ca:ELIN>",
                &[],
            ),
            // The house number is none, and no other element.
            ("<ca:LOC>+14255550180</ca:LOC>", &[]),
        ] {
            assert_eq!(found(civic), expected, "{civic}");
        }
    }

    #[test]
    fn a_record_beside_a_description_is_found_and_other_bodies_have_none() {
        let body = format!(
            "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b\r\nContent-Type: application/pidf+xml\r\n\
             Content-ID: <loc-1@a>\r\n\r\n{}\r\n--b--\r\n",
            record("<ca:ELIN>+14255550180</ca:ELIN>")
        );
        let kind = "multipart/mixed;boundary=b";
        assert_eq!(elins(kind, body.as_bytes()), Ok(Some(vec!["+14255550180".to_owned()])));
        assert_eq!(elins("application/sdp", b"v=0\r\n"), Ok(None));
        assert_eq!(elins("multipart/mixed;boundary=c", body.as_bytes()), Ok(None));
        assert_eq!(elins("", b""), Ok(None));
    }

    #[test]
    fn hostile_records_cost_little_and_say_why_they_are_not_read() {
        let entities = format!(
            "<!DOCTYPE p [<!ENTITY a \"1111111111\">{}]><p><ELIN>&z;</ELIN></p>",
            (b'b'..=b'z')
                .map(|name| {
                    let before = char::from(name - 1);
                    format!(
                        "<!ENTITY {} \"{}\">",
                        char::from(name),
                        format!("&{before};").repeat(10)
                    )
                })
                .collect::<String>()
        );
        let deep = "<a>".repeat(5_000);
        let wide = format!("<a>{}</a>", "<b/>x".repeat(3_000));
        let long = format!("<a>{}</a>", " ".repeat(MOST_OCTETS));
        for (text, why) in [
            (entities.as_str(), "DTD"),
            (&deep, "nodes limit"),
            (&wide, "nodes limit"),
            (&long, "16391 octets, more than 16384"),
            ("", "root node"),
            ("<a>&unknown;</a>", "unknown"),
        ] {
            let error = elins(PIDF, text.as_bytes()).expect_err("refused").to_string();
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(elins(PIDF, b"<a>\xff</a>"), Err(PidfError::NotUtf8));
        let many: String = (0..1_000).map(|number| format!("+1425{number:07};")).collect();
        assert_eq!(found(&format!("<ca:ELIN>{many}</ca:ELIN>")).len(), MOST_ELINS);
        let too_many = |text: &str| {
            assert!(text.len() <= MOST_OCTETS);
            match elins(PIDF, text.as_bytes()) {
                Err(PidfError::TooMany { what, .. }) => what,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(too_many(&with_namespaces(300, 700)), "xmlns");
        assert_eq!(too_many(&with_namespaces(33, 32)), "xmlns");
        assert_eq!(too_many(&with_attributes(1_025)), "=");
        for within in [with_namespaces(32, 32), with_attributes(1_024)] {
            assert_eq!(elins(PIDF, within.as_bytes()), Ok(Some(Vec::new())));
        }
    }

    fn with_namespaces(prefixes: usize, children: usize) -> String {
        let prefixes: String = (0..prefixes).map(|prefix| format!(" xmlns:p{prefix}='b'")).collect();
        format!("<a{prefixes}>{}</a>", "<a xmlns='c'/>".repeat(children))
    }

    fn with_attributes(count: usize) -> String {
        let attributes: String = (0..count).map(|attribute| format!(" b{attribute}=''")).collect();
        format!("<a{attributes}/>")
    }

    #[test]
    fn what_is_told_of_a_record_is_short_and_can_be_printed() {
        let name = "\u{e9}\u{200d}".repeat(2_000);
        let error = elins(PIDF, format!("<{name}></b>").as_bytes()).expect_err("refused");
        let PidfError::Xml(why) = error else { panic!("{error}") };
        assert!(why.contains('?') && why.chars().count() == LONGEST_WHY, "{why}");
        assert!(why.chars().all(|c| matches!(c, ' '..='~')), "{why}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_panic_and_what_is_found_are_numbers(body in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(Some(found)) = elins(PIDF, &body) {
                prop_assert!(found.len() <= MOST_ELINS);
            }
        }

        #[test]
        fn whatever_stands_in_the_element_only_numbers_come_out(text in ".{0,60}") {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
            // Not every character may stand in XML.
            if let Ok(Some(found)) = elins(PIDF, record(&format!("<ca:ELIN>{escaped}</ca:ELIN>")).as_bytes()) {
                for number in found {
                    let digits = number.strip_prefix('+').unwrap_or(&number);
                    prop_assert!((3..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()));
                }
            }
        }
    }
}
