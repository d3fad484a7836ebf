//! "Is it there yet": the grammar, and each kind of condition as `exeunt probe` tests it.

mod house;
mod stand_in;

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use exeunt::condition::{Condition, Kind};
use house::scene::mkfifo;
use house::{EXEUNT, House, PATIENCE, Process, proc, wait_for, wait_until};
use stand_in::{Answer, Server, closed_port};

fn probe(house: &House, conditions: &[&str]) -> Process {
    house.run(EXEUNT).args(["probe", "--dir"]).arg(house.pod("")).args(conditions).finish()
}

#[track_caller]
fn holds(house: &House, condition: &str) {
    let mut probe = probe(house, &[condition]);
    assert_eq!((probe.code(), probe.err()), (0, String::new()), "{condition}");
}

/// It does not, and one line says of which condition and why.
#[track_caller]
fn does_not_hold(house: &House, condition: &str, why: &str) {
    let mut probe = probe(house, &[condition]);
    let said = probe.err();
    assert_eq!(probe.code(), 1, "{condition}: {said}");
    assert_eq!(said.lines().count(), 1, "{condition}: {said}");
    assert!(said.starts_with(&format!("exeunt probe: {condition}: ")) && said.contains(why), "not {why:?}: {said}");
}

// --- the grammar

#[test]
fn every_form_of_an_http_condition_is_understood_as_an_address_and_a_target() {
    for (text, address, target) in [
        ("http://127.0.0.1:15021/healthz/ready", "127.0.0.1:15021", "/healthz/ready"),
        ("http://localhost:4191/ready?a=b&c", "localhost:4191", "/ready?a=b&c"),
        ("http://proxy.svc.cluster.local/", "proxy.svc.cluster.local:80", "/"),
        ("http://a", "a:80", "/"),
        ("http://a:80?x", "a:80", "/?x"),
        ("http://a/b#c", "a:80", "/b"),
        ("http://[::1]/x", "[::1]:80", "/x"),
        ("http://[::1]:8080", "[::1]:8080", "/"),
    ] {
        let condition = Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let Kind::Http(url) = &condition.kind else { panic!("{text} is taken for {:?}", condition.kind) };
        assert_eq!((url.address.as_str(), url.target.as_str()), (address, target), "{text}");
        assert_eq!((url.to_string(), condition.to_string()), (text.to_owned(), text.to_owned()));
    }
}

#[test]
fn every_form_of_a_condition_is_understood_as_what_it_says() {
    let words = |words: &[&str]| Kind::Exec(words.iter().map(|word| (*word).to_owned()).collect());
    let table = [
        ("tcp://localhost:5432", Kind::Tcp("localhost:5432".into())),
        ("tcp://[fe80::1]:1", Kind::Tcp("[fe80::1]:1".into())),
        ("tcp://my_db.example:65535", Kind::Tcp("my_db.example:65535".into())),
        ("unix:///run/db.sock", Kind::Unix("/run/db.sock".into())),
        ("unix:///run/a b", Kind::Unix("/run/a b".into())),
        ("file:///tmp/ready", Kind::File("/tmp/ready".into())),
        ("file:///tmp/\u{e4}%20,", Kind::File("/tmp/\u{e4}%20,".into())),
        ("exec:true", words(&["true"])),
        ("exec:bash -c \"test -d $HOME\"", words(&["bash", "-c", "test -d $HOME"])),
        ("exec:grep -q 'a|b$' c", words(&["grep", "-q", "a|b$", "c"])),
        ("exec:echo a\\;b", words(&["echo", "a;b"])),
        ("exec:pg_isready -q -h 127.0.0.1", words(&["pg_isready", "-q", "-h", "127.0.0.1"])),
        ("exec:sh -c 'test \"$A\" = \"b c\"' ''", words(&["sh", "-c", "test \"$A\" = \"b c\"", ""])),
        ("exec:a\\ b \"c d\"", words(&["a b", "c d"])),
        ("envoy", Kind::Name("envoy".into())),
        ("log-shipper_2.x", Kind::Name("log-shipper_2.x".into())),
    ];
    for (text, kind) in table {
        let condition = Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(condition.kind, kind, "{text}");
        assert_eq!(condition.to_string(), text, "messages and probes show it as it was written");
    }
}

