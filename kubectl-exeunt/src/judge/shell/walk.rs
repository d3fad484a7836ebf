//! Every way through a script.

use super::{
    Call, Cmd, base, calls, comments, is_limited, leaves_early, parse, script, serves_for_ever, spoken, strip,
    swallowed,
};
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
    /// What is done to others behind the script, which may be over before: until it waits.
    pending: BTreeSet<Call>,
    /// Whether what came last has succeeded: the exit code of its container, where it ends.
    pub ok: bool,
    done: bool,
    /// The function that it is in is over.
    returned: bool,
    replaced: bool,
    errexit: bool,
    trap: Option<String>,
    /// What it has put behind itself last.
    last: Last,
    /// It has put more than one thing behind itself.
    several: bool,
}

/// What was put behind last, `$!`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Last {
    #[default]
    None,
    /// It comes to an end, as far as is seen.
    Ends,
    /// It goes on until somebody asks it to end.
    Serves,
    /// It goes on for ever, by what is written.
    Stuck,
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
    /// No way through the script comes to it.
    Unreached,
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
    /// A loop of which nothing is seen that bounds it.
    pub loops: bool,
    /// The programs that go on behind the script, with their words.
    pub behind: BTreeSet<Vec<String>>,
    /// It waits for what goes on behind.
    pub joins: bool,
    /// A command of it is ended by `timeout`.
    pub limited: bool,
    /// The words of an exeunt that it starts.
    pub exeunt: Option<Vec<String>>,
}

impl Path {
    /// Nothing more is run on it, where it is.
    fn over(&self) -> bool {
        self.done || self.stuck || self.returned
    }
}

const MANY: usize = 512;

/// A script on whose ways more commands stand is not understood.
const STEPS: usize = 50_000;

/// A text that is longer than this is no URL and no name.
const LONG: usize = 4096;

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// What is done on every way that comes to an end.
fn on_all(paths: &[Path]) -> BTreeSet<Call> {
    let mut ends =
        paths.iter().filter(|path| !path.stuck).map(|path| path.calls.union(&path.pending).cloned().collect());
    let first: BTreeSet<Call> = ends.next().unwrap_or_default();
    ends.fold(first, |all, one: BTreeSet<Call>| all.intersection(&one).cloned().collect())
}

/// The scripts in `$(…)` and `` `…` `` of a word.
fn substituted(word: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = word;
    while let Some(at) = rest.find("$(") {
        let after = rest.get(at + 2..).unwrap_or("");
        let mut depth = 1_usize;
        let end = after.char_indices().find_map(|(at, letter)| {
            depth = match letter {
                '(' => depth + 1,
                ')' => depth - 1,
                _ => depth,
            };
            (depth == 0).then_some(at)
        });
        let Some((inner, more)) = end.map(|end| after.split_at(end)) else { break };
        if !inner.starts_with('(') {
            found.push(inner);
        }
        rest = more;
    }
    if let Some((_, after)) = word.split_once('`')
        && let Some((inner, _)) = after.split_once('`')
    {
        found.push(inner);
    }
    found
}

/// Goes through a script. None where it is not understood.
pub fn walk(text: &str) -> Option<Walk> {
    walk_as(text, false)
}

/// The same; `early`: the shell leaves at the first failure.
pub fn walk_as(text: &str, early: bool) -> Option<Walk> {
    walk_in(text, early, &[])
}

/// The same; `variables`: those that the shell finds when it starts.
pub fn walk_in(text: &str, early: bool, variables: &[(String, String)]) -> Option<Walk> {
    let script = parse(text)?;
    let mut walker = Walker { values: variables.iter().cloned().collect(), ..Walker::default() };
    let ends = walker.shell(&script, Path { ok: true, errexit: early, ..Path::default() })?;
    walker
        .found
        .idle
        .extend(comments(text).iter().flat_map(|text| spoken(text, true)).map(|call| (call, Idle::Comment)));
    // What is behind the script when it is over may have been done, or not.
    let ends: BTreeSet<Path> = ends
        .into_iter()
        .flat_map(|mut path| {
            let pending = std::mem::take(&mut path.pending);
            let with = Path { calls: path.calls.union(&pending).cloned().collect(), ..path.clone() };
            [path, with]
        })
        .collect();
    let made: BTreeSet<&Call> = ends.iter().flat_map(|path| &path.calls).collect();
    walker.found.idle.retain(|(call, _)| !made.contains(call));
    walker.found.on_signals.retain(|call| !made.contains(call));
    walker.found.idle.extend(walker.unreached(&script, &made).into_iter().map(|call| (call, Idle::Unreached)));
    walker.found.paths = ends.into_iter().collect();
    waits(&script, &mut walker.found.waits);
    Some(walker.found)
}

