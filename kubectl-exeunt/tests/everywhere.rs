//! inject and eject over manifests that nobody has written for them: the same bytes again, or one clear refusal.
//!
//! EXEUNT_MANIFESTS names more directories to look through, separated by colons: a cache of Go modules, `node_modules`,
//! charts. What stands in one as a Deployment or a DaemonSet is played as a Job, since few write Jobs.

use kubectl_exeunt::command::inject::{Deliver, How, Injected, Wish, eject, inject, templates};
use kubectl_exeunt::yaml::{File, Node};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What became of a file under one wish.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Fate {
    /// No YAML.
    Unreadable,
    /// No Job in it, or none that needs exeunt.
    Nothing,
    /// Put in, taken out again, the same bytes.
    ThereAndBack,
    /// Something is not known, and nothing was put in.
    Missing,
    /// One line.
    Refused,
}

fn wishes() -> Vec<Wish> {
    let wish = |how, deliver| Wish {
        main: Vec::new(),
        how,
        deliver,
        image: "registry.example/exeunt:1".to_owned(),
        program: "exeunt".to_owned(),
        dir: "/run/exeunt".to_owned(),
        on_exit: vec![],
        entrypoints: BTreeMap::new(),
        options: BTreeMap::new(),
        images: BTreeMap::new(),
    };
    vec![
        wish(How::Wrap, Deliver::Init),
        wish(How::Wrap, Deliver::Image),
        wish(How::Native, Deliver::Path),
        wish(How::Auto, Deliver::Init),
    ]
}

/// What a person would have to say: who is the job, and what the images run.
fn told(file: &File, mut wish: Wish) -> Wish {
    for template in templates(file) {
        let containers = template.node.path(&["spec", "containers"]).into_iter().flat_map(Node::items);
        let names: Vec<String> = containers.filter_map(|one| one.get("name")?.str().map(str::to_owned)).collect();
        if let (Some(first), true) = (names.first(), names.len() > 1) {
            wish.main.push(first.clone());
        }
        wish.entrypoints.extend(names.into_iter().map(|name| (name, vec!["/program".to_owned()])));
    }
    wish
}

fn play(name: &str, text: &str, wish: Wish) -> Fate {
    let Ok(file) = File::read(name, text.as_bytes().to_vec()) else { return Fate::Unreadable };
    let wish = told(&file, wish);
    let one_line = |refusal: &dyn std::fmt::Display| {
        let said = refusal.to_string();
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
        assert!(said.starts_with(name) && said.contains(": error: "), "{said}");
    };
    match inject(&file, &wish) {
        Ok(Injected::Text(with, _)) if with == text => Fate::Nothing,
        Ok(Injected::Text(with, _)) => {
            let with = File::read(name, with.into_bytes()).unwrap();
            let back = eject(&with).unwrap_or_else(|refusal| panic!("{refusal}"));
            assert!(back == text, "{name}: not the same bytes\n{}", with.text());
            match inject(&with, &wish) {
                Ok(Injected::Text(again, _)) => assert!(again == with.text(), "{name}: twice is not once"),
                other => panic!("{name}: {other:?}"),
            }
            Fate::ThereAndBack
        }
        Ok(Injected::Missing(missing)) => {
            missing.iter().for_each(|line| assert_eq!(line.lines().count(), 1));
            Fate::Missing
        }
        Err(refusal) => {
            one_line(&refusal);
            Fate::Refused
        }
    }
}

/// The same Pod, but of a Job.
fn as_job(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut changed = false;
    for line in text.split_inclusive('\n') {
        let word = line.trim();
        if ["kind: Deployment", "kind: DaemonSet", "kind: StatefulSet", "kind: ReplicaSet"].contains(&word) {
            out += &line.replace(word, "kind: Job");
            changed = true;
        } else if word == "containers:" {
            let end = if line.ends_with("\r\n") { "\r\n" } else { "\n" };
            let indent = &line[..line.len() - line.trim_start().len()];
            let policy = if indent.contains('-') { "" } else { "restartPolicy: OnFailure" };
            out += &if policy.is_empty() { line.to_owned() } else { format!("{indent}{policy}{end}{line}") };
        } else if !word.starts_with("restartPolicy:") {
            out += line;
        }
    }
    changed.then_some(out)
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() && !path.ends_with("target") && !path.ends_with(".git") && !path.ends_with("corpus") {
            walk(&path, found);
        }
        let known = |end: &std::ffi::OsStr| ["yaml", "yml", "json", "tmpl", "tpl"].iter().any(|known| end == *known);
        if kind.is_file() && path.extension().is_some_and(known) {
            found.push(path);
        }
    }
}

#[test]
fn every_file_comes_back_or_is_refused_in_one_line() {
    let more = std::env::var_os("EXEUNT_MANIFESTS").unwrap_or_default();
    let mut files = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut files);
    std::env::split_paths(&more).for_each(|directory| walk(&directory, &mut files));
    files.sort();
    let mut fates: BTreeMap<(bool, Fate), usize> = BTreeMap::new();
    let mut read = 0;
    for path in &files {
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        if text.len() > 4 << 20 {
            continue;
        }
        read += 1;
        let name = path.to_string_lossy();
        for wish in wishes() {
            *fates.entry((false, play(&name, &text, wish.clone()))).or_default() += 1;
            if let Some(job) = as_job(&text) {
                *fates.entry((true, play(&name, &job, wish))).or_default() += 1;
            }
        }
    }
    let there_and_back = fates.get(&(false, Fate::ThereAndBack)).copied().unwrap_or(0);
    if !more.is_empty() {
        eprintln!("{read} files, under 4 wishes each; (as a Job?, fate): {fates:?}");
    }
    assert!(read >= 90 && there_and_back >= 120, "{read} files: {fates:?}");
}
