//! The validated settings: what a run is to do, with nothing left in it that still needs parsing.

use crate::cli;
use crate::condition::Condition;
use crate::http::Url;
use crate::machine::{Codes, ExitWith, Policy, Readiness, Restart, RestartPolicy, Role};
use crate::report::{Format, Level};
use crate::sys::{environment, signals};
use anyhow::{Result, anyhow, bail, ensure};
use clap::ArgMatches;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that one run needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the machine needs.
    pub policy: Policy,
    /// The shared directory, absolute.
    pub dir: PathBuf,
    /// Our own name there.
    pub name: Option<String>,
    /// The run that records must belong to.
    pub run_id: Option<String>,
    /// Whom a sidecar waits for.
    pub until: Vec<String>,
    /// Whether one of them is enough.
    pub until_any: bool,
    /// From the stop signal to SIGKILL.
    pub grace: Duration,
    /// Whether the command gets a process group of its own, which is signalled and awaited as a whole.
    pub group: bool,
    /// How the directory is watched.
    pub watch: How,
    /// What must hold before the command is started.
    pub wait_for: Vec<Condition>,
    /// How long that may take.
    pub wait_timeout: Duration,
    /// What must hold before `NAME-ready` is published.
    pub ready_when: Option<Condition>,
    /// Where a POST goes after the final end.
    pub on_exit: Vec<Url>,
    /// The sidecar that the job cannot do without.
    pub stop_with: Option<String>,
    /// How long SIGTERM is held back.
    pub outlive_main: Duration,
    /// From the job's end to the stop signal.
    pub linger: Duration,
    /// How long the job, or its next attempt, may be away before a sidecar gives up. `None`: for ever.
    pub absence: Option<Duration>,
    /// Where we were started, for what runs on our behalf.
    pub working_directory: PathBuf,
    /// Whether the run has failed before it began: only that is to be published.
    pub failed: bool,
    /// The command and its arguments, at least one word.
    pub command: Vec<OsString>,
}

/// How the directory is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By inotify, and once in five seconds in case it loses something.
    Inotify,
    /// Once a second.
    Poll,
}

/// The longest name: with the longest suffix and the temporary one it stays below NAME_MAX (255).
const LONGEST_NAME: usize = 128;
const LONGEST_RUN_ID: usize = 256;
/// A year. Longer than any Pod lives, and short enough for every clock.
const LONGEST_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// Where a setting came from, for messages.
struct Given {
    from: String,
    value: OsString,
}

impl Given {
    fn text(&self) -> Result<&str> {
        self.value.to_str().ok_or_else(|| anyhow!("{}: {:?} is not UTF-8 text", self.from, self.value))
    }

    /// One of a few words.
    fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T> {
        let text = self.text()?;
        let is_it = |word: &str| word == text || (self.spelt_as_in_kubernetes() && camel(word) == text);
        choices.iter().find(|(word, _)| is_it(word)).map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            anyhow!("{}: {text:?} is not known; use {}", self.from, words.join(", "))
        })
    }

    /// Kubernetes has words of its own for the same choices: `OnFailure`, `Never`.
    fn spelt_as_in_kubernetes(&self) -> bool {
        ["--restart-policy", "EXEUNT_RESTART_POLICY", "--restart", "EXEUNT_RESTART"].contains(&self.from.as_str())
    }

    fn duration(&self) -> Result<Duration> {
        let text = self.text()?;
        duration(text).map_err(|error| anyhow!("{}: {error}", self.from))
    }

    fn codes(&self) -> Result<Codes> {
        Codes::parse(self.text()?).map_err(|error| anyhow!("{}: {error}", self.from))
    }

    fn condition(&self) -> Result<Condition> {
        Condition::parse(self.text()?).map_err(|error| anyhow!("{}: {error}", self.from))
    }

    fn name(&self) -> Result<String> {
        let text = self.text()?;
        name(text).map_err(|error| anyhow!("{}: {error}", self.from))?;
        Ok(text.to_owned())
    }
}

