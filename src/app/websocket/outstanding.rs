//! Messages that have left and may not have arrived: what a broken connection has swallowed leaves again over the next one.
//!
//! A peer that answers a ping has read all that was sent before it (RFC 6455 §5.5.3), and so has one that acknowledges a
//! question. Nothing else says that something has arrived: a write only fills a buffer.

use super::message::Numbered;
use std::collections::VecDeque;

/// Messages that are kept. Of an older one nobody asks any more: a peer that answers no ping would have us keep all.
const MOST: usize = 256;
/// How often a message leaves. One that breaks its server each time would keep back all that is behind it.
pub(super) const MOST_TIMES: u8 = 3;

#[derive(Debug, Default)]
pub(super) struct Outstanding {
    /// Sent over this connection, each with its number; those that want an acknowledgement are not among them.
    left: VecDeque<(u64, Numbered)>,
    /// Messages sent so far.
    sent: u64,
    /// The ping under way is behind this many.
    pinged: Option<u64>,
    /// Of connections that are lost, to be sent before anything else.
    again: VecDeque<Numbered>,
}

impl Outstanding {
    /// A message leaves; its number.
    pub(super) fn leaves(&mut self, mut message: Numbered) -> u64 {
        self.sent += 1;
        message.times = message.times.saturating_add(1);
        // Of a question that is lost its asker is told.
        if !message.wants_ack {
            if self.left.len() >= MOST {
                self.left.pop_front();
            }
            self.left.push_back((self.sent, message));
        }
        self.sent
    }

    /// What a ping says that is sent now.
    pub(super) fn mark(&mut self) -> [u8; 8] {
        self.pinged = Some(self.sent);
        self.sent.to_be_bytes()
    }

    /// The same, where none is under way and there is something to learn.
    pub(super) fn next_ping(&mut self) -> Option<[u8; 8]> {
        (self.pinged.is_none() && !self.left.is_empty()).then(|| self.mark())
    }

    /// The peer has answered a ping; whether that was one under way.
    pub(super) fn pong(&mut self, mark: &[u8]) -> bool {
        // Another mark is none of ours: a peer may send pongs that nobody asked for (RFC 6455 §5.5.3).
        let mark = mark.try_into().map(u64::from_be_bytes);
        let Some(mark) = mark.ok().filter(|mark| *mark <= self.sent) else {
            return false;
        };
        let ours = self.pinged.take_if(|pinged| *pinged <= mark).is_some();
        self.arrived(mark);
        ours
    }

    /// The peer has read so many.
    pub(super) fn arrived(&mut self, number: u64) {
        while self.left.front().is_some_and(|(left, _)| *left <= number) {
            self.left.pop_front();
        }
    }

    /// Our close was answered, or will be: what has left is the peer's own.
    pub(super) fn all_arrived(&mut self) {
        self.left.clear();
    }

    /// The connection is gone: what may not have arrived leaves again, in the order of old. The first of it does not once it
    /// has left often enough: a peer reads in order, so that is what may have broken it.
    pub(super) fn connection_lost(&mut self) -> Option<Numbered> {
        self.pinged = None;
        let worn_out = self.left.pop_front_if(|(_, message)| message.times >= MOST_TIMES);
        while let Some((_, message)) = self.left.pop_back() {
            self.again.push_front(message);
        }
        worn_out.map(|(_, message)| message)
    }

    /// The next of those that leave again.
    pub(super) fn next(&mut self) -> Option<Numbered> {
        self.again.pop_front()
    }

    /// How many are not known to have arrived.
    pub(super) fn len(&self) -> usize {
        self.left.len() + self.again.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::MessageId;
    use super::*;

    fn message(id: &str, wants_ack: bool) -> Numbered {
        Numbered {
            id: MessageId(id.to_owned()),
            kind: "call:status",
            wants_ack,
            text: id.to_owned().into(),
            times: 0,
        }
    }

    fn sends(outstanding: &mut Outstanding, ids: &[&str]) -> u64 {
        ids.iter().fold(0, |_, id| outstanding.leaves(message(id, false)))
    }

    fn again(outstanding: &mut Outstanding) -> Vec<String> {
        outstanding.connection_lost();
        std::iter::from_fn(|| outstanding.next())
            .map(|message| message.id.0)
            .collect()
    }

    #[test]
    fn what_no_pong_has_covered_leaves_again_in_its_order() {
        let mut outstanding = Outstanding::default();
        sends(&mut outstanding, &["a"]);
        let mark = outstanding.next_ping().expect("a ping");
        sends(&mut outstanding, &["b", "c"]);
        assert_eq!(outstanding.next_ping(), None, "one is under way");
        assert!(outstanding.pong(&mark));
        assert!(outstanding.next_ping().is_some(), "two are behind it");
        assert!(!outstanding.pong(b"nobody's") && !outstanding.pong(b""));
        outstanding.connection_lost();
        let first = outstanding.next().expect("b");
        assert_eq!(first.id.0, "b");
        outstanding.leaves(first);
        assert_eq!(outstanding.len(), 2);
        assert_eq!(again(&mut outstanding), ["b", "c"], "lost once more");
        assert_eq!(outstanding.len(), 0);
    }

    #[test]
    fn what_breaks_its_peer_is_given_up_and_what_is_behind_it_is_not() {
        let mut outstanding = Outstanding::default();
        sends(&mut outstanding, &["a", "b"]);
        for time in 1..=MOST_TIMES {
            let worn_out = outstanding.connection_lost().map(|message| message.id.0);
            assert_eq!(worn_out.as_deref(), (time == MOST_TIMES).then_some("a"));
            while let Some(message) = outstanding.next() {
                outstanding.leaves(message);
            }
        }
        assert_eq!(outstanding.len(), 1);
        // Now it may be this one.
        assert_eq!(
            outstanding.connection_lost().map(|message| message.id.0).as_deref(),
            Some("b")
        );
    }

    #[test]
    fn an_acknowledgement_covers_what_was_sent_before_its_question() {
        let mut outstanding = Outstanding::default();
        sends(&mut outstanding, &["a", "b"]);
        let question = outstanding.leaves(message("question", true));
        sends(&mut outstanding, &["c"]);
        outstanding.arrived(question);
        assert_eq!(again(&mut outstanding), ["c"]);
    }

    #[test]
    fn a_pong_for_everything_to_come_is_no_promise() {
        let mut outstanding = Outstanding::default();
        assert!(!outstanding.pong(&u64::MAX.to_be_bytes()));
        sends(&mut outstanding, &["a"]);
        assert_eq!(again(&mut outstanding), ["a"]);
        for number in 0..=MOST {
            sends(&mut outstanding, &[&number.to_string()]);
        }
        assert_eq!(outstanding.len(), MOST);
    }
}
