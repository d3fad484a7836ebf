//! What has to be put into a Pod template: decided from the manifest and the options alone.

use super::record::{self, ANNOTATION, Move, Put, RUN_ID, is_exeunt, name};
use crate::judge::{OWNED, elsewhere, injected, jobs};
use crate::pod::Object;
use crate::yaml::{Change, Data, Edit, File, Node, Refusal, Shape, Step, is_above_comments, may_touch};
use exeunt::reading::Scene;
use exeunt::settings::Variables;
use std::collections::BTreeMap;

/// How exeunt comes into the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deliver {
    /// As an image volume: Kubernetes 1.35.
    Image,
    /// An init container copies it into the shared volume.
    Init,
    /// It is in the images already.
    Path,
}

/// How the helpers are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Each of them runs below an exeunt of its own.
    Wrap,
    /// They are asked by HTTP.
    Mesh,
    /// They become init containers that are always restarted, which the kubelet ends: Kubernetes 1.29.
    Native,
    /// Wrapped, or asked where they cannot be wrapped.
    Auto,
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The containers that are the job.
    pub main: Vec<String>,
    /// How helpers are ended.
    pub how: How,
    /// How exeunt is delivered.
    pub deliver: Deliver,
    /// The image that holds `/exeunt`.
    pub image: String,
    /// The program in the containers' images, for [`Deliver::Path`].
    pub program: String,
    /// The shared directory.
    pub dir: String,
    /// Addresses that are asked when the job is over.
    pub on_exit: Vec<String>,
    /// What the images of containers would run, by the name of the container, arguments included.
    pub entrypoints: BTreeMap<String, Vec<String>>,
    /// More options of exeunt's, by the name of the container.
    pub options: BTreeMap<String, Vec<String>>,
    /// What was found out about images, by their reference.
    pub images: BTreeMap<String, Image>,
}

/// What an image would run, and who has said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD: its arguments, where the manifest has none.
    pub cmd: Vec<String>,
    /// The tool that was asked.
    pub source: String,
    /// The platforms for which it runs this, as `linux/amd64`.
    pub platforms: Vec<String>,
}

/// What comes of one object.
#[derive(Debug)]
pub enum Outcome {
    /// These edits, for a reason that a person wants to read.
    Edits(Vec<Edit>, Vec<String>),
    /// These containers become native sidecars, for a reason that a person wants to read.
    Native(Vec<String>, Vec<String>),
    /// Nothing is to be done, and why.
    Nothing(String),
    /// Something is not known, and which option tells it.
    Missing(String),
}

/// A Pod template and where it is.
#[derive(Clone, Debug)]
pub struct Template<'a> {
    /// Which document of the file.
    pub document: usize,
    /// From its root.
    pub path: Vec<Step>,
    /// The mapping with `metadata` and `spec`.
    pub node: Node<'a>,
    /// `Job/name`, for messages.
    pub object: String,
    /// The line where the object begins.
    pub line: usize,
}

/// Every Pod template of a file that a Job, a CronJob or a Pod has, also in a List.
pub fn templates(file: &File) -> Vec<Template<'_>> {
    let mut found = Vec::new();
    for document in file.documents() {
        let Some(root) = document.root() else { continue };
        let mut objects = vec![(root, Vec::new())];
        // A List in a List is allowed, and a file must not decide how long we look.
        for _ in 0..8 {
            let mut below = Vec::new();
            for (object, path) in objects {
                let kind = object.get("kind").and_then(Node::str).unwrap_or("");
                let inner: &[&str] = match kind {
                    "Job" => &["spec", "template"],
                    "CronJob" => &["spec", "jobTemplate", "spec", "template"],
                    "Pod" => &[],
                    _ => {
                        if let Some(items) = object.get("items").filter(|_| kind.ends_with("List")) {
                            below.extend(items.items().enumerate().map(|(index, item)| {
                                let mut path = path.clone();
                                path.extend([Step::Key("items".to_owned()), Step::Index(index)]);
                                (item, path)
                            }));
                        }
                        continue;
                    }
                };
                let Some(node) = object.path(inner).filter(|node| node.get("spec").is_some()) else { continue };
                let mut path = path;
                path.extend(inner.iter().map(|key| Step::Key((*key).to_owned())));
                let own = object.path(&["metadata", "name"]).and_then(Node::str).unwrap_or("(without a name)");
                let line = object.place().line;
                found.push(Template { document: document.index(), path, node, object: format!("{kind}/{own}"), line });
            }
            objects = below;
        }
    }
    found
}

/// Programs that wrap a command as exeunt does; what they run must not be wrapped twice.
const OTHERS: &[&str] = &["kubexit", "scuttle", "linkerd-await", "envoy-preflight", "argoexec", "entrypoint"];

const NATIVE: &str = "Always";

