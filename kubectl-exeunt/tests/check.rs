//! `check`: verdicts on manifests as people write them, the project's own examples, formats, exit codes.

use kubectl_exeunt::judge::rehearse::rehearse;
use kubectl_exeunt::judge::shell::Method;
use kubectl_exeunt::judge::{CONTROLLED, HELPERS, INJECTED, Judgement, OWNED, Verdict, WRAPPERS, judge, scenarios};
use kubectl_exeunt::out;
use kubectl_exeunt::pod::objects;
use kubectl_exeunt::yaml::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MOUNT: &str = "volumeMounts: [{name: pod, mountPath: /tmp/pod}]";

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn manifests(directory: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(here(directory)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    found.sort();
    found
}

fn judged(text: &str) -> Vec<Judgement> {
    judge(&File::read("test.yaml", text.as_bytes().to_vec()).unwrap(), &[]).unwrap()
}

fn check(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt")).arg("check").args(words).output().unwrap()
}

#[test]
fn manifests_as_people_write_them_get_the_verdict_that_is_right() {
    let (mut wrong, mut misses, mut alarms, mut many) = (Vec::new(), 0, 0, 0);
    for path in manifests("tests/wild") {
        many += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let head = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(&format!("# {key}:"))).unwrap().trim().to_owned()
        };
        let all = judged(&text);
        let verdict = all[0].verdict.name();
        let mut rules: Vec<&str> = all[0].findings.iter().map(|finding| finding.rule.name).collect();
        rules.sort_unstable();
        let wanted_rules = head("rules");
        let mut wanted: Vec<&str> = wanted_rules.split(',').filter(|name| !name.is_empty()).collect();
        wanted.sort_unstable();
        misses += wanted.iter().filter(|name| !rules.contains(name)).count();
        alarms += rules.iter().filter(|name| !wanted.contains(name)).count();
        if verdict != head("verdict") || rules != wanted {
            let name = path.file_stem().unwrap().to_string_lossy();
            wrong.push(format!("{name}: {verdict} {rules:?}, not {} {wanted:?}", head("verdict")));
        }
    }
    println!("{many} manifests, {misses} misses, {alarms} false alarms");
    assert!(many >= 60, "{many}");
    assert!(wrong.is_empty(), "{misses} misses, {alarms} false alarms\n{}", wrong.join("\n"));
}

