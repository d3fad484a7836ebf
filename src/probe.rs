//! The subcommands `probe` and `goodbye`: whatever has to wait for somebody else's answer is done in a process of its own,
//! and never in the loop of an init.
use crate::condition::{Condition, Kind};
use crate::http;
use crate::machine::Status;
use crate::options::Level;
use crate::report::Report;
use crate::stage::observe::Observer;
use crate::stage::{Directory, stat};
use crate::sys::child::{self, Launch, Refused};
use crate::sys::signals;
use crate::url::Url;
use crate::words;
use anyhow::{Result, anyhow, bail, ensure};
use nix::errno::Errno;
use nix::unistd::Pid;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How often a request is repeated while the connection is refused: the proxy may be starting still.
const REFUSED_TRIES: u32 = 5;
/// The first pause between two of them; doubles.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// How long a probe may take unless it is told.
pub const LIMIT: Duration = Duration::from_secs(5);
/// How long one request of the goodbye may take, repetitions included.
pub const GOODBYE_LIMIT: Duration = Duration::from_secs(5);

/// What a probe needs besides its conditions.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    /// The shared directory, for names.
    pub dir: &'a Path,
    /// The run that records must belong to.
    pub run_id: Option<&'a str>,
    /// How long all of it may take.
    pub limit: Duration,
}

/// Whoever has this says why we end; the other never gets it.
static LAST_WORD: Mutex<()> = Mutex::new(());
/// The command that an `exec:` condition runs, for the watchdog to end; negative if it is a process group.
static RUNNING_COMMAND: AtomicI32 = AtomicI32::new(0);

/// Tests conditions once, one after the other. Returns the exit code: 0 when all hold, 1 when one does not.
pub fn run(conditions: &[Condition], surroundings: &Surroundings<'_>, report: Report) -> u8 {
    let end = Instant::now() + surroundings.limit;
    let current = Arc::new(Mutex::new(String::new()));
    let watched = Arc::clone(&current);
    // Whatever hangs (a name server, a socket that accepts and is silent, a command) is cut off by the clock.
    let limit = surroundings.limit;
    let watchdog = thread::Builder::new().spawn(move || {
        signals::pause(limit);
        let _last_word = LAST_WORD.lock();
        let condition = watched.lock().map(|text| text.clone()).unwrap_or_default();
        report.error(&format!("{condition}: no answer within {}", humantime::format_duration(limit)));
        let command = RUNNING_COMMAND.load(SeqCst);
        if command != 0 {
            let _ = child::send(Pid::from_raw(command.abs()), command < 0, libc::SIGKILL as u8);
        }
        leave(1)
    });
    if watchdog.is_err() {
        // No room for a thread (the limit of processes, or a filter): the kernel ends us then, and our end ends the command.
        signals::end_after(limit);
    }
    for condition in conditions {
        if let Ok(mut text) = current.lock() {
            *text = condition.to_string();
        }
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        if let Err(error) = test(condition, surroundings, left, report.level) {
            std::mem::forget(LAST_WORD.lock());
            report.error(&format!("{condition}: {}", words::chain(&error)));
            return 1;
        }
    }
    0
}

fn test(condition: &Condition, surroundings: &Surroundings<'_>, left: Duration, level: Level) -> Result<()> {
    match &condition.kind {
        Kind::Http(url) => {
            // A second more than there is: whose time is up is said by the watchdog.
            let status = http::ask("GET", url, left + Duration::from_secs(1))?;
            ensure!((200..300).contains(&status), "{status}");
            Ok(())
        }
        Kind::Tcp(address) => http::connect(address, Instant::now() + left).map(drop),
        Kind::Unix(path) => UnixStream::connect(path).map(drop).map_err(|error| http::plain(&error)),
        Kind::File(path) => stat(path).map(drop).map_err(anyhow::Error::new),
        Kind::Exec(words) => command(words, level),
        Kind::Name(name) => {
            let dir = Directory::open(surroundings.dir)?;
            ensure!(Observer::new(name, surroundings.run_id).is_ready(&dir), "not ready");
            Ok(())
        }
    }
}

fn command(words: &[String], level: Level) -> Result<()> {
    // Where it was inherited ignored, no child leaves word of how it ended (wait(2)).
    signals::hear_of_children();
    let nowhere = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    let mut launch = Launch::new(words, 0)?;
    launch.stdio = nowhere.as_ref().ok().map(AsRawFd::as_raw_fd);
    // Whoever wants errors alone, as an init that waits does, wants the word of the probe and not all that the command says:
    // nobody reads it while it runs, and a full pipe would stop the command.
    launch.stderr = launch.stdio.filter(|_| level == Level::Error);
    // Whoever runs us as the leader of a group ends the group, and the command with it. Else it gets one, to be ended as
    // a whole when the time is up. In both cases it does not outlive us: see `Launch`.
    let led = nix::unistd::getpgrp() == nix::unistd::getpid();
    launch.own_group = !led;
    let started = launch.start().map_err(|refused| match refused {
        Refused::NotFound(errno) | Refused::NotExecutable(errno) | Refused::NoProcess(errno) => anyhow!(errno),
    })?;
    let pid = started.pid;
    RUNNING_COMMAND.store(if led { pid.as_raw() } else { -pid.as_raw() }, SeqCst);
    let status = child::wait(pid);
    RUNNING_COMMAND.store(0, SeqCst);
    match status {
        Some(Status::Exited(0)) => Ok(()),
        Some(Status::Exited(code)) => bail!("exit code {code}"),
        Some(Status::Killed(signal)) => bail!("killed by {}", signals::name(signal)),
        None => bail!("its end has been missed"),
    }
}

/// Sends the requests of the goodbye, all at once, and says which of them failed. Where there is no room for another thread
/// (a job that has reached the limit of its processes), one after the other is better than none.
pub fn goodbye(urls: &[Url], report: Report) -> u8 {
    let say = move |url: &Url| {
        if let Err(error) = post(url) {
            report.warning(&format!("POST {url}: {}", words::chain(&error)));
        }
    };
    let Some((last, others)) = urls.split_last() else { return 0 };
    let mut senders = Vec::new();
    let mut left = vec![last];
    for url in others {
        let sent = url.clone();
        match thread::Builder::new().spawn(move || say(&sent)) {
            Ok(sender) => senders.push(sender),
            Err(_) => left.push(url),
        }
    }
    left.into_iter().for_each(say);
    for sender in senders {
        drop(sender.join());
    }
    0
}

fn post(url: &Url) -> Result<()> {
    let end = Instant::now() + GOODBYE_LIMIT;
    let mut pause = REFUSED_PAUSE;
    for attempt in 1.. {
        let left = end.saturating_duration_since(Instant::now());
        match http::ask("POST", url, left) {
            Ok(status) if (200..300).contains(&status) => return Ok(()),
            Ok(status) => bail!("{status}"),
            Err(error) => {
                let errno = error.downcast_ref();
                ensure!(
                    errno != Some(&Errno::ETIMEDOUT),
                    "no answer within {}",
                    humantime::format_duration(GOODBYE_LIMIT)
                );
                let refused = errno == Some(&Errno::ECONNREFUSED);
                if !refused || attempt >= REFUSED_TRIES || left <= pause {
                    return Err(error);
                }
            }
        }
        signals::pause(pause);
        pause *= 2;
    }
    Ok(())
}

#[allow(unsafe_code, reason = "leaving from beside the thread that hangs, without waiting for it")]
fn leave(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}
