//! What ends whom, and so whether the Pod ends.

use super::helpers::{Foreign, Helper, INJECTED, OWNED, Quit, program};
use super::rehearse::{self, Often, Way};
use super::shell::{Call, Idle, Method, Path, Signal, Walk, base};
use super::who::{Kind, Party, parties};
use super::{Bench, Severity, Verdict, exeunts, play};
use crate::yaml::{Node, Style};

/// When a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// However the job ends, but not when it is killed.
    Every,
    /// Only where it succeeds.
    Success,
    /// Only where it fails.
    Failure,
    /// On some ways through the script.
    Some,
}

struct Made<'a> {
    call: Call,
    when: When,
    /// The same for a rehearsal.
    often: rehearse::When,
    /// By the exeunt in front of the command.
    goodbye: bool,
    /// Only after an end after which there is no other.
    last: bool,
    by: usize,
    at: Node<'a>,
}

/// Helpers whom SIGHUP does not end, nor SIGUSR2 but where the line says so: they read their configuration again, take over from
/// another, or pass over it. What is written in Go passes over SIGUSR2 (pkg.go.dev/os/signal). Of SIGUSR1 only what opens logs
/// again comes here.
const RELOADS: &[&str] = &[
    // nginx.org/en/docs/control.html: HUP changes its configuration, USR2 its program.
    "nginx",
    // haproxy/haproxy doc/management.txt: -W reloads by USR2; src/haproxy.c: else HUP dumps its state, USR2 does nothing.
    "haproxy",
    // envoyproxy/envoy source/server/server.cc: it eats HUP; USR2 has no handler, and ends it.
    "envoy",
    // prometheus/prometheus docs/management_api.md
    "prometheus",
    // pgbouncer/pgbouncer doc/usage.md: HUP is RELOAD, USR2 is RESUME.
    "pgbouncer",
    // postgres/postgres doc/src/sgml/config.sgml, src/backend/postmaster/postmaster.c: USR2 does nothing.
    "postgres",
    // dev.mysql.com/doc/refman/8.0/en/unix-signal-response.html: HUP flushes; mysql/mysql-server sql/mysqld.cc: USR2 ends 8.0.
    "mysql",
    // docs.fluentd.org/deployment/signals: both reload.
    "fluentd",
    // fluent/fluent-bit src/fluent-bit.c, src/flb_reload.c: HUP reloads, or warns where that is off, and ended old versions.
    "fluent-bit",
    // vectordotdev/vector src/signal.rs: HUP reloads; USR2 has no handler, and ends it.
    "vector",
    // grafana/alloy docs/sources/reference/cli/run.md
    "alloy",
    // docs.influxdata.com/telegraf/v1/administer/run-as-service
    "telegraf",
    // open-telemetry/opentelemetry-collector otelcol/collector.go: HUP reloads; it ends where that fails.
    "OpenTelemetry collector",
    // squid-cache/squid src/main.cc: HUP reconfigures, USR2 has a handler for its debugging.
    "squid",
    // redis/redis src/server.c: HUP is ignored; USR2 has no handler, and ends it.
    "redis",
    // hashicorp/vault command/agent.go: HUP reloads since 1.13.
    "vault-agent",
    // developer.hashicorp.com/consul/commands/reload
    "consul",
];

/// Can this call end that helper?
enum Reach {
    Yes,
    Other,
    No(String),
}

