//! Tenants, hubs and their health, the Teams contract, planning a `teams` target.
