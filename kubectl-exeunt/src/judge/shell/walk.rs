//! Every way through a script.

use super::{Call, Cmd, base, calls, comments, leaves_early, parse, script, serves_for_ever, spoken, strip, swallowed};
use crate::judge::helpers::program as server;
use std::collections::{BTreeMap, BTreeSet};

/// One way through a script.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// What was done to others.
    pub calls: BTreeSet<Call>,
    /// Has a command of the job failed?
    pub failed: bool,
    /// It goes round for ever, by what is written.
    pub stuck: bool,
    /// It has come to the exeunt that it starts.
    pub wrapped: bool,
    /// It has sent signals to what it has started.
    killed: bool,
    ok: bool,
    done: bool,
    replaced: bool,
    errexit: bool,
    trap: Option<String>,
}

/// Why a call that stands in a script is never made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Idle {
    /// It is printed.
    Printed,
    /// It is commented out.
    Comment,
    /// It stands in a trap, and `exec` takes the shell away.
    Trap,
}

/// What a script does.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// Every way through it, to its end.
    pub paths: Vec<Path>,
    /// Calls that are arguments of another command.
    pub swallowed: Vec<Call>,
    /// The files that a loop waits for before it ends something.
    pub waits: BTreeSet<String>,
    /// Calls that stand in the script and that no way through it makes.
    pub idle: BTreeSet<(Call, Idle)>,
    /// Calls that stand in a trap for signals only, which is not run at the end of the script.
    pub on_signals: BTreeSet<Call>,
    /// A loop on `pgrep -f` finds the shell that asks.
    pub finds_itself: bool,
    /// The programs that it runs as a job, with their words.
    pub programs: BTreeSet<Vec<String>>,
    /// A loop that waits without a bound for something that somebody else must do.
    pub polls: bool,
    /// The programs that go on behind the script, with their words.
    pub behind: BTreeSet<Vec<String>>,
    /// It waits for what goes on behind.
    pub joins: bool,
    /// A command of it is ended by `timeout`.
    pub limited: bool,
    /// The words of an exeunt that it starts.
    pub exeunt: Option<Vec<String>>,
}

const MANY: usize = 512;

/// Goes through a script. None where it is not understood.
pub fn walk(text: &str) -> Option<Walk> {
    walk_as(text, false)
}

/// The same; `early`: the shell leaves at the first failure.
pub fn walk_as(text: &str, early: bool) -> Option<Walk> {
    let script = parse(text)?;
    let mut walker = Walker::default();
    let ends = walker.shell(&script, Path { ok: true, errexit: early, ..Path::default() })?;
    walker
        .found
        .idle
        .extend(comments(text).iter().flat_map(|text| spoken(text, true)).map(|call| (call, Idle::Comment)));
    let made = |call: &Call| ends.iter().any(|path| path.calls.contains(call));
    walker.found.idle.retain(|(call, _)| !made(call));
    walker.found.on_signals.retain(|call| !made(call));
    walker.found.paths = ends;
    waits(&script, &mut walker.found.waits);
    Some(walker.found)
}

#[derive(Default)]
struct Walker {
    found: Walk,
    functions: BTreeMap<String, Cmd>,
    /// Variables that are set to the numbers of processes: `p=$(pgrep x)`.
    finders: BTreeMap<String, String>,
    depth: usize,
    behind: bool,
    /// What is printed is read by another command.
    piped: bool,
}

type Paths = Option<Vec<Path>>;

fn unique(paths: Vec<Path>) -> Paths {
    let paths: BTreeSet<Path> = paths.into_iter().collect();
    (paths.len() <= MANY).then(|| paths.into_iter().collect())
}

impl Walker {
    /// A whole shell: its own options and its own trap.
    fn shell(&mut self, script: &Cmd, start: Path) -> Paths {
        self.depth += 1;
        if self.depth > 40 {
            return None;
        }
        let mut ends = Vec::new();
        for path in self.run(script, start, false)? {
            if let Some(action) = path.trap.as_deref().filter(|_| path.replaced) {
                self.found.idle.extend(spoken(action, false).into_iter().map(|call| (call, Idle::Trap)));
            }
            let trap = path.trap.clone().filter(|_| !path.stuck && !path.replaced);
            match trap {
                Some(action) => {
                    let action = parse(&action)?;
                    let before = path.failed;
                    let start = Path { done: false, errexit: false, trap: None, ..path };
                    ends.extend(
                        self.run(&action, start, true)?.into_iter().map(|path| Path { failed: before, ..path }),
                    );
                }
                None => ends.push(path),
            }
        }
        self.depth -= 1;
        unique(ends)
    }