/// `on-failure` as `OnFailure`.
fn camel(word: &str) -> String {
    let parts = word.split('-').filter_map(|part| part.split_at_checked(1));
    parts.map(|(first, rest)| first.to_ascii_uppercase() + rest).collect()
}

/// The flags, with the environment behind them.
struct Settings<'a> {
    flags: &'a ArgMatches,
    role: Option<Role>,
    /// Whether there is any variable of ours. As a rule there is none, and twenty names need not be made and looked up.
    variables: bool,
    /// The options that count; `None`: all.
    only: Option<&'a [&'a str]>,
}

/// Options of one mode. As flags they are a mistake in the other mode; as variables, which a Pod may set for all its
/// containers alike, they are passed over there.
const SIDECAR_ONLY: [&str; 7] =
    ["until", "until-any", "exit-with", "outlive-main", "restart", "linger", "absence-timeout"];
const MAIN_ONLY: [&str; 3] = ["on-exit", "mesh", "stop-with"];

impl Settings<'_> {
    fn new(flags: &ArgMatches, role: Option<Role>) -> Settings<'_> {
        let variables = environment::entries().any(|entry| entry.starts_with(b"EXEUNT_"));
        Settings { flags, role, variables, only: None }
    }

    fn belongs(&self, option: &str) -> bool {
        match self.role {
            Some(Role::Main) => !SIDECAR_ONLY.contains(&option),
            Some(Role::Sidecar) => !MAIN_ONLY.contains(&option),
            None => true,
        }
    }

    fn environment(&self, option: &str) -> Option<Given> {
        if !self.variables || self.only.is_some_and(|only| !only.contains(&option)) {
            return None;
        }
        let variable = variable(option);
        let value = std::env::var_os(&variable).filter(|value| !value.is_empty())?;
        self.belongs(option).then_some(Given { from: variable, value })
    }

    fn find(&self, option: &str) -> Option<Given> {
        match self.flags.get_one::<OsString>(option) {
            Some(value) => Some(Given { from: format!("--{option}"), value: value.clone() }),
            None => self.environment(option),
        }
    }

    fn switch(&self, option: &str) -> Result<bool> {
        if self.flags.get_flag(option) {
            return Ok(true);
        }
        let words = [
            ("1", true),
            ("true", true),
            ("yes", true),
            ("on", true),
            ("0", false),
            ("false", false),
            ("no", false),
            ("off", false),
        ];
        self.environment(option).map_or(Ok(false), |given| given.choice(&words))
    }

    fn choice<T: Copy>(&self, option: &str, default: T, choices: &[(&str, T)]) -> Result<T> {
        self.find(option).map_or(Ok(default), |given| given.choice(choices))
    }

    fn duration(&self, option: &str, default: Duration) -> Result<Duration> {
        self.find(option).map_or(Ok(default), |given| given.duration())
    }

    /// All values of an option that may be repeated. In the environment they are separated by blanks or line breaks; a
    /// condition that has blanks in it (`exec:`) stands on a line of its own.
    fn all(&self, option: &str) -> Vec<Given> {
        if let Some(values) = self.flags.get_many::<OsString>(option) {
            return values.map(|value| Given { from: format!("--{option}"), value: value.clone() }).collect();
        }
        let Some(Given { from, value }) = self.environment(option) else { return Vec::new() };
        let Some(text) = value.to_str() else { return vec![Given { from, value }] };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let parts = lines
            .flat_map(|line| if line.starts_with("exec:") { vec![line] } else { line.split_whitespace().collect() });
        parts.map(|part| Given { from: from.clone(), value: part.into() }).collect()
    }

    fn conditions(&self, option: &str) -> Result<Vec<Condition>> {
        self.all(option).iter().map(Given::condition).collect()
    }

    fn names(&self, option: &str) -> Result<Option<Vec<String>>> {
        let Some(given) = self.find(option) else { return Ok(None) };
        let mut names = Vec::new();
        for part in given.text()?.split(',') {
            name(part).map_err(|error| anyhow!("{}: {error}", given.from))?;
            if !names.iter().any(|known| known == part) {
                names.push(part.to_owned());
            }
        }
        Ok(Some(names))
    }

    /// Whether SIGTERM is held back, and for how long. In the environment it may also be switched on and off by a word.
    fn outlive_main(&self) -> Result<(bool, Duration)> {
        const DEFAULT: Duration = Duration::from_secs(20);
        let Some(given) = self.find("outlive-main") else { return Ok((false, DEFAULT)) };
        match given.value.to_str() {
            Some("true" | "yes" | "on") => Ok((true, DEFAULT)),
            // As for the switches; behind the flag it is a second, as any number is.
            Some("1") if !given.from.starts_with('-') => Ok((true, DEFAULT)),
            Some("false" | "no" | "off" | "0") => Ok((false, DEFAULT)),
            _ => Ok((true, given.duration()?)),
        }
    }

    fn refuse_options_of_the_other_mode(&self) -> Result<()> {
        let (others, mode) = match self.role {
            Some(Role::Main) => (&SIDECAR_ONLY[..], "sidecar"),
            _ => (&MAIN_ONLY[..], "main"),
        };
        for option in others {
            let given = self.flags.value_source(option) == Some(clap::parser::ValueSource::CommandLine);
            ensure!(!given, "--{option} belongs to --mode {mode}");
        }
        Ok(())
    }
}

