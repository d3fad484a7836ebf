//! What a manifest says, as far as a rehearsal needs it.

use crate::command::inject::HELPERS;
use crate::judge::rehearse::{
    Again, Call, Container, FailureRule, Job, Part, Restart, Rule, Scenario, Seat, Then, When, Wrapped,
};
use anyhow::{Context as _, Result, bail};
use exeunt::machine::{Role, Status};
use exeunt::plan::Plan;
use serde_json::Value;
use std::ffi::OsString;

/// A scenario, and what of it could not be seen.
#[derive(Debug)]
pub struct Read {
    /// The Pod.
    pub scenario: Scenario,
    /// What a person should know about it.
    pub notes: Vec<String>,
}

/// Every Pod that an object makes; a List has many. `main` names the jobs among the containers; empty: what the manifest tells.
///
/// # Errors
/// A command line that exeunt would refuse, in its own words.
pub fn scenarios(object: &Value, main: &[String]) -> Result<Vec<Read>> {
    let mut found = Vec::new();
    let mut objects = vec![(object, 0)];
    while let Some((object, depth)) = objects.pop() {
        let kind = text(object, "kind").unwrap_or("");
        let (job, template) = match kind {
            "Job" => (object.get("spec"), object.pointer("/spec/template")),
            "CronJob" => (object.pointer("/spec/jobTemplate/spec"), object.pointer("/spec/jobTemplate/spec/template")),
            "Pod" => (None, Some(object)),
            // A List in a List is allowed, and a file must not decide how long we look.
            _ if kind.ends_with("List") && depth < 8 => {
                objects.extend(list(object, "items").iter().rev().map(|item| (item, depth + 1)));
                continue;
            }
            _ => continue,
        };
        let Some(template) = template.filter(|template| template.get("spec").is_some_and(Value::is_object)) else {
            continue;
        };
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("(without a name)");
        let title = format!("{kind}/{name}");
        let read = pod(&title, template, job, main).with_context(|| title.clone())?;
        found.push(read);
    }
    Ok(found)
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn codes(value: &Value, key: &str) -> Vec<u8> {
    list(value, key).iter().filter_map(Value::as_u64).filter_map(|code| u8::try_from(code).ok()).collect()
}

fn restart(word: Option<&str>) -> Option<Restart> {
    match word {
        Some("Never") => Some(Restart::Never),
        Some("OnFailure") => Some(Restart::OnFailure),
        Some("Always") => Some(Restart::Always),
        _ => None,
    }
}

fn pod(title: &str, template: &Value, job: Option<&Value>, main: &[String]) -> Result<Read> {
    let nothing = Value::Null;
    let spec = template.get("spec").unwrap_or(&nothing);
    let mut notes = Vec::new();
    let told: Vec<String> = if main.is_empty() {
        let annotation = |key: &str| template.pointer("/metadata/annotations").and_then(|all| text(all, key));
        let told = annotation("exeunt.dev/main").or_else(|| annotation("kubectl.kubernetes.io/default-container"));
        told.unwrap_or("").split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    } else {
        main.to_vec()
    };
    let mut containers = Vec::new();
    for one in list(spec, "initContainers") {
        let native = text(one, "restartPolicy") == Some("Always");
        let (seat, part) = if native { (Seat::Native, Part::Helper) } else { (Seat::Init, Part::Job) };
        let mut container = container(one, seat, part)?;
        container.resets = container.wrapped.is_none() && resets(one);
        if native {
            container.restart = None;
        }
        containers.push(container);
    }
    let regular = list(spec, "containers");
    let mut unknown = Vec::new();
    for one in regular {
        let mut container = container(one, Seat::Regular, Part::Job)?;
        let known_as_job = told.contains(&container.name);
        container.part = match &container.wrapped {
            Some(wrapped) if wrapped.policy.role == Role::Sidecar => Part::Helper,
            Some(_) => Part::Job,
            None if known_as_job => Part::Job,
            None if is_helper(one) || !told.is_empty() => Part::Helper,
            None => {
                unknown.push(container.name.clone());
                Part::Job
            }
        };
        let script = words(one).iter().any(|word| word.contains('\n') || word.contains("&&") || word.contains(';'));
        if container.wrapped.is_none() && script {
            let name = &container.name;
            notes.push(format!("whom the script of {name} ends is not played; kubectl exeunt check reads it"));
        }
        containers.push(container);
    }
    if unknown.len() > 1 {
        notes.push(format!("{} are all played as jobs; --main NAME says which of them is", unknown.join(", ")));
    }
    // A goodbye is for helpers that cannot be wrapped.
    let bare: Vec<Call> = containers
        .iter()
        .enumerate()
        .filter(|(_, one)| one.part == Part::Helper && one.seat == Seat::Regular && one.wrapped.is_none())
        .map(|(helper, _)| Call { helper, when: When::Exit })
        .collect();
    for container in &mut containers {
        if container.wrapped.as_ref().is_some_and(|wrapped| wrapped.policy.goodbye) {
            container.calls.clone_from(&bare);
        }
    }
    let scenario = Scenario {
        title: title.to_owned(),
        restart: restart(text(spec, "restartPolicy")).unwrap_or(Restart::Always),
        deadline: spec.get("activeDeadlineSeconds").and_then(Value::as_u64),
        job: job.map(job_of),
        containers,
    };
    Ok(Read { scenario, notes })
}

fn job_of(spec: &Value) -> Job {
    let rules = spec.pointer("/podFailurePolicy/rules").and_then(Value::as_array);
    let rule = |rule: &Value| {
        let on = rule.get("onExitCodes")?;
        Some(FailureRule {
            container: text(on, "containerName").map(str::to_owned),
            codes: codes(on, "values"),
            not_in: text(on, "operator") == Some("NotIn"),
            then: match text(rule, "action") {
                Some("FailJob") => Then::FailJob,
                Some("Ignore") => Then::Ignore,
                Some("FailIndex") => Then::FailIndex,
                _ => Then::Count,
            },
        })
    };
    let number = |key: &str| spec.get(key).and_then(Value::as_u64);
    Job {
        retries: number("backoffLimit").and_then(|retries| u32::try_from(retries).ok()).unwrap_or(6),
        deadline: number("activeDeadlineSeconds"),
        suspended: spec.get("suspend").and_then(Value::as_bool).unwrap_or(false),
        on_failure: rules.into_iter().flatten().filter_map(rule).collect(),
    }
}

fn words(container: &Value) -> Vec<&str> {
    let all = list(container, "command").iter().chain(list(container, "args"));
    all.filter_map(Value::as_str).collect()
}

fn is_exeunt(word: &str) -> bool {
    word.rsplit('/').next() == Some("exeunt")
}

/// `exeunt reset`, or `exeunt install --reset PATH`.
fn resets(container: &Value) -> bool {
    let words = words(container);
    let [program, rest @ ..] = words.as_slice() else { return false };
    is_exeunt(program) && rest.iter().any(|word| matches!(*word, "reset" | "--reset"))
}

fn is_helper(container: &Value) -> bool {
    let image = text(container, "image").unwrap_or("");
    let image = image.split('@').next().unwrap_or("").rsplit('/').next().unwrap_or("").split(':').next();
    [text(container, "name"), image].into_iter().flatten().any(|word| HELPERS.contains(&word))
}

fn container(one: &Value, seat: Seat, part: Part) -> Result<Container> {
    let name = text(one, "name").unwrap_or("(without a name)");
    let mut container = Container::new(name, seat, part);
    container.restart = restart(text(one, "restartPolicy"));
    container.rules = list(one, "restartPolicyRules")
        .iter()
        .filter_map(|rule| {
            let on = rule.get("exitCodes")?;
            let whole = text(rule, "action") == Some("RestartAllContainers");
            Some(Rule {
                again: if whole { Again::Pod } else { Again::Container },
                codes: codes(on, "values"),
                not_in: text(on, "operator") == Some("NotIn"),
            })
        })
        .collect();
    // exeunt as PID 1 passes SIGTERM on to a command that is not PID 1: the signal's default action ends it. Bare and
    // without a handler it is deaf, but whether it has one the manifest does not say.
    container.answer = Some(Status::Killed(15));
    container.wrapped = wrapped(one).with_context(|| format!("container {name}"))?;
    Ok(container)
}

/// The exeunt in front of its command, read by exeunt's own parser with the container's own variables.
fn wrapped(one: &Value) -> Result<Option<Wrapped>> {
    let words = words(one);
    let [program, rest @ ..] = words.as_slice() else { return Ok(None) };
    if !is_exeunt(program) || resets(one) || rest.first().is_some_and(|word| exeunt::cli::subcommand(word).is_some()) {
        return Ok(None);
    }
    let mut line: Vec<OsString> = words.iter().map(OsString::from).collect();
    let mut plan = plan_of(&line);
    for variable in list(one, "env") {
        let (Some(name), Some(value)) = (text(variable, "name"), text(variable, "value")) else { continue };
        let Some(option) = name.strip_prefix("EXEUNT_") else { continue };
        let option = option.to_ascii_lowercase().replace('_', "-");
        let flag = format!("--{option}");
        let given = line.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str());
        if given.clone().any(|word| word == flag || word.starts_with(&format!("{flag}="))) {
            continue;
        }
        let switch = matches!(option.as_str(), "group" | "until-any");
        if switch && !matches!(value, "1" | "true" | "yes" | "on") {
            continue;
        }
        let mut with = line.clone();
        with.insert(1, if switch { flag.into() } else { format!("{flag}={value}").into() });
        let next = plan_of(&with);
        // A variable that is for the other mode, or no option at all, is passed over.
        let passed_over = next.as_ref().is_err_and(|error| {
            let complaint = format!("{error:#}");
            complaint.contains("belongs to --mode") || complaint.contains("unexpected argument")
        });
        if !passed_over {
            (line, plan) = (with, next);
        }
    }
    let plan = plan?;
    let stage = stage(one, &plan);
    Ok(Some(Wrapped {
        policy: plan.policy,
        stage,
        name: plan.name,
        until: plan.until,
        until_any: plan.until_any,
        wait_for: plan.wait_for.iter().filter_map(|condition| condition.name()).map(str::to_owned).collect(),
        stop_with: plan.stop_with,
        gives_up: plan.absence.is_some(),
    }))
}

