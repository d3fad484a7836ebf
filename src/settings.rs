//! What is given for an option: the flag, or the variable behind it; and its value as a text becomes one of its kind.

use crate::cli;
use crate::condition::Condition;
use crate::machine::{Codes, Role};
use crate::options::{self, Opt, PREFIX};
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

    /// Their values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &OsString> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// Where a setting came from, for messages.
pub(crate) struct Given {
    option: Opt,
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
        let is_it = |word: &str| word == text || (self.option.as_in_kubernetes && camel(word) == text);
        choices.iter().find(|(word, _)| is_it(word)).map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            anyhow!("{}: \"{text}\" is not known; use {}", self.from, words.join(", "))
        })
    }

    pub(crate) fn duration(&self) -> Result<Duration> {
        let text = self.text()?;
        duration(text).map_err(|error| anyhow!("{}: {error}", self.from))
    }

    pub(crate) fn codes(&self) -> Result<Codes> {
        Codes::parse(self.text()?).map_err(|error| anyhow!("{}: {error}", self.from))
    }

    /// A time, or nothing where it is said to be off.
    pub(crate) fn duration_or_off(&self) -> Result<Option<Duration>> {
        if self.text()? == "off" { Ok(None) } else { self.duration().map(Some) }
    }

    pub(crate) fn condition(&self) -> Result<Condition> {
        Condition::parse(self.text()?).map_err(|error| anyhow!("{}: {error}", self.from))
    }

    pub(crate) fn name(&self) -> Result<String> {
        let text = self.text()?;
        names::check(text).map_err(|error| anyhow!("{}: {error}", self.from))?;
        Ok(text.to_owned())
    }

    /// Names with commas between them, each once.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let mut found: Vec<String> = Vec::new();
        for part in self.text()?.split(',') {
            names::check(part).map_err(|error| anyhow!("{}: {error}", self.from))?;
            if !found.iter().any(|known| known == part) {
                found.push(part.to_owned());
            }
        }
        Ok(found)
    }

    pub(crate) fn url(&self) -> Result<Url> {
        Url::parse(self.text()?).map_err(|error| anyhow!("{}: {error}", self.from))
    }

    pub(crate) fn run_id(&self) -> Result<String> {
        let (text, from) = (self.text()?, &self.from);
        ensure!(!text.is_empty(), "{from}: the run id is empty; write one, or leave the option out");
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
    /// Whether the variables of those options alone count that decide whose end is published.
    deciding: bool,
}

