//! Who may import whom: arrows point from the world towards the machine, which points at nothing.

#[path = "house/here.rs"]
mod here;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// From the core to the world. Each names those before it alone, so there is no circle.
const ORDER: [&str; 31] = [
    // What decides. It compiles on every system.
    "machine",
    "exit",
    "signal",
    "url",
    "codes",
    "options",
    "stage/names",
    "stage/conclude",
    "stage/record",
    "condition",
    "cli",
    "settings",
    "plan",
    "reading",
    // What acts. It is built on Linux.
    "words",
    "sys",
    "report",
    "http",
    "stage/directory",
    "stage/file",
    "stage/observe",
    "stage/publish",
    "stage/reset",
    "stage/watch",
    "stage/alarm",
    "stage",
    "probe",
    "install",
    "status",
    "supervisor",
    "run",
];
const FIRST_THAT_ACTS: &str = "words";

#[test]
fn every_arrow_points_towards_the_core() {
    let places: BTreeMap<&str, usize> = ORDER.iter().enumerate().map(|(place, module)| (*module, place)).collect();
    let mut seen = Vec::new();
    for (module, text) in modules() {
        let own = *places.get(module.as_str()).unwrap_or_else(|| panic!("src/{module}.rs has no place in ORDER"));
        for named in named_in(&module, &text) {
            // What the stage shows to others is whatever a file of it has.
            let to = places.get(named.as_str()).unwrap_or_else(|| panic!("{module} names {named}: what is that?"));
            assert!(*to <= own, "{module} names {named}, which stands nearer to the world");
            seen.push((own, *to));
        }
    }
    assert!(seen.len() > 60, "only {} arrows were found; is this test still looking at them?", seen.len());
}

#[test]
fn what_decides_is_for_every_system_and_what_acts_for_linux() {
    let begins = ORDER.iter().position(|module| *module == FIRST_THAT_ACTS).expect("its place");
    let declared = here::read("src/lib.rs") + &here::read("src/stage.rs");
    for (place, module) in ORDER.iter().enumerate().filter(|(_, module)| **module != "stage") {
        let name = module.rsplit('/').next().expect("a name");
        let lines: Vec<&str> = declared.lines().collect();
        let is_it = |line: &&str| [format!("pub mod {name};"), format!("mod {name};")].contains(&(*line).to_owned());
        let at = lines.iter().position(is_it).unwrap_or_else(|| panic!("{module} is not declared"));
        let linux = lines[at - 1] == "#[cfg(target_os = \"linux\")]";
        assert_eq!(linux, place >= begins, "{module}");
        let text = here::read(format!("src/{module}{}", if *module == "sys" { "/mod.rs" } else { ".rs" }));
        assert!(linux || !text.contains("target_os"), "{module} decides otherwise on another system");
        assert!(linux || !["libc::", "nix::", "std::env::"].iter().any(|door| text.contains(door)), "{module}");
    }
}

/// Each module with its text, that of its own files included; the files of the stage by themselves.
fn modules() -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut directories = vec![here::path("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the source") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let inner = path.strip_prefix(here::path("src")).expect("below src").with_extension("");
            let inner = inner.to_str().expect("a name").to_owned();
            let module = if inner.starts_with("stage/") { inner } else { first(&inner) };
            if !["main", "lib"].contains(&module.as_str()) {
                *found.entry(module).or_default() += &fs::read_to_string(&path).expect("a text");
            }
        }
    }
    found
}

fn first(path: &str) -> String {
    Path::new(path).iter().next().expect("a part").to_str().expect("a name").to_owned()
}

/// The modules that a text names: behind `crate::`, and behind `super::` in a file of the stage.
fn named_in(module: &str, text: &str) -> Vec<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for behind in code.split("crate::").skip(1) {
        for path in paths(behind) {
            let mut parts = path.split("::");
            let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let file = format!("stage/{second}");
            // The names of files are re-exported, for everybody who acts there.
            let is_file = first == "stage" && ORDER.contains(&file.as_str());
            found.push(if is_file { file } else { first.to_owned() });
        }
    }
    if module.starts_with("stage/") {
        let behind = code.split("super::").skip(1).flat_map(paths);
        let files = behind.map(|path| format!("stage/{}", path.split("::").next().unwrap_or_default()));
        found.extend(files.filter(|file| ORDER.contains(&file.as_str())));
    }
    found.retain(|named| named != module);
    found
}

/// The paths that begin here: one, or each of a list in braces.
fn paths(text: &str) -> Vec<String> {
    let whole = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || "_:".contains(*c)).collect();
    match text.strip_prefix('{') {
        Some(list) => list.split('}').next().unwrap_or_default().split(',').map(|one| whole(one.trim())).collect(),
        None => vec![whole(text)],
    }
}
