//! The manifests under `examples/kubernetes/`: of the right form, in agreement with themselves, and run as far as a machine
//! without a cluster can: every command of a manifest as a process, in a network namespace that they share as a Pod does.

mod house;
mod stand_in;

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use house::role::role;
use house::{EXEUNT, House, PATIENCE, Process, here, wait_for, wait_until};
use stand_in::meshes;

roles! {
    fn istio() { meshes::istio(); }
    fn linkerd() { meshes::linkerd(); }
    fn cloud_sql_proxy() { meshes::cloud_sql_proxy(); }
    fn nobody() { meshes::nobody(); }
}

const MANIFESTS: [&str; 9] = [
    "cloud-sql-proxy",
    "cronjob",
    "envoy",
    "istio",
    "linkerd",
    "log-shipper",
    "on-failure",
    "prebuilt-images",
    "several-sidecars",
];

// --- the form

#[test]
fn every_manifest_is_of_the_form_that_kubernetes_wants() {
    let Some(validate) = kubernetes_validate() else { return };
    let files = MANIFESTS.map(path).into_iter().chain(["examples/job.yaml", "examples/envoy/job.yaml"].map(here::path));
    let output = Command::new(validate).arg("--strict").args(files).output().expect("the validator");
    assert!(output.status.success(), "{output:?}");
    // A ConfigMap, a ServiceAccount, and a Job or CronJob in each file.
    let passed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).matches(" passed for ").count();
    assert_eq!(passed, MANIFESTS.len() + 4);
}

