//! What an image would run, asked of the tools that a user has, with their own logins.

use super::plan::Image;
use serde_json::Value;
use std::process::{Command, Stdio};

/// Asks a tool about an image.
///
/// # Errors
/// One line: the tool is not there, or knows no such image.
pub fn image(tool: &str, reference: &str) -> Result<Image, String> {
    if reference.is_empty() || reference.starts_with('-') {
        return Err(format!("{reference:?} is no image"));
    }
    let remote = format!("docker://{reference}");
    let words: &[&str] = match tool {
        "crane" => &["config", reference],
        "skopeo" => &["inspect", "--config", &remote],
        // What is here already; nothing is pulled.
        _ => &["image", "inspect", reference],
    };
    let output = Command::new(tool).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{tool} cannot be started: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason was given");
        return Err(format!("{tool} tells nothing of {reference}: {}", line.trim()));
    }
    let told: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{tool} does not answer in JSON: {error}"))?;
    let told = told.get(0).unwrap_or(&told);
    // The engines write it in a list and large, the configuration in a registry small.
    let config = told
        .get("Config")
        .or_else(|| told.get("config"))
        .ok_or_else(|| format!("{tool} tells nothing of {reference}"))?;
    let words = |key: &str| -> Result<Vec<String>, String> {
        match config.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(list) => serde_json::from_value(list.clone())
                .map_err(|_| format!("{tool}: {key} of {reference} is no list of words")),
        }
    };
    Ok(Image { entrypoint: words("Entrypoint")?, cmd: words("Cmd")?, source: tool.to_owned() })
}
