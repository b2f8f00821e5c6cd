//! Header names: an id for each name that we know, found without regard to case, compact forms included.

/// What a header may look like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One header, one value: a second one is refused.
    Single,
    /// Values in a comma list or in several headers.
    List,
    /// Several headers, whose commas are part of the value.
    Lines,
}

macro_rules! names {
    ($($variant:ident $name:literal $compact:literal $shape:ident,)*) => {
        /// A header name that we know. Unknown headers keep their bytes: see [`Message::raw_headers`](super::Message::raw_headers).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[repr(u8)]
        pub enum HeaderName { $($variant,)* }

        const ALL: &[(HeaderName, &str, u8, Shape)] =
            &[$((HeaderName::$variant, $name, $compact, Shape::$shape),)*];

        impl HeaderName {
            /// The name as we write it.
            pub const fn as_str(self) -> &'static str {
                match self { $(HeaderName::$variant => $name,)* }
            }

            const fn shape(self) -> Shape {
                match self { $(HeaderName::$variant => Shape::$shape,)* }
            }
        }
    };
}

names! {
    Accept "Accept" 0 List,
    AcceptContact "Accept-Contact" b'a' List,
    AcceptEncoding "Accept-Encoding" 0 List,
    AcceptLanguage "Accept-Language" 0 List,
    AlertInfo "Alert-Info" 0 List,
    Allow "Allow" 0 List,
    AllowEvents "Allow-Events" b'u' List,
    AuthenticationInfo "Authentication-Info" 0 Lines,
    Authorization "Authorization" 0 Lines,
    CallId "Call-ID" b'i' Single,
    CallInfo "Call-Info" 0 List,
    Contact "Contact" b'm' List,
    ContentDisposition "Content-Disposition" 0 Single,
    ContentEncoding "Content-Encoding" b'e' List,
    ContentId "Content-ID" 0 Single,
    ContentLanguage "Content-Language" 0 List,
    // Duplicates of Content-Length are compared, not refused, so that the rule stands in one place: `framing`.
    ContentLength "Content-Length" b'l' Lines,
    ContentType "Content-Type" b'c' Single,
    CSeq "CSeq" 0 Single,
    Date "Date" 0 Lines,
    Diversion "Diversion" 0 List,
    ErrorInfo "Error-Info" 0 List,
    Event "Event" b'o' Single,
    Expires "Expires" 0 Single,
    FlowTimer "Flow-Timer" 0 Single,
    From "From" b'f' Single,
    Geolocation "Geolocation" 0 List,
    GeolocationRouting "Geolocation-Routing" 0 Single,
    HistoryInfo "History-Info" 0 List,
    Identity "Identity" b'y' Lines,
    InReplyTo "In-Reply-To" 0 List,
    MaxForwards "Max-Forwards" 0 Single,
    MimeVersion "MIME-Version" 0 Single,
    MinExpires "Min-Expires" 0 Single,
    MinSe "Min-SE" 0 Single,
    Organization "Organization" 0 Lines,
    PAccessNetworkInfo "P-Access-Network-Info" 0 Lines,
    PAssertedIdentity "P-Asserted-Identity" 0 List,
    PChargingVector "P-Charging-Vector" 0 Lines,
    PPreferredIdentity "P-Preferred-Identity" 0 List,
    Path "Path" 0 List,
    Priority "Priority" 0 Single,
    Privacy "Privacy" 0 Lines,
    ProxyAuthenticate "Proxy-Authenticate" 0 Lines,
    ProxyAuthorization "Proxy-Authorization" 0 Lines,
    ProxyRequire "Proxy-Require" 0 List,
    RAck "RAck" 0 Single,
    Reason "Reason" 0 List,
    RecordRoute "Record-Route" 0 List,
    ReferSub "Refer-Sub" 0 Single,
    ReferTo "Refer-To" b'r' Single,
    ReferredBy "Referred-By" b'b' Single,
    RejectContact "Reject-Contact" b'j' List,
    RemotePartyId "Remote-Party-ID" 0 List,
    Replaces "Replaces" 0 Single,
    ReplyTo "Reply-To" 0 Single,
    RequestDisposition "Request-Disposition" b'd' List,
    Require "Require" 0 List,
    RetryAfter "Retry-After" 0 Single,
    Route "Route" 0 List,
    RSeq "RSeq" 0 Single,
    Server "Server" 0 Lines,
    ServiceRoute "Service-Route" 0 List,
    SessionExpires "Session-Expires" b'x' Single,
    SipEtag "SIP-ETag" 0 Single,
    SipIfMatch "SIP-If-Match" 0 Single,
    Subject "Subject" b's' Lines,
    SubscriptionState "Subscription-State" 0 Single,
    Supported "Supported" b'k' List,
    Timestamp "Timestamp" 0 Single,
    To "To" b't' Single,
    Unsupported "Unsupported" 0 List,
    UserAgent "User-Agent" 0 Lines,
    UserToUser "User-to-User" 0 List,
    Via "Via" b'v' List,
    Warning "Warning" 0 List,
    WwwAuthenticate "WWW-Authenticate" 0 Lines,
    XMsSbc "X-MS-SBC" 0 Lines,
}

