//! Why nobody takes the place of a leg: one sentence for each reason, the status where several have it.

use crate::route::Unreferable;

/// What keeps a leg where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unmovable {
    #[error("its leg is not up")]
    LegDown,
    #[error("the dialog that it names is none of its sender's own that is up")]
    NoSuchDialog,
    #[error("another transfer of the call is under way")]
    Transferring,
    #[error("one of the two calls to be joined is busy with a re-INVITE")]
    Changing,
    #[error("an emergency call is not transferred")]
    Emergency,
    #[error("the other of the two calls to be joined is an emergency call")]
    OtherEmergency,
    #[error("the other of the two calls to be joined is steered by an application")]
    OtherSteered,
    #[error("its leg talks to nobody")]
    Alone,
    #[error("the call has had as many legs as a call may have")]
    TooManyLegs,
    #[error("the call of the dialog that it names is too busy to be asked")]
    OtherBusy,
    #[error("the media of the leg that was to come could not be moved")]
    MediaLost,
    #[error("the bridge that it was sent in was over before its referHook had answered")]
    BridgeOver,
    #[error("a later command has other verbs for the call than its referHook")]
    Overruled,
    #[error("somebody else was dialled before its referHook had answered")]
    OthersDialled,
}

impl Unmovable {
    /// What whoever asked is answered.
    pub const fn status(self) -> u16 {
        match self {
            Unmovable::LegDown | Unmovable::NoSuchDialog => 481,
            Unmovable::Transferring | Unmovable::Changing => 491,
            Unmovable::OtherBusy | Unmovable::MediaLost => 503,
            Unmovable::Emergency
            | Unmovable::OtherEmergency
            | Unmovable::OtherSteered
            | Unmovable::Alone
            | Unmovable::TooManyLegs
            | Unmovable::BridgeOver
            | Unmovable::Overruled
            | Unmovable::OthersDialled => 603,
        }
    }
}

impl From<Unmovable> for Unreferable {
    fn from(why: Unmovable) -> Unreferable {
        Unreferable {
            status: why.status(),
            why: Some(why.to_string()),
        }
    }
}
