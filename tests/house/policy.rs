//! The plainest policy of each role: nothing but what every run has. Tests change what they are about.

use exeunt::machine::{Codes, ExitWith, Policy, Readiness, Restart, Role};

pub const MAIN: Policy = Policy {
    role: Role::Main,
    named: true,
    restart_on: Codes::NONE,
    exit_with: ExitWith::Zero,
    stop_signal: libc::SIGTERM as u8,
    gated: false,
    readiness: Readiness::AtOnce,
    outlive_main: false,
    lingers: false,
    restart: Restart::Never,
    stop_with: false,
    goodbye: false,
};
pub const SIDECAR: Policy = Policy { role: Role::Sidecar, named: false, ..MAIN };
