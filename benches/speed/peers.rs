//! Who is compared: exeunt, the inits that are found on this machine, and what is built here to measure by.

use super::plot::Look;
use super::{Bench, EXEUNT, SHIPPED_FOR};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The command, with nobody in front of it.
    Alone,
    Exeunt,
    /// An exeunt from before, that is asked for.
    Earlier,
    /// What people use today.
    Init,
    /// Starts a command and waits for it, in ordinary Rust; no init.
    Stub,
    /// Bare system calls in C (floor/floor.c).
    Floor,
}

impl Kind {
    pub fn look(self) -> Look {
        match self {
            Self::Exeunt => Look::Ours,
            Self::Floor => Look::Floor,
            Self::Alone | Self::Earlier | Self::Init | Self::Stub => Look::Other,
        }
    }
}

/// One way to run a command.
pub struct Peer {
    pub name: &'static str,
    pub kind: Kind,
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

    /// Whether it does what an init does.
    pub fn is_init(&self) -> bool {
        matches!(self.kind, Kind::Exeunt | Kind::Earlier | Kind::Init | Kind::Floor)
    }
}

/// Debian's inits. tini complains when it is not PID 1, unless it is told to adopt orphans (-s).
const INITS: [(&str, &[&str]); 4] =
    [("tini-static", &["-s"]), ("tini", &["-s"]), ("dumb-init", &[]), ("catatonit", &[])];
pub const EARLIER: &str = "exeunt, earlier";
const STUB: &str = "stub in Rust";
const FLOOR: &str = "bare C";

/// Where exeunt's shared directory is.
pub fn shared(bench: &Bench) -> PathBuf {
    bench.memory.join("pod")
}

/// All who can be compared on this machine.
pub fn all(bench: &Bench) -> Vec<Peer> {
    let pod = shared(bench);
    // Two at once want a name each, or a directory.
    let another = bench.memory.join("pod-earlier");
    for directory in [&pod, &another] {
        std::fs::create_dir_all(directory).expect("a shared directory");
    }
    let main = |pod: PathBuf| ["--mode", "main", "--dir"].map(OsString::from).into_iter().chain([pod.into()]).collect();
    let mut peers = vec![
        Peer { name: "the command alone", kind: Kind::Alone, program: None, words: Vec::new() },
        Peer { name: "exeunt --mode main", kind: Kind::Exeunt, program: Some(EXEUNT.clone()), words: main(pod) },
    ];
    let words = main(another);
    peers.extend(earlier(bench).map(|program| Peer {
        name: EARLIER,
        kind: Kind::Earlier,
        program: Some(program),
        words,
    }));
    for (name, words) in INITS {
        let words = words.iter().map(OsString::from).collect();
        peers.extend(find(name).map(|program| Peer { name, kind: Kind::Init, program: Some(program), words }));
    }
    for (name, kind, program) in [(STUB, Kind::Stub, stub(bench)), (FLOOR, Kind::Floor, floor(bench))] {
        peers.extend(program.map(|program| Peer { name, kind, program: Some(program), words: Vec::new() }));
    }
    peers
}

/// Where the earlier exeunt is put.
pub fn earlier_place(bench: &Bench) -> PathBuf {
    bench.programs.join("earlier")
}

/// The earlier exeunt, if one is asked for.
pub fn earlier(bench: &Bench) -> Option<PathBuf> {
    Some(earlier_place(bench)).filter(|file| file.is_file())
}

/// The bare C program, if there is a compiler.
pub fn floor(bench: &Bench) -> Option<PathBuf> {
    Some(bench.programs.join("floor")).filter(|file| file.is_file())
}

fn stub(bench: &Bench) -> Option<PathBuf> {
    Some(bench.programs.join("stub")).filter(|file| file.is_file())
}

/// Builds the programs to measure by, and says who is missing, and what for.
pub fn prepare(bench: &Bench) {
    for (name, _) in INITS {
        if find(name).is_none() {
            println!("MISSING: {name} is not installed (Debian packages tini, dumb-init, catatonit); left out");
        }
    }
    for (tool, what) in [("strace", "system calls are not counted"), ("valgrind", "instructions want perf or valgrind")]
    {
        if find(tool).is_none() {
            println!("MISSING: {tool} is not installed; {what}");
        }
    }
    ship();
    let source = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/speed/floor").join(name);
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.args(["--edition=2024", "-O", "-Cpanic=abort", "-Cstrip=symbols", "-Clto=fat"]);
    rustc.arg(format!("--target={SHIPPED_FOR}")).arg("-Clinker=rust-lld");
    build(rustc.arg(source("stub.rs")), &bench.programs.join("stub"), STUB);
    // musl is the smaller start, where it is installed (Debian: musl-tools).
    let compiler = if find("musl-gcc").is_some() { "musl-gcc" } else { "cc" };
    if compiler == "cc" {
        println!(
            "MISSING: musl-gcc (Debian package musl-tools); the bare C program is built with cc, and starts slower"
        );
    }
    let mut cc = Command::new(compiler);
    build(cc.args(["-O2", "-static", "-s"]).arg(source("floor.c")), &bench.programs.join("floor"), FLOOR);
}

/// Builds what is shipped, as it is shipped. What cargo has built with this benchmark is another program where it was not told
/// `-p exeunt`: packages that the plugin uses as well have more features then.
fn ship() {
    let directory = EXEUNT.ancestors().nth(3).expect("the directory of all builds");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--quiet", "--release", "--locked", "-p", "exeunt", "--target", SHIPPED_FOR, "--target-dir"]);
    cargo.arg(directory).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    let built = cargo.status().is_ok_and(|status| status.success());
    assert!(built && EXEUNT.is_file(), "{} cannot be built", EXEUNT.display());
}

fn build(compiler: &mut Command, to: &Path, name: &str) {
    let output = compiler.arg("-o").arg(to).stdin(Stdio::null()).output();
    let trouble = match output {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    println!("MISSING: {name}: {:?} fails: {}; left out", compiler.get_program(), trouble.trim());
}

pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}
