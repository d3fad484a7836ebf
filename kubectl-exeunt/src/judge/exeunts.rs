//! Where exeunt stands in the manifest: is it right?

use super::ends::{is_repeated, sentinels};
use super::rehearse::Often;
use super::who::{Kind, Party};
use super::{Bench, Verdict};
use crate::pod::Container;
use crate::yaml::Node;
use exeunt::machine::RestartPolicy;
use exeunt::plan::Plan;

/// What concerns the object, whoever is in it.
pub(super) fn object_rules(bench: &mut Bench<'_>) {
    let object = bench.object;
    if matches!(object.api, "batch/v1beta1" | "batch/v2alpha1")
        && let Some(at) = object.node.get("apiVersion")
    {
        let message = format!("{} is gone since Kubernetes 1.25", object.api);
        bench.find("api-removed", at, None, message, "write batch/v1", &[]);
    }
}

pub(super) fn plan<'p>(party: &'p Party<'_>) -> Option<&'p Plan> {
    match &party.kind {
        Kind::Main(plan) | Kind::Sidecar(plan) => Some(plan),
        _ => None,
    }
}

/// The volume behind the shared directory. Without a mount it is the container's own.
fn stage(party: &Party<'_>) -> Option<String> {
    Some(stage_at(&party.container, &plan(party)?.dir.to_string_lossy()))
}

/// The same for any directory of a container.
pub(super) fn stage_at(container: &Container<'_>, dir: &str) -> String {
    let volume = container.volume_of(dir.trim_end_matches('/'));
    volume.map_or_else(|| format!("only {}", container.name), |(volume, _)| volume)
}

/// The verdict about everybody whom exeunt wraps.
pub(super) fn judge<'a>(bench: &mut Bench<'a>, all: &[Party<'a>]) -> (Verdict, String) {
    let mut worst = (Verdict::Ends, String::new());
    let mut add = |verdict: Verdict, why: String| {
        if verdict > worst.0 {
            worst = (verdict, why);
        }
    };
    let alone = all.iter().filter(|party| plan(party).is_some()).count() < 2
        && !all.iter().any(|party| matches!(party.kind, Kind::Sidecar(_)));
    // Who gives up after a while ends, whatever main says or cannot say.
    let spec = bench.object.spec;
    let all_give_up = all.iter().all(|one| !matches!(one.kind, Kind::Sidecar(_)) || gives_up(spec, one));
    let mains = all.iter().filter(|one| matches!(one.kind, Kind::Main(_) | Kind::Refused(..))).count();
    for party in all {
        let name = party.container.name;
        let at = party.container.words.first().copied().unwrap_or_else(|| party.container.place());
        match &party.kind {
            Kind::Refused(complaint, told) => {
                let message = format!("exeunt refuses this command line: {complaint}");
                bench.find("bad-option", at, Some(name), message, "it would exit 125", &[]);
                // A main that is refused still ends its sidecars, where it is known to be one; both fail, and the Pod with them.
                let lost = !told && !all_give_up && !is_repeated(spec, party) && mains < 2;
                let verdict = if lost { Verdict::NeverEnds } else { Verdict::MayNotEnd };
                add(verdict, format!("exeunt refuses the command line of {name}"));
            }
            Kind::Main(plan) | Kind::Sidecar(plan) => {
                twice(bench, party, plan);
                probes(bench, party, plan);
                if let Some(why) = unstarted(bench, party, all, at) {
                    add(Verdict::MayNotEnd, why);
                }
                if let Kind::Main(_) = party.kind {
                    if let Some(why) = policy(bench, party, plan, at, all).filter(|_| !all_give_up) {
                        add(Verdict::MayNotEnd, why);
                    }
                    let fails = !alone && !volume(bench, party, plan);
                    if fails && (!all_give_up || is_repeated(spec, party)) {
                        // It exits 125 before its command runs, and its sidecars wait for a job that nobody announces.
                        let lost = !all_give_up && !is_repeated(spec, party) && mains == 1;
                        let verdict = if lost { Verdict::NeverEnds } else { Verdict::MayNotEnd };
                        add(verdict, format!("{name} cannot tell its end where the volume is read-only"));
                    }
                }
                if let Kind::Sidecar(plan) = &party.kind
                    && let Some((verdict, why)) = sidecar(bench, party, plan, all, at)
                {
                    add(verdict, why);
                }
            }
            _ => {}
        }
    }
    worst
}

