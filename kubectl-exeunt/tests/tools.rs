//! Among the tools that people have: the real Helm, kustomize, crane, skopeo and pre-commit, where the machine has them.

mod house;

use house::{Place, pass_over, program, repository};
use kubectl_exeunt::command::inject::eject;
use kubectl_exeunt::judge::judge;
use kubectl_exeunt::yaml::File;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const JOB: &str = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: nightly
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: load
          image: load:1
          command: [\"/load\", \"--all\"]
        - name: proxy
          image: proxy:1
          command: [\"/proxy\"]
";

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn done(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The path with the plugin on it, as its users have it.
fn path() -> String {
    let plugin = Path::new(env!("CARGO_BIN_EXE_kubectl-exeunt")).parent().unwrap();
    format!("{}:{}", plugin.display(), std::env::var("PATH").unwrap())
}

fn read(text: &str) -> File {
    File::read("it", text.as_bytes().to_vec()).unwrap_or_else(|refusal| panic!("{refusal}\n{text}"))
}

fn data(text: &str) -> Vec<Value> {
    let file = read(text);
    file.documents().filter_map(|document| document.root()).map(|root| root.json().unwrap()).collect()
}

/// The Pod's spec of the one Job there is.
fn pod_spec(text: &str) -> Value {
    let job = data(text).into_iter().find(|one| one["kind"] == "Job");
    job.unwrap_or_else(|| panic!("no Job in {text}")).pointer("/spec/template/spec").unwrap().clone()
}

fn injected(arguments: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"))
        .args(["inject", "--main", "load", "--image", "registry.example/exeunt:0.1.0"])
        .args(arguments)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(JOB.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn helm(place: &Place) -> Option<Command> {
    helm_of(place, "helm")
}

fn helm_of(place: &Place, version: &str) -> Option<Command> {
    let mut helm = Command::new(program(version)?);
    for (variable, inside) in [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
    {
        helm.env(variable, place.path(inside));
    }
    helm.env("PATH", path()).current_dir(place.path(""));
    Some(helm)
}

/// A chart that uses the library renders what inject would write, and that ends.
#[test]
fn the_library_chart_renders_what_inject_writes() {
    let place = Place::new("chart");
    let library = repository("deploy/helm/exeunt").canonicalize().unwrap();
    let dependency =
        format!("dependencies:\n  - {{name: exeunt, version: 0.1.0, repository: \"file://{}\"}}\n", library.display());
    place.write("app/Chart.yaml", &format!("apiVersion: v2\nname: app\nversion: 1.0.0\n{dependency}"));
    // As the head of the library shows it.
    let shown = std::fs::read_to_string(library.join("templates/_exeunt.tpl")).unwrap();
    let shown = shown.split("In the Pod template of a Job:\n\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let body: String = shown.lines().map(|line| format!("  {line}\n")).collect();
    let job = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: nightly}}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n{body}"
    );
    for deliver in ["init", "image"] {
        let text = job.replace("\"deliver\" \"init\"", &format!("\"deliver\" \"{deliver}\""));
        let text = if deliver == "init" {
            text
        } else {
            text.lines().filter(|line| !line.contains("initContainers")).map(|line| format!("{line}\n")).collect()
        };
        place.write("app/templates/job.yaml", &text);
        let Some(mut build) = helm(&place) else { return };
        done(build.args(["dependency", "build", "app"]));
        let rendered = done(helm(&place).unwrap().args(["template", "nightly", "app"]));
        let (ours, mut theirs) = (pod_spec(&injected(&["--deliver", deliver])), pod_spec(&rendered));
        assert_eq!(judge(&read(&rendered), &[]).unwrap()[0].verdict.name(), "ends", "{rendered}");
        // A chart says how images are pulled, and names its own.
        for one in ["/initContainers/0/imagePullPolicy", "/volumes/0/image/pullPolicy"] {
            if let Some(policy) = theirs.pointer(one).cloned() {
                assert_eq!(policy, "IfNotPresent");
                let (parent, key) = one.rsplit_once('/').unwrap();
                theirs.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
            }
        }
        let strip = |mut spec: Value| {
            for container in spec["containers"].as_array_mut().unwrap() {
                container.as_object_mut().unwrap().remove("image");
            }
            spec
        };
        let theirs = strip(theirs).to_string().replace(",\"--all\"", "");
        assert_eq!(theirs, strip(ours).to_string().replace(",\"--all\"", ""), "{rendered}");
    }
    // What is forgotten is said.
    for (from, to, wanted) in [
        ("\"image\" \"registry.example/exeunt:0.1.0\"", "\"x\" \"y\"", "exeunt: which image holds it?"),
        ("\"deliver\" \"init\"", "\"deliver\" \"magic\"", "exeunt: deliver is init or image, not magic"),
        ("\"mode\" \"main\"", "\"mode\" \"mian\"", "exeunt: mode is main or sidecar, not mian"),
        ("\"command\" (list \"/proxy\")", "\"x\" \"y\"", "exeunt: a command is wanted"),
    ] {
        assert!(job.contains(from), "{from}");
        place.write("app/templates/job.yaml", &job.replace(from, to));
        let output = helm(&place).unwrap().args(["template", "nightly", "app"]).output().unwrap();
        assert!(!output.status.success() && said(&output).contains(wanted), "{}", said(&output));
    }
}

/// Helm renders, the plugin gets all of it with the hooks, and what it gives back is what Helm goes on with.
#[test]
fn the_post_renderer_is_a_plugin_of_helm() {
    let place = Place::new("post-renderer");
    place.write("app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n");
    place.write("app/templates/job.yaml", JOB);
    let hook = JOB.replace("name: nightly", "name: before\n  annotations: {helm.sh/hook: pre-install}");
    place.write("app/templates/hook.yaml", &hook);
    place.write("app/templates/service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n");
    let Some(mut install) = helm(&place) else { return };
    done(install.arg("plugin").arg("install").arg(repository("deploy/helm-post-renderer").canonicalize().unwrap()));
    let rendered = done(helm(&place).unwrap().args([
        "template",
        "nightly",
        "app",
        "--post-renderer",
        "exeunt",
        "--post-renderer-args",
        "--main=load",
    ]));
    let jobs: Vec<Value> = data(&rendered).into_iter().filter(|one| one["kind"] == "Job").collect();
    assert_eq!(jobs.len(), 2, "{rendered}");
    for job in &jobs {
        let command = job.pointer("/spec/template/spec/containers/1/command").unwrap();
        assert_eq!(command, &json!(["/tmp/pod/exeunt", "--mode", "sidecar", "--", "/proxy"]), "{rendered}");
    }
    assert!(rendered.contains("kind: Service"), "{rendered}");
    // What is not known stops Helm, with the reason.
    let output =
        helm(&place).unwrap().args(["template", "nightly", "app", "--post-renderer", "exeunt"]).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("which of load, proxy is the job"), "{}", said(&output));
}

/// Helm 3 takes the script itself, keeps every comment, and does not pass its hooks through it.
#[test]
fn the_post_renderer_is_a_program_for_helm_3() {
    let place = Place::new("post-renderer-3");
    place.write("app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n");
    place.write(
        "app/templates/job.yaml",
        &JOB.replace("        - name: load", "        # the job\n        - name: load"),
    );
    let hook = JOB.replace("name: nightly", "name: before\n  annotations: {helm.sh/hook: pre-install}");
    place.write("app/templates/hook.yaml", &hook);
    let script = repository("deploy/helm-post-renderer/exeunt.sh").canonicalize().unwrap();
    let template = |more: &[&str]| {
        let mut command = helm_of(&place, "helm3")?;
        command.args(["template", "nightly", "app", "--post-renderer"]).arg(&script).args(more);
        Some(command)
    };
    let Some(mut told) = template(&["--post-renderer-args", "--main=load"]) else { return };
    let version = done(helm_of(&place, "helm3").unwrap().args(["version", "--short"]));
    assert!(version.starts_with("v3."), "{version}");
    let rendered = done(&mut told);
    assert!(rendered.contains("# the job\n        - name: load"), "{rendered}");
    let helper = |name: &str| {
        let job = data(&rendered).into_iter().find(|one| one["metadata"]["name"] == name).unwrap();
        job.pointer("/spec/template/spec/containers/1/command").unwrap().clone()
    };
    assert_eq!(helper("nightly"), json!(["/tmp/pod/exeunt", "--mode", "sidecar", "--", "/proxy"]), "{rendered}");
    assert_eq!(helper("before"), json!(["/proxy"]), "{rendered}");
    // What is not known stops Helm, with the reason.
    let output = template(&[]).unwrap().output().unwrap();
    assert!(!output.status.success() && said(&output).contains("which of load, proxy is the job"), "{}", said(&output));
}

#[test]
fn the_component_and_the_function_are_built_by_kustomize() {
    let Some(kustomize) = program("kustomize") else { return };
    let place = Place::new("kustomize");
    place.write("app/job.yaml", JOB);
    let cron = JOB
        .replace("kind: Job", "kind: CronJob")
        .replace("spec:\n  template:", "spec:\n  schedule: '@daily'\n  jobTemplate:\n   spec:\n    template:");
    let cron = cron
        .replace("      containers", "       containers")
        .replace("    spec:\n      restart", "     spec:\n       restart");
    place.write("app/cron.yaml", &cron);
    for (component, program) in [("kustomize", "/tmp/pod/exeunt"), ("kustomize-image-volume", "/exeunt/exeunt")] {
        let copy =
            Command::new("cp").arg("-r").arg(repository("deploy").join(component)).arg(place.path(component)).status();
        assert!(copy.unwrap().success());
        place.write(
            "app/kustomization.yaml",
            &format!("resources: [job.yaml, cron.yaml]\ncomponents: [../{component}]\n"),
        );
        let built = done(Command::new(&kustomize).arg("build").arg(place.path("app")));
        let all = data(&built);
        let of = |kind: &str| all.iter().find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("{kind}: {built}"));
        let label =
            |object: &Value, at: &str| object.pointer(&format!("{at}/metadata/labels/exeunt.dev~1inject")).cloned();
        assert_eq!(label(of("Job"), "/spec/template"), Some("true".into()));
        assert_eq!(label(of("CronJob"), "/spec/jobTemplate/spec/template"), Some("true".into()));
        let expression = &of("MutatingAdmissionPolicy")["spec"]["mutations"][0]["jsonPatch"]["expression"];
        assert!(expression.as_str().unwrap().contains(&format!("[\"{program}\", \"--mode\"]")), "{expression}");
        of("ValidatingAdmissionPolicyBinding");
    }
    // inject as a function, which kustomize starts itself.
    let function = place.write("fn.sh", "#!/bin/sh\nexec kubectl-exeunt fn\n");
    done(Command::new("chmod").arg("+x").arg(&function));
    let exec = format!("    config.kubernetes.io/function: |\n      exec:\n        path: {}\n", function.display());
    place.write(
        "app/inject.yaml",
        &format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: inject\n  annotations:\n{exec}data: {{main: load}}\n"
        ),
    );
    place.write("app/kustomization.yaml", "resources: [job.yaml]\ntransformers: [inject.yaml]\n");
    let build = |place: &Place| {
        let mut command = Command::new(&kustomize);
        command.args(["build", "--enable-alpha-plugins", "--enable-exec"]).arg(place.path("app")).env("PATH", path());
        command
    };
    let built = done(&mut build(&place));
    assert_eq!(pod_spec(&built)["containers"][1]["command"][2], "sidecar", "{built}");
    let text = std::fs::read_to_string(place.path("app/inject.yaml")).unwrap();
    place.write("app/inject.yaml", &text.replace("{main: load}", "{main: lod}"));
    let output = build(&place).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("no container is called lod"), "{}", said(&output));
}

