//! Somebody to ask over HTTP: a small server that answers as it is told, notes what it was asked, and can misbehave.

#![allow(dead_code, reason = "each test file is a program of its own and uses its own part of this one")]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub mod meshes;

/// One request, as far as it matters.
pub struct Request {
    /// "GET", "POST".
    pub method: String,
    /// With its query.
    pub path: String,
    /// The whole of its head.
    pub head: String,
    /// Who asks.
    pub from: IpAddr,
}

/// What is done with it.
pub enum Answer {
    /// A status and a body, as a server would write them that closes the connection.
    Status(u16, &'static str),
    /// These bytes, and then the end of the connection.
    Raw(Vec<u8>),
    /// Nothing; the connection stays open.
    Silence,
    /// A beginning, and then the same again and again.
    Endless(&'static str, &'static [u8]),
    /// As `Endless`, at one every twenty milliseconds.
    Drip(&'static str, &'static [u8]),
}

type Handler = dyn Fn(&Request) -> Answer + Send + Sync;

/// A server in a thread of the test, on a port of its own. It stays until the test binary ends.
pub struct Server {
    pub port: u16,
    handler: Arc<Mutex<Arc<Handler>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn new(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0", handler)
    }

    pub fn on(address: &str, handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).expect("a port to listen on");
        let port = listener.local_addr().expect("its number").port();
        let handler: Arc<Mutex<Arc<Handler>>> = Arc::new(Mutex::new(Arc::new(handler)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (current, notes) = (Arc::clone(&handler), Arc::clone(&asked));
        thread::spawn(move || {
            listen(&listener, move |request| {
                let handler = Arc::clone(&current.lock().expect("the handler"));
                notes.lock().expect("the notes").push(format!("{} {}", request.method, request.path));
                handler(request)
            });
        });
        Self { port, handler, asked }
    }

    /// From now on.
    pub fn answers(&self, handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        *self.handler.lock().expect("the handler") = Arc::new(handler);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it was asked: "GET /ready".
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the notes").clone()
    }
}

/// A port on which nobody listens, of a test that hopes that it stays so for a while.
pub fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Listens for ever, with a thread for each connection.
pub fn listen(listener: &TcpListener, handler: impl Fn(&Request) -> Answer + Clone + Send + 'static) {
    while let Ok((stream, from)) = listener.accept() {
        let handler = handler.clone();
        thread::spawn(move || converse(stream, from, handler));
    }
}

fn converse(mut stream: TcpStream, from: SocketAddr, handler: impl Fn(&Request) -> Answer) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        // A connection without a request: somebody has only looked whether it is accepted.
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // That the other side has gone in the meantime is its own affair.
    let _ = match handler(&Request { method, path, head, from: from.ip() }) {
        Answer::Status(status, body) => stream.write_all(&plain(status, body)),
        Answer::Raw(bytes) => stream.write_all(&bytes),
        Answer::Silence => stream.read_to_end(&mut Vec::new()).map(drop),
        Answer::Endless(begin, unit) => go_on(stream, begin, unit, Duration::ZERO),
        Answer::Drip(begin, unit) => go_on(stream, begin, unit, Duration::from_millis(20)),
    };
}

fn go_on(mut stream: TcpStream, begin: &str, unit: &[u8], pause: Duration) -> std::io::Result<()> {
    stream.write_all(begin.as_bytes())?;
    loop {
        stream.write_all(unit)?;
        thread::sleep(pause);
    }
}

fn plain(status: u16, body: &str) -> Vec<u8> {
    // A redirection that is followed would find another answer at this address.
    let location = if (300..400).contains(&status) { "Location: /elsewhere\r\n" } else { "" };
    let content = match status {
        204 | 304 => String::new(),
        _ => format!("Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    };
    let end = if content.is_empty() { "\r\n" } else { "" };
    format!("HTTP/1.1 {status} Whatever\r\n{location}Connection: close\r\n{content}{end}").into_bytes()
}