/// The verdict, and why where it is not *ends*.
pub(super) fn verdict(bench: &mut Bench<'_>, mains: &[String]) -> (Verdict, String) {
    let object = bench.object;
    exeunts::object_rules(bench);
    if object.restart_policy() == "Always" {
        let why = if object.kind == "Pod" {
            "restartPolicy is Always: it is not meant to end".to_owned()
        } else {
            "restartPolicy Always (or none) is refused for a Job".to_owned()
        };
        return (Verdict::NotJudged, why);
    }
    if object.containers().iter().all(|one| one.init) {
        return (Verdict::NotJudged, "it has no containers: the API server takes none such".to_owned());
    }
    let all = parties(&object, mains);
    for party in &all {
        if let Kind::Foreign(whose) = party.kind {
            let name = party.container.name;
            let message = format!("{name} is run by {whose}, which ends its Pod by rules of its own");
            bench.find("foreign-end", party.container.place(), Some(name), message, "not judged", &[]);
            return (Verdict::NotJudged, format!("{name} is run by {whose}"));
        }
    }
    for Foreign { name, whose, .. } in OWNED {
        if let Some(at) = object.label(name) {
            let message = format!("this Pod is made by {whose}, which takes it away by rules of its own");
            bench.find("foreign-end", at, None, message, "not judged", &[]);
            return (Verdict::NotJudged, format!("{whose} makes this Pod and takes it away"));
        }
    }
    let serves = |party: &&Party<'_>| party.stays == Some(true) && matches!(party.kind, Kind::Job) && !party.aside;
    if let Some(party) = all.iter().find(serves).filter(|_| object.kind == "Pod" && object.containers().len() == 1) {
        let why = format!("{} serves until it is told to stop: this Pod is made to run for ever", party.container.name);
        return (Verdict::NotJudged, why);
    }
    let made = made(&all);
    let mut worst = exeunts::judge(bench, &all);
    let add = |worst: &mut (Verdict, String), verdict: Verdict, why: String| {
        if verdict > worst.0 {
            *worst = (verdict, why);
        }
    };
    for party in &all {
        swallowed(bench, party);
        let name = party.container.name;
        let restart = party.container.node.get("restartPolicy").filter(|_| !party.container.init && !party.injected);
        if let Some(node) = restart.filter(|node| node.str() == Some("Always")) {
            let message = format!("{name} is started again whenever it ends, so this Pod never completes");
            let notes = ["= fix: restartPolicy: Always makes a native sidecar only in initContainers".to_owned()];
            bench.find(
                "container-restart-always",
                node,
                Some(name),
                message,
                "of a regular container (Kubernetes 1.35)",
                &notes,
            );
            add(&mut worst, Verdict::NeverEnds, format!("{name} is always restarted"));
        }
        if let Kind::Helper(known) = party.kind {
            let (verdict, why) = helper(bench, &all, &made, party, known);
            add(&mut worst, verdict, why);
        }
        if let (Some(true), Kind::Init) = (party.stays, &party.kind) {
            let message = format!("{name} is an init container and never ends, so what comes after it never starts");
            let notes = ["= fix: restartPolicy: Always makes it a native sidecar (Kubernetes 1.29)".to_owned()];
            let remark = "it serves until it is told to stop";
            bench.find("sidecar-never-ends", party.container.place(), Some(name), message, remark, &notes);
            add(&mut worst, Verdict::NeverEnds, format!("{name}, an init container, never ends"));
        }
        if let (Some(always), Kind::Job, false) = (party.stays, &party.kind, party.aside) {
            let (verdict, why) = outlives(bench, party, always);
            add(&mut worst, verdict, why);
        }
        if let (Some(until), Kind::Job) = (party.until, &party.kind) {
            let message = format!("{name} ends once {until}, and tries for ever until then");
            let notes =
                ["= fix: an init container, before which no job starts; or timeout in front of its command".to_owned()];
            let at = party.container.place();
            bench.find_as(
                "sidecar-never-ends",
                Some(Severity::Warning),
                at,
                Some(name),
                message,
                "nothing bounds that",
                &notes,
            );
            add(&mut worst, Verdict::MayNotEnd, format!("{name} runs on until {until}"));
        }
        if matches!(party.kind, Kind::Native) {
            let known = super::who::known(party);
            for one in made.iter().filter(|one| matches!(one.call, Call::Http { .. })) {
                if known.is_some() && matches!(reaches(bench.object.spec, &all, one, party, known), Reach::Yes) {
                    let message =
                        format!("{name} is a native sidecar here: the kubelet ends it, nobody has to ask it to");
                    let caller = all.get(one.by).map(|one| one.container.name);
                    bench.find("mesh-quit-on-native-sidecar", one.at, caller, message, "", &[]);
                }
            }
        }
        hooks(bench, party);
        if matches!(party.kind, Kind::Job | Kind::Perhaps)
            && bench.object.deadline().is_none()
            && party.walk.as_ref().is_some_and(|walk| walk.polls)
            && let Some(at) = party.script
        {
            let message = format!("{name} waits here without a bound, and nothing ends this Pod if that never comes");
            let notes = ["= fix: count the attempts, or activeDeadlineSeconds for the Pod".to_owned()];
            bench.find_as("nothing-bounds-the-start", Some(Severity::Info), at, Some(name), message, "", &notes);
        }
    }
    let unknown: Vec<&Party<'_>> = all.iter().filter(|party| matches!(party.kind, Kind::Perhaps)).collect();
    let main = all.iter().find(|party| matches!(party.kind, Kind::Main(_)));
    if let Some(first) = unknown.first() {
        let names = unknown.iter().map(|party| party.container.name).collect::<Vec<_>>().join(", ");
        let what = match main {
            Some(main) => format!(
                "{names}: a job, or a helper that nothing ends? {} is the job that exeunt wraps",
                main.container.name
            ),
            None => format!("{names}: several jobs, or one and its helpers? the manifest does not say"),
        };
        let both = unknown.iter().map(|party| party.container.name).collect::<Vec<_>>().join(" --main ");
        let notes = [format!(
            "= --main {} if that is the job, --main {both} if each is one; or the annotation exeunt.dev/main",
            first.container.name
        )];
        let at = first.container.place();
        bench.find_as(
            "sidecar-never-ends",
            Some(Severity::Info),
            at,
            Some(first.container.name),
            what.clone(),
            "",
            &notes,
        );
        add(&mut worst, Verdict::MayNotEnd, what);
    }
    if worst.0 == Verdict::NeverEnds && object.deadline().is_some() {
        return (Verdict::MayNotEnd, worst.1);
    }
    if worst.0 >= Verdict::MayNotEnd && object.kind == "CronJob" && object.deadline().is_none() {
        let policy = object.node.path(&["spec", "concurrencyPolicy"]);
        if policy.and_then(Node::str).unwrap_or("Allow") == "Allow" {
            let at = policy.or_else(|| object.node.get("spec")).unwrap_or(object.node);
            let message = "each Job that does not end stays, and the next is started beside it".to_owned();
            let notes =
                ["= fix: the helper's end; concurrencyPolicy: Forbid or activeDeadlineSeconds bound the damage"
                    .to_owned()];
            bench.find("cronjob-piles-up", at, None, message, "concurrencyPolicy is Allow", &notes);
        }
    }
    worst
}

/// A container that goes on when the job in it is over.
///
/// It does so in every life in which the job in it ends: with any code, and by kill -9 of its command alone. One life is left:
/// the whole container is killed, by kill -9 of its first process or out of memory, which takes all that run in it. That
/// ends it as failed, and for good unless the kubelet starts it again.
fn outlives<'a>(bench: &mut Bench<'a>, party: &Party<'a>, always: bool) -> (Verdict, String) {
    let name = party.container.name;
    let thing = bench.thing();
    let again = comes_back(bench.object.spec, party, 137);
    let killed = if again {
        "killed as a whole (kill -9, out of memory), it is started again"
    } else {
        "only a kill of the whole container (kill -9, out of memory) ends it then, as failed"
    };
    let on = if always { "" } else { " on some ways through its script" };
    let notes = [
        format!("= when the job in it is over, {name} runs on{on}, and the {thing} is never Complete; {killed}"),
        "= fix: wait for the job alone, and end what it has started: kill; or a server of its own container".to_owned(),
    ];
    let severity = if always { Severity::Error } else { Severity::Warning };
    let message = format!("{name} is the job, and goes on for ever{on} by what is written here");
    let at = party.script.unwrap_or(party.container.place());
    let remark = "it serves until it is told to stop";
    bench.find_as("sidecar-never-ends", Some(severity), at, Some(name), message, remark, &notes);
    match (always, again && !is_stopped_soon(bench)) {
        (false, _) => (Verdict::MayNotEnd, format!("{name} goes on for ever{on}")),
        (true, true) => (Verdict::NeverEnds, format!("{name} goes on for ever")),
        (true, false) => (Verdict::MayNotEnd, format!("{name} goes on for ever, unless its container is killed")),
    }
}

