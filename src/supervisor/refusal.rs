//! Why a command did not start, and what would help: the file itself tells more than the kernel's one word.

use crate::exit;
use crate::sys::child::{self, Launch, Refused};
use crate::words;
use nix::errno::Errno;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// As much of a file as is looked at: the first line of a script, and the headers of a program with the name of its loader.
const HEAD: u64 = 4096;

/// The code and the message for a command that did not start.
pub(super) fn why(name: &str, launch: &Launch, refused: Refused) -> (u8, String) {
    let head = || launch.found().map(head).unwrap_or_default();
    match refused {
        // A script or a dynamic binary in an image that lacks what would run it: the kernel says the same.
        Refused::NotFound(Errno::ENOENT) if launch.found().is_some() => (
            exit::NOT_FOUND,
            format!(
                "the command \"{name}\" is there, but the interpreter or loader that it names was not found{}",
                interpreter(&head())
            ),
        ),
        Refused::NotFound(errno) => {
            (exit::NOT_FOUND, format!("the command \"{name}\" was not found: {}{}", words::errno(errno), nothing(name)))
        }
        Refused::NotExecutable(errno) => {
            let hint = match errno {
                Errno::ENOEXEC => no_program(&head()),
                Errno::EACCES => closed(name, launch.found()),
                _ => String::new(),
            };
            let errno = words::errno(errno);
            (exit::NOT_EXECUTABLE, format!("the command \"{name}\" cannot be executed: {errno}{hint}"))
        }
        Refused::NoProcess(errno) => {
            (exit::OURS, format!("no process can be started for \"{name}\": {}", words::errno(errno)))
        }
    }
}

/// What a word may have been meant for that is the name of no file.
fn nothing(name: &str) -> &'static str {
    if name.contains("{{") {
        "; the template in it was not filled in"
    } else if name.contains('$') {
        "; the variable in it was not filled in: Kubernetes knows $(NAME) from this container's env, and $NAME only a \
         shell: sh -c '...'"
    } else if name.contains(char::is_whitespace) {
        "; it is one word: write each word by itself, or sh -c '...'"
    } else if name.starts_with('-') {
        "; it looks like an option of the command: write the command itself before it, for command: replaces the image's \
         ENTRYPOINT"
    } else if SHELLS_OWN.contains(&name) || name.starts_with('~') || assigns(name) {
        "; only a shell understands it: sh -c '...'"
    } else {
        "; is it in this image, and on its PATH?"
    }
}

/// Words that a shell acts on by itself, and that people begin a line with.
const SHELLS_OWN: &[&str] = &[
    "cd", "export", "source", "exec", "set", "eval", "trap", "ulimit", "umask", "unset", "wait", "exit", "if", "for",
    "while", "until", "case", "!", "(", "{",
];

/// `NAME=value`, as before a command in a shell.
fn assigns(word: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    word.split_once('=')
        .is_some_and(|(name, _)| name.starts_with(|first: char| !first.is_ascii_digit()) && name.chars().all(letter))
}

/// Whom a file names to run it.
fn interpreter(head: &[u8]) -> String {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(line) = line.strip_prefix(b"#!") else {
        return loader(head).map_or_else(String::new, |loader| format!(": {loader}; is the image of another libc?"));
    };
    let line = String::from_utf8_lossy(line);
    let interpreter = line.split_whitespace().next().unwrap_or_default();
    if line.ends_with('\r') {
        format!(
            ": {interpreter}; its lines end in CRLF, and the name of the interpreter with them: convert the script to LF"
        )
    } else {
        format!(": {interpreter}")
    }
}

/// The loader that a dynamic program of 64 bits names (elf(5), PT_INTERP).
fn loader(head: &[u8]) -> Option<String> {
    const INTERP: usize = 3;
    let half = |at: usize| number(head, at, 2);
    head.starts_with(child::ELF).then_some(())?;
    (head.get(4) == Some(&2)).then_some(())?;
    let (table, size, count) = (number(head, 32, 8)?, half(54)?, half(56)?);
    let mut entries = (0..count).map_while(|index| table.checked_add(index.checked_mul(size)?));
    let entry = entries.find(|entry| number(head, *entry, 4) == Some(INTERP))?;
    let from = number(head, entry.checked_add(8)?, 8)?;
    let path = head.get(from..)?.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(path).into_owned())
}

/// A number of a program's headers, in the byte order that they say.
fn number(head: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = head.get(at..at.checked_add(size)?)?;
    let add = |sum: usize, byte: &u8| sum.wrapping_shl(8) | usize::from(*byte);
    let big_endian = head.get(5) == Some(&2);
    Some(if big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
}

/// What the kernel cannot execute, and the shell was not given or is not there.
fn no_program(head: &[u8]) -> String {
    if !head.starts_with(child::ELF) {
        return "; it has no #! line, and there is no /bin/sh that could run it".to_owned();
    }
    let own = std::env::consts::ARCH;
    match machine(head) {
        Some(other) if other != own => {
            format!("; it is a program for {other}, and this machine is {own}: take the image for {own}")
        }
        Some(_) => "; it is a program for this kind of machine, but a damaged one".to_owned(),
        None => format!("; it is a program for another kind of machine; this one is {own}"),
    }
}

/// The kind of machine that a program is for, in the words of Rust (elf(5), e_machine).
fn machine(head: &[u8]) -> Option<&'static str> {
    match (number(head, 18, 2)?, head.get(4)?) {
        (3, _) => Some("x86"),
        (8, _) => Some("mips"),
        (20, _) => Some("powerpc"),
        (21, _) => Some("powerpc64"),
        (22, _) => Some("s390x"),
        (40, _) => Some("arm"),
        (62, _) => Some("x86_64"),
        (183, _) => Some("aarch64"),
        (243, 2) => Some("riscv64"),
        (243, _) => Some("riscv32"),
        (258, _) => Some("loongarch64"),
        _ => None,
    }
}

/// Why a file may not be executed.
fn closed(name: &str, found: Option<&Path>) -> String {
    let Some(path) = found else {
        let directory = name.contains('/') && Path::new(name).is_dir();
        return if directory { "; it is a directory".to_owned() } else { String::new() };
    };
    let noexec = statvfs(path).is_ok_and(|volume| volume.flags().contains(FsFlags::ST_NOEXEC));
    let mode = std::fs::metadata(path).map_or(0, |found| found.permissions().mode());
    if noexec {
        "; it lies on a volume that is mounted noexec: choose another volume, or mount it without noexec".to_owned()
    } else if mode & 0o111 == 0 {
        "; it is not marked as executable: chmod +x".to_owned()
    } else {
        format!("; its mode is {:o}, and this is user {}", mode & 0o7777, nix::unistd::geteuid())
    }
}

fn head(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        let _ = file.take(HEAD).read_to_end(&mut bytes);
    }
    bytes
}
