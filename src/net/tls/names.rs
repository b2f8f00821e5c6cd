//! Which host names a certificate's name covers.

/// True when `pattern`, a name out of a certificate, covers `host`. Case does not matter. A wildcard stands for exactly
/// one whole left-most label (RFC 2818 §3.1 as Microsoft reads it, TEAMS-011), and never for a top-level domain.
pub fn covers(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    match pattern.strip_prefix("*.") {
        None => !pattern.is_empty() && pattern.eq_ignore_ascii_case(host),
        Some(base) => {
            base.contains('.')
                && host
                    .split_once('.')
                    .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(base))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn wildcard_covers_exactly_one_label() {
        assert!(covers("*.a.example", "x.a.example"));
        assert!(covers("*.A.example", "x.a.EXAMPLE"));
        assert!(!covers("*.a.example", "a.example"));
        assert!(!covers("*.a.example", "y.x.a.example"));
        assert!(!covers("*.a.example", ".a.example"));
        assert!(!covers("*.example", "a.example"));
    }

    #[test]
    fn plain_names_compare_without_case_and_without_the_root_dot() {
        assert!(covers("Sbc.a.example", "sbc.A.example"));
        assert!(covers("sbc.a.example", "sbc.a.example."));
        assert!(!covers("sbc.a.example", "sbc.b.example"));
        assert!(!covers("", ""));
    }
}
