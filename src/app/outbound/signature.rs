//! The header that proves to an application who asked: `Jambonz-Signature`.

use aws_lc_rs::hmac;
use std::fmt::Write;

/// The header's name.
pub const SIGNATURE: &str = "jambonz-signature";

/// `t=<seconds>,v1=<hex>`: HMAC-SHA256 under the account's webhook secret over `<seconds>.<body>`. For a GET, `body` is the
/// query as sent, without `?`: that is what the receiver has.
pub fn sign(secret: &str, unix_seconds: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(unix_seconds.to_string().as_bytes());
    context.update(b".");
    context.update(body);
    let mut text = format!("t={unix_seconds},v1=");
    for byte in context.sign().as_ref() {
        // Writing to a String can't fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::sign;

    /// The expected values were computed with Python's `hmac`.
    #[test]
    fn signatures_are_those_of_another_implementation() {
        assert_eq!(
            sign("wh_secret_abc", 1_700_000_000, br#"{"call_sid":"1"}"#),
            "t=1700000000,v1=320e2b47719ed9024aabb59bdadc2633db71650328d96119308bc2074232e6b2"
        );
        assert_eq!(
            sign("", 0, b""),
            "t=0,v1=b849d5a581847b281957065739df36df2463d1977ea8d6e1e4e6cf33fadc68c3"
        );
    }
}
