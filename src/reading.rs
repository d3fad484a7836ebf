//! A command line as it is read: words and variables in, and out comes a plan, or the one line that says what is wrong.
//!
//! Everything that the answer depends on is handed in. So a command line can be read where it stands written, as in a
//! manifest, by whoever wants to know what exeunt would say to it.

use crate::cli;
use crate::machine::Role;
use crate::options::{self, Format, Level, PREFIX};
use crate::plan::{self, Plan};
use crate::settings::{Settings, Variables, duration};
use anyhow::{Result, anyhow, bail};
use clap::ArgMatches;
use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

/// Where a command line is read.
pub struct Scene<'a> {
    /// The variables of the process.
    pub variables: Variables,
    /// Where it is started, if that place is still there.
    pub working_directory: Option<PathBuf>,
    /// Whether the words are as a process gets them, and not as they stand in a manifest, with variables that are to be filled in.
    pub filled_in: bool,
    /// Whether there is a directory of this path.
    pub has_directory: &'a dyn Fn(&Path) -> bool,
}

/// What a command line asks for.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// The help.
    Help,
    /// The version.
    Version,
    /// To run a command.
    Run(Box<Plan>),
}

/// What has been read.
#[derive(Debug)]
pub struct Reading {
    /// How much is to be said.
    pub level: Level,
    /// The form of a message, for a complaint about this very command line, too.
    pub format: Format,
    /// `main` or `sidecar`, or nothing as long as that is not known.
    pub mode: &'static str,
    /// What is asked for, or one line that names what is wrong, and the remedy.
    pub wanted: Result<Wanted>,
    /// What is probably a mistake, and no reason to run nothing.
    pub warnings: Vec<String>,
}

/// Reads a command line. The first word is the program's own name; the second is no subcommand.
pub fn read(words: &[OsString], scene: &Scene<'_>) -> Reading {
    // Nothing is taken down again that the end of the process takes along.
    read_by(&mut ManuallyDrop::new(cli::parser_of(words)), words, scene)
}

/// The same, for whoever reads many: the parser is the caller's, [`cli::parser`].
pub fn read_by(parser: &mut clap::Command, words: &[OsString], scene: &Scene<'_>) -> Reading {
    // A Pod that asks for JSON by a variable gets it for the very first complaint, too.
    let json = options::LOG_FORMAT
        .variable()
        .is_some_and(|name| scene.variables.value(&name).is_some_and(|format| format == "json"));
    let mut reading = Reading {
        level: Level::Info,
        format: if json { Format::Json } else { Format::Text },
        mode: "",
        wanted: Ok(Wanted::Help),
        warnings: Vec::new(),
    };
    reading.wanted = reading.understand(parser, words, scene);
    if let Ok(Wanted::Run(_)) = reading.wanted {
        reading.warnings = unknown(&scene.variables);
    }
    reading
}

impl Reading {
    fn understand(&mut self, parser: &mut clap::Command, words: &[OsString], scene: &Scene<'_>) -> Result<Wanted> {
        let parsed = parser.try_get_matches_from_mut(words).or_else(|_| cli::command().try_get_matches_from(words));
        let flags = parsed
            .map_err(|error| anyhow!("{}; see exeunt --help", cli::complaint_of(&cli::command(), &error, words)))?;
        if let Some(missing) = cli::missing_value(&flags, parser) {
            bail!(missing);
        }
        if flags.get_flag("help") {
            return Ok(Wanted::Help);
        }
        if flags.get_flag("version") {
            return Ok(Wanted::Version);
        }
        let (level, format) = report(&flags, &scene.variables);
        self.format = *format.as_ref().unwrap_or(&self.format);
        self.level = level?;
        format?;
        refuse_a_long_dash(&flags, words)?;
        let role = role(&flags, &scene.variables).map_err(|error| instead_of_a_mode(words).unwrap_or(error))?;
        self.mode = match role {
            Role::Main => "main",
            Role::Sidecar => "sidecar",
        };
        let settings = Settings::new(&flags, &scene.variables, Some(role));
        // As a rule there is no such letter, and thirty options need not be asked.
        if scene.filled_in && (words.iter().any(holds_a_variable) || scene.variables.values().any(holds_a_variable)) {
            settings.refuse_what_was_not_filled_in()?;
        }
        let stray = check_what_precedes_the_command(&settings, &flags, words, scene)?;
        settings.refuse_options_of_the_other_mode()?;
        let plan = Plan::new(&settings, &flags, role, scene.working_directory.as_deref())?;
        Ok(Wanted::Run(Box::new(Plan { stray, ..plan })))
    }
}

#[allow(clippy::ptr_arg, reason = "as it stands in a list of words")]
fn holds_a_variable(word: &OsString) -> bool {
    word.as_encoded_bytes().contains(&b'$')
}