/// How messages look, known before anything else so that every complaint looks so.
pub fn report(flags: &ArgMatches) -> (Result<Level>, Result<Format>) {
    let settings = Settings::new(flags, None);
    (
        settings.choice("log-level", Level::Info, &Level::NAMES),
        settings.choice("log-format", Format::Text, &Format::NAMES),
    )
}

/// The mode, which decides what else may be given.
///
/// # Errors
/// If there is none, or it is not known.
pub fn role(flags: &ArgMatches) -> Result<Role> {
    let settings = Settings::new(flags, None);
    let Some(given) = settings.find("mode") else {
        bail!("no mode is given; use --mode main for the job or --mode sidecar for a helper (see exeunt --help)");
    };
    given.choice(Role::ALL)
}

/// For a first word that stands where a mode should: what was probably meant by it.
pub fn instead_of_a_mode(words: &[OsString]) -> Option<anyhow::Error> {
    let word = words.get(1)?.to_str().filter(|word| !word.starts_with('-') && !word.is_empty())?;
    let meant = match word {
        "main" | "sidecar" => format!("exeunt --mode {word} -- COMMAND"),
        "help" | "version" => format!("exeunt --{word}"),
        _ => match cli::nearest(word, cli::SUBCOMMANDS.into_iter()) {
            Some(subcommand) => format!("exeunt {subcommand}"),
            None => {
                return Some(anyhow!(
                    "{word:?} is no subcommand, and no mode is given; use --mode main for the job or --mode sidecar for a \
                     helper (see exeunt --help)"
                ));
            }
        },
    };
    Some(anyhow!("{word:?} is no subcommand, and no mode is given; did you mean {meant}?"))
}

/// Without `--` the first word that is no option begins the command. A time is no command, but somebody's value; and an
/// option behind the command is the command's.
///
/// # Errors
/// What was probably meant.
pub fn check_what_precedes_the_command(flags: &ArgMatches, words: &[OsString]) -> Result<()> {
    let command: Vec<&OsString> = flags.get_many("command").into_iter().flatten().collect();
    let marked = words.len().checked_sub(command.len() + 1).and_then(|at| words.get(at));
    let Some(first) = command.first().and_then(|word| word.to_str()) else { return Ok(()) };
    if marked.is_some_and(|word| word == "--") {
        return Ok(());
    }
    if duration(first).is_ok() {
        let outlive = flags.value_source("outlive-main").is_some();
        let hint =
            if outlive { format!("write --outlive-main={first}") } else { "an option is missing before it".into() };
        bail!("{first:?} stands where the command begins, and is a time; {hint}");
    }
    let dir = Settings::new(flags, None).find("dir");
    let behind = command.iter().any(|word| *word == "--dir" || word.as_encoded_bytes().starts_with(b"--dir="));
    if dir.is_none() && behind && !std::path::Path::new(DIR).is_dir() {
        bail!(
            "the shared directory {DIR} is not there, and --dir stands behind the command {first:?}, which gets it; put \
             exeunt's own options first, then --, then the command"
        );
    }
    Ok(())
}

