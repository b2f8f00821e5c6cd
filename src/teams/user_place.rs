//! Where the user of a call is, as Teams says it on trunks with local media optimization (TEAMS-056).

use crate::sip::message::Message;
use serde::{Deserialize, Serialize};

/// What Teams says of its user's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPlace {
    /// `X-MS-UserLocation`: inside the tenant's network, or outside.
    pub is_inside: bool,
    /// `X-MS-UserSite`.
    pub site: Option<String>,
    /// The last name in `X-MS-MediaPath`: the SBC that the user's media is for, those before it are on the way.
    pub media_for: Option<String>,
}

impl UserPlace {
    /// No name of a site is longer, and none of a host: what comes is kept for the record no further.
    const LONGEST_SITE: usize = 64;
    const LONGEST_NAME: usize = 253;

    /// None where Teams does not say.
    pub fn of(invite: &Message) -> Option<UserPlace> {
        let is_inside = match invite.header_named("X-MS-UserLocation")?.trim() {
            inside if inside.eq_ignore_ascii_case("internal") => true,
            outside if outside.eq_ignore_ascii_case("external") => false,
            _ => return None,
        };
        let site = invite.header_named("X-MS-UserSite").map(str::trim);
        // A list may go on in another line.
        let lines = invite
            .raw_headers()
            .filter(|header| header.name().eq_ignore_ascii_case("X-MS-MediaPath"));
        let path = lines
            .last()
            .map(|header| String::from_utf8_lossy(header.value).into_owned());
        let last = path.as_deref().and_then(|path| path.rsplit(',').next());
        Some(UserPlace {
            is_inside,
            site: site
                .filter(|site| !site.is_empty())
                .map(|site| site.chars().take(UserPlace::LONGEST_SITE).collect()),
            media_for: last.map(|name| name.trim().chars().take(UserPlace::LONGEST_NAME).collect()),
        })
    }

    /// Whether the user reaches addresses inside the network of the SBC called `own`: media for another one pass by us on the
    /// outside.
    pub fn reaches_inside_of(&self, own: &str) -> bool {
        let is_ours = |name: &String| name.eq_ignore_ascii_case(own);
        self.is_inside && self.media_for.as_ref().is_none_or(is_ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(headers: &str) -> Option<UserPlace> {
        let text = format!(
            "INVITE sip:+12065550100@sbc1.example.net:5061;transport=tls SIP/2.0\r\n\
             VIA: SIP/2.0/TLS 192.0.2.15:5061;branch=z9hG4bK14451daa\r\n\
             FROM: <sip:+14255550100@sip.example.com:5061;user=phone>;tag=1779cf3a\r\n\
             TO: <sip:+12065550100@sbc1.example.net:5061;user=phone>\r\n\
             CALL-ID: 0a3d72134fb3\r\nCSEQ: 1 INVITE\r\nMAX-FORWARDS: 70\r\n{headers}CONTENT-LENGTH: 0\r\n\r\n"
        );
        UserPlace::of(&Message::parse(text.into_bytes().into()).expect("an INVITE"))
    }

    #[test]
    fn teams_056_who_is_inside_reaches_the_inside_of_the_sbc_that_the_path_ends_at() {
        let inside =
            place("X-MS-USERLOCATION: internal\r\nX-MS-MEDIAPATH: sbc1.example.net\r\nX-MS-USERSITE: London\r\n");
        let inside = inside.expect("a place");
        assert_eq!(inside.site.as_deref(), Some("London"));
        assert!(inside.reaches_inside_of("sbc1.example.net") && !inside.reaches_inside_of("sbc2.example.net"));

        let on_the_way =
            place("X-MS-USERLOCATION: internal\r\nX-MS-MEDIAPATH: sbc1.example.net, VNsbc.example.net\r\n");
        let on_the_way = on_the_way.expect("a place");
        assert!(!on_the_way.reaches_inside_of("sbc1.example.net") && on_the_way.reaches_inside_of("vnsbc.example.net"));

        for nobodys in [
            "sbc1.example.net,",
            "sbc1.example.net\r\nX-MS-MediaPath: vnsbc.example.net",
        ] {
            let place = place(&format!("X-MS-USERLOCATION: internal\r\nX-MS-MEDIAPATH: {nobodys}\r\n"));
            assert!(
                !place.expect("a place").reaches_inside_of("sbc1.example.net"),
                "{nobodys}"
            );
        }
        let alone = place("X-MS-UserLocation: Internal\r\n").expect("a place");
        assert!(alone.reaches_inside_of("sbc1.example.net"));
    }

    #[test]
    fn teams_056_who_is_outside_or_nowhere_does_not() {
        let outside = place("X-MS-USERLOCATION: external\r\nX-MS-MEDIAPATH: sbc1.example.net\r\n");
        assert!(!outside.expect("a place").reaches_inside_of("sbc1.example.net"));
        assert_eq!(place("X-MS-USERLOCATION: somewhere\r\n"), None);
        assert_eq!(place("X-MS-USERSITE: London\r\n"), None);
    }

    #[test]
    fn a_site_of_any_length_is_kept_short() {
        let text = format!(
            "X-MS-USERLOCATION: internal\r\nX-MS-USERSITE: {}\r\n",
            "L".repeat(3_000)
        );
        assert_eq!(
            place(&text).and_then(|place| place.site).map(|site| site.len()),
            Some(64)
        );
    }
}