/// Every line of the table, as it is written: it is found by each of its names, and its endpoint by a call that is right; it
/// says where it was read.
#[test]
fn every_line_of_the_table_of_helpers_holds() {
    let (mut names, mut endpoints, mut wrong) = (std::collections::HashSet::new(), 0, Vec::new());
    let job = |helper: &str, script: &str| {
        let text = format!(
            "kind: Job\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n        - name: load\n          \
             image: app\n          command: [sh, -c, {script:?}]\n        - {helper}\n"
        );
        judged(&text).remove(0)
    };
    let sources = HELPERS.iter().map(|one| one.source).chain(INJECTED.iter().map(|one| one.source));
    let foreign = [WRAPPERS, CONTROLLED, OWNED].into_iter().flatten().map(|one| one.source);
    for source in sources.chain(foreign) {
        // A repository alone, or a directory of it, nobody can have read.
        let file = |word: &str| {
            let last = word.trim_end_matches([',', ':', ';']).rsplit('/').next().unwrap_or(word);
            let ending = last.rsplit_once('.').is_some_and(|(_, end)| end.starts_with(char::is_alphabetic));
            ending || ["Dockerfile", "README"].contains(&last)
        };
        let page = |word: &str| word.split_once('/').is_some_and(|(host, _)| host.contains('.'));
        assert!(source.contains('/') && !source.contains("://"), "{source}");
        assert!(source.split(' ').any(|word| file(word) || page(word)), "{source}: names no file and no page");
    }
    for helper in HELPERS {
        assert!(helper.known.iter().all(|name| names.insert(*name)), "{}: a name stands twice", helper.name);
        assert!(helper.clients.iter().all(|name| helper.known.contains(name)), "{}", helper.name);
        let mut images: Vec<(&str, &str)> = helper.known.iter().map(|name| (*name, "")).collect();
        images.retain(|(name, _)| helper.by.iter().all(|(many, _)| many != name));
        images.extend(helper.by.iter().flat_map(|(name, words)| words.iter().map(move |word| (*name, *word))));
        for (image, word) in images {
            let args = if word.is_empty() { "[]".to_owned() } else { format!("[{word:?}]") };
            let one = job(&format!("{{name: side, image: {image}, args: {args}}}"), "exec 2>&1; false");
            if !matches!(one.verdict, Verdict::NeverEnds | Verdict::MayNotEnd) || one.why.contains("several jobs") {
                wrong.push(format!("{image} {word}: {:?} {}", one.verdict, one.why));
            }
        }
        let Some(quit) = &helper.quit else { continue };
        endpoints += 1;
        let on = quit.needs.map_or(String::new(), |(argument, _)| format!("{argument:?}"));
        let side = format!("{{name: {}, image: x, args: [{on}]}}", helper.known[0]);
        for method in [Method::Get, Method::Post, Method::Put] {
            let taken = quit.methods.is_empty() || quit.methods.contains(&method);
            let call = format!("trap 'curl -X {} localhost:{}{}' EXIT; /load", method.name(), quit.port, quit.path);
            let one = job(&side, &call);
            let rules: Vec<_> = one.findings.iter().map(|finding| finding.rule.name).collect();
            let wanted: &[&str] =
                if taken { &["end-lost-on-kill"] } else { &["end-cannot-reach", "sidecar-never-ends"] };
            if rules != wanted {
                wrong.push(format!("{} {method:?}: {rules:?}", helper.name));
            }
        }
    }
    for one in INJECTED {
        assert!(kubectl_exeunt::judge::named(one.name).is_some(), "{}", one.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(HELPERS.len() >= 58 && endpoints >= 11, "{} {endpoints}", HELPERS.len());
}

#[test]
fn the_examples_of_the_project_all_end() {
    let mut files = manifests("../examples/kubernetes");
    files.push(here("../examples/job.yaml"));
    files.push(here("../examples/envoy/job.yaml"));
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for one in judged(&text) {
            assert_eq!(one.verdict, Verdict::Ends, "{}: {} {:?}", path.display(), one.why, one.findings);
            assert!(one.findings.is_empty(), "{}: {:?}", path.display(), one.findings);
        }
    }
}

#[test]
fn places_are_right_to_the_column_with_other_line_ends_and_in_json() {
    let text = std::fs::read_to_string(here("tests/wild/bare-nginx.yaml")).unwrap();
    let place = judged(&text)[0].findings[0].place;
    let line = text.lines().position(|line| line.trim() == "- name: nginx").unwrap() + 1;
    assert_eq!((place.line, place.column), (line, 17));
    assert_eq!(judged(&text.replace('\n', "\r\n"))[0].findings[0].place, place);
    let json = r#"{"kind":"Job","spec":{"template":{"spec":{"restartPolicy":"Never","containers":[
  {"name":"a","command":["/a"]}, {"name":"nginx","image":"nginx"}]}}}}"#;
    let place = judged(json)[0].findings[0].place;
    assert_eq!((place.line, place.column), (2, 42));
}

