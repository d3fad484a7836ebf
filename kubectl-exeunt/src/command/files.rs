//! Files in and out.

use crate::yaml::{File, Limits, Place, Refusal, TEMPLATE, Text};
use anyhow::Context as _;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// Reads a manifest; `-` is standard input.
///
/// # Errors
/// It is not there, or cannot be read as YAML.
pub fn read(name: &OsStr) -> Result<File, Refusal> {
    text(name)?.whole()
}

fn text(name: &OsStr) -> Result<Text, Refusal> {
    let shown = name.to_string_lossy();
    // Of what never comes to its end no more is read than a file may have, and one byte that says so.
    let most = Limits::default().bytes as u64 + 1;
    let bytes = if name == "-" {
        all_of(std::io::stdin().lock(), most)
    } else {
        fs::File::open(name).and_then(|file| all_of(file, most))
    };
    let shown = if name == "-" { "standard input" } else { &shown };
    let unreadable = |error: std::io::Error| Refusal {
        file: shown.to_owned(),
        place: Place { line: 1, column: 1 },
        message: format!("this file cannot be read: {error}"),
    };
    Text::new(shown, bytes.map_err(unreadable)?)
}

fn all_of(from: impl std::io::Read, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most).read_to_end(&mut bytes).map(|_| bytes)
}

/// The same of what has to be a manifest, and not the template of one: a file of a chart that has something to be filled in.
///
/// # Errors
/// As [`read`], and such a template.
pub fn manifest(name: &OsStr) -> Result<File, Refusal> {
    manifests(name)?.whole()
}

/// The text of it, to be read some documents at a time.
///
/// # Errors
/// It is not there, or no text, or such a template.
pub fn manifests(name: &OsStr) -> Result<Text, Refusal> {
    let text = text(name)?;
    match text.braces().filter(|_| name != "-" && is_in_chart(Path::new(name))) {
        Some(place) => Err(Refusal { file: text.name().to_owned(), place, message: TEMPLATE.to_owned() }),
        None => Ok(text),
    }
}

/// Is it below the directory `templates` of a chart?
fn is_in_chart(file: &Path) -> bool {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let templates = file.ancestors().filter(|above| above.file_name().is_some_and(|name| name == "templates"));
    templates.filter_map(Path::parent).any(|chart| chart.join("Chart.yaml").is_file())
}

/// Whoever reads standard output has gone. That is no failure that anybody wants to read about.
#[derive(Debug)]
pub struct NobodyReads;

impl std::fmt::Display for NobodyReads {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("nobody reads standard output any more")
    }
}

impl std::error::Error for NobodyReads {}

/// What was asked for, to standard output.
///
/// # Errors
/// It cannot be written: nobody may take half a manifest for a whole one.
pub fn say(text: &str) -> anyhow::Result<()> {
    match output().and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.flush())) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(NobodyReads.into()),
        // EBADF, wherever there is one.
        Err(error) if error.raw_os_error() == Some(9) => {
            anyhow::bail!("error: standard output is closed, and what was asked for goes there; leave out >&-")
        }
        written => written.context("error: standard output cannot be written"),
    }
}

/// Standard output itself: to std's, one that is closed takes everything.
#[cfg(unix)]
fn output() -> std::io::Result<fs::File> {
    use std::os::fd::AsFd as _;
    std::io::stdout().as_fd().try_clone_to_owned().map(fs::File::from)
}

#[cfg(not(unix))]
fn output() -> std::io::Result<std::io::Stdout> {
    Ok(std::io::stdout())
}

/// Puts something in place of standard input, output and error where they are closed, that no file is opened as one of them:
/// /dev/null, which can be read and not be written, so that [`say`] fails.
#[cfg(unix)]
pub fn fill_in_standard_files() {
    use std::os::fd::{AsRawFd as _, IntoRawFd as _};
    // The lowest number that is free is taken each time.
    while let Ok(nothing) = fs::File::open("/dev/null") {
        if nothing.as_raw_fd() > 2 {
            break;
        }
        let _ = nothing.into_raw_fd();
    }
}

/// Nothing is known of closed ones elsewhere.
#[cfg(not(unix))]
pub fn fill_in_standard_files() {}

