//! The image of the Dockerfile: what it holds, as whom it runs, and how the binary gets out of it.

use crate::engine::{Engine, call, docker, podman, unique};
use crate::images;
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn the_image_of_docker_holds_the_static_binary_and_nothing_else() {
    let Some(engine) = docker() else { return };
    assert_image(engine);
}

#[test]
fn the_image_of_podman_holds_the_static_binary_and_nothing_else() {
    let Some(engine) = podman() else { return };
    assert_image(engine);
}

/// That the binary is static and within its budget is for `.ci/static` to say: it needs no engine.
fn assert_image(engine: &'static Engine) {
    let image = &images::of(engine).exeunt;
    let description: Value = serde_json::from_str(&engine.run(&["image", "inspect", image])).expect("JSON");
    let description = &description[0];
    let config = &description["Config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/exeunt"]));
    for label in ["title", "description", "licenses", "version", "revision", "source"] {
        let label = format!("org.opencontainers.image.{label}");
        assert!(config["Labels"][&label].as_str().is_some_and(|text| !text.is_empty()), "no label {label}");
    }
    assert_eq!(description["RootFS"]["Layers"].as_array().map(Vec::len), Some(1), "more than one layer");

    let shipped = fs::read(images::binary()).expect("read the binary");

    // The layer itself is opened: into the tree of a container an engine puts files of its own.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("layer"));
    fs::create_dir_all(&directory).expect("make a directory");
    let archive = directory.join("image.tar");
    let archive = archive.to_str().expect("a plain path");
    let format: &[&str] = if engine.program == "podman" { &["--format", "docker-archive"] } else { &[] };
    engine.run(&[&["save", "--output", archive], format, &[image.as_str()]].concat());
    tar(&directory, &["-xf", archive]);
    let manifest = fs::read(directory.join("manifest.json")).expect("read the list of layers");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let layer = directory.join(manifest[0]["Layers"][0].as_str().expect("the name of the layer"));
    let layer = layer.to_str().expect("a plain path");

    let listing = tar(&directory, &["--numeric-owner", "-tvf", layer]);
    let entries: Vec<Vec<_>> = listing.lines().map(|line| line.split_whitespace().collect()).collect();
    let size = shipped.len().to_string();
    assert_eq!(entries.len(), 1, "{listing}");
    assert_eq!([entries[0][0], entries[0][1], entries[0][2], entries[0][5]], ["-rwxr-xr-x", "0/0", &size, "exeunt"]);
    tar(&directory, &["-xf", layer]);
    assert!(fs::read(directory.join("exeunt")).expect("read it back") == shipped, "not the binary that was built");
    fs::remove_dir_all(directory).expect("clean up");
}

fn tar(directory: &Path, arguments: &[&str]) -> String {
    let directory = directory.to_str().expect("a plain path");
    let output = call("tar", &[&["-C", directory], arguments].concat());
    assert_eq!(output.code, Some(0), "tar {}: {}", arguments.join(" "), output.stderr);
    output.stdout
}

/// A distroless sidecar has no shell to be stopped by: linkerd/linkerd2#8912.
#[test]
fn the_image_runs_by_itself_without_root_and_without_any_right() {
    let Some(engine) = docker() else { return };
    let image = &images::of(engine).exeunt;
    let strict = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "16"];
    for (option, word) in [("--help", "--mode main"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let container = engine.start(&[&strict[..], &[image, option]].concat());
        assert_eq!(container.exit_code(), 0, "{}", container.log());
        assert!(container.log().contains(word), "{}", container.log());
    }
    let container = engine.start(&[&strict[..], &[image]].concat());
    assert_eq!(container.exit_code(), 125, "{}", container.log());
    assert_eq!(container.log().lines().count(), 1, "{}", container.log());
    // Once more by its own command, so that it is seen to be the user whom the image names.
    let container = engine.start(
        &[
            &strict[..],
            &["--tmpfs", "/tmp/pod:uid=65532,mode=0700", image, "--mode", "main", "--", "/exeunt", "--version"],
        ]
        .concat(),
    );
    assert_eq!(container.exit_code(), 0, "{}", container.log());
}

#[test]
fn an_init_container_brings_the_binary_into_an_image_that_has_none() {
    let Some(engine) = docker() else { return };
    let images = images::of(engine);
    let volume = engine.volume(&[]);
    let mount = format!("{}:/tmp/pod", volume.name);
    let init = engine.start(&["--volume", &mount, &images.exeunt, "install", "/tmp/pod/exeunt"]);
    assert_eq!(init.exit_code(), 0, "{}", init.log());
    let main = engine.start(&[
        "--volume",
        &mount,
        &engine.shell,
        "/tmp/pod/exeunt",
        "--mode",
        "main",
        "--",
        "/bin/sh",
        "-c",
        // Its own mark of readiness first, which comes when the command has been started: at the same time as all this.
        "until [ -e /tmp/pod/main-job-ready ]; do :; done; stat -c '%a %u' /tmp/pod/exeunt; ls -a /tmp/pod; exit 7",
    ]);
    assert_eq!(main.exit_code(), 7, "{}", main.log());
    let log = main.log();
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines[0], "755 65532", "{log}");
    assert_eq!(lines[1..], [".", "..", "exeunt", "main-job-ready", "main-job-running"], "something was left behind");
}
