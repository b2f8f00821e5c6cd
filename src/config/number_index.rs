//! Which entry of which tenant a number belongs to: an exact number before a range, the narrower range first.
//!
//! Spans are cut into disjoint segments once; a look-up is one binary search. 100,000 numbers take 2.4 MB.

use super::number::{E164, NumberSpan};
use std::collections::BTreeMap;

/// A tenant's entry, by positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub tenant: u32,
    pub entry: u32,
}

/// Two entries that can't both stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// The one that begins later (or is later in order).
    pub this: Place,
    /// The one that it collides with.
    pub other: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    first: u64,
    last: u64,
    place: Place,
}

/// All numbers of all tenants.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NumberIndex {
    segments: Vec<Segment>,
}

impl NumberIndex {
    /// Builds the index. Collisions are spans of two tenants that share a number, and spans of one tenant that share
    /// a number and are equally wide, so that neither is the narrower; each later span is reported once.
    pub fn build(entries: impl IntoIterator<Item = (Place, NumberSpan)>) -> (NumberIndex, Vec<Conflict>) {
        let mut spans: Vec<(Place, NumberSpan)> = entries.into_iter().collect();
        spans.sort_unstable_by_key(|(place, span)| (span.first(), *place));
        let mut sweep = Sweep::default();
        for (place, span) in spans {
            sweep.begin(place, span);
        }
        sweep.advance(u64::MAX);
        (
            NumberIndex {
                segments: sweep.segments,
            },
            sweep.conflicts,
        )
    }

    /// This index with `entries` in place of what `tenant` had: what [`NumberIndex::build`] makes of all entries, without
    /// looking at the others' again. None where something collides.
    pub fn with(&self, tenant: u32, entries: impl IntoIterator<Item = (Place, NumberSpan)>) -> Option<NumberIndex> {
        let (own, conflicts) = NumberIndex::build(entries);
        if !conflicts.is_empty() {
            return None;
        }
        let mut segments = Vec::with_capacity(self.segments.len() + own.segments.len());
        let mut own = own.segments.into_iter().peekable();
        for segment in self.segments.iter().filter(|segment| segment.place.tenant != tenant) {
            while let Some(mine) = own.next_if(|mine| mine.first <= segment.first) {
                segments.push(mine);
            }
            segments.push(*segment);
        }
        segments.extend(own);
        let disjoint = segments.is_sorted_by(|before, after| before.last < after.first);
        disjoint.then_some(NumberIndex { segments })
    }

    /// The entry that `number` belongs to.
    pub fn find(&self, number: E164) -> Option<Place> {
        let value = number.value();
        let after = self.segments.partition_point(|segment| segment.first <= value);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        (value <= segment.last).then_some(segment.place)
    }
}

/// Walks the spans by their first number; `open` holds those that are not over, narrowest first.
#[derive(Default)]
struct Sweep {
    open: BTreeMap<(u64, Place), u64>,
    at: u64,
    segments: Vec<Segment>,
    conflicts: Vec<Conflict>,
}

impl Sweep {
    fn begin(&mut self, place: Place, span: NumberSpan) {
        let (first, width) = (span.first().value(), span.count());
        self.advance(first);
        let collides = |&(other_width, other): &(u64, Place)| other.tenant != place.tenant || other_width == width;
        if let Some((_, other)) = self.open.keys().copied().find(collides) {
            self.conflicts.push(Conflict { this: place, other });
        }
        self.open.insert((width, place), span.last().value());
    }

    /// Settles all numbers below `to`.
    fn advance(&mut self, to: u64) {
        while self.at < to {
            let Some((&(_, place), &last)) = self.open.first_key_value() else {
                break;
            };
            if last < self.at {
                self.open.pop_first();
                continue;
            }
            let end = last.min(to - 1);
            self.emit(Segment {
                first: self.at,
                last: end,
                place,
            });
            self.at = end + 1;
        }
        // What a narrower span hid may be over by now, and must not count as a collision.
        self.at = to;
        self.open.retain(|_, last| *last >= to);
    }

