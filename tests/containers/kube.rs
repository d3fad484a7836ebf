//! A Pod manifest under `podman kube play`: the nearest thing to a kubelet that needs no cluster.

use crate::engine::{Container, Engine, podman, unique};
use crate::images;
use crate::pair::{SERVER, STUBBORN, both_run, job_that_ends};
use std::fs;
use std::path::PathBuf;

struct Pod {
    engine: &'static Engine,
    name: String,
    manifest: PathBuf,
}

struct Part<'a> {
    /// Of the container, hence its place in the manifest.
    name: &'a str,
    user: u32,
    command: &'a [&'a str],
    mounts: &'a [Mount],
}

/// The name of a volume, and where it is seen.
type Mount = (&'static str, &'static str);
const SHARED: Mount = ("shared", "/tmp/pod");
const TOOLS: Mount = ("tools", "/tools");

impl Pod {
    /// As strict as the restricted Pod security standard asks, with a user of its own for each container.
    fn play(engine: &'static Engine, image: &str, init: Option<(&str, &Part)>, parts: &[Part]) -> Pod {
        let name = unique("pod");
        let init = init
            .map_or_else(String::new, |(image, part)| format!("  initContainers:\n{}", container(&name, image, part)));
        let containers: String = parts.iter().map(|part| container(&name, image, part)).collect();
        let text = format!(
            "apiVersion: v1
kind: Pod
metadata:
  name: {name}
spec:
  restartPolicy: Never
  securityContext:
    runAsNonRoot: true
{init}  containers:
{containers}  volumes:
  - name: {name}-shared
    emptyDir: {{}}
  - name: {name}-tools
    emptyDir: {{}}
"
        );
        let manifest = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
        fs::write(&manifest, text).expect("write the manifest");
        let pod = Pod { engine, name, manifest };
        engine.run(&["kube", "play", "--network", "none", pod.path()]);
        pod
    }

    fn path(&self) -> &str {
        self.manifest.to_str().expect("a plain path")
    }

    fn container(&self, name: &str) -> Container {
        Container { engine: self.engine, name: format!("{}-{name}", self.name) }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.engine.attempt(&["pod", "rm", "--force", "--time", "0", &self.name]);
        self.engine.attempt(&["kube", "down", self.path()]);
        let _ = fs::remove_file(&self.manifest);
    }
}

/// The volumes carry the name of the Pod, because Podman 4.3 makes an `emptyDir` a volume of the name in the manifest,
/// one for all Pods: two that run at once would share it, and the sidecar of one would see the job of the other.
fn container(pod: &str, image: &str, part: &Part) -> String {
    let Part { name, user, command, mounts } = part;
    let mounts: String =
        mounts.iter().map(|(volume, path)| format!("    - name: {pod}-{volume}\n      mountPath: {path}\n")).collect();
    let command = serde_json::to_string(command).expect("JSON is YAML");
    format!(
        "  - name: {name}
    image: {image}
    imagePullPolicy: Never
    command: {command}
    volumeMounts:
{mounts}    securityContext:
      runAsUser: {user}
      runAsGroup: {user}
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities:
        drop: [ALL]
"
    )
}

fn wrapped<'a>(mode: &'a str, script: &'a str) -> Vec<&'a str> {
    vec!["/exeunt", "--mode", mode, "--grace", "2s", "--", "/bin/sh", "-c", script]
}

fn pair(engine: &'static Engine, job: &str, server: &str) -> Pod {
    let parts = [
        Part { name: "main", user: 1001, command: &wrapped("main", job), mounts: &[SHARED] },
        Part { name: "sidecar", user: 1002, command: &wrapped("sidecar", server), mounts: &[SHARED] },
    ];
    Pod::play(engine, &images::of(engine).job, None, &parts)
}

/// Lets the kernel say what the manifest asked for: no root, no capability, no way to write but on the volume.
const PROOF: &str =
    "id -u; grep -E '^(CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; touch /file || echo read-only;";

#[test]
fn a_pod_completes_with_different_users_and_no_rights_at_all() {
    let Some(engine) = podman() else { return };
    let pod = pair(engine, &format!("{PROOF} {}", job_that_ends("exit 7")), &format!("{PROOF} {SERVER}"));
    let [main, sidecar] = ["main", "sidecar"].map(|name| pod.container(name));
    both_run(&main, &sidecar);
    main.shell("touch /tmp/pod/go");
    assert_eq!(main.exit_code(), 7, "{}", main.log());
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    for (container, user) in [(&main, "1001"), (&sidecar, "1002")] {
        let log = container.log();
        let lines: Vec<_> = log.lines().take(6).collect();
        let rights =
            ["CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "read-only"];
        assert_eq!(lines, [&[user], &rights[..]].concat(), "{log}");
    }
    assert!(sidecar.log().contains("told to stop"), "{}", sidecar.log());
    assert!(sidecar.log().contains("exeunt sidecar: "), "{}", sidecar.log());
}

#[test]
fn kill_minus_9_of_the_main_container_of_a_pod_ends_the_pod() {
    let Some(engine) = podman() else { return };
    let pod = pair(engine, &job_that_ends("exit 0"), SERVER);
    let [main, sidecar] = ["main", "sidecar"].map(|name| pod.container(name));
    both_run(&main, &sidecar);
    main.signal("KILL");
    assert_eq!(main.exit_code(), 137, "{}", main.log());
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    assert!(sidecar.log().contains("told to stop"), "{}", sidecar.log());
}

#[test]
fn a_sidecar_of_a_pod_that_does_not_listen_is_killed_after_the_grace() {
    let Some(engine) = podman() else { return };
    let pod = pair(engine, &job_that_ends("exit 0"), STUBBORN);
    let [main, sidecar] = ["main", "sidecar"].map(|name| pod.container(name));
    both_run(&main, &sidecar);
    main.shell("touch /tmp/pod/go");
    assert_eq!(main.exit_code(), 0, "{}", main.log());
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    assert!(sidecar.log().contains("exeunt sidecar: warning: "), "{}", sidecar.log());
}

#[test]
fn an_init_container_of_a_pod_brings_the_binary_to_images_that_have_none() {
    let Some(engine) = podman() else { return };
    let images = images::of(engine);
    // A volume of its own, because Podman gives an `emptyDir` to the user of the first container that mounts it; the
    // kubelet makes it writable for everybody, so there the shared directory serves for both.
    let installer =
        Part { name: "bring", user: 65532, command: &["/exeunt", "install", "/tools/exeunt"], mounts: &[TOOLS] };
    let server = [&["/tools/exeunt"], &wrapped("sidecar", SERVER)[1..]].concat();
    let job = job_that_ends("exit 7");
    let job = [&["/tools/exeunt"], &wrapped("main", &job)[1..]].concat();
    let parts = [
        Part { name: "main", user: 1001, command: &job, mounts: &[SHARED, TOOLS] },
        Part { name: "sidecar", user: 1002, command: &server, mounts: &[SHARED, TOOLS] },
    ];
    let pod = Pod::play(engine, &engine.shell, Some((&images.exeunt, &installer)), &parts);
    let [main, sidecar] = ["main", "sidecar"].map(|name| pod.container(name));
    both_run(&main, &sidecar);
    main.shell("touch /tmp/pod/go");
    assert_eq!(main.exit_code(), 7, "{}", main.log());
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
}
