//! A call's entry in the directory, as its owner holds it.

use super::directory::LiveCall;
use super::node::Node;
use super::record::CallRecord;
use crate::emergency::Showing;
use crate::observe::Happening;
use std::sync::Arc;

/// However the call ends, even before it began, it has its record and is taken out of the directory: nobody waits for it.
pub(super) struct Listed {
    node: Arc<Node>,
    live: LiveCall,
    recorded: bool,
    /// The ELIN that is shown for its caller.
    elin: Option<Showing>,
}

impl Listed {
    /// `live` has just been added.
    pub fn new(node: Arc<Node>, live: LiveCall) -> Listed {
        Listed {
            node,
            live,
            recorded: false,
            elin: None,
        }
    }

    /// The ELIN that is shown for the caller stands for it until the call ends.
    pub fn shows(&mut self, elin: Option<Showing>) {
        self.elin = elin;
    }

    pub fn live(&self) -> &LiveCall {
        &self.live
    }

    pub fn record(&mut self, record: &CallRecord) {
        self.recorded = true;
        self.node.observer.happened(&Happening::CallOver { record });
    }

    pub fn panicked(&self) {
        self.node
            .observer
            .happened(&Happening::CallPanicked { call: self.live.id });
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if !self.recorded {
            let detail = "the call was lost with its task";
            let record = CallRecord::of_lost(&self.live, detail, self.node.clock.now());
            self.record(&record);
        }
        self.node.calls.remove(self.live.id);
        self.node.call_ended.notify_waiters();
        if std::thread::panicking() {
            self.panicked();
        }
    }
}
