//! Who is who among the containers of a Pod.

use super::helpers::{CONTROLLED, Helper, INJECTED, WRAPPERS, helper, named, program, tagged};
use super::shell::{self, Walk, base};
use crate::pod::{Container, Environment, Object};
use crate::yaml::Node;
use exeunt::machine::Role;
use exeunt::options;
use exeunt::plan::Plan;
use exeunt::reading::{self, Scene, Wanted};
use exeunt::settings::Variables;
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
    /// Wrapped by exeunt, which would refuse its options, and whether it would still tell its sidecars that it is over.
    Refused(String, bool),
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
    /// Injected: whether as a native sidecar, its version decides.
    pub undecided: bool,
    /// Injected: the annotation without which its endpoint is off, and which is not there.
    pub off: Option<&'static str>,
    /// Injected: the port of its endpoint, where an annotation names one.
    pub port: Option<&'a str>,
    /// exeunt stands in `args`, and what runs them is the image's affair.
    pub args_only: bool,
    /// No helper, and not what the Pod is for either: it ends by itself.
    pub aside: bool,
    /// It ends by itself only when this has come, for which it tries for ever.
    pub until: Option<&'static str>,
    /// By what is written it goes on for ever: on all of its ways, or on some.
    pub stays: Option<bool>,
    /// A helper only because others are said to be the job.
    pub guessed: bool,
    /// Injected: who else may end it.
    pub note: Option<&'static str>,
}

/// The helper that a container with a command of its own runs, and the words of it.
fn runs_helper<'p>(party: &'p Party<'_>) -> Option<(&'static Helper, &'p [String])> {
    let (words, _) = shell::strip(&party.words);
    let own = party.container.has_command.then(|| Some((program(words)?, words))).flatten();
    let run = |brief: bool| {
        let all = party.walk.as_ref()?.programs.iter().filter_map(|words| Some((program(words)?, words.as_slice())));
        let mut all = all.filter(|(known, words)| is_brief(words, known) == brief);
        all.next()
    };
    // A server that is only asked something on the way of a script makes no helper of it.
    let alone = || party.walk.as_ref().is_some_and(|walk| walk.programs.len() == 1);
    own.or_else(|| run(false)).or_else(|| if alone() { run(true) } else { None })
}