fn first_word(container: Node<'_>) -> Option<Node<'_>> {
    container.get("command").and_then(|command| command.items().next())
}

/// Is the command run by exeunt already, directly or by `sh -c "exec exeunt …"`?
fn is_wrapped(container: Node<'_>) -> bool {
    let shell = || {
        let text =
            container.get("command").into_iter().chain(container.get("args")).flat_map(Node::items).find_map(|word| {
                let text = word.str()?.trim_start();
                let text = text.strip_prefix("exec ").unwrap_or(text).trim_start();
                let word = text.split_ascii_whitespace().next()?;
                (word.rsplit('/').next() == Some("exeunt")).then_some(())
            });
        text.is_some()
    };
    first_word(container).is_some_and(is_exeunt) || shell()
}

fn annotation<'a>(template: Node<'a>, key: &str) -> Option<&'a str> {
    template.path(&["metadata", "annotations", key]).and_then(Node::text)
}

/// What is to be done to one template.
///
/// # Errors
/// What has to be changed must not be touched, or cannot be right: with the place.
pub fn plan(template: &Template<'_>, wish: &Wish) -> Result<Outcome, Refusal> {
    let pod = template.node;
    let file = pod.file();
    let refuse = |node: Node<'_>, message: String| file.refusal(node.span().start, message);
    let nothing = |why: &str| Ok(Outcome::Nothing(format!("{}: {why}", template.object)));
    if record::of(pod).is_some() {
        return nothing("exeunt is in it already");
    }
    let Some(spec) = pod.get("spec") else { return nothing("it has no spec") };
    let policy = spec.get("restartPolicy").and_then(Node::str).unwrap_or("Always");
    if policy != "Never" && policy != "OnFailure" {
        return nothing("its Pod is restarted for ever, and never to end");
    }
    let Some(list) = spec.get("containers").filter(|list| list.items().len() > 0) else {
        return nothing("it has no containers");
    };
    may_touch(list)?;
    let containers: Vec<Node<'_>> = list.items().collect();
    for container in &containers {
        may_touch(*container)?;
        if name(*container).is_none() {
            return Err(refuse(*container, "a container without a name stands here; give it one".to_owned()));
        }
    }
    if containers.iter().any(|container| is_wrapped(*container)) {
        return nothing("a command in it is run by exeunt already");
    }
    let other = |container: &&Node<'_>| {
        let word = first_word(**container).and_then(Node::str).and_then(|word| word.rsplit('/').next());
        word.is_some_and(|word| OTHERS.contains(&word)) || name(**container) == Some("airflow-xcom-sidecar")
    };
    if let Some(container) = containers.iter().find(other) {
        return nothing(&format!("the container {} is ended by another tool", name(*container).unwrap_or("")));
    }
    let labels = pod.path(&["metadata", "labels"]);
    if let Some(owned) = OWNED.iter().find(|owned| labels.and_then(|labels| labels.get(owned.name)).is_some()) {
        return nothing(&format!("{} makes this Pod and takes it away", owned.whose));
    }

    let mains = match mains(pod, &containers, wish) {
        Ok(mains) => mains,
        Err(missing) => return Ok(Outcome::Missing(format!("{}: {missing}", template.object))),
    };
    let is_main = |container: Node<'_>| name(container).is_some_and(|name| mains.iter().any(|main| main == name));
    let proxy =
        Object::of_template(pod).and_then(|object| injected(&object)).filter(|_| mains.len() == containers.len());
    if containers.iter().all(|container| is_main(*container)) && wish.on_exit.is_empty() {
        match proxy {
            Some(proxy) if wish.how != How::Mesh => {
                return nothing(&format!(
                    "its helper, {proxy}, is not in the manifest; it can be asked to end: --how mesh"
                ));
            }
            Some(_) => {}
            None => return nothing("no helper is in it that would have to be ended"),
        }
    }
    let helpers: Vec<Node<'_>> = containers.iter().copied().filter(|container| !is_main(*container)).collect();
    if wish.how == How::Native {
        if let Some(container) = helpers.iter().find(|container| container.get("restartPolicy").is_some()) {
            return Err(refuse(*container, "this container has a restartPolicy already; remove that first".to_owned()));
        }
        let names = helpers.iter().filter_map(|helper| name(*helper)).map(str::to_owned);
        return Ok(Outcome::Native(names.collect(), Vec::new()));
    }
    let mut mesh = None;
    if wish.how == How::Mesh && wish.on_exit.is_empty() {
        if let Some(proxy) = proxy {
            mesh = match proxy {
                "istio-proxy" => Some("istio"),
                "linkerd-proxy" => Some("linkerd"),
                _ => None,
            };
            if mesh.is_none() {
                let object = &template.object;
                return Ok(Outcome::Missing(format!(
                    "{object}: how {proxy} is told to end is not known: --on-exit URL"
                )));
            }
        }
        let [helper] = helpers.as_slice() else {
            if mesh.is_some() {
                return wrapped(template, wish, &mains, mesh);
            }
            return Ok(Outcome::Missing(format!(
                "{}: several helpers: say by --on-exit URL how each is told to end",
                template.object
            )));
        };
        mesh = mesh_of(*helper);
        if mesh.is_none() {
            let helper = name(*helper).unwrap_or("");
            return Ok(Outcome::Missing(format!(
                "{}: how {helper} is told to end is not known: --on-exit URL",
                template.object
            )));
        }
    }

    // --mesh asks at the port that it has by itself.
    let asked = proxy.or_else(|| helpers.first().and_then(|helper| name(*helper))).filter(|_| mesh.is_some());
    let object = Object::of_template(template.node);
    if let Some(url) = object.zip(asked).and_then(|(object, helper)| elsewhere(&object, helper)) {
        let wish = Wish { on_exit: vec![url], ..wish.clone() };
        return wrapped(template, &wish, &mains, None);
    }
    wrapped(template, wish, &mains, mesh)
}

