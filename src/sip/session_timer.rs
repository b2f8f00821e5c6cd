//! Session timers (RFC 4028) as pure decisions: what to offer, what to answer, and from a finished negotiation who
//! refreshes when and when the session counts as dead.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The least Min-SE that RFC 4028 §5 allows, in seconds.
const FLOOR: u32 = 90;

/// Who refreshes, by the roles of the transaction that negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refresher {
    Uac,
    Uas,
}

/// A Session-Expires value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds.
    pub interval: u32,
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Reads `1800;refresher=uac`; unknown parameters are passed over. `None` when it is broken.
    pub fn parse(value: &str) -> Option<SessionExpires> {
        let mut parts = value.split(';');
        let interval = parse_seconds(parts.next()?)?;
        let mut refresher = None;
        for parameter in parts {
            let Some((name, value)) = parameter.split_once('=') else {
                continue;
            };
            if name.trim().eq_ignore_ascii_case("refresher") {
                refresher = match value.trim() {
                    role if role.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
                    role if role.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
                    _ => return None,
                };
            }
        }
        Some(SessionExpires { interval, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interval)?;
        match self.refresher {
            None => Ok(()),
            Some(Refresher::Uac) => f.write_str(";refresher=uac"),
            Some(Refresher::Uas) => f.write_str(";refresher=uas"),
        }
    }
}

/// Reads a Min-SE value, or the seconds of Session-Expires; what exceeds 32 bits is cut to them.
pub fn parse_seconds(value: &str) -> Option<u32> {
    let digits = value.split(';').next()?.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u32::MAX))
}

/// What we want, a peer's profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTimerSettings {
    /// The interval that we propose, seconds.
    pub interval: u32,
    /// The shortest that we accept, seconds; raised to 90.
    pub min_se: u32,
}

impl SessionTimerSettings {
    fn min_se(&self) -> u32 {
        self.min_se.max(FLOOR)
    }
}

/// What the peer's request or response says of session timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerSessionTimer {
    pub session_expires: Option<SessionExpires>,
    /// Min-SE, seconds.
    pub min_se: Option<u32>,
    /// `timer` stands in Supported (or Require).
    pub supports_timer: bool,
}

/// What goes into a request of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTimerOffer {
    /// Seconds for Session-Expires.
    pub interval: u32,
    /// Seconds for Min-SE.
    pub min_se: u32,
    /// 422s that raised it.
    raised: u8,
}

impl SessionTimerOffer {
    /// The first offer.
    pub fn new(settings: &SessionTimerSettings) -> SessionTimerOffer {
        let min_se = settings.min_se();
        SessionTimerOffer {
            interval: settings.interval.max(min_se),
            min_se,
            raised: 0,
        }
    }

    /// The offer after a 422 with this Min-SE (RFC 4028 §7.4): raised to it, once; else the call fails.
    pub fn raise(&self, min_se: Option<u32>) -> Option<SessionTimerOffer> {
        let wanted = min_se.filter(|wanted| self.raised == 0 && *wanted > self.interval)?;
        Some(SessionTimerOffer {
            interval: wanted,
            min_se: self.min_se.max(wanted),
            raised: 1,
        })
    }

    /// The agreement that a 2xx of our request makes (RFC 4028 §7.2), from its Session-Expires. `None`: no session
    /// timer. A UAS that supports timers but names no refresher leaves the work with us.
    pub fn agreed(&self, answer: &PeerSessionTimer) -> Option<SessionTimer> {
        let expires = answer.session_expires?;
        // A shorter interval than we allowed is not the peer's to choose.
        let interval = expires.interval.max(FLOOR);
        let we_refresh = expires.refresher != Some(Refresher::Uas);
        Some(SessionTimer { interval, we_refresh })
    }
}

