//! Scenarios of whole calls: a [`Call`](super::Call) between two scripted peers, no socket and no clock. What is sent is
//! rendered and parsed again, so that scenarios see what the wire sees; what must hold in every scenario is checked by
//! the rig at every step (`contract`).

mod application;
mod contract;
mod messages;
mod peers;
mod play;
mod rig;
mod scenario;

mod at_the_door;
mod behind_nat;
mod bypass;
mod commanded;
mod configured;
mod delivering;
mod described;
mod described_anew;
mod dial_traces;
mod dialling;
mod farewells;
mod giving_up;
mod hanging_up;
mod holding;
mod hunting;
mod listening;
mod midcall;
mod on_hold;
mod parting;
mod passing_keys;
mod placed;
mod random;
mod realigning;
mod recoding;
mod referring;
mod refreshing;
mod refused_holds;
mod releasing;
mod replaced;
mod replacing;
mod ringing;
mod routed_refers;
mod screening;
mod setting_up;
mod silk;
mod stored;
mod strangers;
mod same_ports;
mod talkers;
mod targets;
mod transfer;
mod unspoken;
mod verb_events;
mod verbs;
mod whispering;
mod without_offer;