#[derive(Default)]
struct Walker {
    found: Walk,
    functions: BTreeMap<String, Cmd>,
    /// What variables are set to, as far as it is written: a text, or the numbers of processes, `$(pgrep x)`.
    values: BTreeMap<String, String>,
    /// What goes on behind for ever.
    lasting: bool,
    /// The functions that are running.
    running: Vec<String>,
    /// Those of them that call themselves.
    recursive: BTreeSet<String>,
    /// How many commands were gone through, on all ways.
    steps: usize,
    /// The commands with calls that some way has come to.
    reached: BTreeSet<Vec<String>>,
    depth: usize,
    behind: bool,
    /// What is printed is read by another command.
    piped: bool,
}

type Paths = Option<Vec<Path>>;

/// The values of variables on the ways that part at a command and meet behind it.
struct Ways {
    before: BTreeMap<String, String>,
    ends: Vec<BTreeMap<String, String>>,
}

impl Ways {
    fn of(walker: &Walker) -> Ways {
        Ways { before: walker.values.clone(), ends: Vec::new() }
    }

    /// One way is gone, and came out on these paths; the next one begins where all began.
    fn end(&mut self, walker: &mut Walker, paths: &[Path]) {
        let values = std::mem::replace(&mut walker.values, self.before.clone());
        if paths.iter().any(|path| !path.over()) {
            self.ends.push(values);
        }
    }