/// What to do with a peer's INVITE or UPDATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionTimerAnswer {
    /// 422 Session Interval Too Small with this Min-SE (RFC 4028 §6).
    TooSmall { min_se: u32 },
    /// No session timer: neither side wants one.
    Off,
    /// Session-Expires for the 2xx; `require` when `Require: timer` goes with it.
    On {
        session_expires: SessionExpires,
        require: bool,
        timer: SessionTimer,
    },
}

/// Answers a request as its UAS (RFC 4028 §9). `refreshing` is who refreshes at present when this is a refresh.
pub fn answer(
    request: &PeerSessionTimer,
    settings: &SessionTimerSettings,
    refreshing: Option<Refresher>,
) -> SessionTimerAnswer {
    let peer_floor = request.min_se.unwrap_or(FLOOR);
    let Some(asked) = request.session_expires else {
        if !request.supports_timer {
            return SessionTimerAnswer::Off;
        }
        // The peer knows timers but asks none: we may start one, and refresh it ourselves (RFC 4028 §9, Table 2).
        let interval = settings.interval.max(settings.min_se()).max(peer_floor);
        return on(interval, Refresher::Uas, false);
    };
    if asked.interval < settings.min_se() && request.supports_timer {
        return SessionTimerAnswer::TooSmall {
            min_se: settings.min_se(),
        };
    }
    // The UAS may shorten, never below the Min-SE of either side, and never lengthen.
    let interval = asked
        .interval
        .min(settings.interval.max(settings.min_se()).max(peer_floor))
        .max(FLOOR);
    let refresher = match (request.supports_timer, asked.refresher.or(refreshing)) {
        // A proxy asked for it; the peer itself can't refresh, nor ask again after 422.
        (false, _) => Refresher::Uas,
        (true, Some(refresher)) => refresher,
        (true, None) => Refresher::Uac,
    };
    on(interval, refresher, refresher == Refresher::Uac)
}

fn on(interval: u32, refresher: Refresher, require: bool) -> SessionTimerAnswer {
    SessionTimerAnswer::On {
        session_expires: SessionExpires {
            interval,
            refresher: Some(refresher),
        },
        require,
        timer: SessionTimer {
            interval,
            we_refresh: refresher == Refresher::Uas,
        },
    }
}

/// A running session timer, counted from the 2xx that agreed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTimer {
    /// Seconds.
    pub interval: u32,
    /// We send the refreshes; else the peer does.
    pub we_refresh: bool,
}

impl SessionTimer {
    /// When we refresh: half the interval (RFC 4028 §7.2). `None` when the peer does.
    pub fn refresh_after(&self) -> Option<Duration> {
        self.we_refresh
            .then(|| Duration::from_secs(u64::from(self.interval)) / 2)
    }

