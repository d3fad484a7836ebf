//! From a manifest to what a rehearsal plays: the same facts that the verdict goes by.

use super::duplicates;
use super::ends::{Sentinel, reached, sentinels};
use super::exeunts::stage_at;
use super::rehearse::{
    Again, Call, Container, FailureRule, Job, Mark, Part, Restart, Rule, Scenario, Seat, Then, Wrapped,
};
use super::shell::{base, script};
use super::who::{Kind, Party, parties, wrapper};
use crate::pod::{Object, objects, rendered};
use crate::yaml::{File, Node, Refusal};
use exeunt::machine::Status;
use exeunt::plan::Plan;

/// A scenario, and what of it could not be seen.
#[derive(Debug)]
pub struct Read {
    /// The Pod.
    pub scenario: Scenario,
    /// What a person should know about it.
    pub notes: Vec<String>,
}

/// Every Pod that the objects of a file make. `mains` names the jobs among the containers; empty: what the manifest tells.
///
/// # Errors
/// The file is a template; a key stands twice; a command line that exeunt would refuse, in its own words: with the place.
pub fn scenarios(file: &File, mains: &[String]) -> Result<Vec<Read>, Refusal> {
    rendered(file)?;
    let (found, _) = objects(file);
    found.iter().filter(|object| object.spec.entries().len() > 0).map(|object| pod(object, mains)).collect()
}

fn pod(object: &Object<'_>, mains: &[String]) -> Result<Read, Refusal> {
    duplicates(object.node)?;
    let all = parties(object, mains);
    let mut notes = Vec::new();
    // Init containers first. What an injector makes a native sidecar stands before them.
    let rank = |party: &Party<'_>| match party.kind {
        Kind::Native if party.injected => 0,
        Kind::Native | Kind::Init => 1,
        _ => 2,
    };
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|party| all.get(*party).map(rank));
    let number = |party: usize| order.iter().position(|one| *one == party);
    let mut containers = Vec::new();
    for party in order.iter().filter_map(|party| all.get(*party)) {
        containers.push(container(party)?);
        notes.extend(note(party));
    }
    let perhaps = |party: &&Party<'_>| matches!(party.kind, Kind::Perhaps);
    let unsure: Vec<&str> = all.iter().filter(perhaps).map(|party| party.container.name).collect();
    if !unsure.is_empty() {
        notes
            .push(format!("{}: jobs or helpers? both is played; --main NAME says which is the job", unsure.join(", ")));
    }
    let (calls, lost) = reached(object.spec, &all);
    notes.extend(lost);
    for call in calls {
        let (Some(by), Some(helper)) = (number(call.by), number(call.helper)) else { continue };
        let Some(caller) = containers.get_mut(by) else { continue };
        if call.goodbye {
            caller.goodbyes.push(helper);
        } else {
            caller.calls.push(Call { helper, when: call.when, way: call.way });
        }
    }
    for Sentinel { stage, name, by, when } in sentinels(&all) {
        if let Some(caller) = number(by).and_then(|by| containers.get_mut(by)) {
            caller.marks.push(Mark { stage, name, when });
        }
    }
    let doubts: Vec<String> = all.iter().filter_map(Party::doubt).collect();
    notes.extend(doubts.iter().map(|doubt| format!("{doubt}: that is not played")));
    let seconds = object.spec.get("activeDeadlineSeconds").and_then(Node::int);
    let scenario = Scenario {
        title: format!("{}/{}", object.kind, object.name),
        restart: restart(Some(object.restart_policy())).unwrap_or(Restart::Always),
        deadline: seconds.and_then(|seconds| u64::try_from(seconds).ok()),
        job: object.job.map(job_of),
        containers,
        doubtful: !doubts.is_empty(),
    };
    Ok(Read { scenario, notes })
}

/// What of it is not played.
fn note(party: &Party<'_>) -> Option<String> {
    let name = party.container.name;
    if let Kind::Foreign(whose) = party.kind {
        return Some(format!("{name} is run by {whose}; what that does to others is not played"));
    }
    if party.injected {
        return Some(format!("{name} is in no manifest: it is injected when the Pod is made"));
    }
    let unread = script(&party.words).is_some() && party.walk.is_none();
    unread.then(|| format!("the script of {name} is not understood: whom it ends is not played"))
}

