//! The size of the files, of the image, and of what the packages put into the binary.

use super::numbers::{Bar, Plot, Section, Table};
use super::peers;
use super::plot::{self, Look};
use super::symbols;
use super::{Bench, EXEUNT, RAW, SHIPPED_FOR};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Serialize, Deserialize)]
pub struct Raw {
    files: Vec<(String, peers::Kind, u64)>,
    /// Bytes of code and constants by package, the largest first; what belongs to none at the end.
    packages: Vec<(String, u64)>,
    /// Of the image, as the engine says.
    image: Option<u64>,
    /// What is to be fetched for it.
    compressed: Option<u64>,
}

pub fn measure(bench: &Bench) -> Raw {
    let size = |peer: &peers::Peer| Some(std::fs::metadata(peer.program.as_ref()?).ok()?.len());
    let peers = peers::all(bench);
    let files = peers.iter().filter(|peer| peer.is_init());
    Raw {
        files: files.filter_map(|peer| Some((peer.name.to_owned(), peer.kind, size(peer)?))).collect(),
        packages: packages(bench).unwrap_or_else(|trouble| {
            println!("MISSING: the size by package: {trouble}");
            Vec::new()
        }),
        image: image(&bench.memory),
        compressed: compressed(&bench.memory),
    }
}

pub fn show(raw: &Raw) -> Section {
    let kilobytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1000.0);
    let mut files: Vec<_> = raw.files.iter().map(|(name, _, bytes)| vec![name.clone(), kilobytes(*bytes)]).collect();
    let cell = |bytes: Option<u64>| bytes.map_or("not measured: no engine".to_owned(), kilobytes);
    files.push(vec!["exeunt's image".to_owned(), cell(raw.image)]);
    files.push(vec!["the same, as it is fetched (gzip)".to_owned(), cell(raw.compressed)]);
    let ours = raw.files.iter().find(|(_, kind, _)| *kind == peers::Kind::Exeunt).map(|(.., bytes)| *bytes as f64);
    let packages = raw.packages.iter().map(|(name, bytes)| vec![name.clone(), kilobytes(*bytes)]).collect();
    let rows: Vec<_> = raw
        .packages
        .iter()
        .filter(|(_, bytes)| *bytes >= 1000)
        .map(|(name, bytes)| {
            let look = if name == "exeunt" { Look::Ours } else { Look::Other };
            (name.clone(), look, *bytes as f64 / 1000.0)
        })
        .collect();
    let title = "What the static binary is made of, by package";
    let mut section = Section {
        tables: vec![Table {
            title: "Size of what is shipped, in KB (1,000 bytes); tini and dumb-init need a C library beside them:"
                .into(),
            head: vec!["", "KB"],
            rows: files,
        }],
        plots: Vec::new(),
        bars: vec![Bar {
            what: "the static binary, with everything in it",
            most: 700.0,
            measured: ours.unwrap_or(f64::NAN) / 1000.0,
            unit: "KB",
        }],
    };
    if !raw.packages.is_empty() {
        let head = vec!["package", "KB"];
        section.tables.push(Table { title: format!("{title}:"), head, rows: packages });
        section.plots.push(Plot { name: "packages", says: title.to_owned(), svg: plot::bars(title, "KB", &rows) });
    }
    section
}

/// Builds the binary once more with its names in it, beside the one that is shipped, and adds up what has a name.
fn packages(bench: &Bench) -> Result<Vec<(String, u64)>, String> {
    if bench.is_short() {
        return Err("wants a build of its own; left out of a short run".to_owned());
    }
    let directory = Path::new(RAW).with_file_name("with-names");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo
        .args(["build", "--quiet", "--release", "--locked", "-p", "exeunt", "--target", SHIPPED_FOR, "--target-dir"])
        .arg(&directory);
    cargo.args(["--config", "profile.release.strip=false"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = cargo.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let file = directory.join(SHIPPED_FOR).join("release/exeunt");
    let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    symbols::by_package(&bytes).ok_or("the binary cannot be read".to_owned())
}

/// As large as `docker image inspect` says that an image is which holds the binary and nothing else.
fn image(directory: &Path) -> Option<u64> {
    let layer = layer(directory)?;
    let docker = |words: &[&str]| {
        let output = Command::new("docker").args(words).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let image = docker(&["import", layer.to_str()?])?;
    let size = docker(&["image", "inspect", "--format", "{{.Size}}", &image]);
    docker(&["image", "rm", &image]);
    size?.parse().ok()
}

fn compressed(directory: &Path) -> Option<u64> {
    let output = Command::new("gzip").arg("-c").arg(layer(directory)?).stdin(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout.len() as u64)
}

/// The binary as the archive that is an image's only layer.
fn layer(directory: &Path) -> Option<PathBuf> {
    let layer = directory.join("layer.tar");
    let binary = EXEUNT.as_path();
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(&layer).arg("-C").arg(binary.parent()?).arg(binary.file_name()?);
    tar.status().ok()?.success().then_some(layer)
}
