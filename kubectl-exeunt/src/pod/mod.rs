//! What a Pod template says, each fact with its place.

use crate::yaml::{File, Node, Refusal, TEMPLATE};

/// An object that makes Pods.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// `Job`, `CronJob` or `Pod`.
    pub kind: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// `apiVersion`.
    pub api: &'a str,
    /// The whole.
    pub node: Node<'a>,
    /// The Job's `spec`, where there is one.
    pub job: Option<Node<'a>>,
    /// The mapping with the Pod's `metadata` and `spec`.
    pub template: Node<'a>,
    /// The Pod's `spec`.
    pub spec: Node<'a>,
}

/// A container, and where it stands.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    /// Its name.
    pub name: &'a str,
    /// The last part of its image, without tag and digest.
    pub image: &'a str,
    /// `command` and `args`, one after the other, each with its place.
    pub words: Vec<Node<'a>>,
    /// Is `command` given? Otherwise the image's ENTRYPOINT comes before the words.
    pub has_command: bool,
    /// Is it in `initContainers`?
    pub init: bool,
    /// The mapping.
    pub node: Node<'a>,
}

/// Objects that are named but not judged, and why.
#[derive(Clone, Copy, Debug)]
pub struct Passed<'a> {
    /// The kind.
    pub kind: &'a str,
    /// The name.
    pub name: &'a str,
    /// Where it stands.
    pub node: Node<'a>,
    /// Who runs its Pods.
    pub controller: &'static str,
}

/// Kinds whose Pods another controller makes and ends.
const CONTROLLED: &[(&str, &str)] = &[
    ("Workflow", "Argo Workflows"),
    ("WorkflowTemplate", "Argo Workflows"),
    ("CronWorkflow", "Argo Workflows"),
    ("ClusterWorkflowTemplate", "Argo Workflows"),
    ("Task", "Tekton"),
    ("TaskRun", "Tekton"),
    ("PipelineRun", "Tekton"),
    ("RayJob", "Ray"),
    ("RayCluster", "Ray"),
    ("ProwJob", "prow"),
    ("SparkApplication", "the Spark operator"),
    ("PyTorchJob", "the training operator"),
    ("MPIJob", "the MPI operator"),
    ("TFJob", "the training operator"),
    ("XGBoostJob", "the training operator"),
    ("PaddleJob", "the training operator"),
    ("JAXJob", "the training operator"),
    ("TrainJob", "the training operator"),
    ("JobSet", "JobSet"),
    ("RayService", "Ray"),
    ("ScaledJob", "KEDA"),
    ("Pipeline", "Tekton"),
    ("ClusterTask", "Tekton"),
    ("ScheduledSparkApplication", "the Spark operator"),
    ("AdvancedCronJob", "OpenKruise"),
    ("BroadcastJob", "OpenKruise"),
    ("ImagePullJob", "OpenKruise"),
];

/// Is this a file of manifests, and not of what Helm or another tool makes them of?
///
/// `{{ … }}` may stand in a manifest as well: in an annotation, in what a program is told, in a variable. Nothing else of an
/// object that makes Pods can hold it (a name, a label, an image, a number: the API takes none with braces), and what only
/// Helm fills in is a template wherever it stands in one line.
///
/// # Errors
/// It is a template, with the first place that says so.
pub fn rendered(file: &File) -> Result<(), Refusal> {
    let unquoted =
        file.template().map(|place| Refusal { file: file.name().to_owned(), place, message: TEMPLATE.to_owned() });
    let found =
        objects(file).0.iter().filter_map(|object| template_in(object.node)).min_by_key(|node| node.span().start);
    let found = found.map(|node| file.refusal(node.span().start, TEMPLATE));
    unquoted.into_iter().chain(found).min_by_key(|refusal| refusal.place).map_or(Ok(()), Err)
}

/// Below these keys stand words that the API does not read.
const FREE: &[&str] =
    &["annotations", "args", "command", "env", "httpHeaders", "managedFields", "options", "status", "volumeAttributes"];

/// The first node of an object that makes a template of it.
fn template_in(object: Node<'_>) -> Option<Node<'_>> {
    let mut stack = vec![(object, false)];
    let mut found: Option<Node<'_>> = None;
    while let Some((node, free)) = stack.pop() {
        let is = node.text().is_some_and(|text| text.contains("{{") && (!free || is_helms(text)));
        if is && found.is_none_or(|found| node.span().start < found.span().start) {
            found = Some(node);
        }
        let below = node.entries().flat_map(|entry| {
            let free = free || entry.key.text().is_some_and(|key| FREE.contains(&key));
            [(entry.key, free), (entry.value, free)]
        });
        stack.extend(below.chain(node.items().map(|item| (item, free))).filter(|(node, _)| !node.is_alias()));
    }
    found
}

/// Does one line of text ask for what only Helm knows? A script of many lines may write a chart.
fn is_helms(text: &str) -> bool {
    let one_line = !text.trim_end().contains('\n');
    let actions = text.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap_or(rest));
    one_line
        && actions.into_iter().any(|action| {
            let asks = [".Values.", ".Release.", ".Chart.", ".Capabilities."].iter().any(|name| action.contains(name));
            asks || action.trim_start_matches('-').trim_start().starts_with("include \"")
        })
}

