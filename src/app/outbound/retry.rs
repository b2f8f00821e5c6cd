//! When a request is sent once more: `#rc=3&rp=ct,5xx` behind a hook's URL.

use std::time::Duration;

/// Pauses before the first repetition, the second, and so on.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_millis(1_000),
    Duration::from_millis(2_000),
    Duration::from_millis(4_000),
    Duration::from_millis(6_000),
];

/// How often a failed request is repeated, and after which failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RetryPolicy {
    /// Repetitions, 0 to 5; `None` where the URL says nothing.
    pub count: Option<u8>,
    /// After a connection that could not be made or broke (`ct`).
    pub on_connection: bool,
    /// After a request that was not answered in time (`rt`).
    pub on_timeout: bool,
    /// After a status of 400 to 499 (`4xx`).
    pub on_client_error: bool,
    /// After a status of 500 to 599 (`5xx`).
    pub on_server_error: bool,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            count: None,
            on_connection: true,
            on_timeout: false,
            on_client_error: false,
            on_server_error: false,
        }
    }
}

/// A word of the fragment that means nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetryFault {
    #[error("`rc={0}` is no number of repetitions (0 to 5)")]
    Count(String),
    #[error("`rp={0}` is none of ct, rt, 4xx, 5xx, all")]
    Cause(String),
}

impl RetryPolicy {
    /// Reads a URL's fragment. Keys other than `rc` and `rp` are not ours and pass; more than 5 repetitions become 5.
    pub fn from_fragment(fragment: &str) -> Result<RetryPolicy, RetryFault> {
        let mut policy = RetryPolicy::default();
        for part in fragment.split('&') {
            match part.split_once('=') {
                Some(("rc", count)) => {
                    let number: u32 = count.parse().map_err(|_| RetryFault::Count(count.to_owned()))?;
                    policy.count = Some(u8::try_from(number.min(PAUSES.len() as u32)).unwrap_or(0));
                }
                Some(("rp", causes)) => policy.set_causes(causes)?,
                _ => {}
            }
        }
        Ok(policy)
    }

    fn set_causes(&mut self, causes: &str) -> Result<(), RetryFault> {
        self.on_connection = false;
        for cause in causes.split(',') {
            match cause {
                "ct" => self.on_connection = true,
                "rt" => self.on_timeout = true,
                "4xx" => self.on_client_error = true,
                "5xx" => self.on_server_error = true,
                "all" => {
                    self.on_connection = true;
                    self.on_timeout = true;
                    self.on_client_error = true;
                    self.on_server_error = true;
                }
                other => return Err(RetryFault::Cause(other.to_owned())),
            }
        }
        Ok(())
    }

    /// The pause before repetition number `index` (from 0), where one is left; `default` counts where the URL is silent.
    pub fn pause(&self, index: u8, default: u8) -> Option<Duration> {
        (index < self.count.unwrap_or(default))
            .then(|| PAUSES.get(usize::from(index)).copied())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragment_says_how_often_and_after_what() {
        let policy = RetryPolicy::from_fragment("rc=3&rp=rt,5xx").unwrap();
        assert_eq!(
            policy,
            RetryPolicy {
                count: Some(3),
                on_connection: false,
                on_timeout: true,
                on_client_error: false,
                on_server_error: true,
            }
        );
        assert_eq!(policy.pause(2, 0), Some(Duration::from_secs(2)));
        assert_eq!(policy.pause(3, 0), None);
        assert_eq!(RetryPolicy::from_fragment("top"), Ok(RetryPolicy::default()));
        let all = RetryPolicy::from_fragment("rp=all&rc=99").unwrap();
        assert!(all.on_connection && all.on_timeout && all.on_client_error && all.on_server_error);
        assert_eq!(all.pause(4, 0), Some(Duration::from_secs(6)));
        assert_eq!(all.pause(5, 0), None);
    }

    #[test]
    fn silence_leaves_the_count_to_the_caller() {
        let silent = RetryPolicy::from_fragment("").unwrap();
        assert_eq!(silent.pause(0, 0), None);
        assert_eq!(silent.pause(0, 5), Some(Duration::from_millis(500)));
    }

    #[test]
    fn a_wrong_word_is_named() {
        assert_eq!(
            RetryPolicy::from_fragment("rc=many"),
            Err(RetryFault::Count("many".to_owned()))
        );
        assert_eq!(
            RetryPolicy::from_fragment("rp=ct,6xx"),
            Err(RetryFault::Cause("6xx".to_owned()))
        );
    }
}