#[test]
fn what_is_ignored_is_not_reported() {
    let text = std::fs::read_to_string(here("tests/wild/bare-nginx.yaml")).unwrap();
    let told = text.replace("- name: nginx", "- name: nginx # exeunt: ignore[sidecar-never-ends] we know");
    assert!(judged(&told)[0].findings.is_empty());
    let above = text.replace(
        "        - name: nginx",
        "        # exeunt: ignore[sidecar-never-ends] we know\n        - name: nginx",
    );
    assert!(judged(&above)[0].findings.is_empty());
    let other = text.replace("- name: nginx", "- name: nginx # exeunt: ignore[bad-option]");
    let found: Vec<_> = judged(&other)[0].findings.iter().map(|finding| finding.rule.name).collect();
    assert_eq!(found, ["sidecar-never-ends", "ignore-without-effect"]);
    // An ignore without effect is an information: at its own place, in the object in which it stands.
    let two = format!(
        "# exeunt: ignore[mesh-version-decides]\n{text}---\n{}",
        text.replace("- name: nginx", "- name: nginx # exeunt: ignore[sidecar-never-end]")
    );
    let all = judged(&two);
    let of = |one: &Judgement| {
        let idle = one.findings.iter().find(|finding| finding.rule.name == "ignore-without-effect").unwrap();
        (idle.place.line, idle.place.column, idle.message.clone())
    };
    assert_eq!(of(&all[0]), (1, 1, "mesh-version-decides is ignored here, and is not found".to_owned()));
    assert_eq!(of(&all[1]).2, "there is no rule sidecar-never-end that could be ignored");
    let annotated = text.replace(
        "    spec:\n",
        "    metadata: {annotations: {exeunt.dev/ignore.sidecar-never-ends: known}}\n    spec:\n",
    );
    assert!(judged(&annotated)[0].findings.is_empty());
}

