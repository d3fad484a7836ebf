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
            // An answer says so in its first line that is not empty; interim answers come before it (RFC 9110, 15.2).
            let mut rest = from_its_first_line(&answer);
            while is_interim(rest) {
                let ends: [&[u8]; 2] = [b"\n\n", b"\n\r\n"];
                let end =
                    |end: &&[u8]| rest.windows(end.len()).position(|bytes| bytes == *end).map(|at| at + end.len());
                rest = from_its_first_line(&rest[ends.iter().filter_map(end).min().unwrap_or(rest.len())..]);
            }
            let code = says(rest).map(|code| String::from_utf8_lossy(code));
            let shown = || String::from_utf8_lossy(&answer[..answer.len().min(80)]);
            assert!(code.is_some_and(|code| code == format!("{status:03}")), "{status} from {:?}", shown());
        }
    }
}

fn from_its_first_line(answer: &[u8]) -> &[u8] {
    &answer[answer.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(answer.len())..]
}

/// The three digits behind the version.
fn says(answer: &[u8]) -> Option<&[u8]> {
    let versions: [&[u8]; 2] = [b"HTTP/1.0 ", b"HTTP/1.1 "];
    versions.iter().find_map(|version| answer.strip_prefix(*version))?.get(..3)
}

/// 101 is the last word.
fn is_interim(answer: &[u8]) -> bool {
    says(answer).is_some_and(|code| code.starts_with(b"1") && code != b"101")
}
