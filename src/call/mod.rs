//! The call value and its step; the task that carries it.
