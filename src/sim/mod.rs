//! Peers to try portcullis against: real sockets, real TLS, real SRTP, real tones.
//!
//! In: settings, [`Script`]s for what they do when called, [`Dial`]s for whom they call. Out: [`Call`] handles that tell
//! what happened and what was [`Heard`], and the [`Violation`]s of the rules that the real peer would have enforced.
//! Used by `demo`, `sim` and the behaviour tests. Every wait is bounded.

mod attempts;
mod beside;
mod call;
mod carrier;
mod cause;
mod challenge;
mod description;
mod dns;
mod formats;
mod heard;
mod line;
mod media;
mod own_header;
mod papers;
mod persona;
mod script;
mod sdp_shape;
mod simulator;
mod spoken;
mod teams;
mod transfers;
mod unconnected;
mod violation;
mod wire;

pub use call::{
    Call, Change, Dial, DialogNames, EndedBy, Ending, HoldForm, Played, Provisional, Refer, SimError, Stage, Transfer,
    View,
};
pub use carrier::{CarrierPapers, CarrierSettings, CarrierSim, CarrierWire};
pub use cause::{CAUSES, Cause, NoCause};
pub use dns::{DnsManner, DnsSim};
pub use heard::Heard;
pub use line::{Manner, Pings};
pub use own_header::OwnHeader;
pub use papers::{Bearer, Papers, PapersError, Showing, WrongPaper};
pub use script::{Fork, NoScript, Script, Step};
pub use sdp_shape::{SdpFormats, SdpKeyId, SdpProfile, SdpRtcp, SdpShape, SdpSuites};
pub use simulator::{SimStartError, Simulator};
pub use spoken::{Payloads, Spoken};
pub use teams::{
    Inside, TeamsSettings, TeamsSim, api_of, catalogue, inspected, judged, proxy_of, said_of_ice, told_of_transfer,
    transfers,
};
pub use unconnected::{Unconnected, Way};
pub use violation::{Rule, RuleId, Violation};