/// Argo CD runs the words of the plugin in the directory of an application, and takes what they print.
#[test]
fn the_plugin_of_argo_cd_prints_what_kustomize_builds_with_exeunt_in_it() {
    let Some(_) = program("kustomize") else { return };
    let plugin = std::fs::read_to_string(repository("examples/argocd/plugin.yaml")).unwrap();
    let plugin = data(&plugin).remove(0);
    let list = |key: &str| -> Vec<String> {
        serde_json::from_value(plugin.pointer(&format!("/spec/generate/{key}")).unwrap().clone()).unwrap()
    };
    let words = [list("command"), list("args")].concat();
    let place = Place::new("argo");
    place.write("job.yaml", JOB);
    place.write("--main=load", "a pattern would find this file\n");
    place.write("kustomization.yaml", "resources: [job.yaml]\nnamePrefix: a-\n");
    let generate = |options: &str| {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("PATH", path()).env("ARGOCD_ENV_EXEUNT_OPTIONS", options);
        command.current_dir(place.path("")).output().unwrap()
    };
    let output = generate("--main load");
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let output = generate("--mai?=load");
    assert!(said(&output).contains("'--mai?'"), "{}", said(&output));
    assert!(text.contains("name: a-nightly"), "{text}");
    assert_eq!(pod_spec(&text)["containers"][1]["command"][2], "sidecar", "{text}");
    // Whatever fails, fails.
    assert!(!generate("").status.success());
    place.write("kustomization.yaml", "resources: [nothing.yaml]\n");
    let output = generate("--main load");
    assert!(!output.status.success() && output.stdout.is_empty(), "{}", said(&output));
}

