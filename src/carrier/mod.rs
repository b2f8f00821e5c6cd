//! Carriers: identification, gateways, health, number and identity rules, planning a `phone` target.
