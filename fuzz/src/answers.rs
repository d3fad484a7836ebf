//! The answers of a proxy to our requests: it is another container's program, and may answer anything.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use exeunt::http;
use exeunt::url::Url;

use super::script::Script;

/// How long a request may take; an answer is there at once and its end as well, so that nothing has to wait for this.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest answer.
const LONGEST: usize = 4 << 20;

/// The input is the answer: how often its second part is repeated (squared), the length of the first, both parts.
pub fn answers(input: &[u8]) {
    let mut script = Script(input);
    let (times, length) = (usize::from(script.byte()).pow(2), usize::from(script.byte()));
    let mut answer = script.bytes(length).to_vec();
    let part = script.0;
    answer.extend(part.repeat(times.max(1).min(LONGEST / part.len().max(1))));

    static LISTENER: OnceLock<Mutex<TcpListener>> = OnceLock::new();
    let listener = LISTENER.get_or_init(|| Mutex::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port")));
    let listener = listener.lock().unwrap_or_else(PoisonError::into_inner);
    let url = format!("http://{}/ready", listener.local_addr().expect("its address"));
    let url = Url::parse(&url).expect("a URL");
    let begun = Instant::now();
    let outcome = std::thread::scope(|scope| {
        let asking = scope.spawn(|| http::ask("GET", &url, LIMIT));
        let (mut connection, _) = listener.accept().expect("a request");
        let mut request = [0; 1024];
        let _ = connection.read(&mut request);
        // Whoever has read enough hangs up.
        let _ = connection.write_all(&answer);
        drop(connection);
        asking.join().expect("an answer ends no thread")
    });
    assert!(begun.elapsed() < LIMIT, "the end of the answer was not seen");
    match outcome {
        Err(error) => super::is_sayable(&format!("{error:#}")),
        Ok(status) => {
            // An answer says so in its first line that is not empty.
            let start = answer.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or_default();
            let holds =
                ["HTTP/1.0 ", "HTTP/1.1 "].iter().any(|version| answer[start..].starts_with(version.as_bytes()));
            let code = answer.get(start + 9..start + 12).and_then(|code| str::from_utf8(code).ok());
            let shown = || String::from_utf8_lossy(&answer[..answer.len().min(80)]);
            assert!(holds && code == Some(format!("{status:03}").as_str()), "{status} from {:?}", shown());
        }
    }
}