/// Puts exeunt before the commands of the job and, unless they are asked by HTTP, of its helpers.
fn wrapped(template: &Template<'_>, wish: &Wish, mains: &[String], mesh: Option<&str>) -> Result<Outcome, Refusal> {
    let Some(spec) = template.node.get("spec") else { return Ok(Outcome::Edits(Vec::new(), Vec::new())) };
    let file = spec.file();
    let refuse = |node: Node<'_>, message: String| file.refusal(node.span().start, message);
    let policy = spec.get("restartPolicy").and_then(Node::str).unwrap_or("Always");
    let is_main = |container: Node<'_>| name(container).is_some_and(|name| mains.iter().any(|main| main == name));
    let containers = spec.get("containers").into_iter().flat_map(Node::items);
    let containers: Vec<Node<'_>> =
        containers.filter(|container| wish.how != How::Mesh || is_main(*container)).collect();
    let stage = Stage::of(spec, &containers, &wish.dir, &is_main)?;
    let mut put = Putting { template, wish, stage, edits: Vec::new(), puts: Vec::new(), notes: Vec::new() };
    let mut restarts_all = false;
    for container in &containers {
        let main = is_main(*container);
        let own = name(*container).unwrap_or("");
        let more = options(template, wish, *container)?;
        let told = |option: &str| more.iter().any(|word| word == option || word.starts_with(&format!("{option}=")));
        let rules = Rules::of(*container, policy)?;
        restarts_all |= rules.all;
        if !main && rules.policy == NATIVE {
            return Err(refuse(
                *container,
                "this container is started again for ever (restartPolicy: Always), so the Job never ends; remove that"
                    .to_owned(),
            ));
        }
        let mut flags = vec!["--mode".to_owned(), if main { "main" } else { "sidecar" }.to_owned()];
        let mut flag = |name: &str, value: String| {
            let variable = format!("EXEUNT_{}", name.trim_start_matches('-').to_uppercase().replace('-', "_"));
            if !told(name) && !told_by_variable(*container, &variable) {
                flags.extend([name.to_owned(), value]);
            }
        };
        if wish.dir != "/tmp/pod" {
            flag("--dir", wish.dir.clone());
        }
        if main {
            if mains.len() > 1 {
                flag("--name", own.to_owned());
            }
            if rules.policy == "OnFailure" {
                flag("--restart-policy", "on-failure".to_owned());
            }
            if let Some(codes) = rules.codes {
                flag("--restart-on", codes);
            }
            if let Some(mesh) = mesh {
                flag("--mesh", mesh.to_owned());
            }
            wish.on_exit.iter().for_each(|url| flag("--on-exit", url.clone()));
        } else {
            if mains.len() > 1 {
                flag("--until", mains.join(","));
            }
            // The kubelet's patience is known, and exeunt's own need not be shorter or longer. Where some of it is held back
            // for the job, what is left is for who asked for that.
            let held = told("--outlive-main") || told_by_variable(*container, "EXEUNT_OUTLIVE_MAIN");
            if let Some(grace) = spec
                .get("terminationGracePeriodSeconds")
                .and_then(Node::int)
                .filter(|grace| *grace > 0 && *grace != 30 && !held)
            {
                flag("--grace", format!("{grace}s"));
            }
        }
        flags.extend(more.iter().cloned());
        understood(template, own, &flags)?;
        flags.push("--".to_owned());
        if let Some(missing) = put.command(*container, flags)? {
            return Ok(Outcome::Missing(format!("{}: {missing}", template.object)));
        }
        put.mounts(*container)?;
    }
    put.pod(spec, restarts_all)?;
    let comments = put.edits.iter().any(|edit| is_above_comments(file, edit));
    put.edits.push(record_edit(template, &put.puts, &[], comments));
    Ok(Outcome::Edits(put.edits, put.notes))
}

