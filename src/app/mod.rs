pub mod gather;
pub mod pattern;
pub mod payload;
pub mod sid;
pub mod verb;
