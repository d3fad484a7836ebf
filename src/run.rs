//! The program, from its words to its exit code.

use crate::reading::{self, Scene, Wanted};
use crate::report::Report;
use crate::settings::Variables;
use crate::sys::{self, signals::Signals};
use crate::url::Url;
use crate::{cli, condition, exit, install, options, plan, probe, stage, status, supervisor, words};
use std::ffi::OsString;
use std::mem::ManuallyDrop;

/// Runs the program: the words of the command line in, the exit code out. Every signal must be blocked.
pub fn run(words: Vec<OsString>) -> u8 {
    let rest = words.get(2..).unwrap_or_default();
    if let Some(command) = words.get(1).and_then(|word| cli::subcommand_of(word.to_str()?, rest)) {
        // No init is wanted here, but an ordinary program, which a signal ends. Its sockets are nobody's standard error.
        sys::descriptors::keep_standard_numbers_free();
        sys::signals::unblock_all();
        return subcommand(command, rest);
    }
    let signals = Signals::catch();
    sys::descriptors::keep_standard_numbers_free();

    let scene = scene();
    let reading = reading::read(&words, &scene);
    let report = Report { level: reading.level, format: reading.format, mode: reading.mode };
    match (reading.wanted, signals) {
        (Ok(Wanted::Help), _) => print(&cli::command().render_help().to_string()),
        (Ok(Wanted::Version), _) => print(&format!("exeunt {}\n", env!("CARGO_PKG_VERSION"))),
        (Ok(Wanted::Run(plan)), Ok(signals)) => {
            reading.warnings.iter().for_each(|warning| report.warning(warning));
            supervisor::run(*plan, signals, report)
        }
        (Ok(Wanted::Run(_)), Err(error)) => {
            let reason = words::io(&error);
            report.failure(&format!(
                "signals cannot be caught: {reason}; the seccomp profile must allow rt_sigaction and rt_sigprocmask"
            ));
            fail(&words, &scene, Signals::none(), report)
        }
        (Err(error), signals) => {
            report.failure(&words::chain(&error));
            fail(&words, &scene, signals.unwrap_or_else(|_| Signals::none()), report)
        }
    }
}

/// Where we are.
fn scene() -> Scene<'static> {
    Scene {
        variables: variables(),
        working_directory: std::env::current_dir().ok(),
        filled_in: true,
        has_directory: &|path| path.is_dir(),
    }
}

/// Our own variables. As a rule there is none, and std would make a copy of each.
fn variables() -> Variables {
    if sys::environment::entries().any(|entry| entry.starts_with(options::PREFIX.as_bytes())) {
        Variables::among(std::env::vars_os())
    } else {
        Variables::default()
    }
}

/// The way out of a run that cannot begin, a command line that is wrong as a rule, with the code for it. If it is a main's, its
/// sidecars must not wait for ever for a job that never began: its end is published, as far as it can be read whose that is,
/// where, and whether for good.
fn fail(words: &[OsString], scene: &Scene<'_>, signals: Signals, mut report: Report) -> u8 {
    let Some(plan) = reading::of_a_failure(words, scene) else { return exit::OURS };
    report.mode = "main";
    supervisor::run(plan, signals, report)
}