/// What cannot be understood, and what the person who wrote it needs to read.
const REFUSED: [(&str, &str); 42] = [
    ("", "empty"),
    ("https://127.0.0.1:15021/healthz/ready", "https is not spoken here"),
    ("http://", "write http://HOST:PORT/PATH"),
    ("http:///healthz", "write http://HOST:PORT/PATH"),
    ("http://:80/", "write http://HOST:PORT/PATH"),
    ("http://a:b/", "write http://HOST:PORT/PATH"),
    ("http://a:0/", "write http://HOST:PORT/PATH"),
    ("http://a:65536/", "write http://HOST:PORT/PATH"),
    ("http://a:/", "write http://HOST:PORT/PATH"),
    ("http://user:word@a:80/", "write http://HOST:PORT/PATH"),
    ("http://a b:80/", "write http://HOST:PORT/PATH"),
    ("http://a:80/x y", "write http://HOST:PORT/PATH"),
    ("http://a:80/\r\nX: y", "write http://HOST:PORT/PATH"),
    ("http://::1:80/", "write http://HOST:PORT/PATH"),
    ("http://[::1/", "write http://HOST:PORT/PATH"),
    ("http://[fe80::1%eth0]:80/", "write http://HOST:PORT/PATH"),
    ("http://[::1:80/", "write http://HOST:PORT/PATH"),
    ("tcp://", "write tcp://HOST:PORT"),
    ("tcp://a", "write tcp://HOST:PORT"),
    ("tcp://a:80/x", "write tcp://HOST:PORT"),
    ("tcp://a:-1", "write tcp://HOST:PORT"),
    ("unix://run/db.sock", "no absolute path"),
    ("unix:///", "no absolute path"),
    ("file://", "no absolute path"),
    ("file://relative", "no absolute path"),
    ("exec:", "write exec:COMMAND"),
    ("exec: ", "write exec:COMMAND"),
    ("exec:'' a", "write exec:COMMAND"),
    ("exec:sh -c 'true", "quote"),
    ("grpc://a:80", "use http://, tcp://, unix:///, file:///, exec:COMMAND or a NAME"),
    ("exec:false || true", "write exec:sh -c 'false || true'"),
    ("exec:true && false", "write exec:sh -c"),
    ("exec:test -d $HOME", "write exec:sh -c"),
    ("exec:test -d \"$HOME\"", "write exec:sh -c"),
    ("exec:a > b", "write exec:sh -c"),
    ("exec:a;b", "write exec:sh -c"),
    ("exec:ls ~/a", "write exec:sh -c"),
    ("exec://bin/true", "write exec:/bin/true"),
    ("db:5432", "write tcp://db:5432"),
    ("HTTPS://a/", "https is not spoken here"),
    ("a/b", "cannot be a name"),
    (".hidden", "cannot be a name"),
];

#[test]
fn what_cannot_be_understood_is_refused_with_what_would_be_right() {
    for (text, hint) in REFUSED {
        match Condition::parse(text) {
            Ok(condition) => panic!("{text:?} is understood as {condition:?}"),
            Err(error) => assert!(error.to_string().contains(hint), "{text:?}: {error}, and no word of {hint:?}"),
        }
    }
}

#[test]
fn a_condition_that_cannot_be_understood_is_one_line_that_names_the_option_and_nothing_is_started() {
    let house = House::new();
    for (text, hint) in REFUSED.iter().filter(|(text, _)| !text.is_empty()) {
        for (mode, option) in [("main", "--wait-for"), ("sidecar", "--wait-for"), ("sidecar", "--ready-when")] {
            let run = house.mode(mode).args(["--name", "x", option, text]);
            let mut run = run.args(["--", "touch"]).arg(house.path("started")).finish();
            let said = run.err();
            assert_eq!(run.code(), 125, "{option} {text:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{option} {text:?}: {said}");
            assert!(said.contains(option) && said.contains(hint), "{option} {text:?}: {said}");
        }
        let mut probe = probe(&house, &[text]);
        assert_eq!((probe.code(), probe.err().lines().count()), (125, 1), "{text:?}: {}", probe.err());
    }
    assert!(!house.path("started").exists(), "a command was started");
    // The sentinel of the main that has failed, by which its sidecars know.
    assert_eq!(house.listing(), ["x-terminated"], "a life was published");
}

