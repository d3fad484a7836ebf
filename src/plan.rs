//! The validated settings: what a run is to do, with nothing left in it that still needs parsing.

use crate::condition::Condition;
use crate::machine::{Codes, ExitWith, Policy, Readiness, Restart, RestartPolicy, Role};
use crate::options::{self, How, Mesh};
use crate::settings::{Given, Settings, Variables};
use crate::url::Url;
use anyhow::{Result, anyhow, bail, ensure};
use clap::ArgMatches;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that one run needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the machine needs.
    pub policy: Policy,
    /// The shared directory, absolute.
    pub dir: PathBuf,
    /// The Pod's restart policy, as it was told.
    pub restart_policy: RestartPolicy,
    /// The codes that are repeated whatever the policy, if any were told.
    pub restart_on: Option<Codes>,
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
    /// An option of ours that stands behind the command, without a `--` before it: the command gets it.
    pub stray: Option<&'static str>,
    /// The command and its arguments, at least one word.
    pub command: Vec<OsString>,
}

impl Plan {
    /// Turns text into a plan.
    ///
    /// # Errors
    /// One line that names the option and says what would be right.
    pub(crate) fn new(
        settings: &Settings<'_>,
        flags: &ArgMatches,
        role: Role,
        working_directory: Option<&Path>,
    ) -> Result<Plan> {
        let name = match (settings.maybe(&options::NAME, Given::name)?, role) {
            (Some(given), _) => Some(given),
            (None, Role::Main) => options::UNTIL.default().map(str::to_owned),
            (None, Role::Sidecar) => None,
        };
        let run_id = settings.maybe(&options::RUN_ID, Given::run_id)?;
        let dir = settings.value(&options::DIR, |given| absolute(given, working_directory))?;
        let until = match role {
            Role::Main => Vec::new(),
            Role::Sidecar => settings.value(&options::UNTIL, Given::names)?,
        };
        let command: Vec<OsString> =
            flags.get_many::<OsString>("command").map(|words| words.cloned().collect()).unwrap_or_default();
        ensure!(
            command.first().is_some_and(|program| !program.is_empty()),
            "no command is given; put it at the end, after --"
        );
        let mut wait_for = settings.all(&options::WAIT_FOR).iter().map(Given::condition).collect::<Result<Vec<_>>>()?;
        let mut on_exit = settings.all(&options::ON_EXIT).iter().map(Given::url).collect::<Result<Vec<_>>>()?;
        if let Some(mesh) = settings.maybe(&options::MESH, |given| given.choice(Mesh::ALL))? {
            let (ready, quit) = mesh.addresses();
            wait_for.push(Condition::parse(ready)?);
            on_exit.push(Url::parse(quit)?);
        }
        let ready_when = settings.maybe(&options::READY_WHEN, Given::condition)?;
        ensure!(ready_when.is_none() || name.is_some(), "--ready-when: there is nothing to publish without a --name");
        let own = |option: &str, named: &str| match &name {
            Some(own) if own == named => Err(anyhow!("{option}: \"{own}\" is this container's own name; name another")),
            _ => Ok(()),
        };
        until.iter().try_for_each(|named| own("--until", named))?;
        for condition in &wait_for {
            condition.name().map_or(Ok(()), |named| own("--wait-for", named))?;
        }
        ready_when.as_ref().and_then(Condition::name).map_or(Ok(()), |named| own("--ready-when", named))?;
        let stop_with = settings.maybe(&options::STOP_WITH, Given::name)?;
        stop_with.as_ref().map_or(Ok(()), |named| own("--stop-with", named))?;
        let (outlive, outlive_main) = settings.outlive_main()?;
        let linger = settings.value(&options::LINGER, Given::duration)?;
        let restart_policy = settings.choice(&options::RESTART_POLICY, RestartPolicy::ALL)?;
        let restart_on = settings.maybe(&options::RESTART_ON, Given::codes)?;
        let policy = Policy {
            role,
            named: name.is_some(),
            restart_on: restart_policy.codes().union(restart_on.unwrap_or_default()),
            exit_with: settings.choice(&options::EXIT_WITH, ExitWith::ALL)?,
            stop_signal: settings.value(&options::STOP_SIGNAL, Given::signal)?,
            gated: !wait_for.is_empty(),
            readiness: if ready_when.is_some() { Readiness::WhenHeld } else { Readiness::AtOnce },
            outlive_main: outlive,
            lingers: !linger.is_zero(),
            restart: settings.choice(&options::RESTART, Restart::ALL)?,
            stop_with: stop_with.is_some(),
            goodbye: !on_exit.is_empty(),
        };
        Ok(Plan {
            policy,
            restart_policy,
            restart_on,
            dir,
            name,
            run_id,
            until,
            until_any: settings.switch(&options::UNTIL_ANY)?,
            grace: settings.value(&options::GRACE, Given::duration)?,
            group: settings.switch(&options::GROUP)?,
            watch: settings.choice(&options::WATCH, How::ALL)?,
            wait_for,
            wait_timeout: settings.value(&options::WAIT_TIMEOUT, Given::duration)?,
            ready_when,
            on_exit,
            stop_with,
            outlive_main,
            linger,
            absence: settings.maybe(&options::ABSENCE_TIMEOUT, Given::duration_or_off)?.flatten(),
            working_directory: working_directory.unwrap_or(Path::new("/")).to_owned(),
            failed: false,
            stray: None,
            command,
        })
    }