/// What Argo CD's documentation (3.4, "Config Management Plugins") asks of a plugin, its sidecar and an Application.
#[test]
fn the_recipe_for_argo_cd_is_as_its_documentation_has_it() {
    let of = |name: &str| {
        let text = std::fs::read_to_string(repository("examples/argocd").join(name)).unwrap();
        data(&text).remove(0)
    };
    let (plugin, server, application) = (of("plugin.yaml"), of("repo-server.yaml"), of("application.yaml"));
    let text = |value: &Value, at: &str| value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    assert_eq!(text(&plugin, "/apiVersion"), "argoproj.io/v1alpha1");
    assert_eq!(text(&plugin, "/kind"), "ConfigManagementPlugin");
    // What discovers its applications takes them from Argo CD's own tools; what has a version is named with it.
    let known: Vec<&str> = plugin["spec"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(known, ["generate"]);
    assert_eq!(text(&application, "/spec/source/plugin/name"), text(&plugin, "/metadata/name"));
    let variable = text(&application, "/spec/source/plugin/env/0/name");
    assert!(text(&plugin, "/spec/generate/args/0").contains(&format!("${{ARGOCD_ENV_{variable}:-}}")));

    let sidecar = server.pointer("/spec/template/spec/containers/0").unwrap();
    assert_eq!(sidecar["command"], json!(["/var/run/argocd/argocd-cmp-server"]));
    assert_eq!(sidecar["securityContext"], json!({"runAsNonRoot": true, "runAsUser": 999}));
    let mounts: Vec<(String, String)> = sidecar["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(one, "/mountPath"), text(one, "/name")))
        .collect();
    // The first two are volumes of the repo server; /tmp must not be.
    assert_eq!(mounts[0], ("/var/run/argocd".to_owned(), "var-files".to_owned()));
    assert_eq!(mounts[1], ("/home/argocd/cmp-server/plugins".to_owned(), "plugins".to_owned()));
    assert_eq!(mounts[2].0, "/home/argocd/cmp-server/config/plugin.yaml");
    let own: Vec<String> = server
        .pointer("/spec/template/spec/volumes")
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(one, "/name"))
        .collect();
    assert_eq!(own, [mounts[2].1.clone(), mounts.iter().find(|(at, _)| at == "/tmp").unwrap().1.clone()]);
}

/// A registry on the loopback address, with one image for two platforms and one of which they differ.
struct Registry {
    place: Place,
    address: String,
    process: std::process::Child,
}

impl Registry {
    fn start(server: &Path, crane: &Path) -> Self {
        let place = Place::new("registry");
        let store = place.path("store");
        let config = format!(
            "version: 0.1\nlog: {{level: info, formatter: json}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n",
            store.display()
        );
        let config = place.write("config.yml", &config);
        let mut process =
            Command::new(server).arg("serve").arg(config).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // It says where it listens, and goes on talking.
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let at = line.find("listening on ")? + "listening on ".len();
            Some(line[at..].split(['"', ',']).next()?.to_owned())
        });
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let registry = Self { place, address: address.expect("the registry says where it listens"), process };
        registry.push(crane, "same", ["/serve", "/serve"]);
        registry.push(crane, "other", ["/serve", "/serve.arm"]);
        registry
    }

    fn push(&self, crane: &Path, name: &str, words: [&str; 2]) {
        let layer = self.place.write("layer.tar", "");
        std::fs::write(&layer, [0; 10240]).unwrap();
        let reference = format!("{}/{name}:1", self.address);
        let mut index = Command::new(crane);
        index.args(["index", "append", "-t", &reference]);
        for (platform, word) in ["linux/amd64", "linux/arm64"].iter().zip(words) {
            let one = format!("{}/{name}:{}", self.address, platform.replace('/', "-"));
            done(Command::new(crane).args(["append", "--oci-empty-base", "-f"]).arg(&layer).args([
                "-t",
                &one,
                "--platform",
                platform,
            ]));
            done(Command::new(crane).args([
                "mutate",
                &one,
                "--entrypoint",
                word,
                "--cmd",
                "$(X)",
                "--set-platform",
                platform,
                "-t",
                &one,
            ]));
            index.args(["-m", &one]);
        }
        done(&mut index);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn crane_and_skopeo_ask_a_real_registry() {
    let (Some(server), Some(crane), Some(skopeo)) = (program("docker-registry"), program("crane"), program("skopeo"))
    else {
        return;
    };
    assert!(skopeo.exists());
    let registry = Registry::start(&server, &crane);
    // skopeo wants to be told that this one speaks HTTP.
    let conf = format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.address);
    registry.place.write(".config/containers/registries.conf", &conf);
    let ask = |tool: &str, image: &str| {
        let text = JOB
            .replace("          command: [\"/proxy\"]\n", "")
            .replace("proxy:1", &format!("{}/{image}", registry.address));
        let file = registry.place.write("job.yaml", &text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"));
        command.args(["inject", "--main", "load", "--lookup", tool]).arg(file).env("HOME", registry.place.path(""));
        (command.output().unwrap(), text)
    };
    for tool in ["crane", "skopeo"] {
        let (output, text) = ask(tool, "same:1");
        assert!(output.status.success(), "{tool}: {}", said(&output));
        let with = String::from_utf8(output.stdout.clone()).unwrap();
        let command = &pod_spec(&with)["containers"][1]["command"];
        assert_eq!(command, &json!(["/tmp/pod/exeunt", "--mode", "sidecar", "--", "/serve", "$$(X)"]), "{tool}");
        let told = format!(
            "from {tool}, of the image {}/same:1 for linux/amd64, linux/arm64, whose tag can move",
            registry.address
        );
        assert!(said(&output).contains(&told), "{}", said(&output));
        assert_eq!(eject(&read(&with)).unwrap(), text);
        let (output, _) = ask(tool, "other:1");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{}", said(&output));
        assert!(said(&output).contains("runs another program on linux/arm64 than on linux/amd64"), "{}", said(&output));
        let (output, _) = ask(tool, "missing:1");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{}", said(&output));
        assert!(said(&output).contains(&format!("{tool} tells nothing of")), "{}", said(&output));
    }
}

/// The hooks of .pre-commit-hooks.yaml, by pre-commit itself, in a repository of somebody's.
#[test]
fn the_hooks_run_in_pre_commit() {
    let Some(program) = std::env::var_os("EXEUNT_PRE_COMMIT").filter(|path| !path.is_empty()) else {
        return pass_over("it needs pre-commit (.ci/machine COMMAND brings it)");
    };
    let place = Place::new("pre-commit");
    let git = |inside: &str, words: &[&str]| {
        let identity = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main"];
        done(Command::new("git").args(identity).args(words).current_dir(place.path(inside)))
    };
    // As a repository of its own, with the hooks as they are.
    let hooks = std::fs::read_to_string(repository(".pre-commit-hooks.yaml")).unwrap();
    place.write("exeunt/.pre-commit-hooks.yaml", &hooks);
    for inside in ["exeunt", "app"] {
        std::fs::create_dir_all(place.path(inside)).unwrap();
        git(inside, &["init", "--quiet"]);
    }
    git("exeunt", &["add", "."]);
    git("exeunt", &["commit", "--quiet", "-m", "hooks"]);
    let revision = git("exeunt", &["rev-parse", "HEAD"]);
    let config = format!(
        "repos:\n  - repo: {}\n    rev: {}\n    hooks: [{{id: kubectl-exeunt-check}}]\n",
        place.path("exeunt").display(),
        revision.trim()
    );
    place.write("app/.pre-commit-config.yaml", &config);
    place.write("app/service.yaml", "kind: Service\n");
    let run = |job: &str| {
        place.write("app/job.yaml", job);
        git("app", &["add", "."]);
        let mut command = Command::new(&program);
        command.args(["run", "--all-files"]).env("PATH", path()).env("PRE_COMMIT_HOME", place.path("home"));
        command.current_dir(place.path("app")).output().unwrap()
    };
    let bad = run(&JOB.replace("/proxy", "pgbouncer"));
    assert!(!bad.status.success() && said(&bad).contains("[sidecar-never-ends]"), "{}", said(&bad));
    let good = run(&injected(&[]));
    assert!(good.status.success(), "{}", said(&good));
}

/// Says what a file breaks of the schema, one line each.
const VALIDATE: &str = "\
import json, sys, jsonschema
schema, log = (json.load(open(name)) for name in sys.argv[1:])
validator = jsonschema.validators.validator_for(schema)
validator.check_schema(schema)
forms = jsonschema.FormatChecker()
for error in validator(schema, format_checker=forms).iter_errors(log):
    print(error.json_path, error.message[:200])
";

/// Whatever is found, and wherever, is SARIF by the schema of its makers.
#[test]
fn sarif_is_what_its_schema_says() {
    let Some(home) = std::env::var_os("EXEUNT_SARIF") else {
        return pass_over(
            "it needs EXEUNT_SARIF, a Python with jsonschema and schema.json (.ci/machine COMMAND brings it)",
        );
    };
    let home = Path::new(&home);
    let place = Place::new("sarif");
    let broken = |log: &str| {
        let log = place.write("log.sarif", log);
        let mut python = Command::new(home.join("bin/python"));
        done(python.args(["-c", VALIDATE]).arg(home.join("schema.json")).arg(log))
    };
    let hangs = JOB.replace("proxy:1", "haproxy").replace("          command: [\"/proxy\"]\n", "");
    let odd = place.write("a folder: \u{fc}\u{2603}/100% #1?.yaml", &hangs);
    let check = |what: &[&Path]| {
        let mut plugin = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"));
        done(plugin.args(["check", "--exit-zero", "--format", "sarif"]).args(what))
    };
    let wild = check(&[&repository("kubectl-exeunt/tests/wild"), &odd]);
    let log: Value = serde_json::from_str(&wild).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    for level in ["error", "warning", "note"] {
        assert!(results.iter().any(|one| one["level"] == level), "nothing of this level is tried: {level}");
    }
    for one in results {
        let index = usize::try_from(one["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][index]["id"], one["ruleId"]);
    }
    let uri = results.last().unwrap()["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
    assert!(uri.ends_with("/a%20folder%3A%20%C3%BC%E2%98%83/100%25%20%231%3F.yaml"), "{uri}");
    let none = check(&[&repository("kubectl-exeunt/tests/wild/one-container.yaml")]);
    for log in [&wild, &none] {
        assert_eq!(broken(log), "");
    }
    // The schema is really asked, and of the forms that it names too.
    for (path, wrong) in [
        ("/runs/0/results/0/level", json!("fatal")),
        ("/runs/0/results/0/locations/0/physicalLocation/region/startLine", json!(0)),
        ("/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri", json!("a folder/job.yaml")),
        ("/runs/0/tool/driver", json!({"nam": "kubectl-exeunt"})),
    ] {
        let mut planted = log.clone();
        *planted.pointer_mut(path).unwrap() = wrong;
        assert_ne!(broken(&planted.to_string()), "", "{path}");
    }
}