/// A time in the environment is without effect: redboxllc/scuttle#38, redboxllc/scuttle#40, redboxllc/scuttle#41.
#[test]
fn in_the_environment_conditions_stand_side_by_side_and_an_exec_has_a_line_of_its_own() {
    let house = House::new();
    for file in ["a", "b", "c"] {
        let conditions = format!(
            "file://{} file://{}\nexec:test -e {}",
            house.path("a").display(),
            house.path("b").display(),
            house.path("c").display()
        );
        let impatient = house.main().env("EXEUNT_WAIT_FOR", &conditions).env("EXEUNT_WAIT_TIMEOUT", "1s");
        let mut run = impatient.args(["--", "true"]).finish();
        assert_eq!(run.code(), 124, "without {file}: {}", run.err());
        assert!(run.err().contains(&house.path(file).display().to_string()), "not {file}: {}", run.err());
        std::fs::write(house.path(file), "").unwrap();
    }
    let conditions = format!("file://{0} file://{0}\nexec:test -e {0}", house.path("a").display());
    assert_eq!(house.main().env("EXEUNT_WAIT_FOR", conditions).args(["--", "true"]).finish().code(), 0);
}

// --- http

#[test]
fn an_http_condition_holds_for_every_2xx_and_for_nothing_else() {
    let house = House::new();
    let server = Server::new(|_| Answer::Status(200, "LIVE\n"));
    for status in [200, 201, 204, 299] {
        server.answers(move |_| Answer::Status(status, "LIVE\n"));
        holds(&house, &server.url("/ready?x=1"));
    }
    for status in [300, 301, 302, 304, 307, 400, 401, 403, 404, 405, 418, 500, 503, 599] {
        // What a redirection leads to does not count: the proxy's own answer does.
        server.answers(move |request| match request.path.as_str() {
            "/elsewhere" => Answer::Status(200, "somebody else"),
            _ => Answer::Status(status, "no\n"),
        });
        does_not_hold(&house, &server.url("/ready"), &format!("/ready: {status}\n"));
    }
    assert!(!server.asked().contains(&"GET /elsewhere".to_owned()), "a redirection was followed");
    assert!(server.asked().starts_with(&["GET /ready?x=1".to_owned()]), "{:?}", server.asked());
}

#[test]
fn an_http_condition_asks_as_a_client_would_that_reads_one_answer() {
    let house = House::new();
    let server = Server::new(|request| {
        let head = request.head.to_ascii_lowercase();
        let fine = head.contains("\r\nhost: 127.0.0.1") && head.contains("\r\nconnection: close");
        Answer::Status(if fine { 200 } else { 400 }, "")
    });
    holds(&house, &server.url("/"));
    holds(&house, &format!("http://127.0.0.1:{}", server.port));
    holds(&house, &format!("http://127.0.0.1:{}?state", server.port));
    assert_eq!(server.asked(), ["GET /", "GET /", "GET /?state"]);
}

#[test]
fn an_http_condition_takes_the_forms_in_which_servers_say_200() {
    let house = House::new();
    let server = Server::new(|_| Answer::Silence);
    for answer in [
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nLIVE\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nless than that",
    ] {
        server.answers(move |_| Answer::Raw(answer.as_bytes().to_vec()));
        holds(&house, &server.url("/"));
    }
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
    for status in [200, 503] {
        let answer = format!("HTTP/1.1 {status} OK\r\n{many}\r\n");
        server.answers(move |_| Answer::Raw(answer.clone().into_bytes()));
        match status {
            200 => holds(&house, &server.url("/")),
            _ => does_not_hold(&house, &server.url("/"), ": 503"),
        }
    }
}

