//! What has to be put into a Pod template: decided from the manifest and the options alone.

use super::record::{self, ANNOTATION, Move, Put, is_exeunt, name};
use crate::judge::jobs;
use crate::pod::Object;
use crate::yaml::{Change, Data, Edit, File, Node, Refusal, Shape, Step, may_touch};
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
}

/// What comes of one object.
#[derive(Debug)]
pub enum Outcome {
    /// These edits, for a reason that a person wants to read.
    Edits(Vec<Edit>, Vec<String>),
    /// These containers become native sidecars.
    Native(Vec<String>),
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
                found.push(Template { document: document.index(), path, node, object: format!("{kind}/{own}") });
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
        if name(*container).is_none_or(|name| name.contains("{{")) {
            return Err(refuse(
                *container,
                "a container without a name, or with a template for it ({{ }}); render it first: helm template …"
                    .to_owned(),
            ));
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

    let mains = match mains(pod, &containers, wish) {
        Ok(mains) => mains,
        Err(missing) => return Ok(Outcome::Missing(format!("{}: {missing}", template.object))),
    };
    let is_main = |container: Node<'_>| name(container).is_some_and(|name| mains.iter().any(|main| main == name));
    if containers.iter().all(|container| is_main(*container)) && wish.on_exit.is_empty() {
        return nothing("no helper is in it that would have to be ended");
    }
    let helpers: Vec<Node<'_>> = containers.iter().copied().filter(|container| !is_main(*container)).collect();
    if wish.how == How::Native {
        if let Some(container) = helpers.iter().find(|container| container.get("restartPolicy").is_some()) {
            return Err(refuse(*container, "this container has a restartPolicy already; remove that first".to_owned()));
        }
        return Ok(Outcome::Native(helpers.iter().filter_map(|helper| name(*helper)).map(str::to_owned).collect()));
    }
    let mut mesh = None;
    if wish.how == How::Mesh && wish.on_exit.is_empty() {
        let [helper] = helpers.as_slice() else {
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

    let mut put = Putting { template, wish, edits: Vec::new(), puts: Vec::new(), notes: Vec::new() };
    let mut restarts_all = false;
    for container in &containers {
        let main = is_main(*container);
        if !main && wish.how == How::Mesh {
            continue;
        }
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
        let mut flag = |name: &str, value: String| flags.extend([name.to_owned(), value]);
        if wish.dir != "/tmp/pod" {
            flag("--dir", wish.dir.clone());
        }
        if main {
            if mains.len() > 1 {
                flag("--name", name(*container).unwrap_or("").to_owned());
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
            // The kubelet's patience is known, and exeunt's own need not be shorter or longer.
            if let Some(grace) =
                spec.get("terminationGracePeriodSeconds").and_then(Node::int).filter(|grace| *grace > 0 && *grace != 30)
            {
                flag("--grace", format!("{grace}s"));
            }
        }
        flags.push("--".to_owned());
        if let Some(missing) = put.command(*container, flags)? {
            return Ok(Outcome::Missing(format!("{}: {missing}", template.object)));
        }
        put.mounts(*container)?;
    }
    put.pod(spec, restarts_all)?;
    put.edits.push(record_edit(template, &put.puts, &[]));
    Ok(Outcome::Edits(put.edits, put.notes))
}

/// Which containers are the job, or what has to be said.
fn mains(pod: Node<'_>, containers: &[Node<'_>], wish: &Wish) -> Result<Vec<String>, String> {
    let names: Vec<&str> = containers.iter().filter_map(|container| name(*container)).collect();
    let told: Vec<String> = if wish.main.is_empty() {
        let told =
            annotation(pod, "exeunt.dev/main").or_else(|| annotation(pod, "kubectl.kubernetes.io/default-container"));
        told.unwrap_or("").split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    } else {
        wish.main.clone()
    };
    let here: Vec<String> = told.iter().filter(|main| names.contains(&main.as_str())).cloned().collect();
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

struct Putting<'p, 'a> {
    template: &'p Template<'a>,
    wish: &'p Wish,
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
        let reference = container.get("image").and_then(Node::str).unwrap_or("");
        let args = container.get("args").is_some_and(|args| args.items().len() > 0);
        if let (None, Some(image)) = (&told, self.wish.images.get(reference)) {
            // Without ENTRYPOINT the arguments alone are what runs.
            let cmd: &[String] = if args { &[] } else { &image.cmd };
            let words: Vec<String> = image.entrypoint.iter().chain(cmd).cloned().collect();
            let pinned = if reference.contains("@sha256:") { "" } else { ", whose tag can move" };
            self.notes.push(format!(
                "{}: what {own} runs is from {}, of the image {reference}{pinned}: {}",
                self.template.object,
                image.source,
                Data::words(words.clone()).json()
            ));
            told = Some(words).filter(|words| !words.is_empty() || args);
        }
        let Some(entrypoint) = told else {
            return Ok(Some(format!(
                "the container {own} has no command, and what its image would run is not in the manifest: --entrypoint '{own}=[\"/program\"]', or --lookup docker"
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
        let mut mounts = Vec::new();
        let mount = |name: &str, path: &str, read_only: bool| {
            let mut entries = vec![("name".to_owned(), name.into()), ("mountPath".to_owned(), path.into())];
            if read_only {
                entries.push(("readOnly".to_owned(), Data::Bool(true)));
            }
            Data::Map(entries)
        };
        if self.wish.deliver == Deliver::Image {
            mounts.push(mount("exeunt", "/exeunt", true));
        }
        mounts.push(mount("exeunt-pod", &self.wish.dir, false));
        for taken in container.get("volumeMounts").into_iter().flat_map(Node::items) {
            let path = taken.get("mountPath").and_then(Node::str).unwrap_or("").trim_end_matches('/');
            if path == self.wish.dir.trim_end_matches('/') || (self.wish.deliver == Deliver::Image && path == "/exeunt")
            {
                let file = container.file();
                return Err(file.refusal(
                    taken.span().start,
                    format!("{path} is taken by another volume; choose another directory: --dir PATH"),
                ));
            }
        }
        let own = name(container).unwrap_or("").to_owned();
        let count = mounts.len();
        match container.get("volumeMounts").filter(|list| !list.is_null()) {
            Some(list) => {
                may_touch(list)?;
                let mut path = self.container_path(container);
                path.push(Step::Key("volumeMounts".to_owned()));
                self.add(path, Change::Front(mounts));
                self.puts.push(Put { owner: own, field: "volumeMounts".to_owned(), items: Some(count) });
            }
            None => {
                self.add_entry(container, "volumeMounts", Data::Seq(mounts));
                self.puts.push(Put { owner: own, field: "volumeMounts".to_owned(), items: None });
            }
        }
        Ok(())
    }

    /// Volumes, and the init container that brings exeunt or clears the directory.
    fn pod(&mut self, spec: Node<'_>, restarts_all: bool) -> Result<(), Refusal> {
        let entry = |key: &str, value: Data| (key.to_owned(), value);
        let mut volumes = Vec::new();
        if self.wish.deliver == Deliver::Image {
            let image = Data::Map(vec![
                entry("reference", self.wish.image.as_str().into()),
                entry("pullPolicy", "IfNotPresent".into()),
            ]);
            volumes.push(Data::Map(vec![entry("name", "exeunt".into()), entry("image", image)]));
        }
        volumes.push(Data::Map(vec![entry("name", "exeunt-pod".into()), entry("emptyDir", Data::Map(Vec::new()))]));
        for volume in spec.get("volumes").into_iter().flat_map(Node::items) {
            if matches!(name(volume), Some("exeunt" | "exeunt-pod")) {
                return Err(volume
                    .file()
                    .refusal(volume.span().start, "a volume of this name is there already; rename it"));
            }
        }
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
            let mount =
                Data::Map(vec![entry("name", "exeunt-pod".into()), entry("mountPath", self.wish.dir.as_str().into())]);
            let container = Data::Map(vec![
                entry("name", "exeunt".into()),
                entry("image", self.wish.image.as_str().into()),
                entry("command", Data::words(command)),
                entry(
                    "resources",
                    Data::Map(vec![
                        entry("requests", resources("10m", "16Mi")),
                        entry("limits", resources("100m", "32Mi")),
                    ]),
                ),
                entry("securityContext", security),
                entry("volumeMounts", Data::Seq(vec![mount])),
            ]);
            self.pod_list(spec, "initContainers", vec![container])?;
        }
        self.pod_list(spec, "volumes", volumes)
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

/// The record of all this.
pub fn record_edit(template: &Template<'_>, puts: &[Put], moves: &[Move]) -> Edit {
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
    let text: Data = record::write(puts, moves, made).as_str().into();
    let (path, key, value, near) = match (metadata, annotations) {
        (None, _) => {
            let value = map(vec![("annotations", map(vec![(ANNOTATION, text)]))]);
            (at(&[]), "metadata", value, Some(pod))
        }
        (near, None) => (at(&["metadata"]), "annotations", map(vec![(ANNOTATION, text)]), near),
        (_, near) => (at(&["metadata", "annotations"]), ANNOTATION, text, near),
    };
    let before =
        near.and_then(|near| near.entries().next()).and_then(|entry| entry.key.text()).unwrap_or("").to_owned();
    Edit { document: template.document, path, change: Change::Entry { key: key.to_owned(), value, before } }
}