/// What is known of a container by its name, or by its image and the words behind its ENTRYPOINT.
pub(super) fn known(party: &Party<'_>) -> Option<&'static Helper> {
    let image = || helper(party.container.image, &party.words);
    runs_helper(party).map(|(known, _)| known).or_else(|| named(party.container.name)).or_else(image)
}

/// Do these words say so?
fn is_brief(words: &[String], known: &Helper) -> bool {
    let yes = |value: &str| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True");
    words.iter().any(|word| match word.split_once('=') {
        Some((name, value)) if yes(value) => known.once.words.contains(&name),
        _ => known.once.words.contains(&word.as_str()) || matches!(word.as_str(), "--version" | "--help"),
    })
}

/// Do these words, which its image's ENTRYPOINT becomes, run this server, or leave it to the image?
fn is_its_server(words: &[String], known: &Helper) -> bool {
    let (words, _) = shell::strip(words);
    match words.first() {
        Some(first) if !first.starts_with('-') => program(words).is_some_and(|it| it.name == known.name),
        _ => true,
    }
}

/// Is it told to end when its work is done?
fn is_once(party: &Party<'_>, words: &[String], known: &Helper) -> bool {
    let variable =
        |(name, values): &(&str, &[&str])| party.container.variable(name).is_some_and(|value| values.contains(&value));
    // What is behind a shell is the shell's: its -c is not the -c of haproxy. So is what stands before it an init's.
    let own = if shell::script(&party.words).is_some() { &[][..] } else { shell::strip(&party.words).0 };
    is_brief(own, known) || is_brief(words, known) || known.once.variables.iter().any(variable)
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
    // GKE ends the container that it knows by this name, whatever stands in the manifest.
    let gcsfuse = object.annotation("gke-gcsfuse/volumes").and_then(Node::text) == Some("true");
    for party in &mut all {
        let init = matches!(party.kind, Kind::Init);
        if !init && !matches!(party.kind, Kind::Perhaps) {
            continue;
        }
        let container = &party.container;
        let ran = runs_helper(party);
        // With a command of its own, an image of a server is as well a client: `redis-cli`, `psql`. So is a container that is
        // called like a database.
        let by_name = named(container.name).filter(|known| !container.has_command || known.clients.is_empty());
        let by_tag = tagged(container.image, container.tag());
        let image = helper(container.image, &party.words).or(by_tag).filter(|_| !container.has_command);
        // What stands behind an ENTRYPOINT that becomes its words may be another program: a client.
        let image = image.filter(|known| !known.runs_words() || is_its_server(&party.words, known));
        let known = ran.map(|(known, _)| known).or(by_name).or(image);
        let words = ran.map_or(&[][..], |(_, words)| words);
        let once = known.is_some_and(|known| is_once(party, words, known));
        let until = known.filter(|_| once).and_then(|known| known.once.until);
        let once = once || container.name == "gke-gcsfuse-sidecar" && gcsfuse;
        // The bound of one command is none of the server that comes after it.
        let bounded = |walk: &shell::Walk| {
            walk.limited
                && walk.paths.iter().all(|path| !path.stuck)
                && !walk.programs.iter().any(|words| program(words).is_some() || shell::serves_for_ever(words))
        };
        let limited = shell::is_limited(&party.words) || party.walk.as_ref().is_some_and(bounded);
        // What a script starts behind does not keep it, unless it waits.
        let behind = party.walk.as_ref().is_some_and(|walk| !walk.behind.is_empty() && !walk.joins);
        let ran = ran.is_some();
        let known = known.filter(|_| ran || !behind);
        let forever = shell::serves_for_ever(&party.words);
        // Of what nobody knows a bound tells nothing: the job itself may have one.
        // A script that starts nothing in front of itself, waits for nobody and comes to its end.
        let passes = party.walk.as_ref().is_some_and(|walk| {
            !walk.behind.is_empty()
                && walk.programs.is_empty()
                && !(walk.joins || walk.polls || walk.loops)
                && walk.waits.is_empty()
                && walk.paths.iter().all(|path| !path.stuck)
        });
        let aside = once || (limited && (known.is_some() || forever)) || (passes && regular > 1);
        let server = (ran && known.is_some()) || image.is_some() || forever;
        let stuck = |path: &&shell::Path| path.stuck;
        let paths = party.walk.as_ref().map_or(&[][..], |walk| &walk.paths);
        let stays = match (server, paths.iter().filter(stuck).count()) {
            (true, _) => Some(true),
            (false, 0) => None,
            (false, some) => Some(some == paths.len()),
        };
        party.stays = stays.filter(|_| !limited && !once);
        if init {
            // By its name nobody knows what an init container does, nor what a configuration says that is not seen.
            let seen = known.is_none_or(|known| known.settings.is_none());
            party.stays = party.stays.filter(|always| *always && seen);
            continue;
        }
        let serves = party.walk.as_ref().is_some_and(|walk| {
            walk.paths.iter().any(|path| path.stuck)
                || (!walk.waits.is_empty() && !jobs.contains(&container.name.to_owned()))
        });
        let seen = known.is_some() || serves || forever || sidecars.iter().any(|name| name == container.name);
        let job = regular == 1 || jobs.iter().any(|job| job == container.name) || aside;
        party.aside = aside;
        party.until = until.filter(|_| !limited && regular > 1);
        party.guessed = !seen;
        party.kind = if job {
            Kind::Job
        } else if seen || !jobs.is_empty() {
            Kind::Helper(known)
        } else {
            Kind::Perhaps
        };
    }
    // The only one left is the job.
    let main = |party: &Party<'_>| matches!(party.kind, Kind::Main(_) | Kind::Job | Kind::Refused(..)) && !party.aside;
    let main = all.iter().any(main);
    let mut left: Vec<&mut Party<'a>> = all.iter_mut().filter(|party| matches!(party.kind, Kind::Perhaps)).collect();
    if let ([one], false) = (left.as_mut_slice(), main) {
        one.kind = Kind::Job;
    }
    // Of none but helpers, whoever runs a program of its own before it goes on for ever is the job.
    if left.is_empty() && !main {
        let works = |party: &&mut Party<'_>| {
            matches!(party.kind, Kind::Helper(None))
                && party.walk.as_ref().is_some_and(|walk| !walk.programs.is_empty())
        };
        let mut working: Vec<&mut Party<'a>> = all.iter_mut().filter(works).collect();
        if let [one] = working.as_mut_slice() {
            one.kind = Kind::Job;
        }
    }
    all.extend(injected(object));
    all
}

