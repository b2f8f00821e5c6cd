//! How good speech was, as the E-model estimates it from loss, jitter and delay (ITU-T G.107; equipment values of G.113,
//! appendix I). Narrowband scale: 4.4 is the best there is.

use std::time::Duration;

/// What a receiver knows of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Reception<'a> {
    /// Encoding name, such as `PCMA`.
    pub codec: &'a str,
    /// Share that never arrived, 0 to 1.
    pub loss: f64,
    /// Interarrival jitter, milliseconds.
    pub jitter_ms: f64,
    pub round_trip: Option<Duration>,
}

/// Rating of an undisturbed call with the default values of G.107.
const BEST_RATING: f64 = 93.2;
/// A frame, which is heard once it is whole.
const FRAME_MS: f64 = 20.0;
/// Delay from which conversation suffers visibly.
const DELAY_KNEE_MS: f64 = 177.3;

/// Mean opinion score, 1 to 4.5.
pub fn mos(reception: Reception<'_>) -> f64 {
    // G.711 and G.722 conceal what is lost about as well (G.113: PCM with appendix I of G.711).
    let (impairment, robustness) = match reception.codec.eq_ignore_ascii_case("G729") {
        true => (11.0, 19.0),
        false => (0.0, 25.1),
    };
    let loss = match reception.loss.is_nan() {
        true => 100.0,
        false => reception.loss.clamp(0.0, 1.0) * 100.0,
    };
    let effective = impairment + (95.0 - impairment) * loss / (loss + robustness);
    let one_way = reception.round_trip.map_or(0.0, |span| span.as_secs_f64() * 500.0);
    // A receiver's buffer holds about twice the jitter.
    let delay = one_way + 2.0 * reception.jitter_ms.max(0.0) + FRAME_MS;
    let late = 0.024 * delay + 0.11 * (delay - DELAY_KNEE_MS).max(0.0);
    score(BEST_RATING - effective - late)
}

/// Annex B of G.107.
fn score(rating: f64) -> f64 {
    match rating {
        ..=0.0 => 1.0,
        100.0.. => 4.5,
        _ => 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(codec: &str, loss: f64, jitter_ms: f64, round_trip_ms: u64) -> f64 {
        let score = mos(Reception {
            codec,
            loss,
            jitter_ms,
            round_trip: Some(Duration::from_millis(round_trip_ms)),
        });
        (score * 100.0).round() / 100.0
    }

    #[test]
    fn ratings_become_the_scores_of_the_recommendation() {
        // G.107, annex B: the users' satisfaction at these ratings.
        for (rating, wanted) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            assert!((score(rating) - wanted).abs() < 0.01, "{rating}: {}", score(rating));
        }
        assert_eq!((score(-3.0), score(120.0)), (1.0, 4.5));
    }

    #[test]
    fn loss_delay_and_codecs_cost() {
        assert_eq!(heard("PCMA", 0.0, 0.0, 0), 4.4);
        assert!(heard("G729", 0.0, 0.0, 0) < 4.2);
        let worse = [0.0, 0.01, 0.05, 0.2, 1.0].map(|loss| heard("PCMU", loss, 2.0, 40));
        assert!(worse.windows(2).all(|pair| pair[1] < pair[0]), "{worse:?}");
        let later = [0, 200, 400, 800].map(|round_trip| heard("PCMU", 0.0, 2.0, round_trip));
        assert!(later.windows(2).all(|pair| pair[1] < pair[0]), "{later:?}");
        assert!(heard("PCMU", 0.0, 60.0, 40) < heard("PCMU", 0.0, 2.0, 40));
    }

    #[test]
    fn nonsense_of_a_peers_report_is_a_score_all_the_same() {
        for (loss, jitter) in [(-1.0, -5.0), (7.0, 1e9), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            let score = mos(Reception {
                codec: "",
                loss,
                jitter_ms: jitter,
                round_trip: Some(Duration::MAX),
            });
            assert!((1.0..=4.5).contains(&score), "{score}");
        }
    }
}
