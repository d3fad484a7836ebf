//! kubectl-exeunt: would this Job ever end, how, and what has to be put into its manifest that it does.
//!
//! # Theory of operation
//!
//! A second program for laptops, CI and GitOps; it is never in a container of a Pod. Four rooms, with arrows one way:
//!
//! - [`yaml`] turns bytes into a tree whose every node knows its place, and edits into bytes again. It knows no Kubernetes.
//! - [`pod`] reads what a Pod template says, each fact with its place.
//! - [`judge`] holds the rules, the rehearsal and the verdicts. It is pure: no file, no clock, no process.
//! - [`out`] writes results; [`command`] is the only room that touches files and other programs.
//!
//! What exeunt itself decides is not told again here: its own parser reads its command lines, its own machine plays
//! the lives of a Pod, its own names are used.

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

pub mod command;
pub mod judge;
pub mod out;
pub mod pod;
pub mod yaml;
