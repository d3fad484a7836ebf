//! The only writer to standard error and to the termination log.
//!
//! One line a message, for the person who reads it at three in the morning. Standard error may be closed, full or gone:
//! a message is then lost, and nothing else.
#![allow(unsafe_code, reason = "pwritev2(2) with RWF_NOWAIT and sendto(2), for which nobody has a safe name")]

use crate::options::{Format, Level};
use crate::sys::signals;
use serde::Serialize;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::SystemTime;

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

/// Where messages go.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// The last level that is said.
    pub level: Level,
    /// The form of a line.
    pub format: Format,
    /// `main`, `sidecar`, a subcommand, or nothing while that is not known yet.
    pub mode: &'static str,
}

/// Kubernetes shows what stands here as the reason of a container that ended
/// (`terminationMessagePath`, 4096 bytes at most).
const TERMINATION_LOG: &str = "/dev/termination-log";
/// The longest message. A pipe takes this much at once or not at all (pipe(7), PIPE_BUF).
const LONGEST: usize = 4096;

impl Report {
    /// For the time before the options are known. A Pod that asks for JSON by a variable gets it for the very first
    /// complaint, too.
    pub fn early() -> Report {
        let json = std::env::var_os("EXEUNT_LOG_FORMAT").is_some_and(|format| format == "json");
        Report { level: Level::Info, format: if json { Format::Json } else { Format::Text }, mode: "" }
    }

    /// The flags that make another process of ours speak in the same way.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let (level, format) = (name_of(Level::ALL, &self.level), name_of(Format::ALL, &self.format));
        ["--log-level", level, "--log-format", format].into_iter()
    }

    /// Says what ends exeunt, on standard error and in the termination log.
    pub fn failure(&self, message: &str) {
        self.error(message);
        // Somebody else's file, by the path alone: only if it is there, never followed, never waited for.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let log = std::fs::OpenOptions::new().write(true).truncate(true).custom_flags(flags).open(TERMINATION_LOG);
        if let Ok(mut log) = log {
            let line = self.line(Level::Error, message);
            let _ = log.write_all(&line);
        }
    }

    /// Says what failed.
    pub fn error(&self, message: &str) {
        self.say(Level::Error, message);
    }

    /// Says what did not work and is survived.
    pub fn warning(&self, message: &str) {
        self.say(Level::Warning, message);
    }

    /// Says what a person would want to know.
    pub fn info(&self, message: &str) {
        self.say(Level::Info, message);
    }

    /// Says one step of the replay.
    pub fn debug(&self, message: impl FnOnce() -> String) {
        if self.level >= Level::Debug {
            self.say(Level::Debug, &message());
        }
    }

    fn say(&self, level: Level, message: &str) {
        if level <= self.level {
            // A line that a person waits for is worth a moment; a replay that nobody reads is not.
            let patience = if level <= Level::Info { FULL_FOR_AN_INSTANT } else { 0 };
            signals::undisturbed(|| write_now(&self.line(level, message), patience));
        }
    }

    /// The line that a message becomes.
    #[doc(hidden)]
    pub fn line(&self, level: Level, message: &str) -> Vec<u8> {
        let message = one_line(message);
        let mut line = match self.format {
            Format::Text => {
                let blank = if self.mode.is_empty() { "" } else { " " };
                let kind = match level {
                    Level::Error | Level::Info => "",
                    Level::Warning => "warning: ",
                    Level::Debug => "debug: ",
                };
                format!("exeunt{blank}{}: {kind}{message}", self.mode).into_bytes()
            }
            Format::Json => {
                let line = Line {
                    time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
                    level: name_of(Level::ALL, &level),
                    mode: self.mode,
                    message: &message,
                };
                serde_json::to_vec(&line).unwrap_or_default()
            }
        };
        line.push(b'\n');
        line
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'static str,
    mode: &'static str,
    message: &'a str,
}

