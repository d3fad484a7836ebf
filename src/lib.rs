//! exeunt: the way a Kubernetes Job and its sidecars leave together.
//!
//! # Theory of operation
//!
//! One process, one loop, one child. `run` blocks all signals before anything else, reads the settings into a
//! [`plan::Plan`] and hands it to the [`supervisor`]. The supervisor waits for one thing at a time (a signal, a ring of
//! the directory watch, a deadline), turns it into an event, asks the [`machine`] what to do and does it; an action whose
//! failure matters comes back as the next event. The machine is pure: it knows no clock, no process and no file.
//!
//! The shared directory is the [`stage`]: a life is a locked file, `NAME-running`, that becomes the sentinel
//! `NAME-terminated` by a rename. The lock goes with the process, however it dies, and that is what makes
//! "nobody has to be alive to say goodbye" true.
//!
//! [`sys`] holds the doors to the kernel. Arrows point from the world towards the machine, which points at nothing; the
//! doors do not know each other.

#[cfg(not(target_os = "linux"))]
compile_error!("exeunt is for Linux: it is built on inotify, flock, pid namespaces and signals as Linux has them");

pub mod cli;
pub mod exit;
pub mod machine;
pub mod plan;
pub mod report;
pub mod stage;
pub mod supervisor;
pub mod sys;

use report::Report;
use std::ffi::OsString;

/// Runs the program: the words of the command line in, the exit code out. Every signal must be blocked.
pub fn run(words: Vec<OsString>) -> u8 {
    let signals = match sys::signals::Signals::catch() {
        Ok(signals) => signals,
        Err(error) => {
            Report::early().failure(&format!("signal handlers cannot be installed: {error}"));
            return exit::OURS;
        }
    };
    sys::descriptors::keep_standard_numbers_free();

    let mut report = Report::early();
    let flags = match cli::command().try_get_matches_from(words) {
        Ok(flags) => flags,
        Err(error) => {
            report.failure(&format!("{}; see exeunt --help", cli::complaint(&error)));
            return exit::OURS;
        }
    };
    if flags.get_flag("help") {
        return print(&cli::command().render_help().to_string());
    }
    if flags.get_flag("version") {
        return print(&format!("exeunt {}\n", env!("CARGO_PKG_VERSION")));
    }

    let (level, format) = plan::report(&flags);
    report.format = *format.as_ref().unwrap_or(&report.format);
    let outcome = level.and_then(|level| {
        report.level = level;
        format?;
        let role = plan::role(&flags)?;
        report.mode = match role {
            machine::Role::Main => "main",
            machine::Role::Sidecar => "sidecar",
        };
        plan::Plan::new(&flags, role)
    });
    match outcome {
        Ok(plan) => supervisor::run(plan, signals, report),
        Err(error) => {
            report.failure(&format!("{error:#}"));
            exit::OURS
        }
    }
}

/// Writes what was asked for to standard output.
fn print(text: &str) -> u8 {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Ok(()) => 0,
        Err(_) => exit::OURS,
    }
}
