//! The manifests and the compose file of `examples/`, played as they are but for the names of images and volumes, which
//! belong to whoever owns the engine.

use crate::engine::{Container, Engine, call, docker, image_name, podman, unique, until};
use crate::{here, images};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

#[test]
fn the_smallest_job_of_the_examples_completes() {
    let Some(engine) = podman() else { return };
    let image = example_image(engine);
    let pod = Pod::of_job(engine, "examples/job.yaml", &[("exeunt-example", &image)]);
    let [main, sidecar] = ["main", "sidecar"].map(|name| pod.container(name));
    assert_eq!([main.exit_code(), sidecar.exit_code()], [0, 0], "{}\n{}", main.log(), sidecar.log());
    assert!(main.log().contains("the job is done"), "{}", main.log());
    assert!(sidecar.log().contains("the sidecar says goodbye"), "{}", sidecar.log());
}

#[test]
fn the_job_through_envoy_completes_as_a_pod_without_rights() {
    let Some(engine) = podman() else { return };
    let Some(envoy) = envoy() else { return };
    let ours = &images::of(engine).exeunt;
    let base = envoy_base(engine, &envoy);
    let [job, proxy] = ["envoy-job", "envoy"].map(image_name);
    for (target, image) in [("job", &job), ("envoy", &proxy)] {
        let bases = [("EXEUNT_IMAGE", ours), ("JOB_IMAGE", &engine.shell), ("ENVOY_IMAGE", &base)];
        let bases = bases.map(|(name, image)| format!("--build-arg={name}={image}"));
        let mut words = vec!["build", "--quiet", "--target", target, "--tag", image];
        words.extend(bases.iter().map(String::as_str));
        let context = here::path("examples/envoy");
        let context = context.to_str().expect("a plain path");
        engine.run(&[words, vec![context]].concat());
        images::remove_at_exit(engine.program, image);
    }
    let pod = Pod::of_job(engine, "examples/envoy/job.yaml", &[("exeunt-envoy-job", &job), ("exeunt-envoy", &proxy)]);
    let [main, envoy] = ["main", "envoy"].map(|name| pod.container(name));
    assert_eq!([main.exit_code(), envoy.exit_code()], [0, 0], "{}\n{}", main.log(), envoy.log());
    assert!(main.log().contains("job: fetched 10 pages"), "{}", main.log());
    let log = envoy.log();
    for page in 1..=10 {
        let line = format!("envoy: GET /pages/{page} -> service 127.0.0.1:8080: 200");
        assert!(log.lines().any(|found| found == line), "Envoy has not seen page {page}:\n{log}");
    }
    assert!(log.contains("exeunt sidecar: the job main-job is over"), "{log}");
}