/// A hook that somebody may count on, and that is not run.
fn hooks<'a>(bench: &mut Bench<'a>, party: &Party<'a>) {
    let name = party.container.name;
    let Some(hook) = party.container.node.path(&["lifecycle", "preStop"]) else { return };
    let words: Vec<String> = hook
        .path(&["exec", "command"])
        .into_iter()
        .flat_map(Node::items)
        .map(|word| word.text().unwrap_or("").to_owned())
        .collect();
    let called = match super::shell::script(&words) {
        Some(script) => {
            super::shell::walk(script).is_some_and(|walk| walk.paths.iter().any(|path| !path.calls.is_empty()))
        }
        None => !super::shell::calls(&words, &[]).is_empty(),
    };
    let path = hook.path(&["httpGet", "path"]).and_then(Node::text).unwrap_or("");
    let called = called || matches!(base(path), "quitquitquit" | "shutdown" | "quit");
    if called && matches!(party.kind, Kind::Job | Kind::Perhaps | Kind::Main(_)) {
        let message = format!("the preStop hook of {name} is not run when {name} ends by itself");
        let notes = ["= the kubelet runs it only when it stops the container, so it ends no helper".to_owned()];
        bench.find("prestop-not-run", hook, Some(name), message, "only at a deletion", &notes);
    }
    let sleeps = hook.get("sleep").is_some() || words.first().is_some_and(|word| base(word) == "sleep");
    if matches!(party.kind, Kind::Sidecar(_)) && !sleeps {
        let message = format!("the preStop hook of {name} is not run when exeunt stops it at the job's end");
        let notes = ["= the kubelet runs it only when it stops the container itself".to_owned()];
        bench.find("prestop-not-run", hook, Some(name), message, "only at a deletion", &notes);
    }
}

/// Every call that is made, and on which ends.
fn made<'a>(all: &[Party<'a>]) -> Vec<Made<'a>> {
    let mut found = Vec::new();
    for (by, party) in all.iter().enumerate() {
        if let Kind::Main(plan) = &party.kind {
            for url in &plan.on_exit {
                let port = url.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                let call = Call::Http { port, path: url.target.clone(), method: Method::Post, tls: false };
                let often = rehearse::When { passed: Often::Always, failed: Often::Always };
                let at = party.container.place();
                let last = party.option("restart-policy").is_some_and(|told| told.eq_ignore_ascii_case("on-failure"));
                found.push(Made { call, when: When::Every, often, goodbye: true, last, by, at });
            }
        }
        if !matches!(party.kind, Kind::Job | Kind::Perhaps | Kind::Main(_)) {
            continue;
        }
        let (Some(walk), Some(at)) = (&party.walk, party.script) else { continue };
        let mut ends: Vec<_> = walk.paths.iter().filter(|path| !path.stuck).collect();
        if ends.is_empty() {
            // It never comes to its end, but what it has called on its way is called.
            ends.extend(&walk.paths);
        }
        let calls: std::collections::BTreeSet<&Call> = ends.iter().flat_map(|path| &path.calls).collect();
        for call in calls {
            let on = |failed: bool| {
                let mut paths = ends.iter().filter(|path| path.failed == failed).peekable();
                paths.peek().is_some().then(|| paths.all(|path| path.calls.contains(call)))
            };
            let none_passed = !ends.iter().any(|path| !path.failed && path.calls.contains(call));
            let when = match (on(false), on(true)) {
                (Some(false), Some(true)) if none_passed => When::Failure,
                (Some(false), _) => When::Some,
                (Some(true) | None, Some(true) | None) => When::Every,
                (_, Some(false)) => When::Success,
            };
            let often = |ended: &dyn Fn(&Path) -> bool| {
                let made = || ends.iter().filter(|path| ended(path)).map(|path| path.calls.contains(call));
                match (made().any(|made| made), made().all(|made| made)) {
                    (false, true) => None,
                    (true, true) => Some(Often::Always),
                    (true, false) => Some(Often::Sometimes),
                    (false, false) => Some(Often::Never),
                }
            };
            // What has failed and exits 0 all the same has passed to the kubelet.
            let passed = often(&|path| !path.failed || path.ok);
            let failed = often(&|path| path.failed && !path.ok).or_else(|| often(&|path| path.failed));
            // A script that seems to end in one way only is believed to do the same on the other.
            let or_never = |often: Option<Often>| often.unwrap_or(Often::Never);
            let often = rehearse::When { passed: or_never(passed.or(failed)), failed: or_never(failed.or(passed)) };
            found.push(Made { call: call.clone(), when, often, goodbye: false, last: false, by, at });
        }
    }
    found
}

