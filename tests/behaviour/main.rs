//! Behaviour tests: one target, one module a behaviour, named by it.

mod app_server;
mod application_sockets;
mod applications;
mod call_heard_both_ways;
mod calls_in_progress;
mod device;
mod gateway_addresses;
mod hooked_users;
mod hooks_asked;
mod hostile_hooks;
mod hostile_invites;
mod house;
mod lab;
mod parted_calls;
mod phone;
mod registered_phones;
mod reinvites_left_alone;
mod reloads_under_calls;
mod rest_calls;
mod rings;
mod slow_names;
mod source;
mod trust_renewed;
mod unanswered_calls;
mod user_targets;
mod users_call;