fn container(party: &Party<'_>) -> Result<Container, Refusal> {
    let (seat, part) = match party.kind {
        Kind::Native => (Seat::Native, Part::Helper),
        // One that serves never lets the next one start.
        Kind::Init => (Seat::Init, if party.stays == Some(true) { Part::Helper } else { Part::Job }),
        Kind::Sidecar(_) | Kind::Helper(_) => (Seat::Regular, Part::Helper),
        Kind::Main(_) | Kind::Refused(..) | Kind::Foreign(_) | Kind::Job | Kind::Perhaps => (Seat::Regular, Part::Job),
    };
    let node = party.container.node;
    let mut container = Container::new(party.container.name, seat, part);
    container.unsure = match (&party.kind, party.until) {
        (Kind::Perhaps, _) => Some("is a helper, no job"),
        (_, Some(_)) => Some("tries for ever"),
        (Kind::Job, _) if party.stays.is_some() && !party.aside => Some("goes on for ever"),
        _ => None,
    };
    // exeunt as PID 1 passes SIGTERM on to a command that is not PID 1: the signal's default action ends it. Bare and
    // without a handler it is deaf, but whether it has one the manifest does not say.
    container.answer = Some(Status::Killed(15));
    if party.injected {
        return Ok(container);
    }
    // What is in front of an init container matters to it alone.
    let own = if party.container.init {
        wrapper(&party.container, &party.words, script(&party.words))
    } else {
        Some(party.kind.clone())
    };
    container.wrapped = match own {
        Some(Kind::Main(plan) | Kind::Sidecar(plan)) => Some(wrapped(party, &plan)),
        Some(Kind::Refused(complaint, _)) => {
            let at = party.container.place();
            let message = format!("container {}: {complaint}", party.container.name);
            return Err(at.file().refusal(at.span().start, message));
        }
        _ => None,
    };
    container.resets = seat == Seat::Init && resets(&party.words);
    if seat != Seat::Native {
        container.restart = restart(node.get("restartPolicy").and_then(Node::str));
    }
    container.rules = rules(node);
    Ok(container)
}

/// The restart rules of a container.
pub(super) fn rules(container: Node<'_>) -> Vec<Rule> {
    let rule = |rule: Node<'_>| {
        let on = rule.get("exitCodes")?;
        let whole = text(rule, "action") == Some("RestartAllContainers");
        Some(Rule {
            again: if whole { Again::Pod } else { Again::Container },
            codes: codes(on),
            not_in: text(on, "operator") == Some("NotIn"),
        })
    };
    items(container, "restartPolicyRules").filter_map(rule).collect()
}

fn wrapped(party: &Party<'_>, plan: &Plan) -> Wrapped {
    let dir = plan.dir.to_string_lossy();
    let mount = party.container.volume_of(dir.trim_end_matches('/')).map(|(_, mount)| mount);
    Wrapped {
        policy: plan.policy,
        stage: stage_at(&party.container, &dir),
        name: plan.name.clone(),
        until: plan.until.clone(),
        until_any: plan.until_any,
        wait_for: plan.wait_for.iter().filter_map(|condition| condition.name()).map(str::to_owned).collect(),
        stop_with: plan.stop_with.clone(),
        read_only: mount.and_then(|mount| mount.get("readOnly")).and_then(Node::bool) == Some(true),
        gives_up: plan.absence.is_some(),
    }
}

/// `exeunt reset`, or `exeunt install --reset PATH`.
fn resets(words: &[String]) -> bool {
    let Some((program, rest)) = words.split_first() else { return false };
    base(program) == "exeunt" && rest.iter().any(|word| matches!(word.as_str(), "reset" | "--reset"))
}

fn text<'a>(node: Node<'a>, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Node::text)
}

fn items<'a>(node: Node<'a>, key: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
    node.get(key).into_iter().flat_map(Node::items)
}

fn codes(on: Node<'_>) -> Vec<u8> {
    items(on, "values").filter_map(Node::int).filter_map(|code| u8::try_from(code).ok()).collect()
}

fn restart(word: Option<&str>) -> Option<Restart> {
    match word {
        Some("Never") => Some(Restart::Never),
        Some("OnFailure") => Some(Restart::OnFailure),
        Some("Always") => Some(Restart::Always),
        _ => None,
    }
}

fn job_of(spec: Node<'_>) -> Job {
    let rule = |rule: Node<'_>| {
        let on = rule.get("onExitCodes")?;
        Some(FailureRule {
            container: text(on, "containerName").map(str::to_owned),
            codes: codes(on),
            not_in: text(on, "operator") == Some("NotIn"),
            then: match text(rule, "action") {
                Some("FailJob") => Then::FailJob,
                Some("Ignore") => Then::Ignore,
                Some("FailIndex") => Then::FailIndex,
                _ => Then::Count,
            },
        })
    };
    let number = |key: &str| spec.get(key).and_then(Node::int);
    let rules = spec.path(&["podFailurePolicy", "rules"]);
    Job {
        retries: number("backoffLimit").and_then(|retries| u32::try_from(retries).ok()).unwrap_or(6),
        deadline: number("activeDeadlineSeconds").and_then(|seconds| u64::try_from(seconds).ok()),
        suspended: spec.get("suspend").and_then(Node::bool).unwrap_or(false),
        on_failure: rules.into_iter().flat_map(Node::items).filter_map(rule).collect(),
    }
}
