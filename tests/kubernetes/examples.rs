//! The manifests of `examples/`, and those that stand in the README and the pages, applied as they are written.
//!
//! Images come from the registry under the manifests' own names. Real are Envoy, busybox and exeunt; `redis:8` is the redis of
//! Debian; the Cloud SQL proxy, the proxies of Istio and Linkerd, and what the pages call yours are stand-ins (`.ci/images`).

use crate::here;
use crate::mesh;
use crate::row::{Over, Row, containers};
use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

const RESTRICTED: &str = "pod-security.kubernetes.io/enforce=restricted";

/// A namespace for a manifest, once all images that a manifest may name are there.
fn stage(labels: &[&str]) -> Option<Row> {
    static IMAGES: OnceLock<()> = OnceLock::new();
    let row = Row::labelled(labels)?;
    IMAGES.get_or_init(|| {
        // Elsewhere than in our own cluster they are there already, or the manifests fail and say so.
        let Some(cluster) = std::env::var_os("EXEUNT_CLUSTER") else { return };
        let binary = std::path::Path::new(&cluster).join("exeunt");
        let output = Command::new(here::path(".ci/images")).arg("examples").env("EXEUNT_BINARY", binary).output();
        let output = output.expect("start .ci/images");
        assert!(output.status.success(), ".ci/images: {}", String::from_utf8_lossy(&output.stderr));
    });
    Some(row)
}

/// An example, applied where Pod Security admits nothing but `restricted`; `job` is the Job's name.
#[track_caller]
fn example(file: &str, job: &str) -> Option<Over> {
    let row = stage(&[RESTRICTED])?;
    row.apply(&here::read(file));
    Some(row.over(job))
}

/// The Job is Complete, and all of these ended with 0 in their first life; none of the others before the first.
#[track_caller]
fn all_left(over: &Over, main_and_others: &[&str]) {
    assert_eq!(over.ending(), "Complete");
    for container in main_and_others {
        assert_eq!((over.code(container).as_str(), over.restarts(container)), ("0 Completed", 0), "{container}");
        assert!(over.outlived(container, main_and_others[0]), "{container} ended before the job");
    }
}

/// What a container's own program said. exeunt says its lines to standard error, which is in the same log, and so does a
/// `tail` that is there before its file.
fn words(over: &Over, container: &str) -> String {
    let log = over.log(container);
    let own = log
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("exeunt ") && !line.starts_with('{') && !line.starts_with("tail: "));
    own.collect()
}

/// When a container said a line.
#[track_caller]
fn said(over: &Over, container: &str, line: &str) -> SystemTime {
    let times = over.times(container);
    let time = times.lines().find_map(|stamped| stamped.split_once(' ').filter(|it| it.1 == line).map(|it| it.0));
    let time = time.unwrap_or_else(|| panic!("{container} has not said {line:?}:\n{times}"));
    humantime::parse_rfc3339(time).unwrap_or_else(|error| panic!("{time}: {error}"))
}

/// Each log has its times from a reader of its own, who may be late: what is this close has no order. What the order is about
/// takes the jobs of the examples longer.
fn before(one: SystemTime, other: SystemTime) -> bool {
    one < other + Duration::from_secs(1)
}

#[test]
fn the_smallest_job() {
    let Some(over) = example("examples/job.yaml", "exeunt-example") else { return };
    all_left(&over, &["main", "sidecar"]);
    assert_eq!(words(&over, "main"), "the job works\nthe job is done\n");
    assert!(before(said(&over, "main", "the job is done"), said(&over, "sidecar", "the sidecar says goodbye")));
}

#[test]
fn the_job_through_envoy() {
    let Some(_) = here::envoy() else { return };
    let Some(over) = example("examples/envoy/job.yaml", "through-envoy") else { return };
    all_left(&over, &["main", "envoy"]);
    assert_eq!(words(&over, "main"), "job: fetched 10 pages\n");
    let pages = words(&over, "envoy").lines().filter(|line| line.starts_with("envoy: GET /pages/")).count();
    assert_eq!(pages, 10, "{}", words(&over, "envoy"));
}

#[test]
fn envoy_that_is_asked() {
    let Some(_) = here::envoy() else { return };
    let Some(over) = example("examples/kubernetes/envoy.yaml", "envoy-asked") else { return };
    all_left(&over, &["main", "envoy"]);
    assert_eq!(words(&over, "main"), "Envoy says hello\n");
}

