//! What a shell script does, as far as it decides who is ended when: a small parser of POSIX shell and a walk over every way
//! through the script. Everything that is not known to be harmless counts as the job, which may succeed or fail.

mod parse;
mod walk;

pub use parse::{Cmd, Word, comments, parse};
pub use walk::{Idle, Path, Walk, walk, walk_as, walk_in};

/// Something that a script does to another container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// A request to an endpoint on the loopback address that the containers share.
    Http {
        /// Of the URL; none where it is a variable.
        port: Option<u16>,
        /// Of the URL, with its first `/`.
        path: String,
        /// How it is asked.
        method: Method,
        /// Over TLS.
        tls: bool,
    },
    /// A signal to processes by their name.
    Signal {
        /// What the name must contain.
        pattern: String,
        /// Which.
        signal: Signal,
    },
    /// A client that asks its server to end, by the server's own protocol: what the table of helpers calls the server.
    Client(&'static str),
    /// A file that is made.
    Touch(String),
}

/// A signal, as far as it matters to whom it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// One that asks for an end.
    Term,
    /// SIGINT, which asks for an end as well, after which some exit with another code.
    Int,
    /// SIGKILL.
    Kill,
    /// SIGHUP and SIGUSR2, by which many servers read their configuration again, and SIGUSR1, by which they open their logs
    /// again: `HUP`, `USR1`, `USR2`.
    Again(&'static str),
}

impl Signal {
    /// What `kill` and its like are told to send; none where it ends nobody.
    fn of(words: &[String]) -> Option<Signal> {
        let signal = Signal::told(words)?;
        // nginx.org/en/docs/control.html, envoyproxy/envoy source/server/server.cc: they open their logs again. Of others,
        // haproxy stops softly, and who has no handler ends.
        let logs = words.iter().any(|word| word.contains("nginx") || word.contains("envoy"));
        Some(if signal == Signal::Again("USR1") && !logs { Signal::Term } else { signal })
    }

    fn told(words: &[String]) -> Option<Signal> {
        let mut told = "TERM";
        for (at, word) in words.iter().enumerate() {
            let next = || words.get(at + 1).map_or("", String::as_str);
            match word.as_str() {
                // -n is a number for kill only; the newest, for pkill.
                "-s" | "--signal" => told = next(),
                "-n" if next().chars().next().is_some_and(|letter| letter.is_ascii_digit()) => told = next(),
                "--" => break,
                _ => {
                    let bare = word.strip_prefix("--signal=").or_else(|| word.strip_prefix('-')).unwrap_or("");
                    let bare = bare.strip_prefix("SIG").unwrap_or(bare);
                    let named = bare.len() > 2
                        && bare.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit());
                    if named || (!bare.is_empty() && bare.chars().all(|letter| letter.is_ascii_digit())) {
                        told = bare;
                    }
                }
            }
        }
        match told.strip_prefix("SIG").unwrap_or(told) {
            "KILL" | "9" => Some(Signal::Kill),
            "INT" | "2" => Some(Signal::Int),
            "HUP" | "1" => Some(Signal::Again("HUP")),
            "USR1" | "10" => Some(Signal::Again("USR1")),
            "USR2" | "12" => Some(Signal::Again("USR2")),
            // To ask whether it is there, to stop it for a while, and what is ignored where nobody handles it.
            "0" | "CONT" | "18" | "STOP" | "19" | "TSTP" | "20" | "TTIN" | "TTOU" | "CHLD" | "17" | "URG" | "WINCH"
            | "28" => None,
            _ => Some(Signal::Term),
        }
    }
}