/// Has the container this variable?
fn told_by_variable(container: Node<'_>, variable: &str) -> bool {
    container.get("env").into_iter().flat_map(Node::items).any(|one| name(one) == Some(variable))
}

/// The options that somebody has asked for in this container.
fn options(template: &Template<'_>, wish: &Wish, container: Node<'_>) -> Result<Vec<String>, Refusal> {
    let own = name(container).unwrap_or("");
    if let Some(words) = wish.options.get(own) {
        return Ok(words.clone());
    }
    let key = format!("exeunt.dev/options.{own}");
    let Some(node) = template.node.path(&["metadata", "annotations", &key]) else { return Ok(Vec::new()) };
    let words = shlex::split(node.text().unwrap_or(""));
    words.ok_or_else(|| {
        node.file().refusal(node.span().start, format!("the annotation {key} has a quote that is not closed"))
    })
}

/// Would exeunt take these words? Its own reader says.
fn understood(template: &Template<'_>, own: &str, flags: &[String]) -> Result<(), Refusal> {
    let words = ["exeunt".to_owned()].into_iter().chain(flags.iter().cloned()).chain(["--".to_owned(), own.to_owned()]);
    let words: Vec<std::ffi::OsString> = words.map(Into::into).collect();
    let scene = Scene {
        variables: Variables::among([]),
        working_directory: Some("/".into()),
        filled_in: false,
        has_directory: &|_| true,
    };
    let Err(complaint) = exeunt::reading::read(&words, &scene).wanted else { return Ok(()) };
    let node = template.node;
    let key = format!("exeunt.dev/options.{own}");
    let at = node.path(&["metadata", "annotations", &key]).unwrap_or(node);
    Err(at.file().refusal(at.span().start, format!("exeunt would refuse what {own} is to be told: {complaint:#}")))
}

/// Which containers are the job, or what has to be said.
fn mains(pod: Node<'_>, containers: &[Node<'_>], wish: &Wish) -> Result<Vec<String>, String> {
    let names: Vec<&str> = containers.iter().filter_map(|container| name(*container)).collect();
    let here = |told: &[String]| -> Vec<String> {
        told.iter().filter(|main| names.contains(&main.as_str())).cloned().collect()
    };
    // What the command line says may be about another object of the file.
    let asked = here(&wish.main);
    if !asked.is_empty() {
        return Ok(asked);
    }
    let told =
        annotation(pod, "exeunt.dev/main").or_else(|| annotation(pod, "kubectl.kubernetes.io/default-container"));
    let told = told.unwrap_or("").split(',').map(str::trim).filter(|name| !name.is_empty());
    let told: Vec<String> = told.map(str::to_owned).collect();
    let here = here(&told);
    if !here.is_empty() {
        return Ok(here);
    }
    if !told.is_empty() {
        return Err(format!(
            "no container is called {}; there are {}: --main NAME",
            told.join(" or "),
            names.join(", ")
        ));
    }
    let left = Object::of_template(pod).map_or_else(Vec::new, |object| jobs(&object));
    match left.as_slice() {
        [main] => Ok(vec![(*main).to_owned()]),
        _ => Err(format!("which of {} is the job is not known: --main NAME", names.join(", "))),
    }
}

/// What exeunt can ask to end by `--mesh`.
fn mesh_of(helper: Node<'_>) -> Option<&'static str> {
    let image = helper.get("image").and_then(Node::str).unwrap_or("");
    let known = |text: &str| image.contains(text) || name(helper).is_some_and(|name| name.contains(text));
    let args = || helper.get("args").into_iter().chain(helper.get("command")).flat_map(Node::items);
    if known("cloud-sql-proxy") {
        // Its address for that is served only where it was asked for.
        return args()
            .any(|word| word.text().is_some_and(|word| word.contains("--quitquitquit")))
            .then_some("cloud-sql-proxy");
    }
    if known("istio") || known("proxyv2") {
        return Some("istio");
    }
    if known("linkerd") {
        return Some("linkerd");
    }
    known("envoy").then_some("envoy")
}

/// When the kubelet starts a container again.
struct Rules {
    policy: String,
    codes: Option<String>,
    all: bool,
}

impl Rules {
    fn of(container: Node<'_>, pod: &str) -> Result<Rules, Refusal> {
        let policy = container.get("restartPolicy").and_then(Node::str).unwrap_or(pod).to_owned();
        let mut rules = Rules { policy, codes: None, all: false };
        let Some(list) = container.get("restartPolicyRules") else { return Ok(rules) };
        let mut codes = Vec::new();
        for rule in list.items() {
            let refuse = || {
                list.file().refusal(
                    rule.span().start,
                    "this rule cannot be told to exeunt (--restart-on); write the command by hand",
                )
            };
            match rule.get("action").and_then(Node::str) {
                Some("RestartAllContainers") => {
                    rules.all = true;
                    continue;
                }
                Some("Restart") => {}
                _ => return Err(refuse()),
            }
            let values: Option<Vec<String>> = rule
                .path(&["exitCodes", "values"])
                .map(|values| values.items().map(|value| value.int().map(|value| value.to_string())).collect())
                .unwrap_or_default();
            let values = values.ok_or_else(refuse)?.join(",");
            match rule.path(&["exitCodes", "operator"]).and_then(Node::str) {
                Some("In") => codes.push(values),
                // The whole option is negated by its first sign: all but these, and only as the single rule.
                Some("NotIn") if list.items().len() == 1 => codes.push(format!("!{values}")),
                _ => return Err(refuse()),
            }
        }
        rules.codes = (!codes.is_empty()).then(|| codes.join(","));
        Ok(rules)
    }
}

/// The volume behind the shared directory.
enum Stage<'a> {
    /// An `emptyDir` that is put in.
    New,
    /// One that all of them mount there already, and whether it outlives the Pod.
    Here { volume: &'a str, sub: Option<&'a str>, outlives: bool },
}

