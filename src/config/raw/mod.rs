//! The configuration as typed: the shape of the files, with the place of every value.
//!
//! The doc comments here are the descriptions in the JSON Schema and in `docs/configuration.md`; `default` is what the
//! checker puts where the key is absent (a test compares the two).

mod api;
mod application;
mod carrier;
mod machine;
mod tenant;
mod users;
mod value;

pub use api::{RawApi, RawToken};
pub use application::{
    RawApplication, RawApplicationServers, RawHook, RawHookMethod, RawHookTable, RawSpeech, RawSpeechService,
};
pub use carrier::{
    RawBare, RawCaller, RawCarrier, RawCodec, RawCredentials, RawDtmf, RawFailover, RawFormat, RawGateway, RawHeader,
    RawHistory, RawNumberRule, RawNumberRules, RawPrivacy, RawRinging, RawSource,
};
pub use machine::{
    RawAdmin, RawCdr, RawClientCertificate, RawCloud, RawDns, RawEmergency, RawGuard, RawLimits, RawListener, RawLog,
    RawLogFormat, RawLogLevel, RawMedia, RawMediaAddress, RawPurpose, RawSbc, RawTeams, RawTimers, RawTransport,
    RawUnknownSource,
};
pub use tenant::{RawDestinations, RawFromTeams, RawNumber, RawOutside, RawTenant, RawTenantCaller, RawTo};
pub use users::{RawAlgorithm, RawReach, RawRegistrar, RawUser};
pub use value::{At, DurationText, SIZE, SecretText, SizeText, TIME};
