//! Text to speech by a synthesiser on this machine: `espeak-ng` as a process of its own, one for each text.

use super::SoundError;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

/// For one text.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of one text's audio.
const MOST_AUDIO: u64 = 40 * 1_024 * 1_024;
/// Processes at once.
static PROCESSES: Semaphore = Semaphore::const_new(4);

/// Which voice speaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Voice {
    pub language: Option<String>,
    pub name: Option<String>,
}

impl Voice {
    /// What the synthesiser calls it: the voice, else the language. Names that are neither are refused: they would be read
    /// as something else.
    fn argument(&self) -> Result<String, SoundError> {
        let wanted = self.name.as_deref().or(self.language.as_deref()).unwrap_or("en-US");
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+');
        match wanted.chars().all(fits) && wanted.starts_with(|c: char| c.is_ascii_alphanumeric()) && wanted.len() <= 40
        {
            true => Ok(wanted.to_ascii_lowercase()),
            false => Err(SoundError::Speech(format!("'{}' is no voice", wanted.escape_debug()))),
        }
    }
}

/// The text as a wav.
pub(super) async fn synthesise(text: &str, voice: &Voice) -> Result<Vec<u8>, SoundError> {
    let failed = |why: String| SoundError::Speech(why);
    let argument = voice.argument()?;
    let _place = PROCESSES.acquire().await.map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new("espeak-ng");
    command.args(["--stdout", "--stdin", "-v", &argument]);
    if text.trim_start().starts_with("<speak") {
        command.arg("-m");
    }
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failed("espeak-ng is not installed on this machine".into()),
        _ => failed(format!("espeak-ng can't be started: {error}")),
    })?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let work = async {
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(failed("espeak-ng has no pipes".into()));
        };
        let write = async {
            let written = stdin.write_all(text.as_bytes()).await;
            drop(stdin);
            written
        };
        let mut wav = Vec::new();
        let mut limited = stdout.take(MOST_AUDIO);
        let read = limited.read_to_end(&mut wav);
        let (written, read) = tokio::join!(write, read);
        written.and(read).map_err(|error| failed(error.to_string()))?;
        let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
        match status.success() && !wav.is_empty() {
            true => Ok(wav),
            false => Err(failed(format!(
                "espeak-ng has no voice '{argument}', or could not speak: {status}"
            ))),
        }
    };
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result.map(sized),
        Err(_) => Err(failed(format!("espeak-ng took longer than {} s", PATIENCE.as_secs()))),
    }
}

/// A wav written to a pipe does not know its length: the sizes in its head are made true.
fn sized(mut wav: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(wav.len()).unwrap_or(u32::MAX);
    let data = wav.windows(4).take(256).position(|name| name == b"data");
    if let Some(place) = wav.get_mut(4..8) {
        place.copy_from_slice(&length.saturating_sub(8).to_le_bytes());
    }
    if let Some(at) = data
        && let Some(place) = wav.get_mut(at + 4..at + 8)
    {
        let behind = length.saturating_sub(u32::try_from(at + 8).unwrap_or(0));
        place.copy_from_slice(&behind.to_le_bytes());
    }
    wav
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_is_no_option_of_the_program() {
        let voice = |name: &str| Voice {
            language: None,
            name: Some(name.to_owned()),
        };
        assert_eq!(voice("en-GB").argument(), Ok("en-gb".into()));
        for wrong in ["-f", "--help", "a b", "../x", ""] {
            assert!(voice(wrong).argument().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_head_of_a_piped_wav_is_made_true() {
        let mut wav = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0................data\xff\xff\xff\xff".to_vec();
        wav.extend([0; 100]);
        let fixed = sized(wav.clone());
        assert_eq!(fixed[4..8], (wav.len() as u32 - 8).to_le_bytes());
        assert_eq!(fixed[40..44], 100_u32.to_le_bytes());
        assert!(sized(vec![1, 2]).len() == 2);
    }
}