#[test]
fn an_http_condition_does_not_hold_for_an_answer_that_is_none() {
    let house = House::new();
    let server = Server::new(|_| Answer::Silence);
    let long = [b"HTTP/1.1 2".as_slice(), &[b'0'; 100_000]].concat();
    for answer in [
        b"".as_slice(),
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 OK 200\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 -200 OK\r\n\r\n",
        b"HTTP/1.1 99999999999999999999 OK\r\n\r\n",
        b"200 OK\r\n\r\n",
        b"\x00\x01\x02\xff\xfe\n\n",
        &long,
    ] {
        let bytes = answer.to_vec();
        server.answers(move |_| Answer::Raw(bytes.clone()));
        does_not_hold(&house, &server.url("/"), "");
    }
}

#[test]
fn the_body_of_an_answer_is_not_waited_for() {
    let house = House::new();
    let server = Server::new(|_| Answer::Endless("HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 65536]));
    holds(&house, &server.url("/"));
    server.answers(|_| Answer::Drip("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"));
    holds(&house, &server.url("/"));
}

#[test]
fn a_head_without_end_is_given_up_before_it_fills_the_memory() {
    let house = House::new();
    let server = Server::new(|_| Answer::Silence);
    // The last: a line that ends in a bare newline at the very end of what is read (minreq 3.0.0 counted below zero there
    // and read on without a limit).
    let answers: [fn() -> Answer; 3] = [
        || Answer::Endless("HTTP/1.1 200 OK\r\n", b"X-Header: and so on\r\n"),
        || Answer::Endless("HTTP/1.1 200 ", b"and so on"),
        || Answer::Endless("HTTP/1.1 200 OK\n", &[b'y'; 65534]),
    ];
    for answer in answers {
        server.answers(move |_| answer());
        let mut probe = probe(&house, &["--timeout", "60s", &server.url("/")]);
        assert_eq!((probe.code(), probe.err().lines().count()), (1, 1), "{}", probe.err());
        assert!(
            !probe.err().contains("no answer within"),
            "it was read for as long as there was time: {}",
            probe.err()
        );
    }
}

#[test]
fn an_answer_that_does_not_come_in_time_is_no_answer() {
    let house = House::new();
    let server = Server::new(|_| Answer::Silence);
    for answer in [
        || Answer::Silence,
        || Answer::Drip("HTTP/1.1 200 OK\r\n", b"X-Header: and so on\r\n"),
        || Answer::Drip("", b"H"),
    ] {
        server.answers(move |_| answer());
        let begun = Instant::now();
        let url = server.url("/slow");
        let mut probe = probe(&house, &["--timeout", "300ms", &url]);
        assert_eq!(probe.code(), 1, "{}", probe.err());
        assert_eq!(probe.err(), format!("exeunt probe: {url}: no answer within 300ms\n"));
        assert!(begun.elapsed() >= Duration::from_millis(300), "it was given up early");
        assert!(begun.elapsed() < Duration::from_secs(4), "it took {:?}", begun.elapsed());
    }
}

#[test]
fn an_http_condition_says_who_does_not_listen() {
    let house = House::new();
    does_not_hold(&house, &format!("http://127.0.0.1:{}/", closed_port()), "Connection refused");
    does_not_hold(&house, "http://no-such-host.invalid:80/", "");
}

// --- tcp and unix

#[test]
fn a_tcp_condition_holds_when_the_address_accepts() {
    let house = House::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    holds(&house, &format!("tcp://127.0.0.1:{port}"));
    holds(&house, &format!("tcp://localhost:{port}"));
    // To close it would not do: a process that a test beside this one is just starting may have it as well.
    // SAFETY: the descriptor is a listening socket of ours.
    assert_eq!(unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RDWR) }, 0);
    does_not_hold(&house, &format!("tcp://127.0.0.1:{port}"), "Connection refused");
    does_not_hold(&house, "tcp://no-such-host.invalid:80", "");
}

#[test]
fn a_tcp_condition_that_is_not_answered_is_given_up() {
    let house = House::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // One connection is queued where the backlog is none; whoever comes later is not answered at all.
    // SAFETY: the descriptor is a listening socket of ours.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let _queued = TcpStream::connect(address).unwrap();
    let condition = format!("tcp://{address}");
    let begun = Instant::now();
    let mut probe = probe(&house, &["--timeout", "300ms", &condition]);
    assert_eq!(probe.code(), 1, "{}", probe.err());
    assert!(probe.err().starts_with(&format!("exeunt probe: {condition}: ")), "{}", probe.err());
    assert!(begun.elapsed() < Duration::from_secs(4), "it took {:?}", begun.elapsed());
}

