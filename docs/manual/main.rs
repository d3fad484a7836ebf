//! Writes the manual page and the shell completions:
//!
//!     cargo run -p exeunt --example manual -- DIRECTORY
//!
//! They come from the definition that `--help` comes from, and from the reference. They are made for a release and are not
//! kept in the repository, where they could grow old.

mod completions;
mod markdown;
mod page;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), None) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        eprintln!("usage: cargo run -p exeunt --example manual -- DIRECTORY");
        return ExitCode::from(2);
    };
    let files = [("exeunt.1", page::page())].into_iter().chain(completions::all());
    for (name, text) in files {
        let path = directory.join(name);
        let directory = path.parent().expect("a file in a directory");
        fs::create_dir_all(directory).and_then(|()| fs::write(&path, text)).expect("write a file");
        println!("{}", path.display());
    }
    ExitCode::SUCCESS
}
