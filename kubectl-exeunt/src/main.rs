//! The entry point of the plugin.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(kubectl_exeunt::command::run(std::env::args_os().collect()))
}
