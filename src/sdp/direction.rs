//! Which way media flows, seen from the describer (RFC 3264 §5.1, §6.1, §8.4), and how a leg speaks of hold.

use serde::{Deserialize, Serialize};

/// A stream's direction from the point of view of whoever printed the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    const fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same stream seen by the other end.
    pub const fn reversed(self) -> Direction {
        Direction::of(self.receives(), self.sends())
    }

    /// What both directions allow.
    pub const fn and(self, other: Direction) -> Direction {
        Direction::of(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The attribute name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    pub(super) fn from_attribute(name: &str) -> Option<Direction> {
        [
            Direction::SendRecv,
            Direction::SendOnly,
            Direction::RecvOnly,
            Direction::Inactive,
        ]
        .into_iter()
        .find(|direction| direction.as_str() == name)
    }
}

/// How a leg is told that the other side holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldStyle {
    /// Only `sendrecv` and `inactive` are ever printed (Teams).
    Inactive,
    /// All four directions (RFC 3264 §8.4).
    Directional,
}

impl HoldStyle {
    /// The direction of our offer on a leg of this style when the other leg's peer offered `offered`.
    pub const fn offered(self, offered: Direction) -> Direction {
        match (self, offered) {
            (HoldStyle::Inactive, Direction::SendOnly | Direction::RecvOnly) => Direction::Inactive,
            _ => offered,
        }
    }

    /// The direction of our answer to a peer that offered `offered`, when the other leg's peer answered `carried`
    /// (RFC 3264 §6.1). An answer is no hold request: where a one-way stream can't be said, it stays open
    /// (an early announcement answered `sendonly` must reach Teams).
    pub const fn answered(self, offered: Direction, carried: Direction) -> Direction {
        let allowed = offered.reversed();
        let direction = carried.and(allowed);
        match (self, direction) {
            (HoldStyle::Inactive, Direction::SendOnly | Direction::RecvOnly) => match allowed {
                Direction::SendRecv => Direction::SendRecv,
                _ => Direction::Inactive,
            },
            _ => direction,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Direction::*;
    use super::*;

    const ALL: [Direction; 4] = [SendRecv, SendOnly, RecvOnly, Inactive];

    #[test]
    fn answers_obey_the_table_of_rfc_3264() {
        for offered in ALL {
            for carried in ALL {
                for style in [HoldStyle::Inactive, HoldStyle::Directional] {
                    let answer = style.answered(offered, carried);
                    let allowed: &[Direction] = match offered {
                        SendRecv => &ALL,
                        SendOnly => &[RecvOnly, Inactive],
                        RecvOnly => &[SendOnly, Inactive],
                        Inactive => &[Inactive],
                    };
                    assert!(allowed.contains(&answer), "{offered:?} answered {answer:?}");
                    if style == HoldStyle::Inactive {
                        assert!(matches!(answer, SendRecv | Inactive));
                    }
                }
            }
        }
    }

    #[test]
    fn teams_hears_only_of_inactive_and_sendrecv() {
        assert_eq!(
            ALL.map(|d| HoldStyle::Inactive.offered(d)),
            [SendRecv, Inactive, Inactive, Inactive]
        );
        assert_eq!(ALL.map(|d| HoldStyle::Directional.offered(d)), ALL);
        assert_eq!(HoldStyle::Inactive.answered(SendRecv, SendOnly), SendRecv);
        assert_eq!(HoldStyle::Directional.answered(SendOnly, SendRecv), RecvOnly);
    }
}