/// A sidecar that waits for a job only so long. Its code is a failure, after which the kubelet may start it to wait again.
fn gives_up(spec: Node<'_>, party: &Party<'_>) -> bool {
    plan(party).is_some_and(|plan| plan.absence.is_some()) && !is_repeated(spec, party)
}

fn twice<'a>(bench: &mut Bench<'a>, party: &Party<'a>, plan: &Plan) {
    let Some(first) = plan.command.first().and_then(|word| word.to_str()) else { return };
    if super::shell::base(first) != "exeunt" {
        return;
    }
    let second = party
        .container
        .words
        .iter()
        .filter(|word| word.text().is_some_and(|text| super::shell::base(text) == "exeunt"))
        .nth(1);
    if let Some(at) = second {
        let message = "exeunt stands here twice: one of them waits for the other's life".to_owned();
        bench.find("wrapped-twice", *at, Some(party.container.name), message, "take this one out", &[]);
    }
}

/// Is exeunt started at all? Nothing where it is, or where nobody would wait for it.
fn unstarted<'a>(bench: &mut Bench<'a>, party: &Party<'a>, all: &[Party<'a>], at: Node<'a>) -> Option<String> {
    let name = party.container.name;
    let why = party.doubt()?;
    let spec = bench.object.spec;
    if party.args_only {
        let message =
            format!("{name} has no command: the image's ENTRYPOINT gets these words, and exeunt may never run");
        let notes = ["= fix: write them as command, with the image's ENTRYPOINT behind the --".to_owned()];
        bench.find("command-missing", at, Some(name), message, "args only", &notes);
    } else if let Some(mount) = party.noexec() {
        let message = format!("{name} cannot run exeunt from this mount, so it fails at its start");
        let notes = ["= fix: take noexec out, or run exeunt from an image volume".to_owned()];
        bench.find("pod-dir-noexec", mount, Some(name), message, "noexec", &notes);
    } else {
        let message = format!("where this script fails before exeunt, nobody tells the sidecars of {name}");
        let notes = ["= fix: exeunt in front of the whole: exeunt --mode main -- sh -c '…'".to_owned()];
        let at = party.script.unwrap_or(at);
        bench.find("nothing-bounds-the-start", at, Some(name), message, "exeunt comes last here", &notes);
    }
    let waits = |one: &Party<'_>| {
        matches!(one.kind, Kind::Sidecar(_))
            && one.container.name != name
            && one.noexec().is_none()
            && !gives_up(spec, one)
    };
    // A sidecar that never runs ends nobody, and nobody waits for it but its own command.
    let matters = if party.args_only { true } else { all.iter().any(waits) };
    matters.then_some(why)
}

/// A probe that the kubelet makes while exeunt still waits.
fn probes<'a>(bench: &mut Bench<'a>, party: &Party<'a>, plan: &Plan) {
    if plan.wait_for.is_empty() {
        return;
    }
    let node = party.container.node;
    let of = |probe: Node<'a>, key: &str, default: i64| probe.get(key).and_then(Node::int).unwrap_or(default);
    let lasts = |probe: Node<'a>| {
        of(probe, "initialDelaySeconds", 0).saturating_add(of(probe, "failureThreshold", 3).saturating_mul(of(
            probe,
            "periodSeconds",
            10,
        )))
    };
    // A startup probe comes first, and the others wait for it.
    let Some(probe) = node.get("startupProbe").or_else(|| node.get("livenessProbe")) else { return };
    let own = probe.path(&["exec", "command"]).is_some_and(|words| {
        words.items().any(|word| word.text().is_some_and(|text| super::shell::base(text) == "exeunt"))
    });
    let wanted = i64::try_from(plan.wait_timeout.as_secs()).unwrap_or(i64::MAX);
    let lasts = lasts(probe);
    if own || lasts >= wanted {
        return;
    }
    let name = party.container.name;
    let message =
        format!("the probe kills {name} after {lasts} s, and exeunt may wait {wanted} s before it starts the command");
    let notes = ["= fix: a startupProbe that lasts as long as --wait-timeout".to_owned()];
    bench.find("probe-on-wrapped-command", probe, Some(name), message, "nobody answers it until then", &notes);
}