/// Programs that ask a server to end by its own protocol: the program, a word that says so, and the server.
const CLIENTS: &[(&str, &str, &str)] = &[
    // redis.io/docs/reference/signals, valkey.io/commands/shutdown: SHUTDOWN quits the server.
    ("redis-cli", "shutdown", "redis"),
    ("valkey-cli", "shutdown", "redis"),
    // dev.mysql.com/doc/refman/9.5/en/shutdown.html, mariadb.com/kb/en/mariadb-admin: a command of these and a statement.
    ("mysqladmin", "shutdown", "mysql"),
    ("mariadb-admin", "shutdown", "mysql"),
    ("mysql", "shutdown", "mysql"),
    ("mariadb", "shutdown", "mysql"),
    // mongodb.com/docs/manual/reference/method/db.shutdownServer: it shuts down the mongod that it is connected to.
    ("mongo", "shutdownserver", "mongo"),
    ("mongosh", "shutdownserver", "mongo"),
    // rabbitmq/rabbitmq-server deps/rabbit/docs/rabbitmqctl.8: both end the node; stop_app leaves its runtime running.
    ("rabbitmqctl", "stop", "rabbitmq"),
    ("rabbitmqctl", "shutdown", "rabbitmq"),
    // pgbouncer/pgbouncer doc/usage.md: SHUTDOWN on its console, at once or when all have left.
    ("psql", "shutdown", "pgbouncer"),
    // developer.hashicorp.com/consul/commands/leave: a leave and a shutdown of the agent.
    ("consul", "leave", "consul"),
];

/// The server that this command asks to end, if it is its own.
fn asked_by_client(program: &str, words: &[String]) -> Option<&'static str> {
    let host = words.iter().enumerate().find_map(|(at, word)| match word.as_str() {
        "-h" | "--host" => words.get(at + 1).map(String::as_str),
        _ => word.strip_prefix("--host=").or_else(|| word.strip_prefix("-h").filter(|rest| rest.contains('.'))),
    });
    if host.is_some_and(|host| !is_here(host)) {
        return None;
    }
    CLIENTS.iter().find_map(|(client, asks, server)| {
        // A word of the client's own, or a part of a statement, where it speaks a language; a file of statements is none.
        let speaks = matches!(*client, "mysql" | "mariadb" | "mongo" | "mongosh" | "psql");
        let says = |word: &String| {
            let word = word.to_ascii_lowercase();
            let file = [".sql", ".js"].iter().any(|end| word.ends_with(end));
            let mut parts = word.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            word == *asks || (speaks && !file && parts.any(|part| part == *asks))
        };
        (*client == program && words.iter().any(says)).then_some(*server)
    })
}

/// The address that the containers of a Pod share.
fn is_here(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]" | "::1" | "0.0.0.0") || host.starts_with('$')
}

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// What is sent where nothing is said.
    Get,
    /// `-X POST`, and what has a body.
    Post,
    /// `-X PUT`, and a file that is sent.
    Put,
    /// Anything else.
    Other,
}

impl Method {
    /// As it stands in a request.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Other => "another method",
        }
    }

    /// Of a request by curl or wget, from its words.
    fn of(program: &str, words: &[String]) -> Method {
        /// The letters of curl after which a value comes.
        const VALUED: &str = "oHAbcCDeEFKmPQrtuUwxyYzXdT";
        let named = |name: &str| match name {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            _ => Method::Other,
        };
        let mut method = Method::Get;
        for (at, word) in words.iter().enumerate() {
            let next = || words.get(at + 1).map_or("", String::as_str);
            let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
            match name {
                // What is said outright outweighs what a body implies.
                "--request" | "--method" => return named(value.unwrap_or_else(next)),
                "--data" | "--data-raw" | "--data-binary" | "--data-urlencode" | "--json" | "--form"
                | "--post-data" | "--post-file" => method = Method::Post,
                "--upload-file" => method = Method::Put,
                _ => {}
            }
            if program != "curl" {
                continue;
            }
            // Letters that take no value may stand in front: -sX POST, -sfXPOST.
            let letters = word.strip_prefix('-').filter(|rest| !rest.starts_with('-')).unwrap_or("");
            let Some((letter, value)) = letters
                .char_indices()
                .find(|(_, letter)| VALUED.contains(*letter))
                .map(|(at, letter)| (letter, letters.get(at + 1..).unwrap_or("")))
            else {
                continue;
            };
            match letter {
                'X' => return named(if value.is_empty() { next() } else { value }),
                'd' | 'F' => method = Method::Post,
                'T' => method = Method::Put,
                _ => {}
            }
        }
        method
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Call::Http { port: Some(port), path, .. } => write!(out, "the request to port {port}{path}"),
            Call::Http { path, .. } => write!(out, "the request to {path}"),
            Call::Signal { pattern, .. } => write!(out, "the signal to {pattern}"),
            Call::Client(server) => write!(out, "the client's call to end {server}"),
            Call::Touch(file) => write!(out, "the file {file}"),
        }
    }
}