/// Its service account comes with it.
#[test]
fn the_cloud_sql_proxy() {
    let Some(over) = example("examples/kubernetes/cloud-sql-proxy.yaml", "with-cloud-sql-proxy") else { return };
    all_left(&over, &["main", "cloud-sql-proxy"]);
    let ready = said(&over, "cloud-sql-proxy", "GET /startup: 200 OK");
    assert!(before(ready, said(&over, "main", "the job talks to the database at 127.0.0.1:5432")));
    let asked = said(&over, "cloud-sql-proxy", "POST /quitquitquit: 200 OK");
    assert!(before(said(&over, "main", "the job is done"), asked));
}

#[test]
fn the_cron_job_s_job() {
    let Some(row) = stage(&[RESTRICTED]) else { return };
    row.apply(&here::read("examples/kubernetes/cronjob.yaml"));
    row.kubectl(&["create", "job", "--from=cronjob/nightly", "nightly-now"]);
    let over = row.over("nightly-now");
    all_left(&over, &["main", "sidecar"]);
    assert_eq!(words(&over, "main"), "the nightly job works\nthe nightly job is done\n");
}

#[test]
fn istio_s_injected_proxy() {
    injected("istio", "labels", "sidecar.istio.io/inject", "GET /healthz/ready", "POST /quitquitquit");
}

#[test]
fn linkerd_s_injected_proxy() {
    injected("linkerd", "annotations", "linkerd.io/inject", "GET /ready", "POST /shutdown");
}

#[track_caller]
fn injected(mesh: &str, kind: &str, key: &str, ready: &str, quit: &str) {
    let Some(row) = stage(&[RESTRICTED]) else { return };
    if !mesh::injects(&row, mesh, kind, key) {
        return;
    }
    row.apply(&here::read(format!("examples/kubernetes/{mesh}.yaml")));
    let over = row.over(&format!("with-{mesh}"));
    let proxy = format!("{mesh}-proxy");
    all_left(&over, &["main", &proxy]);
    assert!(
        before(said(&over, &proxy, &format!("{ready}: 200 OK")), said(&over, "main", "the job works through the mesh"))
            && before(said(&over, "main", "the job is done"), said(&over, &proxy, &format!("{quit}: 200 OK"))),
        "{}\n{}",
        over.times("main"),
        over.times(&proxy)
    );
}

#[test]
fn the_log_shipper_has_the_last_line() {
    let Some(over) = example("examples/kubernetes/log-shipper.yaml", "with-log-shipper") else { return };
    all_left(&over, &["main", "shipper"]);
    assert_eq!(words(&over, "shipper"), "line 1\nline 2\nline 3\nthe last line\n");
}

#[test]
fn the_log_shipper_has_the_last_line_when_the_job_is_deleted() {
    let Some(row) = stage(&[RESTRICTED]) else { return };
    // In the file the job is over after three seconds; here it is at work for as long as a deletion may take.
    let (few, many) = ("for n in 1 2 3;", (1..=600).map(|n| n.to_string()).collect::<Vec<_>>().join(" "));
    let manifest = here::read("examples/kubernetes/log-shipper.yaml");
    assert!(manifest.contains(few), "the job of the log shipper does not say {few}");
    row.apply(&manifest.replace(few, &format!("for n in {many};")));
    row.until("both to run", &["pods", "--selector=job-name=with-log-shipper"], |pod| {
        let statuses: Vec<_> = containers(pod).collect();
        !statuses.is_empty() && statuses.iter().all(|status| status["state"].get("running").is_some())
    });
    let log = row.follow("job/with-log-shipper", "shipper", |lines| {
        let mut lines = lines.filter(|line| !line.starts_with("tail: ") && !line.starts_with("exeunt "));
        let first = lines.next().expect("a first line");
        row.kubectl(&["delete", "job", "with-log-shipper", "--wait=false"]);
        [first].into_iter().chain(lines).collect::<Vec<_>>()
    });
    assert_eq!(log.first().map(String::as_str), Some("line 1"), "{log:?}");
    assert_eq!(log.last().map(String::as_str), Some("the last line, after SIGTERM"), "{log:?}");
}

#[test]
fn the_sidecar_that_stays_for_the_second_attempt() {
    let Some(over) = example("examples/kubernetes/on-failure.yaml", "on-failure") else { return };
    let seen = [over.ending(), over.code("main"), over.code("sidecar")];
    assert_eq!(seen, ["Complete", "0 Completed", "0 Completed"], "{}", words(&over, "sidecar"));
    assert_eq!((over.restarts("main"), over.restarts("sidecar")), (1, 0));
    assert_eq!(words(&over, "sidecar"), "the sidecar serves\nthe sidecar leaves\n");
    // It was asked to leave by the end of the second attempt, and not by that of the first.
    let stopping = over.log("sidecar");
    let stopping: Vec<_> = stopping.lines().filter(|line| line.contains("stopping sh")).collect();
    assert!(matches!(stopping[..], [line] if line.contains("exit code 0")), "{stopping:?}");
}

