//! Text to speech by a synthesiser of this machine, as a child process.

use super::lately::Lately;
use crate::app::verb::is_markup;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

/// The program; it reads the text from its standard input and writes a wav.
pub(super) const PROGRAM: &str = "espeak-ng";
/// What it says of a voice or language that it lacks.
const NO_VOICE: &str = "voice does not exist";
/// Bytes of text.
const LONGEST: usize = 4_096;

/// A text to be spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    text: String,
    /// What is tried first: a voice that the program may not have.
    voice: Option<String>,
    language: String,
    /// The language as it was written.
    written: String,
}

/// Why a text can't be spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpeechFault {
    #[error("the text is empty")]
    Empty,
    #[error("the text has {bytes} bytes, more than {LONGEST}")]
    TooLong { bytes: usize },
    #[error("{0:?} is no language")]
    Language(String),
    #[error("{PROGRAM} is not installed on this machine")]
    NotInstalled,
    #[error("{PROGRAM} could not be run: {0}")]
    NotRun(std::io::ErrorKind),
    #[error(
        "{PROGRAM} speaks no {0:?}: name a language that `{PROGRAM} --voices` lists, or have a speech service speak it"
    )]
    NoLanguage(String),
    #[error("{PROGRAM} failed: {0}")]
    Failed(String),
    #[error("{PROGRAM} took longer than {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("{PROGRAM} wrote more than {0} bytes")]
    TooMuch(usize),
    #[error("{0}")]
    Service(String),
    #[error("there is no [speech_service.{0}] in the tenant's file")]
    NoService(String),
}

impl Spoken {
    /// `voice` as the synthesiser names it; what can be none of its voices is spoken in the language (`en-US`).
    pub fn new(text: &str, voice: Option<&str>, language: &str) -> Result<Spoken, SpeechFault> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+');
        // it becomes an argument: never an option of the program
        let is_name =
            |name: &&str| (1..=40).contains(&name.len()) && !name.starts_with('-') && name.chars().all(allowed);
        if !is_name(&language) {
            return Err(SpeechFault::Language(language.chars().take(40).collect()));
        }
        if text.trim().is_empty() {
            return Err(SpeechFault::Empty);
        }
        if text.len() > LONGEST {
            return Err(SpeechFault::TooLong { bytes: text.len() });
        }
        Ok(Spoken {
            text: match is_markup(text) {
                true => without_markup(text),
                false => text.to_owned(),
            },
            voice: voice.filter(is_name).map(str::to_ascii_lowercase),
            // `en_US` is what a locale is called.
            language: language.to_ascii_lowercase().replace('_', "-"),
            written: language.to_owned(),
        })
    }

    /// Names it in the cache; no place of a file or URL looks alike.
    pub(super) fn key(&self) -> String {
        let voice = self.voice.as_deref().unwrap_or_default();
        format!("say:{}:{voice}:{}", self.language, self.text)
    }

    /// The wav. The child ends with the wait for it. What the synthesiser lacks is noted in `lacked`.
    pub(super) async fn speak(
        &self,
        lacked: &Lately<()>,
        patience: Duration,
        most: usize,
    ) -> Result<Vec<u8>, SpeechFault> {
        self.speak_by(PROGRAM, lacked, patience, most).await
    }

    /// A voice that the program does not have is as good as none, and so is the region of a language; all tries have the
    /// one patience, and what is known to be lacking is not tried.
    async fn speak_by(
        &self,
        program: &str,
        lacked: &Lately<()>,
        patience: Duration,
        most: usize,
    ) -> Result<Vec<u8>, SpeechFault> {
        let deadline = Instant::now() + patience;
        let region_apart = self.language.split_once('-').map(|(language, _)| language);
        let voice = self.voice.as_deref().filter(|voice| *voice != self.language);
        let mut failure = SpeechFault::NoLanguage(self.written.clone());
        for name in voice.into_iter().chain([self.language.as_str()]).chain(region_apart) {
            if lacked.of(name).is_some() {
                continue;
            }
            let spoken = timeout_at(deadline, self.speak_as(program, name, most)).await;
            match spoken.unwrap_or(Err(SpeechFault::TimedOut(patience))) {
                Err(SpeechFault::NoLanguage(_)) => lacked.note(name, ()),
                Err(failed @ SpeechFault::Failed(_)) => failure = failed,
                spoken => return spoken,
            }
        }
        Err(failure)
    }

    async fn speak_as(&self, program: &str, voice: &str, most: usize) -> Result<Vec<u8>, SpeechFault> {
        let mut child = Command::new(program)
            .args(["--stdout", "--stdin", "-v", voice])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => SpeechFault::NotInstalled,
                kind => SpeechFault::NotRun(kind),
            })?;
        let failed = |error: std::io::Error| SpeechFault::NotRun(error.kind());
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(mut input) = input {
                // a child that ends before it has read everything says why by its status
                let written = input.write_all(self.text.as_bytes()).await;
                tracing::trace!(?written, "text for the synthesiser");
            }
        };
        let (mut wave, mut said) = (Vec::new(), Vec::new());
        let read = async {
            match output {
                Some(output) => output.take(most as u64 + 1).read_to_end(&mut wave).await,
                None => Ok(0),
            }
        };
        let listen = async {
            match errors {
                Some(errors) => errors.take(1_000).read_to_end(&mut said).await,
                None => Ok(0),
            }
        };
        let ((), read, listened) = tokio::join!(write, read, listen);
        read.and(listened).map_err(failed)?;
        if wave.len() > most {
            return Err(SpeechFault::TooMuch(most));
        }
        let status = child.wait().await.map_err(failed)?;
        if !status.success() {
            let said = String::from_utf8_lossy(&said);
            if said.contains(NO_VOICE) {
                return Err(SpeechFault::NoLanguage(voice.to_owned()));
            }
            let line = said.lines().next().unwrap_or_default().trim();
            return Err(SpeechFault::Failed(format!("{status} {line}").trim().to_owned()));
        }
        Ok(wave)
    }
}