impl<'a> Stage<'a> {
    fn of(
        spec: Node<'a>,
        containers: &[Node<'a>],
        dir: &str,
        is_main: &dyn Fn(Node<'_>) -> bool,
    ) -> Result<Self, Refusal> {
        let mount = |container: &Node<'a>| {
            let mut mounts = container.get("volumeMounts").into_iter().flat_map(Node::items);
            mounts.find(|mount| {
                mount.get("mountPath").and_then(Node::str).is_some_and(|at| at.trim_end_matches('/') == dir)
            })
        };
        let place = |mount: Node<'a>| {
            let text = |key: &str| mount.get(key).and_then(Node::str);
            (text("name"), text("subPath"), text("subPathExpr"))
        };
        let Some(first) = containers.iter().find_map(mount) else { return Ok(Stage::New) };
        let volume = name(first).unwrap_or("");
        let refuse = |node: Node<'_>, why: String| {
            let message = format!("{why}; or choose another directory for exeunt: --dir PATH");
            Err(node.file().refusal(node.span().start, message))
        };
        for container in containers {
            let own = name(*container).unwrap_or("");
            let Some(mount) = mount(container).filter(|mount| place(*mount) == place(first)) else {
                return refuse(
                    *container,
                    format!("{own} has to mount {volume} at {dir}, too, as another container does"),
                );
            };
            // exeunt writes there the end of a job, and the name of whoever has one.
            if is_main(*container) && mount.get("readOnly").and_then(Node::bool) == Some(true) {
                return refuse(mount, format!("{own} must be able to write {dir}"));
            }
        }
        let mut volumes = spec.get("volumes").into_iter().flat_map(Node::items);
        let Some(kind) = volumes.find(|one| name(*one) == Some(volume)) else {
            return refuse(first, format!("there is no volume {volume}; write it down"));
        };
        let is = |kinds: &[&str]| kinds.iter().any(|key| kind.get(key).is_some());
        if is(&["configMap", "secret", "projected", "downwardAPI", "image"]) {
            return refuse(kind, format!("nobody can write {dir}, where {volume} is mounted; mount it elsewhere"));
        }
        if first.get("subPathExpr").is_some() {
            return refuse(first, "what subPathExpr makes of it cannot be told to exeunt's own container".to_owned());
        }
        let sub = first.get("subPath").and_then(Node::str);
        Ok(Stage::Here { volume, sub, outlives: !is(&["emptyDir", "ephemeral"]) })
    }

    fn name(&self) -> &str {
        match self {
            Stage::New => "exeunt-pod",
            Stage::Here { volume, .. } => volume,
        }
    }
}

/// How an image is pulled whose name says nothing of a version: as any other is.
fn pull_policy(reference: &str) -> Option<&'static str> {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    let moves = !last.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    moves.then_some("IfNotPresent")
}

struct Putting<'p, 'a> {
    template: &'p Template<'a>,
    wish: &'p Wish,
    stage: Stage<'a>,
    edits: Vec<Edit>,
    puts: Vec<Put>,
    notes: Vec<String>,
}

impl Putting<'_, '_> {
    fn path(&self, keys: &[&str]) -> Vec<Step> {
        let keys = keys.iter().map(|key| Step::Key((*key).to_owned()));
        self.template.path.iter().cloned().chain(keys).collect()
    }

    fn add(&mut self, path: Vec<Step>, change: Change) {
        self.edits.push(Edit { document: self.template.document, path, change });
    }

    fn container_path(&self, container: Node<'_>) -> Vec<Step> {
        let list = self.template.node.path(&["spec", "containers"]);
        let index = list.and_then(|list| list.items().position(|item| item == container)).unwrap_or(usize::MAX);
        let mut path = self.path(&["spec", "containers"]);
        path.push(Step::Index(index));
        path
    }