    fn each(&mut self, cmd: &Cmd, paths: Vec<Path>, cond: bool) -> Paths {
        let mut out = Vec::new();
        for path in paths {
            if path.done || path.stuck {
                out.push(path);
            } else {
                out.extend(self.run(cmd, path, cond)?);
            }
        }
        unique(out)
    }

    fn run(&mut self, cmd: &Cmd, path: Path, cond: bool) -> Paths {
        self.depth += 1;
        if self.depth > 400 {
            return None;
        }
        let out = self.run_below(cmd, path, cond);
        self.depth -= 1;
        out
    }

    fn split(&mut self, cmd: &Cmd, path: Path) -> Option<(Vec<Path>, Vec<Path>, Vec<Path>)> {
        let (over, rest): (Vec<Path>, Vec<Path>) =
            self.run(cmd, path, true)?.into_iter().partition(|path| path.done || path.stuck);
        let (yes, no) = rest.into_iter().partition(|path| path.ok);
        Some((yes, no, over))
    }

    fn run_below(&mut self, cmd: &Cmd, path: Path, cond: bool) -> Paths {
        match cmd {
            Cmd::Simple(words, files) => self.simple(words, files, path, cond),
            Cmd::Seq(all) => all.iter().try_fold(vec![path], |paths, one| self.each(one, paths, cond)),
            Cmd::Pipe(all) => {
                // All are run; the last one's status counts, or any with pipefail: both are possible then anyway.
                let outside = self.piped;
                let out = all.iter().try_fold(vec![path], |paths, one| {
                    let last = all.last() == Some(one);
                    self.piped = outside || !last;
                    self.each(one, paths, cond || !last)
                });
                self.piped = outside;
                out
            }
            Cmd::And(left, right) | Cmd::Or(left, right) => {
                let (yes, no, over) = self.split(left, path)?;
                let and = matches!(cmd, Cmd::And(..));
                let (go, stay) = if and { (yes, no) } else { (no, yes) };
                let mut out = self.each(right, go, cond)?;
                out.extend(stay);
                out.extend(over);
                unique(out)
            }
            Cmd::Not(inner) => Some(
                self.run(inner, path, true)?
                    .into_iter()
                    .map(|path| if path.done { path } else { Path { ok: !path.ok, ..path } })
                    .collect(),
            ),
            // What goes on behind may be over before it has done anything.
            Cmd::Back(inner) => {
                let before = std::mem::replace(&mut self.behind, true);
                let ran = self.run(inner, path.clone(), true);
                self.behind = before;
                ran?;
                Some(vec![Path { ok: true, ..path }])
            }
            Cmd::Sub(inner) => {
                let (trap, errexit) = (path.trap.clone(), path.errexit);
                let inside = Path { trap: None, ..path };
                let out = self.shell(inner, inside)?.into_iter().map(|path| {
                    let over = errexit && !cond && !path.ok;
                    Path { trap: trap.clone(), errexit, done: over, replaced: false, ..path }
                });
                unique(out.collect())
            }
            Cmd::If(asked, then, other) => {
                let (yes, no, over) = self.split(asked, path)?;
                let mut out = self.each(then, yes, cond)?;
                let no = no.into_iter().map(|path| Path { ok: true, ..path }).collect();
                out.extend(self.each(other, no, cond)?);
                out.extend(over);
                unique(out)
            }
            Cmd::Loop { until, cond: asked, body } => {
                let itself = finds_itself(asked, *until);
                self.found.finds_itself |= itself;
                if itself || endless(asked, *until) {
                    return Some(if leaves(body) {
                        let once = self.run(body, path, cond)?;
                        once.into_iter().map(|path| Path { ok: path.ok || !path.done, ..path }).collect()
                    } else {
                        vec![Path { stuck: true, ..path }]
                    });
                }
                self.found.polls |= asks(asked) && !tests_time(body);
                let failed = path.failed;
                let asked_once = self.run(asked, path, true)?;
                let body_once = self.each(body, asked_once.clone(), cond)?;
                let calm = |path: Path| if path.done { path } else { Path { ok: true, failed, ..path } };
                let mut out: Vec<Path> = asked_once.into_iter().map(calm).collect();
                out.extend(body_once.into_iter().map(|path| if path.done { path } else { Path { ok: true, ..path } }));
                unique(out)
            }
            Cmd::For(body) => self.run(body, path, cond),
            Cmd::Case(branches) => {
                let mut out = vec![path.clone()];
                for branch in branches {
                    out.extend(self.run(branch, path.clone(), cond)?);
                }
                unique(out)
            }
            Cmd::Func(name, body) => {
                self.functions.insert(name.clone(), (**body).clone());
                Some(vec![Path { ok: true, ..path }])
            }
        }
    }

