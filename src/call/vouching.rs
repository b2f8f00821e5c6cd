//! Requests of users that wait for what their tenant's registration hook says of them. The hook is asked by a task; its
//! verdict is carried out on the task of the shard, where a CANCEL that came first is known.

use super::node::Node;
use super::sender::Sender;
use super::switchboard::{Switchboard, respond};
use crate::config::UserName;
use crate::net::shard::Command;
use crate::observe::Happening;
use crate::registrar::{Clocks, Question, Verdict};
use crate::sip::Flow;
use crate::sip::message::Message;
use crate::sip::transaction::ServerTransactionId;
use futures_util::FutureExt;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The longest that a question may take with its repetitions: whoever sent the request gives up after 64*T1 = 32 s.
const LONGEST: Duration = Duration::from_secs(20);

/// Requests of one shard that wait; bounded by the registrar, which gives each question its place.
pub(super) struct WaitingRoom {
    waiting: HashMap<ServerTransactionId, Waiting>,
    news: mpsc::UnboundedSender<(ServerTransactionId, Verdict)>,
    verdicts: mpsc::UnboundedReceiver<(ServerTransactionId, Verdict)>,
    asking: JoinSet<()>,
}

struct Waiting {
    question: Arc<Question>,
    message: Message,
    flow: Flow,
}

impl Default for WaitingRoom {
    fn default() -> WaitingRoom {
        let (news, verdicts) = mpsc::unbounded_channel();
        WaitingRoom {
            waiting: HashMap::new(),
            news,
            verdicts,
            asking: JoinSet::new(),
        }
    }
}

impl WaitingRoom {
    /// A request that is cancelled waits no more; what the hook says of it then is nobody's concern.
    pub(super) fn leave(&mut self, id: ServerTransactionId) {
        self.waiting.remove(&id);
    }
}

impl Switchboard {
    /// Asks the hook about the sender of a request. Copies of it meet its transaction, and ask nothing.
    pub(super) fn ask_hook(&mut self, id: ServerTransactionId, message: &Message, flow: &Flow, question: Question) {
        let room = &mut self.waiting;
        while room.asking.try_join_next().is_some() {}
        let question = Arc::new(question);
        let waiting = Waiting {
            question: question.clone(),
            message: message.clone(),
            flow: flow.clone(),
        };
        room.waiting.insert(id, waiting);
        let (node, news, source) = (self.node.clone(), room.news.clone(), flow.remote);
        room.asking.spawn(async move {
            let begun = node.clock.now();
            let verdict = verdict(&node, &question).await;
            node.observer.happened(&Happening::HookAsked {
                tenant: question.tenant.id.as_str(),
                user: &question.aor,
                source,
                method: &question.method,
                verdict: &verdict,
                took: node.clock.now().since(begun),
            });
            // Both fail only when the shard is gone, and the request with it.
            if news.send((id, verdict)).is_ok()
                && let Some(signalling) = node.signalling.get()
            {
                let _stopped = signalling.wake(id).await;
            }
        });
    }

    /// Carries out what hooks have said meanwhile.
    pub(super) fn hooks_have_spoken(&mut self, commands: &mut Vec<Command>) {
        while let Ok((id, verdict)) = self.waiting.verdicts.try_recv() {
            if let Some(waiting) = self.waiting.waiting.remove(&id) {
                self.decided(id, &waiting, &verdict, commands);
            }
        }
    }

    fn decided(&mut self, id: ServerTransactionId, waiting: &Waiting, verdict: &Verdict, commands: &mut Vec<Command>) {
        let Waiting {
            question,
            message,
            flow,
        } = waiting;
        let (config, now) = (self.node.config.load_full(), self.node.clock.now());
        let registrar = &self.node.registrar;
        if question.is_register() {
            let draft = registrar.registered(&config, question, verdict, flow, Clocks::at(now));
            commands.push(respond(id, draft));
            return;
        }
        let name = UserName::parse(&question.aor.user);
        match (registrar.vouched(&config, question, verdict, flow, now), name) {
            (Ok((tenant, voucher)), Ok(name)) => {
                let sender = Sender::User {
                    tenant: tenant.clone(),
                    name,
                    voucher: Some(voucher),
                };
                self.serve(id, message, flow, &config, &sender, commands);
            }
            // Only whose name is one was asked about.
            (Ok(_), Err(_)) => commands.push(respond(id, self.plain(&config, 403))),
            (Err(draft), _) => commands.push(respond(id, *draft)),
        }
    }
}

async fn verdict(node: &Node, question: &Question) -> Verdict {
    let ways = node.ways.load_full();
    // A caller hears nothing meanwhile.
    let patience = (!question.is_register()).then_some(ways.initial);
    let request = match question.request(patience) {
        Ok(request) => request,
        Err(why) => return Verdict::Failed(why),
    };
    let asked = AssertUnwindSafe(tokio::time::timeout(LONGEST, ways.client.ask(&request)));
    match asked.catch_unwind().await {
        Ok(Ok(reply)) => Verdict::read(&question.tenant, |url| ways.connector.permits(url), reply),
        Ok(Err(_)) => Verdict::Failed(format!(
            "no answer within {} s, repetitions included",
            LONGEST.as_secs()
        )),
        Err(_) => Verdict::Failed("the question was lost to a fault of this node".into()),
    }
}
