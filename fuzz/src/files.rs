//! What is read whole: sounds and configuration.

use portcullis::app::sounds::decode;
use portcullis::config::Config;
use std::time::Duration;

/// A file of sound. Its decoder may panic: that is caught where the file is read.
pub fn sound(bytes: &[u8]) {
    let longest = Duration::from_secs(20);
    if let Ok(sound) = decode(bytes.to_vec(), longest) {
        assert!(
            sound.duration() <= longest + Duration::from_millis(100),
            "{:?}",
            sound.duration()
        );
    }
}

const MACHINE: &str = include_str!("../../config/sbc.toml");
const TENANT: &str = include_str!("../../config/tenants/contoso.toml");

/// The machine's file beside a tenant's, and a tenant's beside the machine's. Where one that was mended does not fit its type
/// the reader itself panics, as these builds have debug assertions.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for (machine, tenant) in [(text, TENANT), (MACHINE, text)] {
        match Config::from_toml_strs(machine, &[("contoso", tenant)]) {
            Ok(_config) => {}
            Err(mistakes) => assert!(!mistakes.to_string().is_empty()),
        }
    }
}
