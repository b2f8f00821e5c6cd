//! Files with secrets that everybody on this machine may read.

use crate::config::{Config, Loader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What `others` may do with a file, and with a folder.
const READ: u32 = 0o004;
const ENTER: u32 = 0o001;

/// The files that hold secrets of `config`, which `loader` has read.
pub fn secret_files(loader: &Loader, config: &Config) -> Vec<PathBuf> {
    let mut files = loader.secret_files();
    files.extend(config.sbc.registrar.store.clone());
    files
}

/// A sentence for each of these files that everybody may read.
pub fn doubts_of_modes(files: &[PathBuf]) -> Vec<String> {
    let open = files.iter().filter(|file| is_open(file));
    open.map(|file| {
        let file = file.display();
        format!("{file} holds secrets, and everybody on this machine may read it: `chmod o= {file}`")
    })
    .collect()
}

/// Whether everybody may read the file and enter all folders above it.
fn is_open(file: &Path) -> bool {
    let Ok(file) = file.canonicalize() else {
        return false;
    };
    let allows = |path: &Path, right| path.metadata().is_ok_and(|found| found.mode() & right == right);
    allows(&file, READ) && file.ancestors().skip(1).all(|folder| allows(folder, ENTER))
}