/// The plan of a main whose command line is wrong: to publish that it has failed, and nothing else. `None` where it is
/// no main's, or where what it would publish could be untrue: the restart policy cannot be told, or the name.
pub fn of_a_failure(words: &[OsString], scene: &Scene<'_>) -> Option<Plan> {
    let readable = cli::readable(words);
    if readable.doubtful.iter().any(|option| option.decides) {
        return None;
    }
    let mut words = vec![OsString::from("exeunt")];
    for (option, value) in &readable.given {
        if option.decides {
            let mut word = OsString::from(format!("--{}=", option.name));
            word.push(value);
            // The same said twice is no doubt; something else is, and is refused below.
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words.extend(["--".into(), "exeunt".into()]);
    let flags = cli::command().try_get_matches_from(words).ok()?;
    if role(&flags, &scene.variables).ok()? != Role::Main {
        return None;
    }
    // The variables may be what is wrong: those that do not decide are left out.
    let settings = Settings::new(&flags, &scene.variables, Some(Role::Main)).deciding();
    if scene.filled_in {
        settings.refuse_what_was_not_filled_in().ok()?;
    }
    let plan = Plan::new(&settings, &flags, Role::Main, scene.working_directory.as_deref()).ok()?;
    Some(Plan { failed: true, ..plan })
}

/// How messages look, known before anything else so that every complaint looks so.
pub fn report(flags: &ArgMatches, variables: &Variables) -> (Result<Level>, Result<Format>) {
    let settings = Settings::new(flags, variables, None);
    (settings.choice(&options::LOG_LEVEL, Level::ALL), settings.choice(&options::LOG_FORMAT, Format::ALL))
}

/// The mode, which decides what else may be given.
fn role(flags: &ArgMatches, variables: &Variables) -> Result<Role> {
    let settings = Settings::new(flags, variables, None);
    let Some(given) = settings.find(&options::MODE) else {
        bail!("no mode is given; use --mode main for the job or --mode sidecar for a helper (see exeunt --help)");
    };
    given.choice(Role::ALL)
}

/// For a first word that stands where a mode should: what was probably meant by it.
fn instead_of_a_mode(words: &[OsString]) -> Option<anyhow::Error> {
    let word = words.get(1)?.to_str().filter(|word| !word.starts_with('-') && !word.is_empty())?;
    let meant = match word {
        "main" | "sidecar" => format!("exeunt --mode {word} -- COMMAND"),
        "help" | "version" => format!("exeunt --{word}"),
        _ => match cli::nearest(word, cli::SUBCOMMANDS.iter().map(|subcommand| subcommand.name)) {
            Some(subcommand) => format!("exeunt {subcommand}"),
            None => {
                return Some(anyhow!(
                    "\"{word}\" is no subcommand, and no mode is given; use --mode main for the job or --mode sidecar for a \
                     helper (see exeunt --help)"
                ));
            }
        },
    };
    Some(anyhow!("\"{word}\" is no subcommand, and no mode is given; did you mean {meant}?"))
}

/// The words of the command, and whether a `--` stands before them.
fn command<'a>(flags: &'a ArgMatches, words: &[OsString]) -> (Vec<&'a OsString>, bool) {
    let command: Vec<&OsString> = flags.get_many("command").into_iter().flatten().collect();
    let before = words.len().checked_sub(command.len() + 1).and_then(|at| words.get(at));
    (command, before.is_some_and(|word| word == "--"))
}

/// No command begins with the dash of a word processor, but what was copied from its page does.
fn refuse_a_long_dash(flags: &ArgMatches, words: &[OsString]) -> Result<()> {
    let (command, false) = command(flags, words) else { return Ok(()) };
    let Some(word) = command.first().and_then(|word| word.to_str()) else { return Ok(()) };
    match cli::behind_a_long_dash(word) {
        Some(meant) => bail!("\"{word}\" begins with a long dash, as a word processor makes it; write --{meant}"),
        None => Ok(()),
    }
}

/// Without `--` the first word that is no option begins the command. A time is no command, but somebody's value; and an
/// option behind the command is the command's: it is no mistake as long as all goes well, and a hint where it does not.
fn check_what_precedes_the_command(
    settings: &Settings<'_>,
    flags: &ArgMatches,
    words: &[OsString],
    scene: &Scene<'_>,
) -> Result<Option<&'static str>> {
    let (command, false) = command(flags, words) else { return Ok(None) };
    let Some(first) = command.first().and_then(|word| word.to_str()) else { return Ok(None) };
    // `--grace 5 s`: the unit has come loose.
    let at = words.len() - command.len();
    let before = at.checked_sub(1).and_then(|at| words.get(at)).and_then(|word| word.to_str()).unwrap_or_default();
    let loose = format!("{before}{first}");
    if before.parse::<u32>().is_ok() && duration(&loose).is_ok() && duration(first).is_err() {
        bail!("\"{first}\" stands where the command begins, and is a unit of time; write {loose} in one word");
    }
    if duration(first).is_ok() {
        let outlive = cli::values(flags, options::OUTLIVE_MAIN.name).is_some();
        let hint =
            if outlive { format!("write --outlive-main={first}") } else { "an option is missing before it".into() };
        bail!("\"{first}\" stands where the command begins, and is a time; {hint}");
    }
    let (dir, default) = (settings.find(&options::DIR), options::DIR.default().unwrap_or_default());
    let stray = || command.iter().filter_map(|word| cli::own(word)).map(|option| option.name);
    if dir.is_none()
        && let Some(behind) = stray().find(|name| *name == options::DIR.name)
        && !(scene.has_directory)(Path::new(default))
    {
        bail!("the shared directory {default} is not there{}", plan::behind(behind, first));
    }
    Ok(stray().next())
}

/// A warning for each variable that looks like one of ours and is none. Kubernetes makes some for a Service of that name.
fn unknown(variables: &Variables) -> Vec<String> {
    let is_ours = |name: &&str| !name.contains("_SERVICE_") && !name.contains("_PORT");
    let mut given = variables.names().filter(is_ours).peekable();
    if given.peek().is_none() {
        return Vec::new();
    }
    let known: Vec<String> = options::ALL.iter().filter_map(options::Opt::variable).collect();
    let unknown = given.filter(|name| !known.iter().any(|known| known == name));
    let one = |name: &str| {
        let rest = name.strip_prefix(PREFIX).unwrap_or_default();
        let others = known.iter().filter_map(|name| name.strip_prefix(PREFIX));
        match cli::nearest(rest, others) {
            Some(meant) => format!("{name} is no variable of exeunt; EXEUNT_{meant} is"),
            None => format!("{name} is no variable of exeunt; see exeunt --help for its options"),
        }
    };
    unknown.map(one).collect()
}
