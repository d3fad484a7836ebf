//! Writes the manual page of the plugin and its shell completions:
//!
//!     cargo run -p kubectl-exeunt --example plugin-manual -- DIRECTORY
//!
//! They are made for a release and are not kept in the repository, where they could grow old.

mod page;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), None) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        eprintln!("usage: cargo run -p kubectl-exeunt --example plugin-manual -- DIRECTORY");
        return ExitCode::from(2);
    };
    let files = [("kubectl-exeunt.1", page::page())];
    let files = files.into_iter().chain(page::COMPLETIONS.iter().map(|(name, text)| (*name, (*text).to_owned())));
    for (name, text) in files {
        let path = directory.join(name);
        let written = fs::create_dir_all(path.parent().unwrap_or(&directory)).and_then(|()| fs::write(&path, text));
        if let Err(error) = written {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
