//! Every row of the published table, and what is not in it.

use super::*;

fn titles(failure: Failure<'_>) -> Vec<&'static str> {
    match look_up(failure) {
        Known::Exactly(entries) => entries.iter().map(|entry| entry.title).collect(),
        Known::OneOf(_) | Known::Nothing => Vec::new(),
    }
}

/// Status and Microsoft codes, as the support articles have them.
const PUBLISHED: &[(u16, &[u32])] = &[
    (400, &[540_400]),
    (402, &[560_402]),
    (
        403,
        &[
            510_532, 510_534, 510_546, 510_559, 510_560, 510_562, 510_563, 10_199, 10_500, 10_553, 560_403,
        ],
    ),
    (404, &[511_404, 10_202]),
    (408, &[500_001, 1_106, 560_408, 0]),
    (410, &[531_000, 531_004, 531_005]),
    (412, &[510_412]),
    (415, &[540_415]),
    (420, &[540_420, 560_420]),
    (422, &[540_422]),
    (480, &[10_037, 10_140, 10_191]),
    (484, &[560_484]),
    (486, &[10_321]),
    (488, &[531_000, 531_027]),
    (500, &[510_482, 510_544, 540_500]),
    (503, &[10_320, 540_998, 560_503]),
    (504, &[549_002, 569_002, 569_003, 569_008, 569_009]),
];

#[test]
fn every_published_code_is_known_with_its_status_and_without() {
    for (status, codes) in PUBLISHED {
        for code in *codes {
            let with = Failure {
                status: Some(*status),
                code: Some(*code),
                ..Failure::default()
            };
            assert_eq!(titles(with).len(), 1, "{status} {code}");
            let without = Failure {
                code: Some(*code),
                ..Failure::default()
            };
            assert!(titles(without).contains(&titles(with)[0]), "{status} {code}");
        }
    }
    let published: usize = PUBLISHED.iter().map(|(_, codes)| codes.len()).sum();
    // Beside them: a redirection, the trunk's name, a call that is gone, a busy user, answered elsewhere, a user who declines.
    assert_eq!(CATALOGUE.len(), published + 6);
}

#[test]
fn a_code_that_two_statuses_share_is_told_by_the_status() {
    let of = |status| Failure {
        status,
        code: Some(531_000),
        ..Failure::default()
    };
    assert_eq!(titles(of(Some(410))), ["the description could not be read"]);
    assert_eq!(titles(of(Some(488))), ["no acceptable media"]);
    assert_eq!(titles(of(None)).len(), 2);
}

#[test]
fn a_status_alone_may_be_several_things_and_an_unknown_one_nothing() {
    let of = |status| {
        look_up(Failure {
            status: Some(status),
            ..Failure::default()
        })
    };
    assert!(matches!(of(403), Known::OneOf(entries) if entries.len() == 12));
    assert_eq!(of(499), Known::Nothing);
    for (status, title) in [
        (302, "a redirection"),
        (305, "a redirection"),
        (481, "the call is not there"),
    ] {
        assert!(
            matches!(of(status), Known::OneOf(entries) if entries[0].title == title),
            "{status}"
        );
    }
    let phrase = Failure {
        status: Some(403),
        phrase: Some("Something new"),
        ..Failure::default()
    };
    assert!(matches!(look_up(phrase), Known::OneOf(_)));
    let code = Failure {
        code: Some(999_999),
        ..Failure::default()
    };
    assert_eq!(look_up(code), Known::Nothing);
}

#[test]
fn a_status_whose_entries_are_of_one_class_is_of_that_class() {
    let of = |status| {
        class(Failure {
            status: Some(status),
            phrase: Some("Something new"),
            ..Failure::default()
        })
    };
    for (status, expected) in [
        (408, CauseClass::Network),
        (410, CauseClass::Media),
        (412, CauseClass::WrongNumber),
        (486, CauseClass::Busy),
        (503, CauseClass::Service),
        // Several: what they mostly are.
        (403, CauseClass::Policy),
        (404, CauseClass::WrongNumber),
        (480, CauseClass::Unavailable),
        // The catalogue has none, or none that says what it means.
        (484, CauseClass::WrongNumber),
        (607, CauseClass::Declined),
        (499, CauseClass::Unknown),
    ] {
        assert_eq!(of(status), expected, "{status}");
    }
}

#[test]
fn phrases_are_written_so_that_they_can_match() {
    for entry in CATALOGUE {
        for phrase in entry.phrases {
            assert_eq!(*phrase, phrase.to_ascii_lowercase(), "{}", entry.title);
            // Each finds its own entry, whatever stands around it.
            let failure = Failure {
                status: Some(entry.status),
                phrase: Some(phrase),
                ..Failure::default()
            };
            assert_eq!(titles(failure), [entry.title], "{phrase}");
        }
    }
}

#[test]
fn codes_of_the_sbc_bear_its_status() {
    assert_eq!(status_of_the_sbc(560_486), Some(486));
    assert_eq!(status_of_the_sbc(560_603), Some(603));
    assert_eq!(status_of_the_sbc(510_532), None);
    assert_eq!(status_of_the_sbc(560_100), None);
}