    /// What the ways set differently is not known.
    fn join(self, walker: &mut Walker) {
        let mut ends = self.ends.into_iter();
        let Some(mut values) = ends.next() else { return };
        for end in ends {
            values.retain(|name, value| end.get(name) == Some(value));
        }
        walker.values = values;
    }
}

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
                    let (before, passed) = (path.failed, path.ok);
                    let start = Path { done: false, returned: false, errexit: false, trap: None, ..path };
                    // A trap that does not exit itself leaves the exit code as it was.
                    let end =
                        |path: Path| Path { failed: before, ok: if path.done { path.ok } else { passed }, ..path };
                    ends.extend(self.run(&action, start, true)?.into_iter().map(end));
                }
                None => ends.push(path),
            }
        }
        self.depth -= 1;
        // What a `return` leaves is inside.
        unique(ends.into_iter().map(|path| Path { returned: false, ..path }).collect())
    }

    fn each(&mut self, cmd: &Cmd, paths: Vec<Path>, cond: bool) -> Paths {
        let mut out = Vec::new();
        for path in paths {
            if path.over() {
                out.push(path);
            } else {
                out.extend(self.run(cmd, path, cond)?);
            }
        }
        unique(out)
    }

    fn run(&mut self, cmd: &Cmd, path: Path, cond: bool) -> Paths {
        self.depth += 1;
        self.steps += 1;
        if self.depth > 400 || self.steps > STEPS {
            return None;
        }
        let out = self.run_below(cmd, path, cond);
        self.depth -= 1;
        out
    }

    fn split(&mut self, cmd: &Cmd, path: Path) -> Option<(Vec<Path>, Vec<Path>, Vec<Path>)> {
        let (over, rest): (Vec<Path>, Vec<Path>) = self.run(cmd, path, true)?.into_iter().partition(Path::over);
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
                let mut ways = Ways::of(self);
                let mut out = self.each(right, go, cond)?;
                ways.end(self, &out);
                ways.end(self, &stay);
                ways.join(self);
                out.extend(stay);
                out.extend(over);
                unique(out)
            }
            Cmd::Not(inner) => Some(
                self.run(inner, path, true)?
                    .into_iter()
                    .map(|path| if path.over() { path } else { Path { ok: !path.ok, ..path } })
                    .collect(),
            ),
            // What goes on behind may be over before it has done anything.
            Cmd::Back(inner) => {
                let before = std::mem::replace(&mut self.behind, true);
                let own = Path { ok: true, errexit: path.errexit, ..Path::default() };
                let ran = self.shell(inner, own);
                self.behind = before;
                let ran = ran?;
                let stuck = ran.iter().all(|path| path.stuck);
                self.lasting |= stuck;
                let last = match &**inner {
                    _ if stuck => Last::Stuck,
                    Cmd::Simple(words, _) if stays(words) => Last::Serves,
                    _ => Last::Ends,
                };
                let several = path.last != Last::None;
                // What goes on behind may send a signal to what is put behind after it.
                let killed = path.killed || ran.iter().any(|path| path.killed);
                let mut path = Path { ok: true, last, several, killed, ..path };
                path.pending.extend(on_all(&ran));
                Some(vec![path])
            }
            Cmd::Sub(inner) => {
                let (trap, errexit, last, several) = (path.trap.clone(), path.errexit, path.last, path.several);
                let inside = Path { trap: None, ..path };
                let out = self.shell(inner, inside)?.into_iter().map(|path| {
                    let over = errexit && !cond && !path.ok;
                    Path { trap: trap.clone(), errexit, done: over, replaced: false, last, several, ..path }
                });
                unique(out.collect())
            }
            Cmd::If(asked, then, other) => {
                let (yes, no, over) = self.split(asked, path)?;
                let mut ways = Ways::of(self);
                let mut out = self.each(then, yes, cond)?;
                ways.end(self, &out);
                let no = no.into_iter().map(|path| Path { ok: true, ..path }).collect();
                let no = self.each(other, no, cond)?;
                ways.end(self, &no);
                ways.join(self);
                out.extend(no);
                out.extend(over);
                unique(out)
            }
            Cmd::Loop { until, cond: asked, body } => {
                let itself = finds_itself(asked, *until);
                self.found.finds_itself |= itself;
                if itself || endless(asked, *until) {
                    return Some(if leaves_below(body, false, path.errexit && !cond) {
                        let once = self.run(body, path, cond)?;
                        once.into_iter().map(|path| Path { ok: path.ok || !path.done, ..path }).collect()
                    } else {
                        vec![Path { stuck: true, ..path }]
                    });
                }
                self.found.polls |= asks(asked) && !tests_time(body);
                let failed = path.failed;
                let asked_once = self.run(asked, path, true)?;
                // A condition that does not hold is no failure of the job.
                let into = |path: &Path| if path.over() { path.clone() } else { Path { failed, ..path.clone() } };
                let enters = asked_once.iter().filter(|path| path.over() || path.ok != *until).map(into).collect();
                let body_once = self.each(body, enters, cond)?;
                self.found.loops |= !tests_time(body) && !reads(asked) && (*until || !finds(asked));
                let calm = |path: Path| if path.over() { path } else { Path { ok: true, failed, ..path } };
                let mut out: Vec<Path> = asked_once.into_iter().map(calm).collect();
                out.extend(
                    body_once.into_iter().map(|path| if path.over() { path } else { Path { ok: true, ..path } }),
                );
                unique(out)
            }
            Cmd::For(body) => self.run(body, path, cond),
            Cmd::Case(branches, total) => {
                let mut out = if *total { Vec::new() } else { vec![path.clone()] };
                let mut ways = Ways::of(self);
                ways.end(self, &out);
                for branch in branches {
                    let ran = self.run(branch, path.clone(), cond)?;
                    ways.end(self, &ran);
                    out.extend(ran);
                }
                ways.join(self);
                unique(out)
            }
            Cmd::Func(name, body) => {
                self.functions.insert(name.clone(), (**body).clone());
                Some(vec![Path { ok: true, ..path }])
            }
        }
    }

    /// `p=$(pgrep x)`: what a later `kill $p` means; `url=http://…`: what a later `curl $url` asks.
    fn remember(&mut self, words: &[String]) {
        let sets = matches!(words.first().map(String::as_str), Some("export" | "local" | "readonly" | "declare"));
        for word in words.iter().skip(usize::from(sets)) {
            let Some((name, value)) = word.split_once('=').filter(|(name, _)| is_name(name)) else {
                if sets {
                    continue;
                }
                break;
            };
            self.values.insert(name.to_owned(), self.expand(value.trim_matches('"')));
        }
    }

    fn known(&self, words: &[String]) -> Vec<String> {
        words.iter().map(|word| self.expand(word)).collect()
    }

    /// A word with the variables in it that are known; one that is not stays as it is written.
    fn expand(&self, word: &str) -> String {
        let (mut out, mut rest) = (String::new(), word);
        while let Some((before, after)) = rest.split_once('$').filter(|_| out.len() < LONG) {
            out.push_str(before);
            let braces = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let plain =
                after.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(after.len());
            let (name, other, more) = match braces {
                Some((inner, more)) => match inner.split_once(":-").or_else(|| inner.split_once('-')) {
                    Some((name, other)) => (name, Some(other), more),
                    None => (inner, None, more),
                },
                None => {
                    let (name, more) = after.split_at(plain);
                    (name, None, more)
                }
            };
            let value = self.values.get(name).map(String::as_str).filter(|value| !value.is_empty() || other.is_none());
            match value.or(other.filter(|_| is_name(name))) {
                Some(value) => out.push_str(value),
                None => out.push_str(rest.get(before.len()..rest.len() - more.len()).unwrap_or("")),
            }
            rest = more;
        }
        out.push_str(rest);
        out
    }

    /// The calls in `$(…)` and `` `…` ``, which are made where the word stands.
    fn inside(&mut self, words: &[String], path: &Path) -> Option<BTreeSet<Call>> {
        let mut made = BTreeSet::new();
        for text in words.iter().flat_map(|word| substituted(word)) {
            let own = Path { ok: true, ..Path::default() };
            let Some(inner) = parse(text) else { continue };
            let (programs, behind) = (self.found.programs.clone(), self.found.behind.clone());
            let limited = self.found.limited;
            let ran = self.shell(&inner, own)?;
            // What is only asked for its words is no job.
            (self.found.programs, self.found.behind) = (programs, behind);
            self.found.limited = limited;
            made.extend(on_all(&ran));
        }
        made.retain(|call| !path.calls.contains(call));
        Some(made)
    }

    /// The calls of this script that no way through it makes.
    fn unreached(&self, cmd: &Cmd, made: &BTreeSet<&Call>) -> BTreeSet<Call> {
        // A trap for signals may come to it at any time.
        if any(cmd, &|words| says(words, &["trap"])) {
            return BTreeSet::new();
        }
        let found = std::cell::RefCell::new(BTreeSet::new());
        any(cmd, &|words| {
            if !self.reached.contains(words) {
                found.borrow_mut().extend(calls(&self.known(words), &[]));
            }
            false
        });
        let mut found = found.into_inner();
        found.retain(|call| !made.contains(call) && !matches!(call, Call::Touch(_)));
        found
    }

    fn simple(&mut self, words: &[String], files: &[String], path: Path, cond: bool) -> Paths {
        let fine = |path: Path| Some(vec![Path { ok: true, ..path }]);
        let either = |path: Path| {
            let no = Path { ok: false, done: path.errexit && !cond, ..path.clone() };
            Some(vec![Path { ok: true, ..path }, no])
        };
        let mut path = path;
        // What is quoted for another shell, or for later, is read there and then.
        let later = says(words, &["trap"]) || script(words).is_some();
        if !later && words.iter().any(|word| word.contains("$(") || word.contains('`')) {
            path.calls.extend(self.inside(words, &path)?);
        }
        self.remember(words);
        let made = calls(&self.known(words), files);
        if !made.is_empty() {
            self.reached.insert(words.to_vec());
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
        // What stands behind `command`, `exec` or `timeout` is no function.
        let plain = words.iter().take(words.len() - rest.len()).all(|word| word.contains('=') || word == "time");
        if let Some(body) = self.functions.get(program).filter(|_| plain).cloned() {
            // No way comes back from where it calls itself, as far as this goes.
            if self.running.iter().any(|name| name == program) {
                self.recursive.insert(program.to_owned());
                return Some(Vec::new());
            }
            let before_all = path.clone();
            self.running.push(program.to_owned());
            let errexit = path.errexit;
            let before: Vec<_> = (0..).zip(more).map(|(at, word)| (format!("{}", at + 1), self.expand(word))).collect();
            let before: Vec<_> =
                before.into_iter().map(|(at, word)| (at.clone(), self.values.insert(at, word))).collect();
            let out = self.run(&body, path, cond)?;
            self.running.pop();
            if self.recursive.remove(program) {
                // On all ways it calls itself; or how often is not known.
                return out.is_empty().then(|| vec![Path { stuck: true, ..before_all }]);
            }
            for (at, word) in before {
                match word {
                    Some(word) => self.values.insert(at, word),
                    None => self.values.remove(&at),
                };
            }
            let out = out.into_iter().map(|path| {
                let done = path.done || (errexit && !cond && !path.ok && !path.stuck);
                Path { returned: false, done, ..path }
            });
            return unique(out.collect());
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
                let more = more.strip_prefix(&["--".to_owned()]).unwrap_or(more);
                let first = more.first().map_or("", String::as_str);
                let ends = |word: &String| word == "0" || word.eq_ignore_ascii_case("EXIT") || word == "SIGEXIT";
                let on_exit = more.iter().skip(1).any(ends);
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
                let done = path.done || program == "exit";
                Some(vec![Path { done, returned: !done, ok, ..path }])
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
                // Of one among several nobody knows here which it waits for.
                let one = matches!(first, "$!" | "${!}") || (first.starts_with('$') && !path.several);
                let signals = path.calls.union(&path.pending).any(|call| matches!(call, Call::Signal { .. }));
                let stays = match path.last {
                    _ if first.is_empty() => self.lasting || self.found.behind.iter().any(serves),
                    // It may be what the calls on this way ask to end.
                    Last::Serves => one && path.calls.is_empty() && path.pending.is_empty(),
                    Last::Stuck => one && !signals,
                    Last::None | Last::Ends => false,
                };
                if stays && !path.killed {
                    return Some(vec![Path { stuck: true, ..path }]);
                }
                if first.is_empty() || self.found.behind.is_empty() {
                    let pending = std::mem::take(&mut path.pending);
                    path.calls.extend(pending);
                }
                let no = Path { ok: false, failed: true, done: path.errexit && !cond, ..path.clone() };
                Some(vec![Path { ok: true, ..path }, no])
            }
            "eval" => self.run(&parse(&more.join(" "))?, path, cond),
            "kill" | "pkill" | "killall" => fine(Path { killed: true, ..path }),
            "pgrep" | "pidof" => either(path),
            "false" => Some(vec![Path { ok: false, done: path.errexit && !cond, ..path }]),
            "test" | "[" | "[[" => either(path),
            "sleep" | "tail" if serves_for_ever(rest) && !is_limited(words) => Some(vec![Path { stuck: true, ..path }]),
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
                        if is_limited(words) {
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
                    let (trap, errexit, last, several) = (path.trap.clone(), path.errexit, path.last, path.several);
                    Path { trap, errexit, done: over, replaced: replaces, last, several, ..end }
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
    let says = |said: &[String], words: &[&str]| said.first().is_some_and(|first| words.contains(&first.as_str()));
    match asked {
        Cmd::Seq(all) => all.last().is_some_and(|last| endless(last, until)),
        Cmd::Simple(said, _) if until => says(said, &["false"]),
        Cmd::Simple(said, _) => {
            let constant = |word: &String| !word.is_empty() && word.chars().all(char::is_alphanumeric);
            let always = matches!(said.as_slice(), [test, word, _] if says(std::slice::from_ref(test), &["[", "[["]) && constant(word));
            always || says(said, &[":", "true", "sleep", "echo", "date"])
        }
        // `((1))`
        Cmd::Sub(inner) if !until => {
            let mut inner = inner;
            while let Cmd::Seq(all) = &**inner {
                let [Cmd::Sub(below)] = all.as_slice() else { break };
                inner = below;
            }
            matches!(&**inner, Cmd::Seq(all) if matches!(all.as_slice(), [Cmd::Simple(said, _)] if said.as_slice() == ["1"]))
                || endless(inner, until)
        }
        Cmd::Sub(inner) => endless(inner, until),
        Cmd::Not(inner) => endless(inner, !until),
        _ => false,
    }
}

/// Does it ask whether a process is there? That one comes to its end.
fn finds(cmd: &Cmd) -> bool {
    any(cmd, &|words| says(words, &["pgrep", "pidof", "kill", "ps", "jobs"]))
}

/// Does it go by what it reads? That comes to an end.
fn reads(cmd: &Cmd) -> bool {
    any(cmd, &|words| says(words, &["read", "mapfile", "shift", "getopts"]))
}

/// `while pgrep -f name`: the words of this very shell hold the name.
fn finds_itself(asked: &Cmd, until: bool) -> bool {
    let looks = |words: &[String]| {
        let told = |letter: char, name: &str| {
            let short = |word: &String| word.starts_with('-') && !word.starts_with("--") && word.contains(letter);
            words.iter().any(|word| word == name || short(word))
        };
        // The words of a shell begin with its own name, and `[j]ob` is not what it stands for.
        let own = |word: &&String| !word.starts_with('^') && !word.contains('[');
        let pattern = words.iter().skip(1).rfind(|word| !word.starts_with('-'));
        says(words, &["pgrep"]) && told('f', "--full") && !told('x', "--exact") && pattern.is_none_or(|it| own(&it))
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
        Cmd::Seq(all) | Cmd::Pipe(all) | Cmd::Case(all, _) => all.iter().any(|one| any(one, wanted)),
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
    leaves_below(body, false, false)
}

/// `within`: it stands in a loop of its own, and a `break` without a number leaves only that. `early`: a failure leaves the
/// shell.
fn leaves_below(cmd: &Cmd, within: bool, early: bool) -> bool {
    let below = |cmd: &Cmd| leaves_below(cmd, within, early);
    let asked = |cmd: &Cmd| leaves_below(cmd, within, false);
    match cmd {
        Cmd::Simple(words, _) => {
            let (rest, _) = strip(words);
            let outer = |number: &String| number.parse::<usize>().map_or(true, |number| number > 1);
            says(rest, &["exit", "return"]) || (says(rest, &["break"]) && (!within || rest.get(1).is_some_and(outer)))
        }
        Cmd::Seq(all) | Cmd::Pipe(all) | Cmd::Case(all, _) => all.iter().any(below),
        Cmd::And(left, right) | Cmd::Or(left, right) => asked(left) || below(right),
        Cmd::Not(one) => asked(one),
        // A shell of its own leaves itself; its failure leaves the outer one by errexit.
        Cmd::Sub(one) => {
            early && any(one, &|words| says(words, &["exit"]) && words.get(1).is_none_or(|code| code != "0"))
        }
        Cmd::Back(_) | Cmd::Func(..) => false,
        Cmd::If(a, b, c) => asked(a) || below(b) || below(c),
        Cmd::For(one) => leaves_below(one, true, early),
        Cmd::Loop { cond, body, .. } => leaves_below(cond, true, false) || leaves_below(body, true, early),
    }
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

/// Is it a server that stays in front until it is asked to end?
fn stays(words: &[String]) -> bool {
    let rest = strip(words).0;
    // A server that is only asked for something, or that goes behind by itself.
    let brief = rest.iter().any(|word| matches!(word.as_str(), "--version" | "-v" | "-V" | "--help" | "-t" | "-D"));
    let once = |words: &[&str]| rest.iter().any(|word| words.contains(&word.as_str()));
    let behind = |name: &str| name == "nginx" && !rest.iter().any(|word| word.contains("daemon off"));
    !is_limited(words)
        && (serves_for_ever(words)
            || server(rest).is_some_and(|known| !brief && !once(known.once.words) && !behind(known.name)))
}

/// Does it become a server, in front?
fn serves(cmd: &Cmd) -> bool {
    match cmd {
        Cmd::Back(_) | Cmd::Func(..) => false,
        Cmd::Loop { until, cond, body } => endless(cond, *until) && !leaves(body),
        Cmd::Simple(words, _) => serves_for_ever(words) || server(strip(words).0).is_some(),
        Cmd::Seq(all) | Cmd::Pipe(all) => all.iter().any(serves),
        Cmd::Sub(one) => serves(one),
        Cmd::And(left, right) => serves(left) || serves(right),
        _ => false,
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
        Cmd::Seq(all) => {
            let mut last = BTreeSet::new();
            for (at, one) in all.iter().enumerate() {
                // What serves after the loop is not ended by its end.
                let more = all.get(at + 1..).unwrap_or(&[]);
                if !more.iter().any(ends) && more.iter().any(serves) {
                    continue;
                }
                let mut own = BTreeSet::new();
                waits(one, &mut own);
                // Of two loops in a row the second one decides.
                if matches!(one, Cmd::Back(_)) {
                    files.append(&mut own);
                } else if !own.is_empty() {
                    last = own;
                }
            }
            files.append(&mut last);
        }
        Cmd::And(left, right) | Cmd::Or(left, right) => {
            waits(left, files);
            waits(right, files);
        }
        Cmd::Sub(inner) => waits(inner, files),
        _ => {}
    }
}
