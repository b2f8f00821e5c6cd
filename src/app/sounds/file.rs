//! Files of the media folder.

use super::SoundError;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

/// A file that is there, inside the folder.
pub(super) struct Found {
    /// As the application named it.
    pub name: String,
    path: PathBuf,
    modified: Option<SystemTime>,
    bytes: u64,
}

/// Looks a file up. A name that would leave the folder is refused, by its text and by where links lead.
pub(super) async fn find(folder: Option<&Path>, name: &str) -> Result<Found, SoundError> {
    let folder = folder.ok_or_else(|| SoundError::NoFolder { name: name.to_owned() })?;
    let outside = || SoundError::Outside { name: name.to_owned() };
    let unreadable = |error: std::io::Error| SoundError::Unreadable {
        name: name.to_owned(),
        why: error.to_string(),
    };
    let relative = Path::new(name.trim_start_matches('/'));
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if name.contains('\0') || !relative.components().all(plain) {
        return Err(outside());
    }
    let root = tokio::fs::canonicalize(folder).await.map_err(unreadable)?;
    let path = tokio::fs::canonicalize(root.join(relative)).await.map_err(unreadable)?;
    if !path.starts_with(&root) {
        return Err(outside());
    }
    let metadata = tokio::fs::metadata(&path).await.map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(SoundError::Unreadable {
            name: name.to_owned(),
            why: "it is no file".into(),
        });
    }
    Ok(Found {
        name: name.to_owned(),
        path,
        modified: metadata.modified().ok(),
        bytes: metadata.len(),
    })
}

impl Found {
    /// Names this state of the file.
    pub(super) fn key(&self) -> String {
        format!("file {:?} {:?} {}", self.path, self.modified, self.bytes)
    }

    pub(super) async fn read(&self, most: usize) -> Result<Vec<u8>, SoundError> {
        if self.bytes > most as u64 {
            return Err(SoundError::TooLarge {
                name: self.name.clone(),
                most,
            });
        }
        tokio::fs::read(&self.path)
            .await
            .map_err(|error| SoundError::Unreadable {
                name: self.name.clone(),
                why: error.to_string(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_stay_inside_the_folder() {
        let folder = std::env::temp_dir().join(format!("portcullis-sounds-{:08x}", rand::random::<u32>()));
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        std::fs::write(folder.join("inner/a.wav"), b"x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join("link.wav")).unwrap();
        assert!(find(Some(&folder), "inner/a.wav").await.is_ok());
        assert!(find(Some(&folder), "/inner/./a.wav").await.is_ok());
        for outside in ["../x.wav", "inner/../../x.wav", "link.wav", "a\0.wav"] {
            let refused = find(Some(&folder), outside).await.err();
            assert!(
                matches!(refused, Some(SoundError::Outside { .. })),
                "{outside}: {refused:?}"
            );
        }
        assert!(matches!(
            find(Some(&folder), "inner").await.err(),
            Some(SoundError::Unreadable { .. })
        ));
        assert!(matches!(
            find(Some(&folder), "none.wav").await.err(),
            Some(SoundError::Unreadable { .. })
        ));
        assert!(matches!(
            find(None, "a.wav").await.err(),
            Some(SoundError::NoFolder { .. })
        ));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