/// A warning for each variable that looks like one of ours and is none. Kubernetes makes some for a Service of that name.
pub fn unknown_variables() -> Vec<String> {
    if !environment::entries().any(|entry| entry.starts_with(b"EXEUNT_")) {
        return Vec::new();
    }
    let command = cli::command();
    let known: Vec<String> = cli::longs(&command)
        .filter(|option| !["help", "version"].contains(option))
        .chain(["timeout"])
        .map(variable)
        .collect();
    let given = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let ours = given.filter(|name| name.starts_with("EXEUNT_") && !known.contains(name));
    let ours = ours.filter(|name| !name.contains("_SERVICE_") && !name.contains("_PORT"));
    ours.map(|name| {
        let rest = name.strip_prefix("EXEUNT_").unwrap_or_default();
        let others = known.iter().filter_map(|name| name.strip_prefix("EXEUNT_"));
        match cli::nearest(rest, others) {
            Some(meant) => format!("{name} is no variable of exeunt; EXEUNT_{meant} is"),
            None => format!("{name} is no variable of exeunt; see exeunt --help for its options"),
        }
    })
    .collect()
}

fn variable(option: &str) -> String {
    format!("EXEUNT_{}", option.to_ascii_uppercase().replace('-', "_"))
}

/// The shared directory unless another is given.
const DIR: &str = "/tmp/pod";

impl Plan {
    /// The plan of a main whose command line is wrong: to publish that it has failed, and nothing else. `None` where it is
    /// no main's, or where what it would publish could be untrue: the restart policy cannot be told, or the name.
    pub fn of_a_failure(readable: &cli::Readable) -> Option<Plan> {
        const DECIDING: [&str; 6] = ["mode", "dir", "name", "run-id", "restart-policy", "restart-on"];
        if readable.doubtful.iter().any(|option| DECIDING.contains(&option.as_str())) {
            return None;
        }
        let mut words = vec![OsString::from("exeunt")];
        for (option, value) in &readable.given {
            if DECIDING.contains(&option.as_str()) {
                let mut word = OsString::from(format!("--{option}="));
                word.push(value);
                words.push(word);
            }
        }
        words.extend(["--".into(), "exeunt".into()]);
        let flags = cli::command().try_get_matches_from(words).ok()?;
        if role(&flags).ok()? != Role::Main {
            return None;
        }
        // The variables may be what is wrong: those that do not decide are left out.
        let settings = Settings { only: Some(&DECIDING), ..Settings::new(&flags, Some(Role::Main)) };
        let plan = Plan::from_settings(&settings, &flags, Role::Main).ok()?;
        Some(Plan { failed: true, ..plan })
    }

    /// Turns text into a plan.
    ///
    /// # Errors
    /// One line that names the option and says what would be right.
    pub fn new(flags: &ArgMatches, role: Role) -> Result<Plan> {
        let settings = Settings::new(flags, Some(role));
        settings.refuse_options_of_the_other_mode()?;
        Plan::from_settings(&settings, flags, role)
    }