/// Where nobody listens at a port from which connections are made, one may be made from that very port, and meets itself. In a
/// network of its own with two such ports the kernel does so at the first try.
#[test]
fn a_connection_that_meets_itself_is_nobody_who_accepts() {
    let house = House::new();
    let prepare = [
        "sh",
        "-c",
        "ip link set lo up; echo '40000 40001' >/proc/sys/net/ipv4/ip_local_port_range; exec \"$@\"",
        "sh",
    ];
    for condition in ["tcp://127.0.0.1:40000", "tcp://[::1]:40000", "tcp://localhost:40000", "http://127.0.0.1:40000/"]
    {
        let run = house.run(EXEUNT).args(["probe", condition]).behind(prepare).unshare(["--net", "--mount"]);
        let mut run = run.finish();
        assert_eq!(run.code(), 1, "{condition}: {}", run.err());
        assert_eq!(run.err(), format!("exeunt probe: {condition}: Connection refused (ECONNREFUSED)\n"));
    }
}

#[test]
fn a_unix_condition_holds_when_the_socket_accepts() {
    let house = House::new();
    let path = house.path("a socket");
    let condition = format!("unix://{}", path.display());
    does_not_hold(&house, &condition, "No such file or directory");
    let listener = UnixListener::bind(&path).unwrap();
    holds(&house, &condition);
    drop(listener);
    // Its name is still there. A child of a neighbouring test has what we had open until it becomes its program.
    wait_until("nobody to hold the listener", || UnixStream::connect(&path).is_err());
    does_not_hold(&house, &condition, "Connection refused");
    let file = house.path("file");
    std::fs::write(&file, "").unwrap();
    does_not_hold(&house, &format!("unix://{}", file.display()), "Connection refused");
}

#[test]
fn a_unix_condition_whose_queue_is_full_is_given_up() {
    let house = House::new();
    let path = house.path("socket");
    let listener = UnixListener::bind(&path).unwrap();
    // SAFETY: the descriptor is a listening socket of ours.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let _queued = UnixStream::connect(&path).unwrap();
    let condition = format!("unix://{}", path.display());
    let mut probe = probe(&house, &["--timeout", "300ms", &condition]);
    assert_eq!(probe.code(), 1, "{}", probe.err());
    assert_eq!(probe.err(), format!("exeunt probe: {condition}: no answer within 300ms\n"));
}

// --- file, exec, NAME

#[test]
fn a_file_condition_holds_when_it_exists_whatever_it_is() {
    let house = House::new();
    let path = house.path("it is there");
    let condition = format!("file://{}", path.display());
    does_not_hold(&house, &condition, "No such file or directory");
    std::os::unix::fs::symlink("/nowhere", &path).unwrap();
    does_not_hold(&house, &condition, "No such file or directory");
    std::fs::remove_file(&path).unwrap();
    mkfifo(&path);
    holds(&house, &condition);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    holds(&house, &condition);
}

