use super::sid::CallSid;
use serde::{Deserialize, Serialize};
use std::time::Duration;
pub type Properties = serde_json::Map<String, serde_json::Value>;
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Trying,
    Ringing,
    EarlyMedia,
    InProgress,
    Completed,
    Failed,
    Busy,
    NoAnswer,
}
impl Status {
    pub fn is_final(&self) -> bool {
        false
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    SessionNew,
    SessionRedirect,
    VerbHook,
    DialConfirm,
    CallStatus,
}
pub struct TargetResult {
    pub target: crate::dial::TargetName,
    pub call_sid: CallSid,
    pub status: Status,
    pub sip_status: u16,
    pub duration: Option<u64>,
}
pub struct DialResult {
    pub status: Status,
    pub sip_status: u16,
    pub call_sid: Option<CallSid>,
    pub duration: Option<u64>,
    pub answered_target: Option<crate::dial::TargetName>,
    pub ended_by: Option<&'static str>,
    pub targets: Vec<TargetResult>,
}
pub fn dial_result(_: &DialResult) -> Properties {
    Properties::new()
}
pub fn number_event(_: &mut Properties, _: u32) {}
pub fn played(_: Duration, _: Option<&str>) -> Properties {
    Properties::new()
}
pub fn gathered(_: &super::gather::Outcome) -> Properties {
    Properties::new()
}
pub fn dtmf(_: &str) -> Properties {
    Properties::new()
}
pub fn request_failed(_: &str) -> Properties {
    Properties::new()
}
pub fn request_answered(_: Option<u16>) -> Properties {
    Properties::new()
}
pub fn add_invite(_: &mut Properties, _: &crate::sip::message::Message) {}
pub fn add_defaults(_: &mut Properties, _: Option<&str>, _: Option<&str>) {}
pub enum Direction {
    Inbound,
    Outbound,
}
pub enum EndedBy {
    FarSide,
    Platform,
}
pub struct CallView<'a> {
    pub call_sid: CallSid,
    pub parent_call_sid: Option<CallSid>,
    pub direction: Direction,
    pub from: &'a str,
    pub to: &'a str,
    pub caller_id: Option<&'a str>,
    pub call_id: &'a str,
    pub status: Status,
    pub sip_status: u16,
    pub sip_reason: &'a str,
    pub account_sid: &'a str,
    pub application_sid: &'a str,
    pub trace_id: &'a str,
    pub sip_address: &'a str,
    pub api_base_url: Option<&'a str>,
    pub originating_sip_ip: Option<&'a str>,
    pub originating_sip_trunk_name: Option<&'a str>,
    pub termination_by: Option<EndedBy>,
    pub duration: Option<u64>,
    pub customer_data: Option<&'a Properties>,
}
pub fn standard(_: &CallView<'_>) -> Properties {
    Properties::new()
}
pub fn transfer_status(_: u16) -> Properties {
    Properties::new()
}
pub fn referred(_: Option<u16>, _: Option<u16>) -> Properties {
    Properties::new()
}
pub fn refer_details(_: &crate::sip::message::Message, _: Option<CallSid>, _: Option<CallSid>) -> Properties {
    Properties::new()
}
pub fn hold_details(_: &str, _: &str) -> Properties {
    Properties::new()
}
