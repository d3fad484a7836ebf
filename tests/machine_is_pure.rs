//! The machine is compiled here without the standard library: one `std::` in it, and this file stops compiling while the
//! program still builds.

#![no_std]

// Under another name, so that `std` stays unknown to the machine below: an `extern crate` adds only the name it is given.
extern crate std as harness;

#[path = "../src/machine.rs"]
#[allow(dead_code, reason = "only its compiling counts")]
mod machine;

use harness::path::{Path, PathBuf};
use harness::process::{Command, Output};
use harness::string::String;
use harness::{env, format, fs};

const SOURCE: &str = include_str!("../src/machine.rs");

#[test]
fn the_machine_asks_for_no_other_crate_and_no_other_module() {
    for word in ["extern crate", "crate::", "super::", "unsafe", "#[path", "include!"] {
        assert!(!SOURCE.contains(word), "src/machine.rs says {word:?}: the core points at nothing");
    }
}

/// A state is read in one look, or it is not read.
#[test]
fn what_a_state_does_fits_half_a_screen() {
    const HALF_A_SCREEN: usize = 25;
    let begins = |line: &str| line.starts_with("        State::") && line.ends_with(" => match event {");
    let lines = || SOURCE.lines().enumerate();
    let mut states = 0;
    for (begin, state) in lines().filter(|(_, line)| begins(line)) {
        let (end, _) = lines().find(|(at, line)| *at > begin && *line == "        },").expect("its end");
        assert!(end - begin < HALF_A_SCREEN, "{} lines: {state}", end - begin + 1);
        states += 1;
    }
    assert!(states > 10, "only {states} states were found; is this test still looking at them?");
}

/// The negative control: without it, nobody would notice that the attribute at the head of this file has been lost.
#[test]
fn a_clock_a_file_or_an_allocation_in_the_machine_would_not_compile() {
    let compiled = compile("as_it_is", SOURCE);
    assert!(compiled.status.success(), "{}", errors(&compiled));
    for (name, planted) in [
        ("clock", "pub fn now() -> std::time::Instant { std::time::Instant::now() }"),
        ("file", "pub fn read() -> bool { std::fs::exists(\"/\").is_ok() }"),
        ("allocation", "pub fn list() -> Vec<u8> { Vec::new() }"),
        ("output", "pub fn say() { println!(\"said\"); }"),
    ] {
        let compiled = compile(name, &format!("{SOURCE}\n/// Planted.\n{planted}\n"));
        assert!(!compiled.status.success(), "{planted:?} compiles in the machine");
        let errors = errors(&compiled);
        assert!(["E0433", "E0425", "E0412", "cannot find macro"].iter().any(|sign| errors.contains(sign)), "{errors}");
    }
}

/// Compiles a text as a library of its own, without the standard library.
fn compile(name: &str, source: &str) -> Output {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("machine-{}-{name}", harness::process::id()));
    fs::create_dir_all(&place).expect("a place for one source file");
    let file = place.join("machine.rs");
    fs::write(&file, format!("#![no_std]\n{source}").replace("//!", "//")).expect("one source file");
    let output = Command::new(compiler())
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--out-dir"])
        .args([&place, &file])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("rustc can be run");
    let _ = fs::remove_dir_all(&place);
    output
}

/// The compiler beside the cargo that builds this test: the same toolchain.
fn compiler() -> PathBuf {
    let beside = Path::new(env!("CARGO")).with_file_name("rustc");
    env::var_os("RUSTC").map_or(beside, PathBuf::from)
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
