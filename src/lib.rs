//! exeunt: the way a Kubernetes Job and its sidecars leave together.
//!
//! # Theory of operation
//!
//! One process, one loop, one child. `run` blocks all signals before anything else, reads the settings into a
//! [`plan::Plan`] and hands it to the `supervisor`. The supervisor waits for one thing at a time (a signal, a ring of
//! the directory watch, a deadline), turns it into an event, asks the [`machine`] what to do and does it; an action whose
//! failure matters comes back as the next event. The machine is pure: it knows no clock, no process and no file.
//!
//! The shared directory is the [`stage`]: a life is a locked file, `NAME-running`, that becomes the sentinel
//! `NAME-terminated` by a rename. The lock goes with the process, however it dies, and that is what makes
//! "nobody has to be alive to say goodbye" true.
//!
//! `sys` holds the doors to the kernel. Arrows point from the world towards the machine, which points at nothing.
//!
//! What decides (the machine, the plan, the conditions, the observer's table, the record) compiles on every system, for
//! whoever wants to know what exeunt would do with a manifest. What acts is for Linux.

#![deny(missing_docs, unsafe_code, unused_must_use)]
#![deny(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::todo,
    clippy::unimplemented,
    clippy::undocumented_unsafe_blocks,
    clippy::unreachable
)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod cli;
pub mod codes;
pub mod condition;
pub mod exit;
pub mod machine;
pub mod options;
pub mod plan;
pub mod reading;
pub mod settings;
pub mod signal;
pub mod stage;
pub mod url;

// What acts is built on inotify, flock, pid namespaces and signals as Linux has them.
#[cfg(target_os = "linux")]
pub mod http;
#[cfg(target_os = "linux")]
pub mod install;
#[cfg(target_os = "linux")]
pub mod probe;
#[cfg(target_os = "linux")]
pub mod report;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
pub mod status;
#[cfg(target_os = "linux")]
pub mod supervisor;
#[cfg(target_os = "linux")]
pub mod sys;
#[cfg(target_os = "linux")]
pub mod words;

#[cfg(target_os = "linux")]
pub use run::run;