    /// When the session is dead and BYE is due: the lesser of 32 s and a third of the interval before its end
    /// (RFC 4028 §10) for the side that waits; for the refresher, whose refresh can't get through, the end itself.
    pub fn expires_after(&self) -> Duration {
        let interval = Duration::from_secs(u64::from(self.interval));
        if self.we_refresh {
            interval
        } else {
            interval - Duration::from_secs(32).min(interval / 3)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OURS: SessionTimerSettings = SessionTimerSettings {
        interval: 1_800,
        min_se: 300,
    };

    fn peer(expires: Option<&str>, min_se: Option<u32>, supports_timer: bool) -> PeerSessionTimer {
        PeerSessionTimer {
            session_expires: expires.map(|value| SessionExpires::parse(value).unwrap()),
            min_se,
            supports_timer,
        }
    }

    /// Teams, non-bypass: Session-Expires 3600, Min-SE 300, Supported: timer.
    #[test]
    fn teams_offer_is_shortened_to_our_interval_and_teams_refreshes() {
        let SessionTimerAnswer::On {
            session_expires,
            require,
            timer,
        } = answer(&peer(Some("3600"), Some(300), true), &OURS, None)
        else {
            panic!("refused")
        };
        assert_eq!(session_expires.to_string(), "1800;refresher=uac");
        assert!(require && !timer.we_refresh);
        assert_eq!(timer.refresh_after(), None);
        assert_eq!(timer.expires_after(), Duration::from_secs(1_768));
    }

    #[test]
    fn too_small_is_refused_only_to_a_peer_that_can_raise() {
        let request = peer(Some("120;refresher=uac"), None, true);
        assert_eq!(
            answer(&request, &OURS, None),
            SessionTimerAnswer::TooSmall { min_se: 300 }
        );
        let request = PeerSessionTimer {
            supports_timer: false,
            ..request
        };
        let SessionTimerAnswer::On {
            session_expires,
            require,
            timer,
        } = answer(&request, &OURS, None)
        else {
            panic!("refused")
        };
        assert_eq!(session_expires.to_string(), "120;refresher=uas");
        assert!(!require && timer.we_refresh);
    }

    #[test]
    fn a_peer_without_timer_gets_none() {
        assert_eq!(
            answer(&PeerSessionTimer::default(), &OURS, None),
            SessionTimerAnswer::Off
        );
    }

    #[test]
    fn a_refresh_keeps_the_refresher_unless_it_names_one() {
        let SessionTimerAnswer::On { session_expires, .. } =
            answer(&peer(Some("1800"), None, true), &OURS, Some(Refresher::Uas))
        else {
            panic!("refused")
        };
        assert_eq!(session_expires.refresher, Some(Refresher::Uas));
    }

    #[test]
    fn a_422_raises_once() {
        let offer = SessionTimerOffer::new(&SessionTimerSettings {
            interval: 600,
            min_se: 90,
        });
        let raised = offer.raise(Some(1_200)).unwrap();
        assert_eq!((raised.interval, raised.min_se), (1_200, 1_200));
        assert_eq!(raised.raise(Some(2_400)), None);
        assert_eq!(offer.raise(None), None);
        assert_eq!(offer.raise(Some(600)), None, "it contradicts itself: no circle");
    }

    #[test]
    fn an_answer_without_refresher_leaves_the_refresh_with_us() {
        let offer = SessionTimerOffer::new(&OURS);
        let timer = offer.agreed(&peer(Some("1800"), None, true)).unwrap();
        assert_eq!(timer.refresh_after(), Some(Duration::from_secs(900)));
        assert_eq!(offer.agreed(&PeerSessionTimer::default()), None);
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_printing_reads_back(value in ".{0,40}", interval in any::<u32>()) {
            let _ = SessionExpires::parse(&value);
            let _ = parse_seconds(&value);
            let expires = SessionExpires { interval, refresher: Some(Refresher::Uas) };
            prop_assert_eq!(SessionExpires::parse(&expires.to_string()), Some(expires));
        }

        /// Whatever the peer asks: never below either Min-SE, and the waiting side never gives up before the refresh.
        #[test]
        fn an_agreed_interval_respects_both_floors(
            asked in proptest::option::of(0u32..10_000),
            min_se in proptest::option::of(0u32..4_000),
            supports_timer in any::<bool>(),
            interval in 0u32..8_000,
            ours in 0u32..1_000,
        ) {
            let settings = SessionTimerSettings { interval, min_se: ours };
            let request = PeerSessionTimer {
                session_expires: asked.map(|interval| SessionExpires { interval, refresher: None }),
                min_se,
                supports_timer,
            };
            if let SessionTimerAnswer::On { timer, .. } = answer(&request, &settings, None) {
                prop_assert!(timer.interval >= FLOOR);
                prop_assert!(!supports_timer || timer.interval >= settings.min_se());
                // A peer that asks below its own Min-SE contradicts itself.
                if asked.is_none_or(|asked| asked >= min_se.unwrap_or(0)) {
                    prop_assert!(timer.interval >= min_se.unwrap_or(0));
                }
                prop_assert!(timer.expires_after() > Duration::from_secs(u64::from(timer.interval) / 2));
            }
        }
    }
}
