//! Who is who among the containers of a Pod.

use super::helpers::{Helper, WRAPPERS, helper};
use super::shell::{self, Walk, base};
use crate::pod::{Container, Object};
use crate::yaml::Node;
use exeunt::machine::Role;
use exeunt::plan::Plan;
use std::ffi::OsString;

/// What a container is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// An init container with `restartPolicy: Always`: the kubelet ends it.
    Native,
    /// An init container: over before the others start.
    Init,
    /// Wrapped by exeunt as the job.
    Main(Box<Plan>),
    /// Wrapped by exeunt as a helper.
    Sidecar(Box<Plan>),
    /// Wrapped by exeunt, which would refuse its options.
    Refused(String),
    /// Wrapped by another program.
    Foreign(&'static str),
    /// Serves until it is told to stop.
    Helper(Option<&'static Helper>),
    /// The job.
    Job,
    /// One of several of which nothing is known.
    Perhaps,
}

/// A container and what is known of it.
#[derive(Clone, Debug)]
pub struct Party<'a> {
    /// What the manifest says.
    pub container: Container<'a>,
    /// What it is.
    pub kind: Kind,
    /// Its words.
    pub words: Vec<String>,
    /// Its script, walked through.
    pub walk: Option<Walk>,
    /// Where that script stands.
    pub script: Option<Node<'a>>,
    /// It runs a shell whose text is not understood, a program of its image, or nothing that the manifest tells.
    pub opaque: bool,
    /// It is injected: no container of the manifest.
    pub injected: bool,
}

fn program_helper(words: &[String]) -> Option<&'static Helper> {
    let (words, _) = shell::strip(words);
    words.first().and_then(|word| helper(base(word)))
}

/// Everybody, in the order of the manifest.
pub fn parties<'a>(object: &Object<'a>, mains: &[String]) -> Vec<Party<'a>> {
    let told = |key: &str| object.annotation(key).and_then(Node::text).unwrap_or("");
    let list = |text: &str| {
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut jobs: Vec<String> = mains.to_vec();
    for key in ["exeunt.dev/main", "kubectl.kubernetes.io/default-container"] {
        if jobs.is_empty() {
            jobs = list(told(key));
        }
    }
    let sidecars = list(told("exeunt.dev/sidecars"));
    let mut all: Vec<Party<'a>> = object.containers().into_iter().map(|one| party(one)).collect();
    jobs.retain(|job| all.iter().any(|party| !party.container.init && party.container.name == job));
    let regular = all.iter().filter(|party| !party.container.init).count();
    for party in &mut all {
        if !matches!(party.kind, Kind::Perhaps) {
            continue;
        }
        let container = &party.container;
        let known = program_helper(&party.words)
            .or_else(|| party.walk.as_ref().and_then(|walk| walk.programs.iter().find_map(|program| helper(program))))
            .filter(|_| container.has_command)
            .or_else(|| helper(container.name))
            // With a command of its own, an image of a server is as well a client: `redis-cli`, `psql`.
            .or_else(|| helper(container.image).filter(|_| !container.has_command));
        let serves = party.walk.as_ref().is_some_and(|walk| {
            walk.paths.iter().any(|path| path.stuck)
                || (!walk.waits.is_empty() && !jobs.contains(&container.name.to_owned()))
        });
        let forever = {
            let (words, _) = shell::strip(&party.words);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            match words.as_slice() {
                [program, rest @ ..] if base(program) == "sleep" => {
                    rest.iter().any(|word| matches!(*word, "infinity" | "inf"))
                }
                [program, rest @ ..] if base(program) == "tail" => {
                    rest.iter().any(|word| matches!(*word, "-f" | "-F") || word.starts_with("--follow"))
                }
                _ => false,
            }
        };
        party.kind = if regular == 1 || jobs.iter().any(|job| job == container.name) {
            Kind::Job
        } else if known.is_some()
            || serves
            || forever
            || sidecars.iter().any(|name| name == container.name)
            || !jobs.is_empty()
        {
            Kind::Helper(known)
        } else {
            Kind::Perhaps
        };
    }
    // The only one left is the job.
    let main = all.iter().any(|party| matches!(party.kind, Kind::Main(_) | Kind::Job | Kind::Refused(_)));
    let mut left: Vec<&mut Party<'a>> = all.iter_mut().filter(|party| matches!(party.kind, Kind::Perhaps)).collect();
    if let ([one], false) = (left.as_mut_slice(), main) {
        one.kind = Kind::Job;
    }
    all.extend(injected(object));
    all
}

/// Helpers that a mesh or an injector puts in when the Pod is made, as far as the template asks for it.
fn injected<'a>(object: &Object<'a>) -> Vec<Party<'a>> {
    let both = |key: &str| object.label(key).or_else(|| object.annotation(key));
    let is = |node: Option<Node<'a>>, wanted: &[&str]| {
        node.filter(|node| node.text().is_some_and(|text| wanted.contains(&text)))
    };
    let yes: &[&str] = &["true", "enabled"];
    let vault = is(both("vault.hashicorp.com/agent-inject"), yes)
        .filter(|_| is(both("vault.hashicorp.com/agent-pre-populate-only"), yes).is_none());
    let asked = [
        ("istio-proxy", is(both("sidecar.istio.io/inject"), yes), is(both("sidecar.istio.io/nativeSidecar"), yes)),
        (
            "linkerd-proxy",
            is(both("linkerd.io/inject"), &["enabled", "ingress"]),
            is(both("config.linkerd.io/proxy-enable-native-sidecar"), yes)
                .or_else(|| is(both("config.alpha.linkerd.io/proxy-enable-native-sidecar"), yes)),
        ),
        ("vault-agent", vault, None),
        ("daprd", is(both("dapr.io/enabled"), yes), None),
    ];
    asked
        .into_iter()
        .filter_map(|(name, at, native)| {
            let node = at?;
            let container =
                Container { name, image: name, words: Vec::new(), has_command: false, init: native.is_some(), node };
            let kind = if native.is_some() { Kind::Native } else { Kind::Helper(helper(name)) };
            Some(Party { container, kind, words: Vec::new(), walk: None, script: None, opaque: true, injected: true })
        })
        .collect()
}