    fn from_settings(settings: &Settings<'_>, flags: &ArgMatches, role: Role) -> Result<Plan> {
        let name = match (settings.find("name"), role) {
            (Some(given), _) => Some(given.name()?),
            (None, Role::Main) => Some("main-job".to_owned()),
            (None, Role::Sidecar) => None,
        };
        let run_id = settings.find("run-id").map(|given| run_id(&given)).transpose()?;
        let dir = settings.find("dir").map_or_else(|| PathBuf::from(DIR), |given| PathBuf::from(given.value));
        let dir = std::path::absolute(&dir).map_err(|error| anyhow!("--dir: {}: {error}", dir.display()))?;
        let until = match role {
            Role::Main => Vec::new(),
            Role::Sidecar => settings.names("until")?.unwrap_or_else(|| vec!["main-job".to_owned()]),
        };
        let command: Vec<OsString> =
            flags.get_many::<OsString>("command").map(|words| words.cloned().collect()).unwrap_or_default();
        ensure!(
            command.first().is_some_and(|program| !program.is_empty()),
            "no command is given; put it at the end, after --"
        );
        let mut wait_for = settings.conditions("wait-for")?;
        let mut on_exit = Vec::new();
        for given in settings.all("on-exit") {
            on_exit.push(Url::parse(given.text()?).map_err(|error| anyhow!("{}: {error}", given.from))?);
        }
        if let Some(given) = settings.find("mesh") {
            let (ready, quit) = given.choice(&MESHES)?;
            wait_for.push(Condition::parse(ready)?);
            on_exit.push(Url::parse(quit)?);
        }
        let ready_when = settings.find("ready-when").map(|given| given.condition()).transpose()?;
        ensure!(ready_when.is_none() || name.is_some(), "--ready-when: there is nothing to publish without a --name");
        let own = |option: &str, named: &str| match &name {
            Some(own) if own == named => Err(anyhow!("{option}: {own:?} is this container's own name")),
            _ => Ok(()),
        };
        until.iter().try_for_each(|named| own("--until", named))?;
        for condition in &wait_for {
            condition.name().map_or(Ok(()), |named| own("--wait-for", named))?;
        }
        ready_when.as_ref().and_then(Condition::name).map_or(Ok(()), |named| own("--ready-when", named))?;
        let stop_with = settings.find("stop-with").map(|given| given.name()).transpose()?;
        stop_with.as_ref().map_or(Ok(()), |named| own("--stop-with", named))?;
        let (outlive, outlive_main) = settings.outlive_main()?;
        let linger = settings.find("linger").map(|given| given.duration()).transpose()?.filter(|time| !time.is_zero());
        let restart_policy = settings.choice("restart-policy", RestartPolicy::Never, RestartPolicy::ALL)?;
        let restart_on = settings.find("restart-on").map_or(Ok(Codes::NONE), |given| given.codes())?;
        let policy = Policy {
            role,
            named: name.is_some(),
            restart_on: restart_policy.codes().union(restart_on),
            exit_with: settings.choice("exit-with", ExitWith::Zero, ExitWith::ALL)?,
            stop_signal: settings.find("stop-signal").map_or(Ok(libc::SIGTERM as u8), |given| stop_signal(&given))?,
            gated: !wait_for.is_empty(),
            readiness: if ready_when.is_some() { Readiness::WhenHeld } else { Readiness::AtOnce },
            outlive_main: outlive,
            lingers: linger.is_some(),
            restart: settings.choice("restart", Restart::Never, Restart::ALL)?,
            stop_with: stop_with.is_some(),
            goodbye: !on_exit.is_empty(),
        };
        Ok(Plan {
            policy,
            dir,
            name,
            run_id,
            until,
            until_any: settings.switch("until-any")?,
            grace: settings.duration("grace", Duration::from_secs(30))?,
            group: settings.switch("group")?,
            watch: settings.choice("watch", How::Inotify, &[("inotify", How::Inotify), ("poll", How::Poll)])?,
            wait_for,
            wait_timeout: settings.duration("wait-timeout", Duration::from_secs(300))?,
            ready_when,
            on_exit,
            stop_with,
            outlive_main,
            linger: linger.unwrap_or_default(),
            absence: settings.find("absence-timeout").map(|given| given.duration()).transpose()?,
            working_directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            failed: false,
            command,
        })
    }
}