/// The words of an SSML document. The program could read markup, but would open files that it names.
fn without_markup(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        words.push_str(before);
        words.push(' ');
        rest = after.split_once('>').map_or("", |(_, after)| after);
    }
    words.push_str(rest);
    let references = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    for (reference, character) in references {
        words = words.replace(reference, character);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacked() -> Lately<()> {
        Lately::new(Duration::from_secs(60))
    }

    #[test]
    fn texts_and_voices_are_checked() {
        let fault = |text: &str, language| Spoken::new(text, None, language).err();
        assert_eq!(fault("Hello", "en-US"), None);
        assert_eq!(fault("  ", "en-US"), Some(SpeechFault::Empty));
        assert_eq!(
            fault(&"x".repeat(5_000), "en-US"),
            Some(SpeechFault::TooLong { bytes: 5_000 })
        );
        for name in ["", "-w/etc/x", "../en", "a b"] {
            assert_eq!(fault("Hello", name), Some(SpeechFault::Language(name.into())), "{name}");
            let spoken = Spoken::new("Hello", Some(name), "en-US");
            assert_eq!(spoken, Spoken::new("Hello", None, "en-US"), "{name}");
        }
    }

    #[test]
    fn markup_is_not_spoken() {
        let text = "<speak version='1.0'>Tom &amp; <audio src=\"/etc/passwd\"/>Jerry &amp;lt;<break/>now</speak>";
        assert_eq!(
            without_markup(text).split_whitespace().collect::<Vec<_>>(),
            ["Tom", "&", "Jerry", "&lt;", "now"]
        );
    }

    #[tokio::test]
    async fn a_missing_program_is_named_and_a_failing_one_too() {
        let spoken = Spoken::new("Hello", None, "en").expect("a text");
        let patience = Duration::from_secs(10);
        let missing = spoken
            .speak_by("portcullis-no-such-program", &lacked(), patience, 1_000)
            .await;
        assert_eq!(missing, Err(SpeechFault::NotInstalled));
        let failing = spoken.speak_by("false", &lacked(), patience, 1_000).await;
        assert!(matches!(failing, Err(SpeechFault::Failed(_))), "{failing:?}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_voice_that_the_program_does_not_have_is_spoken_in_the_language() {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/speech/some-voices");
        for (voice, spoken_as) in [(Some("Aria"), "en-us"), (Some("mb-us1"), "mb-us1"), (None, "en-us")] {
            let spoken = Spoken::new("Hello", voice, "en-US").expect("a text");
            let spoken = spoken
                .speak_by(program, &lacked(), Duration::from_secs(10), 1_000)
                .await;
            assert_eq!(spoken.as_deref(), Ok(spoken_as.as_bytes()));
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_language_that_the_program_does_not_have_is_spoken_without_its_region_or_named_and_not_tried_again() {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/speech/few-languages");
        let asked = std::env::temp_dir().join(format!("portcullis-languages-{}", std::process::id()));
        let (lacked, patience) = (lacked(), Duration::from_secs(10));
        let cases = [
            ("en_US", Ok("en-us"), "en-us"),
            ("fil-PH", Ok("fil"), "fil-ph fil"),
            ("fil-PH", Ok("fil"), "fil"),
            ("tlh-QX", Err(SpeechFault::NoLanguage("tlh-QX".into())), "tlh-qx tlh"),
            ("tlh_QX", Err(SpeechFault::NoLanguage("tlh_QX".into())), ""),
        ];
        for (language, expected, tried) in cases {
            std::fs::write(&asked, "").expect("a file");
            let spoken = Spoken::new(&asked.display().to_string(), None, language).expect("a text");
            let spoken = spoken.speak_by(program, &lacked, patience, 1_000).await;
            assert_eq!(spoken, expected.map(|name| name.as_bytes().to_vec()), "{language}");
            let names = std::fs::read_to_string(&asked).expect("a file");
            assert_eq!(
                names.split_whitespace().collect::<Vec<_>>().join(" "),
                tried,
                "{language}"
            );
        }
        std::fs::remove_file(asked).expect("removed");
    }

    /// Time passes here only as the test lets it: the runtime is never idle.
    #[cfg(unix)]
    #[tokio::test(start_paused = true)]
    async fn the_second_try_has_what_the_first_has_left_of_the_patience() {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/speech/slow-voices");
        let folder = std::env::temp_dir().join(format!("portcullis-voices-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let spoken = Spoken::new(&folder.display().to_string(), Some("aria"), "en-us").expect("a text");
        let patience = Duration::from_secs(10);
        let speaking = tokio::spawn(async move { spoken.speak_by(program, &lacked(), patience, 1_000).await });
        let asked_for = async |voice: &str| {
            while !folder.join(voice).exists() {
                assert!(!speaking.is_finished(), "it waits for {voice}");
                tokio::task::yield_now().await;
            }
        };
        asked_for("aria").await;
        tokio::time::advance(patience * 3 / 4).await;
        std::fs::write(folder.join("go"), "").expect("a file");
        asked_for("en-us").await;
        assert!(!speaking.is_finished());
        tokio::time::advance(patience / 4).await;
        // Whatever comes now comes without more time.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!(speaking.is_finished(), "it has waited for as long as it may");
        assert_eq!(speaking.await.expect("its word"), Err(SpeechFault::TimedOut(patience)));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
