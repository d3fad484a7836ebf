//! The subcommands: options in, exit code out. Only this room reads files and starts programs.

mod check;
mod cluster;
pub mod complete;
mod files;
pub mod function;
pub mod inject;
pub mod policy;
pub mod rehearse;

use clap::{ArgMatches, Command};
use std::ffi::OsString;
use std::path::Path;

/// What was asked could not be done: a wrong option, a file that cannot be read, a manifest that cannot be judged.
pub const REFUSED: u8 = 2;

/// One subcommand: its options, and what does it.
struct Subcommand {
    options: fn() -> Command,
    run: fn(&ArgMatches) -> anyhow::Result<u8>,
}

/// Every subcommand, in the order of the help text.
const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand { options: check::options, run: check::run },
    Subcommand { options: rehearse::options, run: rehearse::run },
    Subcommand { options: inject::inject_options, run: inject::run_inject },
    Subcommand { options: inject::eject_options, run: inject::run_eject },
    Subcommand { options: policy::options, run: policy::run },
    Subcommand { options: function::options, run: function::run },
    Subcommand { options: complete::options, run: complete::run },
];

/// The whole command line. `name` is how the program was called: "kubectl exeunt", or the name of its file.
pub fn options(name: &str) -> Command {
    Command::new("kubectl-exeunt")
        .bin_name(name.to_owned())
        .display_name("kubectl-exeunt")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Would this Job ever end? Judges manifests, plays every life of a Pod, puts exeunt in")
        .arg_required_else_help(true)
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommands(SUBCOMMANDS.iter().map(|subcommand| (subcommand.options)()))
}

/// Runs the program: the words of the command line in, the exit code out.
pub fn run(words: Vec<OsString>) -> u8 {
    let matches = match options(&called(&words)).try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are no failures, and go to standard output. Nobody is left to tell that it is closed.
            let _ = error.print();
            return if error.use_stderr() { REFUSED } else { 0 };
        }
    };
    let Some((name, matches)) = matches.subcommand() else { return REFUSED };
    let Some(subcommand) = SUBCOMMANDS.iter().find(|subcommand| (subcommand.options)().get_name() == name) else {
        return REFUSED;
    };
    match (subcommand.run)(matches) {
        Ok(code) => code,
        Err(error) => {
            files::tell(&format!("{error:#}"));
            REFUSED
        }
    }
}

/// kubectl runs the file `kubectl-exeunt` for `kubectl exeunt`, and its user never types the hyphen.
fn called(words: &[OsString]) -> String {
    let file = words.first().and_then(|word| Path::new(word).file_name()).and_then(|name| name.to_str());
    match file {
        Some(name) if name.starts_with("kubectl-") => name.replacen('-', " ", 1),
        Some(name) => name.to_owned(),
        None => "kubectl exeunt".to_owned(),
    }
}
