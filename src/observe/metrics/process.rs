//! The process as the kernel sees it, by the names that Prometheus' own client libraries use.

use super::Scrape;
use std::fs;

/// Memory and descriptors; what `/proc` does not tell is left out.
pub(super) fn process(scrape: &mut Scrape) {
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        let open = count(u64::try_from(entries.count()).unwrap_or(u64::MAX));
        scrape.gauge("process_open_fds", "Open file descriptors.", [], [([], open)]);
    }
    if let Some(most) = fs::read_to_string("/proc/self/limits")
        .ok()
        .as_deref()
        .and_then(max_fds)
    {
        scrape.gauge(
            "process_max_fds",
            "Most open file descriptors.",
            [],
            [([], count(most))],
        );
    }
    if let Some(bytes) = fs::read_to_string("/proc/self/status")
        .ok()
        .as_deref()
        .and_then(resident)
    {
        scrape.gauge(
            "process_resident_memory_bytes",
            "Memory in use.",
            [],
            [([], count(bytes))],
        );
    }
}

#[allow(clippy::cast_precision_loss, reason = "the text format counts in floating point")]
fn count(number: u64) -> f64 {
    number as f64
}

/// The soft limit.
fn max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        assert_eq!(
            max_fds("Max open files            1024                 524288               files"),
            Some(1_024)
        );
        assert_eq!(resident("VmPeak:\t 9 kB\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!((max_fds(""), resident("VmRSS: lots")), (None, None));
    }
}
