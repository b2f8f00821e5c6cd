//! One dialog: its state and the rules for requests in it.

use super::identifiers::DialogId;
use super::initiation::Initiation;
use super::route::RouteSet;
use crate::sip::{HeaderName, Message, Method, RequestDraft, Scheme, Uri};
use serde::{Deserialize, Serialize};

/// RFC 3261 §8.1.1.5: below 2^31.
const MAX_CSEQ: u32 = (1 << 31) - 1;

/// Who began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Uac,
    Uas,
}

/// How far it is (RFC 3261 §12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Early,
    Confirmed,
}

/// Why a message makes no dialog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialogError {
    #[error("the request is for a dialog already (To-tag {0:?})")]
    HasToTag(String),
    #[error("no Contact that is a SIP URI")]
    NoContact,
    #[error("the response belongs to another Call-ID or From-tag")]
    Foreign,
    #[error("more than {limit} dialogs")]
    TooManyForks { limit: usize },
}

/// Why a request in a dialog is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Call-ID or tags are not this dialog's.
    #[error("no such dialog")]
    NoSuchDialog,
    /// The CSeq number is not above the last one (RFC 3261 §12.2.2).
    #[error("CSeq {received} comes after {last}")]
    OutOfOrder { received: u32, last: u32 },
}

impl Rejection {
    /// The status to answer with.
    pub const fn status(self) -> u16 {
        match self {
            Rejection::NoSuchDialog => 481,
            Rejection::OutOfOrder { .. } => 500,
        }
    }
}

/// The state of one dialog (RFC 3261 §12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialog {
    id: DialogId,
    role: Role,
    stage: Stage,
    /// From of our requests, with our tag.
    local: String,
    /// To of our requests, with the peer's tag.
    remote: String,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    /// CSeq of the peer's last INVITE: its ACK bears the same.
    remote_invite: Option<u32>,
    route_set: RouteSet,
    remote_target: Uri,
}

impl Dialog {
    /// The dialog that our response with `local_tag` to this INVITE makes.
    ///
    /// # Errors
    /// The request is in a dialog already, or has no Contact to answer to (400).
    pub fn from_request(request: &Message, local_tag: &str) -> Result<Dialog, DialogError> {
        if let Some(tag) = request.to_tag() {
            return Err(DialogError::HasToTag(tag.to_owned()));
        }
        let text = |name| request.header_text(name).unwrap_or_default();
        let (number, method) = request.cseq();
        Ok(Dialog {
            id: DialogId {
                call_id: request.call_id().to_owned(),
                local_tag: local_tag.to_owned(),
                remote_tag: request.from_tag().unwrap_or_default().to_owned(),
            },
            role: Role::Uas,
            stage: Stage::Early,
            local: format!("{};tag={local_tag}", text(HeaderName::To)),
            remote: text(HeaderName::From).into_owned(),
            local_cseq: 0,
            remote_cseq: Some(number),
            remote_invite: (method == Method::Invite).then_some(number),
            route_set: RouteSet::from_request(request),
            remote_target: contact(request).ok_or(DialogError::NoContact)?,
        })
    }

    /// The dialog that a response (101 to 299) to our INVITE makes. Where it names no Contact, the Request-URI stays
    /// the target, for some carriers leave it out of 18x.
    pub(super) fn from_response(initiation: &Initiation, response: &Message) -> Result<Dialog, DialogError> {
        let remote_tag = response.to_tag().unwrap_or_default();
        if response.call_id() != initiation.call_id() || response.from_tag() != Some(initiation.local_tag()) {
            return Err(DialogError::Foreign);
        }
        Ok(Dialog {
            id: DialogId {
                call_id: response.call_id().to_owned(),
                local_tag: initiation.local_tag().to_owned(),
                remote_tag: remote_tag.to_owned(),
            },
            role: Role::Uac,
            stage: Stage::Early,
            local: initiation.from().to_owned(),
            remote: response.header_text(HeaderName::To).unwrap_or_default().into_owned(),
            local_cseq: initiation.cseq(),
            remote_cseq: None,
            remote_invite: None,
            route_set: RouteSet::from_response(response),
            remote_target: contact(response).unwrap_or_else(|| initiation.uri().clone()),
        })
    }

    /// The dialog of a 2xx to an INVITE of ours that is forgotten: what ends it stands in the response. `None` without a Contact, or
    /// a tag of ours.
    pub fn of_answer(response: &Message) -> Option<Dialog> {
        let text = |name| Some(response.header_text(name)?.into_owned());
        Some(Dialog {
            id: DialogId {
                call_id: response.call_id().to_owned(),
                local_tag: response.from_tag()?.to_owned(),
                remote_tag: response.to_tag().unwrap_or_default().to_owned(),
            },
            role: Role::Uac,
            stage: Stage::Confirmed,
            local: text(HeaderName::From)?,
            remote: text(HeaderName::To)?,
            local_cseq: response.cseq().0,
            remote_cseq: None,
            remote_invite: None,
            route_set: RouteSet::from_response(response),
            remote_target: contact(response)?,
        })
    }