/// The last part of a path: how a program is called.
pub fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The words of a command without what only prepares it (`env`, `timeout`, `exec`, `nohup`, …), and whether it replaces the shell.
pub fn strip(words: &[String]) -> (&[String], bool) {
    let mut rest = words;
    let mut replaces = false;
    for _ in 0..16 {
        let Some((first, more)) = rest.split_first() else { break };
        let assigns = first.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        });
        let options = |more: &[String], with_value: &[&str]| {
            let mut skip = 0;
            while let Some(word) = more.get(skip).filter(|word| word.starts_with('-')) {
                skip += 1;
                if word == "--" {
                    break;
                }
                skip += usize::from(with_value.contains(&word.as_str()));
            }
            skip
        };
        let skip = match base(first) {
            _ if assigns => 0,
            "exec" => {
                replaces = true;
                options(more, &["-a"])
            }
            "nohup" | "command" | "time" | "setsid" | "tini" | "dumb-init" | "catatonit" => options(more, &["-p"]),
            "env" => options(more, &["-u", "-C"]),
            "sudo" => options(more, &["-u", "-g"]),
            "nice" | "ionice" => options(more, &["-n", "-c"]),
            "stdbuf" => options(more, &["-i", "-o", "-e"]),
            "timeout" => options(more, &["-s", "-k", "--signal", "--kill-after"]) + 1,
            "su-exec" | "gosu" | "chroot" => 1,
            // What the official images begin with, and which becomes the words behind it.
            "docker-entrypoint.sh" => 0,
            _ => break,
        };
        rest = more.get(skip..).unwrap_or(&[]);
    }
    (rest, replaces)
}

/// A server that is told by its own words that it is one, and stays.
pub fn serves_for_ever(words: &[String]) -> bool {
    let (words, _) = strip(words);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some((first, rest)) = words.split_first() else { return false };
    let has = |wanted: &[&str]| rest.iter().any(|word| wanted.contains(word));
    let letter = |letter: char| {
        rest.iter().any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letter))
    };
    match base(first) {
        "sleep" => has(&["infinity", "inf"]),
        "tail" => {
            let follows = has(&["-f", "-F"]) || rest.iter().any(|word| word.starts_with("--follow"));
            follows && !rest.iter().any(|word| word.starts_with("--pid"))
        }
        "kubectl" => {
            const VALUED: &[&str] =
                &["-n", "--namespace", "--context", "--kubeconfig", "-s", "--server", "--cluster", "--user"];
            let mut words = rest.iter();
            let verb = loop {
                match words.next() {
                    Some(word) if VALUED.contains(word) => _ = words.next(),
                    Some(word) if word.starts_with('-') => {}
                    verb => break verb,
                }
            };
            verb.is_some_and(|verb| matches!(*verb, "port-forward" | "proxy"))
        }
        "ssh" | "autossh" => has(&["-N", "-nNT", "-NT", "-fN"]),
        "socat" => rest.iter().any(|word| word.contains("LISTEN") && word.contains("fork")),
        "python" | "python3" => rest.windows(2).any(|pair| pair == ["-m", "http.server"]),
        // In the foreground; otherwise they go behind, and the container is over.
        "sshd" => letter('D'),
        "supervisord" => has(&["-n", "--nodaemon"]),
        // busybox's; Apache's -f is followed by a file, and it goes behind unless it is told not to.
        "httpd" => {
            let front = |at: usize| rest.get(at + 1).is_none_or(|next| next.starts_with('-'));
            rest.iter().enumerate().any(|(at, word)| *word == "-f" && front(at))
                || rest.contains(&"-DFOREGROUND")
                || rest.windows(2).any(|pair| pair == ["-D", "FOREGROUND"])
        }
        "crond" | "cron" => has(&["-f"]),
        "watch" => !has(&["-g", "--chgexit"]),
        "nc" | "ncat" => letter('l') && letter('k'),
        "inotifywait" => has(&["-m", "--monitor"]),
        // The first process of an image with s6-overlay or systemd: behind a command it ends with that.
        "init" => rest.is_empty() && first.starts_with('/'),
        "s6-svscan" | "runsvdir" => true,
        _ => false,
    }
}