/// Twice, because the volume outlives the first run: only the run id tells the second one that nothing is over yet.
#[test]
fn the_compose_file_comes_back_by_itself_every_time() {
    let Some(engine) = docker() else { return };
    if here::program("docker-compose", "docker-compose").is_none() {
        return;
    }
    let image = example_image(engine);
    let project = unique("compose");
    let text =
        here::read("examples/compose/compose.yaml").replace("    build: .\n", "").replace("exeunt-example", &image);
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{project}.yaml"));
    fs::write(&file, text).expect("write the compose file");
    let compose = Compose { project, file };
    for run in ["RUN=1", "RUN=2"] {
        // The sidecar first, while there is nothing in the volume but the end of the run before.
        compose.call(run, &["up", "--no-color", "--detach", "sidecar"]);
        until("the sidecar to serve", || {
            compose.attempt(run, &["exec", "-T", "sidecar", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/"]).ok()
        });
        let said = compose.call(run, &["up", "--no-color"]);
        assert!(said.contains("a page of the sidecar"), "{run}: {said}");
        assert!(said.contains("exeunt sidecar: the job main-job is over (exit code 0)"), "{run}: {said}");
        assert_eq!(said.matches("exited with code 0").count(), 2, "{run}: {said}");
    }
}

struct Compose {
    project: String,
    file: PathBuf,
}

impl Compose {
    fn call(&self, run: &str, arguments: &[&str]) -> String {
        self.attempt(run, arguments).unwrap_or_else(|said| panic!("docker-compose {}\n{said}", arguments.join(" ")))
    }

    fn attempt(&self, run: &str, arguments: &[&str]) -> Result<String, String> {
        let file = self.file.to_str().expect("a plain path");
        let output = call("env", &[&[run, "docker-compose", "-p", &self.project, "-f", file], arguments].concat());
        if output.code == Some(0) { Ok(output.stdout) } else { Err(output.stderr) }
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        let file = self.file.to_str().unwrap_or_default();
        call(
            "env",
            &["RUN=0", "docker-compose", "-p", &self.project, "-f", file, "down", "--volumes", "--timeout", "0"],
        );
        let _ = fs::remove_file(&self.file);
    }
}

struct Pod {
    engine: &'static Engine,
    name: String,
    manifest: PathBuf,
}

impl Pod {
    /// Plays the Pod of a Job; Podman 4.3 does not know Jobs, and makes an `emptyDir` a volume of the name that the manifest
    /// gives it, one for all Pods.
    fn of_job(engine: &'static Engine, manifest: &str, images: &[(&str, &str)]) -> Pod {
        let name = unique("example");
        let text = here::read(manifest);
        let (_, template) = text.split_once("\n  template:\n").expect("a Job with a template");
        // Its annotations are for people and for inject, and Podman 4 takes none that is longer than 63 characters.
        let (_, spec) = template.split_once("    spec:\n").expect("a template with a spec");
        let mut pod = format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n");
        for line in spec.lines() {
            let line = line.strip_prefix("    ").expect("nothing follows the template");
            pod += &match line.split_once("image: ") {
                Some((indent, image)) => {
                    let (_, ours) = images.iter().find(|(theirs, _)| *theirs == image).expect("an image that is known");
                    format!("{indent}image: {ours}\n")
                }
                None => format!("{}\n", line.replace("name: exeunt-pod", &format!("name: {name}-pod"))),
            };
        }
        assert!(pod.contains(&format!("name: {name}-pod")), "{pod}");
        let manifest = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
        fs::write(&manifest, pod).expect("write the manifest");
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

fn example_image(engine: &'static Engine) -> String {
    let ours = &images::of(engine).exeunt;
    let image = image_name("example");
    let [exeunt, base] = [format!("EXEUNT_IMAGE={ours}"), format!("BASE_IMAGE={}", engine.shell)];
    let context = here::path("examples/compose");
    let context = context.to_str().expect("a plain path");
    engine.run(&["build", "--quiet", "--tag", &image, "--build-arg", &exeunt, "--build-arg", &base, context]);
    images::remove_at_exit(engine.program, &image);
    // An imported base has its own PATH, without the directory that the example relies on; every real one has it.
    let context = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("path"));
    fs::create_dir_all(&context).expect("make a build context");
    fs::write(context.join("Dockerfile"), format!("FROM {image}\nENV PATH=/usr/local/bin:/bin\n")).expect("write it");
    engine.run(&["build", "--quiet", "--tag", &image, context.to_str().expect("a plain path")]);
    fs::remove_dir_all(&context).expect("remove it");
    image
}

/// Envoy and the libraries that it is linked to, and the mount point that gives a fresh volume its mode: the kubelet's own
/// is open to every user, Podman's is what the image has there.
fn envoy_base(engine: &'static Engine, envoy: &Path) -> String {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique("envoy"));
    let tree = directory.join("root");
    let libraries = call("ldd", &[envoy.to_str().expect("a plain path")]).stdout;
    let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/')).map(|word| (word, &word[1..]));
    for (from, to) in libraries.chain([(envoy.to_str().expect("a plain path"), "usr/local/bin/envoy")]) {
        let to = tree.join(to);
        fs::create_dir_all(to.parent().expect("a parent")).expect("make a directory");
        fs::copy(from, &to).expect("copy a file of Envoy's");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).expect("set a mode");
    }
    for (path, mode) in [("etc", 0o755), ("tmp", 0o1777), ("tmp/pod", 0o1777)] {
        fs::create_dir_all(tree.join(path)).expect("make a directory");
        fs::set_permissions(tree.join(path), fs::Permissions::from_mode(mode)).expect("set a mode");
    }
    let archive = directory.join("root.tar");
    let [tree, plain] = [&tree, &archive].map(|path| path.to_str().expect("a plain path"));
    let tar = call("tar", &["-C", tree, "--owner=0", "--group=0", "--numeric-owner", "-cf", plain, "."]);
    assert_eq!(tar.code, Some(0), "tar: {}", tar.stderr);
    let image = image_name("envoy-base");
    engine.run(&["import", plain, &image]);
    images::remove_at_exit(engine.program, &image);
    fs::remove_dir_all(&directory).expect("remove the tree");
    image
}

/// The binary itself, and not a script that starts it.
fn envoy() -> Option<PathBuf> {
    let found = here::envoy()?;
    let binary = fs::read(&found).is_ok_and(|content| content.starts_with(b"\x7fELF"));
    if !binary {
        here::pass_over(&format!("it needs the binary of Envoy, and {} is none (ENVOY names it)", found.display()));
    }
    binary.then_some(found)
}
