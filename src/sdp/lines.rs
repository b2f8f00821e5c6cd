//! What of a body is handed to the parser: capped, as text, only the lines that a call depends on.

use super::error::SdpError;

/// A bypass offer with all its candidates has 4 kB, a browser's with video 10 kB.
const MAX_BYTES: usize = 32 * 1024;
const MAX_MEDIA: usize = 32;
const MAX_ATTRIBUTES: usize = 1024;

/// Lines of the other kinds become empty, so that an error still names the right line. Gateways send user names with
/// spaces in `o=`, fractions in `b=` and Latin-1 in `s=`: no reason to lose a call.
pub(super) fn relevant_lines(body: &[u8]) -> Result<String, SdpError> {
    if body.len() > MAX_BYTES {
        return Err(SdpError::TooLong {
            bytes: body.len(),
            limit: MAX_BYTES,
        });
    }
    cap(body, b"m=", "m-lines", MAX_MEDIA)?;
    cap(body, b"a=", "attributes", MAX_ATTRIBUTES)?;
    let text = String::from_utf8_lossy(body);
    let mut kept = String::with_capacity(text.len());
    for line in text.trim_end_matches(['\0', '\r', '\n', ' ']).lines() {
        if is_relevant(line) {
            kept.push_str(line);
        }
        kept.push('\n');
    }
    Ok(kept)
}

fn cap(body: &[u8], prefix: &[u8], what: &'static str, limit: usize) -> Result<(), SdpError> {
    let count = body
        .split(|&byte| byte == b'\n')
        .filter(|line| line.starts_with(prefix))
        .count();
    if count > limit {
        Err(SdpError::TooMany { what, count, limit })
    } else {
        Ok(())
    }
}

fn is_relevant(line: &str) -> bool {
    match line.get(..2) {
        Some("v=" | "c=" | "m=" | "a=") => true,
        Some("o=") => {
            let mut fields = line.split_ascii_whitespace();
            let version = fields.nth(2).and_then(|version| version.parse::<u64>().ok());
            version.is_some() && fields.count() == 3
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_capped() {
        let long = "x".repeat(MAX_BYTES + 1);
        assert!(matches!(relevant_lines(long.as_bytes()), Err(SdpError::TooLong { .. })));
        let refused = SdpError::TooMany {
            what: "attributes",
            count: 8_000,
            limit: MAX_ATTRIBUTES,
        };
        assert_eq!(relevant_lines("a=x\n".repeat(8_000).as_bytes()), Err(refused));
        let lines = |count| "m=audio 1 RTP/AVP 0\r\n".repeat(count);
        assert!(relevant_lines(lines(MAX_MEDIA).as_bytes()).is_ok());
        assert!(relevant_lines(lines(MAX_MEDIA + 1).as_bytes()).is_err());
    }

    #[test]
    fn line_numbers_stay() {
        let body = b"v=0\r\no=- 1 x IN IP4 a\r\ns=B\xfcro\r\n\r\nm=audio\r\n\0";
        assert_eq!(relevant_lines(body).unwrap(), "v=0\n\n\n\nm=audio\n");
        let whole = "o=a 1 2 IN IP4 b\n";
        assert_eq!(relevant_lines(whole.as_bytes()).unwrap(), whole);
        assert_eq!(relevant_lines(b"o=a b 1 2 IN IP4 b\n").unwrap(), "\n");
    }
}
