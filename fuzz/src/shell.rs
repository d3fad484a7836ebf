//! Laws of the reading of shell text: whatever stands in a manifest, it is read in bounded time, and what is said of it hangs
//! together.

use kubectl_exeunt::judge::shell::{Call, calls, leaves_early, parse, script, strip, swallowed, walk, walk_as};

/// What was seen of one input.
#[derive(Debug, Default)]
pub struct Seen {
    /// It was understood.
    pub read: bool,
    /// Ways through it.
    pub paths: usize,
    /// Calls that are made on some of them.
    pub calls: usize,
}

/// Reads a script. Panics where a law is broken.
pub fn laws(input: &[u8]) -> Seen {
    let Ok(text) = std::str::from_utf8(input) else { return Seen::default() };
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    let (rest, _) = strip(&words);
    assert!(words.ends_with(rest), "what is stripped stands in front");
    if let Some(script) = script(&words) {
        assert!(words.iter().any(|word| word == script), "a script is one of the words");
    } else {
        assert!(!leaves_early(&words), "without a script there is no shell");
    }
    for call in calls(&words, &[]) {
        if let Call::Http { path, .. } = &call {
            assert!(path.starts_with('/'), "{path}");
        }
        assert!(!call.to_string().is_empty());
    }
    let _ = swallowed(&words);
    let Some(walked) = walk(text) else { return Seen::default() };
    assert!(parse(text).is_some(), "what is walked was parsed");
    let early = walk_as(text, true);
    let made = |walk: &kubectl_exeunt::judge::shell::Walk| {
        walk.paths.iter().flat_map(|path| path.calls.iter().cloned()).collect::<std::collections::BTreeSet<_>>()
    };
    let all = made(&walked);
    // A shell that leaves at the first failure does nothing that it would not do otherwise.
    if let Some(early) = early.filter(|_| !text.contains('$') && !text.contains("set")) {
        assert!(made(&early).is_subset(&all), "{:?} is not among {all:?}", made(&early));
    }
    // A comment behind it changes nothing, nor does a blank line before it.
    if !text.contains(['\\', '<']) {
        let again = walk(&format!("\n{text}\n# curl localhost/quitquitquit\n")).expect("it was understood before");
        assert_eq!(made(&again), all);
    }
    Seen { read: true, paths: walked.paths.len(), calls: all.len() }
}
