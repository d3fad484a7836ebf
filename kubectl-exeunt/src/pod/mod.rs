//! What a Pod template says, each fact with its place.

use crate::yaml::{File, Node};

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

/// Every Job, CronJob and Pod of a file, also in a List, and what is passed over.
pub fn objects(file: &File) -> (Vec<Object<'_>>, Vec<Passed<'_>>) {
    let (mut found, mut passed) = (Vec::new(), Vec::new());
    let mut stack: Vec<(Node<'_>, usize)> =
        file.documents().filter_map(|document| document.root()).map(|root| (root, 0)).collect();
    stack.reverse();
    while let Some((node, depth)) = stack.pop() {
        let kind = node.get("kind").and_then(Node::str).unwrap_or("");
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
                    stack.extend(
                        node.get("items").into_iter().flat_map(Node::items).rev().map(|item| (item, depth + 1)),
                    );
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

impl<'a> Container<'a> {
    /// Its words as text.
    pub fn text(&self) -> Vec<String> {
        self.words.iter().map(|word| word.text().unwrap_or("").to_owned()).collect()
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
