//! The command line and the variables, as a person, a template or a Pod's author writes them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;
use std::time::Duration;

use exeunt::condition::Condition;
use exeunt::http::Url;
use exeunt::machine::Role;
use exeunt::plan::{self, Plan};
use exeunt::{cli, probe};

/// There is one environment.
static ENVIRONMENT: Mutex<()> = Mutex::new(());

/// The input is words with NULs between them. `EXEUNT_NAME=VALUE` is a variable as long as nothing else came before it.
pub fn command_line(input: &[u8]) {
    let _alone = ENVIRONMENT.lock();
    // The program looks once whether there is any variable of its own; and it asks for these by name alone.
    let mut variables = vec![OsString::from("EXEUNT_")];
    set(OsStr::new("EXEUNT_"), OsStr::new("1"));
    let mut words = Vec::new();
    for word in input.split(|byte| *byte == 0).take(64) {
        let assignment = word.strip_prefix(b"EXEUNT_").and_then(|_| word.iter().position(|byte| *byte == b'='));
        match assignment {
            Some(place) if words.is_empty() => {
                let (name, value) = (OsStr::from_bytes(&word[..place]), OsStr::from_bytes(&word[place + 1..]));
                set(name, value);
                variables.push(name.to_owned());
            }
            _ => words.push(OsStr::from_bytes(word).to_owned()),
        }
    }
    understand(words);
    for name in variables {
        // SAFETY: as in `set`.
        unsafe { std::env::remove_var(name) };
    }
}

fn set(name: &OsStr, value: &OsStr) {
    // SAFETY: whatever reads the environment beside us does so through the standard library, which takes a lock.
    unsafe { std::env::set_var(name, value) };
}

fn understand(words: Vec<OsString>) {
    if let Some(command) = words.first().and_then(|word| cli::subcommand(word.to_str()?)) {
        match command.clone().try_get_matches_from(&words[1..]) {
            Ok(flags) => subcommand(&flags),
            Err(error) => super::is_sayable(&cli::complaint_of(&command, &error)),
        }
        return;
    }
    let whole: Vec<OsString> = [OsString::from("exeunt")].into_iter().chain(words.iter().cloned()).collect();
    // Whatever is wrong with it: what can be read of it is a plan that starts nothing, or none.
    let failed = Plan::of_a_failure(&cli::readable(&whole));
    assert!(failed.is_none_or(|plan| plan.failed && plan.policy.role == Role::Main));
    let flags = match cli::command().try_get_matches_from(whole) {
        Ok(flags) => flags,
        Err(error) => return super::is_sayable(&cli::complaint_of(&cli::command(), &error)),
    };
    let (level, format) = plan::report(&flags);
    for error in [level.err(), format.err()].into_iter().flatten() {
        super::is_sayable(&format!("{error:#}"));
    }
    let planned = plan::role(&flags).and_then(|role| Ok((role, Plan::new(&flags, role)?)));
    match planned {
        Ok((role, plan)) => is_a_plan(role, &plan, &words),
        Err(error) => super::is_sayable(&format!("{error:#}")),
    }
}

fn is_a_plan(role: Role, plan: &Plan, words: &[OsString]) {
    assert!(words.ends_with(&plan.command), "the command is passed on word for word: {:?}", plan.command);
    assert!(plan.command.first().is_some_and(|program| !program.is_empty()));
    assert_eq!(plan.policy.role, role);
    assert!(plan.dir.is_absolute(), "{:?}", plan.dir);
    let is_name = |name: &String| plan::name(name).is_ok();
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
    assert!((1..=64).contains(&signal) && ![libc::SIGKILL, libc::SIGSTOP, libc::SIGCHLD].contains(&signal.into()));
    assert!(plan.on_exit.iter().all(|url| Url::parse(&url.to_string()).as_ref().ok() == Some(url)));
    assert_eq!(plan.policy.gated, !plan.wait_for.is_empty());
    for condition in plan.wait_for.iter().chain(&plan.ready_when) {
        assert_eq!(Condition::parse(&condition.to_string()).ok().as_ref(), Some(condition));
    }
}

fn subcommand(flags: &clap::ArgMatches) {
    let (level, format) = plan::report(flags);
    for error in [level.err(), format.err()].into_iter().flatten() {
        super::is_sayable(&format!("{error:#}"));
    }
    match plan::surroundings(flags, probe::LIMIT) {
        Ok((_, run_id, limit)) => {
            assert!(run_id.is_none_or(|run_id| (1..=256).contains(&run_id.len())));
            assert!(limit <= Duration::from_secs(365 * 24 * 3600), "{limit:?}");
        }
        Err(error) => super::is_sayable(&format!("{error:#}")),
    }
}
