//! Every rule of `check` has a page: what, why, a manifest that is wrong and the same right, and how to ignore it. The pages
//! are made of the program's table and of `tests/rules`, and both manifests are judged here. `EXEUNT_RENEW=1` writes them.

use kubectl_exeunt::judge::{Finding, Judgement, RULES, Rule, hangs, judge};
use kubectl_exeunt::out;
use kubectl_exeunt::yaml::File;
use std::path::{Path, PathBuf};

/// Two hours after the job of the Pod that hangs has ended.
const NOW: i64 = 1_795_842_245;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn manifest(rule: &Rule, which: &str) -> String {
    std::fs::read_to_string(here(&format!("tests/rules/{}.{which}.yaml", rule.name))).expect(rule.name)
}

fn judged(name: &str, text: &str) -> Vec<Judgement> {
    let file = File::read(name, text.as_bytes().to_vec()).unwrap();
    let mut all = judge(&file, &[]).unwrap();
    // What hangs is said of the Pod beside what would be said of its manifest.
    for (line, finding) in hangs(&file, &[], NOW) {
        let one = all.iter_mut().find(|one| one.line == line).unwrap();
        one.findings = vec![finding];
    }
    all
}

fn findings(text: &str) -> Vec<Finding> {
    judged("test.yaml", text).into_iter().flat_map(|one| one.findings).collect()
}

#[test]
fn every_rule_finds_its_wrong_manifest_and_is_silent_about_the_right_one() {
    let mut wrong = Vec::new();
    for rule in RULES {
        let found = findings(&manifest(rule, "wrong"));
        if !found.iter().any(|finding| finding.rule == rule) {
            wrong.push(format!("{} is not found in its wrong manifest: {found:?}", rule.name));
        }
        let found = findings(&manifest(rule, "right"));
        if !found.is_empty() {
            wrong.push(format!("the right manifest of {} has findings: {found:?}", rule.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let files = std::fs::read_dir(here("tests/rules")).unwrap().count();
    assert_eq!(files, 2 * RULES.len(), "a file of no rule");
}

/// Each can be ignored, by the comment and by the annotation that its page shows.
#[test]
fn every_rule_can_be_ignored() {
    for rule in RULES.iter().filter(|rule| !matches!(rule.name, "hangs-now" | "ignore-without-effect")) {
        let text = manifest(rule, "wrong");
        let own = |text: &str| findings(text).into_iter().filter(|finding| finding.rule == rule).collect::<Vec<_>>();
        let at = own(&text)[0].place;
        let mut lines: Vec<&str> = text.lines().collect();
        let space = lines[at.line - 1].len() - lines[at.line - 1].trim_start().len();
        let comment = format!("{}# exeunt: ignore[{}] for the test", " ".repeat(space), rule.name);
        // A comment inside of a scalar is none; there the annotation is what helps.
        let scalar =
            at.line > 1 && text.lines().nth(at.line - 2).is_some_and(|line| line.ends_with('|') || line.ends_with('>'));
        if !scalar {
            lines.insert(at.line - 1, &comment);
            let text = lines.join("\n");
            assert!(own(&text).is_empty(), "{}:\n{text}", rule.name);
            assert!(findings(&text).iter().all(|finding| finding.rule.name != "ignore-without-effect"));
        }
        let pod = if text.contains("kind: CronJob") { 8 } else { 4 };
        let key = format!("\n{}template:\n", " ".repeat(pod - 2));
        let told = format!(
            "{}annotations:\n{}exeunt.dev/ignore.{}: for the test\n",
            " ".repeat(pod + 2),
            " ".repeat(pod + 4),
            rule.name
        );
        let old = format!("{key}{}metadata:\n", " ".repeat(pod));
        let annotated = if !text.contains(&old) {
            text.replacen(&key, &format!("{old}{told}"), 1)
        } else if text.contains(&format!("\n{}annotations:\n", " ".repeat(pod + 2))) {
            let key = format!("\n{}annotations:\n", " ".repeat(pod + 2));
            text.replacen(
                &key,
                &format!("{key}{}exeunt.dev/ignore.{}: for the test\n", " ".repeat(pod + 4), rule.name),
                1,
            )
        } else {
            text.replacen(&old, &format!("{old}{told}"), 1)
        };
        assert_ne!(annotated, text);
        assert!(own(&annotated).is_empty(), "{}:\n{annotated}", rule.name);
    }
}

fn page(rule: &Rule) -> String {
    let name = rule.name;
    let wrong = manifest(rule, "wrong");
    let said = out::text(&judged("job.yaml", &wrong), false);
    let right = manifest(rule, "right");
    let verdict = out::text(&judged("job.yaml", &right), false);
    let place = if name == "hangs-now" {
        "What a Pod does now is found by `kubectl exeunt check -A`, `-n NAMESPACE` or `KIND/NAME`; the clock of this page stands two \
         hours after the end of the job.\n\n"
    } else {
        ""
    };
    let ignore = if name == "ignore-without-effect" {
        "Take the comment or the annotation out: that is all this rule asks for.\n".to_owned()
    } else {
        format!(
            "On the line, or on the one above it (not within a script):\n\n```yaml\n# exeunt: ignore[{name}] the reason\n```\n\nor as an \
             annotation of the Pod template, which survives rendering:\n\n```yaml\nexeunt.dev/ignore.{name}: the reason\n```\n"
        )
    };
    format!(
        "# {name}\n\n**{}** ({})\n\n{}\n\n## Wrong\n\n{place}```yaml\n{wrong}```\n\n```text\n{said}```\n\n## Right\n\n```yaml\n{right}```\n\n\
         ```text\n{verdict}```\n\n## To ignore it\n\n{ignore}",
        rule.what,
        rule.severity.name(),
        rule.why
    )
}

#[test]
fn the_pages_are_the_table() {
    let mut index = "# Rules of `kubectl exeunt check`\n\nEach has a page: what it finds and why, a manifest that is wrong and the same \
                     right, and how to ignore it. The pages\nare made of the program's own table; a test judges the manifests and compares.\n\n\
                     | rule | | finds |\n|---|---|---|\n"
        .to_owned();
    let renew = std::env::var_os("EXEUNT_RENEW").is_some();
    let mut stale = Vec::new();
    let mut compare = |path: PathBuf, text: &str| {
        if renew {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
            stale.push(path.display().to_string());
        }
    };
    for rule in RULES {
        compare(here(&format!("../docs/rules/{}.md", rule.name)), &page(rule));
        index += &format!("| [`{0}`](rules/{0}.md) | {1} | {2} |\n", rule.name, rule.severity.name(), rule.what);
    }
    compare(here("../docs/rules.md"), &index);
    assert!(stale.is_empty(), "EXEUNT_RENEW=1 writes these anew: {}", stale.join(", "));
    let pages = std::fs::read_dir(here("../docs/rules")).unwrap().count();
    assert_eq!(pages, RULES.len(), "a page of no rule");
    assert!(RULES.is_sorted_by_key(|rule| rule.name));
}