fn subcommand(parser: clap::Command, words: &[OsString]) -> u8 {
    // Nothing is taken down again that the end of the process takes along.
    let mut parser = ManuallyDrop::new(parser);
    let name = parser.get_name().to_owned();
    let whole = || cli::subcommand(&name).unwrap_or_default();
    let mut report = Report::early();
    report.mode = match &*name {
        "probe" => "probe",
        "install" => "install",
        "reset" => "reset",
        "status" => "status",
        // Its warnings are main's, on whose behalf it runs.
        _ => "main",
    };
    let parsed = parser.try_get_matches_from_mut(words).or_else(|_| whole().try_get_matches_from(words));
    let flags = match parsed {
        Ok(flags) => flags,
        Err(error) => {
            let complaint = cli::complaint_of(&whole(), &error, words);
            report.error(&format!("{complaint}; see exeunt {} --help", report.mode));
            return exit::OURS;
        }
    };
    if let Some(missing) = cli::missing_value(&flags, &parser) {
        report.error(&missing);
        return exit::OURS;
    }
    if flags.get_flag("help") {
        return print(&whole().render_help().to_string());
    }
    let (level, format) = reading::report(&flags, &variables());
    report.format = *format.as_ref().unwrap_or(&report.format);
    let outcome = level.and_then(|level| {
        report.level = level;
        format?;
        perform(report, &flags)
    });
    outcome.unwrap_or_else(|error| {
        report.error(&words::chain(&error));
        exit::OURS
    })
}

fn perform(report: Report, flags: &clap::ArgMatches) -> anyhow::Result<u8> {
    use anyhow::{Context, ensure};
    let words = || flags.get_many::<OsString>("words").into_iter().flatten();
    let texts =
        || words().map(|word| word.to_str().with_context(|| format!("\"{}\" is not UTF-8 text", word.display())));
    match report.mode {
        "probe" => {
            // A time that is missing has taken the condition for itself.
            let (dir, run_id, limit) = plan::surroundings(flags, &variables())?;
            let conditions =
                texts().map(|text| condition::Condition::parse(text?)).collect::<anyhow::Result<Vec<_>>>()?;
            ensure!(
                !conditions.is_empty(),
                "no condition is given; use http://, tcp://, unix:///, file:///, exec:COMMAND or a NAME"
            );
            let surroundings = probe::Surroundings { dir: &dir, run_id: run_id.as_deref(), limit };
            Ok(probe::run(&conditions, &surroundings, report))
        }
        "install" => {
            let mut words = words();
            let (Some(path), None) = (words.next(), words.next()) else {
                anyhow::bail!("one path is wanted: exeunt install PATH")
            };
            if flags.get_flag("reset") {
                let (dir, ..) = plan::surroundings(flags, &variables())?;
                reset(&dir, &report)?;
            }
            install::run(std::path::Path::new(path)).map(|()| 0)
        }
        "reset" => {
            ensure!(words().next().is_none(), "reset takes no word; name the directory with --dir");
            let (dir, ..) = plan::surroundings(flags, &variables())?;
            reset(&dir, &report).map(|()| 0)
        }
        "status" => {
            ensure!(words().next().is_none(), "status takes no word; name the directory with --dir");
            let (dir, run_id, _) = plan::surroundings(flags, &variables())?;
            let show = || status::run(&dir, run_id.as_deref(), flags.get_flag("json"), &report);
            if !flags.get_flag("watch") {
                return Ok(print(&show()?));
            }
            status::watch(show, |text| print(text) == 0)
        }
        _ => {
            let urls = texts().map(|text| Url::parse(text?)).collect::<anyhow::Result<Vec<_>>>()?;
            Ok(probe::goodbye(&urls, report))
        }
    }
}

/// Begins anew in a directory that may hold lives of an earlier round. Who lives there still is named: it is seldom meant.
fn reset(dir: &std::path::Path, report: &Report) -> anyhow::Result<()> {
    let reset = stage::reset::run(&stage::Directory::open(dir)?)?;
    if !reset.alive.is_empty() {
        report.warning(&format!("{} lives in {} and stays", reset.alive.join(", "), dir.display()));
    }
    Ok(())
}

/// Writes what was asked for to standard output.
fn print(text: &str) -> u8 {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Ok(()) => 0,
        Err(error) => {
            // Whoever has closed it has read what he wanted.
            if error.kind() != std::io::ErrorKind::BrokenPipe {
                Report::early().error(&format!("standard output cannot be written: {}", words::io(&error)));
            }
            exit::OURS
        }
    }
}