    fn program(&self) -> String {
        match self.wish.deliver {
            Deliver::Image => "/exeunt/exeunt".to_owned(),
            Deliver::Init => format!("{}/exeunt", self.wish.dir.trim_end_matches('/')),
            Deliver::Path => self.wish.program.clone(),
        }
    }

    /// Puts exeunt before a command. What is missing, if the command is not in the manifest.
    fn command(&mut self, container: Node<'_>, flags: Vec<String>) -> Result<Option<String>, Refusal> {
        let own = name(container).unwrap_or("").to_owned();
        let helper = flags.get(1).is_some_and(|mode| mode == "sidecar");
        let mut words = vec![self.program()];
        words.extend(flags);
        let list = container.get("command");
        if let Some(list) = list
            && list.items().len() > 0
        {
            may_touch(list)?;
            let count = words.len();
            let mut path = self.container_path(container);
            path.push(Step::Key("command".to_owned()));
            self.add(path, Change::Front(words.into_iter().map(Data::Str).collect()));
            self.puts.push(Put { owner: own, field: "command".to_owned(), items: Some(count) });
            return Ok(None);
        }
        let key = format!("exeunt.dev/entrypoint.{own}");
        let told = match (self.wish.entrypoints.get(&own), annotation(self.template.node, &key)) {
            (Some(words), _) => Some(words.clone()),
            (None, Some(text)) => match serde_json::from_str::<Vec<String>>(text) {
                Ok(words) => Some(words),
                Err(_) => {
                    let file = container.file();
                    return Err(file.refusal(
                        container.span().start,
                        format!("the annotation {key} is not a list of words in JSON: [\"/program\", \"--flag\"]"),
                    ));
                }
            },
            (None, None) => None,
        };
        let mut told = told.filter(|words| !words.is_empty());
        if let Some(words) = &told {
            let source = if self.wish.entrypoints.contains_key(&own) { "--entrypoint" } else { "its annotation" };
            let words = Data::words(words.clone()).json();
            self.notes.push(format!("{}: what {own} runs is from {source}: {words}", self.template.object));
        }
        let reference = container.get("image").and_then(Node::str).unwrap_or("");
        let args = container.get("args").is_some_and(|args| args.items().len() > 0);
        if let (None, Some(image)) = (&told, self.wish.images.get(reference)) {
            // Without ENTRYPOINT the arguments alone are what runs.
            let cmd: &[String] = if args { &[] } else { &image.cmd };
            let words: Vec<String> = image.entrypoint.iter().chain(cmd).cloned().collect();
            let pinned = if reference.contains("@sha256:") { "" } else { ", whose tag can move" };
            let platforms = match image.platforms.as_slice() {
                [] => String::new(),
                some => format!(" for {}", some.join(", ")),
            };
            self.notes.push(format!(
                "{}: what {own} runs is from {}, of the image {reference}{platforms}{pinned}: {}",
                self.template.object,
                image.source,
                Data::words(words.clone()).json()
            ));
            told = Some(words).filter(|words| !words.is_empty() || args);
        }
        let Some(entrypoint) = told else {
            // The kubelet ends a helper without knowing what it runs.
            let kubelet = if helper && container.get("restartPolicy").is_none() {
                ", or --how native (Kubernetes 1.29)"
            } else {
                ""
            };
            return Ok(Some(format!(
                "the container {own} has no command, and what its image would run is not in the manifest: --entrypoint '{own}=[\"/program\"]', or --lookup docker{kubelet}"
            )));
        };
        if let Some(list) = list {
            return Err(list.file().refusal(list.span().start, "an empty command; remove it"));
        }
        // The kubelet would expand it here, and the runtime of the image would not.
        words.extend(entrypoint.iter().map(|word| word.replace("$(", "$$(")));
        self.add_entry(container, "command", Data::words(words));
        self.puts.push(Put { owner: own, field: "command".to_owned(), items: None });
        Ok(None)
    }

    fn add_entry(&mut self, container: Node<'_>, key: &str, value: Data) {
        let before = neighbour(container, &["command", "args", "env", "envFrom", "ports", "resources"], 1);
        let path = self.container_path(container);
        self.add(path, Change::Entry { key: key.to_owned(), value, before });
    }

