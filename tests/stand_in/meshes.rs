//! Stand-ins for the sidecars that cannot be wrapped: methods, paths, codes and refusals as the real ones document them.
//!
//! Each is a role of a test binary, started in the directory of a house: it says "ready" when it listens, notes what it is
//! asked on standard output, serves once there is a file `serves`, and looks for the sentinel in `pod` when it is told to
//! quit.

use std::net::TcpListener;
use std::path::Path;
use std::thread;

use super::{Answer, Request, listen};

/// pilot-agent and the Envoy beside it. What changes something is refused with 405 unless it is POST, and with 403 unless
/// it comes from the loopback address.
pub fn istio() {
    let ready = |request: &Request| match (is("GET /healthz/ready", request), serves()) {
        (true, true) => Answer::Status(200, ""),
        (true, false) => Answer::Status(503, ""),
        _ => Answer::Status(404, ""),
    };
    let quit = |request: &Request| match request.path.as_str() {
        "/quitquitquit" if !request.from.is_loopback() => {
            Answer::Status(403, "Only requests from localhost are allowed")
        }
        "/quitquitquit" if request.method != "POST" => Answer::Status(405, "Method Not Allowed"),
        "/quitquitquit" => told("OK"),
        _ => Answer::Status(404, "404 page not found"),
    };
    play(&[(15021, ready), (15020, quit)]);
}

/// linkerd2-proxy. With a file `closed` it does not allow to be shut down, which is the default since 2024.
pub fn linkerd() {
    let admin = |request: &Request| match (request.method.as_str(), request.path.as_str()) {
        (_, "/ready") if serves() => Answer::Status(200, "ready\n"),
        (_, "/ready") => Answer::Status(503, "not ready\n"),
        ("POST", "/shutdown") if Path::new("closed").exists() => {
            Answer::Status(404, "shutdown endpoint is not enabled\n")
        }
        ("POST", "/shutdown") => told("shutdown\n"),
        (_, "/shutdown") => Answer::Status(405, ""),
        _ => Answer::Status(404, ""),
    };
    play(&[(4191, admin)]);
}

/// cloud-sql-proxy with --health-check and --quitquitquit, and the port of its database.
pub fn cloud_sql_proxy() {
    let health = |request: &Request| match (is("GET /startup", request), serves()) {
        (true, true) => Answer::Status(200, "ok"),
        (true, false) => Answer::Status(503, "error"),
        _ => Answer::Status(404, "404 page not found"),
    };
    let admin = |request: &Request| match (request.method.as_str(), request.path.as_str()) {
        ("GET" | "POST", "/quitquitquit") => told(""),
        (_, "/quitquitquit") => Answer::Status(400, ""),
        _ => Answer::Status(404, "404 page not found"),
    };
    play(&[(9090, health), (9091, admin), (5432, |_| Answer::Silence)]);
}

/// Envoy's administration. What changes something wants POST.
pub fn envoy() {
    let admin = |request: &Request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/ready") if serves() => Answer::Status(200, "LIVE\n"),
        ("GET", "/ready") => Answer::Status(503, "PRE_INITIALIZING\n"),
        ("POST", "/quitquitquit") => told("OK\n"),
        (_, "/quitquitquit") => Answer::Status(405, "Method Not Allowed"),
        _ => Answer::Status(404, "invalid path. admin commands are:\n"),
    };
    play(&[(9901, admin)]);
}

/// A network namespace for whoever is put into it, and nothing else.
pub fn nobody() {
    println!("ready");
    thread::park();
}

fn is(line: &str, request: &Request) -> bool {
    format!("{} {}", request.method, request.path) == line
}

fn serves() -> bool {
    Path::new("serves").exists()
}

/// The answer to whoever may end us. The stand-in stays, so that a second request would be seen.
fn told(body: &'static str) -> Answer {
    let there = if Path::new("pod/main-job-terminated").exists() { "is there" } else { "is not there" };
    println!("told to quit, the sentinel {there}");
    Answer::Status(200, body)
}

type Handler = fn(&Request) -> Answer;

/// Listens on each port and notes every request.
fn play(ports: &[(u16, Handler)]) {
    let bind = |port| TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|error| panic!("port {port}: {error}"));
    let listeners: Vec<_> = ports.iter().map(|(port, handler)| (bind(*port), *handler)).collect();
    println!("ready");
    for (listener, handler) in listeners {
        thread::spawn(move || {
            listen(&listener, move |request| {
                println!("{} {}", request.method, request.path);
                handler(request)
            });
        });
    }
    thread::park();
}