    /// What names it.
    pub fn id(&self) -> &DialogId {
        &self.id
    }

    /// Who began it.
    pub fn role(&self) -> Role {
        self.role
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Our address, with our tag, as it stands in From of our requests.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The peer's address, with its tag, as it stands in To of our requests.
    pub fn remote(&self) -> &str {
        &self.remote
    }

    /// The peer's Contact.
    pub fn remote_target(&self) -> &Uri {
        &self.remote_target
    }

    /// CSeq of our last request.
    pub fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// The URI whose host, port and transport say where requests go: the first Route, else the peer's Contact.
    pub fn next_hop_uri(&self) -> Uri {
        self.route_set.next_hop(&self.remote_target)
    }

    /// As the UAS: our 2xx has been sent.
    pub fn confirm(&mut self) {
        self.stage = Stage::Confirmed;
    }

    /// As the UAC: a 2xx came. Route set and target are those of the 2xx, not of what went before
    /// (RFC 3261 §13.2.2.4).
    pub(super) fn confirm_by(&mut self, response: &Message) {
        self.route_set = RouteSet::from_response(response);
        self.stage = Stage::Confirmed;
        self.refresh_target(response);
    }

    /// A request in the dialog, with the next CSeq number. Not for ACK ([`Dialog::ack`]); CANCEL is the transaction's.
    pub fn request(&mut self, method: Method) -> RequestDraft {
        self.local_cseq = self.local_cseq.saturating_add(1).min(MAX_CSEQ);
        self.draft(method, self.local_cseq)
    }

    /// The next request has this CSeq number, unless we are further already: somebody else has spoken for us in this dialog.
    pub fn number_from(&mut self, cseq: u32) {
        self.local_cseq = self.local_cseq.max(cseq.min(MAX_CSEQ).saturating_sub(1));
    }

    /// The ACK of a 2xx to our INVITE that had this CSeq number (RFC 3261 §13.2.2.4).
    pub fn ack(&self, invite_cseq: u32) -> RequestDraft {
        self.draft(Method::Ack, invite_cseq)
    }

    fn draft(&self, method: Method, cseq: u32) -> RequestDraft {
        let number = format!("{cseq} {method}");
        let draft = RequestDraft::new(method, self.route_set.request_uri(&self.remote_target).as_str());
        self.route_set
            .write(draft, &self.remote_target)
            .header(HeaderName::MaxForwards, "70")
            .header(HeaderName::From, &self.local)
            .header(HeaderName::To, &self.remote)
            .header(HeaderName::CallId, &self.id.call_id)
            .header(HeaderName::CSeq, number)
    }

    /// Judges a request of the peer other than ACK and CANCEL, and takes note of its CSeq (RFC 3261 §12.2.2). A
    /// retransmission never gets here: its transaction absorbs it.
    ///
    /// # Errors
    /// [`Rejection`], with the status to answer.
    pub fn accept_request(&mut self, request: &Message) -> Result<(), Rejection> {
        if !self.owns(request) {
            return Err(Rejection::NoSuchDialog);
        }
        let (received, _) = request.cseq();
        if let Some(last) = self.remote_cseq.filter(|last| received <= *last) {
            return Err(Rejection::OutOfOrder { received, last });
        }
        self.remote_cseq = Some(received);
        Ok(())
    }

    /// From now on ACKs of this re-INVITE are waited for. One that is refused at once is none: the ACK of the 2xx before it
    /// may still come (RFC 3261 §17.1.1.3 acknowledges a refusal by its transaction).
    pub fn take_up_invite(&mut self, reinvite: &Message) {
        self.remote_invite = Some(reinvite.cseq().0);
    }

    /// True when this ACK acknowledges our 2xx to the INVITE of the peer that was taken up last.
    pub fn accepts_ack(&self, ack: &Message) -> bool {
        self.owns(ack) && self.remote_invite == Some(ack.cseq().0)
    }

    /// True when Call-ID and both tags of a peer's request are this dialog's.
    pub fn owns(&self, request: &Message) -> bool {
        request.call_id() == self.id.call_id
            && request.to_tag() == Some(self.id.local_tag.as_str())
            && request.from_tag().unwrap_or_default() == self.id.remote_tag
    }

    /// Takes over the Contact of a re-INVITE or UPDATE that is accepted, or of the 2xx to ours (RFC 3261 §12.2).
    /// True when the target changed.
    pub fn refresh_target(&mut self, message: &Message) -> bool {
        match contact(message) {
            Some(target) if target.as_str() != self.remote_target.as_str() => {
                self.remote_target = target;
                true
            }
            _ => false,
        }
    }
}

/// The Contact, when requests can be sent to it: SIP or SIPS alone (RFC 3261 §8.1.1.8).
fn contact(message: &Message) -> Option<Uri> {
    let contact = message.contact().ok().flatten()?;
    matches!(contact.uri().scheme(), Scheme::Sip | Scheme::Sips).then(|| contact.uri().clone())
}
