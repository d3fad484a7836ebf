//! Names, durations, conditions, addresses, signals: one word of a command line, of a variable, or of a file's name.

use std::path::Path;
use std::time::Duration;

use exeunt::condition::{Condition, Kind};
use exeunt::stage::{names, ready, running, terminated};
use exeunt::url::{self, Url};
use exeunt::{settings, signal};

/// The input is the word.
pub fn words(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    name(text);
    duration(text);
    url(text);
    signal(text);
    one_condition(text);
}

fn name(text: &str) {
    if let Err(error) = names::check(text) {
        super::is_sayable(&error.to_string());
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
        return;
    }
    for file in [running(text), ready(text), terminated(text), format!(".{}.new", terminated(text))] {
        assert!(file.len() <= 255 && !file.contains('\0'), "{file:?}");
        assert_eq!(Path::new(&file).file_name(), Some(file.as_ref()), "one component of a path");
        assert_eq!(Path::new(&file).components().count(), 1);
        assert!(!file.contains(char::is_control));
    }
    assert!(!text.contains(','), "a name is part of a list");
}

fn duration(text: &str) {
    match settings::duration(text) {
        Err(error) => super::is_sayable(&error.to_string()),
        Ok(time) => {
            assert!(time <= Duration::from_secs(365 * 24 * 3600), "{text:?} is {time:?}");
            let plainly = format!("{}s {}ns", time.as_secs(), time.subsec_nanos());
            assert_eq!(settings::duration(&plainly).ok(), Some(time), "{text:?}");
        }
    }
}

fn url(text: &str) {
    match Url::parse(text) {
        Err(error) => super::is_sayable(&error.to_string()),
        Ok(url) => {
            assert_eq!(url.to_string(), text);
            // What goes into a request is one line of it, and no more.
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
            assert!(url.target.starts_with('/') && !url.target.contains('#'), "{url:?}");
            assert!(url::is_address(&url.address), "{url:?}");
        }
    }
}

fn signal(text: &str) {
    let Some(number) = signal::number(text) else { return };
    assert!((1..=64).contains(&number), "{text:?} is {number}");
    let name = signal::name(number);
    if !name.contains(' ') {
        assert_eq!(signal::number(&name), Some(number), "{text:?} is {name}");
    }
}

fn one_condition(text: &str) {
    let condition = match Condition::parse(text) {
        Ok(condition) => condition,
        Err(error) => return super::is_sayable(&format!("{error:#}")),
    };
    assert_eq!(condition.to_string(), text);
    assert_eq!(Condition::parse(&condition.to_string()).ok().as_ref(), Some(&condition));
    match &condition.kind {
        Kind::Http(url) => assert_eq!(Url::parse(text).ok().as_ref(), Some(url)),
        Kind::Tcp(address) => assert!(url::is_address(address), "{address:?}"),
        Kind::Unix(path) | Kind::File(path) => {
            assert!(path.is_absolute() && !path.as_os_str().as_encoded_bytes().contains(&0), "{path:?}");
        }
        Kind::Exec(words) => {
            assert!(words.first().is_some_and(|word| !word.is_empty()), "{words:?}");
            assert!(words.iter().all(|word| !word.contains('\0')), "{words:?}");
        }
        Kind::Name(name) => assert!(names::check(name).is_ok() && condition.name() == Some(name)),
    }
}
