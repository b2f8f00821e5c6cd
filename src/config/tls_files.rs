//! Certificates, keys and roots as the configuration names them, each with its place: for whoever reads what is in them.

use super::file::File;
use super::mistake::{Mistake, Source};
use super::raw::{At, RawListener, RawSbc, RawTransport};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The files of a configuration's TLS, whatever else is wrong with it.
#[derive(Debug, Default)]
pub struct TlsFiles {
    /// Certificate and key.
    pub pairs: Vec<(NamedFile, NamedFile)>,
    pub roots: Vec<NamedFile>,
}

/// A file that is named in `sbc.toml`.
#[derive(Debug)]
pub struct NamedFile {
    pub path: PathBuf,
    source: Source,
    span: Range<usize>,
}

impl NamedFile {
    /// A mistake in the file, told where the file is named.
    pub fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake::at(&self.source, self.span.clone(), message)
    }
}

impl TlsFiles {
    /// Those that `sbc.toml` names. A file that several listeners name is told once, at the first.
    pub(super) fn of(file: &File<RawSbc>, folder: &Path) -> TlsFiles {
        let Some(raw) = &file.raw else {
            return TlsFiles::default();
        };
        // What only stands there for something else names no file.
        let named = |text: &At<String>| {
            let written = !file.mended.covers(&text.span());
            written.then(|| NamedFile {
                path: folder.join(text.value()),
                source: file.source.clone(),
                span: text.span(),
            })
        };
        let mut files = TlsFiles::default();
        // Whoever names certificates means TLS.
        let may_be_tls = |listener: &&RawListener| {
            let transport = &listener.transport;
            *transport.value() == RawTransport::Tls || file.mended.covers(&transport.span())
        };
        let tls = raw.listeners.iter().filter(may_be_tls);
        let mut roots: Vec<&At<String>> = raw.teams.value().roots.iter().collect();
        for listener in tls {
            for pair in &listener.certificates {
                let (Some(certificate), Some(key)) = (named(&pair.value().certificate), named(&pair.value().key))
                else {
                    continue;
                };
                let known = files
                    .pairs
                    .iter()
                    .any(|(one, its)| one.path == certificate.path && its.path == key.path);
                if !known {
                    files.pairs.push((certificate, key));
                }
            }
            roots.extend(&listener.roots);
        }
        for text in roots {
            let Some(file) = named(text) else { continue };
            let is_file = !matches!(text.value().as_str(), "teams" | "system");
            if is_file && !files.roots.iter().any(|known| known.path == file.path) {
                files.roots.push(file);
            }
        }
        files
    }
}
