//! The command line and the variables, as a person, a template or a Pod's author writes them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use exeunt::condition::Condition;
use exeunt::machine::Role;
use exeunt::plan::{self, Plan};
use exeunt::reading::{self, Reading, Scene, Wanted};
use exeunt::settings::Variables;
use exeunt::stage::names;
use exeunt::url::Url;
use exeunt::{cli, signal};

/// The input is words with NULs between them. `EXEUNT_NAME=VALUE` is a variable as long as nothing else came before it.
pub fn command_line(input: &[u8]) {
    let mut variables = Vec::new();
    let mut words = Vec::new();
    for word in input.split(|byte| *byte == 0).take(64) {
        let assignment = word.strip_prefix(b"EXEUNT_").and_then(|_| word.iter().position(|byte| *byte == b'='));
        match assignment {
            Some(place) if words.is_empty() => {
                let (name, value) = (OsStr::from_bytes(&word[..place]), OsStr::from_bytes(&word[place + 1..]));
                variables.push((name.to_owned(), value.to_owned()));
            }
            _ => words.push(OsStr::from_bytes(word).to_owned()),
        }
    }
    understand(words, Variables::among(variables));
}

fn understand(words: Vec<OsString>, variables: Variables) {
    if let Some(command) = words.first().and_then(|word| cli::subcommand(word.to_str()?)) {
        let by_all = command.clone().try_get_matches_from(&words[1..]);
        // What is defined for these words alone reads what all of it would have read.
        let own = cli::subcommand_of(command.get_name(), &words[1..]).expect("the same subcommand");
        let read = |flags: &clap::ArgMatches| -> Vec<Option<Vec<OsString>>> {
            let raw = |name: &str| flags.try_get_raw(name).ok().flatten().map(|raw| raw.map(OsString::from).collect());
            command.get_arguments().map(|argument| raw(argument.get_id().as_str())).collect()
        };
        let by_own = own.try_get_matches_from(&words[1..]);
        assert_eq!(by_own.as_ref().ok().map(read), by_all.as_ref().ok().map(read), "{words:?}");
        match by_all {
            Ok(flags) => subcommand(&flags, &variables),
            Err(error) => super::is_sayable(&cli::complaint_of(&command, &error, &words)),
        }
        return;
    }
    let whole: Vec<OsString> = [OsString::from("exeunt")].into_iter().chain(words.iter().cloned()).collect();
    let scene = Scene {
        variables,
        working_directory: Some("/here".into()),
        filled_in: words.len() > 3,
        has_directory: &|_| words.len() > 3,
    };
    // Whatever is wrong with it: what can be read of it is a plan that starts nothing, or none.
    let failed = reading::of_a_failure(&whole, &scene);
    assert!(failed.is_none_or(|plan| plan.failed && plan.policy.role == Role::Main));
    // As `read` does it, which leaves its parser to the end of the process.
    let reading = reading::read_by(&mut cli::parser_of(&whole), &whole, &scene);
    // It defines no more options than the words name, and reads what all of them would have read.
    let by_all = reading::read_by(&mut cli::parser(), &whole, &scene);
    assert_eq!(told(&reading), told(&by_all), "{words:?}");
    reading.warnings.iter().for_each(|warning| super::is_sayable(warning));
    match reading.wanted {
        Ok(Wanted::Help | Wanted::Version) => {}
        Ok(Wanted::Run(plan)) => is_a_plan(reading.mode, &plan, &words),
        Err(error) => super::is_sayable(&format!("{error:#}")),
    }
}

/// All of it but the backtrace of an error.
fn told(reading: &Reading) -> String {
    let Reading { level, format, mode, wanted, warnings } = reading;
    let wanted = wanted.as_ref().map_err(|error| format!("{error:#}"));
    format!("{level:?} {format:?} {mode} {wanted:?} {warnings:?}")
}

fn is_a_plan(mode: &str, plan: &Plan, words: &[OsString]) {
    assert!(words.ends_with(&plan.command), "the command is passed on word for word: {:?}", plan.command);
    assert!(plan.command.first().is_some_and(|program| !program.is_empty()));
    let role = plan.policy.role;
    assert_eq!(mode == "main", role == Role::Main);
    assert!(plan.dir.is_absolute(), "{:?}", plan.dir);
    let is_name = |name: &String| names::check(name).is_ok();
    assert!(plan.name.iter().chain(&plan.until).chain(&plan.stop_with).all(is_name));
    assert!(plan.until.iter().chain(&plan.stop_with).all(|name| Some(name) != plan.name.as_ref()));
    for (place, name) in plan.until.iter().enumerate() {
        assert!(!plan.until[..place].contains(name), "{name} is awaited twice");
    }
    match role {
        Role::Main => assert!(plan.name.is_some() && plan.until.is_empty()),
        Role::Sidecar => assert!(!plan.until.is_empty() && plan.on_exit.is_empty() && plan.stop_with.is_none()),
    }
    if let Some(run_id) = &plan.run_id {
        assert!((1..=256).contains(&run_id.len()) && !run_id.contains(char::is_control), "{run_id:?}");
    }
    for time in [plan.grace, plan.wait_timeout, plan.outlive_main] {
        assert!(time <= Duration::from_secs(365 * 24 * 3600), "{time:?}");
    }
    let signal = plan.policy.stop_signal;
    assert!((1..=64).contains(&signal) && ![signal::KILL, signal::STOP, signal::CHLD].contains(&signal));
    assert!(plan.on_exit.iter().all(|url| Url::parse(&url.to_string()).as_ref().ok() == Some(url)));
    assert_eq!(plan.policy.gated, !plan.wait_for.is_empty());
    for condition in plan.wait_for.iter().chain(&plan.ready_when) {
        assert_eq!(Condition::parse(&condition.to_string()).ok().as_ref(), Some(condition));
    }
}

fn subcommand(flags: &clap::ArgMatches, variables: &Variables) {
    let (level, format) = reading::report(flags, variables);
    for error in [level.err(), format.err()].into_iter().flatten() {
        super::is_sayable(&format!("{error:#}"));
    }
    match plan::surroundings(flags, variables) {
        Ok((_, run_id, limit)) => {
            assert!(run_id.is_none_or(|run_id| (1..=256).contains(&run_id.len())));
            assert!(limit <= Duration::from_secs(365 * 24 * 3600), "{limit:?}");
        }
        Err(error) => super::is_sayable(&format!("{error:#}")),
    }
}