/// Does main say of its ends what the kubelet does?
fn policy<'a>(
    bench: &mut Bench<'a>,
    party: &Party<'a>,
    plan: &Plan,
    at: Node<'a>,
    all: &[Party<'a>],
) -> Option<String> {
    let name = party.container.name;
    let node = party.container.node;
    let own = node.get("restartPolicy").and_then(Node::str);
    let policy = own.unwrap_or_else(|| bench.object.restart_policy()).to_owned();
    let rules = node.get("restartPolicyRules").filter(|rules| rules.items().len() > 0);
    let failure = plan.restart_policy == RestartPolicy::OnFailure;
    let sidecars = all.iter().any(|one| matches!(one.kind, Kind::Sidecar(_)));
    if let Some(rules) = rules {
        for rule in rules.items() {
            if rule.get("action").and_then(Node::str) == Some("RestartAllContainers") {
                let resets = all.iter().any(|one| {
                    matches!(one.kind, Kind::Init)
                        && one.words.iter().any(|word| matches!(word.as_str(), "reset" | "--reset"))
                });
                if !resets && sidecars {
                    let message =
                        "all containers start anew in the same volume, where the end of the round before still stands"
                            .to_owned();
                    let notes =
                        ["= fix: exeunt reset, or exeunt install --reset, in the first init container".to_owned()];
                    bench.find(
                        "restart-all-containers-stale-end",
                        rule,
                        Some(name),
                        message,
                        "RestartAllContainers",
                        &notes,
                    );
                }
            } else if plan.restart_on.is_none() && sidecars {
                let message = format!(
                    "{name} is not told which exit codes are repeated, so its sidecars leave too early or never"
                );
                let notes = ["= fix: --restart-on with the codes of this rule".to_owned()];
                bench.find(
                    "restart-rules-not-mirrored",
                    rule,
                    Some(name),
                    message,
                    "the kubelet goes by this rule",
                    &notes,
                );
                return Some(format!("{name} does not repeat its restart rules"));
            }
        }
        return None;
    }
    if plan.restart_on.is_some() || !sidecars {
        return None;
    }
    if policy == "OnFailure" && !failure {
        let message = format!(
            "the kubelet starts {name} again after a failure, but {name} tells its sidecars that every end is final"
        );
        let notes = ["= fix: --restart-policy on-failure".to_owned()];
        bench.find("restart-policy-not-mirrored", at, Some(name), message, "restartPolicy is OnFailure", &notes);
        return None;
    }
    if policy == "Never" && failure {
        let message = format!("after a failure of {name} its sidecars wait for an attempt that never comes");
        let notes = ["= fix: leave --restart-policy out, or restartPolicy: OnFailure for the Pod".to_owned()];
        bench.find("restart-policy-not-mirrored", at, Some(name), message, "restartPolicy is Never", &notes);
        return Some(format!("a failure of {name} is not final to its sidecars, but to the kubelet"));
    }
    None
}

/// The volume of a name that is written.
fn volume<'a>(bench: &mut Bench<'a>, party: &Party<'a>, plan: &Plan) -> bool {
    let name = party.container.name;
    let dir = plan.dir.to_string_lossy().into_owned();
    let Some((volume, mount)) = party.container.volume_of(dir.trim_end_matches('/')) else { return true };
    let writable = mount.get("readOnly").and_then(Node::bool) != Some(true);
    if !writable {
        let message = format!("{name} publishes its life in {dir}, which is mounted read-only");
        bench.find("pod-dir-read-only", mount, Some(name), message, "must be writable here", &[]);
    }
    let own = volume.split(':').next().unwrap_or("");
    let volumes = bench.object.spec.get("volumes").into_iter().flat_map(Node::items);
    let found = volumes.into_iter().find(|one| one.get("name").and_then(Node::text) == Some(own));
    let outlives = found
        .filter(|one| ["persistentVolumeClaim", "hostPath", "nfs", "csi"].iter().any(|kind| one.get(kind).is_some()));
    if let Some(node) = outlives.filter(|_| plan.run_id.is_none()) {
        let message = format!("{own} outlives the Pod, and {name} has no --run-id: an end of yesterday counts today");
        let notes = ["= fix: an emptyDir, or --run-id with metadata.uid on all sides".to_owned()];
        bench.find("persistent-dir-without-run-id", node, Some(name), message, "the records stay", &notes);
    }
    writable
}