/// A message may quote what others wrote: no line breaks, no control characters, no more than fits at once.
fn one_line(message: &str) -> String {
    // Room for the prefix, the JSON around it and a quote before every character.
    const MOST: usize = (LONGEST - 256) / 2 - 1;
    let clean: String = message.chars().map(|c| if moves_the_text(c) { '\u{fffd}' } else { c }).collect();
    if clean.len() <= MOST {
        return clean;
    }
    // What is too long is somebody's path or word, which stands in the middle; what is wrong with it stands at the end.
    let begin = clean.floor_char_boundary(MOST / 2);
    let end = clean.ceil_char_boundary(clean.len() - (MOST / 2 - ELLIPSIS.len()));
    [clean.get(..begin).unwrap_or_default(), ELLIPSIS, clean.get(end..).unwrap_or_default()].concat()
}

/// Whether a character moves a cursor, or turns or hides what stands beside it, so that a line says something else than it does
/// (UAX #9, the directional marks; characters without a width).
fn moves_the_text(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{61c}' | '\u{feff}')
}

/// Stands for what is left out.
const ELLIPSIS: &str = " [...] ";

/// How long a pipe that is full gets for its reader to take something, in milliseconds: a helper that floods standard error
/// fills it for an instant again and again.
const FULL_FOR_AN_INSTANT: libc::c_int = 10;

/// Writes to standard error without ever waiting for long: a full pipe, a stopped terminal or a reader that is gone costs
/// the line. Three ways, because each is refused somewhere: no flag on old kernels, no call under a filter that answers EPERM
/// or ENOSYS to whatever it does not know, and EAGAIN from xfs and btrfs, which mean "not without a lock" by it.
///
/// O_NONBLOCK would be shared with the command, which has the same open file.
fn write_now(line: &[u8], patience: libc::c_int) {
    use nix::errno::Errno;
    let part = libc::iovec { iov_base: line.as_ptr().cast_mut().cast(), iov_len: line.len() };
    let at_once = || {
        // SAFETY: the buffer lives through the call; the kernel only reads it.
        let written =
            unsafe { libc::syscall(libc::SYS_pwritev2, 2, &raw const part, 1usize, -1i64, -1i64, libc::RWF_NOWAIT) };
        if written >= 0 { Ok(()) } else { Err(Errno::last()) }
    };
    match at_once() {
        Ok(()) | Err(Errno::EPIPE | Errno::EBADF | Errno::ENOSPC | Errno::EIO | Errno::EFBIG) => return,
        // A regular file is never full: a plain write to it waits for no reader.
        Err(Errno::EAGAIN) if !is_regular_file() => {
            if has_room(patience) {
                let _ = at_once();
            }
            return;
        }
        Err(_) => {}
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: as above.
    let sent = unsafe { libc::send(2, line.as_ptr().cast(), line.len(), flags) };
    // What a filter answers is no answer of a socket.
    if sent >= 0 || !matches!(Errno::last(), Errno::ENOTSOCK | Errno::EPERM | Errno::EACCES | Errno::ENOSYS) {
        return;
    }
    if is_regular_file() || has_room(patience) {
        // SAFETY: as above.
        unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
    }
}

fn is_regular_file() -> bool {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills it in if it answers 0, and only then it is read.
    unsafe { libc::fstat(2, stat.as_mut_ptr()) == 0 && stat.assume_init().st_mode & libc::S_IFMT == libc::S_IFREG }
}

fn has_room(patience: libc::c_int) -> bool {
    let mut poll = libc::pollfd { fd: 2, events: libc::POLLOUT, revents: 0 };
    let time = libc::timespec { tv_sec: 0, tv_nsec: libc::c_long::from(patience) * 1_000_000 };
    // Two ways, for a filter that refuses the first; the second leaves the signals as they are.
    // SAFETY: reads and writes live locals.
    let ready = unsafe {
        match libc::poll(&raw mut poll, 1, patience) {
            -1 => libc::ppoll(&raw mut poll, 1, &raw const time, std::ptr::null()),
            ready => ready,
        }
    };
    ready == 1 && poll.revents & libc::POLLOUT != 0
}
