//! The rules, the rehearsal and the verdicts: pure, without input or output.

mod ends;
mod exeunts;
mod hangs;
mod helpers;
mod ignore;
mod play;
pub mod rehearse;
mod rules;
pub mod shell;
mod who;

pub use hangs::{hangs, is_owned};
pub use helpers::{
    CONTROLLED, Foreign, HELPERS, Helper, INJECTED, Injected, OWNED, Once, Quit, Signalled, WRAPPERS, helper, named,
    program,
};
pub use play::{Read, scenarios};
pub use rules::{RULES, Rule, Severity, rule};

use crate::pod::{Object, Passed, objects, rendered};
use crate::yaml::{File, Node, Place, Refusal};

/// Would a Pod of this object ever end?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// In every life in which its job ends.
    Ends,
    /// There is a life in which it does not, or what would end it cannot be seen.
    MayNotEnd,
    /// In none.
    NeverEnds,
    /// Another controller runs it, or it is made to run for ever.
    NotJudged,
}

impl Verdict {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ends => "ends",
            Verdict::MayNotEnd => "may-not-end",
            Verdict::NeverEnds => "never-ends",
            Verdict::NotJudged => "not-judged",
        }
    }

    /// As a person says it.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Ends => "ends",
            Verdict::MayNotEnd => "may not end",
            Verdict::NeverEnds => "never ends",
            Verdict::NotJudged => "is not judged",
        }
    }
}

/// Something that a rule found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which rule.
    pub rule: &'static Rule,
    /// How bad it is here.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// Where.
    pub place: Place,
    /// How many characters of the line it is about.
    pub width: usize,
    /// That line.
    pub line: String,
    /// `Job/name`.
    pub object: String,
    /// The container, if it is about one.
    pub container: Option<String>,
    /// What is wrong, in one line.
    pub message: String,
    /// What is to be said under the line.
    pub remark: String,
    /// What follows from it, and what to do.
    pub notes: Vec<String>,
}

/// What comes of one object.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The file.
    pub file: String,
    /// The line of the object.
    pub line: usize,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The namespace, where it is told.
    pub namespace: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in one line, where it is not *ends*.
    pub why: String,
    /// After so many seconds it is stopped as failed.
    pub deadline: Option<i64>,
    /// What was found, in the order of the file.
    pub findings: Vec<Finding>,
}

impl Judgement {
    /// The verdict as a person says it, and why.
    pub fn words(&self) -> String {
        let late = match (self.verdict, self.deadline) {
            (Verdict::MayNotEnd, Some(seconds)) => format!(" by itself; stopped as failed after {seconds} s"),
            _ => String::new(),
        };
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why) };
        format!("{}{late}{why}", self.verdict.words())
    }
}

/// Judges every object of a file. `mains` names jobs among the containers.
///
/// # Errors
/// The file is a template, or cannot be judged: with the place and what to do.
pub fn judge(file: &File, mains: &[String]) -> Result<Vec<Judgement>, Refusal> {
    let mut all = Vec::new();
    judge_each(file, mains, |one| all.push(one))?;
    Ok(all)
}

/// The same, one after the other in the order of the file: what is said of one need not stay for the next.
///
/// # Errors
/// As [`judge`], before the first of them.
pub fn judge_each(file: &File, mains: &[String], mut each: impl FnMut(Judgement)) -> Result<(), Refusal> {
    rendered(file)?;
    let (found, passed) = objects(file);
    found.iter().try_for_each(|object| duplicates(object.node))?;
    let mut comments = ignore::comments(file);
    // A comment belongs to the object after whose first line it stands, or in whose document; the first ones to the first.
    let mut starts: Vec<usize> = found.iter().map(|object| object.node.place().line).collect();
    starts.sort_unstable();
    for document in file.documents() {
        let (own, root) = (file.place(document.span().start).line, document.root().map_or(0, |root| root.place().line));
        let next = starts.partition_point(|start| *start < root);
        if let Some(start) = starts.get_mut(next).filter(|start| **start == root) {
            *start = own;
        }
    }
    let name = file.name().to_owned();
    let mut passed = passed.into_iter().map(|one| passed_over(&name, one)).peekable();
    for object in found {
        let line = object.node.place().line;
        while let Some(one) = passed.next_if(|one| one.line < line) {
            each(one);
        }
        let mut bench = Bench { object, findings: Vec::new() };
        let (verdict, why) = ends::verdict(&mut bench, mains);
        let deadline = bench.object.deadline();
        let mut bench = Bench { object, findings: ignore::apply(bench, &mut comments) };
        let next = starts.get(starts.partition_point(|start| *start <= line)).copied().unwrap_or(usize::MAX);
        ignore::unused(&mut bench, &mut comments, next);
        let mut findings = bench.findings;
        findings.sort_by_key(|finding| finding.place);
        let (kind, name) = (object.kind.to_owned(), object.name.to_owned());
        let namespace = namespace(bench.object.node);
        let file = file.name().to_owned();
        each(Judgement { file, line, kind, name, namespace, verdict, why, deadline, findings });
    }
    passed.for_each(each);
    Ok(())
}