/// Helpers that a mesh or an injector puts in when the Pod is made, as far as the template asks for it.
fn injected<'a>(object: &Object<'a>) -> Vec<Party<'a>> {
    let says = |key: &str| object.annotation(key).and_then(Node::text);
    let yes = |text: &str| matches!(text, "true" | "enabled" | "yes" | "on");
    let found = INJECTED.iter().filter_map(|one| {
        let (key, values) = one.asked;
        let label = || object.label(key).filter(|_| one.label);
        let node = object.annotation(key).or_else(label)?;
        let asked = node.text().is_some_and(|text| {
            if values.is_empty() { !matches!(text, "false" | "disabled") } else { values.contains(&text) }
        });
        let over = says("vault.hashicorp.com/agent-pre-populate-only").is_some_and(yes) && one.name == "vault-agent";
        if !asked || over {
            return None;
        }
        let told = one.native.and_then(says);
        // Linkerd has called it by two other names before.
        let before = |stage: &str| one.native.and_then(|key| says(&key.replacen("config.", stage, 1)));
        let told = told.or_else(|| before("config.beta.")).or_else(|| before("config.alpha."));
        let native = told.is_some_and(yes);
        let container =
            Container { name: one.name, image: one.name, words: Vec::new(), has_command: false, init: native, node };
        let kind = if native { Kind::Native } else { Kind::Helper(named(one.name)) };
        let off = one.needs.filter(|key| !says(key).is_some_and(yes));
        let mut party = Party::of(container, kind, Vec::new());
        (party.injected, party.undecided, party.off) = (true, told.is_none() && !one.regular, off);
        (party.port, party.note) = (one.port.and_then(says), one.note);
        Some(party)
    });
    found.collect()
}

fn party(container: Container<'_>) -> Party<'_> {
    let words = container.text();
    let script = shell::script(&words);
    let stands = script.and_then(|script| words.iter().rposition(|word| word == script));
    let node = stands.and_then(|at| container.words.get(at)).copied();
    let walk = script.and_then(|script| shell::walk_in(script, shell::leaves_early(&words), &container.variables()));
    let opaque = !container.has_command || walk.is_none();
    let always = container.node.get("restartPolicy").and_then(Node::str) == Some("Always");
    let kind = match (container.init, always) {
        (true, true) => Kind::Native,
        (true, false) => Kind::Init,
        (false, _) => wrapper(&container, &words, script).unwrap_or(Kind::Perhaps),
    };
    let mut party = Party::of(container, kind, words);
    (party.walk, party.script, party.opaque) = (walk, node, opaque);
    party
}

pub(super) fn wrapper(container: &Container<'_>, words: &[String], script: Option<&str>) -> Option<Kind> {
    // A script that only prepares and then execs exeunt.
    let walked = script.and_then(shell::walk);
    let inner: Option<Vec<String>> = walked.as_ref().and_then(|walk| walk.exeunt.clone());
    let unread = script.filter(|_| walked.is_none());
    let inner: Option<Vec<String>> = inner.or_else(|| {
        let script = unread?;
        let at = script.split_ascii_whitespace().position(|word| base(word) == "exeunt")?;
        Some(script.split_ascii_whitespace().skip(at).map(|word| word.trim_matches(['"', '\'']).to_owned()).collect())
    });
    if let Some(known) = CONTROLLED.iter().find(|known| known.name == container.name) {
        return Some(Kind::Foreign(known.whose));
    }
    let words = inner.as_deref().unwrap_or(words);
    let (words, _) = shell::strip(words);
    let first = words.first()?;
    let is_it = |name: &str| base(first) == name || (name.starts_with('/') && first == name);
    if let Some(known) = WRAPPERS.iter().find(|known| is_it(known.name)) {
        return Some(Kind::Foreign(known.whose));
    }
    if base(first) != "exeunt" {
        return None;
    }
    if words.get(1).is_some_and(|word| exeunt::cli::subcommand(word).is_some()) {
        return Some(Kind::Job);
    }
    Some(match read(container, words) {
        Ok(Wanted::Help | Wanted::Version) => Kind::Job,
        Ok(Wanted::Run(plan)) if plan.policy.role == Role::Main => Kind::Main(plan),
        Ok(Wanted::Run(plan)) => Kind::Sidecar(plan),
        Err((complaint, told)) => Kind::Refused(complaint, told),
    })
}

/// exeunt itself reads its command line, with the variables and the volumes of the container.
fn read(container: &Container<'_>, words: &[String]) -> Result<Wanted, (String, bool)> {
    let environment = container.environment();
    let words = filled_in(&environment, words);
    // Of two with the same name the kubelet takes the last.
    let given = environment.known.iter().rev().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    // What is not the kubelet's to fill in is perhaps another tool's, which has not been run yet.
    let is_template = |text: &str| text.contains("{{") || text.replace("$(", "(").contains('$');
    let texts =
        words.iter().filter_map(|word| word.to_str()).chain(environment.known.iter().map(|(_, value)| &**value));
    let filled_in = !texts.into_iter().any(is_template);
    let scene = Scene {
        variables: Variables::among(given),
        working_directory: Some(container.node.get("workingDir").and_then(Node::text).unwrap_or("/").into()),
        filled_in,
        has_directory: &|path| path.to_str().is_some_and(|path| container.volume_of(path).is_some()),
    };
    let read = reading::read_by(&mut exeunt::cli::parser(), &words, &scene).wanted;
    read.map_err(|complaint| (format!("{complaint:#}"), reading::of_a_failure(&words, &scene).is_some()))
}

/// The words as the kubelet hands them to exeunt. An option whose value is not in the manifest is left out, as a variable is.
fn filled_in(environment: &Environment, words: &[String]) -> Vec<OsString> {
    let mut made: Vec<OsString> = Vec::new();
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let takes = |word: &str| {
        let mut all = options::of(options::MAIN | options::SIDECAR);
        let named = all.find(|option| word.strip_prefix("--") == Some(option.name));
        named.is_some_and(|option| option.value().is_some() && !option.optional)
    };
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        match environment.fill_in(word) {
            Some(word) => made.push(word.into()),
            None if at < end && before.is_some_and(|before| takes(before)) => _ = made.pop(),
            None if at < end && word.starts_with("--") => {}
            None => made.push(word.into()),
        }
    }
    made
}