#[test]
fn exit_codes_and_formats() {
    let (bad, good) = (here("tests/wild/bare-nginx.yaml"), here("tests/wild/one-container.yaml"));
    let (bad, good) = (bad.to_str().unwrap(), good.to_str().unwrap());
    assert_eq!(check(&[good]).status.code(), Some(0));
    assert_eq!(check(&[bad]).status.code(), Some(1));
    assert_eq!(check(&["--exit-zero", bad]).status.code(), Some(0));
    let warns = here("tests/wild/proxy-trap.yaml");
    assert_eq!(check(&[warns.to_str().unwrap()]).status.code(), Some(0));
    assert_eq!(check(&["--strict", warns.to_str().unwrap()]).status.code(), Some(1));
    for (format, wanted) in [
        ("json", "\"verdict\": \"never-ends\""),
        ("sarif", "\"ruleId\": \"sidecar-never-ends\""),
        ("junit", "failures=\"1\""),
        ("github", "::error file="),
        ("text", "error: nothing ends nginx, so this Job never completes [sidecar-never-ends]"),
    ] {
        let output = check(&["--format", format, bad]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(wanted), "{format}: {text}");
        if matches!(format, "json" | "sarif") {
            let _: serde_json::Value = serde_json::from_str(&text).unwrap();
        }
    }
    let sarif = out::sarif(&judged(&std::fs::read_to_string(bad).unwrap()));
    assert_eq!(sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startColumn"], 17);
}

#[test]
fn what_cannot_be_judged_is_one_line_and_nothing_on_standard_output() {
    let directory = std::env::temp_dir().join(format!("exeunt-check-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let cases = [
        ("template.yaml", "kind: Job\nmetadata:\n  name: {{ .Release.Name }}\n", "helm template"),
        (
            "twice.yaml",
            "kind: Job\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      restartPolicy: Never\n",
            "stands twice",
        ),
        ("none.yaml", "kind: Service\n", "no Job, CronJob or Pod"),
        ("broken.yaml", "kind: [\n", ":"),
    ];
    for (name, text, wanted) in cases {
        let file = directory.join(name);
        std::fs::write(&file, text).unwrap();
        let output = check(&[file.to_str().unwrap()]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(output.stdout.is_empty());
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(wanted) && said.contains(name), "{said}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

/// A stand-in for kubectl: what it was asked stands in `said`, a line each, and it answers with `list`, or with what is in the
/// file of that name if it is asked for `jobs` or `pods`.
struct Cluster(PathBuf);

impl Cluster {
    fn new(name: &str, list: &str) -> Cluster {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = std::env::temp_dir().join(format!("exeunt-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let kubectl = directory.join("kubectl");
        std::fs::write(directory.join("list"), list).unwrap();
        for kind in ["jobs", "pods"] {
            std::fs::write(directory.join(kind), r#"{"kind":"List","items":[]}"#).unwrap();
        }
        let script = format!(
            "#!/bin/sh\ncd {}\necho \"$@\" >>said\ncase $2 in jobs|pods) cat \"$2\" ;; *) cat list ;; esac\n",
            directory.display()
        );
        std::fs::write(&kubectl, script).unwrap();
        std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
        Cluster(directory)
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let path = format!("{}:{}", self.0.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"));
        let output = command.args(words).env("PATH", path).current_dir(&self.0).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// What was asked since it was last looked at.
    fn said(&self) -> String {
        let said = std::fs::read_to_string(self.0.join("said")).unwrap();
        std::fs::remove_file(self.0.join("said")).unwrap();
        said
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const POD: &str =
    r#""spec":{"restartPolicy":"Never","containers":[{"name":"a","command":["/a"]},{"name":"nginx","image":"nginx"}]}"#;

#[test]
fn a_cluster_is_asked_by_the_users_own_kubectl() {
    let list =
        format!(r#"{{"kind":"Job","metadata":{{"name":"n","namespace":"night"}},"spec":{{"template":{{{POD}}}}}}}"#);
    let cluster = Cluster::new("asked", &list);
    let (code, said, _) = cluster.run(&["check", "-n", "night", "job/n"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Job/n in night never ends"), "{said}");
    let pods = "get pods --selector=job-name in (n) -o json --namespace=night\n";
    assert_eq!(cluster.said(), format!("get job/n -o json --namespace=night\n{pods}"));
    let (code, said, _) = cluster.run(&["rehearse", "job/n", "-n", "night", "--context", "far"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("Job/n ") && said.contains("RUNS ON"), "{said}");
    assert_eq!(cluster.said(), "get job/n -o json --namespace=night --context=far\n");
}

/// The Pods of a list: which of them hang now is said, since when, and what would end it; of the others nothing.
#[test]
fn what_hangs_now_is_found_in_the_whole_cluster() {
    let pod = |name: &str, owner: &str, a: &str, spec: &str, more: &str| {
        let owner =
            if owner.is_empty() { String::new() } else { format!(r#","ownerReferences":[{{"kind":"{owner}"}}]"#) };
        format!(
            r#"{{"kind":"Pod","metadata":{{"name":"{name}","namespace":"night"{owner}{more}}},{spec},"status":{{"phase":"Running",
            "containerStatuses":[{{"name":"a","state":{{{a}}}}},{{"name":"nginx","state":{{"running":{{"startedAt":"2026-01-02T03:00:00Z"}}}}}}]}}}}"#
        )
    };
    let over = r#""terminated":{"exitCode":0,"finishedAt":"2026-01-02T03:04:05Z"}"#;
    let failed = r#""terminated":{"exitCode":1,"finishedAt":"2026-01-02T03:04:05Z"}"#;
    let runs = r#""running":{"startedAt":"2026-01-02T03:00:00Z"}"#;
    let on_failure = POD.replace("Never", "OnFailure");
    let items = [
        pod("hangs", "Job", over, POD, ""),
        pod("works", "Job", runs, POD, ""),
        pod("repeats", "Job", failed, &on_failure, ""),
        pod("leaves", "Job", over, POD, r#","deletionTimestamp":"2026-01-02T03:05:00Z""#),
        pod("serves", "ReplicaSet", runs, &POD.replace("Never", "Always"), ""),
        format!(r#"{{"kind":"Job","metadata":{{"name":"n","namespace":"night"}},"spec":{{"template":{{{POD}}}}}}}"#),
    ];
    let list = format!(r#"{{"kind":"List","items":[{}]}}"#, items.join(",\n"));
    let cluster = Cluster::new("hangs", &list);
    let (code, said, _) = cluster.run(&["check", "-A"]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(cluster.said(), "get jobs,cronjobs,pods -o json --all-namespaces\n");
    assert!(
        said.contains("a ended at 2026-01-02T03:04:05Z, nginx still runs, for ") && said.contains(" days now"),
        "{said}"
    );
    assert!(said.contains("= would end it: kubectl exec -n night hangs -c nginx -- kill 1"), "{said}");
    let last: Vec<&str> = said.lines().filter(|line| line.contains(" in night ")).collect();
    assert_eq!(last.len(), 2, "{said}");
    assert!(last[0].starts_with("Pod/hangs in night") && last[1].starts_with("Job/n in night"), "{said}");
    assert_eq!(said.matches("[hangs-now]").count(), 1, "{said}");
    // Of one Job or CronJob it is said as well: by the Pods of it.
    let pods = format!(r#"{{"kind":"List","items":[{}]}}"#, items[..2].join(","));
    std::fs::write(cluster.0.join("pods"), pods).unwrap();
    std::fs::write(cluster.0.join("list"), &items[5]).unwrap();
    let owned = |name: &str, owner: &str| {
        format!(r#"{{"metadata":{{"name":"{name}","ownerReferences":[{{"kind":"CronJob","name":"{owner}"}}]}}}}"#)
    };
    let jobs = format!(r#"{{"items":[{},{},{{}}]}}"#, owned("n-1", "n"), owned("m-1", "m"));
    std::fs::write(cluster.0.join("jobs"), jobs).unwrap();
    for (asked, all) in [("job/n", "n"), ("cronjob/n", "n-1"), ("CJ/n", "n-1")] {
        let (code, said, complaint) = cluster.run(&["check", asked]);
        assert_eq!((code, said.matches("[hangs-now]").count()), (Some(1), 1), "{said}{complaint}");
        assert!(cluster.said().ends_with(&format!("get pods --selector=job-name in ({all}) -o json\n")));
    }
    assert_eq!(cluster.run(&["check", "cronjob/other"]).1.matches("[hangs-now]").count(), 0);
    // The same by a file: it is the status that tells.
    std::fs::write(cluster.0.join("pods.json"), &list).unwrap();
    assert_eq!(cluster.run(&["check", "pods.json"]).1.matches("[hangs-now]").count(), 1);
}

#[test]
fn a_kubectl_that_fails_is_one_line() {
    let cluster = Cluster::new("fails", "");
    std::fs::write(cluster.0.join("kubectl"), "#!/bin/sh\necho 'E1129 00:12:44.140290   12624 memcache.go:265] no list\nerror: no such\nserver' >&2\nexit 1\n").unwrap();
    for words in [&["check", "-A"][..], &["check", "job/n"], &["rehearse", "job/n"]] {
        let (code, said, complaint) = cluster.run(words);
        assert_eq!((code, said.as_str()), (Some(2), ""), "{complaint}");
        assert_eq!(complaint, "kubectl get failed: error: no such; server\n");
    }
}

/// A kubectl that fails without a word, or answers what is no list, is no cluster in which nothing hangs.
#[test]
fn what_a_kubectl_answers_is_a_list_or_a_complaint() {
    let cluster = Cluster::new("garbles", "");
    let none = "answered what is no object of Kubernetes: ";
    for (script, code, wanted) in [
        ("exit 3", 2, "failed: exit status: 3, without a word\n"),
        ("exit 0", 2, &*format!("{none}\"\"\n")),
        ("echo garbage; echo more", 2, &format!("{none}\"garbage\"\n")),
        ("echo '{}'", 2, &format!("{none}\"{{}}\"\n")),
        ("echo '{\"kind\": \"List\", \"items\": []}'", 0, ""),
    ] {
        std::fs::write(cluster.0.join("kubectl"), format!("#!/bin/sh\n{script}\n")).unwrap();
        let (status, said, complaint) = cluster.run(&["check", "-A"]);
        assert_eq!((status, said.as_str()), (Some(code), ""), "{script}: {complaint}");
        assert!(complaint.ends_with(wanted) && complaint.lines().count() <= 1, "{script}: {complaint}");
    }
}

/// A file that has no end is not read for ever, and a name is told as a shell takes it.
#[test]
fn what_has_no_end_is_refused_and_a_hint_can_be_pasted() {
    let endless = check(&["/dev/zero"]);
    assert_eq!(endless.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(endless.stderr).unwrap(),
        "/dev/zero:1:1: error: more than 67108864 bytes; split it\n"
    );
    let text = std::fs::read_to_string(here("tests/wild/bare-nginx.yaml")).unwrap();
    for (name, told) in [("a b.yaml", "'a b.yaml'"), ("standard input", "-"), ("cluster", "FILE"), ("a.yaml", "a.yaml")]
    {
        let judged = judge(&File::read(name, text.clone().into_bytes()).unwrap(), &[]).unwrap();
        let notes = &judged[0].findings[0].notes;
        let hint = notes.iter().find(|note| note.contains("inject")).unwrap();
        assert!(hint.ends_with(&format!("kubectl exeunt inject --main load {told}")), "{hint}");
    }
}

/// What the API server has in a list says no kind of its own; a Job without containers it takes none.
#[test]
fn a_list_of_jobs_is_one_of_jobs_and_no_container_is_no_verdict() {
    let pod = r#"{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"load"},{"name":"nginx","image":"nginx"}]}}}"#;
    let list = format!(r#"{{"kind":"JobList","items":[{{"metadata":{{"name":"a"}},"spec":{pod}}}]}}"#);
    let one = judged(&list).remove(0);
    assert_eq!((one.kind.as_str(), one.name.as_str(), one.verdict), ("Job", "a", Verdict::NeverEnds));
    let none =
        judged("kind: Job\nspec:\n  template:\n    spec: {restartPolicy: Never, containers: {a: b}}\n").remove(0);
    assert_eq!(
        (none.verdict, none.words()),
        (Verdict::NotJudged, "is not judged: it has no containers: the API server takes none such".into())
    );
}

/// Whether every Pod of a file ends, by what is played. A command line that exeunt refuses is no end.
fn played_to_the_end(file: &File, mains: &[String]) -> bool {
    let Ok(read) = scenarios(file, mains) else { return false };
    assert!(!read.is_empty());
    read.iter().all(|read| rehearse(&read.scenario).ends() == Some(true))
}

fn examples() -> Vec<PathBuf> {
    let mut files = manifests("../examples/kubernetes");
    files.extend([here("../examples/job.yaml"), here("../examples/envoy/job.yaml")]);
    files
}

/// The verdict and the rehearsal are two ways to know the same thing.
#[test]
fn ends_is_said_of_a_pod_if_every_life_of_it_ends_and_only_then() {
    let mut files = manifests("tests/wild");
    files.extend(examples());
    let (mut ends, mut wrong) = ([0, 0], Vec::new());
    for path in files {
        let file = File::read("test.yaml", std::fs::read(&path).unwrap()).unwrap();
        let all = judge(&file, &[]).unwrap();
        if all.iter().any(|one| one.verdict == Verdict::NotJudged) {
            continue;
        }
        let said = all.iter().all(|one| one.verdict == Verdict::Ends);
        ends[usize::from(said)] += 1;
        if played_to_the_end(&file, &[]) != said {
            let why: Vec<_> = all.iter().map(|one| (one.verdict.name(), &one.why)).collect();
            wrong.push(format!("{}: {why:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ends[0] >= 50 && ends[1] >= 15, "{ends:?}");
}

/// The same for every pairing of what people write for a job and for its helper.
#[test]
fn the_verdict_and_the_rehearsal_agree_on_what_people_write() {
    let shell = |script: &str| format!("command: [sh, -c, {script:?}], {MOUNT}");
    let post = "curl -XPOST localhost:9901/quitquitquit";
    let touch = "touch /tmp/pod/main-job-terminated";
    let mut jobs = vec![
        "command: [/load]".to_owned(),
        "image: load".to_owned(),
        format!("command: [exeunt, --mode, main, --, /load], {MOUNT}"),
        format!("command: [exeunt, --mode, main, --mesh, envoy, --, /load], {MOUNT}"),
        format!("command: [exeunt, --mode, main, --restart-policy, on-failure, --, /load], {MOUNT}"),
        "command: [exeunt, --mode, main, --, /load], volumeMounts: [{name: pod, mountPath: /tmp/pod, readOnly: true}]"
            .to_owned(),
    ];
    for call in [post, touch, "pkill envoy", "pkill -9 envoy"] {
        jobs.extend([
            shell(&format!("/load; {call}")),
            shell(&format!("/load && {call}")),
            shell(&format!("/load || {call}")),
            shell(&format!("set -e; trap '{call}' EXIT; /load")),
            shell(&format!("/load; if [ -n \"$X\" ]; then {call}; fi")),
        ]);
    }
    let helpers = [
        "command: [envoy]".to_owned(),
        "command: [/other]".to_owned(),
        shell("while ! test -f /tmp/pod/main-job-terminated; do sleep 1; done"),
        format!("command: [exeunt, --mode, sidecar, --, envoy], {MOUNT}"),
        format!("command: [exeunt, --mode, sidecar, --absence-timeout, 5m, --, envoy], {MOUNT}"),
        "command: [exeunt, --mode, sidecar, --, envoy]".to_owned(),
    ];
    let (mut ends, mut wrong) = ([0, 0], Vec::new());
    for policy in ["Never", "OnFailure"] {
        for more in ["", "activeDeadlineSeconds: 60", "shareProcessNamespace: true"] {
            for job in &jobs {
                for helper in &helpers {
                    let text = format!(
                        "kind: Job\nmetadata: {{name: n}}\nspec:\n  template:\n    spec:\n      restartPolicy: {policy}\n      \
                         {more}\n      volumes: [{{name: pod, emptyDir: {{}}}}]\n      containers:\n      \
                         - {{name: load, {job}}}\n      - {{name: helper, {helper}}}\n"
                    );
                    let file = File::read("test.yaml", text.clone().into_bytes()).unwrap();
                    let one = judge(&file, &[]).unwrap().remove(0);
                    let said = one.verdict == Verdict::Ends;
                    ends[usize::from(said)] += 1;
                    if played_to_the_end(&file, &[]) != said {
                        wrong.push(format!("{policy} {more} | {job} | {helper}: {} {}", one.verdict.name(), one.why));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {ends:?}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ends[0] >= 300 && ends[1] >= 100, "{ends:?}");
}

/// The words of the contract for a Pod that only a deadline ends, whatever it would end by if nobody were killed.
#[test]
fn a_deadline_that_is_the_only_end_is_said() {
    for (name, why) in
        [("proxy-deadline-only", "nothing ends proxy"), ("proxy-trap-deadline", "proxy runs on when load is killed")]
    {
        let text = std::fs::read_to_string(here(&format!("tests/wild/{name}.yaml"))).unwrap();
        let judged = judged(&text).remove(0);
        let seconds = judged.deadline.unwrap();
        assert_eq!(judged.words(), format!("may not end by itself; stopped as failed after {seconds} s: {why}"));
    }
}

/// A container that goes on when the job in it is over: a kill of the whole container is the one life in which it ends, unless
/// the kubelet starts it again.
#[test]
fn a_container_that_outlives_its_job_ends_by_a_kill_unless_it_comes_back() {
    let rules = |operator: &str, codes: &str| {
        format!("restartPolicyRules: [{{action: Restart, exitCodes: {{operator: {operator}, values: {codes}}}}}]")
    };
    let never = Verdict::NeverEnds;
    let may = Verdict::MayNotEnd;
    let cases = [
        ("Never", String::new(), "", may),
        ("OnFailure", String::new(), "", never),
        // The Job's own bound on restarts stops it.
        ("OnFailure", String::new(), "backoffLimit: 1", may),
        ("OnFailure", String::new(), "backoffLimit: 2", never),
        ("OnFailure", String::new(), "activeDeadlineSeconds: 60", may),
        // The container's own policy, and its rules, come before the Pod's.
        ("OnFailure", "restartPolicy: Never".to_owned(), "", may),
        ("Never", "restartPolicy: OnFailure".to_owned(), "", never),
        ("Never", format!("restartPolicy: Never, {}", rules("In", "[42]")), "", may),
        ("Never", format!("restartPolicy: Never, {}", rules("In", "[42, 137]")), "", never),
        ("Never", format!("restartPolicy: Never, {}", rules("NotIn", "[42]")), "", never),
        ("Never", format!("restartPolicy: Never, {}", rules("NotIn", "[137]")), "", may),
    ];
    let commands = ["[supervisord, -n]", "[sh, -c, 'redis-server & /load; wait']", "[sh, -c, '/load; sleep infinity']"];
    for (policy, own, job, verdict) in &cases {
        for command in commands {
            let own = if own.is_empty() { String::new() } else { format!(", {own}") };
            let job = if job.is_empty() { String::new() } else { format!("  {job}\n") };
            let text = format!(
                "kind: Job\nspec:\n{job}  template:\n    spec:\n      restartPolicy: {policy}\n      containers:\n        \
                 - {{name: load, image: app, command: {command}{own}}}\n"
            );
            let one = judged(&text).remove(0);
            assert_eq!(one.verdict, *verdict, "{}\n{text}", one.why);
            let said = &one.findings[0].notes[0];
            let again = *verdict == never || job.contains(" 1") || job.contains("60");
            assert_eq!(said.contains("started again"), again, "{said}\n{text}");
        }
    }
}

/// Where a verdict hangs on what a manifest does not show, the finding says what that is, and what there is that does not help.
#[test]
fn a_verdict_says_what_it_cannot_see() {
    let inside = "whether load does it inside its image cannot be seen";
    for (name, wanted) in [
        ("proxy2-prestop-quit", &["only when it stops the container", inside][..]),
        ("istio-native-false", &["its injector is not there", inside, "nativeSidecar: \"true\""]),
        ("envoy-bare", &["request to its port 9901/quitquitquit", inside]),
        ("vault-agent-args", &["exit_after_auth ends it", inside]),
        ("vault-agent", &["its injector is not there"]),
        ("proxy2-args-only", &["only where the image's ENTRYPOINT gives its arguments to a shell", inside]),
        ("proxy2-trap-int-term-only", &["a trap of load for signals, which is not run when its script ends", inside]),
        ("pgrep-full", &["the pgrep -f of envoy finds the shell that asks", inside]),
        ("two-unknown", &["--main a if that is the job, --main a --main b if each is one"]),
        ("kuma-injected", &["asks it to quit once all others are over: one request"]),
        ("filebeat-once", &["once what it has read is delivered, and tries for ever until then"]),
        ("supervisord-alone", &["only a kill of the whole container"]),
    ] {
        let text = std::fs::read_to_string(here(&format!("tests/wild/{name}.yaml"))).unwrap();
        let said = out::text(&judged(&text), false);
        for wanted in wanted {
            assert!(said.contains(wanted), "{name}: {wanted:?} is not in\n{said}");
        }
        // Nothing of an injector's can be moved by hand.
        assert!(!said.contains("move vault-agent") && !said.contains("move istio-proxy"), "{said}");
    }
    // The flags that it names settle it.
    let text = std::fs::read_to_string(here("tests/wild/two-unknown.yaml")).unwrap();
    let file = File::read("test.yaml", text.into_bytes()).unwrap();
    let mains = ["a".to_owned(), "b".to_owned()];
    assert_eq!(judge(&file, &mains).unwrap()[0].verdict, Verdict::Ends);
}

/// What inject makes of a manifest that does not end, ends.
#[test]
fn what_inject_makes_of_manifests_in_the_wild_ends() {
    let mut injected = 0;
    for path in manifests("tests/wild") {
        let bare = File::read("test.yaml", std::fs::read(&path).unwrap()).unwrap();
        let mut words = vec!["inject".to_owned()];
        // What the images would run, as a person would tell it.
        for container in objects(&bare).0.iter().flat_map(|object| object.containers()) {
            words.extend(["--entrypoint".to_owned(), format!("{}=[\"/{}\"]", container.name, container.image)]);
        }
        let output = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt")).args(&words).arg(&path).output().unwrap();
        if !output.status.success() || output.stdout == bare.text().as_bytes() {
            continue;
        }
        injected += 1;
        let file = File::read("test.yaml", output.stdout).unwrap();
        for one in judge(&file, &[]).unwrap() {
            assert_eq!(one.verdict, Verdict::Ends, "{}: {}\n{}", path.display(), one.why, file.text());
        }
        assert!(played_to_the_end(&file, &[]), "{}:\n{}", path.display(), file.text());
    }
    assert!(injected >= 30, "{injected}");
}
