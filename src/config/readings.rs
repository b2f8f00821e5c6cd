//! A file in which something is unclear is read in several ways, and only what is wrong in all of them is told.
//! The product of all choices would soon be too many: of the first seven places any two meet in every combination of theirs, as
//! what is wrong mostly depends on two values at most.

/// Each place beyond these is read like one of them, the eighth like the first: these are 49 readings.
const MOST: usize = 7;

/// For each reading the choice at every place that has `choices` of them; the first reading has the first choice
/// everywhere. (An orthogonal array: the lines `a + slope * b` over a prime field, of which two with different slopes meet
/// in every pair.) How many they are is known before any is made.
pub fn of(choices: &[usize]) -> impl ExactSizeIterator<Item = Vec<usize>> {
    let most = choices.iter().copied().max().unwrap_or(1).max(1);
    let (field, readings) = match choices.len() < 2 {
        true => (most, most),
        false => {
            let prime = next_prime(most.max(choices.len().min(MOST)));
            (prime, prime.saturating_mul(prime))
        }
    };
    (0..readings).map(move |line| {
        let (a, b) = (line % field, line / field);
        let columns = choices.iter().enumerate();
        columns
            .map(|(slope, choices)| (a + slope % field * b) % field % choices)
            .collect()
    })
}

fn next_prime(from: usize) -> usize {
    let is_prime = |number: &usize| {
        (2..*number)
            .take_while(|by| by * by <= *number)
            .all(|by| !number.is_multiple_of(by))
    };
    (from.max(2)..).find(is_prime).unwrap_or(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_is_read_in_each_way_once() {
        assert_eq!(of(&[3]).collect::<Vec<_>>(), [[0], [1], [2]]);
        assert_eq!(of(&[]).collect::<Vec<_>>(), [Vec::<usize>::new()]);
    }

    #[test]
    fn any_two_places_meet_in_every_combination() {
        for choices in [&[2, 2][..], &[3, 3, 3], &[5, 3, 4, 2], &[2; 7], &[4, 3, 3, 2, 2, 5, 3]] {
            let readings: Vec<Vec<usize>> = of(choices).collect();
            assert!(readings.len() <= MOST * MOST, "{}", readings.len());
            assert!(readings[0].iter().all(|choice| *choice == 0));
            for (one, other) in (0..choices.len()).flat_map(|one| (0..one).map(move |other| (one, other))) {
                for (first, second) in (0..choices[one]).flat_map(|x| (0..choices[other]).map(move |y| (x, y))) {
                    let met = |reading: &Vec<usize>| reading[one] == first && reading[other] == second;
                    assert!(readings.iter().any(met), "{choices:?}: {one} {first}, {other} {second}");
                }
            }
        }
    }

    #[test]
    fn many_places_are_no_more_readings() {
        assert_eq!(of(&[3; 1000]).len(), MOST * MOST);
        assert!(of(&[3; 1000]).all(|reading| reading.len() == 1000 && reading[0] == reading[MOST]));
    }
}