/// Does `timeout` end this command, if nobody else does?
pub fn is_limited(words: &[String]) -> bool {
    let (rest, _) = strip(words);
    let before = words.get(..words.len() - rest.len()).unwrap_or(&[]);
    // No bound at all: 0.
    before.iter().any(|word| base(word) == "timeout") && before.last().is_some_and(|bound| bound != "0")
}

/// Is it a shell with a script, and which?
pub fn script(words: &[String]) -> Option<&str> {
    let (words, _) = strip(words);
    let (program, rest) = words.split_first()?;
    if !matches!(base(program), "sh" | "bash" | "ash" | "dash" | "ksh" | "zsh" | "busybox") {
        return None;
    }
    let at = rest
        .iter()
        .take_while(|word| word.starts_with(['-', '+']) || *word == "sh" || is_option(word))
        .position(|word| word.starts_with('-') && !word.starts_with("--") && word.contains('c'))?;
    // Options may stand between -c and the script.
    rest.iter().skip(at + 1).find(|word| !word.starts_with('-') && !is_option(word)).map(String::as_str)
}

/// What stands behind `-o` of a shell.
fn is_option(word: &str) -> bool {
    matches!(word, "pipefail" | "errexit" | "nounset" | "xtrace" | "errtrace" | "functrace" | "posix" | "verbose")
}

/// Is it a shell that leaves at the first failure, by an option in front of its script: `bash -ec`?
pub fn leaves_early(words: &[String]) -> bool {
    let (words, _) = strip(words);
    let options =
        words.iter().skip(1).take_while(|word| word.starts_with(['-', '+']) || *word == "sh" || is_option(word));
    let early =
        |word: &String| word == "errexit" || (word.starts_with('-') && !word.starts_with("--") && word.contains('e'));
    options.into_iter().any(early) && script(words).is_some()
}

const ENDS: &[&str] = &["quitquitquit", "shutdown", "graceful_shutdown", "exit", "quit", "stop", "terminate"];

/// What this command does to another container, if it does. `files` are those it writes to by `>`.
/// What a variable was set to by `$(pgrep …)` stands in its place already.
pub fn calls(words: &[String], files: &[String]) -> Vec<Call> {
    let (words, _) = strip(words);
    let mut found: Vec<Call> = Vec::new();
    let (program, rest) = match words.split_first() {
        Some((program, rest)) => (base(program), rest),
        None => (":", words),
    };
    let targets = || rest.iter().filter(|word| !word.starts_with('-'));
    match program {
        "curl" | "wget" => {
            let method = Method::of(program, rest);
            found.extend(rest.iter().filter_map(|word| url(word)).map(|(port, path, tls)| Call::Http {
                port,
                path,
                method,
                tls,
            }));
        }
        "pkill" | "killall" => {
            // pkill takes one pattern, killall as many names as there are.
            let valued = |at: usize| {
                at > 0 && matches!(rest.get(at - 1).map(String::as_str), Some("-s" | "--signal" | "-u" | "-g"))
            };
            if let Some(signal) = Signal::of(rest) {
                let patterns = rest.iter().enumerate().filter(|(at, word)| !word.starts_with('-') && !valued(*at));
                let patterns: Vec<_> = patterns.map(|(_, word)| word).collect();
                let from = if program == "pkill" { patterns.len().saturating_sub(1) } else { 0 };
                found.extend(
                    patterns
                        .into_iter()
                        .skip(from)
                        .map(|pattern| Call::Signal { pattern: base(pattern).to_owned(), signal }),
                );
            }
        }
        "kill" => {
            let Some(signal) = Signal::of(rest) else { return found };
            for word in rest {
                let inner = word.trim_start_matches("$(").trim_start_matches('`').trim_end_matches([')', '`']);
                let inner: Vec<&str> = inner.split_ascii_whitespace().collect();
                if let Some((finder, more)) = inner.split_first()
                    && matches!(base(finder), "pgrep" | "pidof")
                {
                    // pgrep takes one pattern, pidof as many names as there are.
                    let many = if base(finder) == "pidof" { more.len() } else { 1 };
                    let patterns = more.iter().rev().filter(|word| !word.starts_with('-')).take(many);
                    found.extend(patterns.map(|pattern| Call::Signal {
                        pattern: base(pattern).trim_matches(['"', '\'']).to_owned(),
                        signal,
                    }));
                }
            }
        }
        // A second one, which asks the first to end.
        "cloud-sql-proxy" | "alloydb-auth-proxy" if rest.first().is_some_and(|word| word == "shutdown") => {
            let next = rest.iter().position(|word| word == "--admin-port").and_then(|at| rest.get(at + 1));
            let port =
                next.map(String::as_str).or_else(|| rest.iter().find_map(|one| one.strip_prefix("--admin-port=")));
            let port = port.and_then(|port| port.parse().ok());
            let path = "/quitquitquit".to_owned();
            found.push(Call::Http { port: port.or(Some(9091)), path, method: Method::Post, tls: false });
        }
        "touch" => found.extend(targets().map(|file| Call::Touch(file.clone()))),
        "cp" | "mv" | "tee" => found.extend(targets().next_back().map(|file| Call::Touch(file.clone()))),
        _ => found.extend(asked_by_client(program, rest).map(Call::Client)),
    }
    let writes = matches!(program, "echo" | "printf" | ":" | "true" | "date" | "cat");
    found.extend(files.iter().filter(|file| writes && file.as_str() != "/dev/null").cloned().map(Call::Touch));
    found
}

