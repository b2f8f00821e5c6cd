//! What a REGISTER asks for (RFC 3261 §10.3, RFC 5626, RFC 3327), before anybody is believed.

use super::aor::Aor;
use super::binding::Device;
use crate::sip::message::{HeaderName, Message};
use crate::sip::{NameAddr, Scheme};
use std::borrow::Cow;

/// Contacts that one request may bring: more than a device has flows.
const MOST_CONTACTS: usize = 16;
/// A longer Contact is no device's.
const LONGEST_CONTACT: usize = 512;
/// Longer instance ids and user agents are cut out of the answer to "who is this".
const LONGEST_NAME: usize = 128;

/// A REGISTER that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    pub aor: Aor,
    pub call_id: String,
    pub cseq: u32,
    pub wish: Wish,
    pub user_agent: Option<String>,
    /// The sender takes part in RFC 5626.
    pub outbound: bool,
}

/// What is to become of the user's bindings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Nothing: where am I?
    Query,
    /// `Contact: *`
    RemoveAll,
    /// Devices with the seconds that each asks for: 0 is good-bye, `None` leaves it to us.
    Change(Vec<(Device, Option<u32>)>),
}

/// Why a REGISTER can't be served, whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    pub status: u16,
    pub phrase: &'static str,
    /// The extensions that are required of us and that we lack.
    pub unsupported: Option<String>,
}

impl Unfit {
    fn bad(phrase: &'static str) -> Unfit {
        Unfit {
            status: 400,
            phrase,
            unsupported: None,
        }
    }
}

impl Register {
    /// Reads a REGISTER.
    pub fn read(message: &Message) -> Result<Register, Unfit> {
        let required: Vec<&str> = message
            .headers(HeaderName::Require)
            .chain(message.headers(HeaderName::ProxyRequire))
            .filter(|tag| !tag.is_empty() && !tag.eq_ignore_ascii_case("outbound"))
            .collect();
        if !required.is_empty() {
            return Err(Unfit {
                status: 420,
                phrase: "Bad Extension",
                unsupported: Some(required.join(", ")),
            });
        }
        // A proxy in between wants to stay in the way of calls (RFC 3327), which nothing here would honour.
        if message.header(HeaderName::Path).is_some() {
            return Err(Unfit {
                status: 420,
                phrase: "Path Is Not Supported",
                unsupported: Some("path".into()),
            });
        }
        let to = message.to().map_err(|_| Unfit::bad("To can not be read"))?;
        let aor = Aor::of(to.uri()).ok_or(Unfit::bad("To names no user"))?;
        let (cseq, _) = message.cseq();
        Ok(Register {
            aor,
            call_id: message.call_id().to_owned(),
            cseq,
            wish: wish(message)?,
            user_agent: message.header(HeaderName::UserAgent).map(short),
            outbound: message.lists(HeaderName::Supported, "outbound"),
        })
    }
}

fn wish(message: &Message) -> Result<Wish, Unfit> {
    // An Expires that can't be read counts as absent (RFC 3261 §20.19).
    let usual = message.header(HeaderName::Expires).and_then(seconds);
    let count = message.headers_bytes(HeaderName::Contact).count();
    if count > MOST_CONTACTS {
        return Err(Unfit {
            status: 403,
            phrase: "Too Many Contacts",
            unsupported: None,
        });
    }
    if message.headers(HeaderName::Contact).any(|value| value == "*") {
        let alone = count == 1 && usual == Some(0);
        return alone
            .then_some(Wish::RemoveAll)
            .ok_or(Unfit::bad("Contact: * stands alone and with Expires: 0"));
    }
    let mut devices = Vec::with_capacity(count);
    for contact in message.addresses(HeaderName::Contact) {
        let contact = contact.map_err(|_| Unfit::bad("A Contact can not be read"))?;
        devices.push(device(&contact, usual)?);
    }
    Ok(match devices.is_empty() {
        true => Wish::Query,
        false => Wish::Change(devices),
    })
}

fn device(contact: &NameAddr, usual: Option<u32>) -> Result<(Device, Option<u32>), Unfit> {
    let uri = contact.uri();
    if uri.scheme() == Scheme::Tel || uri.host().is_empty() {
        return Err(Unfit::bad("A Contact is no SIP URI"));
    }
    if uri.as_str().len() > LONGEST_CONTACT {
        return Err(Unfit::bad("A Contact is too long"));
    }
    let instance = contact.params().unquoted("+sip.instance");
    let device = Device {
        // Headers in it would come back to us in a Request-URI, where they have no place (RFC 3261 §19.1.1).
        contact: uri.without_headers(),
        q: contact.param("q").and_then(thousandths).unwrap_or(1000),
        instance: instance
            .filter(|text| !text.is_empty() && text.len() <= LONGEST_NAME)
            .map(Cow::into_owned),
        reg_id: contact
            .param("reg-id")
            .and_then(|text| text.parse().ok())
            .filter(|id| *id > 0),
    };
    let asked = match contact.param("expires") {
        Some(text) => seconds(text),
        None => usual,
    };
    Ok((device, asked))
}

