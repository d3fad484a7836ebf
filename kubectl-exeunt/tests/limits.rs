//! What is large, deep or odd is answered all the same, and every place is right to the column, in whatever clothes.

use kubectl_exeunt::judge::judge;
use kubectl_exeunt::yaml::{File, Text};
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn check(input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"))
        .args(["check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // What is refused early is not read to its end.
    let _ = writer.join().unwrap();
    output
}

const JOB: &str = "kind: Job\nmetadata: {name: n}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      \
                   - {name: a, image: x, command: [/a]}\n      - {name: logs, image: fluent/fluent-bit}\n";

#[test]
fn ten_megabytes_and_a_million_lines_are_judged() {
    let ten = format!(
        "kind: ConfigMap\ndata:\n  text: |\n{}---\n{JOB}",
        "    0123456789012345678901234567890\n".repeat(290_000)
    );
    assert!(ten.len() > 10_000_000, "{}", ten.len());
    let lines = format!("{JOB}{}", "\n".repeat(1_000_000));
    let comments = format!("{}{JOB}", "# x\n".repeat(1_000_000));
    for text in [ten, lines, comments] {
        let output = check(&text);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.ends_with("Job/n never ends: nothing ends logs\n"), "{said}");
    }
}

/// A script that grows with every line is given up after so many commands, whatever the machine; loops in one another are not.
#[test]
fn a_script_without_measure_is_not_understood_and_deep_loops_are() {
    let job = |script: &str| {
        format!(
            "kind: Job\nmetadata: {{name: n}}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      \
             - {{name: a, image: x, command: [sh, -c, {script:?}]}}\n      - {{name: istio-proxy, image: istio/proxyv2}}\n"
        )
    };
    let call = "curl -X POST localhost:15020/quitquitquit";
    let lines: String = (0..40).map(|at| format!("f{at}() {{ f{0}; f{0}; }}\n", at + 1)).collect();
    let output = check(&job(&format!("{lines}f40() {{ ./a; }}\nf0\n{call}")));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.ends_with("Job/n may not end: what ends istio-proxy, if anything, is inside the image of a\n"),
        "{said}"
    );
    let loops = format!("{}b{}; {call}", "while a; do ".repeat(40), "; done".repeat(40));
    let output = check(&job(&loops));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("Job/n may not end: istio-proxy runs on when a is killed\n"), "{said}");
}

/// What has been said of one document need not stay for the next, and of one object not for another: 4 MB of Jobs, all of
/// which are wrong, as documents in 48 MiB of addresses, and as one List in 56, program and all.
#[test]
fn many_documents_and_a_long_list_take_little_more_than_their_text() {
    let many = 20_800;
    let documents = format!("---\n{JOB}").repeat(many);
    let item = format!("- {}", JOB.trim_end().replace('\n', "\n  ") + "\n");
    let list = format!("kind: List\nitems:\n{}", item.repeat(many));
    for (name, text, kilobytes) in [("documents", documents, 48 << 10), ("list", list, 56 << 10)] {
        assert!(text.len() > 4_000_000, "{}", text.len());
        let place = std::env::temp_dir().join(format!("exeunt-limits-{name}-{}.yaml", std::process::id()));
        std::fs::write(&place, text).unwrap();
        let output = Command::new("sh")
            .args(["-c", "ulimit -v \"$2\"; exec \"$0\" check \"$1\"", env!("CARGO_BIN_EXE_kubectl-exeunt")])
            .arg(&place)
            .arg(kilobytes.to_string())
            .output()
            .unwrap();
        std::fs::remove_file(&place).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.matches("Job/n never ends: nothing ends logs\n").count(), many, "{name}");
        // The verdicts come after all that was found.
        let last = said.rfind("[sidecar-never-ends]").unwrap();
        assert!(said.find("Job/n never ends").unwrap() > last, "{name}");
    }
}

