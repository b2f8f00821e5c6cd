//! The cache with real files and a server that counts.

use super::decode::tests::{panicking, tone, wave};
use super::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A server with one second of a tone behind each URL but those that end in `gone`, `never`, and `text` or `panic`, which are no
/// sounds.
#[derive(Default)]
struct Server {
    asked: AtomicUsize,
    /// What it is asked for again, by the tag that is known.
    asked_again: std::sync::Mutex<Vec<String>>,
    /// What lies there at each request to come; the last one stays. Seconds of the tone, and its tag; `Err`: nothing does,
    /// with this status.
    lies: std::sync::Mutex<Vec<Result<(usize, &'static str), u16>>>,
    /// How long the whole answer takes.
    takes: std::sync::Mutex<Duration>,
    spoken: std::sync::Mutex<Vec<FileRequest>>,
}

impl Server {
    fn lies(&self, now: &[Result<(usize, &'static str), u16>]) {
        *self.lies.lock().expect("whole") = now.to_vec();
    }

    fn next(&self) -> Option<Result<(usize, &'static str), u16>> {
        let mut lies = self.lies.lock().expect("whole");
        match lies.len() {
            0 | 1 => lies.first().copied(),
            _ => Some(lies.remove(0)),
        }
    }
}

impl Fetch for Server {
    fn fetch<'a>(&'a self, _owner: &'a str, url: &'a HookUrl, _most: usize, patience: Duration) -> Fetching<'a> {
        Box::pin(async move {
            self.asked.fetch_add(1, Relaxed);
            let takes = *self.takes.lock().expect("whole");
            tokio::time::sleep(takes.min(patience)).await;
            if takes > patience {
                let (url, after) = (url.as_str().to_owned(), patience);
                return Err(HookFailure::TimedOut { url, after });
            }
            tokio::task::yield_now().await;
            if url.as_str().ends_with("never") {
                std::future::pending::<()>().await;
            }
            if url.as_str().ends_with("gone") {
                return Err(HookFailure::Status {
                    url: url.as_str().to_owned(),
                    status: 404,
                });
            }
            let (seconds, etag) = match self.next() {
                None => (1, None),
                Some(Ok((seconds, etag))) => (seconds, Some(etag.to_owned())),
                Some(Err(status)) => {
                    let url = url.as_str().to_owned();
                    return Err(HookFailure::Status { url, status });
                }
            };
            let bytes = match url.as_str() {
                url if url.ends_with("text") => b"hello".to_vec(),
                url if url.ends_with("panic") => panicking(),
                _ => wave(&tone(8_000).repeat(seconds), 8_000, 1),
            };
            Ok(Fetched {
                room: crate::app::outbound::Room::default(),
                bytes: bytes.into(),
                content_type: None,
                etag,
            })
        })
    }

    fn fetch_changed<'a>(
        &'a self,
        owner: &'a str,
        url: &'a HookUrl,
        etag: &'a str,
        most: usize,
        patience: Duration,
    ) -> FetchingChanged<'a> {
        Box::pin(async move {
            self.asked_again.lock().expect("whole").push(etag.to_owned());
            let fetched = self.fetch(owner, url, most, patience).await?;
            Ok(Some(fetched).filter(|fetched| fetched.etag.as_deref() != Some(etag)))
        })
    }

    fn speak<'a>(
        &'a self,
        _owner: &'a str,
        request: &'a FileRequest,
        _most: usize,
        _patience: Duration,
    ) -> Fetching<'a> {
        Box::pin(async move {
            self.spoken.lock().expect("whole").push(request.clone());
            let samples: Vec<u8> = tone(8_000).iter().flat_map(|sample| sample.to_le_bytes()).collect();
            Ok(Fetched {
                room: crate::app::outbound::Room::default(),
                bytes: samples.into(),
                content_type: Some("audio/l16;rate=16000".into()),
                etag: None,
            })
        })
    }
}

const TENANT: &str = "contoso";