/// A line for people, to standard error. Where that cannot be written, nobody is left to tell, and the exit code says it.
pub fn tell(line: &str) {
    _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Replaces a file by another with the same mode and owner, at once: whoever reads it sees the old or the new text. What a
/// symbolic link points to is replaced, not the link.
///
/// # Errors
/// The directory cannot be written, or the owner not be kept; the file is as it was then.
pub fn replace(name: &Path, text: &str) -> anyhow::Result<()> {
    let shown = name.display();
    written(name, text).with_context(|| format!("{shown}: error: this file cannot be replaced, and is as it was"))
}

fn written(name: &Path, text: &str) -> std::io::Result<()> {
    let target = fs::canonicalize(name)?;
    let directory = target.parent().unwrap_or(Path::new("."));
    let before = fs::metadata(&target)?;
    if !before.is_file() {
        return Err(std::io::Error::other("it is no regular file; leave out -i"));
    }
    let file = target.file_name().unwrap_or_default().to_string_lossy();
    let temporary = directory.join(format!(".{file}.exeunt-{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut out = for_us_alone().open(&temporary)?;
        out.write_all(text.as_bytes())?;
        keep_owner(&out, &before)?;
        // After the owner, whose change takes away the set-id bits.
        out.set_permissions(before.permissions())?;
        out.sync_all()?;
        drop(out);
        fs::rename(&temporary, &target)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// A new file that nobody else can read before it has the mode of the one that it replaces.
fn for_us_alone() -> fs::OpenOptions {
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn keep_owner(new: &fs::File, before: &fs::Metadata) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let now = new.metadata()?;
    let other = |now: u32, before: u32| (now != before).then_some(before);
    let (user, group) = (other(now.uid(), before.uid()), other(now.gid(), before.gid()));
    if user.is_some() || group.is_some() { fchown(new, user, group) } else { Ok(()) }
}

#[cfg(not(unix))]
fn keep_owner(_: &fs::File, _: &fs::Metadata) -> std::io::Result<()> {
    Ok(())
}

/// What has changed, as `diff -u` shows it. Lines are never moved here, only put in, taken out or changed in place.
pub fn diff(name: &str, before: &str, after: &str) -> String {
    const CONTEXT: usize = 3;
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let changes = changes(&old, &new);
    let mut out = String::new();
    let mut number = 0;
    while let Some((first_old, first_new)) = changes.get(number) {
        if out.is_empty() {
            out = format!("--- {name}\n+++ {name}\n");
        }
        let mut last = number;
        while changes
            .get(last + 1)
            .is_some_and(|(next, _)| changes.get(last).is_some_and(|(this, _)| next.start - this.end <= 2 * CONTEXT))
        {
            last += 1;
        }
        let Some((last_old, last_new)) = changes.get(last) else { break };
        let lead = first_old.start.min(CONTEXT);
        let tail = (old.len() - last_old.end).min(CONTEXT);
        let (old_start, new_start) = (first_old.start - lead, first_new.start - lead);
        out += &format!(
            "@@ -{},{} +{},{} @@\n",
            old_start + 1,
            last_old.end + tail - old_start,
            new_start + 1,
            last_new.end + tail - new_start
        );
        let mut line = |mark: char, text: Option<&&str>| {
            let text = text.copied().unwrap_or("");
            out.push(mark);
            out += text.strip_suffix('\n').unwrap_or(text);
            out += if text.ends_with('\n') { "\n" } else { "\n\\ No newline at end of file\n" };
        };
        let mut at = old_start;
        for (was, is) in changes.get(number..=last).unwrap_or(&[]) {
            (at..was.start).for_each(|n| line(' ', old.get(n)));
            was.clone().for_each(|n| line('-', old.get(n)));
            is.clone().for_each(|n| line('+', new.get(n)));
            at = was.end;
        }
        (at..at + tail).for_each(|n| line(' ', old.get(n)));
        number = last + 1;
    }
    out
}

type Changes = Vec<(std::ops::Range<usize>, std::ops::Range<usize>)>;

/// The fewest lines to take out and put in, as (old lines, new lines): Myers' greedy search.
fn changes(old: &[&str], new: &[&str]) -> Changes {
    const MOST: usize = 1500;
    let mut furthest: Vec<std::collections::HashMap<isize, usize>> = Vec::new();
    let reached = |row: &std::collections::HashMap<isize, usize>, diagonal: isize| row.get(&diagonal).copied();
    let whole = || vec![(0..old.len(), 0..new.len())];
    let goal = (old.len() as isize) - (new.len() as isize);
    let mut row = std::collections::HashMap::from([(1_isize, 0_usize)]);
    let distance = 'search: {
        for distance in 0..=MOST as isize {
            furthest.push(row.clone());
            let mut next = row.clone();
            for diagonal in (-distance..=distance).step_by(2) {
                let (left, right) = (reached(&row, diagonal - 1), reached(&row, diagonal + 1));
                let mut x = match (left, right) {
                    (Some(left), Some(right)) if diagonal != -distance && (diagonal == distance || left >= right) => {
                        left + 1
                    }
                    (Some(left), None) => left + 1,
                    (_, Some(right)) => right,
                    (None, None) => continue,
                };
                let Ok(mut y) = usize::try_from(x as isize - diagonal) else { continue };
                if x > old.len() || y > new.len() {
                    continue;
                }
                while x < old.len() && old.get(x) == new.get(y) {
                    (x, y) = (x + 1, y + 1);
                }
                next.insert(diagonal, x);
                if diagonal == goal && x == old.len() {
                    break 'search distance;
                }
            }
            row = next;
        }
        return whole();
    };
    // The way back, one step for each round.
    let (mut x, mut y) = (old.len(), new.len());
    let mut steps: Changes = Vec::new();
    for distance in (1..=distance).rev() {
        let Some(row) = furthest.get(distance as usize) else { return whole() };
        let diagonal = x as isize - y as isize;
        let (left, right) = (reached(row, diagonal - 1), reached(row, diagonal + 1));
        let from_left = match (left, right) {
            (Some(left), Some(right)) => diagonal != -distance && (diagonal == distance || left >= right),
            (left, _) => left.is_some(),
        };
        let (from_x, from_diagonal) =
            if from_left { (left.unwrap_or(0), diagonal - 1) } else { (right.unwrap_or(0), diagonal + 1) };
        let from_y = usize::try_from(from_x as isize - from_diagonal).unwrap_or(0);
        steps.push(if from_left { (from_x..from_x + 1, from_y..from_y) } else { (from_x..from_x, from_y..from_y + 1) });
        (x, y) = (from_x, from_y);
    }
    let mut changes: Changes = Vec::new();
    for (was, is) in steps.into_iter().rev() {
        match changes.last_mut() {
            Some((old, new)) if old.end == was.start && new.end == is.start => (old.end, new.end) = (was.end, is.end),
            _ => changes.push((was, is)),
        }
    }
    changes
}
