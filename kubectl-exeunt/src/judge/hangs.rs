//! Which Pods hang now: the job of one has ended, and a helper still runs. What the status of a Pod tells, and only that.

use super::ends::endpoint;
use super::who::{Kind, Party, parties};
use super::{Bench, Finding, Severity};
use crate::pod::{Object, objects};
use crate::yaml::{File, Node};

/// So many seconds after its job a helper may be on its way out.
const LEAVING: i64 = 30;

/// A finding for each helper that has outlived its job, with the line of the Pod. `now` is in seconds since 1970.
pub fn hangs(file: &File, mains: &[String], now: i64) -> Vec<(usize, Finding)> {
    let mut found = Vec::new();
    for object in objects(file).0.into_iter().filter(|object| object.kind == "Pod") {
        let mut bench = Bench { object, findings: Vec::new() };
        pod(&mut bench, mains, now);
        let line = object.node.place().line;
        found.extend(bench.findings.into_iter().map(|finding| (line, finding)));
    }
    found
}

/// Is it no more than the Pod of something else in the same list: of a Job, a Deployment?
pub fn is_owned(object: &Object<'_>) -> bool {
    object.node.path(&["metadata", "ownerReferences"]).is_some_and(|owners| owners.items().len() > 0)
}

fn pod(bench: &mut Bench<'_>, mains: &[String], now: i64) {
    let object = bench.object;
    let phase = object.node.path(&["status", "phase"]).and_then(Node::text);
    let leaving = object.node.path(&["metadata", "deletionTimestamp"]).is_some();
    if phase != Some("Running") || leaving || object.restart_policy() == "Always" {
        return;
    }
    let state = |party: &Party<'_>, of: &str| {
        let mut all = object.node.path(&["status", "containerStatuses"])?.items();
        let own = all.find(|one| one.get("name").and_then(Node::text) == Some(party.container.name))?;
        own.path(&["state", of])
    };
    let over = |party: &Party<'_>| {
        let ended = state(party, "terminated")?;
        let code = ended.get("exitCode").and_then(Node::int).unwrap_or(0);
        let policy = party.container.node.get("restartPolicy").and_then(Node::str);
        let again = match policy.unwrap_or(object.restart_policy()) {
            "Always" => true,
            "OnFailure" => code != 0,
            _ => party.container.node.get("restartPolicyRules").is_some() && code != 0,
        };
        let at = ended.get("finishedAt").and_then(Node::text)?;
        (!again).then_some((at, seconds(at)?))
    };
    let all = parties(&object, mains);
    let regular = || all.iter().filter(|party| !party.container.init && !party.injected);
    let is_job =
        |party: &&Party<'_>| matches!(party.kind, Kind::Job | Kind::Main(_) | Kind::Refused(..)) && !party.aside;
    let known = regular().any(|party| is_job(&party));
    // Of containers of which nothing is known, whoever has ended may have been the job.
    let jobs: Vec<_> = if known {
        regular().filter(is_job).collect()
    } else {
        regular().filter(|party| matches!(party.kind, Kind::Perhaps) && over(party).is_some()).collect()
    };
    let ends: Option<Vec<_>> = jobs.iter().map(|party| over(party)).collect();
    let Some((at, ended)) = ends.and_then(|ends| ends.into_iter().max_by_key(|(_, seconds)| *seconds)) else { return };
    let job = jobs.iter().find(|party| over(party).is_some_and(|(its, _)| its == at));
    let job = job.map_or("the job", |party| party.container.name);
    let space = object.node.path(&["metadata", "namespace"]).and_then(Node::text);
    let on = space.map_or(String::new(), |space| format!(" -n {space}"));
    for party in regular().filter(|party| state(party, "running").is_some()) {
        let own = match &party.kind {
            Kind::Sidecar(plan) => i64::try_from(plan.linger.as_secs()).unwrap_or(i64::MAX),
            _ => 0,
        };
        if now.saturating_sub(ended) < LEAVING.saturating_add(own) {
            continue;
        }
        let name = party.container.name;
        let sure = known && matches!(party.kind, Kind::Helper(_) | Kind::Sidecar(_));
        let severity = if sure { Severity::Error } else { Severity::Info };
        let pod = object.name;
        let message = format!("{job} ended at {at}, {name} still runs, for {} now", words(now - ended));
        let mut notes = vec![match (&party.kind, endpoint(party)) {
            (Kind::Sidecar(_), _) => {
                format!("= what it waits for: kubectl exec{on} {pod} -c {name} -- exeunt status")
            }
            (_, Some((port, path))) => format!(
                "= would end it: kubectl port-forward{on} {pod} {port}, and curl -X POST localhost:{port}{path}"
            ),
            _ => format!("= would end it: kubectl exec{on} {pod} -c {name} -- kill 1; its exit code then counts"),
        }];
        if let Some(limit) = object.spec.get("activeDeadlineSeconds").and_then(Node::int) {
            notes.push(format!("= activeDeadlineSeconds stops the Pod as failed {limit} s after its start"));
        }
        let remark = if sure { "" } else { "another job, or a helper that nothing ends?" };
        bench.find_as("hangs-now", Some(severity), party.container.place(), Some(name), message, remark, &notes);
    }
}

/// A time as Kubernetes writes it, in seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !text.ends_with('Z') || !(1..=12).contains(&month) {
        return None;
    }
    // Days since 1970 of the civil calendar, in years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = days + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// How long, as a person says it.
fn words(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