fn swallowed<'a>(bench: &mut Bench<'a>, party: &Party<'a>) {
    let name = party.container.name;
    if matches!(party.kind, Kind::Native | Kind::Init) {
        return;
    }
    let inside = party.walk.as_ref().and_then(|walk| walk.swallowed.first());
    if let (Some(call), Some(at)) = (inside, party.script) {
        let folded = at.style() == Style::Folded;
        let message = format!("{call} is never made: it is an argument of the command before it");
        let remark = if folded { "`>` joins these lines into one" } else { "one command, not two" };
        let fix = if folded {
            "= fix: write | instead of >, so that each line stays a line"
        } else {
            "= fix: end the command before it with ; or a new line"
        };
        bench.find("end-call-folded", at, Some(name), message, remark, &[fix.to_owned()]);
        return;
    }
    // Words behind the script are its parameters; without a shell all words are arguments.
    let from = party
        .script
        .and_then(|script| party.container.words.iter().position(|word| *word == script))
        .map_or(1, |at| at + 1);
    let rest = party.words.get(from..).unwrap_or(&[]);
    let at = rest.iter().position(|word| matches!(word.as_str(), "&&" | ";" | "||"));
    let Some(at) = at else { return };
    let call = super::shell::calls(rest.get(at + 1..).unwrap_or(&[]), &[]);
    if let (Some(call), Some(node)) = (call.first(), party.container.words.get(from + at)) {
        let message = if party.container.has_command {
            format!("{call} is never made: these words are arguments, no shell reads them")
        } else {
            format!(
                "{call} is made only where the image's ENTRYPOINT gives its arguments to a shell: no shell is told here"
            )
        };
        let notes = ["= fix: one script: [\"sh\", \"-c\", \"job; …\"]".to_owned()];
        bench.find("end-call-folded", *node, Some(name), message, "an argument like any other", &notes);
    }
}

fn programs(party: &Party<'_>) -> Vec<String> {
    let run = party.walk.iter().flat_map(|walk| walk.programs.iter().filter_map(|words| words.first()));
    let mut all: Vec<String> = run.map(|word| base(word).to_owned()).collect();
    let (words, _) = super::shell::strip(&party.words);
    all.extend(words.first().filter(|_| party.container.has_command).map(|word| base(word).to_owned()));
    if let Kind::Helper(Some(known)) = party.kind {
        all.extend(known.known.iter().map(|name| (*name).to_owned()));
    }
    all.extend([party.container.name, party.container.image].map(str::to_owned));
    all
}

fn quit_port(party: &Party<'_>, quit: &Quit) -> u16 {
    let told =
        quit.option.and_then(|(option, variable)| party.flag(option).or_else(|| party.container.variable(variable)));
    // It may be an address.
    let told = told.or(party.port).map(|told| told.rsplit(':').next().unwrap_or(told));
    told.and_then(|told| told.parse().ok()).unwrap_or(quit.port)
}

/// Is it told so, by this argument or by this variable?
fn is_told(party: &Party<'_>, (argument, variable): (&str, &str)) -> bool {
    let off = |value: &str| matches!(value, "false" | "0" | "f" | "no" | "off");
    // In a script the argument is somewhere in the text.
    let words = party.words.iter().flat_map(|word| word.split_ascii_whitespace());
    match words.filter_map(|word| word.strip_prefix(argument)).next_back() {
        Some(rest) => !rest.strip_prefix('=').is_some_and(off),
        None => party.container.variable(variable).is_some_and(|value| !off(value)),
    }
}

fn is_on(party: &Party<'_>, quit: &Quit) -> bool {
    party.off.is_none() && quit.needs.is_none_or(|needed| is_told(party, needed))
}

/// Port and path by which it can be asked to end, as far as the manifest tells.
pub(super) fn endpoint(party: &Party<'_>) -> Option<(u16, &'static str)> {
    let Kind::Helper(Some(known)) = party.kind else { return None };
    let quit = known.quit.as_ref().filter(|quit| is_on(party, quit))?;
    Some((quit_port(party, quit), quit.path))
}

fn reaches(spec: Node<'_>, all: &[Party<'_>], made: &Made<'_>, party: &Party<'_>, known: Option<&Helper>) -> Reach {
    let Some(caller) = all.get(made.by) else { return Reach::Other };
    let name = party.container.name;
    match &made.call {
        Call::Http { port, path, method, tls } => {
            let Some(quit) = known.and_then(|known| known.quit.as_ref()) else {
                // A helper of which nothing is known may have such an endpoint.
                return if known.is_none() && !path.is_empty() { Reach::Yes } else { Reach::Other };
            };
            let right = quit_port(party, quit);
            let same_port = port.is_none() || *port == Some(right) || (right == quit.port && *port == quit.also);
            let alone = all.iter().filter(|one| matches!(one.kind, Kind::Helper(_))).count() == 1;
            let same_path = path.is_empty() || base(path) == base(quit.path);
            match (same_port, same_path) {
                (true, true) if !is_on(party, quit) => {
                    let flag = quit.needs.map_or("", |(flag, _)| flag);
                    let needs = party.off.map_or_else(|| flag.to_owned(), |key| format!("the annotation {key}"));
                    Reach::No(format!("{name} has no such endpoint without {needs}"))
                }
                // The listener of Vault's agent has TLS unless it is told otherwise.
                (true, true) if *tls && known.is_none_or(|known| known.name != "vault-agent") => {
                    Reach::No(format!("{name} speaks no TLS there (http://)"))
                }
                (true, true) if !quit.methods.is_empty() && !quit.methods.contains(method) => {
                    let wanted = quit.methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(" or a ");
                    let first = quit.methods.first().map_or("", |method| method.name());
                    Reach::No(format!("{name} answers only a {wanted} there (curl -X {first})"))
                }
                (true, true) => Reach::Yes,
                (false, true) if alone && !path.is_empty() => {
                    Reach::No(format!("{name} listens for it on port {right}"))
                }
                _ => Reach::Other,
            }
        }
        Call::Client(server) => match known {
            Some(known) if known.name == *server => Reach::Yes,
            _ => Reach::Other,
        },
        Call::Signal { pattern, signal } => {
            if !programs(party)
                .iter()
                .any(|program| program.contains(pattern.as_str()) || pattern.contains(program.as_str()))
            {
                // What the programs of an image are called that is not known nobody can say; a pattern may fit more than it says.
                let literal = pattern.chars().any(char::is_alphabetic)
                    && !pattern.contains(['.', '*', '[', '|', '^', '$', '\\', '(']);
                let fits = |one: &Party<'_>| {
                    !matches!(one.kind, Kind::Helper(Some(_)))
                        || programs(one).iter().any(|program| program.contains(pattern.as_str()))
                };
                let nobody =
                    known.is_some() && literal && !all.iter().enumerate().any(|(at, one)| at != made.by && fits(one));
                return if nobody {
                    Reach::No(format!("no program of {name} is called {pattern}"))
                } else {
                    Reach::Other
                };
            }
            if let (Signal::Again(signal), Some(known)) = (signal, known)
                && RELOADS.contains(&known.name)
            {
                return Reach::No(format!("SIG{signal} does not end {}", known.name));
            }
            if !shares_processes(spec) {
                return Reach::No(format!(
                    "{} does not see the processes of {name} without shareProcessNamespace: true",
                    caller.container.name
                ));
            }
            match (caller.container.user(spec), party.container.user(spec)) {
                (Some(from), Some(to)) if from != 0 && from != to => {
                    Reach::No(format!("user {from} may not signal user {to}"))
                }
                _ => Reach::Yes,
            }
        }
        Call::Touch(file) => {
            let waits = party.walk.as_ref().map(|walk| &walk.waits);
            let Some(waits) = waits.filter(|waits| !waits.is_empty()) else { return Reach::Other };
            let from = caller.container.volume_of(file).map(|(volume, _)| volume);
            let seen = waits
                .iter()
                .any(|waited| from.is_some() && party.container.volume_of(waited).map(|(volume, _)| volume) == from);
            match (seen, waits.contains(file)) {
                (true, _) => Reach::Yes,
                (false, true) => {
                    Reach::No(format!("{} and {name} do not share a volume that holds {file}", caller.container.name))
                }
                _ => Reach::Other,
            }
        }
    }
}