#[test]
fn images_that_nobody_has_rebuilt() {
    let Some(_) = here::program("redis-server", "redis-server") else { return };
    let Some(over) = example("examples/kubernetes/prebuilt-images.yaml", "prebuilt-images") else { return };
    all_left(&over, &["main", "cache"]);
    assert_eq!((over.code("exeunt").as_str(), words(&over, "main").as_str()), ("0 Completed", "OK\nhello\n"));
}

#[test]
fn several_sidecars_leave_in_order() {
    let Some(_) = here::program("redis-server", "redis-server") else { return };
    let Some(over) = example("examples/kubernetes/several-sidecars.yaml", "several-sidecars") else { return };
    all_left(&over, &["main", "cache", "shipper"]);
    assert!(over.outlived("shipper", "cache"));
    // The shipper has what the others wrote at their very end, and so was asked after them.
    let shipped = words(&over, "shipper");
    assert!(shipped.starts_with("1\nthe job is done\n") && shipped.contains("bye bye"), "{shipped}");
}

#[test]
fn the_job_of_the_readme() {
    let Some(_) = here::envoy() else { return };
    let Some(row) = stage(&[]) else { return };
    row.apply(&block("README.md", "nightly"));
    let over = row.over("nightly");
    all_left(&over, &["main", "envoy"]);
    assert_eq!(words(&over, "main"), "the job works with --config=/config/job.yaml\n");
}

/// The page says: "Here nothing ends the proxy".
#[test]
fn the_job_that_needs_exeunt() {
    let Some(row) = stage(&[]) else { return };
    row.apply(&block("docs/kubectl-exeunt.md", "load, --all"));
    row.until("the end of the job, and its proxy runs", &["pods", "--selector=job-name=nightly"], |pod| {
        let state = |name: &str| containers(pod).find(|status| status["name"] == name).map(|status| &status["state"]);
        pod["status"]["phase"] == "Running"
            && state("load").is_some_and(|state| state["terminated"]["exitCode"] == 0)
            && state("proxy").is_some_and(|state| state.get("running").is_some())
    });
}

#[test]
fn the_recipe_of_the_page() {
    let Some(_) = here::envoy() else { return };
    let Some(row) = stage(&[]) else { return };
    row.apply(&block("docs/kubectl-exeunt.md", "trap "));
    let over = row.over("nightly");
    all_left(&over, &["main", "envoy"]);
}

/// Each file and each block is one of a test above.
#[test]
fn nothing_that_can_be_applied_is_left_out() {
    let source = here::read("tests/kubernetes/examples.rs");
    let mut examples = vec!["examples/job.yaml".to_owned(), "examples/envoy/job.yaml".to_owned()];
    for entry in fs::read_dir(here::path("examples/kubernetes")).expect("the examples") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        // bare/ has what they are made of, without exeunt.
        if !name.ends_with(".yaml") {
            continue;
        }
        let mesh = name.trim_end_matches(".yaml");
        if !source.contains(&format!("injected(\"{mesh}\",")) {
            examples.push(format!("examples/kubernetes/{name}"));
        }
    }
    for file in examples {
        assert!(source.contains(&format!("\"{file}\"")), "{file} is applied by no test");
    }
    let pages = fs::read_dir(here::path("docs")).expect("the pages").map(|page| page.expect("a page").path());
    let pages = pages.filter(|page| page.extension().is_some_and(|it| it == "md")).chain([here::path("README.md")]);
    let blocks: usize = pages.map(|page| blocks(&fs::read_to_string(page).expect("a page")).count()).sum();
    assert_eq!(blocks, 3, "a complete manifest stands on a page, and no test above applies it");
}

/// The complete manifest of a page that has this in it.
#[track_caller]
fn block(page: &str, part: &str) -> String {
    let text = here::read(page);
    let found: Vec<_> = blocks(&text).filter(|block| block.contains(part)).collect();
    assert_eq!(found.len(), 1, "{page}: {part}");
    found[0].to_owned()
}

fn blocks(page: &str) -> impl Iterator<Item = &str> {
    let fenced = page.split("\n```yaml").skip(1);
    let inside = fenced.filter_map(|rest| rest.split_once('\n')).filter_map(|(_, rest)| rest.split("\n```").next());
    inside.filter(|block| block.starts_with("apiVersion:"))
}