    fn emit(&mut self, segment: Segment) {
        match self.segments.last_mut() {
            Some(before) if before.place == segment.place && before.last + 1 == segment.first => {
                before.last = segment.last
            }
            _ => self.segments.push(segment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(first: u64, last: u64) -> NumberSpan {
        match NumberSpan::parse_range(&format!("+{first}-+{last}")) {
            Ok(span) => span,
            Err(invalid) => panic!("{first}-{last}: {invalid}"),
        }
    }

    fn place(tenant: u32, entry: u32) -> Place {
        Place { tenant, entry }
    }

    fn at(index: &NumberIndex, value: u64) -> Option<Place> {
        E164::from_digits(&value.to_string()).and_then(|number| index.find(number))
    }

    #[test]
    fn the_narrower_span_wins_and_the_wider_goes_on_behind_it() {
        let (index, conflicts) = NumberIndex::build([
            (place(0, 0), span(1000, 1999)),
            (place(0, 1), span(1500, 1599)),
            (place(0, 2), span(1550, 1550)),
            (place(1, 0), span(2000, 2000)),
        ]);
        assert_eq!(conflicts, []);
        for (value, expected) in [
            (999, None),
            (1000, Some(place(0, 0))),
            (1500, Some(place(0, 1))),
            (1550, Some(place(0, 2))),
            (1551, Some(place(0, 1))),
            (1600, Some(place(0, 0))),
            (2000, Some(place(1, 0))),
            (2001, None),
        ] {
            assert_eq!(at(&index, value), expected, "{value}");
        }
    }

    #[test]
    fn what_collides_is_named_with_what_it_collides_with() {
        let (_, conflicts) = NumberIndex::build([
            (place(0, 0), span(1000, 1999)),
            (place(1, 0), span(1999, 2100)),
            (place(1, 1), span(2100, 2201)),
            (place(1, 2), span(3000, 3000)),
            (place(1, 3), span(3000, 3000)),
        ]);
        assert_eq!(
            conflicts,
            [
                Conflict {
                    this: place(1, 0),
                    other: place(0, 0)
                },
                Conflict {
                    this: place(1, 1),
                    other: place(1, 0)
                },
                Conflict {
                    this: place(1, 3),
                    other: place(1, 2)
                },
            ]
        );
    }

    proptest! {
        #[test]
        fn a_tenant_replaced_is_all_built_anew(
            raw in proptest::collection::vec((1000u64..1400, 0u64..20, 0u32..3), 0..16),
            new in proptest::collection::vec((1000u64..1400, 0u64..20), 0..6),
            tenant in 0u32..3,
        ) {
            let spans = |raw: &[(u64, u64, u32)]| -> Vec<(Place, NumberSpan)> {
                (0u32..).zip(raw)
                    .map(|(entry, (first, more, tenant))| (place(*tenant, entry), span(*first, first + more)))
                    .collect()
            };
            let (index, conflicts) = NumberIndex::build(spans(&raw));
            prop_assume!(conflicts.is_empty());
            let new: Vec<_> = new.iter().map(|(first, more)| (*first, *more, tenant)).collect();
            let entries = spans(&new);
            let mut all = spans(&raw);
            all.retain(|(place, _)| place.tenant != tenant);
            all.extend(entries.iter().copied());
            let (expected, conflicts) = NumberIndex::build(all);
            prop_assert_eq!(index.with(tenant, entries), conflicts.is_empty().then_some(expected));
        }

        #[test]
        fn it_agrees_with_looking_through_all_spans(
            raw in proptest::collection::vec((1000u64..1200, 0u64..60, 0u32..3), 0..20),
        ) {
            let spans: Vec<(Place, NumberSpan)> = (0u32..).zip(&raw)
                .map(|(entry, (first, more, tenant))| (place(*tenant, entry), span(*first, first + more)))
                .collect();
            let (index, conflicts) = NumberIndex::build(spans.iter().copied());
            let collide = spans.iter().enumerate().any(|(i, (a, x))| spans[..i].iter().any(|(b, y)| {
                x.first() <= y.last() && y.first() <= x.last() && (a.tenant != b.tenant || x.count() == y.count())
            }));
            prop_assert_eq!(collide, !conflicts.is_empty());
            for value in 990..1300u64 {
                let number = E164::from_digits(&value.to_string()).ok_or_else(|| TestCaseError::fail("digits"))?;
                let narrowest = spans.iter().filter(|(_, span)| span.contains(number)).map(|(_, span)| span.count()).min();
                let found = index.find(number);
                prop_assert_eq!(found.is_some(), narrowest.is_some());
                if let Some(found) = found {
                    let width = spans.iter().find(|(place, _)| *place == found).map(|(_, span)| span.count());
                    prop_assert_eq!(width, narrowest);
                }
            }
        }
    }
}
