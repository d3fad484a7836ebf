//! What is given for an option: the flag, or the variable behind it; and its value as a text becomes one of its kind.

use crate::condition::Condition;
use crate::machine::{Codes, Role};
use crate::signal;
use crate::stage::names;
use crate::url::Url;
use anyhow::{Result, anyhow, bail, ensure};
use clap::ArgMatches;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

const LONGEST_RUN_ID: usize = 256;
/// A year. Longer than any Pod lives, and short enough for every clock.
const LONGEST_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// What the names of exeunt's own variables begin with.
pub const PREFIX: &str = "EXEUNT_";

/// The variable of an option.
pub fn variable(option: &str) -> String {
    format!("{PREFIX}{}", option.to_ascii_uppercase().replace('-', "_"))
}

/// The variables that are exeunt's by their names.
#[derive(Clone, Debug, Default)]
pub struct Variables(Vec<(String, OsString)>);

impl Variables {
    /// Those among an environment. Of two with the same name the first counts, as for getenv(3).
    pub fn among(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Variables {
        let named = environment.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Variables(named.filter(|(name, _)| name.starts_with(PREFIX)).collect())
    }

    /// The value of one. An empty one counts as not set.
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.as_os_str()).filter(|value| !value.is_empty())
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// Where a setting came from, for messages.
pub(crate) struct Given {
    pub(crate) from: String,
    pub(crate) value: OsString,
}

impl Given {
    pub(crate) fn text(&self) -> Result<&str> {
        self.value.to_str().ok_or_else(|| anyhow!("{}: \"{}\" is not UTF-8 text", self.from, self.value.display()))
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T> {
        let text = self.text()?;
        let is_it = |word: &str| word == text || (self.spelt_as_in_kubernetes() && camel(word) == text);
        choices.iter().find(|(word, _)| is_it(word)).map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            anyhow!("{}: \"{text}\" is not known; use {}", self.from, words.join(", "))
        })
    }

    /// Kubernetes has words of its own for the same choices: `OnFailure`, `Never`.
    fn spelt_as_in_kubernetes(&self) -> bool {
        ["--restart-policy", "EXEUNT_RESTART_POLICY", "--restart", "EXEUNT_RESTART"].contains(&self.from.as_str())
    }

    pub(crate) fn duration(&self) -> Result<Duration> {
        let text = self.text()?;
        duration(text).map_err(|error| anyhow!("{}: {error}", self.from))
    }

    pub(crate) fn codes(&self) -> Result<Codes> {
        Codes::parse(self.text()?).map_err(|error| anyhow!("{}: {error}", self.from))
    }

    pub(crate) fn condition(&self) -> Result<Condition> {
        Condition::parse(self.text()?).map_err(|error| anyhow!("{}: {error}", self.from))
    }

    pub(crate) fn name(&self) -> Result<String> {
        let text = self.text()?;
        names::check(text).map_err(|error| anyhow!("{}: {error}", self.from))?;
        Ok(text.to_owned())
    }

    pub(crate) fn url(&self) -> Result<Url> {
        Url::parse(self.text()?).map_err(|error| anyhow!("{}: {error}", self.from))
    }

    pub(crate) fn run_id(&self) -> Result<String> {
        let (text, from) = (self.text()?, &self.from);
        ensure!(!text.is_empty(), "{from}: the run id is empty");
        ensure!(!text.starts_with('-'), "{from}: \"{text}\" begins with '-', as an option does; is its value missing?");
        ensure!(!text.contains(char::is_control), "{from}: \"{text}\" has a control character");
        ensure!(
            text.len() <= LONGEST_RUN_ID,
            "{from}: the run id is {} bytes long; {LONGEST_RUN_ID} are the most",
            text.len()
        );
        Ok(text.to_owned())
    }

    pub(crate) fn signal(&self) -> Result<u8> {
        let text = self.text()?;
        match signal::number(text) {
            Some(signal::KILL | signal::STOP | signal::CHLD) | None => {
                bail!(
                    "{}: \"{text}\" is not a signal that can ask a command to end; use SIGTERM, SIGINT, ...",
                    self.from
                )
            }
            Some(signal) => Ok(signal),
        }
    }
}