impl<'a> Party<'a> {
    fn of(container: Container<'a>, kind: Kind, words: Vec<String>) -> Party<'a> {
        let (walk, script) = (None, None);
        let (opaque, injected, undecided, aside, guessed) = (true, false, false, false, false);
        let (off, port, until, note, stays) = (None, None, None, None, None);
        let args_only = !container.has_command && words.first().is_some_and(|word| base(word) == "exeunt");
        Party {
            container,
            kind,
            words,
            walk,
            script,
            opaque,
            injected,
            undecided,
            off,
            port,
            args_only,
            aside,
            until,
            stays,
            guessed,
            note,
        }
    }

    /// Its script may be over before it has come to exeunt.
    pub fn may_miss(&self) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.exeunt.is_some() && walk.paths.iter().any(|path| !path.wrapped))
    }

    /// What the manifest does not tell of the exeunt in front of this command, if there is something.
    pub fn doubt(&self) -> Option<String> {
        let name = self.container.name;
        if !matches!(self.kind, Kind::Main(_) | Kind::Sidecar(_)) {
            return None;
        }
        if self.args_only {
            return Some(format!("what the image's ENTRYPOINT makes of the words of {name} cannot be seen"));
        }
        if self.noexec().is_some() {
            return Some(format!("the exeunt of {name} cannot be run from where it is"));
        }
        self.may_miss().then(|| format!("the script of {name} may be over before it has come to exeunt"))
    }

    /// The mount from which its exeunt cannot be run.
    pub fn noexec(&self) -> Option<Node<'a>> {
        let walked = self.walk.as_ref().and_then(|walk| walk.exeunt.as_ref()?.first());
        let path = walked.or_else(|| shell::strip(&self.words).0.first())?;
        let (_, mount) = self.container.volume_of(path)?;
        let options = mount.get("bindMountOptions")?;
        options.items().any(|option| option.text() == Some("noexec")).then_some(mount)
    }

    /// It runs a script that is not understood.
    pub fn unread(&self) -> bool {
        self.walk.is_none() && shell::script(&self.words).is_some()
    }

    /// What its command line gives for an option of Go's kind: `-name` is `--name`.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.option(name).or_else(|| value_of(&format!("-{name}"), self.words.iter()))
    }

    /// What its command line gives for an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        value_of(&format!("--{name}"), self.words.iter().take_while(|word| *word != "--"))
    }
}

/// What these words give for an option, as a word of its own or behind `=`.
fn value_of<'w>(flag: &str, mut words: impl Iterator<Item = &'w String>) -> Option<&'w str> {
    while let Some(word) = words.next() {
        if word == flag {
            return words.next().map(String::as_str);
        }
        if let Some(value) = word.strip_prefix(flag).and_then(|rest| rest.strip_prefix('=')) {
            return Some(value);
        }
    }
    None
}
