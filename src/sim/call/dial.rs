//! How a side calls, as plain data.

use crate::sim::script::Script;
use crate::sim::sdp_shape::SdpShape;
use crate::sim::spoken::Spoken;
use crate::sip::digest::Credentials;
use std::time::Duration;

/// A call to place.
#[derive(Debug, Clone)]
pub struct Dial {
    /// Our number, or any user part.
    pub from: String,
    /// The name shown with it.
    pub display: Option<String>,
    /// Whom to call: the user part of the Request-URI.
    pub to: String,
    /// Another host than the simulator's own idea of portcullis' name.
    pub host: Option<String>,
    /// Hz; `None`: the simulator's own.
    pub tone: Option<f64>,
    /// The only codec that is offered; `None`: as the real peer is wont to.
    pub codec: Option<Spoken>,
    /// How descriptions are written, where Teams calls.
    pub sdp: SdpShape,
    /// An INVITE without a description.
    pub offerless: bool,
    /// No ACK for the 2xx.
    pub never_ack: bool,
    /// What is done in the call once it is answered.
    pub script: Script,
    /// BYE so long after the answer, or the end of the script.
    pub hang_up_after: Option<Duration>,
    /// How we answer a digest challenge; an empty realm: whoever asks.
    pub credentials: Option<Credentials>,
    /// Further headers of the INVITE, by name.
    pub headers: Vec<(String, String)>,
    /// The caller's location record (PIDF-LO), beside the description as Teams sends it.
    pub location: Option<String>,
}

impl Dial {
    /// A plain call.
    pub fn new(from: &str, to: &str) -> Dial {
        Dial {
            from: from.to_owned(),
            display: None,
            to: to.to_owned(),
            host: None,
            tone: None,
            codec: None,
            sdp: SdpShape::default(),
            offerless: false,
            never_ack: false,
            script: Script::of([]),
            hang_up_after: None,
            credentials: None,
            headers: Vec::new(),
            location: None,
        }
    }

    /// With a location record.
    #[must_use]
    pub fn located(mut self, record: &str) -> Dial {
        self.location = Some(record.to_owned());
        self
    }

    /// With a script, whose tone, codec and shape of descriptions are the call's where it has them.
    #[must_use]
    pub fn script(mut self, script: Script) -> Dial {
        self.tone = script.tone.or(self.tone);
        self.codec = script.codec.or(self.codec);
        if script.sdp != SdpShape::default() {
            self.sdp = script.sdp;
        }
        self.script = script;
        self
    }

    /// With descriptions of this shape.
    #[must_use]
    pub fn sdp(mut self, shape: SdpShape) -> Dial {
        self.sdp = shape;
        self
    }

    /// With one header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Dial {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}
