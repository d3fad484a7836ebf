//! `fn`: `inject` as a KRM function, for kustomize and kpt.
//!
//! The contract is kustomize's "Configuration Functions Specification": a ResourceList in, the same with its items changed
//! out, with results for people and a code other than 0 where one of them is an error. Comments stay, and so does all that
//! belongs to who called.

use super::complaint::complaint;
use super::files;
use super::inject::{Injected, inject, inject_options, wish};
use crate::yaml::{File, Node, Style};
use anyhow::{Result, anyhow, bail, ensure};
use clap::{ArgMatches, Command};
use serde_json::{Value, json};

pub(super) fn options() -> Command {
    Command::new("fn").about("inject as a KRM function: a ResourceList from standard input, its results with it")
}

/// What a functionConfig may say, as inject's own options.
const KEYS: [&str; 7] = ["main", "how", "deliver", "image", "path", "dir", "on-exit"];

/// What it may say of one container, whose name stands behind a dot: `entrypoint.proxy`.
const OF_ONE: [&str; 2] = ["entrypoint", "options"];

/// The ResourceList with exeunt in its items, and the errors among its results.
///
/// # Errors
/// It is no ResourceList; its functionConfig says what inject does not know; an item must not be touched.
pub fn function(file: &File) -> Result<(String, Vec<String>)> {
    let root =
        file.documents().find_map(|document| document.root()).ok_or_else(|| anyhow!("there is no ResourceList"))?;
    let text = |key: &str| root.get(key).and_then(Node::str).unwrap_or("");
    let known = ["config.kubernetes.io/v1", "config.kubernetes.io/v1beta1", "config.kubernetes.io/v1alpha1"];
    ensure!(
        text("kind") == "ResourceList" && known.contains(&text("apiVersion")),
        "{}: this is no ResourceList; a manifest is for kubectl exeunt inject",
        file.name()
    );
    let mut words = vec!["inject".to_owned(), "-".to_owned()];
    let config = root.get("functionConfig");
    let settings = config.and_then(|config| config.get("data").or_else(|| config.get("spec")));
    for entry in settings.into_iter().flat_map(|settings| settings.entries()) {
        let key = entry.key.text().unwrap_or("");
        let value = entry.value.target().text().ok_or_else(|| anyhow!("functionConfig: {key} is not a text"))?;
        if let Some((option, container)) = key.split_once('.').filter(|(option, _)| OF_ONE.contains(option)) {
            words.push(format!("--{option}={container}={value}"));
            continue;
        }
        ensure!(
            KEYS.contains(&key),
            "functionConfig: {key} is not known; use {}, entrypoint.NAME, options.NAME",
            KEYS.join(", ")
        );
        // Several jobs are one text here, for a ConfigMap has nothing but texts.
        let values = if key == "main" { value.split(',').map(str::trim).collect() } else { vec![value] };
        words.extend(values.into_iter().map(|value| format!("--{key}={value}")));
    }
    let options = inject_options();
    let matches = options.clone().try_get_matches_from(&words).map_err(|error| {
        let words: Vec<_> = words.iter().map(Into::into).collect();
        anyhow!("functionConfig: {}", complaint(&error, &options, "inject", &words))
    })?;
    let wish = wish(&matches).map_err(|message| anyhow!("functionConfig: {message}"))?;
    let (out, severity, messages) = match inject(file, &wish)? {
        Injected::Text(text, notes) => (text, "info", notes),
        Injected::Missing(missing) => (file.text().to_owned(), "error", missing),
    };
    let results: Vec<Value> =
        messages.iter().map(|message| json!({"message": message, "severity": severity})).collect();
    let errors = if severity == "error" { messages.clone() } else { Vec::new() };
    Ok((with_results(file.name(), out, results)?, errors))
}

fn with_results(name: &str, text: String, results: Vec<Value>) -> Result<String> {
    if results.is_empty() {
        return Ok(text);
    }
    let file = File::read(name, text.into_bytes())?;
    let Some(root) = file.documents().find_map(|document| document.root()) else { bail!("{name}: it is empty") };
    let mut whole = root.json()?;
    let earlier = whole.get("results").and_then(Value::as_array).cloned();
    if let Some(map) = whole.as_object_mut() {
        map.insert("results".to_owned(), earlier.iter().flatten().chain(&results).cloned().collect());
    }
    // In front of all other keys, where no comment and no scalar of many lines is near.
    if earlier.is_none() && root.style() == Style::Block && root.place().column == 1 {
        let (before, after) = file.text().split_at(root.span().start);
        let mut list = "results:\n".to_owned();
        for result in &results {
            let words = |key: &str| result.get(key).map(Value::to_string).unwrap_or_default();
            list += &format!("- message: {}\n  severity: {}\n", words("message"), words("severity"));
        }
        let out = format!("{before}{list}{after}");
        let again = File::read(name, out.clone().into_bytes())?;
        let same = again.documents().find_map(|document| document.root()).map(Node::json).transpose()?;
        if same.as_ref() == Some(&whole) {
            return Ok(out);
        }
    }
    Ok(format!("{whole:#}\n"))
}

pub(super) fn run(_: &ArgMatches) -> Result<u8> {
    let file = files::read("-".as_ref())?;
    let (text, errors) = function(&file)?;
    files::say(&text)?;
    // kustomize shows nothing of the results where a function fails, but what it has said.
    errors.iter().for_each(|error| files::tell(&format!("error: {error}")));
    Ok(u8::from(!errors.is_empty()))
}