    fn mounts(&mut self, container: Node<'_>) -> Result<(), Refusal> {
        let entry = |key: &str, value: Data| (key.to_owned(), value);
        let mut mounts = Vec::new();
        if self.wish.deliver == Deliver::Image {
            let taken = container.get("volumeMounts").into_iter().flat_map(Node::items).find(|mount| {
                mount.get("mountPath").and_then(Node::str).is_some_and(|at| at.trim_end_matches('/') == "/exeunt")
            });
            if let Some(taken) = taken {
                let message = "/exeunt is taken by another volume; mount that elsewhere, or use --deliver init";
                return Err(taken.file().refusal(taken.span().start, message));
            }
            mounts.push(Data::Map(vec![
                entry("name", "exeunt".into()),
                entry("mountPath", "/exeunt".into()),
                entry("readOnly", Data::Bool(true)),
            ]));
        }
        let outlives = match self.stage {
            Stage::New => {
                mounts.push(Data::Map(vec![
                    entry("name", "exeunt-pod".into()),
                    entry("mountPath", self.wish.dir.as_str().into()),
                ]));
                false
            }
            Stage::Here { outlives, .. } => outlives,
        };
        if !mounts.is_empty() {
            self.container_list(container, "volumeMounts", mounts)?;
        }
        if outlives && !told_by_variable(container, RUN_ID) {
            let field = Data::Map(vec![entry("fieldPath", "metadata.uid".into())]);
            let from = Data::Map(vec![entry("fieldRef", field)]);
            let variable = Data::Map(vec![entry("name", RUN_ID.into()), entry("valueFrom", from)]);
            self.container_list(container, "env", vec![variable])?;
        }
        Ok(())
    }

    /// Items at the head of a list of a container, which is made if it is not there.
    fn container_list(&mut self, container: Node<'_>, key: &str, items: Vec<Data>) -> Result<(), Refusal> {
        let owner = name(container).unwrap_or("").to_owned();
        let count = items.len();
        let put = match container.get(key).filter(|list| !list.is_null()) {
            Some(list) => {
                may_touch(list)?;
                let mut path = self.container_path(container);
                path.push(Step::Key(key.to_owned()));
                self.add(path, Change::Front(items));
                Some(count)
            }
            None => {
                self.add_entry(container, key, Data::Seq(items));
                None
            }
        };
        self.puts.push(Put { owner, field: key.to_owned(), items: put });
        Ok(())
    }

    /// Volumes, and the init container that brings exeunt or clears the directory.
    fn pod(&mut self, spec: Node<'_>, restarts_all: bool) -> Result<(), Refusal> {
        let entry = |key: &str, value: Data| (key.to_owned(), value);
        let mut volumes = Vec::new();
        if self.wish.deliver == Deliver::Image {
            let mut image = vec![entry("reference", self.wish.image.as_str().into())];
            image.extend(pull_policy(&self.wish.image).map(|policy| entry("pullPolicy", policy.into())));
            volumes.push(("exeunt", entry("image", Data::Map(image))));
        }
        if matches!(self.stage, Stage::New) {
            volumes.push(("exeunt-pod", entry("emptyDir", Data::Map(Vec::new()))));
        }
        for volume in spec.get("volumes").into_iter().flat_map(Node::items) {
            if name(volume).is_some_and(|name| volumes.iter().any(|(ours, _)| *ours == name)) {
                return Err(volume
                    .file()
                    .refusal(volume.span().start, "a volume of this name is there already; rename it"));
            }
        }
        let volumes: Vec<Data> =
            volumes.into_iter().map(|(name, kind)| Data::Map(vec![entry("name", name.into()), kind])).collect();
        // Whoever runs all containers anew keeps the volume, and in it the end of the round before.
        let command = match (self.wish.deliver, restarts_all) {
            (Deliver::Init, false) => Some(vec!["/exeunt".to_owned(), "install".to_owned(), self.program()]),
            (Deliver::Init, true) => {
                Some(vec!["/exeunt".to_owned(), "install".to_owned(), "--reset".to_owned(), self.program()])
            }
            (_, true) => {
                Some(vec!["/exeunt".to_owned(), "reset".to_owned(), "--dir".to_owned(), self.wish.dir.clone()])
            }
            (_, false) => None,
        };
        if let Some(command) = command {
            let all =
                ["initContainers", "containers"].into_iter().filter_map(|key| spec.get(key)).flat_map(Node::items);
            if let Some(taken) = all.into_iter().find(|container| name(*container) == Some("exeunt")) {
                let message = "a container is called exeunt, as the init container would be; give it another name";
                return Err(taken.file().refusal(taken.span().start, message));
            }
            let resources =
                |cpu: &str, memory: &str| Data::Map(vec![entry("cpu", cpu.into()), entry("memory", memory.into())]);
            let security = Data::Map(vec![
                entry("allowPrivilegeEscalation", Data::Bool(false)),
                entry("readOnlyRootFilesystem", Data::Bool(true)),
                entry("runAsNonRoot", Data::Bool(true)),
                entry("runAsUser", Data::Int(65532)),
                entry("capabilities", Data::Map(vec![entry("drop", Data::words(["ALL"]))])),
                entry("seccompProfile", Data::Map(vec![entry("type", "RuntimeDefault".into())])),
            ]);
            let mut mount =
                vec![entry("name", self.stage.name().into()), entry("mountPath", self.wish.dir.as_str().into())];
            if let Stage::Here { sub: Some(sub), .. } = self.stage {
                mount.push(entry("subPath", sub.into()));
            }
            let mut container = vec![entry("name", "exeunt".into()), entry("image", self.wish.image.as_str().into())];
            container.extend(pull_policy(&self.wish.image).map(|policy| entry("imagePullPolicy", policy.into())));
            container.extend([
                entry("command", Data::words(command)),
                entry(
                    "resources",
                    Data::Map(vec![
                        entry("requests", resources("10m", "16Mi")),
                        entry("limits", resources("100m", "32Mi")),
                    ]),
                ),
                entry("securityContext", security),
                entry("volumeMounts", Data::Seq(vec![Data::Map(mount)])),
            ]);
            self.pod_list(spec, "initContainers", vec![Data::Map(container)])?;
        }
        if volumes.is_empty() { Ok(()) } else { self.pod_list(spec, "volumes", volumes) }
    }

