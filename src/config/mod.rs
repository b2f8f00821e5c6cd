//! Configuration: raw (as typed, with spans) to checked (as meant); schema; reload.
