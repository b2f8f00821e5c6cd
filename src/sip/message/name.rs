//! Header names: an id for each name that we know, found without regard to case, compact forms included.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "const tables, built and checked at compile time"
)]

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

            /// The name with what stands between it and the value.
            pub(super) const fn with_colon(self) -> &'static str {
                match self { $(HeaderName::$variant => concat!($name, ": "),)* }
            }

            #[inline]
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

/// No name that we know is this long.
const WINDOW: usize = 24;
const BUCKETS: usize = 512;
const NONE: u8 = u8::MAX;

/// A name as words, so that it is compared at once: in lower case, zeros behind its end.
type Words = [u64; WINDOW / 8];

/// Among the bytes of a token, this bit is nothing but the case of a letter.
const CASE: u64 = u64::from_ne_bytes([0x20; 8]);

/// What remains of words when a name is this long.
static KEPT: [Words; WINDOW] = {
    let mut kept = [[0; WINDOW / 8]; WINDOW];
    let mut length = 0;
    while length < WINDOW {
        let mut byte = 0;
        while byte < length {
            kept[length][byte / 8] |= 0xff << (8 * (byte % 8));
            byte += 1;
        }
        length += 1;
    }
    kept
};

/// The name of this length that `text` begins with.
#[inline]
const fn words(text: Words, length: usize) -> Words {
    let kept = if length < WINDOW { KEPT[length] } else { [0; WINDOW / 8] };
    [
        (text[0] | CASE) & kept[0],
        (text[1] | CASE) & kept[1],
        (text[2] | CASE) & kept[2],
    ]
}

/// The beginning of `text`, zeros behind its end.
#[inline]
fn window(text: &[u8]) -> Words {
    let bytes = match text.first_chunk::<WINDOW>() {
        Some(bytes) => *bytes,
        None => {
            let mut bytes = [0; WINDOW];
            bytes.iter_mut().zip(text).for_each(|(byte, given)| *byte = *given);
            bytes
        }
    };
    match bytes.as_chunks::<8>().0 {
        [first, second, third] => [first, second, third].map(|word| u64::from_le_bytes(*word)),
        _ => Words::default(),
    }
}

/// Where the first colon is.
#[inline]
fn colon(text: Words) -> Option<usize> {
    const COLONS: u64 = u64::from_ne_bytes([b':'; 8]);
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    for (at, word) in text.into_iter().enumerate() {
        // The lowest byte that is zero, and none below it, gets its high bit.
        let word = word ^ COLONS;
        let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zeros != 0 {
            return Some(8 * at + zeros.trailing_zeros() as usize / 8);
        }
    }
    None
}

/// Every name in a bucket of its own: a lookup compares one name.
struct Index {
    factor: u64,
    buckets: [u8; BUCKETS],
    names: [Words; ALL.len()],
}

static INDEX: Index = build();

const fn bucket(factor: u64, [first, second, third]: Words) -> usize {
    let mixed = first ^ second.rotate_left(23) ^ third.rotate_left(46);
    (mixed.wrapping_mul(factor) >> (64 - BUCKETS.ilog2())) as usize
}

/// Tries factors until no two names share a bucket.
const fn build() -> Index {
    let mut names = [[0; WINDOW / 8]; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        let name = ALL[at].1.as_bytes();
        let mut byte = 0;
        while byte < name.len() {
            names[at][byte / 8] |= (name[byte] as u64) << (8 * (byte % 8));
            byte += 1;
        }
        names[at] = words(names[at], name.len());
        at += 1;
    }
    let mut factor = 0x9e37_79b9_7f4a_7c15u64;
    loop {
        let mut taken = [0u64; BUCKETS / 64];
        let mut buckets = [NONE; BUCKETS];
        let mut at = 0;
        while at < ALL.len() {
            let bucket = bucket(factor, names[at]);
            if taken[bucket / 64] & (1 << (bucket % 64)) != 0 {
                break;
            }
            taken[bucket / 64] |= 1 << (bucket % 64);
            buckets[bucket] = at as u8;
            at += 1;
        }
        if at == ALL.len() {
            return Index { factor, buckets, names };
        }
        factor = factor.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(2);
    }
}

impl HeaderName {
    /// How many there are: `id as usize` is below it.
    pub(super) const COUNT: usize = ALL.len();

    /// The id of a name in any case, long or compact (RFC 3261 §7.3.3); none when we do not know it.
    pub fn parse(name: &[u8]) -> Option<HeaderName> {
        HeaderName::of_token(name).filter(|id| name.len() == 1 || name.eq_ignore_ascii_case(id.as_str().as_bytes()))
    }

    /// The known name that `text` begins with when a colon follows at once. A line end in it is part of no name; other control
    /// characters the caller has to rule out, for the comparison lets some pass.
    #[inline(always)]
    pub(super) fn at_start(text: &[u8]) -> Option<(HeaderName, usize)> {
        let window = window(text);
        let length = colon(window)?;
        let id = match length {
            1 => HeaderName::of_letter(*text.first()?),
            _ => HeaderName::of_words(words(window, length)),
        };
        id.map(|id| (id, length))
    }

    /// The same as `parse` for a name that is a token, or else holds CR, the one control that the comparison lets pass.
    pub(super) fn of_token(name: &[u8]) -> Option<HeaderName> {
        match name {
            [letter] => HeaderName::of_letter(*letter),
            _ if name.len() < WINDOW => HeaderName::of_words(words(window(name), name.len())),
            _ => None,
        }
    }

    fn of_letter(letter: u8) -> Option<HeaderName> {
        *COMPACT.get(usize::from(letter.to_ascii_lowercase()))?
    }

    #[inline]
    fn of_words(words: Words) -> Option<HeaderName> {
        let at = usize::from(*INDEX.buckets.get(bucket(INDEX.factor, words))?);
        let known = *INDEX.names.get(at)? == words;
        known.then(|| ALL.get(at).map(|(id, ..)| *id))?
    }

    /// Its bit in a set of names.
    pub(super) const fn bit(self) -> u128 {
        1 << self as u8
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

/// The names of one letter.
static COMPACT: [Option<HeaderName>; 128] = {
    let mut table = [None; 128];
    let mut at = 0;
    while at < ALL.len() {
        if ALL[at].2 != 0 {
            table[ALL[at].2 as usize] = Some(ALL[at].0);
        }
        at += 1;
    }
    table
};

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
    fn a_line_is_read_as_its_name_is() {
        for (id, name, ..) in ALL {
            let line = format!("{}:value of it", name.to_uppercase());
            assert_eq!(HeaderName::at_start(line.as_bytes()), Some((*id, name.len())));
        }
        for line in [
            "Via : SIP/2.0",
            "To",
            "To\r\n:",
            "Content\r\n-Type: a",
            "X-MS-UserLocation: internal",
            ": a b c d",
        ] {
            assert_eq!(HeaderName::at_start(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn strangers_are_not_found() {
        for name in [
            &b"X-MS-UserLocation"[..],
            b"",
            b"\0",
            b"z",
            b"Viaa",
            b"Content_Length",
            b"Content\rType",
            b"V\x09a",
        ] {
            assert_eq!(HeaderName::parse(name), None);
        }
    }
}