fn plan_of(words: &[OsString]) -> Result<Plan> {
    let flags = exeunt::cli::parser().try_get_matches_from(words).or_else(|_| {
        // The second time with its texts, for the complaint.
        exeunt::cli::command().try_get_matches_from(words)
    });
    let flags = match flags {
        Ok(flags) => flags,
        Err(error) => bail!("{}", exeunt::cli::complaint(&error)),
    };
    Plan::new(&flags, exeunt::plan::role(&flags)?)
}

/// The volume behind the shared directory, and where in it. Without a volume it is the container's own.
fn stage(one: &Value, plan: &Plan) -> String {
    let mounts = list(one, "volumeMounts").iter();
    let best = mounts
        .filter_map(|mount| {
            let path = text(mount, "mountPath")?.trim_end_matches('/');
            let below = plan.dir.strip_prefix(if path.is_empty() { "/" } else { path }).ok()?;
            let sub = text(mount, "subPath").or_else(|| text(mount, "subPathExpr")).unwrap_or("");
            Some((path.len(), format!("{}:{sub}/{}", text(mount, "name")?, below.display())))
        })
        .max_by_key(|(length, _)| *length);
    best.map_or_else(|| format!("only {}", text(one, "name").unwrap_or("")), |(_, stage)| stage)
}
