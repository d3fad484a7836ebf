//! Who is compared: exeunt, and the inits that are found on this machine.

use super::{Bench, EXEUNT};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One way to run a command.
pub struct Peer {
    pub name: &'static str,
    pub program: Option<PathBuf>,
    words: Vec<OsString>,
}

impl Peer {
    /// `child`, run in this way.
    pub fn command(&self, child: &Path) -> Command {
        let Some(program) = &self.program else { return Command::new(child) };
        let mut command = Command::new(program);
        command.args(&self.words).arg("--").arg(child);
        command
    }
}

/// The command alone, exeunt in main mode, and every init of Debian's that is installed.
pub fn all(bench: &Bench) -> Vec<Peer> {
    let pod = bench.memory.join("pod");
    std::fs::create_dir_all(&pod).expect("a shared directory");
    let main = ["--mode", "main", "--dir"].map(OsString::from).into_iter().chain([pod.into()]).collect();
    let mut peers = vec![
        Peer { name: "(the command alone)", program: None, words: Vec::new() },
        Peer { name: "exeunt --mode main", program: Some(EXEUNT.into()), words: main },
    ];
    // tini complains when it is not PID 1, unless it is told to adopt orphans (-s).
    for (name, words) in [("tini-static", &["-s"][..]), ("tini", &["-s"]), ("dumb-init", &[]), ("catatonit", &[])] {
        match find(name) {
            Some(program) => {
                peers.push(Peer { name, program: Some(program), words: words.iter().map(OsString::from).collect() });
            }
            None => println!("{name} is not installed, and left out\n"),
        }
    }
    peers
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}
