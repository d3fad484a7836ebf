//! The shared directory: who is on stage, who is ready, who has left.
//!
//! `NAME-running` and `NAME-terminated` are one inode, locked (flock(2)) for as long as its exeunt lives and renamed at the
//! end. Everything that is found here was written by another container and is taken for nothing more than a claim.
//!
//! What a name is, what a record says and what is concluded from a look are decided without the directory, on any system;
//! to look and to write there is Linux's alone.

pub mod conclude;
pub mod names;
pub mod record;

#[cfg(target_os = "linux")]
pub mod alarm;
#[cfg(target_os = "linux")]
mod directory;
#[cfg(target_os = "linux")]
pub mod file;
#[cfg(target_os = "linux")]
pub mod observe;
#[cfg(target_os = "linux")]
pub mod publish;
#[cfg(target_os = "linux")]
pub mod reset;
#[cfg(target_os = "linux")]
pub mod watch;

#[cfg(target_os = "linux")]
pub use directory::{Directory, Identity, Lock, identity, stat};
pub use names::{ready, running, terminated};