/// Every Job, CronJob and Pod of a file, also in a List, and what is passed over.
pub fn objects(file: &File) -> (Vec<Object<'_>>, Vec<Passed<'_>>) {
    let (mut found, mut passed) = (Vec::new(), Vec::new());
    let mut stack: Vec<(Node<'_>, usize, &str)> =
        file.documents().filter_map(|document| document.root()).map(|root| (root, 0, "")).collect();
    stack.reverse();
    while let Some((node, depth, of)) = stack.pop() {
        let kind = node.get("kind").and_then(Node::str).unwrap_or(of);
        let name = node.path(&["metadata", "name"]).or_else(|| node.path(&["metadata", "generateName"]));
        let name = name.and_then(Node::text).unwrap_or("(without a name)");
        let api = node.get("apiVersion").and_then(Node::text).unwrap_or("");
        // Others have a Job, too.
        if kind == "Job" && api.contains("volcano") {
            passed.push(Passed { kind, name, node, controller: "Volcano" });
            continue;
        }
        let (job, template) = match kind {
            "Job" => (node.get("spec"), node.path(&["spec", "template"])),
            "CronJob" => {
                (node.path(&["spec", "jobTemplate", "spec"]), node.path(&["spec", "jobTemplate", "spec", "template"]))
            }
            "Pod" => (None, Some(node)),
            _ => {
                // A List in a List is allowed, and a file must not decide how long we look.
                if kind.ends_with("List") && depth < 8 {
                    // What the API server has in a JobList says no kind of its own.
                    let of = kind.strip_suffix("List").unwrap_or("");
                    let items = node.get("items").into_iter().flat_map(Node::items);
                    stack.extend(items.rev().map(|item| (item, depth + 1, of)));
                } else if let Some((_, controller)) = CONTROLLED.iter().find(|(known, _)| *known == kind) {
                    passed.push(Passed { kind, name, node, controller });
                }
                continue;
            }
        };
        let Some((template, spec)) = template.and_then(|template| Some((template, template.get("spec")?))) else {
            continue;
        };
        found.push(Object { kind, name, api, node, job, template, spec });
    }
    (found, passed)
}

impl<'a> Object<'a> {
    /// A Pod template by itself, whatever it stands in.
    pub fn of_template(template: Node<'a>) -> Option<Object<'a>> {
        let spec = template.get("spec")?;
        Some(Object { kind: "Pod", name: "", api: "", node: template, job: None, template, spec })
    }

    /// Every container: init containers first, as the kubelet starts them.
    pub fn containers(&self) -> Vec<Container<'a>> {
        let of = |key: &str, init: bool| {
            let list = self.spec.get(key);
            list.into_iter().flat_map(Node::items).map(move |node| container(node, init)).collect::<Vec<_>>()
        };
        let mut all = of("initContainers", true);
        all.extend(of("containers", false));
        all
    }

    /// An annotation of the template.
    pub fn annotation(&self, key: &str) -> Option<Node<'a>> {
        self.template.path(&["metadata", "annotations"])?.get(key)
    }

    /// A label of the template.
    pub fn label(&self, key: &str) -> Option<Node<'a>> {
        self.template.path(&["metadata", "labels"])?.get(key)
    }

    /// The Pod's restart policy; it is Always where nothing is said.
    pub fn restart_policy(&self) -> &'a str {
        self.spec.get("restartPolicy").and_then(Node::str).unwrap_or("Always")
    }

    /// After how many seconds it is stopped as failed, and who says so.
    pub fn deadline(&self) -> Option<i64> {
        let of = |node: Node<'a>| node.get("activeDeadlineSeconds").and_then(Node::int);
        of(self.spec).into_iter().chain(self.job.and_then(of)).min()
    }
}