/// The name of a file as a shell takes it; what has none is a word for it.
fn as_word(name: &str) -> std::borrow::Cow<'_, str> {
    match name {
        "standard input" => "-".into(),
        "cluster" => "FILE".into(),
        name => shlex::try_quote(name).unwrap_or_else(|_| "FILE".into()),
    }
}

/// Do its containers see each other's processes? On the host's own they do as well.
fn shares_processes(spec: Node<'_>) -> bool {
    ["shareProcessNamespace", "hostPID"].iter().any(|key| spec.get(key).and_then(Node::bool) == Some(true))
}

/// Does it speak to those who can end a container from outside: the API server, or the engine?
fn asks_outside(party: &Party<'_>) -> bool {
    const ENDS: &[&str] = &["exec", "delete", "rm", "stop", "kill", "patch", "replace", "annotate", "debug"];
    let (own, _) = super::shell::strip(&party.words);
    let own = party.container.has_command.then_some(own);
    let run = party.walk.iter().flat_map(|walk| walk.programs.iter().chain(&walk.behind)).map(Vec::as_slice);
    let by_program = own.into_iter().chain(run).any(|words| {
        let program = words.first().map_or("", |word| base(word));
        matches!(program, "kubectl" | "oc" | "docker" | "podman" | "nerdctl" | "crictl" | "ctr")
            && words.iter().any(|word| ENDS.contains(&word.as_str()))
    });
    let speaks = |word: &String| {
        [
            "kubernetes.default",
            "KUBERNETES_SERVICE_HOST",
            "delete_namespaced_",
            "namespaced_pod_exec",
            "/var/run/docker.sock",
        ]
        .iter()
        .any(|name| word.contains(name))
    };
    by_program || party.words.iter().any(speaks)
}

/// Calls to a helper that stand in the script of a job, and that no end of it makes.
fn idle<'a>(bench: &mut Bench<'a>, all: &[Party<'a>], party: &Party<'a>, known: Option<&Helper>) -> bool {
    let mut any = false;
    for (by, caller) in all.iter().enumerate() {
        if !matches!(caller.kind, Kind::Job | Kind::Perhaps | Kind::Main(_)) {
            continue;
        }
        let (Some(walk), Some(at)) = (&caller.walk, caller.script) else { continue };
        for (call, why) in &walk.idle {
            let often = rehearse::When { passed: Often::Never, failed: Often::Never };
            let made = Made { call: call.clone(), when: When::Some, often, goodbye: false, last: false, by, at };
            if matches!(reaches(bench.object.spec, all, &made, party, known), Reach::Other) {
                continue;
            }
            any = true;
            let (why, remark) = match why {
                Idle::Printed => ("it is only printed", "an argument of echo"),
                Idle::Comment => ("it stands in a comment", "no code"),
                Idle::Unreached => ("no way through the script comes to it", "never reached"),
                Idle::Trap => {
                    ("exec puts another program in the place of the shell, and its trap is gone", "no trap after exec")
                }
            };
            let message = format!("{call} is never made: {why}");
            bench.find("end-call-folded", at, Some(caller.container.name), message, remark, &[]);
        }
    }
    any
}

/// The annotation that makes an injected helper a native sidecar.
fn native_by(name: &str) -> Option<&'static str> {
    INJECTED.iter().find(|one| one.name == name).and_then(|one| one.native)
}