/// Delta-seconds; what is more than 32 bits is as long as can be (RFC 3261 §20.19).
fn seconds(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

/// `0.5` is 500; at most three decimals (RFC 3261 §25.1 `qvalue`).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let fits = decimals.len() <= 3 && decimals.bytes().all(|b| b.is_ascii_digit());
    let value = match (whole, fits) {
        ("0", true) => format!("{decimals:0<3}").parse().ok()?,
        ("1", true) => 1000,
        _ => return None,
    };
    Some(value)
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(more: &str) -> Message {
        let text = format!(
            "REGISTER sip:sip.contoso.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK7\r\n\
             From: <sip:alice@sip.contoso.example>;tag=1\r\nTo: <sip:alice@sip.contoso.example>\r\nCall-ID: c1\r\n\
             CSeq: 7 REGISTER\r\n{more}Content-Length: 0\r\n\r\n"
        );
        Message::parse(text.into_bytes().into()).expect("a message")
    }

    fn read(more: &str) -> Result<Register, Unfit> {
        Register::read(&message(more))
    }

    fn devices(more: &str) -> Vec<(Device, Option<u32>)> {
        match read(more).expect("readable").wish {
            Wish::Change(devices) => devices,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn contacts_with_their_parameters() {
        let found = devices(
            "Contact: \"A\" <sip:alice@192.0.2.9:5062;transport=tcp>;q=0.5;expires=60;+sip.instance=\"<urn:uuid:1>\";reg-id=2,\
             <sip:alice@192.0.2.10>\r\nExpires: 300\r\nSupported: path, outbound\r\n",
        );
        let (first, second) = (&found[0], &found[1]);
        assert_eq!((first.1, second.1), (Some(60), Some(300)));
        assert_eq!((first.0.q, second.0.q), (500, 1000));
        assert_eq!(first.0.instance.as_deref(), Some("<urn:uuid:1>"));
        assert_eq!(first.0.reg_id, Some(2));
        assert_eq!(first.0.contact.as_str(), "sip:alice@192.0.2.9:5062;transport=tcp");
    }

    #[test]
    fn an_instance_with_escapes_is_read_as_it_was_meant() {
        let found = devices("Contact: <sip:a@192.0.2.1>;+sip.instance=\"a\\\"b\";q=7\r\n");
        assert_eq!(found[0].0.instance.as_deref(), Some("a\"b"));
        assert_eq!(found[0].0.q, 1000, "no q at all");
    }

    #[test]
    fn what_is_asked_without_contacts_or_with_a_star() {
        assert_eq!(read("").expect("readable").wish, Wish::Query);
        assert_eq!(
            read("Contact: *\r\nExpires: 0\r\n").expect("readable").wish,
            Wish::RemoveAll
        );
        for wrong in [
            "Contact: *\r\n",
            "Contact: *\r\nExpires: 60\r\n",
            "Contact: *, <sip:a@192.0.2.1>\r\nExpires: 0\r\n",
            "Contact: <tel:+14255550100>\r\n",
        ] {
            assert_eq!(read(wrong).expect_err(wrong).status, 400, "{wrong}");
        }
    }

    #[test]
    fn an_expires_that_can_not_be_read_is_absent_and_a_huge_one_is_the_longest() {
        assert_eq!(devices("Contact: <sip:a@192.0.2.1>\r\nExpires: soon\r\n")[0].1, None);
        assert_eq!(
            devices("Contact: <sip:a@192.0.2.1>;expires=99999999999999\r\n")[0].1,
            Some(u32::MAX)
        );
    }

    #[test]
    fn what_we_lack_is_named() {
        let refused = read("Require: gruu\r\nContact: <sip:a@192.0.2.1>\r\n").expect_err("refused");
        assert_eq!((refused.status, refused.unsupported.as_deref()), (420, Some("gruu")));
        let refused = read("Path: <sip:edge.example;lr>\r\nContact: <sip:a@192.0.2.1>\r\n").expect_err("refused");
        assert_eq!((refused.status, refused.unsupported.as_deref()), (420, Some("path")));
        assert!(read("Require: outbound\r\nContact: <sip:a@192.0.2.1>\r\n").is_ok());
    }

    #[test]
    fn a_crowd_of_contacts_and_a_giant_one_are_refused() {
        let crowd: String = (0..MOST_CONTACTS + 1)
            .map(|n| format!("Contact: <sip:a@192.0.2.1:{}>\r\n", 5000 + n))
            .collect();
        assert_eq!(read(&crowd).expect_err("too many").status, 403);
        let giant = format!("Contact: <sip:{}@192.0.2.1>\r\n", "a".repeat(LONGEST_CONTACT));
        assert_eq!(read(&giant).expect_err("too long").status, 400);
    }

    #[test]
    fn headers_in_a_contact_do_not_come_back() {
        let found = devices("Contact: <sip:a@192.0.2.1?Replaces=x>\r\n");
        assert_eq!(found[0].0.contact.as_str(), "sip:a@192.0.2.1");
    }

    proptest! {
        #[test]
        fn nothing_that_stands_in_a_contact_panics(text in "[ -~]{0,80}", expires in "[ -~]{0,12}") {
            let text = format!("Contact: {text}\r\nExpires: {expires}\r\n");
            let raw = format!(
                "REGISTER sip:a.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK7\r\nFrom: <sip:a@a.example>;tag=1\r\n\
                 To: <sip:a@a.example>\r\nCall-ID: c1\r\nCSeq: 7 REGISTER\r\n{text}\r\n"
            );
            if let Ok(message) = Message::parse(raw.into_bytes().into())
                && let Ok(Register { wish: Wish::Change(devices), .. }) = Register::read(&message)
            {
                for (device, _) in devices {
                    prop_assert!(device.q <= 1000);
                    prop_assert!(!device.contact.has_headers());
                }
            }
        }

        #[test]
        fn a_q_of_up_to_three_decimals_is_read(value in 0u16..=1000) {
            let text = if value == 1000 { "1.0".to_owned() } else { format!("0.{value:03}") };
            prop_assert_eq!(thousandths(&text), Some(value));
        }
    }
}
