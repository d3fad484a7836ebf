//! The subcommands: options in, exit code out. Only this room reads files and starts programs.

mod check;
mod cluster;
mod complaint;
pub mod complete;
mod files;
pub mod function;
pub mod inject;
pub mod policy;
pub mod rehearse;

pub use files::fill_in_standard_files;

use crate::pod::objects;
use crate::yaml::File;
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

/// Names of `--main` that no container of what was read has, taken off one after the other.
#[derive(Debug)]
struct Strangers<'a>(Vec<&'a str>);

impl<'a> Strangers<'a> {
    fn new(mains: &'a [String]) -> Self {
        Strangers(mains.iter().map(String::as_str).collect())
    }

    fn look_in(&mut self, file: &File) {
        if self.0.is_empty() {
            return;
        }
        for object in objects(file).0 {
            let containers = object.containers();
            self.0.retain(|name| !containers.iter().any(|one| one.name == *name));
        }
    }

    /// A verdict for a job that is not there would be about another.
    fn refuse(&self) -> anyhow::Result<()> {
        let [] = self.0.as_slice() else {
            anyhow::bail!("error: no container is called {}: --main NAME", self.0.join(" or "))
        };
        Ok(())
    }
}

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
    let called = called(&words);
    let command = options(&called);
    let matches = match command.clone().try_get_matches_from(&words) {
        Ok(matches) => matches,
        Err(error) => return refuse(&error, &command, &called, &words),
    };
    let Some((name, matches)) = matches.subcommand() else { return REFUSED };
    let Some(subcommand) = SUBCOMMANDS.iter().find(|subcommand| (subcommand.options)().get_name() == name) else {
        return REFUSED;
    };
    match (subcommand.run)(matches) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// What was asked for could not be done. Whoever reads no further is told nothing more.
fn fail(error: &anyhow::Error) -> u8 {
    if !error.is::<files::NobodyReads>() {
        files::tell(&format!("{error:#}"));
    }
    REFUSED
}

/// What the parser gives back instead of matches: a page that was asked for, or a complaint.
fn refuse(error: &clap::Error, command: &Command, called: &str, words: &[OsString]) -> u8 {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match files::say(&error.to_string()) {
            Ok(()) => 0,
            Err(error) => fail(&error),
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            files::tell(error.to_string().trim_end());
            REFUSED
        }
        _ => {
            let told = words.get(1).and_then(|word| command.find_subcommand(word));
            let name = told.map_or_else(|| called.to_owned(), |told| format!("{called} {}", told.get_name()));
            let line = complaint::complaint(error, told.unwrap_or(command), &name, words);
            files::tell(&format!("error: {line}"));
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
