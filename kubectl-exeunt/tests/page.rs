//! docs/kubectl-exeunt.md and the README: what they show is what happens.

use std::path::Path;
use std::process::Command;

/// The fenced blocks of a page: what stands behind the fence, and the text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        open = match (open, line.strip_prefix("```")) {
            (None, Some(kind)) => Some((kind.to_owned(), String::new())),
            (Some(block), Some(_)) => {
                blocks.push(block);
                None
            }
            (Some((kind, text)), None) => Some((kind, format!("{text}{line}\n"))),
            (None, None) => None,
        };
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

#[test]
fn every_command_of_the_page_does_what_it_shows() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kubectl-exeunt.md");
    let page = std::fs::read_to_string(page).unwrap();
    let place = std::env::temp_dir().join(format!("exeunt-page-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let mut seen = 0;
    // What the README shows is of the same manifests.
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let shown: Vec<_> =
        blocks(&readme).into_iter().filter(|(kind, text)| kind == "console" && text.contains("exeunt check")).collect();
    assert_eq!(shown.len(), 1);
    for (kind, text) in blocks(&page).into_iter().chain(shown) {
        if let Some(file) = kind.strip_prefix("yaml ") {
            std::fs::write(place.join(file), text).unwrap();
            continue;
        }
        assert_eq!(kind, "console");
        let mut shown = text.split("$ ");
        assert_eq!(shown.next(), Some(""));
        for one in shown {
            let (command, wanted) = one.split_once('\n').unwrap();
            assert!(command.contains("kubectl exeunt "), "{command}");
            let script = format!("exec 2>&1\n{}", command.replace("kubectl exeunt ", "\"$EXEUNT\" "));
            let output = Command::new("sh")
                .args(["-c", &script])
                .env("EXEUNT", env!("CARGO_BIN_EXE_kubectl-exeunt"))
                .current_dir(&place)
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), wanted, "{command}");
            seen += 1;
        }
    }
    std::fs::remove_dir_all(&place).unwrap();
    assert!(seen >= 5, "only {seen} commands");
}

/// Helm gives the script its arguments and what it has rendered, and wants something back.
#[test]
fn the_post_renderer_of_helm_passes_its_arguments_on() {
    use std::io::Write as _;
    let program = Path::new(env!("CARGO_BIN_EXE_kubectl-exeunt"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm-post-renderer/exeunt.sh");
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut child = Command::new(script)
        .arg("--main=load")
        .env("PATH", path)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let rendered = "---\n# Source: chart/templates/job.yaml\nkind: Job\nmetadata: {name: n}\nspec:\n  template:\n    spec:\n      \
                    restartPolicy: Never\n      containers:\n      - {name: load, image: a, command: [load]}\n      \
                    - {name: other, image: b, command: [serve]}\n---\nkind: Service\nmetadata: {name: s}\n";
    child.stdin.take().unwrap().write_all(rendered.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("# Source: chart/templates/job.yaml") && text.contains("kind: Service"), "{text}");
    assert!(text.contains("sidecar") && text.contains("serve"), "{text}");
}