/// What is found in the last file is said as it comes, and yet nothing is said before all is known to be judged.
#[test]
fn what_is_refused_at_its_end_or_behind_it_has_said_nothing() {
    let place = |name: &str, text: &str| {
        let place = std::env::temp_dir().join(format!("exeunt-limits-{name}-{}.yaml", std::process::id()));
        std::fs::write(&place, text).unwrap();
        place
    };
    let item = format!("- {}", JOB.trim_end().replace('\n', "\n  ") + "\n");
    let list = format!("kind: List\nitems:\n{}", item.repeat(1_000));
    let long = place("long", &list);
    let twice = place("twice", &format!("{list}{}", item.replace("  kind", "kind") + "  kind: Job\n"));
    let broken = place("broken", "kind: [\n");
    let run = |files: &[&std::path::PathBuf]| {
        let output = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt")).arg("check").args(files).output().unwrap();
        (output.status.code(), output.stdout.len(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said, _) = run(&[&long]);
    // More than is written at once, so that it would have been said.
    assert!(code == Some(1) && said > 256 << 10, "{said}");
    for (files, wanted) in [
        (&[&twice][..], "stands twice"),
        (&[&long, &twice], "stands twice"),
        (&[&long, &broken], "this is not YAML"),
        (&[&broken, &long], "this is not YAML"),
    ] {
        let (code, said, complaint) = run(files);
        assert_eq!((code, said), (Some(2), 0), "{files:?}: {complaint}");
        assert!(complaint.contains(wanted) && complaint.lines().count() == 1, "{complaint}");
    }
    for file in [long, twice, broken] {
        std::fs::remove_file(file).unwrap();
    }
}

/// A long file is read some documents at a time, and nobody can tell: the same verdicts and findings in the same places as of
/// all at once, comments that ignore among them; and the same complaint, wherever it stands.
#[test]
fn a_file_read_in_pieces_is_judged_as_the_whole_is() {
    let mut text = String::from("# exeunt: ignore[bad-option] of the first\n");
    let mut paths: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wild")).unwrap().collect();
    paths.sort_by_key(|path| path.as_ref().unwrap().path());
    let wild: Vec<String> =
        paths.into_iter().map(|path| std::fs::read_to_string(path.unwrap().path()).unwrap()).collect();
    for round in 0..9 {
        for (number, one) in wild.iter().enumerate() {
            text += match (number + round) % 5 {
                0 => "---\n# exeunt: ignore[sidecar-never-ends] in front\n",
                1 => "--- # a remark\n",
                2 => "# exeunt: ignore[end-lost-on-kill] behind\n---\n",
                3 => "...\n---\r\n",
                _ => "---\n---\n",
            };
            text += one;
            text += if number % 7 == 0 { "\n" } else { "" };
        }
    }
    assert!(text.len() > 2 * 256 * 1024, "{}", text.len());
    let facts = |file: &File| -> Vec<String> {
        let judged = judge(file, &[]).unwrap();
        judged.iter().map(|one| format!("{} {} {:?} {:#?}", one.line, one.name, one.verdict, one.findings)).collect()
    };
    let whole = facts(&File::read("long.yaml", text.clone().into_bytes()).unwrap());
    let long = Text::new("long.yaml", text.clone().into_bytes()).unwrap();
    let pieces: Vec<File> = long.pieces().map(Result::unwrap).collect();
    assert!(pieces.len() >= 3 && long.is_long(), "{}", pieces.len());
    assert_eq!(pieces.iter().map(File::text).collect::<String>(), text);
    let parts: Vec<String> = pieces.iter().flat_map(facts).collect();
    assert_eq!(parts.len(), whole.len());
    for (part, whole) in parts.iter().zip(&whole) {
        assert_eq!(part, whole);
    }
    // What is wrong at the very end is said of it, and nothing else is.
    for (end, message) in [
        ("a: [", "this is not YAML"),
        ("a: {{ .Values.x }}", "a template"),
        (&*format!("{JOB}kind: Job"), "the key kind stands twice"),
    ] {
        let output = check(&format!("{text}---\n{end}\n"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{end}: {said}");
        let line = text.lines().count();
        let there = (0..13).any(|more| said.starts_with(&format!("standard input:{}:", line + 1 + more)));
        assert!(said.contains(message) && there && said.lines().count() == 1, "{line}: {said}");
    }
    // A directive stands before the line that begins its document.
    let directive = check(&format!("{text}...\n%YAML 1.2\n---\n{JOB}"));
    assert_eq!(directive.status.code(), Some(1), "{}", String::from_utf8_lossy(&directive.stderr));
}

/// What this thread has used of a processor, whatever else the machine does.
fn used() -> std::time::Duration {
    nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap().into()
}

/// Each nothing is looked for behind the comments in front of it: that takes no longer in a long file than in a short one.
#[test]
fn a_hundred_thousand_empty_items_with_comments_take_their_time_only_once() {
    let of = |items: usize| {
        let text = format!("{JOB}x:\n{}", "- # nothing\n".repeat(items));
        let before = used();
        let file = File::read("long.yaml", text.into_bytes()).unwrap();
        let took = used() - before;
        assert_eq!(file.comments().count(), items);
        took
    };
    // A quadratic look-up makes it a hundred times more; the rest is for caches that are others' on a busy machine.
    let least = |items| (0..3).map(|_| of(items)).min().unwrap();
    let (short, long) = (least(10_000), least(100_000));
    assert!(long < short * 40, "{short:?}, and of ten times as many {long:?}");
}

#[test]
fn what_is_too_deep_or_explodes_is_one_line_and_no_verdict() {
    let deep = format!("{JOB}x: {}", "[".repeat(10_000));
    let blocks = format!("{JOB}x: \n{}", (0..10_000).map(|depth| " ".repeat(depth) + "a:\n").collect::<String>());
    let json = format!("{{\"kind\":\"Job\",\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{list}]\n");
    }
    let script = JOB.replace("[/a]", &format!("[sh, -c, '{}']", "( ".repeat(100_000)));
    for (what, text) in [("flow", deep), ("block", blocks), ("JSON", json), ("aliases", format!("{bomb}{JOB}"))] {
        let output = check(&text);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{what}: {said}");
        assert!(said.starts_with("standard input:") && said.lines().count() == 1, "{what}: {said}");
    }
    // A script that is not understood is no fault of the file: the verdict says what is not seen.
    assert_eq!(check(&script).status.code(), Some(1));
}

/// Where `- name: HERE` stands, found without a reader of YAML.
fn place(text: &str) -> (usize, usize) {
    let before = &text[..text.find("fluent-bit-here").unwrap()];
    // A quote belongs to what it opens.
    let before = before.strip_suffix(['"', '\'']).unwrap_or(before);
    let line = before.rsplit('\n').next().unwrap();
    (before.matches('\n').count() + 1, line.trim_start_matches('\u{feff}').chars().count() + 1)
}

#[test]
fn a_place_is_right_in_whatever_clothes() {
    let pod = "restartPolicy: Never\n      containers:\n        - name: a\n          image: x\n          command: [/a]\n        - image: \
               fluent/fluent-bit\n          name: fluent-bit-here\n";
    let block = format!("kind: Job\nmetadata:\n  name: ünïcode\nspec:\n  template:\n    spec:\n      {pod}");
    let flow = "{kind: Job, metadata: {name: ü}, spec: {template: {spec: {restartPolicy: Never, containers: [\n  {name: a, command: [/a]}, \
                {image: fluent/fluent-bit, name: 'fluent-bit-here'}]}}}}\n";
    let kyaml = "---\n{\n  kind: \"Job\",\n  metadata: { name: \"ü\" },\n  spec: {\n    template: {\n      spec: {\n        restartPolicy: \
                 \"Never\",\n        containers: [{\n          name: \"a\",\n          command: [\"/a\"],\n        }, {\n          image: \
                 \"fluent/fluent-bit\",\n          name: \"fluent-bit-here\",\n        }],\n      },\n    },\n  },\n}\n";
    let json = "{\"kind\":\"Job\",\n\t\"spec\":{\"template\":{\"spec\":{\"restartPolicy\":\"Never\",\n\t\t\"containers\":[{\"name\":\"a\",\"command\":[\"/a\"]},\n\t\t{\"image\":\"fluent/fluent-bit\", \
                \"name\":\"fluent-bit-here\"}]}}}}";
    let list = format!("kind: List\nitems:\n- {}", block.trim_end().replace('\n', "\n  "));
    let resources =
        format!("apiVersion: config.kubernetes.io/v1\n{}", list.replace("kind: List", "kind: ResourceList"));
    let many = format!("# ü\nkind: Service\n---\n# the job\n{block}---\nkind: Service\n");
    let anchor = block.replace("- image: fluent/fluent-bit", "- image: &image fluent/fluent-bit") + "x: *image\n";
    let tabs = block.replace("image: x\n", "image: x\t# a tab\n");
    let all = [&block, flow, kyaml, json, &list, &resources, &many, &anchor, &tabs];
    for text in all {
        for text in [text.to_owned(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
            let judged = judge(&File::read("test.yaml", text.clone().into_bytes()).unwrap(), &[]).unwrap();
            let found = judged[0].findings[0].place;
            assert_eq!((found.line, found.column), place(&text), "{text}");
            assert_eq!(judged[0].findings[0].rule.name, "sidecar-never-ends");
        }
    }
}