/// The negative control: what is misspelt, missing or of another type is found.
#[test]
fn a_manifest_with_a_mistake_in_it_is_refused() {
    let Some(validate) = kubernetes_validate() else { return };
    let house = House::new();
    let good = text("cronjob");
    for (from, to) in [
        ("backoffLimit: 2", "backofLimit: 2"),
        ("backoffLimit: 2", "backoffLimit: two"),
        ("  schedule: \"30 2 * * *\"\n", ""),
        ("{name: exeunt-pod, mountPath: /tmp/pod}", "{name: exeunt-pod}"),
        ("kind: CronJob", "kind: CronicJob"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        let file = house.path("manifest.yaml");
        fs::write(&file, bad).unwrap();
        let output = Command::new(&validate).arg("--strict").arg(file).output().expect("the validator");
        // A kind that it does not know is a warning to it, so the first test counts what has passed.
        let passed = String::from_utf8_lossy(&output.stdout).contains(" passed for ");
        assert!(!passed, "{from} -> {to}: {output:?}");
    }
}

#[test]
fn the_list_of_the_manifests_is_complete_and_each_says_how_to_run_it() {
    let mut found: Vec<_> = fs::read_dir(here::path("examples/kubernetes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".yaml", ""))
        // What they are made of: a test of the plugin makes them.
        .filter(|name| name != "bare")
        .collect();
    found.sort();
    assert_eq!(found, MANIFESTS);
    for name in MANIFESTS {
        let text = text(name);
        let head: Vec<_> = text.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(head.len() >= 8, "{name}: {head:#?}");
        let apply = format!("#     kubectl apply -f examples/kubernetes/{name}.yaml");
        assert!(head.contains(&apply.as_str()), "{name} does not say: {apply}");
        assert!(head.iter().any(|line| line.contains("docker build -t exeunt .")), "{name}");
    }
}

// --- agreement

#[test]
fn main_is_told_the_restart_policy_of_its_pod() {
    for name in MANIFESTS {
        let text = text(name);
        let policies: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix("restartPolicy: ")).collect();
        let main = containers(name).into_iter().find(|one| one.is("main")).expect("a main");
        let told = main.option("--restart-policy");
        match policies[..] {
            ["Never"] => assert!(matches!(told.as_deref(), None | Some("never")), "{name}: {told:?}"),
            ["OnFailure"] => assert_eq!(told.as_deref(), Some("on-failure"), "{name}"),
            ref other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn every_name_that_is_waited_for_is_one_that_a_container_of_the_pod_has() {
    let mut waited = 0;
    for name in MANIFESTS {
        let containers = containers(name);
        let names: Vec<_> = containers
            .iter()
            .filter_map(|one| one.option("--name").or_else(|| one.is("main").then(|| "main-job".to_owned())))
            .collect();
        for container in &containers {
            let environment = container.environment("EXEUNT_WAIT_FOR");
            let lists = ["--wait-for", "--stop-with", "--until"].iter().flat_map(|option| container.options(option));
            for one in lists.chain(environment).flat_map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>())
            {
                if !one.contains(':') {
                    assert!(
                        names.contains(&one),
                        "{name}: {} waits for {one}, and there are {names:?}",
                        container.name
                    );
                    waited += 1;
                }
            }
        }
    }
    assert!(waited >= 8, "{waited} names only: the manifests are not read as they are written");
}

#[test]
fn every_wrapped_container_mounts_the_shared_volume_and_can_write_there_if_it_has_a_name() {
    for name in MANIFESTS {
        for container in containers(name).iter().filter(|one| one.is_wrapped()) {
            if container.body.contains("{name: exeunt-pod, mountPath: /tmp/pod}") {
                continue;
            }
            let at = container
                .body
                .find("name: pod\n")
                .unwrap_or_else(|| panic!("{name}: {} has no volume", container.name));
            let mount: Vec<_> = container.body[at..].lines().skip(1).take_while(|line| !line.contains("- ")).collect();
            assert_eq!(mount[0].trim(), "mountPath: /tmp/pod", "{name}: {}", container.name);
            let read_only = mount.iter().any(|line| line.contains("readOnly: true"));
            let writes = container.is("main") || container.option("--name").is_some();
            assert!(!(read_only && writes), "{name}: {}", container.name);
        }
    }
}

/// Together they must fit into the time after which the kubelet kills everybody.
#[test]
fn the_times_fit_into_the_pod_s_grace_period() {
    for name in MANIFESTS {
        let text = text(name);
        let period = text.lines().find_map(|line| line.trim().strip_prefix("terminationGracePeriodSeconds: "));
        let period: u64 = period.map_or(30, |seconds| seconds.parse().unwrap());
        for container in containers(name) {
            let Some(held) = container.words.iter().find_map(|word| word.strip_prefix("--outlive-main=")) else {
                continue;
            };
            let grace = container.option("--grace").unwrap_or_else(|| "30s".to_owned());
            let seconds = |text: &str| text.strip_suffix('s').unwrap().parse::<u64>().unwrap();
            let total = seconds(held) + seconds(&grace);
            assert!(total < period, "{name}: {} may take {total} s of {period}", container.name);
        }
    }
}

// --- run

/// The containers of a manifest as processes. Their volumes are directories of the house.
struct Pod {
    house: House,
    net: Process,
    containers: Vec<Container>,
}

impl Pod {
    fn new(name: &str, beside: &str) -> Self {
        let house = House::new();
        fs::create_dir(house.path("log")).unwrap();
        let run = role(&house, beside).current_dir(house.path(""));
        let up = ["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"];
        let mut net = run.behind(up).unshare(["--net"]).start();
        net.ready();
        let pod = Self { house, net, containers: containers(name) };
        for init in pod.containers.iter().filter(|one| one.words.get(1).is_some_and(|word| word == "install")) {
            assert_eq!(pod.start_as(init, EXEUNT.as_ref()).code(), 0);
        }
        pod
    }

    fn start(&self, name: &str) -> Process {
        let container = self.containers.iter().find(|one| one.name == name).expect("the container");
        // From where the init container has put it, if it is so written.
        let installed = container.words[0].starts_with("/tmp/pod/");
        let program = if installed { self.house.pod("exeunt") } else { EXEUNT.into() };
        self.start_as(container, program.as_os_str())
    }

    fn start_as(&self, container: &Container, program: &OsStr) -> Process {
        let words = container.words[1..].iter().map(|word| {
            let [pod, log] = ["pod", "log"].map(|name| self.house.path(name).display().to_string());
            word.replace("/tmp/pod", &pod).replace("/tmp/log", &log)
        });
        let mut run = self.house.run(program).args(words).env("EXEUNT_DIR", self.house.pod(""));
        for (name, value) in &container.env {
            run = run.env(name, value);
        }
        run.inside(&self.net, &["--net"]).start()
    }
}

#[track_caller]
fn all_leave<const N: usize>(processes: [&mut Process; N]) {
    for process in processes {
        assert_eq!(process.code(), 0, "{}", process.err());
    }
}

#[test]
fn the_jobs_beside_an_injected_or_an_unwrapped_proxy_wait_for_it_and_ask_it_to_quit() {
    for (manifest, stand_in, quit) in [
        ("istio", "istio", "POST /quitquitquit"),
        ("linkerd", "linkerd", "POST /shutdown"),
        ("cloud-sql-proxy", "cloud_sql_proxy", "POST /quitquitquit"),
    ] {
        let pod = Pod::new(manifest, stand_in);
        let mut main = pod.start("main");
        wait_until("the proxy to be asked", || pod.net.out().contains("GET /"));
        assert_eq!(main.out(), "", "{manifest}");
        fs::write(pod.house.path("serves"), "").unwrap();
        all_leave([&mut main]);
        assert!(main.out().ends_with("the job is done\n"), "{manifest}: {}", main.out());
        let asked = pod.net.out();
        assert!(asked.ends_with(&format!("{quit}\ntold to quit, the sentinel is there\n")), "{manifest}: {asked}");
        // Where the machine is slow the wait is longer than a second, and is spoken of.
        let err = main.err();
        let rest: Vec<_> = err.lines().filter(|line| !line.starts_with("exeunt main: waiting for http://")).collect();
        assert_eq!(rest, [""; 0], "{manifest}");
    }
}

#[test]
fn the_job_goes_through_the_real_envoy_which_quits_when_it_is_asked() {
    let Some(envoy) = here::envoy() else {
        return;
    };
    let Some(_) = here::program("wget", "wget") else { return };
    let pod = Pod::new("envoy", "nobody");
    let config = text("envoy");
    let config =
        config.split("envoy.yaml: |\n").nth(1).and_then(|rest| rest.split("---\n").next()).expect("the ConfigMap");
    let config: String = config.lines().map(|line| format!("{}\n", line.get(4..).unwrap_or_default())).collect();
    fs::write(pod.house.path("envoy.yaml"), config).unwrap();
    let mut main = pod.start("main");
    let container = pod.containers.iter().find(|one| one.name == "envoy").expect("the container");
    let file = pod.house.path("envoy.yaml").display().to_string();
    let words = container.words.iter().map(|word| word.replace("/etc/envoy/envoy.yaml", &file));
    // Its shared memory is named by this number.
    let number = std::process::id().to_string();
    let run = pod.house.run(envoy).args(words).args(["--base-id", &number, "--concurrency", "1"]);
    let mut envoy = run.inside(&pod.net, &["--net"]).start();
    all_leave([&mut main, &mut envoy]);
    assert_eq!(main.out(), "Envoy says hello\n");
}

#[test]
fn the_log_shipper_has_the_last_line_at_the_end_and_at_the_deletion_of_the_pod() {
    for (deleted, last) in [(false, "the last line"), (true, "the last line, after SIGTERM")] {
        let pod = Pod::new("log-shipper", "nobody");
        let (mut main, mut shipper) = (pod.start("main"), pod.start("shipper"));
        if deleted {
            wait_until("the first line", || shipper.out().contains("line 1"));
            shipper.signal(libc::SIGTERM);
            main.signal(libc::SIGTERM);
        }
        all_leave([&mut main, &mut shipper]);
        assert_eq!(shipper.out().lines().last(), Some(last), "{}", shipper.out());
    }
}

#[test]
fn the_sidecar_of_the_job_that_fails_once_stays_for_the_second_attempt() {
    let pod = Pod::new("on-failure", "nobody");
    let mut sidecar = pod.start("sidecar");
    let mut first = pod.start("main");
    assert_eq!((first.code(), first.out()), (1, "the first attempt fails\n".to_owned()), "{}", first.err());
    // As the kubelet does.
    let mut second = pod.start("main");
    all_leave([&mut second, &mut sidecar]);
    assert_eq!(second.out(), "the second attempt works\n");
    assert_eq!(sidecar.out(), "the sidecar serves\nthe sidecar leaves\n");
    assert_eq!(pod.house.record("main-job-terminated")["attempt"].as_u64(), Some(2));
}

#[test]
fn what_an_init_container_has_brought_runs_the_job_beside_the_real_redis() {
    let Some(_) = here::program("redis-server", "redis-server") else { return };
    let pod = Pod::new("prebuilt-images", "nobody");
    let (mut main, mut cache) = (pod.start("main"), pod.start("cache"));
    all_leave([&mut main, &mut cache]);
    assert_eq!(main.out(), "OK\nhello\n");
}

#[test]
fn of_several_sidecars_the_log_shipper_is_the_last_to_leave() {
    let Some(_) = here::program("redis-server", "redis-server") else { return };
    let pod = Pod::new("several-sidecars", "nobody");
    let mut shipper = pod.start("shipper");
    let mut main = pod.start("main");
    let mut cache = pod.start("cache");
    all_leave([&mut main, &mut cache, &mut shipper]);
    let ended = |name: &str| pod.house.record(&format!("{name}-terminated"))["ended"].as_str().unwrap().to_owned();
    assert!(ended("main-job") < ended("cache") && ended("cache") < ended("shipper"));
    // It ships what the others have written at their very end.
    let shipped = shipper.out();
    assert!(shipped.starts_with("1\nthe job is done\n") && shipped.contains("bye bye"), "{shipped}");
}

/// The other half of the promise in that manifest.
#[test]
fn without_its_cache_the_job_is_stopped_and_fails() {
    let Some(_) = here::program("redis-server", "redis-server") else { return };
    let house = House::new();
    let mut pod = Pod::new("several-sidecars", "nobody");
    let main = pod.containers.iter_mut().find(|one| one.is("main")).unwrap();
    // A job that takes longer.
    let last = main.words.last_mut().unwrap();
    *last = format!("touch {}; sleep 1000", house.path("begun").display());
    let _shipper = pod.start("shipper");
    let (mut main, mut cache) = (pod.start("main"), pod.start("cache"));
    wait_for("the job to begin", PATIENCE, || house.path("begun").exists().then_some(()));
    cache.signal(libc::SIGKILL);
    cache.killed_by();
    assert_eq!(main.code(), 143, "{}", main.err());
}

#[test]
fn the_cron_job_and_its_sidecar_leave_together_and_their_messages_are_json() {
    let pod = Pod::new("cronjob", "nobody");
    let (mut main, mut sidecar) = (pod.start("main"), pod.start("sidecar"));
    all_leave([&mut main, &mut sidecar]);
    assert!(main.out().ends_with("the nightly job is done\n"), "{}", main.out());
    // On a slow machine it says as well that it waits.
    let lines = sidecar.err();
    let said: serde_json::Value = serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON");
    assert_eq!(said["mode"], "sidecar");
}

// --- reading

/// A container of a manifest: the words of its `command` and `args`, and what stands below its name.
struct Container {
    name: String,
    words: Vec<String>,
    env: Vec<(String, String)>,
    body: String,
}

impl Container {
    fn is_wrapped(&self) -> bool {
        self.words.iter().any(|word| word == "--mode")
    }

    fn is(&self, mode: &str) -> bool {
        self.option("--mode").as_deref() == Some(mode)
    }

    fn option(&self, name: &str) -> Option<String> {
        self.options(name).into_iter().next()
    }

    fn options(&self, name: &str) -> Vec<String> {
        let own = self.words.iter().take_while(|word| *word != "--").collect::<Vec<_>>();
        own.windows(2).filter(|pair| pair[0] == name).map(|pair| pair[1].clone()).collect()
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }
}

/// The manifests write `command` and `args` as JSON lists, which YAML allows, so that they can be read here without a YAML
/// parser. A line break within a text is a blank there, as in YAML.
fn containers(name: &str) -> Vec<Container> {
    let text = text(name);
    let lines: Vec<_> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = line.trim_start().strip_prefix("- name: ") else { continue };
        if !lines.get(at + 1).is_some_and(|next| next.trim_start().starts_with("image: ")) {
            continue;
        }
        let body = lines[at + 1..].iter().take_while(|next| indent(next) > indent(line));
        let body: String = body.map(|line| format!("{}\n", line.trim_start())).collect();
        let list = |key: &str| {
            let Some(at) = body.find(&format!("{key}: [")) else { return Vec::new() };
            let rest = body[at + key.len() + 2..].replace('\n', " ");
            let mut values = serde_json::Deserializer::from_str(&rest).into_iter::<Vec<String>>();
            values.next().unwrap().unwrap_or_else(|error| panic!("{name}: {key}: {error}"))
        };
        let variables: Vec<_> = body.lines().collect();
        let env = variables.windows(2).filter_map(|pair| {
            let value = pair[1].strip_prefix("value: ")?;
            Some((pair[0].strip_prefix("- name: ")?.to_owned(), value.to_owned()))
        });
        found.push(Container {
            name: name.to_owned(),
            words: [list("command"), list("args")].concat(),
            env: env.collect(),
            body,
        });
    }
    found
}

fn text(name: &str) -> String {
    here::read(path(name))
}

fn path(name: &str) -> PathBuf {
    here::path(format!("examples/kubernetes/{name}.yaml"))
}

/// `kubernetes-validate` from PyPI, which carries the schemas of Kubernetes.
fn kubernetes_validate() -> Option<PathBuf> {
    let called = "kubernetes-validate (python3 -m venv DIR && DIR/bin/pip install kubernetes-validate==1.37.0; \
                  EXEUNT_KUBERNETES_VALIDATE names DIR/bin/kubernetes-validate)";
    here::program_or("EXEUNT_KUBERNETES_VALIDATE", "kubernetes-validate", called)
}
