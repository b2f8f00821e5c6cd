//! The cache with real files and a server that counts.

use super::decode::tests::{tone, wave};
use super::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A server with one second of a tone behind each URL but those that end in `gone`.
#[derive(Default)]
struct Server {
    asked: AtomicUsize,
}

impl Fetch for Server {
    fn fetch<'a>(
        &'a self,
        _owner: &'a str,
        url: &'a HookUrl,
        _most: usize,
        _patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Fetched, HookFailure>> + Send + 'a>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Relaxed);
            tokio::task::yield_now().await;
            if url.as_str().ends_with("gone") {
                return Err(HookFailure::Status {
                    url: url.as_str().to_owned(),
                    status: 404,
                });
            }
            Ok(Fetched {
                bytes: wave(&tone(8_000), 8_000, 1).into(),
                content_type: None,
                etag: None,
            })
        })
    }
}

fn place(text: &str) -> Place {
    Place::parse(text, None).expect("a place")
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_fetch() {
    let server = Arc::new(Server::default());
    let sounds = Sounds::new(SoundSettings::default(), server.clone());
    let music = place("https://app.example/music.wav");
    let (one, two, three) = tokio::join!(sounds.at("a", &music), sounds.at("a", &music), sounds.at("a", &music));
    let one = one.expect("a sound");
    assert_eq!(one.duration(), Duration::from_secs(1));
    assert!(Arc::ptr_eq(&one, &two.expect("a sound")) && Arc::ptr_eq(&one, &three.expect("a sound")));
    sounds.at("a", &music).await.expect("a sound");
    assert_eq!(server.asked.load(Relaxed), 1);
}

#[tokio::test]
async fn a_failure_names_the_place_and_is_tried_again() {
    let server = Arc::new(Server::default());
    let sounds = Sounds::new(SoundSettings::default(), server.clone());
    let gone = place("https://app.example/gone");
    for _ in 0..2 {
        let fault = sounds.at("a", &gone).await.expect_err("no sound").to_string();
        assert!(
            fault.contains("https://app.example/gone") && fault.contains("404"),
            "{fault}"
        );
    }
    assert_eq!((server.asked.load(Relaxed), sounds.cache.held()), (2, (0, 0)));
}

#[tokio::test]
async fn the_longest_unused_goes_when_the_cache_is_full() {
    let server = Arc::new(Server::default());
    let settings = SoundSettings {
        cache_bytes: 100_000,
        ..SoundSettings::default()
    };
    let sounds = Sounds::new(settings, server.clone());
    let [a, b, c] = ["a", "b", "c"].map(|name| place(&format!("https://app.example/{name}")));
    for place in [&a, &b, &a, &c, &a, &b] {
        sounds.at("a", place).await.expect("a sound");
    }
    assert_eq!(server.asked.load(Relaxed), 4, "b had to go for c");
    assert_eq!(sounds.cache.held(), (2, 96_000));
}

#[tokio::test]
async fn files_come_from_their_folder_alone() {
    let root = std::env::temp_dir().join(format!("portcullis-sounds-{}", std::process::id()));
    let folder = root.join("sounds");
    std::fs::create_dir_all(folder.join("prompts")).expect("a folder");
    std::fs::write(folder.join("prompts/hello.wav"), wave(&tone(8_000), 8_000, 1)).expect("a file");
    std::fs::write(root.join("secret.wav"), wave(&tone(8_000), 8_000, 1)).expect("a file");
    std::os::unix::fs::symlink(root.join("secret.wav"), folder.join("link.wav")).expect("a link");
    std::fs::write(folder.join("text.wav"), b"hello").expect("a file");
    let settings = SoundSettings {
        folder: Some(folder),
        most_bytes: 20_000,
        ..SoundSettings::default()
    };
    let sounds = Sounds::new(settings, Arc::new(Server::default()));
    let hello = sounds.at("a", &place("prompts/hello.wav")).await.expect("a sound");
    assert_eq!(hello.duration(), Duration::from_secs(1));
    let fault = async |name: &str| sounds.at("a", &place(name)).await.expect_err("no sound");
    assert!(matches!(fault("link.wav").await, SoundFault::Outside { .. }));
    assert!(matches!(
        fault("none.wav").await,
        SoundFault::File {
            kind: io::ErrorKind::NotFound,
            ..
        }
    ));
    assert!(matches!(fault("prompts").await, SoundFault::File { .. }));
    let text = fault("text.wav").await.to_string();
    assert!(text.contains("text.wav"), "{text}");
    let small = SoundSettings {
        most_bytes: 1_000,
        ..sounds.settings.clone()
    };
    let small = Sounds::new(small, Arc::new(Server::default()));
    assert!(matches!(
        small.at("a", &place("prompts/hello.wav")).await,
        Err(SoundFault::TooLarge {
            bytes: 16_044,
            limit: 1_000,
            ..
        })
    ));
    std::fs::remove_dir_all(root).expect("removed");
}

#[tokio::test]
async fn without_a_folder_names_are_refused() {
    let sounds = Sounds::new(SoundSettings::default(), Arc::new(Server::default()));
    let fault = sounds.at("a", &place("hello.wav")).await.expect_err("no sound");
    assert!(matches!(fault, SoundFault::Place(PlaceFault::NoFolder)));
}
