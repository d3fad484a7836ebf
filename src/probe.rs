//! The subcommands `probe` and `goodbye`: whatever has to wait for somebody else's answer is done in a process of its own,
//! and never in the loop of an init.
#![allow(clippy::disallowed_methods, reason = "a process of its own: it may sleep, and wait for the command it tests")]

use crate::condition::{Condition, Kind};
use crate::report::Report;
use crate::stage::Directory;
use crate::stage::observe::Observer;
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
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

/// The process group of a command that an `exec:` condition runs, for the watchdog to end.
static RUNNING_COMMAND: AtomicI32 = AtomicI32::new(0);

/// Tests conditions once, one after the other. Returns the exit code: 0 when all hold, 1 when one does not.
pub fn run(conditions: &[Condition], surroundings: &Surroundings<'_>, report: Report) -> u8 {
    let end = Instant::now() + surroundings.limit;
    let current = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let watched = std::sync::Arc::clone(&current);
    // Whatever hangs (a name server, a socket that accepts and is silent, a command) is cut off by the clock.
    let limit = surroundings.limit;
    let watchdog = thread::Builder::new().spawn(move || {
        thread::sleep(limit);
        let group = RUNNING_COMMAND.load(SeqCst);
        if group > 0 {
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGKILL);
        }
        let condition = watched.lock().map(|text| text.clone()).unwrap_or_default();
        report.error(&format!("{condition}: no answer within {}", humantime::format_duration(limit)));
        leave(1)
    });
    if let Err(error) = watchdog {
        report.error(&format!("no thread can be started: {error}"));
        return crate::exit::OURS;
    }
    for condition in conditions {
        if let Ok(mut text) = current.lock() {
            *text = condition.to_string();
        }
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        if let Err(error) = test(condition, surroundings, left) {
            report.error(&format!("{condition}: {error:#}"));
            return 1;
        }
    }
    0
}

fn test(condition: &Condition, surroundings: &Surroundings<'_>, left: Duration) -> Result<()> {
    match &condition.kind {
        Kind::Http(url) => {
            let status = request(minreq::get(url), left)?;
            ensure!((200..300).contains(&status), "{status}");
            Ok(())
        }
        Kind::Tcp(address) => {
            let mut last = anyhow!("the name has no address");
            for address in address.to_socket_addrs().context("the name cannot be looked up")? {
                match TcpStream::connect_timeout(&address, left) {
                    Ok(_) => return Ok(()),
                    Err(error) => last = plain(&error),
                }
            }
            Err(last)
        }
        Kind::Unix(path) => UnixStream::connect(path).map(drop).map_err(|error| plain(&error)),
        Kind::File(path) => std::fs::metadata(path).map(drop).map_err(|error| plain(&error)),
        Kind::Exec(words) => command(words),
        Kind::Name(name) => {
            let dir = Directory::open(surroundings.dir)?;
            ensure!(Observer::new(name, surroundings.run_id).is_ready(&dir), "not ready");
            Ok(())
        }
    }
}

fn command(words: &[String]) -> Result<()> {
    let (program, arguments) = words.split_first().context("no command")?;
    let mut child = std::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| plain(&error))?;
    RUNNING_COMMAND.store(child.id().cast_signed(), SeqCst);
    let status = child.wait()?;
    RUNNING_COMMAND.store(0, SeqCst);
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => bail!("exit code {code}"),
        None => bail!("{status}"),
    }
}

/// Sends a request and returns the status code. The body is not read.
fn request(request: minreq::Request, limit: Duration) -> Result<u16> {
    let seconds = limit.as_secs().max(1);
    let response = request
        .with_timeout(seconds)
        .with_follow_redirects(false)
        .with_max_headers_size(64 * 1024)
        .with_max_status_line_length(4096)
        .with_header("Connection", "close")
        .send_lazy();
    match response {
        Ok(response) => Ok(response.status_code),
        Err(minreq::Error::IoError(error)) => Err(plain(&error)),
        Err(error) => Err(error.into()),
    }
}

/// An error of the system as a person says it, its number kept in the type.
fn plain(error: &std::io::Error) -> anyhow::Error {
    match error.raw_os_error() {
        Some(number) => anyhow::Error::new(nix::errno::Errno::from_raw(number)),
        None => anyhow!("{error}"),
    }
}

/// Sends the requests of the goodbye, all at once, and says which of them failed.
pub fn goodbye(urls: &[String], report: Report) -> u8 {
    let senders: Vec<_> = urls
        .iter()
        .map(|url| {
            let url = url.clone();
            thread::Builder::new().spawn(move || {
                if let Err(error) = post(&url) {
                    report.warning(&format!("POST {url}: {error:#}"));
                }
            })
        })
        .collect();
    for sender in senders {
        match sender {
            Ok(sender) => drop(sender.join()),
            Err(error) => report.warning(&format!("a request is not sent: no thread can be started: {error}")),
        }
    }
    0
}

fn post(url: &str) -> Result<()> {
    let end = Instant::now() + GOODBYE_LIMIT;
    let mut pause = REFUSED_PAUSE;
    for attempt in 1.. {
        let left = end.saturating_duration_since(Instant::now());
        match request(minreq::post(url).with_header("Content-Length", "0"), left) {
            Ok(status) if (200..300).contains(&status) => return Ok(()),
            Ok(status) => bail!("{status}"),
            Err(error) => {
                let refused = error.downcast_ref::<nix::errno::Errno>() == Some(&nix::errno::Errno::ECONNREFUSED);
                if !refused || attempt >= REFUSED_TRIES || left <= pause {
                    return Err(error);
                }
            }
        }
        thread::sleep(pause);
        pause *= 2;
    }
    Ok(())
}

#[allow(unsafe_code, reason = "leaving from beside the thread that hangs, without waiting for it")]
fn leave(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}
