//! Keys that people know from the documentation of what is to come. They do nothing today, and are refused with the
//! reason, not with a guess at another name.

use super::schema::FileKind;

/// Why `name`, at `path` from the root of the file, can't be used yet.
pub fn key(kind: FileKind, path: &[&str], name: &str) -> Option<&'static str> {
    match (kind, path, name) {
        (FileKind::Sbc, ["carriers"], "srtp") => Some("media toward carriers is plain RTP in this version"),
        (FileKind::Sbc, ["carriers"], "register") => Some("registering at a carrier is not built into this version"),
        _ => None,
    }
}