/// `on-failure` as `OnFailure`.
fn camel(word: &str) -> String {
    let parts = word.split('-').filter_map(|part| part.split_at_checked(1));
    parts.map(|(first, rest)| first.to_ascii_uppercase() + rest).collect()
}

/// The flags, with the environment behind them.
pub(crate) struct Settings<'a> {
    flags: &'a ArgMatches,
    variables: &'a Variables,
    role: Option<Role>,
    /// The options whose variables count; `None`: all.
    only: Option<&'a [&'a str]>,
}

/// Options of one mode. As flags they are a mistake in the other mode; as variables, which a Pod may set for all its
/// containers alike, they are passed over there.
const SIDECAR_ONLY: [&str; 7] =
    ["until", "until-any", "exit-with", "outlive-main", "restart", "linger", "absence-timeout"];
const MAIN_ONLY: [&str; 3] = ["on-exit", "mesh", "stop-with"];

impl<'a> Settings<'a> {
    pub(crate) fn new(flags: &'a ArgMatches, variables: &'a Variables, role: Option<Role>) -> Settings<'a> {
        Settings { flags, variables, role, only: None }
    }

    /// With the variables of these options alone.
    pub(crate) fn only(self, options: &'a [&'a str]) -> Settings<'a> {
        Settings { only: Some(options), ..self }
    }

    fn belongs(&self, option: &str) -> bool {
        match self.role {
            Some(Role::Main) => !SIDECAR_ONLY.contains(&option),
            Some(Role::Sidecar) => !MAIN_ONLY.contains(&option),
            None => true,
        }
    }

    fn environment(&self, option: &str) -> Option<Given> {
        // As a rule there is none, and twenty names need not be made and looked up.
        if self.variables.0.is_empty() || self.only.is_some_and(|only| !only.contains(&option)) {
            return None;
        }
        let from = variable(option);
        let value = self.variables.value(&from)?.to_owned();
        self.belongs(option).then_some(Given { from, value })
    }

    pub(crate) fn find(&self, option: &str) -> Option<Given> {
        match self.flags.get_one::<OsString>(option) {
            Some(value) => Some(Given { from: format!("--{option}"), value: value.clone() }),
            None => self.environment(option),
        }
    }

    pub(crate) fn switch(&self, option: &str) -> Result<bool> {
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

    pub(crate) fn choice<T: Copy>(&self, option: &str, default: T, choices: &[(&str, T)]) -> Result<T> {
        self.find(option).map_or(Ok(default), |given| given.choice(choices))
    }

    pub(crate) fn duration(&self, option: &str, default: Duration) -> Result<Duration> {
        self.find(option).map_or(Ok(default), |given| given.duration())
    }

    /// All values of an option that may be repeated. In the environment they are separated by blanks or line breaks; a
    /// condition that has blanks in it (`exec:`) stands on a line of its own.
    pub(crate) fn all(&self, option: &str) -> Vec<Given> {
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

    pub(crate) fn conditions(&self, option: &str) -> Result<Vec<Condition>> {
        self.all(option).iter().map(Given::condition).collect()
    }

    pub(crate) fn names(&self, option: &str) -> Result<Option<Vec<String>>> {
        let Some(given) = self.find(option) else { return Ok(None) };
        let mut found: Vec<String> = Vec::new();
        for part in given.text()?.split(',') {
            names::check(part).map_err(|error| anyhow!("{}: {error}", given.from))?;
            if !found.iter().any(|known| known == part) {
                found.push(part.to_owned());
            }
        }
        Ok(Some(found))
    }

    /// Whether SIGTERM is held back, and for how long. In the environment it may also be switched on and off by a word.
    pub(crate) fn outlive_main(&self) -> Result<(bool, Duration)> {
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

    pub(crate) fn refuse_options_of_the_other_mode(&self) -> Result<()> {
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
        Ok(_) => bail!("\"{text}\" is longer than a year"),
        Err(()) => bail!("\"{text}\" is not a duration; write 500ms, 30s, 5m, 1h30m, or plain seconds"),
    }
}
