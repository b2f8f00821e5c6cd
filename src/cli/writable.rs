//! Whether `run` could write the files that it makes, judged without leaving anything.

use crate::observe::cdr::try_open;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Why `run` could not open the store at `path`, as far as that shows without making it.
pub fn unkept(path: &Path) -> Option<String> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let (tried, opened) = match path.try_exists() {
        Ok(true) => (path, File::options().read(true).write(true).open(path).map(drop)),
        Ok(false) => (folder, try_making_in(folder)),
        Err(error) => (path, Err(error)),
    };
    let why = |error: io::Error| format!("{}: {error}", tried.display());
    opened.err().map(why)
}

/// Whether this user may make files in `folder`, which is left as it is.
fn try_making_in(folder: &Path) -> io::Result<()> {
    // A file without a name is gone as soon as it is closed.
    let made = File::options().write(true).custom_flags(libc::O_TMPFILE).open(folder);
    match made {
        // Some file systems have no files without names.
        Err(error) if !folder.is_dir() || is_forbidden(&error) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Why `run` could not open `path`, as far as that shows without making it.
pub fn unwritable(path: &Path) -> Option<String> {
    match try_open(path) {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // `run` makes the folders that lack.
            let above = path.ancestors().skip(1).find(|above| above.exists());
            let above = above.unwrap_or(Path::new("."));
            if !above.is_dir() {
                return Some(format!("{} is no folder", above.display()));
            }
            let why = |error| format!("{} can't be made in {}: {error}", path.display(), above.display());
            try_making_in(above).err().map(why)
        }
        Err(error) => Some(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    #[test]
    fn the_store_is_tried_as_run_opens_it() {
        let folder = std::env::temp_dir().join(format!("portcullis-kept-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        assert_eq!(unkept(&folder.join("bindings.redb")), None, "it would be made");
        let left = std::fs::read_dir(&folder).expect("the folder").count();
        assert_eq!(left, 0, "and was not");
        std::fs::write(folder.join("bindings.redb"), b"").expect("a file");
        assert_eq!(unkept(&folder.join("bindings.redb")), None);
        assert!(unkept(&folder).is_some_and(|why| why.contains("directory")));
        let nowhere = unkept(&folder.join("nowhere/bindings.redb"));
        assert!(nowhere.is_some_and(|why| why.contains("nowhere: No such file")));
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn the_file_of_records_is_opened_as_run_opens_it() {
        let folder = std::env::temp_dir().join(format!("portcullis-records-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        assert!(unwritable(&folder).is_some_and(|why| why.contains("directory")));
        let lacking = ["records.jsonl", "calls/today/records.jsonl"].map(|name| folder.join(name));
        for records in &lacking {
            assert_eq!(unwritable(records), None, "it would be made");
        }
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).expect("its owner's");
        let as_nobody = std::thread::spawn(move || {
            // SAFETY: no memory is touched, and nobody else runs on this thread, whose rights alone change.
            unsafe { libc::setfsuid(65_534) };
            lacking.map(|records| unwritable(&records))
        });
        for why in as_nobody.join().expect("no panic") {
            let said = why.unwrap_or_default();
            assert!(
                said.contains(&format!("can't be made in {}: ", folder.display())),
                "{said}"
            );
        }
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("its owner's");
        let pipe = folder.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        // Opened to write alone it would wait for a reader.
        let (told, hears) = std::sync::mpsc::channel();
        std::thread::spawn(move || told.send(unwritable(&pipe)));
        assert_eq!(hears.recv_timeout(Duration::from_secs(20)), Ok(None));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
