//! A leg that goes from one call to another, because somebody who talks in both wants the two others joined.

use super::{CallTask, Dowry};
use crate::call::directory::Undelivered;
use crate::call::event::Event;
use crate::call::id::{CallId, LegIndex};
use crate::call::leg::Leg;
use crate::call::leg_media::Sockets;
use crate::call::transfer::{GivenLeg, LegAnswer, LegWanted, TransferWish, Unmovable};
use crate::sip::dialog::DialogId;
use tokio::sync::oneshot;

/// A REFER that waits for the leg of another call.
pub(super) struct Joining {
    wish: Box<TransferWish>,
    given: oneshot::Receiver<Result<Box<GivenLeg>, Unmovable>>,
}

/// What the other call says, once it does.
pub(super) async fn given(joining: &mut Option<Joining>) -> Result<Box<GivenLeg>, Unmovable> {
    match joining {
        // A call that has ended says nothing any more.
        Some(joining) => (&mut joining.given).await.unwrap_or(Err(Unmovable::NoSuchDialog)),
        None => std::future::pending().await,
    }
}

impl CallTask {
    /// Asks the other call.
    pub(super) fn ask_for_leg(&mut self, wish: Box<TransferWish>) {
        match self.try_to_ask(&wish) {
            Ok(given) => self.joining = Some(Joining { wish, given }),
            Err(why) => {
                let given = Err(why);
                self.pending.push_back(Event::LegGiven { wish, given });
            }
        }
    }

    fn try_to_ask(
        &self,
        wish: &TransferWish,
    ) -> Result<oneshot::Receiver<Result<Box<GivenLeg>, Unmovable>>, Unmovable> {
        if self.joining.is_some() {
            return Err(Unmovable::Transferring);
        }
        let replaces = wish.refer_to.replaces.as_ref().ok_or(Unmovable::NoSuchDialog)?;
        let call = self.node.calls.call_of_tag(&replaces.to_tag);
        let call = call
            .filter(|call| *call != self.live.id)
            .ok_or(Unmovable::NoSuchDialog)?;
        let who = self.call.referring(wish.by).ok_or(Unmovable::NoSuchDialog)?;
        let (answer, given) = oneshot::channel();
        let wanted = LegWanted {
            dialog: DialogId::of_replaces(replaces),
            who,
            to: self.live.id,
            answer,
        };
        let asked = self.node.calls.deliver(call, wanted.into());
        asked.map(|()| given).map_err(|why| match why {
            Undelivered::Unknown => Unmovable::NoSuchDialog,
            Undelivered::Full => Unmovable::OtherBusy,
        })
    }

    /// The leg is here: its media go to the worker of this call's.
    pub(super) async fn take_leg(&mut self, given: Result<Box<GivenLeg>, Unmovable>) -> Option<Event> {
        let Joining { wish, .. } = self.joining.take()?;
        let given = match given {
            Ok(given) => given,
            Err(why) => {
                let given = Err(why);
                return Some(Event::LegGiven { wish, given });
            }
        };
        let GivenLeg { mut leg, dowry } = *given;
        let index = LegIndex(u16::try_from(self.call.legs().len()).unwrap_or(u16::MAX));
        let near = self.handles.first().map(|(handle, _)| *handle);
        let Dowry {
            handles,
            carrier_places,
            // A leg that another call takes is told of by that one.
            events: _,
        } = dowry;
        for (handle, _) in handles {
            let moved = match near {
                Some(near) => self.node.media.relocate(handle, near).await,
                None => Ok(handle),
            };
            let Ok(handle) = moved else {
                leg.media.sockets = Sockets::None;
                continue;
            };
            leg.media.sockets = Sockets::Open(handle);
            self.handles.push((handle, index));
            self.media_command(self.node.media.hand_over(handle, self.media_events.clone()));
        }
        let places = carrier_places.into_iter();
        self.carrier_places
            .extend(places.map(|(_, carrier, place)| (index, carrier, place)));
        let given = Ok(Box::new(leg));
        Some(Event::LegGiven { wish, given })
    }

    /// A leg of this call goes to the one that has asked.
    pub(super) fn give_leg(&mut self, leg: Leg, from: LegIndex, to: CallId, answer: LegAnswer) {
        let Some(dialog) = leg.moved_dialog() else { return };
        let dowry = self.dowry_of(&leg, from);
        self.node.calls.move_dialog(dialog.clone(), to);
        self.moved.push((dialog.clone(), to));
        if let Err(Ok(given)) = answer.send(Ok(Box::new(GivenLeg { leg, dowry }))) {
            self.moved.pop();
            self.node.calls.move_dialog(dialog, self.live.id);
            let GivenLeg { leg, dowry } = *given;
            let handles = dowry.handles.into_iter();
            self.handles.extend(handles.map(|(handle, _)| (handle, from)));
            let leg = Box::new(leg);
            self.pending.push_back(Event::LegReturned { leg, from });
        }
    }
}
