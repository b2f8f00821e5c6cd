//! Transaction shards: each is one task that owns one [`Transactions`](crate::sip::transaction::Transactions), its
//! timer, and its transaction user.
//!
//! In, over bounded queues: messages from the readers (datagrams are shed when the queue is full, streams wait) and
//! commands of the calls (callers wait). Out: bytes to the transports, straight from the task; everything else to the
//! [`TransactionUser`], synchronously. A shard waits for nobody.

mod command;
mod handle;
mod signalling;
mod task;

pub use command::{Ack, Command};
pub use handle::{OWN_TOKENS, SignallingHandle, Stopped};
pub use signalling::{ShardStatus, Signalling, SignallingSettings};

use crate::sip::transaction::{Cause, ClientTransactionId, ServerTransactionId};
use crate::sip::{Flow, Message};

/// Who uses the transactions of one shard: finds the call of a message, or makes one. Runs on the shard's task, so it
/// must neither block nor wait; what it pushes to `commands` is done at once, before anything else.
pub trait TransactionUser: Send + 'static {
    /// A new request, once. It wants [`Command::Respond`] in time; an INVITE that has no command yet when this returns gets
    /// its 100 Trying then. A panic answers it with 500.
    fn request(&mut self, id: ServerTransactionId, message: Message, flow: Flow, commands: &mut Vec<Command>);

    /// Whether this To-tag is of a dialog that lives. Asked while new work is refused: who goes on with what there is passes.
    fn has_dialog(&self, to_tag: &str) -> bool;

    /// The ACK of a 2xx of ours: [`Command::Acknowledged`] stops its retransmission.
    fn ack(&mut self, message: Message, flow: Flow, commands: &mut Vec<Command>);

    /// The INVITE `id` is cancelled and wants its 487; the CANCEL itself is answered already.
    fn cancelled(&mut self, id: ServerTransactionId, cancel: Message, commands: &mut Vec<Command>);

    /// A response to the request of `token`: provisional ones, the final one, and every 2xx of an INVITE, repeated ones
    /// too (ACK each).
    fn response(&mut self, token: u64, message: Message, flow: Flow, commands: &mut Vec<Command>);

    /// The request of `token` got no final response: nothing more comes for it. `id` is `None` when it never became a
    /// transaction: no listener could send it, or it is an [`Ack`].
    fn failed(&mut self, token: u64, id: Option<ClientTransactionId>, cause: Cause, commands: &mut Vec<Command>);

    /// The request of `token` had its final response and is over: nothing more comes for it.
    fn terminated(&mut self, token: u64, commands: &mut Vec<Command>);

    /// No ACK came for our 2xx, which had this To-tag, within 64*T1: end the call (RFC 3261 §13.3.1.4).
    fn ack_timeout(&mut self, id: ServerTransactionId, to_tag: &str, commands: &mut Vec<Command>);

    /// [`SignallingHandle::wake`] was called: something that the user waits for outside of the shard has come.
    fn woken(&mut self, commands: &mut Vec<Command>);
}

#[cfg(test)]
mod tests;