/// What stands here and might be taken for the end of a helper, and what else might end it and is not written here.
fn unseen(all: &[Party<'_>], party: &Party<'_>, known: Option<&Helper>) -> Vec<String> {
    let name = party.container.name;
    let mut notes = Vec::new();
    for caller in all.iter().filter(|caller| matches!(caller.kind, Kind::Job | Kind::Perhaps | Kind::Main(_))) {
        for call in caller.walk.iter().flat_map(|walk| &walk.on_signals) {
            let by = caller.container.name;
            notes.push(format!("= {call} stands in a trap of {by} for signals, which is not run when its script ends"));
        }
    }
    if party.walk.as_ref().is_some_and(|walk| walk.finds_itself) {
        notes.push(format!("= the pgrep -f of {name} finds the shell that asks it, whose words hold that name: its loop goes round for ever"));
    }
    if party.injected {
        notes.push("= where its injector is not there when the Pod is made, it is not in the Pod".to_owned());
    } else if let Some(settings) = settings(party, known) {
        notes.push(format!("= its configuration is not seen here: {settings}"));
    }
    notes
}

/// What in its configuration may end a helper.
fn settings(party: &Party<'_>, known: Option<&Helper>) -> Option<&'static str> {
    // An image of nginx's says it in its CMD, in whose place these words stand.
    let alone = |walk: &Walk| walk.programs.len() == 1 && walk.paths.iter().all(|path| !path.stuck);
    let words = match &party.walk {
        Some(walk) => walk.programs.first().filter(|_| alone(walk)),
        None => party.container.has_command.then_some(&party.words),
    };
    let is_nginx = words.and_then(|words| program(words)).is_some_and(|known| known.name == "nginx");
    if is_nginx && !party.words.iter().any(|word| word.contains("daemon off")) {
        return Some("it goes into the background, and its container ends, unless `daemon off;` stands there");
    }
    known.and_then(|known| known.settings)
}

/// A helper that exeunt does not hold: what ends it, and when?
fn helper<'a>(
    bench: &mut Bench<'a>,
    all: &[Party<'a>],
    made: &[Made<'a>],
    party: &Party<'a>,
    known: Option<&Helper>,
) -> (Verdict, String) {
    let name = party.container.name;
    let at = party.container.place();
    let deadline = bench.object.deadline();
    let jobs = || all.iter().filter(|one| matches!(one.kind, Kind::Job | Kind::Main(_) | Kind::Refused(..)));
    let job = jobs().find(|one| !one.aside).or_else(|| jobs().next());
    let job_name = job.map_or("the job", |job| job.container.name);
    let cannot: Vec<(&Made<'a>, String)> = made
        .iter()
        .filter_map(|one| match reaches(bench.object.spec, all, one, party, known) {
            Reach::No(why) => Some((one, why)),
            _ => None,
        })
        .collect();
    let good: Vec<&Made<'a>> =
        made.iter().filter(|one| matches!(reaches(bench.object.spec, all, one, party, known), Reach::Yes)).collect();
    let what = known.map_or("it serves until it is told to stop".to_owned(), |known| {
        format!("{} serves until it is told to stop", known.name)
    });
    let until = deadline
        .map_or(String::new(), |seconds| format!(", and only a deadline stops it, as failed, after {seconds} s"));
    let main = job.map_or(String::new(), |job| format!("--main {} ", job.container.name));
    let inject = format!("= fix: kubectl exeunt inject {main}{}", as_word(bench.object.node.file().name()));
    let native = match (party.injected, native_by(name)) {
        (true, None) => None,
        (true, Some(key)) => Some(format!("     or {key}: \"true\", which makes {name} a native sidecar")),
        (false, _) => {
            Some(format!("     or move {name} to initContainers with restartPolicy: Always (Kubernetes 1.29)"))
        }
    };
    let fixes: Vec<String> = [inject.clone()].into_iter().chain(native).collect();
    if good.is_empty() {
        for (one, why) in &cannot {
            let message = format!("{} cannot end {name}: {why}", one.call);
            let remark = "this call does not reach it";
            let caller = all.get(one.by).map(|one| one.container.name);
            bench.find("end-cannot-reach", one.at, caller, message, remark, &[]);
        }
        if party.undecided {
            let mesh = known.and_then(|known| match known.name {
                "istio-proxy" => Some("istio"),
                "linkerd-proxy" => Some("linkerd"),
                _ => None,
            });
            let whose = if mesh.is_some() { "the mesh" } else { "its injector" };
            let message = format!(
                "nothing in this manifest ends {name}; whether {whose} makes it a native sidecar its version decides"
            );
            let mut notes: Vec<String> = party.note.iter().map(|note| format!("= {note}")).collect();
            let asked = mesh.map(|mesh| format!("exeunt --mode main --mesh {mesh}"));
            let told = native_by(name).map(|key| format!("{key}: \"true\""));
            let fix: Vec<String> = asked.into_iter().chain(told).collect();
            if !fix.is_empty() {
                notes.push(format!("= fix: {}", fix.join(", or ")));
            }
            bench.find("mesh-version-decides", at, Some(name), message, "injected when the Pod is made", &notes);
            return (Verdict::MayNotEnd, format!("the version of {whose} decides whether {name} ends"));
        }
        if party.unread() {
            let message = format!("nothing is seen to end {name}, but its script is not understood");
            bench.find_as("sidecar-never-ends", Some(Severity::Warning), at, Some(name), message, &what, &fixes);
            return (Verdict::MayNotEnd, format!("the script of {name} is not understood"));
        }
        // A call that stands here and that nobody makes shows who was to make it.
        let idle = idle(bench, all, party, known);
        if party.guessed {
            let message = format!("nothing is seen to end {name}, if it does not end by itself");
            let notes =
                [format!("= it is no job, for {job_name} is; exeunt.dev/sidecars: {name} says that it is a helper")];
            bench.find_as("sidecar-never-ends", Some(Severity::Warning), at, Some(name), message, "", &notes);
            return (Verdict::MayNotEnd, format!("whether {name} ends by itself cannot be seen"));
        }
        // What the job does inside its image nobody can see; it matters where there is a way to the helper at all.
        let hidden = !idle
            && job.is_some_and(|job| {
                let runs = |walk: &super::shell::Walk| {
                    (!walk.programs.is_empty() || !walk.behind.is_empty()) && walk.swallowed.is_empty()
                };
                job.opaque || job.walk.as_ref().is_some_and(runs)
            });
        let outside = all.iter().any(|one| !one.injected && !one.container.init && asks_outside(one));
        if outside && !idle && cannot.is_empty() {
            let message =
                format!("nothing is seen to end {name} but what is asked of the cluster, which is not played");
            let rule = "sidecar-never-ends";
            bench.find_as(rule, Some(Severity::Warning), at, Some(name), message, &what, &fixes);
            return (Verdict::MayNotEnd, format!("whether the cluster is asked to end {name} cannot be seen"));
        }
        let shares = shares_processes(bench.object.spec);
        let endpoint = endpoint(party);
        let file = party.walk.as_ref().is_some_and(|walk| !walk.waits.is_empty());
        let thing = bench.thing();
        let mut notes = unseen(all, party, known);
        if hidden && cannot.is_empty() && (endpoint.is_some() || shares || file) {
            let way = match endpoint {
                Some((port, path)) => format!("a request to its port {port}{path}"),
                None if file => "the file that it waits for".to_owned(),
                None => "a signal".to_owned(),
            };
            let message = format!("{name} ends only by {way}, and nothing that is understood here does that");
            notes.push(format!(
                "= whether {job_name} does it inside its image cannot be seen; where it does not, {name} runs on, and the {thing} is never Complete{until}"
            ));
            notes.extend(fixes);
            let rule = if endpoint.is_some() { "quit-endpoint-without-caller" } else { "sidecar-never-ends" };
            bench.find_as(rule, Some(Severity::Warning), at, Some(name), message, &what, &notes);
            return (Verdict::MayNotEnd, format!("what ends {name}, if anything, is inside the image of {job_name}"));
        }
        let configured = settings(party, known).is_some() && !party.injected;
        let once = if party.injected { " once it is injected" } else { "" };
        let message = match configured {
            true => format!("nothing is seen to end {name}; whether its configuration does cannot be seen"),
            false => format!("nothing ends {name}{once}, so this {thing} never completes"),
        };
        notes.push(format!(
            "= when {job_name} exits 0, {name} runs on; the Pod stays Running, the {thing} is never Complete{until}"
        ));
        notes.extend(fixes);
        let severity = configured.then_some(Severity::Warning);
        bench.find_as("sidecar-never-ends", severity, at, Some(name), message, &what, &notes);
        if configured {
            return (Verdict::MayNotEnd, format!("whether {name} ends by its configuration cannot be seen"));
        }
        if party.injected {
            let why = format!("nothing ends {name}, if its injector is there when the Pod is made");
            return (Verdict::MayNotEnd, why);
        }
        return (Verdict::NeverEnds, format!("nothing ends {name}"));
    }
    // A script that does not come to its end does not matter: a call on every end of one job is enough.
    let of = |when: When| good.iter().find(|one| one.when == when);
    let best = of(When::Every).or_else(|| of(When::Success)).or(good.first());
    let Some(best) = best.copied() else { return (Verdict::NeverEnds, String::new()) };
    let caller = all.get(best.by);
    let caller_name = caller.map_or("", |caller| caller.container.name);
    side_effects(bench, best, party, caller_name);
    let spec = bench.object.spec;
    let code = code_after(&best.call, party);
    if code != 0 && is_repeated(spec, party) {
        let verdict = if is_stopped_soon(bench) { Verdict::MayNotEnd } else { Verdict::NeverEnds };
        return (verdict, format!("{name} exits {code} when {caller_name} ends it, and is started again"));
    }
    // A job that fails or is killed is tried again, and makes its call when it has passed; what exits 0 is not, whatever has
    // failed in it.
    let leaves_it = |caller: &Party<'_>| {
        let mut paths = caller.walk.iter().flat_map(|walk| &walk.paths);
        !best.goodbye && paths.any(|path| !path.stuck && path.ok && !path.calls.contains(&best.call))
    };
    let is_made_up = |caller: &Party<'_>| is_repeated(spec, caller) && !leaves_it(caller);
    if matches!(best.when, When::Every | When::Success) && caller.is_some_and(is_made_up) {
        return (Verdict::Ends, String::new());
    }
    let only = match best.when {
        When::Every => None,
        When::Success => Some((
            format!("only when {caller_name} succeeds"),
            format!("when {caller_name} fails or is killed"),
            "not after a failure",
        )),
        When::Failure => Some((
            format!("only when {caller_name} fails"),
            format!("when {caller_name} succeeds or is killed"),
            "not after a success",
        )),
        When::Some => Some((
            "only on some ways through this script".to_owned(),
            format!("on the others, and when {caller_name} is killed"),
            "not on all ways",
        )),
    };
    if let Some((only, otherwise, remark)) = only {
        let message = format!("{} ends {name} {only}", best.call);
        let notes = [
            format!("= {otherwise}, {name} runs on; the Pod stays Running, no retry is made{until}"),
            inject,
            "     or call it in a trap: trap '…' EXIT, which helps against all but a kill".to_owned(),
        ];
        bench.find("end-only-on-success", best.at, Some(caller_name), message, remark, &notes);
        return (Verdict::MayNotEnd, format!("{name} is ended {only}"));
    }
    let message = format!(
        "{} is never made when {caller_name} is killed (kill -9, out of memory): then {name} runs on",
        best.call
    );
    let notes: Vec<String> = [format!("= the Pod stays Running{until}")].into_iter().chain(fixes).collect();
    bench.find("end-lost-on-kill", best.at, Some(caller_name), message, "", &notes);
    (Verdict::MayNotEnd, format!("{name} runs on when {caller_name} is killed"))
}

/// A call of a script or an exeunt that reaches a helper, for a rehearsal.
pub(super) struct Reached {
    /// Who makes it, by the number of its party.
    pub(super) by: usize,
    /// Whom it ends, by the number of its party.
    pub(super) helper: usize,
    /// When.
    pub(super) when: rehearse::When,
    /// How.
    pub(super) way: Way,
    /// By the exeunt in front of the command.
    pub(super) goodbye: bool,
}

/// Every call that reaches a helper which exeunt does not hold, and why others do not.
pub(super) fn reached(spec: Node<'_>, all: &[Party<'_>]) -> (Vec<Reached>, Vec<String>) {
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    let made = made(all);
    for (helper, party) in all.iter().enumerate() {
        let Kind::Helper(known) = party.kind else { continue };
        for one in &made {
            match reaches(spec, all, one, party, known) {
                Reach::Other => {}
                Reach::No(why) => lost.push(format!("{} cannot end {}: {why}", one.call, party.container.name)),
                Reach::Yes => {
                    let way = match &one.call {
                        Call::Touch(_) => Way::File,
                        call => Way::Now(code_after(call, party)),
                    };
                    let Made { by, often, goodbye, .. } = *one;
                    found.push(Reached { by, helper, when: often, way, goodbye });
                }
            }
        }
    }
    (found, lost)
}

/// A file that a script makes as the sentinel of a life.
pub(super) struct Sentinel {
    /// The shared directory, as [`exeunts::stage_at`] has it.
    pub(super) stage: String,
    /// Whose life.
    pub(super) name: String,
    /// Who makes it, by the number of its party.
    pub(super) by: usize,
    /// When.
    pub(super) when: rehearse::When,
}

/// Every sentinel that scripts make.
pub(super) fn sentinels(all: &[Party<'_>]) -> Vec<Sentinel> {
    let of = |made: Made<'_>| {
        let Call::Touch(file) = &made.call else { return None };
        let (directory, file) = file.rsplit_once('/')?;
        let name = file.strip_suffix("-terminated")?.to_owned();
        let stage = exeunts::stage_at(&all.get(made.by)?.container, directory);
        Some(Sentinel { stage, name, by: made.by, when: made.often })
    };
    made(all).into_iter().filter_map(of).collect()
}

/// Does the kubelet start it again after every failure?
pub(super) fn is_repeated(spec: Node<'_>, party: &Party<'_>) -> bool {
    let own = party.container.node.get("restartPolicy").filter(|_| !party.injected);
    let policy = own.or_else(|| spec.get("restartPolicy")).and_then(Node::str);
    let rules = party.container.node.get("restartPolicyRules").is_some();
    policy == Some("OnFailure") && !rules
}

/// Does the kubelet start it again after this code, by the rules of the container or by its policy?
fn comes_back(spec: Node<'_>, party: &Party<'_>, code: u8) -> bool {
    let own = party.container.node;
    let policy = own.get("restartPolicy").or_else(|| spec.get("restartPolicy")).and_then(Node::str);
    play::rules(own).iter().any(|rule| rule.matches(code)) || policy == Some("OnFailure") && code != 0
}

/// Is it the Pod of a Job that allows less than two restarts, and stops it as failed by the first?
fn is_stopped_soon(bench: &Bench<'_>) -> bool {
    let most = bench.object.job.and_then(|job| job.get("backoffLimit")).and_then(Node::int);
    most.is_some_and(|most| most < 2)
}

/// What a helper exits with after this call.
fn code_after(call: &Call, party: &Party<'_>) -> u8 {
    let known = if let Kind::Helper(known) = party.kind { known } else { None };
    let signalled = known.map(|known| known.signalled);
    let zero = || signalled.and_then(|it| it.zero).is_some_and(|told| is_told(party, told));
    let deaf = ["sleep", "tail"].iter().any(|program| programs(party).iter().any(|one| one == program));
    match call {
        Call::Signal { signal: Signal::Kill, .. } => 137,
        Call::Signal { signal: Signal::Int, .. } if deaf => 130,
        Call::Signal { .. } if deaf => 143,
        // The option that makes it 0 is for SIGTERM alone.
        Call::Signal { signal: Signal::Int, .. } => signalled.map_or(0, |it| it.interrupted),
        Call::Signal { .. } if zero() => 0,
        Call::Signal { .. } => signalled.map_or(0, |it| it.code),
        _ => 0,
    }
}

fn side_effects<'a>(bench: &mut Bench<'a>, best: &Made<'a>, party: &Party<'a>, caller: &str) {
    let name = party.container.name;
    if matches!(best.call, Call::Signal { signal: Signal::Kill, .. }) {
        let message =
            format!("{name} is killed by SIGKILL and exits 137, so the Pod fails although {caller} has succeeded");
        bench.find("sidecar-exit-code-counts", best.at, Some(caller), message, "its exit code counts", &[]);
    }
    if matches!(best.call, Call::Signal { signal, .. } if signal != Signal::Kill) && code_after(&best.call, party) != 0
    {
        let message =
            format!("{name} does not exit 0 after a signal, so the Pod fails although {caller} has succeeded");
        let option = match party.kind {
            Kind::Helper(Some(known)) => {
                let sent =
                    if matches!(best.call, Call::Signal { signal: Signal::Int, .. }) { "SIGTERM and " } else { "" };
                known.signalled.zero.map_or(String::new(), |(option, _)| format!("{sent}{option}, or "))
            }
            _ => String::new(),
        };
        let notes = [format!("= fix: {option}let exeunt stop it: it then exits 0")];
        bench.find("sidecar-exit-code-counts", best.at, Some(caller), message, "its exit code counts", &notes);
    }
    // Who fails is started again.
    let gone = code_after(&best.call, party) == 0;
    if gone && bench.object.restart_policy() == "OnFailure" && best.when == When::Every && !party.injected && !best.last
    {
        let message = format!("{name} is ended after a failure of {caller} too, and the next attempt runs without it");
        let notes = ["= with restartPolicy: OnFailure a helper that has exited 0 is not started again".to_owned()];
        bench.find(
            "sidecar-gone-on-retry",
            best.at,
            Some(caller),
            message,
            "also when it is to be tried again",
            &notes,
        );
    }
}
