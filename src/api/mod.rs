//! Admin HTTP listener: metrics, health, live calls.
