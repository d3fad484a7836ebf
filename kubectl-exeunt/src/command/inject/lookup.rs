//! What an image would run, asked of the tools that a user has, with their own logins.

use super::plan::Image;
use serde_json::Value;
use std::process::{Command, Stdio};

/// So many platforms of one image are asked about: more than any has on which a Pod can run.
const PLATFORMS: usize = 16;

/// Asks a tool about an image. A registry may have it for several platforms, of which the node chooses one: they must agree.
///
/// # Errors
/// One line: the tool is not there, or knows no such image; or it runs different programs on different platforms.
pub fn image(tool: &str, reference: &str) -> Result<Image, String> {
    if reference.is_empty() || reference.starts_with('-') {
        return Err(format!("{reference:?} is no image"));
    }
    let remote = format!("docker://{reference}");
    let (index, config): (&[&str], &[&str]) = match tool {
        "crane" => (&["manifest", reference], &["config", reference]),
        "skopeo" => (&["inspect", "--raw", &remote], &["inspect", "--config", &remote]),
        // What is here already; nothing is pulled.
        _ => (&[], &["image", "inspect", reference]),
    };
    let platforms = if index.is_empty() { Vec::new() } else { platforms(&ask(tool, &[], index, reference)?) };
    let [first, others @ ..] = platforms.as_slice() else {
        return read(tool, reference, &ask(tool, &[], config, reference)?);
    };
    let on = |platform: &Platform| read(tool, reference, &ask(tool, &platform.flags(tool), config, reference)?);
    let mut found = on(first)?;
    for other in others {
        let next = on(other)?;
        if (&next.entrypoint, &next.cmd) != (&found.entrypoint, &found.cmd) {
            let (first, other) = (first.name(), other.name());
            return Err(format!("{reference} runs another program on {other} than on {first}: tell by --entrypoint"));
        }
        found.platforms.extend(next.platforms);
    }
    Ok(found)
}

/// A platform as an image index names it.
struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    fn name(&self) -> String {
        let variant = self.variant.as_ref().map_or_else(String::new, |variant| format!("/{variant}"));
        format!("{}/{}{variant}", self.os, self.architecture)
    }

    fn flags(&self, tool: &str) -> Vec<String> {
        if tool == "crane" {
            return vec!["--platform".to_owned(), self.name()];
        }
        let mut flags = vec!["--override-os".to_owned(), self.os.clone()];
        flags.extend(["--override-arch".to_owned(), self.architecture.clone()]);
        flags.extend(self.variant.iter().flat_map(|variant| ["--override-variant".to_owned(), variant.clone()]));
        flags
    }
}

/// The platforms of an index on which exeunt runs; none if it is the manifest of one image. Signatures and bills of materials
/// stand there, too, with a platform that is not known.
fn platforms(manifest: &Value) -> Vec<Platform> {
    let list = manifest.get("manifests").and_then(Value::as_array);
    let platform = |one: &Value| {
        let text = |key: &str| one.get("platform")?.get(key)?.as_str().map(str::to_owned);
        let (os, architecture) = (text("os")?, text("architecture")?);
        (os == "linux").then_some(Platform { os, architecture, variant: text("variant") })
    };
    list.into_iter().flatten().filter_map(platform).take(PLATFORMS).collect()
}

/// Runs a tool, and reads its answer as JSON.
fn ask(tool: &str, flags: &[String], words: &[&str], reference: &str) -> Result<Value, String> {
    let output = Command::new(tool).args(flags).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{tool} cannot be started: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason was given");
        return Err(format!("{tool} tells nothing of {reference}: {}", line.trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{tool} does not answer in JSON: {error}"))
}

fn read(tool: &str, reference: &str, told: &Value) -> Result<Image, String> {
    let told = told.get(0).unwrap_or(told);
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
    let of = |names: [&str; 2]| names.iter().find_map(|name| told.get(*name)?.as_str()).filter(|text| !text.is_empty());
    let platform = of(["Os", "os"]).zip(of(["Architecture", "architecture"])).map(|(os, on)| format!("{os}/{on}"));
    Ok(Image {
        entrypoint: words("Entrypoint")?,
        cmd: words("Cmd")?,
        source: tool.to_owned(),
        platforms: platform.into_iter().collect(),
    })
}