    /// For the end of a line that says why nothing was run: what else may be wrong with the command line.
    pub fn hint(&self) -> String {
        self.stray.map_or_else(String::new, |name| behind(name, &program(&self.command).to_string_lossy()))
    }
}

/// Of an option that stands behind the command.
pub(crate) fn behind(option: &str, command: &str) -> String {
    format!(
        "; --{option} stands behind the command \"{command}\", which gets it: exeunt's own options come first, then --, then \
         the command"
    )
}

fn not_empty(given: &Given) -> Result<&Path> {
    let (dir, from) = (Path::new(&given.value), &given.from);
    ensure!(!dir.as_os_str().is_empty(), "{from}: the directory is empty; name the one that the containers share");
    Ok(dir)
}

fn absolute(given: &Given, working_directory: Option<&Path>) -> Result<PathBuf> {
    let (dir, from) = (not_empty(given)?, &given.from);
    if let Some(text) = given.value.to_str() {
        let bare = text.trim().trim_matches(['"', '\'']);
        let framed = text.trim() != text || (bare != text && !bare.is_empty() && !dir.is_absolute());
        ensure!(
            !framed,
            "{from}: quotes, blanks or a line break stand around {bare}, and belong to the value; leave them out"
        );
    }
    let whole = match working_directory {
        _ if dir.is_absolute() => dir.to_owned(),
        Some(directory) => directory.join(dir),
        None => bail!("{from}: {} is relative to a directory that is gone; write the whole path", dir.display()),
    };
    std::path::absolute(&whole).map_err(|error| anyhow!("{from}: {}: {error}", whole.display()))
}

/// What a subcommand has of these settings, from its flags and its variables: the directory, the run, a time.
///
/// # Errors
/// One line that names the option.
pub fn surroundings(flags: &ArgMatches, variables: &Variables) -> Result<(PathBuf, Option<String>, Duration)> {
    let settings = Settings::new(flags, variables, None);
    let dir = settings.value(&options::DIR, |given| not_empty(given).map(Path::to_owned))?;
    let run_id = settings.maybe(&options::RUN_ID, Given::run_id)?;
    let limit = settings.value(&options::TIMEOUT, Given::duration)?;
    Ok((dir, run_id, limit))
}

/// The words of a command for people: its first word.
pub fn program(command: &[OsString]) -> &OsStr {
    command.first().map_or(OsStr::new(""), |word| word.as_os_str())
}