impl<'a> Settings<'a> {
    pub(crate) fn new(flags: &'a ArgMatches, variables: &'a Variables, role: Option<Role>) -> Settings<'a> {
        Settings { flags, variables, role, deciding: false }
    }

    /// With the variables of those options alone that decide whose end is published.
    pub(crate) fn deciding(self) -> Settings<'a> {
        Settings { deciding: true, ..self }
    }

    /// What stands in the variable. Options of one mode are, as flags, a mistake in the other mode; as variables, which a
    /// Pod may set for all its containers alike, they are passed over there.
    fn environment(&self, option: &Opt) -> Option<Given> {
        // As a rule there is none, and twenty names need not be made and looked up.
        if self.variables.0.is_empty() || (self.deciding && !option.decides) {
            return None;
        }
        let from = option.variable()?;
        let value = self.variables.value(&from)?.to_owned();
        let belongs = match self.role {
            Some(Role::Main) => option.is_of(options::MAIN),
            Some(Role::Sidecar) => option.is_of(options::SIDECAR),
            None => true,
        };
        belongs.then_some(Given { option: *option, from, value })
    }

    /// What is given, by a flag or by a variable.
    pub(crate) fn find(&self, option: &Opt) -> Option<Given> {
        match self.flags.try_get_one::<OsString>(option.name) {
            Ok(Some(value)) => Some(flag(option, value)),
            // Not given, or no option of this subcommand.
            Ok(None) | Err(_) => self.environment(option),
        }
    }

    /// What is given, or what counts otherwise, made of its text.
    pub(crate) fn value<T>(&self, option: &Opt, make: impl Fn(&Given) -> Result<T>) -> Result<T> {
        let otherwise = || flag(option, OsStr::new(option.default().unwrap_or_default()));
        make(&self.find(option).unwrap_or_else(otherwise))
    }

    /// What is given, made of its text; nothing, if it is not.
    pub(crate) fn maybe<T>(&self, option: &Opt, make: impl Fn(&Given) -> Result<T>) -> Result<Option<T>> {
        self.find(option).map(|given| make(&given)).transpose()
    }

    pub(crate) fn switch(&self, option: &Opt) -> Result<bool> {
        if self.flags.get_flag(option.name) {
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

    pub(crate) fn choice<T: Copy>(&self, option: &Opt, choices: &[(&str, T)]) -> Result<T> {
        self.value(option, |given| given.choice(choices))
    }

    /// All values of an option that may be repeated. In the environment they are separated by blanks or line breaks; a
    /// condition that has blanks in it (`exec:`) stands on a line of its own.
    pub(crate) fn all(&self, option: &Opt) -> Vec<Given> {
        if let Some(values) = cli::values(self.flags, option.name) {
            return values.map(|value| flag(option, value)).collect();
        }
        let Some(Given { from, value, .. }) = self.environment(option) else { return Vec::new() };
        let Some(text) = value.to_str() else { return vec![Given { option: *option, from, value }] };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let parts = lines
            .flat_map(|line| if line.starts_with("exec:") { vec![line] } else { line.split_whitespace().collect() });
        parts.map(|part| Given { option: *option, from: from.clone(), value: part.into() }).collect()
    }

    /// Whether SIGTERM is held back, and for how long. In the environment it may also be switched on and off by a word.
    pub(crate) fn outlive_main(&self) -> Result<(bool, Duration)> {
        let option = &options::OUTLIVE_MAIN;
        let default = || flag(option, OsStr::new(option.default().unwrap_or_default())).duration();
        let Some(given) = self.find(option) else { return Ok((false, default()?)) };
        match given.value.to_str() {
            Some("true" | "yes" | "on") => Ok((true, default()?)),
            // As for the switches; behind the flag it is a second, as any number is.
            Some("1") if !given.from.starts_with('-') => Ok((true, default()?)),
            Some("false" | "no" | "off" | "0") => Ok((false, default()?)),
            _ => Ok((true, given.duration()?)),
        }
    }

    /// Refuses values with a variable in them that nobody has filled in. What a shell is to read (`exec:`) is its own.
    pub(crate) fn refuse_what_was_not_filled_in(&self) -> Result<()> {
        let options = options::ALL.iter().filter(|option| option.value().is_some());
        // As it is read: a variable of an option that is not repeated holds one value, whatever stands between its words.
        let as_read =
            |option: &Opt| if option.repeatable { self.all(option) } else { Vec::from_iter(self.find(option)) };
        for given in options.flat_map(as_read) {
            let text = given.value.to_str().filter(|text| !text.starts_with("exec:")).unwrap_or_default();
            if let Some(variable) = unfilled(text) {
                bail!(
                    "{}: the variable {variable} was not filled in; Kubernetes fills in $(NAME) alone, from what stands before \
                     it in this container's env",
                    given.from
                );
            }
        }
        Ok(())
    }

    /// Refuses flags of the other mode.
    pub(crate) fn refuse_options_of_the_other_mode(&self) -> Result<()> {
        let (others, own, mode) = match self.role {
            Some(Role::Main) => (options::SIDECAR, options::MAIN, "sidecar"),
            _ => (options::MAIN, options::SIDECAR, "main"),
        };
        for option in options::of(others).filter(|option| !option.is_of(own)) {
            let given = match option.value() {
                Some(_) => cli::values(self.flags, option.name).is_some(),
                None => self.flags.get_flag(option.name),
            };
            ensure!(!given, "--{} belongs to --mode {mode}", option.name);
        }
        Ok(())
    }
}

/// The reference to a variable in a text that nobody has filled in: `$(NAME)`, which Kubernetes leaves as it is where it does
/// not know the name, or `${NAME}`, which it does not know.
fn unfilled(text: &str) -> Option<&str> {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.match_indices('$').find_map(|(at, _)| {
        let reference = text.get(at..)?;
        let close = if reference.starts_with("$(") { ')' } else { '}' };
        let end = reference.find(close)?;
        let name = reference.get(..end)?.strip_prefix(['$'])?.strip_prefix(['(', '{'])?;
        (!name.is_empty() && name.chars().all(letter)).then(|| reference.get(..=end))?
    })
}

fn flag(option: &Opt, value: &OsStr) -> Given {
    Given { option: *option, from: format!("--{}", option.name), value: value.to_owned() }
}

/// Understands `500ms`, `30s`, `5m`, `1h30m`, or plain seconds.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration> {
    let parsed = match text.parse::<u64>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        // There it is a month, and whoever writes 5M means minutes.
        Err(_) if text.contains('M') => Err(()),
        Err(_) => humantime::parse_duration(text).map_err(|_| ()),
    };
    match parsed {
        Ok(duration) if duration <= LONGEST_DURATION => Ok(duration),
        Ok(_) => bail!("\"{text}\" is longer than a year"),
        Err(()) => bail!("\"{text}\" is not a duration; write 500ms, 30s, 5m, 1h30m, or plain seconds"),
    }
}
