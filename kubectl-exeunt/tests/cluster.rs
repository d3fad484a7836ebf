//! A real cluster: what the rehearsal foretells its kubelet does, and what hangs there is said to hang.
//!
//! `.ci/cluster cargo test -p kubectl-exeunt --test cluster` makes one; KUBECONFIG may name any other whose nodes have the image
//! `busybox` of `.ci/cluster`, which has exeunt in it.

mod house;

use house::pass_over;
use kubectl_exeunt::judge::rehearse::{PodEnd, Rehearsal, rehearse, text};
use kubectl_exeunt::judge::scenarios;
use kubectl_exeunt::yaml::File;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// For what takes seconds on a quiet machine. Only ever used up by a failure.
const PATIENCE: Duration = Duration::from_secs(240);
/// What is never to end, as is foretold, is looked at for so long after its job.
const SHORT: Duration = Duration::from_secs(5);

fn kubectl(space: &str, words: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new("timeout")
        .args(["240", "kubectl", "--namespace", space])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start kubectl: {error}"))?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).map_err(|error| error.to_string())?;
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A namespace that goes with the test.
struct Space(&'static str);

impl Space {
    /// Nothing where there is no cluster.
    #[track_caller]
    fn new(name: &'static str) -> Option<Self> {
        if std::env::var_os("EXEUNT_CLUSTER_APART").is_some() {
            let _ = std::io::stderr().write_all(b"the cluster is tried in a step of its own\n");
            return None;
        }
        let named = std::env::var_os("KUBECONFIG").is_some_and(|path| !path.is_empty());
        if !named || kubectl(name, &["get", "--raw", "/readyz"], "").is_err() {
            pass_over("not run: no cluster (.ci/cluster COMMAND makes one)");
            return None;
        }
        let space = Self(name);
        // An earlier run that failed may have left it on its way out.
        let end = Instant::now() + PATIENCE;
        while let Err(why) = kubectl(name, &["create", "namespace", name], "") {
            assert!(Instant::now() < end, "waited in vain for the namespace to be ours: {why}");
            std::thread::sleep(Duration::from_millis(500));
        }
        space.done(&["wait", "--for=create", "serviceaccount/default", "--timeout=120s"], "");
        Some(space)
    }

    #[track_caller]
    fn done(&self, words: &[&str], input: &str) -> String {
        kubectl(self.0, words, input).unwrap_or_else(|error| panic!("kubectl {}: {error}", words.join(" ")))
    }

    /// The plugin, as a person calls it.
    fn plugin(&self, words: &[&str]) -> Output {
        let words = words.iter().map(|word| if *word == "NS" { self.0 } else { word });
        Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt")).args(words).output().unwrap()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = kubectl(self.0, &["delete", "namespace", self.0, "--ignore-not-found", "--wait=false"], "");
    }
}

/// It ends as a program does that does not handle SIGTERM, which a first process has to say itself.
const SERVER: &str = "trap 'exit 143' TERM; touch /tmp/pod/serving; while :; do sleep 0.1; done";
/// Until the helper serves, so that what is told to stop is its own program.
const BOTH: &str = "until [ -e /tmp/pod/serving ]; do sleep 0.1; done;";
const FAILS: &str = "touch /tmp/pod/serving; sleep 1; exit 1";
/// Four seconds of a job that a machine which stalls does not take away: of those it takes one step.
const WORKS: &str = "n=0; while [ $n -lt 40 ]; do n=$((n + 1)); sleep 0.1; done; exit 0";
/// Fails, and passes when it is tried again.
const AGAIN: &str = "[ -e /tmp/pod/again ] && exit 0; touch /tmp/pod/again; exit 1";

fn container(name: &str, exeunt: &[&str], script: &str) -> Value {
    let mut command = Vec::new();
    if !exeunt.is_empty() {
        command.push("/bin/exeunt");
        command.extend(exeunt);
        command.push("--");
    }
    command.extend(["/bin/sh", "-c", script]);
    json!({
        "name": name, "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": command,
        "volumeMounts": [{"name": "pod", "mountPath": "/tmp/pod"}],
    })
}

/// Who eats until the kernel kills it.
const EATS: &str = "a=0123456789; while :; do a=$a$a; done";
/// Of two `$` in a command Kubernetes makes one.
const KILLS_ITSELF: &str = "kill -9 $$$$";
/// Kills exeunt, whose command this is: nothing is left to say how it ended.
const KILLS_EXEUNT: &str = "kill -9 $PPID; sleep 60";
/// What the job answers when the Pod is deleted.
const DELETED: &str = "trap 'exit 143' TERM; while :; do sleep 0.1; done";
/// An image that never comes, which the node knows at once: to ask a resolver that is not there takes it a minute, and it asks for
/// one image at a time.
const NOWHERE: &str = "127.0.0.1:9/none:1";

/// A kind of Pod, and the life that its scripts lead.
struct Life {
    name: &'static str,
    /// As the rehearsal calls it.
    fate: &'static str,
    pod: Value,
    /// The helper that fails does it with this code, in whose place the rehearsal has 1.
    own: Option<u8>,
    /// The Pod is deleted once all its containers run.
    deleted: bool,
    /// The Pod has a deadline, which it is told when its job is over: to begin may have taken it longer.
    deadline: bool,
}

impl Life {
    /// All containers see each other's processes, and may kill them.
    fn together(mut self) -> Life {
        self.pod["spec"]["shareProcessNamespace"] = json!(true);
        self
    }

    fn failing_with(self, own: u8) -> Life {
        Life { own: Some(own), ..self }
    }

    /// What stays of it until the test has seen its end.
    fn deleted(mut self) -> Life {
        self.pod["metadata"]["finalizers"] = json!(["exeunt.dev/seen"]);
        Life { deleted: true, ..self }
    }

    fn with(mut self, container: usize, key: &str, value: Value) -> Life {
        self.pod["spec"]["containers"][container][key] = value;
        self
    }

    /// So little memory that who eats is killed.
    fn hungry(self) -> Life {
        self.with(0, "resources", json!({"limits": {"memory": "24Mi"}, "requests": {"memory": "8Mi"}}))
    }
}

fn life(name: &'static str, fate: &'static str, restart: &str, containers: &[Value]) -> Life {
    let metadata = json!({"name": name, "annotations": {"exeunt.dev/main": "load"}});
    let spec = json!({
        "restartPolicy": restart, "terminationGracePeriodSeconds": 30, "automountServiceAccountToken": false,
        "dnsPolicy": "Default", "containers": containers, "volumes": [{"name": "pod", "emptyDir": {}}],
    });
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    Life { name, fate, pod, own: None, deleted: false, deadline: false }
}

/// Two containers with exeunt in front.
fn pair(name: &'static str, fate: &'static str, main: &[&str], load: &str, side: &[&str], proxy: &str) -> Life {
    let main = [&["--mode", "main"], main].concat();
    let side = [&["--mode", "sidecar"], side].concat();
    let restart = if main.contains(&"on-failure") { "OnFailure" } else { "Never" };
    life(name, fate, restart, &[container("load", &main, &format!("{BOTH} {load}")), container("proxy", &side, proxy)])
}

/// Two containers without exeunt.
fn bare(name: &'static str, fate: &'static str, script: &str) -> Life {
    let load = container("load", &[], &format!("{BOTH} {script}"));
    life(name, fate, "Never", &[load, container("proxy", &[], SERVER)])
}

/// The same, and the second is a native sidecar.
fn native(name: &'static str, fate: &'static str, script: &str) -> Life {
    let mut life = life(name, fate, "Never", &[container("load", &[], &format!("{BOTH} {script}"))]);
    let mut proxy = container("proxy", &[], SERVER);
    proxy["restartPolicy"] = json!("Always");
    life.pod["spec"]["initContainers"] = json!([proxy]);
    life
}

fn lives() -> Vec<Life> {
    let (zero, one, first) = ("load exits 0", "load exits 1..255", "proxy fails first");
    let on_failure = ["--restart-policy", "on-failure"];
    let mut stopped = bare("bare-deadline", zero, "exit 0");
    stopped.pod["spec"]["activeDeadlineSeconds"] = json!(5);
    stopped.deadline = true;
    let mut init = life("init-first", zero, "Never", &[container("load", &[], "[ -e /tmp/pod/made ]")]);
    init.pod["spec"]["initContainers"] = json!([container("make", &[], "touch /tmp/pod/made")]);
    vec![
        pair("passes", zero, &[], "exit 0", &[], SERVER),
        pair("fails", one, &[], "exit 1", &[], SERVER),
        pair("fails-zero", one, &[], "exit 1", &["--exit-with", "zero"], SERVER),
        pair("fails-child", one, &[], "exit 1", &["--exit-with", "child"], SERVER),
        pair("fails-main", one, &[], "exit 1", &["--exit-with", "main"], SERVER),
        pair("outlives", zero, &[], "exit 0", &["--outlive-main"], SERVER),
        pair("proxy-fails", first, &[], WORKS, &[], FAILS),
        pair("stops-with", first, &["--stop-with", "proxy"], "sleep 60", &["--name", "proxy"], FAILS),
        pair("again", one, &on_failure, AGAIN, &[], SERVER),
        pair("names-differ", one, &[], "exit 1", &["--until", "other"], SERVER),
        bare("bare", zero, "exit 0"),
        bare("bare-fails", one, "exit 1"),
        stopped,
        native("native", zero, "exit 0"),
        native("native-fails", one, "exit 1"),
        life("alone", zero, "Never", &[container("load", &[], "exit 0")]),
        life("alone-fails", one, "Never", &[container("load", &[], "exit 1")]),
        life("alone-again", one, "OnFailure", &[container("load", &[], AGAIN)]),
        init,
    ]
}

/// Lives that end, or do not even begin, by what is done to them from outside.
fn harder_lives() -> Vec<Life> {
    let (killed, first, deleted) = ("load is killed, out of memory", "proxy fails first", "the Pod is deleted");
    let rules = |name, action: &str| {
        // Tried again by the rule and by nothing else.
        let script = "[ -e /tmp/pod/again ] && exit 0; touch /tmp/pod/again; exit 42";
        let on = json!([{"action": action, "exitCodes": {"operator": "In", "values": [42]}}]);
        let life = pair(name, "load exits 42", &["--restart-on", "42"], script, &[], SERVER);
        life.with(0, "restartPolicy", json!("Never")).with(0, "restartPolicyRules", on)
    };
    vec![
        // Out of memory: exeunt goes with its command, for the kernel kills the whole container.
        pair("oom", killed, &[], EATS, &[], SERVER).hungry(),
        pair("oom-main", killed, &[], EATS, &["--exit-with", "main"], SERVER).hungry(),
        bare("oom-bare", killed, EATS).hungry(),
        native("oom-native", killed, EATS).hungry(),
        // kill -9 of the command, of exeunt in front of it, and of a job without it.
        pair("command-killed", killed, &[], KILLS_ITSELF, &[], SERVER),
        pair("exeunt-killed", killed, &[], KILLS_EXEUNT, &[], SERVER).together(),
        bare("bare-killed", killed, KILLS_ITSELF).together(),
        native("native-killed", killed, KILLS_ITSELF).together(),
        // The same of a helper, while the job goes on and passes.
        pair("helper-killed", first, &[], WORKS, &[], &format!("touch /tmp/pod/serving; {KILLS_EXEUNT}"))
            .together()
            .failing_with(137),
        pair("helper-killed-stops", first, &["--stop-with", "proxy"], "sleep 60", &["--name", "proxy"], FAILS),
        pair("deleted", deleted, &[], DELETED, &[], SERVER).deleted(),
        pair("deleted-outlives", deleted, &[], DELETED, &["--outlive-main=3s"], SERVER).deleted(),
        bare("deleted-bare", deleted, DELETED).deleted(),
        native("deleted-native", deleted, DELETED).deleted(),
        rules("rule-restarts", "Restart"),
        // Neither the job's image nor the helper's comes.
        pair("no-job", "load never starts", &[], "exit 0", &[], SERVER).with(0, "image", json!(NOWHERE)),
        bare("no-job-bare", "load never starts", "exit 0").with(0, "image", json!(NOWHERE)),
        // The gate never opens: exeunt gives up, the command is not started.
        pair(
            "no-helper",
            "proxy never starts",
            &["--wait-for", "proxy", "--wait-timeout", "5s"],
            "exit 0",
            &["--name", "proxy"],
            SERVER,
        )
        .with(1, "image", json!(NOWHERE)),
    ]
}

/// The kubelet that begins all containers again is one of this version or a later one: `RestartAllContainersOnContainerExits`.
const ALL_AGAIN_SINCE: u64 = 36;

/// With a restart rule of its own for these codes.
fn ruled(life: Life, container: usize, action: &str, operator: &str, codes: &[u8]) -> Life {
    let on = json!([{"action": action, "exitCodes": {"operator": operator, "values": codes}}]);
    life.with(container, "restartPolicy", json!("Never")).with(container, "restartPolicyRules", on)
}

/// In front of all others, an init container that runs exeunt so.
fn after(mut life: Life, words: &[&str]) -> Life {
    let mut first = container("first", &[], "");
    first["command"] = json!([&["/bin/exeunt"], words].concat());
    let others = life.pod["spec"]["initContainers"].as_array().cloned().unwrap_or_default();
    life.pod["spec"]["initContainers"] = json!([vec![first], others].concat());
    life
}

/// By the rules of single containers.
fn lives_by_rule() -> Vec<Life> {
    let (any_other, killed, first) =
        ("load exits with any other code", "load is killed, out of memory", "proxy fails first");
    let tried = |code: &str| format!("[ -e /tmp/pod/again ] && exit 0; touch /tmp/pod/again; {code}");
    let fails_once =
        format!("[ -e /tmp/pod/again ] || {{ touch /tmp/pod/again /tmp/pod/serving; sleep 1; exit 1; }}; {SERVER}");
    let on = |codes| ["--restart-on", codes];
    vec![
        ruled(pair("rule-is-for-another", any_other, &on("42"), "exit 1", &[], SERVER), 0, "Restart", "In", &[42]),
        ruled(
            pair("rule-not-in", any_other, &on("!0,1"), &tried("exit 2"), &[], SERVER),
            0,
            "Restart",
            "NotIn",
            &[0, 1],
        ),
        ruled(native("rule-killed", killed, &tried(KILLS_ITSELF)).together(), 0, "Restart", "In", &[137]),
        ruled(pair("rule-of-helper", first, &[], WORKS, &[], &fails_once), 1, "Restart", "In", &[1]),
    ]
}

/// By rules that begin the whole Pod again, on the same volumes.
fn lives_of_two_rounds() -> Vec<Life> {
    let fate = "load exits 42";
    // What says that the helper serves is of one round.
    let rounds = "rm /tmp/pod/serving; [ -e /tmp/pod/again ] && exit 0; touch /tmp/pod/again; exit 42";
    let all = |life| ruled(life, 0, "RestartAllContainers", "In", &[42]);
    let wrapped = |name| all(pair(name, fate, &["--restart-on", "42"], rounds, &[], SERVER));
    vec![
        after(wrapped("all-again"), &["reset"]),
        after(wrapped("all-again-installed"), &["install", "--reset", "/tmp/pod/exeunt"]),
        all(bare("all-again-bare", fate, rounds)),
        all(native("all-again-native", fate, rounds)),
    ]
}

fn rehearsed(pod: &Value) -> Rehearsal {
    let file = File::read("pod.json", pod.to_string().into_bytes()).unwrap();
    rehearse(&scenarios(&file, &[]).unwrap()[0].scenario)
}

/// What has become of a Pod: how it ended, the exit code of each container that has, and which of `containers` were started
/// again.
#[derive(Debug, PartialEq)]
struct Seen {
    end: PodEnd,
    codes: Vec<(String, Option<u8>)>,
    again: Vec<String>,
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainerStatuses", "containerStatuses"].into_iter().flat_map(|key| pod["status"][key].as_array()).flatten()
}

fn code(status: &Value) -> Option<u8> {
    status["state"]["terminated"]["exitCode"].as_u64().map(|code| u8::try_from(code).unwrap())
}

fn seen(life: &Life, pod: &Value) -> Option<Seen> {
    let over = statuses(pod).all(|status| code(status).is_some());
    let end = match pod["status"]["phase"].as_str()? {
        _ if life.deleted => {
            if over && !pod["metadata"]["deletionTimestamp"].is_null() {
                PodEnd::Gone
            } else {
                PodEnd::RunsOn
            }
        }
        "Succeeded" => PodEnd::Succeeded,
        "Failed" if pod["status"]["reason"] == "DeadlineExceeded" => PodEnd::Stopped,
        "Failed" => PodEnd::Failed,
        _ => PodEnd::RunsOn,
    };
    let name = |status: &Value| status["name"].as_str().unwrap().to_owned();
    let own = |status: &Value| match code(status) {
        code if name(status) == "proxy" && code.is_some() && code == life.own => Some(1),
        code => code,
    };
    let mut codes: Vec<_> = statuses(pod).map(|status| (name(status), own(status))).collect();
    codes.sort();
    let regular = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let mut again: Vec<_> = regular.filter(|status| status["restartCount"] != 0).map(name).collect();
    again.sort();
    Some(Seen { end, codes, again })
}

/// Whether what was seen is one of the endings that were foretold; if not, what to say.
fn compare(foretold: &Rehearsal, life: &Life, seen: &Seen) -> Result<(), String> {
    let fate = life.fate;
    let row = foretold.rows.iter().find(|row| row.what == fate).ok_or_else(|| format!("no row {fate}"))?;
    let regular: Vec<&str> =
        life.pod["spec"]["containers"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    let fits = row.endings.iter().any(|ending| {
        let named = || foretold.names.iter().cloned();
        let mut codes: Vec<_> = named().zip(ending.codes.iter().copied()).collect();
        codes.sort();
        let told = named().zip(&ending.containers);
        let mut again: Vec<_> = told
            .filter(|(name, what)| regular.contains(&name.as_str()) && what.starts_with("again"))
            .map(|(name, _)| name)
            .collect();
        again.sort();
        Seen { end: ending.pod, codes, again } == *seen
    });
    if fits {
        Ok(())
    } else {
        Err(format!("{fate}: {seen:?} was not foretold: {:#?}\n{}", row.endings, text(foretold)))
    }
}

/// As it is created.
fn created(life: &Life) -> Value {
    let mut pod = life.pod.clone();
    if life.deadline {
        pod["spec"].as_object_mut().unwrap().remove("activeDeadlineSeconds");
    }
    pod
}

/// Is there nothing more to wait for than an end that is not to come?
fn is_still(life: &Life, pod: &Value) -> bool {
    let of = |name: &str| statuses(pod).find(|status| status["name"] == name);
    let over = |name: &str| of(name).is_some_and(|status| code(status).is_some());
    let up = |name: &str| of(name).is_some_and(|status| !status["state"]["running"].is_null());
    let no_image = |name: &str| {
        of(name).is_some_and(|status| {
            status["state"]["waiting"]["reason"].as_str().is_some_and(|reason| reason.contains("Image"))
        })
    };
    match life.fate {
        "load never starts" => no_image("load") && up("proxy"),
        "proxy never starts" => no_image("proxy") && over("load"),
        _ => over("load"),
    }
}

/// Plays all of them, and says how each was seen in the end.
fn played(space: &Space, lives: &[Life]) -> Vec<Seen> {
    let pods: Vec<Value> = lives.iter().map(created).collect();
    space.done(&["create", "-f", "-"], &json!({"apiVersion": "v1", "kind": "List", "items": pods}).to_string());
    let end = Instant::now() + PATIENCE;
    let mut still_since: Vec<Option<Instant>> = vec![None; lives.len()];
    let mut told = vec![false; lives.len()];
    loop {
        let list: Value = serde_json::from_str(&space.done(&["get", "pods", "--output=json"], "")).unwrap();
        let pods = list["items"].as_array().unwrap();
        let all = lives.iter().zip(&mut still_since).zip(&mut told).map(|((life, since), told)| {
            let pod = pods.iter().find(|pod| pod["metadata"]["name"] == life.name)?;
            let up = statuses(pod).all(|status| !status["state"]["running"].is_null())
                && pod["status"]["phase"] == "Running";
            if life.deleted && up && !*told {
                *told = true;
                space.done(&["delete", "pod", life.name, "--wait=false"], "");
                return None;
            }
            let seen = seen(life, pod)?;
            if is_still(life, pod) && !life.deleted {
                since.get_or_insert_with(Instant::now);
            } else {
                *since = None;
            }
            if life.deadline && since.is_some() && !*told {
                *told = true;
                let deadline = &json!({"spec": {"activeDeadlineSeconds": life.pod["spec"]["activeDeadlineSeconds"]}});
                space.done(&["patch", "pod", life.name, "--type=merge", "-p", &deadline.to_string()], "");
            }
            // What is meant to run on has no end to wait for. Who is to be started again is still for a moment as well,
            // however long that is: only what was foretold is taken for the last of it.
            let still = since.is_some_and(|since| since.elapsed() > SHORT);
            let hangs = || still && compare(&rehearsed(&life.pod), life, &seen).is_ok();
            (seen.end != PodEnd::RunsOn || hangs()).then_some(seen)
        });
        let all: Vec<Option<Seen>> = all.collect();
        if all.iter().all(Option::is_some) {
            for life in lives.iter().filter(|life| life.deleted) {
                space.done(
                    &[
                        "patch",
                        "pod",
                        life.name,
                        "--type=json",
                        "-p",
                        r#"[{"op":"remove","path":"/metadata/finalizers"}]"#,
                    ],
                    "",
                );
            }
            return all.into_iter().flatten().collect();
        }
        if Instant::now() >= end {
            let differs = |(life, seen): (&Life, &Option<Seen>)| match seen {
                Some(seen) => compare(&rehearsed(&life.pod), life, seen).err(),
                None => Some(text(&rehearsed(&life.pod))),
            };
            let foretold: Vec<String> = lives.iter().zip(&all).filter_map(differs).collect();
            panic!("waited in vain: {all:#?}\n{}\n{}", foretold.join("\n"), space.done(&["describe", "pods"], ""));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Plays them, and compares each with its rehearsal.
#[track_caller]
fn play_and_compare(space: &Space, lives: &[Life]) -> Vec<Seen> {
    let all = played(space, lives);
    let mut wrong = Vec::new();
    for (life, seen) in lives.iter().zip(&all) {
        if let Err(difference) = compare(&rehearsed(&life.pod), life, seen) {
            wrong.push(format!("{}: {difference}", life.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} lives:\n{}", wrong.len(), lives.len(), wrong.join("\n"));
    all
}

/// The rehearsal of one Pod does not fit the life of another that differs in one thing.
#[track_caller]
fn assert_told_apart(lives: &[Life], all: &[Seen], pairs: &[(&str, &str)]) {
    let of = |name: &str| lives.iter().position(|life| life.name == name).unwrap();
    for (lived, other) in pairs {
        let foretold = rehearsed(&lives[of(other)].pod);
        assert!(compare(&foretold, &lives[of(lived)], &all[of(lived)]).is_err(), "{lived} is not {other}");
    }
}

#[test]
fn a_kubelet_does_what_the_rehearsal_says() {
    let Some(space) = Space::new("exeunt-rehearsal") else { return };
    let lives = lives();
    let all = play_and_compare(&space, &lives);
    assert_told_apart(
        &lives,
        &all,
        &[
            ("fails-main", "fails"),
            ("fails", "again"),
            ("bare", "native"),
            ("names-differ", "fails"),
            ("alone-again", "alone-fails"),
        ],
    );
}

/// Out of memory, kill -9, deletion, restart rules, an image that never comes.
#[test]
fn a_kubelet_does_to_a_pod_what_the_rehearsal_says() {
    let Some(space) = Space::new("exeunt-harder") else { return };
    let lives = harder_lives();
    let all = play_and_compare(&space, &lives);
    assert_told_apart(
        &lives,
        &all,
        &[
            ("oom-main", "oom"),
            ("oom-bare", "oom-native"),
            ("bare-killed", "native-killed"),
            ("exeunt-killed", "bare-killed"),
            ("helper-killed-stops", "helper-killed"),
            ("deleted-bare", "deleted-outlives"),
            ("no-helper", "helper-killed-stops"),
        ],
    );
    // A rule for all codes but this one, and a deadline.
    assert_planted(&lives, &all, "rule-restarts", &|spec| {
        spec["containers"][0]["restartPolicyRules"][0]["exitCodes"]["operator"] = json!("NotIn");
    });
    assert_planted(&lives, &all, "no-job", &|spec| spec["activeDeadlineSeconds"] = json!(60));
}

/// The rehearsal of a Pod that differs in this does not fit the life that this Pod had.
#[track_caller]
fn assert_planted(lives: &[Life], all: &[Seen], name: &str, change: &dyn Fn(&mut Value)) {
    let at = lives.iter().position(|life| life.name == name).unwrap();
    let mut other = lives[at].pod.clone();
    change(&mut other["spec"]);
    assert!(compare(&rehearsed(&other), &lives[at], &all[at]).is_err(), "{name} is not as it was planted");
}

/// Restart rules: for other codes, for all but some, for a kill, of a helper.
#[test]
fn a_kubelet_goes_by_restart_rules_as_the_rehearsal_does() {
    let Some(space) = Space::new("exeunt-rules") else { return };
    let lives = lives_by_rule();
    let all = play_and_compare(&space, &lives);
    for (name, container, code) in
        [("rule-is-for-another", 0, 1), ("rule-not-in", 0, 1), ("rule-killed", 0, 42), ("rule-of-helper", 1, 42)]
    {
        assert_planted(&lives, &all, name, &|spec| {
            let on = json!({"operator": "In", "values": [code]});
            spec["containers"][container]["restartPolicyRules"][0]["exitCodes"] = on;
        });
    }
}

/// `RestartAllContainers`: the whole Pod begins again on the same volumes, `exeunt reset` first.
#[test]
fn a_kubelet_begins_all_again_as_the_rehearsal_does() {
    let Some(space) = Space::new("exeunt-rounds") else { return };
    let version: Value = serde_json::from_str(&space.done(&["version", "--output=json"], "")).unwrap();
    let minor = version["serverVersion"]["minor"].as_str().unwrap().trim_end_matches('+').parse::<u64>().unwrap();
    if minor < ALL_AGAIN_SINCE {
        let _ = std::io::stderr().write_all(b"not run: RestartAllContainers is of Kubernetes 1.36\n");
        return;
    }
    let lives = lives_of_two_rounds();
    let all = play_and_compare(&space, &lives);
    for life in &lives {
        // The job alone is started again, where there is another that counts; and nobody is.
        if life.pod["spec"]["containers"].as_array().unwrap().len() > 1 {
            assert_planted(&lives, &all, life.name, &|spec| {
                spec["containers"][0]["restartPolicyRules"][0]["action"] = json!("Restart");
            });
        }
        assert_planted(&lives, &all, life.name, &|spec| {
            spec["containers"][0]["restartPolicyRules"][0]["exitCodes"]["values"] = json!([7]);
        });
    }
}

#[test]
fn what_hangs_now_is_said_of_the_job_and_of_the_cluster() {
    let Some(space) = Space::new("exeunt-hangs") else { return };
    let job = |name: &str, containers: &[Value]| {
        let pod = life("x", "", "Never", containers).pod;
        let spec = json!({"backoffLimit": 0, "template": {"metadata": {"annotations": {"exeunt.dev/main": "load"}}, "spec": pod["spec"]}});
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}).to_string()
    };
    let load = format!("{BOTH} exit 0");
    let hangs = [container("load", &[], &load), container("haproxy", &[], SERVER)];
    let ends = [container("load", &["--mode", "main"], &load), container("proxy", &["--mode", "sidecar"], SERVER)];
    space.done(&["create", "-f", "-"], &job("hangs", &hangs));
    space.done(&["create", "-f", "-"], &job("ends", &ends));
    space.done(&["wait", "--for=condition=complete", "job/ends", "--timeout=180s"], "");
    let asked = |words: &[&str]| {
        let output = space.plugin(words);
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    // It is said some time after the job has ended: a helper may be on its way out.
    let end = Instant::now() + PATIENCE;
    let said = loop {
        let (code, said, complaint) = asked(&["check", "-n", "NS", "job/hangs"]);
        assert_eq!(code, Some(1), "{said}{complaint}");
        if said.contains("haproxy still runs, for ") {
            break said;
        }
        assert!(Instant::now() < end, "waited in vain: {said}");
        std::thread::sleep(Duration::from_secs(1));
    };
    assert!(said.contains("[hangs-now]") && said.contains("load ended at ") && said.contains("never ends"), "{said}");
    let (code, said, complaint) = asked(&["check", "-n", "NS", "job/ends"]);
    assert_eq!((code, said.contains("hangs-now")), (Some(0), false), "{said}{complaint}");
    let (code, said, complaint) = asked(&["check", "-A"]);
    // Pods of other tests may hang there, too.
    let own = said.lines().filter(|line| line.contains("[hangs-now]") && line.contains("haproxy still runs")).count();
    assert_eq!((code, own), (Some(1), 1), "{said}{complaint}");
    assert!(said.contains("kubectl exec -n exeunt-hangs hangs-"), "{said}");
    let (code, said, complaint) = asked(&["rehearse", "-n", "NS", "job/hangs"]);
    let row = said.lines().find(|line| line.starts_with("load exits 0"));
    assert_eq!((code, row.is_some_and(|row| row.contains("RUNS ON"))), (Some(0), true), "{said}{complaint}");
    let (code, said, complaint) = asked(&["rehearse", "-n", "NS", "job/ends"]);
    let row = said.lines().find(|line| line.starts_with("load exits 0"));
    assert_eq!((code, row.is_some_and(|row| row.contains("Succeeded"))), (Some(0), true), "{said}{complaint}");
}