fn container(node: Node<'_>, init: bool) -> Container<'_> {
    let list = |key: &str| node.get(key).into_iter().flat_map(Node::items).collect::<Vec<_>>();
    let command = list("command");
    let image = node.get("image").and_then(Node::str).unwrap_or("");
    let image = image.split('@').next().unwrap_or("").rsplit('/').next().unwrap_or("").split(':').next().unwrap_or("");
    let has_command = !command.is_empty();
    let name = node.get("name").and_then(Node::text).unwrap_or("(without a name)");
    Container { name, image, words: command.into_iter().chain(list("args")).collect(), has_command, init, node }
}

/// A text in which `$(NAME)` is what the last variable of that name has; one of which nothing is known stays.
fn expanded(text: &str, variables: &[(String, String)]) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("$(").filter(|_| !variables.is_empty()) {
        out.push_str(before);
        // `$$(` is no question.
        let escaped = before.ends_with('$');
        let name = after.split_once(')').filter(|_| !escaped);
        let value = name.and_then(|(name, more)| {
            let (_, value) = variables.iter().rev().find(|(known, _)| known == name)?;
            Some((value, more))
        });
        match value.filter(|(value, _)| value.len() < LONG && out.len() < LONG) {
            Some((value, more)) => {
                out.push_str(value);
                rest = more;
            }
            None => {
                out.push_str("$(");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// A value that is longer than this is no word that a verdict goes by.
const LONG: usize = 100_000;

/// What the kubelet makes of the variables of a container.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Name and value of those whose value is known, in their order. A field of the Pod stands for its value.
    pub known: Vec<(String, String)>,
    /// The names of those whose value a Secret or a ConfigMap holds.
    unknown: Vec<String>,
    /// There are more, whose names are not in the manifest.
    has_more: bool,
}

impl Environment {
    /// A word with its `$(NAME)` filled in. What is no variable stays as it is written. `None` where a value is needed that the
    /// manifest does not hold.
    pub fn fill_in(&self, word: &str) -> Option<String> {
        let made = expanded(word, &self.known);
        let mut left = made.split("$(").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        let lacks =
            left.any(|name| self.has_more || name.contains("_SERVICE_") || self.unknown.iter().any(|one| one == name));
        (!lacks).then_some(made)
    }
}

impl<'a> Container<'a> {
    /// The tag of its image; empty where there is none.
    pub fn tag(&self) -> &'a str {
        let image = self.node.get("image").and_then(Node::str).unwrap_or("");
        let last = image.split('@').next().unwrap_or("").rsplit('/').next().unwrap_or("");
        last.split_once(':').map_or("", |(_, tag)| tag)
    }

    /// Its words as text, with its own variables where they are asked for by `$(NAME)`, as the kubelet has it.
    pub fn text(&self) -> Vec<String> {
        let asked = self.words.iter().any(|word| word.text().is_some_and(|text| text.contains("$(")));
        let variables = if asked { self.variables() } else { Vec::new() };
        self.words.iter().map(|word| expanded(word.text().unwrap_or(""), &variables)).collect()
    }

    /// The variables of its own whose values stand in the manifest, in their order.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = Vec::new();
        for one in self.node.get("env").into_iter().flat_map(Node::items) {
            let of = |key: &str| one.get(key).and_then(Node::text);
            if let (Some(name), Some(value)) = (of("name"), of("value")) {
                let value = expanded(value, &all);
                all.push((name.to_owned(), value));
            }
        }
        all
    }

    /// The same with those whose values are to be known on the cluster only.
    pub fn environment(&self) -> Environment {
        let has_more = self.node.get("envFrom").is_some();
        let mut made = Environment { known: Vec::new(), unknown: Vec::new(), has_more };
        for one in self.node.get("env").into_iter().flat_map(Node::items) {
            let Some(name) = one.get("name").and_then(Node::text) else { continue };
            // Which value the Pod's own fields have nobody knows yet; that a run has a name is what counts.
            let field = || one.path(&["valueFrom", "fieldRef", "fieldPath"])?.text().map(str::to_owned);
            let written = one.get("value").and_then(Node::text);
            match written.map_or_else(field, |text| made.fill_in(text)) {
                Some(value) => made.known.push((name.to_owned(), value)),
                None if one.get("valueFrom").is_some() || written.is_some() => made.unknown.push(name.to_owned()),
                None => made.known.push((name.to_owned(), String::new())),
            }
        }
        made
    }

    /// Where its name stands, or else the container.
    pub fn place(&self) -> Node<'a> {
        self.node.get("name").unwrap_or(self.node)
    }

    /// Which volume, and where in it, a path is; without a mount it is the container's own.
    pub fn volume_of(&self, path: &str) -> Option<(String, Node<'a>)> {
        let mounts = self.node.get("volumeMounts")?.items();
        mounts
            .filter_map(|mount| {
                let at = mount.get("mountPath").and_then(Node::text)?.trim_end_matches('/');
                let below = path.strip_prefix(at).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
                let sub = mount.get("subPath").or_else(|| mount.get("subPathExpr")).and_then(Node::text).unwrap_or("");
                let name = mount.get("name").and_then(Node::text)?;
                let inner = format!("{sub}{below}");
                Some((at.len(), format!("{name}:{}", inner.trim_matches('/')), mount))
            })
            .max_by_key(|(length, _, _)| *length)
            .map(|(_, volume, mount)| (volume, mount))
    }

    /// The user that is told for it; the Pod's where it says nothing.
    pub fn user(&self, spec: Node<'a>) -> Option<i64> {
        let of = |node: Node<'a>| node.path(&["securityContext", "runAsUser"]).and_then(Node::int);
        of(self.node).or_else(|| of(spec))
    }

    /// A variable of its own.
    pub fn variable(&self, name: &str) -> Option<&'a str> {
        let env = self.node.get("env")?.items();
        env.rev().find(|one| one.get("name").and_then(Node::text) == Some(name))?.get("value")?.text()
    }
}
