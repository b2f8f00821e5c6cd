use crate::moment::Moment;
use serde::{Deserialize, Serialize};
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Gather;
pub enum Outcome {
    Digits(String),
    Timeout,
}
impl Gather {
    pub fn new(_: &super::verb::Gather) -> Gather {
        Gather
    }
    pub fn start(&mut self, _: Moment) {}
    pub fn digit(&mut self, _: char, _: Moment) -> Option<Outcome> {
        None
    }
    pub fn expired(&mut self, _: Moment) -> Option<Outcome> {
        None
    }
    pub fn next_timeout(&self) -> Option<Moment> {
        None
    }
}