#[test]
fn an_exec_condition_holds_when_the_command_exits_0() {
    let house = House::new();
    holds(&house, "exec:true");
    holds(&house, r#"exec:sh -c 'test "$1$2" = "a bc"' sh "a b" c"#);
    does_not_hold(&house, "exec:sh -c 'exit 7'", "exit code 7");
    does_not_hold(&house, "exec:sh -c 'kill -9 $$'", "killed by SIGKILL");
    does_not_hold(&house, "exec:no-such-command at all", "No such file or directory");
    does_not_hold(&house, "exec:/etc/passwd", "Permission denied");
}

/// There is no shell in it: an image may have none.
#[test]
fn an_exec_condition_does_not_go_through_a_shell() {
    let house = House::new();
    let file = house.path("redirected");
    holds(&house, &format!("exec:echo a '>' {}", file.display()));
    assert!(!file.exists(), "a shell has seen the redirection");
}

#[test]
fn an_exec_condition_reads_nothing_and_writes_nothing_to_standard_output() {
    let house = House::new();
    std::fs::write(house.path("input"), "something\n").unwrap();
    let input = std::fs::File::open(house.path("input")).unwrap();
    let probe = house.run(EXEUNT).args(["probe", "exec:sh -c 'read line && exit 1; echo said'"]).stdin(input);
    let mut probe = probe.finish();
    assert_eq!((probe.code(), probe.out(), probe.err()), (0, String::new(), String::new()));
}

#[test]
fn a_command_of_an_exec_condition_that_hangs_is_killed_with_all_that_it_has_started() {
    let house = House::new();
    let line = format!("sleep 1000 & echo $! $$ >{}; wait", house.path("pids").display());
    let condition = format!("exec:sh -c '{line}'");
    let mut probe = probe(&house, &["--timeout", "1s", &condition]);
    assert_eq!(probe.code(), 1, "{}", probe.err());
    assert_eq!(probe.err(), format!("exeunt probe: {condition}: no answer within 1s\n"));
    for pid in pids(&house, "pids") {
        wait_until("the end of what the condition has run", || !proc::alive(pid));
    }
}

/// Whoever asks by `exeunt probe` may be killed himself: an exec probe of the kubelet that took too long.
#[test]
fn a_probe_that_is_ended_takes_its_command_with_it() {
    let house = House::new();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGKILL] {
        let _ = std::fs::remove_file(house.path("pids"));
        let line = format!("exec:sh -c 'echo $$ >{}; exec sleep 1000'", house.path("pids").display());
        let mut probe = house.run(EXEUNT).args(["probe", "--timeout", "60s", &line]).start();
        let pids = pids(&house, "pids");
        probe.signal(signal);
        assert_eq!(probe.killed_by(), signal);
        wait_until("the end of what the condition has run", || pids.iter().all(|pid| !proc::alive(*pid)));
    }
}

/// The numbers in a file that a shell writes, once they are there.
fn pids(house: &House, file: &str) -> Vec<i32> {
    let path = house.path(file);
    wait_for("the pids of what the condition has run", PATIENCE, || {
        let text = std::fs::read_to_string(&path).ok()?;
        text.ends_with('\n').then(|| text.split_whitespace().map(|pid| pid.parse().unwrap()).collect())
    })
}

#[test]
fn a_name_holds_while_its_mark_is_there_and_its_owner_lives() {
    let house = House::new();
    does_not_hold(&house, "proxy", "not ready");
    std::fs::write(house.pod("proxy-ready"), "").unwrap();
    does_not_hold(&house, "proxy", "not ready");
    let life = house.life("proxy", |_| {});
    holds(&house, "proxy");
    std::fs::remove_file(house.pod("proxy-ready")).unwrap();
    does_not_hold(&house, "proxy", "not ready");
    std::fs::write(house.pod("proxy-ready"), "").unwrap();
    drop(life);
    does_not_hold(&house, "proxy", "not ready");
}

#[test]
fn a_directory_that_is_missing_is_named_by_the_probe_of_a_name() {
    let house = House::new();
    let mut probe = house.run(EXEUNT).args(["probe", "--dir", "/no/such/directory", "proxy"]).finish();
    assert_eq!((probe.code(), probe.err().lines().count()), (1, 1), "{}", probe.err());
    assert!(probe.err().contains("/no/such/directory"), "{}", probe.err());
}

// --- several

#[test]
fn several_conditions_hold_when_all_of_them_do() {
    let house = House::new();
    let server = Server::new(|_| Answer::Status(200, ""));
    let url = server.url("/");
    let mut all = probe(&house, &["exec:true", &url, "file:///"]);
    assert_eq!(all.code(), 125, "file:/// alone has no path: {}", all.err());
    let mut all = probe(&house, &["exec:true", &url, "file:///dev/null"]);
    assert_eq!(all.code(), 0, "{}", all.err());
    for conditions in [["exec:false", &url, "file:///dev/null"], [&url, "file:///dev/null", "exec:false"]] {
        let mut one = probe(&house, &conditions);
        assert_eq!((one.code(), one.err()), (1, "exeunt probe: exec:false: exit code 1\n".to_owned()));
    }
}