/// A sidecar: will the end that it waits for ever stand where it looks?
fn sidecar<'a>(
    bench: &mut Bench<'a>,
    party: &Party<'a>,
    plan: &Plan,
    all: &[Party<'a>],
    at: Node<'a>,
) -> Option<(Verdict, String)> {
    let name = party.container.name;
    let own = stage(party)?;
    let dir = plan.dir.to_string_lossy().into_owned();
    let grace = bench.object.spec.get("terminationGracePeriodSeconds").and_then(Node::int).unwrap_or(30);
    let wanted = i64::try_from(plan.outlive_main.as_secs()).unwrap_or(i64::MAX);
    if wanted >= grace && wanted > 0 {
        let message = format!(
            "{name} holds SIGTERM for {wanted} s, but the Pod is killed after {grace} s: nothing is left for its own end"
        );
        let notes = ["= fix: a longer terminationGracePeriodSeconds, or a shorter --outlive-main".to_owned()];
        bench.find("grace-does-not-fit", at, Some(name), message, "--outlive-main", &notes);
    }
    let bounded = gives_up(bench.object.spec, party);
    let sentinels = sentinels(all);
    let mut touched = None;
    let mut found = |until: &str| -> Result<(), (&'static str, String)> {
        let mut elsewhere = None;
        for other in all {
            let Some(other_plan) = self::plan(other) else { continue };
            if other_plan.name.as_deref() != Some(until) {
                continue;
            }
            let theirs = stage(other).unwrap_or_default();
            if theirs == own {
                return Ok(());
            }
            elsewhere = Some((other.container.name, other_plan.dir.to_string_lossy().into_owned(), theirs));
        }
        // The other side may be the shell recipe: a script that makes the file, in whatever way it ends.
        if let Some(made) = sentinels.iter().find(|made| made.stage == own && made.name == until) {
            touched = Some(made);
            return Ok(());
        }
        Err(match elsewhere {
            Some((other, _, theirs)) if own.starts_with("only ") || theirs.starts_with("only ") => {
                let (without, where_to) =
                    if own.starts_with("only ") { (name, dir.clone()) } else { (other, dir.clone()) };
                (
                    "pod-dir-not-shared",
                    format!("{without} has no volume at {where_to}, so {name} never sees the end of {other}"),
                )
            }
            Some((other, theirs, _)) => (
                "pod-dir-differs",
                format!("{name} looks in {dir} and {other} writes in {theirs}: not the same directory"),
            ),
            None => {
                ("name-not-matched", format!("{name} waits for {until}, and no container of this Pod is called so"))
            }
        })
    };
    let mut missing: Vec<(&'static str, String)> = Vec::new();
    let mut there = 0;
    for until in &plan.until {
        match found(until) {
            Ok(()) => there += 1,
            Err(why) => missing.push(why),
        }
    }
    if plan.name.is_some() {
        volume(bench, party, plan);
    }
    if missing.is_empty() || (plan.until_any && there > 0) {
        let made = touched.filter(|_| !bounded)?;
        let by = all.get(made.by)?;
        let caller = by.container.name;
        let (passed, failed) = (made.when.passed == Often::Always, made.when.failed == Often::Always);
        if passed && is_repeated(bench.object.spec, by) {
            return None;
        }
        let notes = [format!("= fix: exeunt --mode main in front of the command of {caller}")];
        if !(passed && failed) {
            let message = format!("the file that {name} waits for is made only on some ends of {caller}");
            bench.find("end-only-on-success", at, Some(name), message, "", &notes);
            return Some((Verdict::MayNotEnd, format!("{name} runs on where {caller} does not make its file")));
        }
        let message =
            format!("when {caller} is killed (kill -9, out of memory) nobody makes the file that {name} waits for");
        bench.find("end-lost-on-kill", at, Some(name), message, "", &notes);
        return Some((Verdict::MayNotEnd, format!("{name} runs on when {caller} is killed")));
    }
    // What a refused command line would have been called nobody knows; that finding is enough.
    if all.iter().any(|one| matches!(one.kind, Kind::Refused(..))) {
        return None;
    }
    for (rule, message) in missing {
        bench.find(rule, at, Some(name), message, "it waits for ever", &[]);
    }
    // A job whose image holds exeunt may publish the name without this manifest telling.
    let hidden = all.iter().any(|one| matches!(one.kind, Kind::Job | Kind::Perhaps) && !one.container.has_command);
    let verdict = if bounded {
        Verdict::Ends
    } else if hidden || plan.absence.is_some() {
        Verdict::MayNotEnd
    } else {
        Verdict::NeverEnds
    };
    Some((verdict, format!("{name} waits for an end that it never sees")))
}