    fn pod_list(&mut self, spec: Node<'_>, key: &str, items: Vec<Data>) -> Result<(), Refusal> {
        let count = items.len();
        let items_put = match spec.get(key) {
            Some(list) => {
                may_touch(list)?;
                if list.shape() != Shape::Seq {
                    return Err(list.file().refusal(list.span().start, format!("{key} is empty; remove it")));
                }
                let path = self.path(&["spec", key]);
                self.add(path, Change::Front(items));
                Some(count)
            }
            None => {
                let path = self.path(&["spec"]);
                self.add(
                    path,
                    Change::Entry {
                        key: key.to_owned(),
                        value: Data::Seq(items),
                        before: neighbour(spec, &["containers"], 0),
                    },
                );
                None
            }
        };
        self.puts.push(Put { owner: String::new(), field: key.to_owned(), items: items_put });
        Ok(())
    }
}

/// Which entry what is new is to stand before: the first of these keys that is here, but none with a comment above it, which
/// would then be read as about ours. Of a container never its first entry, which has the dash.
fn neighbour(map: Node<'_>, keys: &[&str], skip: usize) -> String {
    let file = map.file();
    let commented = |key: Node<'_>| {
        let above = file.line(key.place().line.saturating_sub(1));
        above.trim_start().starts_with('#')
    };
    let all: Vec<Node<'_>> = map.entries().skip(skip).map(|entry| entry.key).collect();
    let quiet: Vec<&str> = all.iter().filter(|key| !commented(**key)).filter_map(|key| key.text()).collect();
    let found =
        keys.iter()
            .find(|key| quiet.contains(*key))
            .copied()
            .or(if skip == 0 { quiet.first() } else { quiet.last() }.copied());
    let last = || all.last().copied().or_else(|| map.entries().next().map(|entry| entry.key)).and_then(Node::text);
    found.or_else(last).unwrap_or("").to_owned()
}

/// The images of containers without a command, in so far as nothing is known of them.
pub fn unknown_images(template: &Template<'_>, wish: &Wish) -> Vec<String> {
    let containers = template.node.path(&["spec", "containers"]);
    let silent = containers.into_iter().flat_map(Node::items).filter(|container| {
        let own = name(*container).unwrap_or("");
        first_word(*container).is_none()
            && !wish.entrypoints.contains_key(own)
            && annotation(template.node, &format!("exeunt.dev/entrypoint.{own}")).is_none()
    });
    let images = silent.filter_map(|container| container.get("image").and_then(Node::str));
    images.filter(|image| !wish.images.contains_key(*image)).map(str::to_owned).collect()
}

/// The record of all this. `comments` says whether something of it stands before comments.
pub fn record_edit(template: &Template<'_>, puts: &[Put], moves: &[Move], comments: bool) -> Edit {
    let pod = template.node;
    let at = |keys: &[&str]| -> Vec<Step> {
        template.path.iter().cloned().chain(keys.iter().map(|key| Step::Key((*key).to_owned()))).collect()
    };
    let map = |entries: Vec<(&str, Data)>| {
        Data::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    let metadata = pod.get("metadata");
    let annotations = metadata.and_then(|metadata| metadata.get("annotations"));
    let made = match (metadata, annotations) {
        (None, _) => Some("metadata"),
        (_, None) => Some("annotations"),
        _ => None,
    };
    let edit = |comments: bool| {
        let text: Data = record::write(puts, moves, made, comments).as_str().into();
        let (path, key, value, near) = match (metadata, annotations) {
            (None, _) => {
                let value = map(vec![("annotations", map(vec![(ANNOTATION, text)]))]);
                (at(&[]), "metadata", value, Some(pod))
            }
            (near, None) => (at(&["metadata"]), "annotations", map(vec![(ANNOTATION, text)]), near),
            (_, near) => (at(&["metadata", "annotations"]), ANNOTATION, text, near),
        };
        let before = near.map_or_else(String::new, |near| neighbour(near, &[], 0));
        Edit { document: template.document, path, change: Change::Entry { key: key.to_owned(), value, before } }
    };
    let edited = edit(comments);
    if !comments && is_above_comments(pod.file(), &edited) { edit(true) } else { edited }
}