fn party(container: Container<'_>) -> Party<'_> {
    let words = container.text();
    let script = shell::script(&words);
    let node = script.and_then(|script| container.words.iter().rev().find(|word| word.text() == Some(script)).copied());
    let walk = script.and_then(shell::walk);
    let opaque = !container.has_command || walk.is_none();
    let always = container.node.get("restartPolicy").and_then(Node::str) == Some("Always");
    let kind = match (container.init, always) {
        (true, true) => Kind::Native,
        (true, false) => Kind::Init,
        (false, _) => wrapper(&container, &words, script).unwrap_or(Kind::Perhaps),
    };
    Party { container, kind, words, walk, script: node, opaque, injected: false }
}

pub(super) fn wrapper(container: &Container<'_>, words: &[String], script: Option<&str>) -> Option<Kind> {
    // A script that only prepares and then execs exeunt.
    let inner: Option<Vec<String>> = script.and_then(|script| {
        let at = script.split_ascii_whitespace().position(|word| base(word) == "exeunt")?;
        Some(script.split_ascii_whitespace().skip(at).map(|word| word.trim_matches(['"', '\'']).to_owned()).collect())
    });
    let words = inner.as_deref().unwrap_or(words);
    let (words, _) = shell::strip(words);
    let first = words.first()?;
    if let Some((_, whose)) =
        WRAPPERS.iter().find(|(known, _)| base(first) == *known || (known.starts_with('/') && first == known))
    {
        return Some(Kind::Foreign(whose));
    }
    if base(first) != "exeunt" {
        return None;
    }
    if words.get(1).is_some_and(|word| exeunt::cli::subcommand(word).is_some()) {
        return Some(Kind::Job);
    }
    Some(match plan(container, words) {
        Ok(plan) if plan.policy.role == Role::Main => Kind::Main(Box::new(plan)),
        Ok(plan) => Kind::Sidecar(Box::new(plan)),
        Err(complaint) => Kind::Refused(complaint),
    })
}

/// exeunt's own parser reads its command line, with the container's own variables.
fn plan(container: &Container<'_>, words: &[String]) -> Result<Plan, String> {
    let mut line: Vec<OsString> = words.iter().map(OsString::from).collect();
    let mut plan = plan_of(&line);
    for variable in container.node.get("env").into_iter().flat_map(Node::items) {
        let of = |key: &str| variable.get(key).and_then(Node::text);
        // Which value the Pod's own fields have nobody knows yet; that a run has a name is what counts.
        let value = of("value").or_else(|| variable.path(&["valueFrom", "fieldRef", "fieldPath"])?.text());
        let (Some(name), Some(value)) = (of("name"), value) else { continue };
        let Some(option) = name.strip_prefix("EXEUNT_") else { continue };
        let flag = format!("--{}", option.to_ascii_lowercase().replace('_', "-"));
        let given = words
            .iter()
            .take_while(|word| *word != "--")
            .any(|word| *word == flag || word.starts_with(&format!("{flag}=")));
        let switch = matches!(flag.as_str(), "--group" | "--until-any");
        if given || (switch && !matches!(value, "1" | "true" | "yes" | "on")) {
            continue;
        }
        let mut with = line.clone();
        with.insert(1, if switch { flag.into() } else { format!("{flag}={value}").into() });
        let next = plan_of(&with);
        let passed_over = next.as_ref().is_err_and(|complaint| {
            complaint.contains("belongs to --mode") || complaint.contains("unexpected argument")
        });
        if !passed_over {
            (line, plan) = (with, next);
        }
    }
    plan
}

fn plan_of(words: &[OsString]) -> Result<Plan, String> {
    let flags = exeunt::cli::parser().try_get_matches_from(words);
    let flags = flags.or_else(|_| exeunt::cli::command().try_get_matches_from(words));
    let flags = flags.map_err(|error| exeunt::cli::complaint(&error))?;
    let role = exeunt::plan::role(&flags).map_err(|error| format!("{error:#}"))?;
    Plan::new(&flags, role).map_err(|error| format!("{error:#}"))
}

impl Party<'_> {
    /// What is given for an option of exeunt's, by its command line or its variable.
    pub fn option(&self, name: &str) -> Option<String> {
        let flag = format!("--{name}");
        let mut words = self.words.iter().take_while(|word| *word != "--");
        while let Some(word) = words.next() {
            if *word == flag {
                return words.next().cloned();
            }
            if let Some(value) = word.strip_prefix(&flag).and_then(|rest| rest.strip_prefix('=')) {
                return Some(value.to_owned());
            }
        }
        let variable = format!("EXEUNT_{}", name.to_ascii_uppercase().replace('-', "_"));
        self.container.variable(&variable).map(str::to_owned)
    }
}
