use serde::{Deserialize, Serialize};
use std::time::Duration;
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    pub url: String,
}
pub type Map = serde_json::Map<String, serde_json::Value>;
macro_rules! v { ($($name:ident { $($f:ident : $t:ty),* })*) => { $(#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)] pub struct $name { $(pub $f: $t),* })* } }
v! {
 Answer {}
 Pause { length: Duration }
 Synth { language: Option<String>, voice: Option<String> }
 Say { id: Option<String>, text: Vec<String>, times: Option<u32>, early_media: bool, synthesizer: Option<Synth> }
 Play { id: Option<String>, urls: Vec<String>, times: Option<u32>, early_media: bool, seek: Duration, limit: Option<Duration>, action_hook: Option<Hook> }
 Gather { id: Option<String>, say: Option<Say>, play: Option<Play>, dtmf_bargein: bool, listen_during_prompt: bool, action_hook: Option<Hook> }
 Capture { parent: Vec<String>, child: Vec<String> }
 Dial { id: Option<String>, answer_on_bridge: bool, dial_music: Option<String>, confirm_hook: Option<Hook>, action_hook: Option<Hook>, dtmf_hook: Option<Hook>, dtmf_capture: Capture, refer_hook: Option<Hook>, on_hold_hook: Option<Hook>, time_limit: Option<u32> }
 Hangup { headers: Vec<(String,String)> }
 Redirect { action_hook: Hook }
 Tag { data: Map }
 Config { refer_hook: Option<Hook>, synthesizer: Option<Synth> }
 SipDecline { status: u16, reason: Option<String>, headers: Vec<(String,String)> }
 Dtmf { digits: String, duration: Duration }
 SipRequest { id: Option<String>, method: String, headers: Vec<(String,String)>, body: Option<String>, content_type: Option<String>, action_hook: Option<Hook> }
 SipRefer { id: Option<String>, refer_to: String, referred_by: Option<String>, headers: Vec<(String,String)>, event_hook: Option<Hook>, action_hook: Option<Hook> }
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Verb {
    Answer(Answer),
    Pause(Pause),
    Say(Say),
    Play(Play),
    Gather(Box<Gather>),
    Dial(Box<Dial>),
    Hangup(Hangup),
    Redirect(Redirect),
    Tag(Tag),
    Config(Box<Config>),
    SipDecline(SipDecline),
    Dtmf(Dtmf),
    SipRequest(Box<SipRequest>),
    SipRefer(Box<SipRefer>),
}
