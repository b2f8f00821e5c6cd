//! What is wrong with a PEM file, in words.

use rustls::pki_types::pem::Error;

/// The parser's error for people: it shows parts of the file as lists of bytes.
pub(super) fn fault(error: &Error) -> String {
    match error {
        Error::MissingSectionEnd { end_marker } => format!(
            "the file ends before `-----END {}-----`",
            String::from_utf8_lossy(end_marker)
        ),
        Error::IllegalSectionStart { line } => format!(
            "`{}` is no line that a section begins with, such as `-----BEGIN CERTIFICATE-----`",
            String::from_utf8_lossy(line).trim_end()
        ),
        Error::Base64Decode(_) => "a line between BEGIN and END is no Base64".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn half_a_file_is_told_in_words() {
        let told = |pem: &str| {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            fault(&certificates.expect_err(pem))
        };
        assert_eq!(
            told("-----BEGIN CERTIFICATE-----\nMIIB\n"),
            "the file ends before `-----END CERTIFICATE-----`"
        );
        assert!(told("-----BEGIN CERTIFICATE\nMIIB\n").starts_with("`-----BEGIN CERTIFICATE` is no line"));
        assert_eq!(
            told("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
            "a line between BEGIN and END is no Base64"
        );
    }
}