    /// `p=$(pgrep x)`: what a later `kill $p` means.
    fn remember(&mut self, words: &[String]) {
        for word in words {
            let Some((name, value)) = word.split_once('=') else { break };
            let value = value.trim_matches('"');
            if value.starts_with("$(") || value.starts_with('`') {
                self.finders.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn known(&self, words: &[String]) -> Vec<String> {
        let known = |word: &String| {
            let name = word.strip_prefix('$')?;
            let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
            self.finders.get(name).cloned()
        };
        words.iter().map(|word| known(word).unwrap_or_else(|| word.clone())).collect()
    }

    fn simple(&mut self, words: &[String], files: &[String], path: Path, cond: bool) -> Paths {
        let fine = |path: Path| Some(vec![Path { ok: true, ..path }]);
        let either = |path: Path| {
            let no = Path { ok: false, done: path.errexit && !cond, ..path.clone() };
            Some(vec![Path { ok: true, ..path }, no])
        };
        self.remember(words);
        let made = if self.finders.is_empty() { calls(words, files) } else { calls(&self.known(words), files) };
        if !made.is_empty() {
            let mut path = path;
            path.calls.extend(made);
            return fine(path);
        }
        let (rest, replaces) = strip(words);
        let Some((program, more)) = rest.split_first() else {
            // A variable is set to what a command says, and that may fail.
            let asks = |word: &String| {
                (word.contains("$(") || word.contains('`'))
                    && !["pgrep", "pidof", "$(("].iter().any(|one| word.contains(one))
            };
            if !words.iter().any(asks) {
                return fine(path);
            }
            let no = Path { ok: false, failed: true, done: path.errexit && !cond, ..path.clone() };
            return Some(vec![Path { ok: true, ..path }, no]);
        };
        if let Some(call) = swallowed(rest) {
            self.found.swallowed.push(call);
        }
        let program = base(program);
        let first = more.first().map_or("", String::as_str);
        if matches!(program, "echo" | "printf") && !self.piped {
            self.found.idle.extend(spoken(&more.join(" "), false).into_iter().map(|call| (call, Idle::Printed)));
        }
        if let Some(body) = self.functions.get(program).cloned() {
            return self.run(&body, path, cond);
        }
        match program {
            "set" => {
                let mut path = path;
                for (at, word) in more.iter().enumerate() {
                    let name = more.get(at + 1).map_or("", String::as_str);
                    let short = |sign: char| word.strip_prefix(sign).is_some_and(|letters| letters.contains('e'));
                    if short('-') || (word.starts_with('-') && word.ends_with('o') && name == "errexit") {
                        path.errexit = true;
                    } else if short('+') || (word == "+o" && name == "errexit") {
                        path.errexit = false;
                    }
                }
                fine(path)
            }
            "trap" => {
                let on_exit = more.iter().skip(1).any(|word| matches!(word.as_str(), "EXIT" | "0"));
                let trap = if !on_exit {
                    self.found.on_signals.extend(spoken(first, false));
                    path.trap.clone()
                } else if first == "-" || first.is_empty() {
                    None
                } else {
                    Some(first.to_owned())
                };
                fine(Path { trap, ..path })
            }
            "exit" | "return" => {
                let ok = if first.is_empty() { path.ok } else { first == "0" };
                Some(vec![Path { done: program == "exit", ok, ..path }])
            }
            "exeunt" if exeunt_command(more) => {
                self.found.exeunt.get_or_insert_with(|| rest.to_vec());
                let (ok, no) =
                    (Path { wrapped: true, ..path.clone() }, Path { failed: true, wrapped: true, ..path.clone() });
                let over = replaces || (path.errexit && !cond);
                let ok = Path { ok: true, done: replaces, replaced: replaces, ..ok };
                Some(vec![ok, Path { ok: false, done: over, replaced: replaces, ..no }])
            }
            "wait" => {
                self.found.joins = true;
                // All that goes on behind is waited for, and a server among it does not go unless it is told to.
                let serves = |words: &Vec<String>| server(words).is_some() || serves_for_ever(words);
                if first.is_empty() && !path.killed && self.found.behind.iter().any(serves) {
                    return Some(vec![Path { stuck: true, ..path }]);
                }
                let no = Path { ok: false, failed: true, done: path.errexit && !cond, ..path.clone() };
                Some(vec![Path { ok: true, ..path }, no])
            }
            "eval" => self.run(&parse(&more.join(" "))?, path, cond),
            "kill" | "pkill" | "killall" => fine(Path { killed: true, ..path }),
            "pgrep" | "pidof" => either(path),
            "false" => Some(vec![Path { ok: false, done: path.errexit && !cond, ..path }]),
            "test" | "[" | "[[" => either(path),
            "sleep" if matches!(first, "infinity" | "inf") => Some(vec![Path { stuck: true, ..path }]),
            "tail" if more.iter().any(|word| matches!(word.as_str(), "-f" | "-F") || word.starts_with("--follow")) => {
                Some(vec![Path { stuck: true, ..path }])
            }
            ":" | "true" | "echo" | "printf" | "cd" | "export" | "local" | "readonly" | "umask" | "shift" | "unset"
            | "sleep" | "date" | "mkdir" | "chmod" | "break" | "continue" | "declare" | "ulimit" | "rm" | "touch"
            | "ls" | "let" | "alias" | "type" | "pwd" | "whoami" | "id" | "env" => fine(path),
            _ => {
                let outcomes = match script(rest) {
                    // A shell of its own: its trap and options are not ours.
                    Some(inner) => {
                        let inner = parse(inner)?;
                        let start = Path { trap: None, errexit: leaves_early(rest), ..path.clone() };
                        self.shell(&inner, start)?
                    }
                    None => {
                        if super::is_limited(words) {
                            self.found.limited = true;
                        } else if self.behind {
                            self.found.behind.insert(rest.to_vec());
                        } else {
                            self.found.programs.insert(rest.to_vec());
                        }
                        let no = Path { ok: false, failed: true, ..path.clone() };
                        vec![Path { ok: true, ..path.clone() }, no]
                    }
                };
                let out = outcomes.into_iter().map(|end| {
                    let over = replaces || (path.errexit && !cond && !end.ok);
                    let (trap, errexit) = (path.trap.clone(), path.errexit);
                    Path { trap, errexit, done: over, replaced: replaces, ..end }
                });
                unique(out.collect())
            }
        }
    }
}

/// Does exeunt run a command here, and is it no subcommand?
fn exeunt_command(words: &[String]) -> bool {
    words.first().is_none_or(|word| exeunt::cli::subcommand(word).is_none())
}

fn endless(asked: &Cmd, until: bool) -> bool {
    let always = |cmd: &Cmd, words: &[&str]| match cmd {
        Cmd::Simple(said, _) => said.first().is_some_and(|first| words.contains(&first.as_str())),
        _ => false,
    };
    match asked {
        Cmd::Seq(all) => match all.as_slice() {
            [one] => always(one, if until { &["false"] } else { &[":", "true"] }),
            _ => false,
        },
        _ => false,
    }
}

/// `while pgrep -f name`: the words of this very shell hold the name.
fn finds_itself(asked: &Cmd, until: bool) -> bool {
    let looks = |words: &[String]| {
        says(words, &["pgrep"])
            && words.iter().any(|word| {
                word == "--full" || (word.starts_with('-') && !word.starts_with("--") && word.contains('f'))
            })
    };
    match asked {
        Cmd::Seq(all) => matches!(all.as_slice(), [one] if finds_itself(one, until)),
        Cmd::Simple(words, _) => !until && looks(words),
        Cmd::Not(inner) => finds_itself(inner, !until),
        _ => false,
    }
}

fn any(cmd: &Cmd, wanted: &dyn Fn(&[String]) -> bool) -> bool {
    match cmd {
        Cmd::Simple(words, _) => wanted(words),
        Cmd::Seq(all) | Cmd::Pipe(all) | Cmd::Case(all) => all.iter().any(|one| any(one, wanted)),
        Cmd::And(left, right) | Cmd::Or(left, right) => any(left, wanted) || any(right, wanted),
        Cmd::Not(one) | Cmd::Back(one) | Cmd::Sub(one) | Cmd::For(one) | Cmd::Func(_, one) => any(one, wanted),
        Cmd::If(a, b, c) => any(a, wanted) || any(b, wanted) || any(c, wanted),
        Cmd::Loop { cond, body, .. } => any(cond, wanted) || any(body, wanted),
    }
}

fn says(words: &[String], wanted: &[&str]) -> bool {
    words.first().is_some_and(|first| wanted.contains(&base(first)))
}

fn leaves(body: &Cmd) -> bool {
    any(body, &|words| says(words, &["break", "exit", "return"]))
}

/// Does it ask somebody else whether he is there yet? What reads its input comes to an end.
fn asks(cmd: &Cmd) -> bool {
    const PROGRAMS: &[&str] = &[
        "curl",
        "wget",
        "nc",
        "ncat",
        "nslookup",
        "dig",
        "host",
        "getent",
        "ping",
        "pg_isready",
        "mysqladmin",
        "redis-cli",
        "mongosh",
        "kubectl",
        "test",
        "[",
        "[[",
    ];
    any(cmd, &|words| {
        let counts =
            words.iter().any(|word| matches!(word.as_str(), "-lt" | "-le" | "-gt" | "-ge" | "-ne" | "<" | ">"));
        says(words, PROGRAMS) && !counts
    })
}

/// A loop that counts or gives up is bounded.
fn tests_time(body: &Cmd) -> bool {
    leaves(body) || any(body, &|words| words.iter().any(|word| word.contains("$((") || word.contains("SECONDS")))
}

/// The files that a test looks for.
fn tested(cmd: &Cmd, files: &mut BTreeSet<String>) {
    let mut stack = vec![cmd];
    while let Some(cmd) = stack.pop() {
        match cmd {
            Cmd::Simple(words, _) if says(words, &["test", "[", "[["]) => {
                for pair in words.windows(2) {
                    if let [flag, file] = pair
                        && matches!(flag.as_str(), "-f" | "-e" | "-s" | "-a" | "-r")
                    {
                        files.insert(file.clone());
                    }
                }
            }
            Cmd::Seq(all) | Cmd::Pipe(all) => stack.extend(all),
            Cmd::And(left, right) | Cmd::Or(left, right) => stack.extend([&**left, &**right]),
            Cmd::Not(one) | Cmd::Sub(one) => stack.push(one),
            _ => {}
        }
    }
}

/// The files that a loop waits for, where what follows ends this container: the end of the script, or a kill.
fn waits(cmd: &Cmd, files: &mut BTreeSet<String>) {
    let ends = |cmd: &Cmd| any(cmd, &|words| says(words, &["kill", "pkill", "killall", "exit", "break"]));
    match cmd {
        Cmd::Loop { until, cond, body } => {
            if !endless(cond, *until) {
                tested(cond, files);
            }
            let mut stack = vec![&**body];
            while let Some(cmd) = stack.pop() {
                match cmd {
                    Cmd::If(asked, then, other) => {
                        if ends(then) {
                            tested(asked, files);
                        }
                        stack.push(other);
                    }
                    Cmd::And(asked, then) if ends(then) => tested(asked, files),
                    Cmd::Seq(all) => stack.extend(all),
                    _ => {}
                }
            }
        }
        // Behind, it ends nobody unless it says so.
        Cmd::Back(inner) if ends(inner) => waits(inner, files),
        Cmd::Seq(all) => all.iter().for_each(|one| waits(one, files)),
        Cmd::And(left, right) | Cmd::Or(left, right) => {
            waits(left, files);
            waits(right, files);
        }
        Cmd::Sub(inner) => waits(inner, files),
        _ => {}
    }
}
