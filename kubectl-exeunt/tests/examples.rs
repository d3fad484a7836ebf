//! examples: each manifest of Kubernetes is what inject makes of its bare form, by the command that stands at its head.

mod house;

use house::repository;
use kubectl_exeunt::command::inject::eject;
use kubectl_exeunt::judge::judge;
use kubectl_exeunt::yaml::File;
use std::collections::BTreeSet;
use std::process::Command;

fn names(directory: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(repository(directory)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".yaml")).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

#[test]
fn every_example_is_what_inject_makes_of_its_bare_form() {
    let mut all = Vec::new();
    for directory in ["examples", "examples/envoy", "examples/kubernetes"] {
        let here = names(directory);
        assert_eq!(here, names(&format!("{directory}/bare")), "{directory}");
        all.extend(here.into_iter().map(|name| (directory, name)));
    }
    assert!(all.len() >= 11, "{all:?}");
    for (directory, name) in all {
        let (bare, with) = (format!("{directory}/bare/{name}"), format!("{directory}/{name}"));
        let text = read(&with);
        let told = text.lines().find_map(|line| line.strip_prefix("#     kubectl exeunt "));
        let words: Vec<&str> = told.unwrap_or_else(|| panic!("{name} names no command")).split(' ').collect();
        assert_eq!(words.last(), Some(&bare.as_str()), "{name}");
        let output = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"))
            .args(&words)
            .current_dir(repository(""))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !said.contains(" still "), "{name}: {said}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), text, "{name} is not what its command makes");
        let file = |path: &str| File::read(path, read(path).into_bytes()).unwrap();
        assert_eq!(eject(&file(&with)).unwrap(), read(&bare), "{name}");
        for (path, ends) in [(&bare, false), (&with, true)] {
            for one in judge(&file(path), &["main".to_owned()]).unwrap() {
                assert_eq!(one.verdict.name() == "ends", ends, "{path}: {} {}", one.verdict.name(), one.why);
            }
        }
    }
}