fn place(text: &str) -> Place {
    Place::parse(text, None).expect("a place")
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_fetch() {
    let server = Arc::new(Server::default());
    let sounds = Sounds::new(SoundSettings::default(), server.clone());
    let music = place("https://app.example/music.wav");
    let (one, two, three) = tokio::join!(
        sounds.at(TENANT, &music),
        sounds.at(TENANT, &music),
        sounds.at(TENANT, &music)
    );
    let one = one.expect("a sound");
    assert_eq!(one.duration(), Duration::from_secs(1));
    assert!(Arc::ptr_eq(&one, &two.expect("a sound")) && Arc::ptr_eq(&one, &three.expect("a sound")));
    sounds.at(TENANT, &music).await.expect("a sound");
    assert_eq!(server.asked.load(Relaxed), 1);
}

#[tokio::test]
async fn a_failure_names_the_place_and_is_tried_again() {
    let server = Arc::new(Server::default());
    let sounds = Sounds::new(SoundSettings::default(), server.clone());
    let gone = place("https://app.example/gone");
    for _ in 0..2 {
        let fault = sounds.at(TENANT, &gone).await.expect_err("no sound").to_string();
        assert!(
            fault.contains("https://app.example/gone") && fault.contains("404"),
            "{fault}"
        );
    }
    assert_eq!((server.asked.load(Relaxed), sounds.cache.held()), (2, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_decoded_is_not_decoded_again_at_once() {
    let server = Arc::new(Server::default());
    let sounds = Sounds::new(SoundSettings::default(), server.clone());
    let text = place("https://app.example/text");
    let (one, two) = tokio::join!(sounds.at(TENANT, &text), sounds.at(TENANT, &text));
    let three = sounds.at(TENANT, &text).await;
    for fault in [one, two, three] {
        let fault = fault.expect_err("no sound").to_string();
        assert!(
            fault.contains("https://app.example/text") && fault.contains("neither wav"),
            "{fault}"
        );
    }
    assert_eq!((server.asked.load(Relaxed), sounds.cache.held()), (1, (0, 0)));
    tokio::time::advance(UNREADABLE).await;
    sounds.at(TENANT, &text).await.expect_err("no sound");
    assert_eq!(server.asked.load(Relaxed), 2, "it may have been mended");
}

#[tokio::test]
#[cfg(debug_assertions)]
async fn a_panic_of_a_decoder_is_counted_for_those_that_come_after_too() {
    let sounds = Sounds::new(SoundSettings::default(), Arc::new(Server::default()));
    let fault = sounds.at(TENANT, &place("https://app.example/panic")).await;
    let fault = fault.expect_err("no sound").to_string();
    assert!(fault.ends_with("the decoder failed"), "{fault}");
    let after = sounds.anew(SoundSettings::default(), Arc::new(Server::default()));
    assert_eq!((sounds.panics(), after.panics()), (1, 1));
}

/// Sounds that are looked at again each time.
fn looked_at_each_time(server: &Arc<Server>, folder: Option<PathBuf>) -> Sounds {
    let settings = SoundSettings {
        recheck: Duration::ZERO,
        folder,
        ..SoundSettings::default()
    };
    Sounds::new(settings, server.clone())
}

impl Sounds {
    /// What is heard now, and what is heard after the look that it causes.
    async fn twice(&self, place: &Place) -> (Arc<Sound>, Result<Arc<Sound>, SoundFault>) {
        let now = self.at(TENANT, place).await.expect("a sound");
        self.looked().await;
        (now, self.at(TENANT, place).await)
    }

    /// Waits for the looks under way.
    async fn looked(&self) {
        let mut looks = std::mem::take(&mut *self.looks.lock().expect("whole"));
        while let Some(look) = looks.join_next().await {
            look.expect("no panic");
        }
    }
}

#[tokio::test]
async fn a_sound_that_is_replaced_at_its_url_is_heard_in_its_new_form() {
    let server = Arc::new(Server::default());
    let sounds = looked_at_each_time(&server, None);
    let prompt = place("https://app.example/prompt.wav");
    server.lies(&[Ok((1, "a"))]);
    let first = sounds.at(TENANT, &prompt).await.expect("a sound");
    let (_, same) = sounds.twice(&prompt).await;
    assert!(Arc::ptr_eq(&first, &same.expect("a sound")), "it was not decoded again");
    sounds.looked().await;
    server.lies(&[Ok((2, "b"))]);
    let (old, new) = sounds.twice(&prompt).await;
    assert!(Arc::ptr_eq(&first, &old));
    let new = new.expect("a sound");
    assert_eq!(new.duration(), Duration::from_secs(2));
    assert_eq!(sounds.cache.held(), (1, 2 * 48_000));
    sounds.looked().await;
    server.lies(&[Err(503)]);
    let (_, kept) = sounds.twice(&prompt).await;
    assert!(Arc::ptr_eq(&kept.expect("what was there"), &new));
    sounds.looked().await;
    server.lies(&[Err(404)]);
    let (_, gone) = sounds.twice(&prompt).await;
    assert!(gone.is_err(), "it was taken away");
    assert_eq!(sounds.cache.held(), (0, 0));
    let again = ["a", "a", "a", "b", "b", "b", "b"];
    assert_eq!(*server.asked_again.lock().expect("whole"), again);
}

#[tokio::test(start_paused = true)]
async fn a_large_sound_that_changed_has_all_the_time_of_a_first_one_and_nobody_waits_for_it() {
    let server = Arc::new(Server::default());
    let sounds = Sounds::new(SoundSettings::default(), server.clone());
    let music = place("https://app.example/music.wav");
    server.lies(&[Ok((1, "a"))]);
    let first = sounds.at(TENANT, &music).await.expect("a sound");
    *server.takes.lock().expect("whole") = Duration::from_secs(9);
    server.lies(&[Ok((2, "b"))]);
    tokio::time::advance(sounds.maker.settings.recheck).await;
    let asked = Instant::now();
    for _ in 0..3 {
        let old = sounds.at(TENANT, &music).await.expect("a sound");
        assert!(Arc::ptr_eq(&first, &old));
    }
    assert_eq!(asked.elapsed(), Duration::ZERO);
    sounds.looked().await;
    let new = sounds.at(TENANT, &music).await.expect("a sound");
    assert_eq!(new.duration(), Duration::from_secs(2));
    assert_eq!(server.asked.load(Relaxed), 2, "one look for all");
}

#[tokio::test]
async fn a_sound_that_was_taken_away_does_not_come_back_with_a_look_that_fails() {
    let server = Arc::new(Server::default());
    let sounds = looked_at_each_time(&server, None);
    let prompt = place("https://app.example/prompt.wav");
    server.lies(&[Ok((1, "a")), Err(404), Err(503)]);
    sounds.at(TENANT, &prompt).await.expect("a sound");
    let (one, two) = tokio::join!(sounds.at(TENANT, &prompt), sounds.at(TENANT, &prompt));
    assert!(one.is_ok() && two.is_ok(), "each causes a look, and waits for none");
    sounds.looked().await;
    assert_eq!(sounds.cache.held(), (0, 0));
    assert!(sounds.at(TENANT, &prompt).await.is_err());
}

#[tokio::test]
async fn a_sound_without_a_tag_is_fetched_again_and_one_that_was_looked_at_is_not() {
    let server = Arc::new(Server::default());
    let music = place("https://app.example/music.wav");
    let usual = Sounds::new(SoundSettings::default(), server.clone());
    for sounds in [looked_at_each_time(&server, None), usual] {
        server.asked.store(0, Relaxed);
        for _ in 0..3 {
            sounds.at(TENANT, &music).await.expect("a sound");
            sounds.looked().await;
        }
        let expected = if sounds.maker.settings.recheck.is_zero() { 3 } else { 1 };
        assert_eq!(server.asked.load(Relaxed), expected);
        assert_eq!(sounds.cache.held(), (1, 48_000));
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_is_heard_in_its_new_form() {
    let folder = std::env::temp_dir().join(format!("portcullis-replaced-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("prompt.wav");
    let sounds = looked_at_each_time(&Arc::default(), Some(folder.clone()));
    let prompt = place("prompt.wav");
    std::fs::write(&file, wave(&tone(8_000), 8_000, 1)).expect("a file");
    let (first, same) = sounds.twice(&prompt).await;
    assert!(Arc::ptr_eq(&first, &same.expect("a sound")));
    sounds.looked().await;
    std::fs::write(&file, wave(&tone(8_000).repeat(2), 8_000, 1)).expect("a file");
    let (_, second) = sounds.twice(&prompt).await;
    assert_eq!(second.expect("a sound").duration(), Duration::from_secs(2));
    sounds.looked().await;
    std::fs::remove_dir_all(folder).expect("removed");
    let (_, gone) = sounds.twice(&prompt).await;
    assert!(gone.is_err(), "it is gone");
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
        sounds.at(TENANT, place).await.expect("a sound");
    }
    assert_eq!(server.asked.load(Relaxed), 4, "b had to go for c");
    assert_eq!(sounds.cache.held(), (2, 96_000));
}

#[tokio::test]
async fn who_takes_the_place_of_others_has_their_bounds_and_nothing_that_they_kept() {
    let server = Arc::new(Server::default());
    let settings = SoundSettings {
        cache_bytes: 100_000,
        decoders: 1,
        ..SoundSettings::default()
    };
    let before = Sounds::new(settings.clone(), server.clone());
    let [a, b, c] = ["a", "b", "c"].map(|name| place(&format!("https://app.example/{name}")));
    before.at(TENANT, &a).await.expect("a sound");
    let after = before.anew(settings, server.clone());
    after.at(TENANT, &a).await.expect("a sound");
    assert_eq!(server.asked.load(Relaxed), 2, "there may be another by its settings");
    after.at(TENANT, &b).await.expect("a sound");
    before.at(TENANT, &a).await.expect("a sound");
    assert_eq!(server.asked.load(Relaxed), 4, "it had to go");
    assert_eq!(after.cache.held(), (2, 96_000));
    let held = before.maker.decoders.take(TENANT).await.expect("a place");
    let mut waits = Box::pin(after.at(TENANT, &c));
    while before.maker.decoders.turns().waiting() == 0 {
        assert!(tokio::time::timeout(Duration::ZERO, &mut waits).await.is_err());
    }
    drop(held);
    waits.await.expect("a sound");
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
    let hello = sounds.at(TENANT, &place("prompts/hello.wav")).await.expect("a sound");
    assert_eq!(hello.duration(), Duration::from_secs(1));
    let fault = async |name: &str| sounds.at(TENANT, &place(name)).await.expect_err("no sound");
    assert!(matches!(fault("link.wav").await, SoundFault::Outside { .. }));
    assert!(matches!(fault("none.wav").await, SoundFault::NotThere { .. }));
    assert!(matches!(fault("prompts").await, SoundFault::NoFile { .. }));
    let text = fault("text.wav").await.to_string();
    assert!(text.contains("text.wav"), "{text}");
    let small = SoundSettings {
        most_bytes: 1_000,
        ..sounds.maker.settings.clone()
    };
    let small = Sounds::new(small, Arc::new(Server::default()));
    assert!(matches!(
        small.at(TENANT, &place("prompts/hello.wav")).await,
        Err(SoundFault::TooLarge {
            bytes: 16_044,
            limit: 1_000,
            ..
        })
    ));
    std::fs::remove_dir_all(root).expect("removed");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_leaves_nothing() {
    let server = Arc::new(Server::default());
    let sounds = Sounds::new(SoundSettings::default(), server.clone());
    let never = place("https://app.example/never");
    let mut one = Box::pin(sounds.at(TENANT, &never));
    let mut two = Box::pin(sounds.at(TENANT, &never));
    for wait in [&mut one, &mut two] {
        assert!(tokio::time::timeout(Duration::from_millis(5), wait).await.is_err());
    }
    assert_eq!(server.asked.load(Relaxed), 1, "once for both");
    drop(one);
    assert!(tokio::time::timeout(Duration::from_millis(5), &mut two).await.is_err());
    assert_eq!(
        (server.asked.load(Relaxed), sounds.cache.held()),
        (2, (1, 0)),
        "the other one asks itself"
    );
    drop(two);
    assert_eq!(sounds.cache.held(), (0, 0));
}

#[tokio::test]
async fn a_served_text_is_kept_for_its_tenant_unless_it_is_wanted_fresh() {
    let server = Arc::new(Server::default());
    let sounds = Sounds::new(SoundSettings::default(), server.clone());
    let service = crate::config::SpeechService {
        name: crate::config::SpeechServiceName::parse("aria").expect("a name"),
        url: crate::config::HookUrl::parse("https://tts.example/speak").expect("a URL"),
        token: Some(crate::config::Secret::new("hush")),
    };
    let text = |text| Served::new(&service, text, "en-US", None).map(Utterance::Served);
    let hello = text("Hello").expect("a text");
    let spoken = async |owner: &str, fresh| sounds.spoken(owner, &hello, fresh).await.expect("a sound");
    let (sound, took) = spoken("contoso", false).await;
    assert!(took.take().is_some());
    assert_eq!(sound.duration(), Duration::from_millis(500), "the rate is the server's");
    let asked = || server.spoken.lock().expect("whole").len();
    for (owner, fresh, requests) in [
        ("contoso", false, 1),
        ("fabrikam", false, 2),
        ("contoso", true, 3),
        ("contoso", false, 3),
    ] {
        let before = asked();
        let (_, took) = spoken(owner, fresh).await;
        assert_eq!(asked(), requests, "{owner} {fresh}");
        assert_eq!(took.take().is_some(), asked() > before, "{owner} {fresh}");
    }
    let request = server.spoken.lock().expect("whole")[0].clone();
    assert_eq!(
        request.json,
        serde_json::json!({ "language": "en-US", "voice": null, "type": "text", "text": "Hello" })
    );
    assert!(matches!(text(" "), Err(SpeechFault::Empty)));
}

#[tokio::test]
async fn one_tenant_that_floods_the_decoders_is_refused_alone() {
    let settings = SoundSettings {
        decoders: 1,
        most_waiting: 2,
        ..SoundSettings::default()
    };
    let sounds = Arc::new(Sounds::new(settings, Arc::new(Server::default())));
    let held = sounds.maker.decoders.take(TENANT).await.expect("a place");
    let asked = |owner: &'static str, name: usize| {
        let sounds = sounds.clone();
        let place = place(&format!("https://app.example/{owner}{name}"));
        tokio::spawn(async move { sounds.at(owner, &place).await })
    };
    let mut waiting = vec![asked("contoso", 0), asked("contoso", 1)];
    let wait_for = async |waiting| {
        while sounds.maker.decoders.turns().waiting() < waiting {
            tokio::task::yield_now().await;
        }
    };
    wait_for(2).await;
    let refused = asked("contoso", 2).await.expect("no panic");
    assert!(matches!(refused, Err(SoundFault::TooMany(_))), "{refused:?}");
    waiting.push(asked("fabrikam", 0));
    wait_for(3).await;
    drop(held);
    for wait in waiting {
        wait.await.expect("no panic").expect("a sound");
    }
    assert_eq!(sounds.maker.decoders.turns().held(), (0, 0));
}

#[tokio::test]
async fn without_a_folder_names_are_refused() {
    let sounds = Sounds::new(SoundSettings::default(), Arc::new(Server::default()));
    let fault = sounds.at(TENANT, &place("hello.wav")).await.expect_err("no sound");
    assert!(matches!(fault, SoundFault::Place(PlaceFault::NoFolder)));
}
