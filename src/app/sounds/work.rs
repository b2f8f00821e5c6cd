//! Costly work of one kind: so much at once, so much waiting, and no tenant keeps the others from it.

use crate::app::turns::{Share, Turn, Turns};

/// Places for it. Clones share them.
#[derive(Clone)]
pub(super) struct Work {
    what: &'static str,
    turns: Turns,
    most_waiting: usize,
}

/// Too many of one owner wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit} sounds of this tenant wait to be {what} already")]
pub struct TooMany {
    /// What is done in turn: `decoded`, `read`, `spoken`.
    pub what: &'static str,
    /// How many may wait.
    pub limit: usize,
}

impl Work {
    /// An owner has at most half of the places, and so many that wait.
    pub fn new(what: &'static str, places: usize, most_waiting: usize) -> Work {
        Work {
            what,
            turns: Turns::new(places, Share::Half),
            most_waiting,
        }
    }

    /// A place of this owner, when its turn has come.
    pub async fn take(&self, owner: &str) -> Result<Turn, TooMany> {
        let turn = self.turns.take_unless(owner, 1, self.most_waiting).await;
        turn.map_err(|_| TooMany {
            what: self.what,
            limit: self.most_waiting,
        })
    }

    #[cfg(test)]
    pub fn turns(&self) -> &Turns {
        &self.turns
    }
}
