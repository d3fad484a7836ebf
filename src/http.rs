//! HTTP, as much of it as asks a proxy one question: a request without a body, and of the answer the status.
//!
//! The proxy is another container's program and may answer anything. The head of its answer is read up to a limit, all of it
//! within a time, and judged by a parser; the body is not read.

use crate::sys::lookup::Names;
use crate::url::Url;
use anyhow::{Result, anyhow, bail, ensure};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::Linger};
use std::ffi::CString;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The longest head of an answer that is read.
const HEAD_AT_MOST: usize = 64 * 1024;
/// The most headers in one: Envoy's own limit.
const HEADERS_AT_MOST: usize = 100;

/// Connects to the first address of HOST:PORT that accepts. Those for IPv4 are tried first; a name server that fails for one
/// family, or is silent about it, fails for it alone.
///
/// # Errors
/// Why the last did not, or why there is none.
pub fn connect(address: &str, end: Instant) -> Result<TcpStream> {
    if let Ok(address) = address.parse() {
        return connect_to(address, left(end));
    }
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let port = port.parse().unwrap_or_default();
    let mut names = Names::ask(CString::new(host)?);
    let mut failed = None;
    while let Some(found) = names.next(end) {
        for (tried, address) in found.iter().enumerate() {
            // One that is silent leaves the others, and the other family, their share of the time.
            let share = u32::try_from(found.len() - tried + names.to_come()).unwrap_or(1);
            match connect_to(SocketAddr::new(*address, port), left(end) / share) {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = Some(error),
            }
        }
    }
    Err(failed.unwrap_or_else(|| match names.trouble() {
        Some(reason) => anyhow!("the name cannot be looked up: {reason}"),
        None => anyhow::Error::new(Errno::ETIMEDOUT),
    }))
}

/// Connects to one address. Where nobody listens at a port from which connections may be made (`ip_local_port_range`), one may
/// be made from that very port and meet itself (tcp(7), simultaneous open): that is nobody's answer. It is reset, or its port
/// would be kept for a minute from whoever is about to listen there.
fn connect_to(address: SocketAddr, limit: Duration) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, limit).map_err(|error| plain(&error))?;
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(own), Ok(other)) if own == other => {
            let _ = setsockopt(&stream, Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
            Err(anyhow::Error::new(Errno::ECONNREFUSED))
        }
        _ => Ok(stream),
    }
}

/// Sends a request and returns the status of the answer.
///
/// # Errors
/// Why there is none; ETIMEDOUT if none has come within `limit`.
pub fn ask(method: &str, url: &Url, limit: Duration) -> Result<u16> {
    let end = Instant::now() + limit;
    let mut stream = connect(&url.address, end).map_err(|error| {
        // Whoever has forgotten it cannot see why he is refused.
        if url.names_its_port() { error } else { error.context("at port 80, for none is named") }
    })?;
    stream.set_write_timeout(Some(left(end)))?;
    // A request that is to change something says how much follows, or some servers wait for it.
    let length = if method == "GET" { "" } else { "Content-Length: 0\r\n" };
    let request =
        format!("{method} {} HTTP/1.1\r\nHost: {}\r\n{length}Connection: close\r\n\r\n", url.target, url.host);
    stream.write_all(request.as_bytes()).map_err(|error| plain(&error))?;
    status(&mut stream, |stream| stream.set_read_timeout(Some(left(end))))
}

/// Reads the head of an answer. `prepare` is called before each read.
fn status<R: Read>(from: &mut R, prepare: impl Fn(&R) -> std::io::Result<()>) -> Result<u16> {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    let mut taken = 0;
    loop {
        prepare(from)?;
        let count = match from.read(&mut piece) {
            Ok(0) => bail!("the answer ends before its head does"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(plain(&error)),
        };
        taken += count;
        let piece = piece.get(..count).unwrap_or_default();
        head.extend_from_slice(piece);
        // Nothing new can be said before a line has ended.
        while head.contains(&b'\n') && piece.contains(&b'\n') {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_AT_MOST];
            let mut answer = httparse::Response::new(&mut headers);
            let parsed = match answer.parse(&head) {
                // The status stands before them, and nothing else is wanted but their end.
                Err(httparse::Error::TooManyHeaders) if answer.code.is_some_and(|code| code >= 200) => {
                    if has_an_end(&head) {
                        return Ok(answer.code.unwrap_or_default());
                    }
                    break;
                }
                parsed => parsed.map_err(|error| anyhow!("the answer is not HTTP ({error})"))?,
            };
            let (httparse::Status::Complete(length), Some(code)) = (parsed, answer.code) else { break };
            // 100 Continue, 103 Early Hints: the answer itself is still to come (RFC 9110, 15.2). 101 is the last word.
            if !(100..200).contains(&code) || code == 101 {
                return Ok(code);
            }
            head.drain(..length);
        }
        ensure!(taken <= HEAD_AT_MOST, "the head of the answer is longer than {} KiB", HEAD_AT_MOST / 1024);
    }
}

/// Whether an empty line stands in it.
fn has_an_end(head: &[u8]) -> bool {
    head.windows(2).any(|bytes| bytes == b"\n\n") || head.windows(3).any(|bytes| bytes == b"\n\r\n")
}

/// What is left of a time; the kernel takes nothing for "no limit".
fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

/// An error of the system as a person says it, its number kept in the type.
pub fn plain(error: &std::io::Error) -> anyhow::Error {
    match (error.kind(), error.raw_os_error()) {
        // What a socket says whose time is up.
        (ErrorKind::WouldBlock, _) => anyhow::Error::new(Errno::ETIMEDOUT),
        (_, Some(number)) => anyhow::Error::new(Errno::from_raw(number)),
        (_, None) => anyhow!("{error}"),
    }
}
