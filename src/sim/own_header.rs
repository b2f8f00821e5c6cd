//! A header that somebody wants in the INVITEs of a simulator, as typed: `X-MS-UserLocation: internal`.

use crate::config::nearest;
use crate::sip::{HeaderName, RequestDraft};
use std::str::FromStr;

/// A header of INVITEs that begin calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHeader {
    name: String,
    value: String,
}

/// Those without which there is no request, no dialog or no body: the simulator's alone.
const OF_THE_SIMULATOR: [HeaderName; 12] = [
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::MaxForwards,
    HeaderName::Contact,
    HeaderName::Route,
    HeaderName::RecordRoute,
    HeaderName::ContentType,
    HeaderName::ContentLength,
    HeaderName::Replaces,
];

/// What Teams and carriers send that we have no name for.
const OTHERS: [&str; 3] = ["X-MS-UserLocation", "X-MS-MediaPath", "X-MS-UserSite"];

impl OwnHeader {
    /// The INVITE with these in place of its own of the same names.
    pub(super) fn put_into(headers: &[OwnHeader], draft: RequestDraft) -> Option<RequestDraft> {
        let names = headers
            .iter()
            .filter_map(|header| HeaderName::parse(header.name.as_bytes()));
        let mut draft = names.fold(draft, RequestDraft::without);
        for OwnHeader { name, value } in headers {
            draft = draft.raw_header(name, value).ok()?;
        }
        Some(draft)
    }
}

impl FromStr for OwnHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<OwnHeader, String> {
        const FORM: &str = "`Name: value` is expected, such as `X-MS-UserLocation: internal`";
        let (name, value) = text.split_once(':').ok_or(FORM)?;
        let (name, value) = (name.trim_end(), value.trim());
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!("`{name}` is no name of a header; {FORM}"));
        }
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(format!("`{name}` needs a value of one line; {FORM}"));
        }
        let known = HeaderName::parse(name.as_bytes());
        if let Some(own) = known.filter(|known| OF_THE_SIMULATOR.contains(known)) {
            let instead = match own {
                HeaderName::From => "`--from` says who calls, and `--display` with which name",
                HeaderName::To => "`--call` says who is called",
                HeaderName::Replaces => "`replace` in a script takes a call over",
                _ => "no call can be made without its own",
            };
            return Err(format!("{} is the simulator's to write: {instead}", own.as_str()));
        }
        // A slip in a name of Teams' would make a call that tries nothing.
        let meant = known.is_none().then(|| nearest(name, OTHERS)).flatten();
        match meant.filter(|meant| !meant.eq_ignore_ascii_case(name)) {
            Some(meant) => Err(format!("`{name}` is no header of Teams, did you mean `{meant}`?")),
            None => Ok(OwnHeader {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Method;

    fn read(text: &str) -> Result<OwnHeader, String> {
        text.parse()
    }

    #[test]
    fn a_header_takes_the_place_of_ours_of_its_name() {
        let headers = [
            "Session-Expires: 90",
            "History-Info: <sip:a@b>;index=1",
            "history-info: <sip:c@d>;index=1.1",
            "X-MS-UserLocation: internal",
        ]
        .map(|text| read(text).unwrap());
        let draft = RequestDraft::new(Method::Invite, "sip:a@b")
            .header(HeaderName::SessionExpires, "3600")
            .header(HeaderName::Supported, "timer");
        let draft = OwnHeader::put_into(&headers, draft).unwrap();
        let all = |name| draft.values(name).collect::<Vec<_>>();
        assert_eq!(all(HeaderName::SessionExpires), ["90"]);
        assert_eq!(all(HeaderName::Supported), ["timer"]);
        assert_eq!(all(HeaderName::HistoryInfo).len(), 2);
        let text = String::from_utf8(draft.to_bytes("SIP/2.0/TLS a;branch=z9hG4bK1").to_vec()).unwrap();
        assert!(text.contains("\r\nX-MS-UserLocation: internal\r\n"), "{text}");
    }

    #[test]
    fn what_can_not_be_is_refused_with_what_to_do() {
        for (text, told) in [
            ("X-MS-UserLocation internal", "`Name: value` is expected"),
            (": internal", "`` is no name of a header"),
            ("X MS: a", "`X MS` is no name"),
            ("X-MS-UserSite:", "`X-MS-UserSite` needs a value"),
            ("Subject: a\r\nVia: b", "`Subject` needs a value of one line"),
            (
                "from: <sip:a@b>",
                "From is the simulator's to write: `--from` says who calls",
            ),
            ("t: <sip:a@b>", "To is the simulator's to write: `--call`"),
            (
                "Replaces: a;to-tag=b;from-tag=c",
                "Replaces is the simulator's to write: `replace`",
            ),
            ("Content-Length: 0", "Content-Length is the simulator's to write"),
            (
                "X-MS-UserLocatoin: internal",
                "`X-MS-UserLocatoin` is no header of Teams, did you mean `X-MS-UserLocation`?",
            ),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.starts_with(told), "{text}: {said}");
        }
        assert!(read("P-Asserted-Identity: <tel:+14255550100>").is_ok());
        assert!(read("X-Own: anything").is_ok());
    }
}