/// The well-known sidecars that cannot be wrapped: where they say that they are ready, and what ends them. All on the
/// loopback address that the containers of a Pod share.
const MESHES: [(&str, (&str, &str)); 4] = [
    // Istio's pilot-agent: readiness through Envoy on 15021, the agent's own port for the end (POST only).
    ("istio", ("http://127.0.0.1:15021/healthz/ready", "http://127.0.0.1:15020/quitquitquit")),
    // Linkerd 2: the end must be allowed (config.linkerd.io/proxy-admin-shutdown: enabled).
    ("linkerd", ("http://127.0.0.1:4191/ready", "http://127.0.0.1:4191/shutdown")),
    // Envoy with the admin port of its documentation.
    ("envoy", ("http://127.0.0.1:9901/ready", "http://127.0.0.1:9901/quitquitquit")),
    // Cloud SQL Auth Proxy 2 with --health-check and --quitquitquit.
    ("cloud-sql-proxy", ("http://127.0.0.1:9090/startup", "http://127.0.0.1:9091/quitquitquit")),
];

/// Whether a text can be a name: part of a file name, and of a list.
///
/// # Errors
/// What is wrong with it.
pub fn name(text: &str) -> Result<()> {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    ensure!(!text.is_empty(), "a name is empty");
    ensure!(
        text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(letter),
        "{text:?} cannot be a name; use letters, digits, '-', '_' and '.', and a letter or digit first"
    );
    ensure!(text.len() <= LONGEST_NAME, "the name is {} bytes long; {LONGEST_NAME} are the most", text.len());
    Ok(())
}

/// Understands `500ms`, `30s`, `5m`, `1h30m`, or plain seconds.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration> {
    let parsed = match text.parse::<u64>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).map_err(|_| ()),
    };
    match parsed {
        Ok(duration) if duration <= LONGEST_DURATION => Ok(duration),
        Ok(_) => bail!("{text:?} is longer than a year"),
        Err(()) => bail!("{text:?} is not a duration; write 500ms, 30s, 5m, 1h30m, or plain seconds"),
    }
}

fn run_id(given: &Given) -> Result<String> {
    let text = given.text()?;
    ensure!(!text.is_empty(), "{}: the run id is empty", given.from);
    ensure!(
        !text.starts_with('-'),
        "{}: {text:?} begins with '-', as an option does; is its value missing?",
        given.from
    );
    ensure!(!text.contains(char::is_control), "{}: {text:?} has a control character", given.from);
    ensure!(
        text.len() <= LONGEST_RUN_ID,
        "{}: the run id is {} bytes long; {LONGEST_RUN_ID} are the most",
        given.from,
        text.len()
    );
    Ok(text.to_owned())
}

fn stop_signal(given: &Given) -> Result<u8> {
    let text = given.text()?;
    match signals::number(text).map(|signal| (signal, i32::from(signal))) {
        Some((_, libc::SIGKILL | libc::SIGSTOP | libc::SIGCHLD)) | None => {
            bail!("{}: {text:?} is not a signal that can ask a command to end; use SIGTERM, SIGINT, ...", given.from)
        }
        Some((signal, _)) => Ok(signal),
    }
}

/// The settings of a subcommand that its flags and the environment give: the directory, the run, a time.
///
/// # Errors
/// One line that names the option.
pub fn surroundings(flags: &ArgMatches, default_limit: Duration) -> Result<(PathBuf, Option<String>, Duration)> {
    let settings = Settings::new(flags, None);
    let find = |option: &str| flags.try_contains_id(option).is_ok().then(|| settings.find(option)).flatten();
    let dir = find("dir").map_or_else(|| PathBuf::from(DIR), |given| PathBuf::from(given.value));
    let run_id = find("run-id").map(|given| run_id(&given)).transpose()?;
    let limit = find("timeout").map_or(Ok(default_limit), |given| given.duration())?;
    Ok((dir, run_id, limit))
}

/// The words of a command for people: its first word.
pub fn program(command: &[OsString]) -> &OsStr {
    command.first().map_or(OsStr::new(""), |word| word.as_os_str())
}