const BUCKETS: usize = 256;
const NONE: u8 = u8::MAX;

/// Names chained by a hash of length, first and last letter: a lookup compares one or two names.
struct Index {
    first: [u8; BUCKETS],
    next: [u8; ALL.len()],
}

static INDEX: Index = build();

const fn hash(length: usize, first: u8, last: u8) -> usize {
    (length * 29 + (first | 0x20) as usize * 7 + (last | 0x20) as usize * 3) % BUCKETS
}

const fn build() -> Index {
    let mut index = Index {
        first: [NONE; BUCKETS],
        next: [NONE; ALL.len()],
    };
    let mut at = 0;
    while at < ALL.len() {
        let name = ALL[at].1.as_bytes();
        let bucket = hash(name.len(), name[0], name[name.len() - 1]);
        index.next[at] = index.first[bucket];
        index.first[bucket] = at as u8;
        at += 1;
    }
    index
}

impl HeaderName {
    /// The id of a name in any case, long or compact (RFC 3261 §7.3.3); none when we do not know it.
    pub fn parse(name: &[u8]) -> Option<HeaderName> {
        let (first, last) = match name {
            [letter] => return compact(letter.to_ascii_lowercase()),
            [first, .., last] => (*first, *last),
            [] => return None,
        };
        let mut at = *INDEX.first.get(hash(name.len(), first, last))?;
        while at != NONE {
            let (id, text, ..) = ALL.get(usize::from(at))?;
            if text.as_bytes().eq_ignore_ascii_case(name) {
                return Some(*id);
            }
            at = *INDEX.next.get(usize::from(at))?;
        }
        None
    }

    /// True when a second header of this name makes the message ambiguous.
    pub const fn is_single(self) -> bool {
        matches!(self.shape(), Shape::Single)
    }

    /// True when the value is a comma list.
    pub const fn is_list(self) -> bool {
        matches!(self.shape(), Shape::List)
    }
}

const fn compact(letter: u8) -> Option<HeaderName> {
    let mut at = 0;
    while at < ALL.len() {
        if ALL[at].2 == letter && letter != 0 {
            return Some(ALL[at].0);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for (id, name, letter, _) in ALL {
            assert_eq!(HeaderName::parse(name.as_bytes()), Some(*id));
            assert_eq!(HeaderName::parse(name.to_uppercase().as_bytes()), Some(*id));
            assert_eq!(HeaderName::parse(name.to_lowercase().as_bytes()), Some(*id));
            if *letter != 0 {
                assert_eq!(HeaderName::parse(&[*letter]), Some(*id));
                assert_eq!(HeaderName::parse(&[letter.to_ascii_uppercase()]), Some(*id));
            }
        }
    }

    #[test]
    fn strangers_are_not_found() {
        for name in [&b"X-MS-UserLocation"[..], b"", b"\0", b"z", b"Viaa", b"Content_Length"] {
            assert_eq!(HeaderName::parse(name), None);
        }
    }
}
