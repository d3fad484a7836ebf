//! What is large, deep or odd is answered all the same, and every place is right to the column, in whatever clothes.

use kubectl_exeunt::judge::judge;
use kubectl_exeunt::yaml::File;
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

/// What a file takes grows with it and no faster: 2 MB of nothing but small Jobs, in 128 MiB of addresses, program and all.
#[test]
fn a_file_of_many_jobs_takes_no_more_than_sixty_times_its_length() {
    let text = format!("---\n{JOB}").repeat(10_500);
    assert!(text.len() > 2_000_000, "{}", text.len());
    let place = std::env::temp_dir().join(format!("exeunt-limits-{}.yaml", std::process::id()));
    std::fs::write(&place, text).unwrap();
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 131072; exec \"$0\" check \"$1\"", env!("CARGO_BIN_EXE_kubectl-exeunt")])
        .arg(&place)
        .output()
        .unwrap();
    std::fs::remove_file(&place).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.matches("Job/n never ends: nothing ends logs\n").count(), 10_500);
}

/// Each nothing is looked for behind the comments in front of it: that takes no longer in a long file than in a short one.
#[test]
fn a_hundred_thousand_empty_items_with_comments_take_their_time_only_once() {
    let of = |items: usize| {
        let text = format!("{JOB}x:\n{}", "- # nothing\n".repeat(items));
        let start = std::time::Instant::now();
        let file = File::read("long.yaml", text.into_bytes()).unwrap();
        let took = start.elapsed();
        assert_eq!(file.comments().count(), items);
        took
    };
    // A quadratic look-up makes it a hundred times more; the rest is for a machine that is busy.
    let (short, long) = ((0..5).map(|_| of(10_000)).min().unwrap(), of(100_000));
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