fn passed_over(file: &str, one: Passed<'_>) -> Judgement {
    Judgement {
        file: file.to_owned(),
        line: one.node.place().line,
        kind: one.kind.to_owned(),
        name: one.name.to_owned(),
        namespace: namespace(one.node),
        verdict: Verdict::NotJudged,
        why: format!("{} makes its Pods and ends them", one.controller),
        deadline: None,
        findings: Vec::new(),
    }
}

fn namespace(node: Node<'_>) -> String {
    node.path(&["metadata", "namespace"]).and_then(Node::text).unwrap_or("").to_owned()
}

/// The containers that are the job, or may be, as far as the manifest tells.
pub fn jobs<'a>(object: &Object<'a>) -> Vec<&'a str> {
    let all = who::parties(object, &[]);
    let job = |party: &who::Party<'_>| matches!(party.kind, who::Kind::Job | who::Kind::Perhaps);
    let aside = all.iter().any(|party| job(party) && !party.aside);
    let job = |party: &who::Party<'_>| job(party) && !(aside && party.aside);
    all.into_iter().filter(job).map(|party| party.container.name).collect()
}

/// The address at which a helper is asked to end, where its words, a variable or an annotation name another port than its own.
pub fn elsewhere(object: &Object<'_>, helper: &str) -> Option<String> {
    let all = who::parties(object, &[]);
    let party = all.iter().find(|party| party.container.name == helper)?;
    let who::Kind::Helper(Some(known)) = party.kind else { return None };
    let (port, path) = ends::endpoint(party)?;
    let own = known.quit.as_ref().is_some_and(|quit| quit.port == port);
    (!own).then(|| format!("http://127.0.0.1:{port}{path}"))
}

/// The helper that a mesh or an injector puts in when the Pod is made, and which its kubelet does not end.
pub fn injected(object: &Object<'_>) -> Option<&'static str> {
    let all = who::parties(object, &[]);
    let proxy = all.iter().find(|party| party.injected && matches!(party.kind, who::Kind::Helper(_)))?;
    ["istio-proxy", "linkerd-proxy", "vault-agent", "daprd"].into_iter().find(|name| proxy.container.name == *name)
}

/// A key that stands twice, on anything that a verdict may rest on.
fn duplicates(root: Node<'_>) -> Result<(), Refusal> {
    let mut stack = vec![(root, 0)];
    while let Some((node, depth)) = stack.pop() {
        if let Some(second) = node.duplicates().first() {
            let name = second.text().unwrap_or("");
            let message = format!("the key {name} stands twice; only one of them counts: remove the other");
            return Err(second.file().refusal(second.span().start, message));
        }
        if depth < 40 {
            stack.extend(node.entries().map(|entry| (entry.value, depth + 1)).filter(|(node, _)| !node.is_alias()));
            stack.extend(node.items().map(|item| (item, depth + 1)).filter(|(node, _)| !node.is_alias()));
        }
    }
    Ok(())
}

/// Where findings are put down.
struct Bench<'a> {
    object: Object<'a>,
    findings: Vec<Finding>,
}

impl<'a> Bench<'a> {
    /// What never completes: the Job, or the Pod that is none's.
    fn thing(&self) -> &'static str {
        if self.object.kind == "Pod" { "Pod" } else { "Job" }
    }

    /// About a place at which no node stands.
    fn find_at(&mut self, name: &str, place: Place, message: String) {
        let Some(rule) = rule(name) else { return };
        let file = self.object.node.file();
        let line = file.line(place.line).to_owned();
        let width = line.chars().count().saturating_sub(place.column - 1).max(1);
        self.findings.push(Finding {
            rule,
            severity: rule.severity,
            file: file.name().to_owned(),
            place,
            width,
            line,
            object: format!("{}/{}", self.object.kind, self.object.name),
            container: None,
            message,
            remark: String::new(),
            notes: Vec::new(),
        });
    }

    fn find(
        &mut self,
        name: &str,
        at: Node<'a>,
        container: Option<&str>,
        message: String,
        remark: &str,
        notes: &[String],
    ) {
        self.find_as(name, None, at, container, message, remark, notes);
    }

    #[allow(clippy::too_many_arguments, reason = "what a finding consists of")]
    fn find_as(
        &mut self,
        name: &str,
        severity: Option<Severity>,
        at: Node<'a>,
        container: Option<&str>,
        message: String,
        remark: &str,
        notes: &[String],
    ) {
        let Some(rule) = rule(name) else { return };
        let place = at.place();
        let file = at.file();
        let line = file.line(place.line).to_owned();
        let one_line = at.source().lines().next().map_or(1, |text| text.chars().count()).max(1);
        self.findings.push(Finding {
            rule,
            severity: severity.unwrap_or(rule.severity),
            file: file.name().to_owned(),
            place,
            width: one_line,
            line,
            object: format!("{}/{}", self.object.kind, self.object.name),
            container: container.map(str::to_owned),
            message,
            remark: remark.to_owned(),
            notes: notes.to_vec(),
        });
    }
}