/// Port and path of a URL on the loopback address whose path asks for an end, and whether it is asked over TLS.
fn url(word: &str) -> Option<(Option<u16>, String, bool)> {
    let tls = word.starts_with("https://");
    let rest = word.split_once("://").map_or(word, |(_, rest)| rest);
    let slash = rest.find('/')?;
    let (host, path) = rest.split_at(slash);
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()),
        None => (host, (!host.contains('$')).then_some(if tls { 443 } else { 80 })),
    };
    let here = is_here(name);
    let path = path.split('?').next().unwrap_or(path).trim_end_matches('/');
    (here && ENDS.contains(&base(path))).then(|| (port, path.to_owned(), tls))
}

/// The programs by which a script ends somebody, as they are told from words of a language.
const CALLERS: &[&str] = &["curl", "wget", "pkill", "killall"];

/// Calls that a text only speaks of: the words of an echo. `whole`: the text is nothing but the call, as in a line that was
/// commented out.
pub fn spoken(text: &str, whole: bool) -> Vec<Call> {
    let words: Vec<String> = text
        .split(|letter: char| letter.is_ascii_whitespace() || matches!(letter, ';' | '&' | '|' | '`'))
        .filter(|word| !word.is_empty())
        .map(|word| word.trim_matches(['"', '\'']).to_owned())
        .collect();
    let last = if whole { words.len().min(1) } else { words.len() };
    (0..last)
        .filter_map(|at| words.get(at..))
        .filter(|rest| rest.first().is_some_and(|word| CALLERS.contains(&base(word))))
        .flat_map(|rest| calls(rest, &[]))
        .collect()
}

/// Words that would end somebody if they were code, but are arguments of another command: what a folded scalar makes of lines.
pub fn swallowed(words: &[String]) -> Option<Call> {
    let (words, _) = strip(words);
    let own = words.first().map_or("", |word| base(word));
    if matches!(own, "echo" | "printf" | "trap" | "grep") || !calls(words, &[]).is_empty() {
        return None;
    }
    (1..words.len()).find_map(|at| {
        let rest = words.get(at..)?;
        // A file or a process can be named like that by chance; a program and its object cannot.
        matches!(rest.first().map(|word| base(word)), Some("curl" | "wget" | "pkill" | "killall" | "touch"))
            .then(|| calls(rest, &[]).into_iter().next())
            .flatten()
    })
}
