//! A configuration folder that lives as long as a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "portcullis-config-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("tenants")).expect("make the folder");
        Folder(path)
    }

    /// The small configuration of these tests, with its certificate files.
    pub fn with_contoso() -> Folder {
        let folder = Folder::new();
        folder.write("sbc.toml", super::SBC);
        folder.write("sbc.pem", "");
        folder.write("sbc.key", "");
        folder.write("tenants/contoso.toml", super::CONTOSO);
        folder
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("make the folder");
        fs::write(path, text).expect("write");
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).expect("remove");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind in the temporary directory harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
