//! inject and eject: exeunt is in, every other byte stays, and out again is byte for byte what was there.

use kubectl_exeunt::command::inject::{Deliver, How, Injected, Wish, eject, inject};
use kubectl_exeunt::yaml::{File, Node};
use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

fn wish(deliver: Deliver) -> Wish {
    Wish {
        main: Vec::new(),
        how: How::Wrap,
        deliver,
        image: "registry.example/exeunt:1".to_owned(),
        program: "exeunt".to_owned(),
        dir: "/tmp/pod".to_owned(),
        on_exit: Vec::new(),
        entrypoints: BTreeMap::new(),
        options: BTreeMap::new(),
        images: BTreeMap::new(),
    }
}

fn read(text: &str) -> File {
    File::read("job.yaml", text.as_bytes().to_vec()).unwrap_or_else(|refusal| panic!("{refusal}\n{text}"))
}

/// With exeunt in it; and out again it is what it was, and twice is once.
fn there_and_back(text: &str, wish: &Wish) -> String {
    let with = match inject(&read(text), wish) {
        Ok(Injected::Text(with, _)) => with,
        other => panic!("{other:?}\n{text}"),
    };
    assert_ne!(with, text, "nothing was put in");
    assert_eq!(eject(&read(&with)).unwrap(), text);
    match inject(&read(&with), wish) {
        Ok(Injected::Text(again, _)) => assert_eq!(again, with),
        other => panic!("{other:?}"),
    }
    with
}

fn spec(file: &File) -> Node<'_> {
    file.documents().next().and_then(|d| d.root()).and_then(|root| root.path(&["spec", "template", "spec"])).unwrap()
}

fn words(text: &str, container: &str) -> Vec<String> {
    let file = read(text);
    let found =
        spec(&file).get("containers").unwrap().items().find(|item| item.get("name").unwrap().str() == Some(container));
    found.unwrap().get("command").unwrap().items().map(|word| word.text().unwrap().to_owned()).collect()
}

const JOB: &str = "\
apiVersion: batch/v1
kind: Job
metadata: {name: nightly}
spec:
  template:
    spec:
      restartPolicy: Never
      # what runs
      containers:
        # the job
        - name: load
          image: load:1
          command: [sh, -c, 'echo hi']   # flow
        # the proxy
        - image: envoy:1
          name: envoy
          command:
            # first the program
            - envoy

            - -c   # its settings
            - /etc/envoy.json
";

#[test]
fn exeunt_stands_before_both_commands() {
    let with = there_and_back(JOB, &wish(Deliver::Init));
    assert_eq!(words(&with, "load"), ["/tmp/pod/exeunt", "--mode", "main", "--", "sh", "-c", "echo hi"]);
    assert_eq!(words(&with, "envoy"), ["/tmp/pod/exeunt", "--mode", "sidecar", "--", "envoy", "-c", "/etc/envoy.json"]);
    // Every line that was there is there, in its order, but for the one of flow style.
    let mut lines = with.lines();
    for line in JOB.lines().filter(|line| !line.contains("echo hi")) {
        assert!(lines.any(|with| with == line), "{line:?} is gone from\n{with}");
    }
}

#[test]
fn what_the_manifest_tells_is_mirrored() {
    let text = JOB
        .replace("restartPolicy: Never", "restartPolicy: OnFailure\n      terminationGracePeriodSeconds: 90")
        .replace("          image: load:1", "          image: load:1\n          restartPolicy: Never\n          restartPolicyRules:\n          - {action: Restart, exitCodes: {operator: In, values: [42, 43]}}\n          - {action: RestartAllContainers, exitCodes: {operator: In, values: [7]}}");
    let with = there_and_back(&text, &wish(Deliver::Init));
    assert_eq!(words(&with, "load")[1..6], ["--mode", "main", "--restart-on", "42,43", "--"]);
    assert_eq!(words(&with, "envoy")[1..6], ["--mode", "sidecar", "--grace", "90s", "--"]);
    // All containers may start anew in the same volume: the end of the round before must go.
    assert!(with.contains(r#"["/exeunt", "install", "--reset", "/tmp/pod/exeunt"]"#), "{with}");
    assert!(there_and_back(&text, &wish(Deliver::Image)).contains(r#"["/exeunt", "reset", "--dir", "/tmp/pod"]"#));
    let on_failure = JOB.replace("Never", "OnFailure");
    assert_eq!(
        words(&there_and_back(&on_failure, &wish(Deliver::Path)), "load")[..5],
        ["exeunt", "--mode", "main", "--restart-policy", "on-failure"]
    );
    let for_ever = JOB.replace("name: envoy\n", "name: envoy\n          restartPolicy: Always\n");
    let refusal = inject(&read(&for_ever), &wish(Deliver::Init)).unwrap_err().to_string();
    assert!(refusal.starts_with("job.yaml:15:11: error: this container is started again for ever"), "{refusal}");
}

#[test]
fn several_jobs_are_all_awaited() {
    let wish = Wish { main: vec!["load".to_owned(), "envoy".to_owned()], ..wish(Deliver::Path) };
    let text = JOB.to_owned() + "        - name: third\n          image: x\n          command: [x]\n";
    let with = there_and_back(&text, &wish);
    assert_eq!(words(&with, "envoy")[..6], ["exeunt", "--mode", "main", "--name", "envoy", "--"]);
    assert_eq!(words(&with, "third")[..6], ["exeunt", "--mode", "sidecar", "--until", "load,envoy", "--"]);
}

#[test]
fn a_mesh_is_asked() {
    let text = JOB
        .replace("envoy:1", "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2")
        .replace("            - -c   #", "            - --quitquitquit   #");
    let mesh = Wish { how: How::Mesh, ..wish(Deliver::Path) };
    let with = there_and_back(&text, &mesh);
    assert_eq!(words(&with, "load")[..6], ["exeunt", "--mode", "main", "--mesh", "cloud-sql-proxy", "--"]);
    assert_eq!(words(&with, "envoy")[0], "envoy");
    let asked = Wish { on_exit: vec!["http://127.0.0.1:1/quit".to_owned()], ..mesh.clone() };
    assert_eq!(words(&there_and_back(JOB, &asked), "load")[3..5], ["--on-exit", "http://127.0.0.1:1/quit"]);
    // --mesh has a port of its own; another one is told.
    let told = "kind: Job\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n        - name: load\n          \
                image: app\n          command: [/load]\n        - name: proxy\n          image: cloud-sql-proxy\n          args: \
                [--quitquitquit, --admin-port=9095]\n";
    assert_eq!(words(&there_and_back(told, &mesh), "load")[3..5], ["--on-exit", "http://127.0.0.1:9095/quitquitquit"]);
    // Nobody serves the address that was not asked for.
    let deaf = text.replace("--quitquitquit", "--port");
    assert!(matches!(inject(&read(&deaf), &mesh), Ok(Injected::Missing(_))));
}

/// A block scalar keeps the empty lines behind it where `+` stands in its head, and not where one stands in its text.
#[test]
fn empty_lines_behind_a_block_scalar_are_its_own_only_where_its_head_says_so() {
    let job = |head: &str, text: &str| {
        format!(
            "kind: Job\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n        - name: load\n          \
             image: app\n          command: [/load]\n        - name: side\n          image: side\n          command:\n            - sh\n            \
             - -c\n            - {head}\n              {text}\n\n\n"
        )
    };
    for how in [How::Wrap, How::Native] {
        for head in ["|", "|+", ">+ # a+b", "|- # a+b", "|2+"] {
            for text in ["x=$((1 + 2)); side", "side"] {
                let wish = Wish { main: vec!["load".to_owned()], how, ..wish(Deliver::Path) };
                there_and_back(&job(head, text), &wish);
            }
        }
    }
}

/// What inject writes is a command line of exeunt's, to exeunt's own reader.
#[test]
fn exeunt_understands_what_is_written() {
    let text = JOB.replace("restartPolicy: Never", "restartPolicy: OnFailure\n      terminationGracePeriodSeconds: 7")
        + "        - name: third\n          image: x\n          command: [x]\n";
    let both =
        Wish { main: vec!["load".to_owned(), "third".to_owned()], dir: "/shared".to_owned(), ..wish(Deliver::Init) };
    let one = Wish { main: vec!["load".to_owned()], ..both.clone() };
    let url = "http://127.0.0.1:9/quit".to_owned();
    let mesh = Wish { how: How::Mesh, on_exit: vec![url], ..one.clone() };
    for wish in [both, one, mesh] {
        let with = there_and_back(&text, &wish);
        for (container, program) in [("load", "sh"), ("envoy", "envoy"), ("third", "x")] {
            let words = words(&with, container);
            if words[0] != "/shared/exeunt" {
                assert_eq!((wish.how, words[0].as_str()), (How::Mesh, program));
                continue;
            }
            let read = exeunt::cli::command()
                .try_get_matches_from(&words)
                .unwrap_or_else(|error| panic!("{words:?}: {error}"));
            let command: Vec<_> = read.get_many::<std::ffi::OsString>("command").unwrap().collect();
            assert_eq!(command[0], program, "{words:?}");
            assert_eq!(read.get_one::<std::ffi::OsString>("dir").map(|dir| dir.as_os_str()), Some("/shared".as_ref()));
        }
    }
}

#[test]
fn helpers_become_native_sidecars_and_ordinary_ones_again() {
    let native = Wish { how: How::Native, ..wish(Deliver::Path) };
    let three =
        JOB.replace("        # the proxy", "        - name: nginx\n          image: x # tail\n        # the proxy");
    let inits = JOB.replace(
        "      # what runs",
        "      initContainers:\n        - name: first\n          image: f\n      # what runs",
    );
    let first = JOB.replace("        # the job", "        - name: nginx\n          image: x\n        # the job");
    for (text, wanted) in [
        (JOB.to_owned(), vec!["envoy"]),
        (JOB.trim_end().to_owned(), vec!["envoy"]),
        (JOB.replace('\n', "\r\n"), vec!["envoy"]),
        (three, vec!["nginx", "envoy"]),
        (inits, vec!["first", "envoy"]),
        (first, vec!["nginx", "envoy"]),
    ] {
        let with = there_and_back(&text, &native);
        let file = read(&with);
        let list = spec(&file).get("initContainers").unwrap();
        let names: Vec<_> = list.items().map(|item| item.get("name").unwrap().str().unwrap()).collect();
        assert_eq!(names, wanted, "{with}");
        for item in list.items() {
            let always = item.get("restartPolicy").and_then(|policy| policy.str());
            assert_eq!(always, (item.get("name").unwrap().str() != Some("first")).then_some("Always"));
        }
        assert_eq!(spec(&file).get("containers").unwrap().items().len(), 1);
        second_opinion(&with);
    }
    for (text, wanted) in [
        (
            JOB.replace(
                "      # what runs",
                "      initContainers:\n      - name: first\n        image: f\n      # what runs",
            ),
            "indented differently",
        ),
        (
            JOB.replace("      # what runs", "      initContainers: [{name: first, image: f}]\n      # what runs"),
            "has a line for each dash",
        ),
        (JOB.replace("name: envoy\n", "name: envoy\n          restartPolicy: Never\n"), "has a restartPolicy already"),
    ] {
        let refusal = inject(&read(&text), &native).unwrap_err().to_string();
        assert!(refusal.contains(wanted), "{refusal}");
    }
    let with = there_and_back(JOB, &native);
    let edited = with.replace("name: envoy", "name: other");
    assert!(eject(&read(&edited)).unwrap_err().to_string().contains("is not there any more"));
}

/// Between brackets, in one line and in many, with a comment and without: the helper goes and comes back.
#[test]
fn helpers_become_native_sidecars_in_json_and_kyaml() {
    let native = Wish { how: How::Native, ..wish(Deliver::Path) };
    let root = read(JOB).documents().next().and_then(|d| d.root()).unwrap().json().unwrap();
    let pretty = serde_json::to_string_pretty(&root).unwrap();
    let kyaml = "---\n{\n  kind: \"Job\",\n  metadata: {\n    name: \"n\",\n  },\n  spec: {\n    template: {\n      spec: {\n        restartPolicy: \
                 \"Never\",\n        containers: [{\n          name: \"envoy\",\n          image: \"envoy:1\",\n        }, {\n          name: \
                 \"load\", # the job\n          command: [\"load\"],\n        }, # and last\n        {\n          name: \"nginx\",\n          \
                 image: \"nginx\",\n        }],\n      },\n    },\n  },\n}\n";
    let block = "kind: Job\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers: [{name: load, command: [x]},\n        {name: \
                 envoy, image: envoy} ] # two\n";
    let inits = block.replace("      containers", "      initContainers: [{name: first, image: f}]\n      containers");
    let none = block.replace("      containers", "      initContainers: [ ]\n      containers");
    for (text, wanted, left) in [
        (serde_json::to_string(&root).unwrap(), vec!["envoy"], 1),
        (pretty.replace('\n', "\r\n"), vec!["envoy"], 1),
        (pretty, vec!["envoy"], 1),
        (kyaml.to_owned(), vec!["envoy", "nginx"], 1),
        (block.to_owned(), vec!["envoy"], 1),
        (inits, vec!["first", "envoy"], 1),
        (none, vec!["envoy"], 1),
    ] {
        let with = there_and_back(&text, &native);
        let file = read(&with);
        let inits = spec(&file).get("initContainers").unwrap();
        let names: Vec<_> = inits.items().map(|item| item.get("name").unwrap().str().unwrap()).collect();
        assert_eq!((names, spec(&file).get("containers").unwrap().items().len()), (wanted, left), "{with}");
        if text.starts_with('{') {
            let _: serde_json::Value = serde_json::from_str(&with).unwrap_or_else(|error| panic!("{error}\n{with}"));
        }
    }
    // Words that nobody has written are not guessed at.
    let with = there_and_back(block, &native);
    for (from, to) in [(":1:,", ":one:,"), ("%0a", "%zz"), ("%0a", "x"), (":new", "")] {
        let edited = with.replacen(from, to, 1);
        assert_ne!(edited, with);
        let refusal = eject(&read(&edited)).unwrap_or_else(|refusal| refusal.to_string());
        assert!(refusal.contains("cannot be understood") || (from == ":new" && refusal != block), "{refusal}");
    }
}

/// A comment above the first item of a list, above the neighbour of what is new, or above a container that is moved.
#[test]
fn a_comment_stays_above_what_it_is_about() {
    let commented = include_dir("older/commented.yaml");
    let mounts = "          volumeMounts:\n            # shared\n            - {name: rows, mountPath: /tmp/pod}\n";
    let outlives = commented
        .replace("emptyDir: {}", "persistentVolumeClaim: {claimName: rows}")
        .replace("mountPath: /rows", "mountPath: /tmp/pod")
        .replace(
            "          # in front",
            "          env:\n            # of the database\n            - {name: A, value: b}\n          # in front",
        )
        .replace("          image: proxy:1\n", &format!("          image: proxy:1\n{mounts}"));
    assert_eq!(outlives.matches("mountPath: /tmp/pod").count(), 2);
    // Every entry that something could stand before has a comment.
    let every = commented
        .replace("          image: proxy:1\n", "          # which\n          image: proxy:1\n")
        .replace("      restartPolicy", "      # once\n      restartPolicy");
    let further = commented
        .replace("            # the program\n", "      # the program\n")
        .replace("        # the rows", "# the rows");
    let load = |wish: Wish| Wish { main: vec!["load".to_owned()], ..wish };
    let native = Wish { how: How::Native, ..wish(Deliver::Init) };
    let about = |text: &str| -> Vec<(String, String)> {
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let is_comment = |line: &&str| line.trim_start().starts_with('#');
        let below = |at: usize| lines[at..].iter().find(|line| !is_comment(line)).copied().unwrap_or("").to_owned();
        let all = lines.iter().enumerate().filter(|(_, line)| is_comment(line));
        all.map(|(at, line)| ((*line).to_owned(), below(at))).collect()
    };
    for text in [&commented, &outlives, &every, &further] {
        for text in [text.clone(), text.replace('\n', "\r\n"), text.trim_end().to_owned()] {
            for wish in [wish(Deliver::Init), wish(Deliver::Image), wish(Deliver::Path), native.clone()].map(load) {
                let with = there_and_back(&text, &wish);
                let (mut before, mut after) = (about(&text), about(&with));
                // The order of what is moved is another one.
                before.sort();
                after.sort();
                let nothing =
                    |all: &mut Vec<(String, String)>| all.retain(|(comment, _)| !comment.contains("nothing else"));
                nothing(&mut before);
                nothing(&mut after);
                assert_eq!(after, before, "{with}");
                assert!(with.contains("injected: \"2 "), "an older version would take out the comments, too:\n{with}");
            }
        }
    }
}

/// Where the first word of a command is text of several lines: its item begins at the dash, above the text.
#[test]
fn a_first_word_of_many_lines_stays_whole() {
    for header in ["|", ">", "|-", ">+", "|2", ">2-", "|-2", "| # said | so >", "&a |", "!!str >-", "&a !!str |2"] {
        for blank in ["", "\n", "   \n\n"] {
            let text =
                JOB.replace("            - envoy\n", &format!("            - {header}\n{blank}              envoy\n"));
            for text in [text.replace('\n', "\r\n"), text] {
                let with = there_and_back(&text, &wish(Deliver::Init));
                assert_eq!(words(&with, "envoy")[1..4], ["--mode", "sidecar", "--"], "{with}");
                assert_eq!(words(&with, "envoy")[4].trim(), "envoy", "{with}");
                assert!(with.contains(&format!("            - {header}")), "{with}");
            }
        }
    }
}

/// What an earlier build has written is taken out by this one: files as they were written then.
#[test]
fn what_an_older_version_has_put_in_is_taken_out() {
    for (name, bare) in [
        ("init", "bare"),
        ("image", "bare"),
        ("native", "bare"),
        ("commented-init", "commented"),
        ("commented-native", "commented"),
    ] {
        let with = include_dir(&format!("older/{name}.yaml"));
        assert_eq!(eject(&read(&with)).unwrap(), include_dir(&format!("older/{bare}.yaml")), "{name}");
    }
    let newer = include_dir("older/init.yaml").replace("injected: \"1 ", "injected: \"3 ");
    assert!(eject(&read(&newer)).unwrap_err().to_string().contains("another version of exeunt"));
}

fn include_dir(name: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)).unwrap()
}

#[test]
fn auto_does_what_check_advises_and_says_why() {
    let auto = Wish { how: How::Auto, ..wish(Deliver::Path) };
    let told = |text: &str| match inject(&read(text), &auto) {
        Ok(Injected::Text(with, notes)) => (with, notes.join("\n")),
        other => panic!("{other:?}"),
    };
    assert_eq!(words(&there_and_back(JOB, &auto), "envoy")[..3], ["exeunt", "--mode", "sidecar"]);
    assert!(told(JOB).1.contains("Job/nightly never ends: nothing ends envoy; so --how wrap"), "{}", told(JOB).1);
    // Without a command, the kubelet.
    let silent = JOB[..JOB.find("          command:\n").unwrap()].to_owned();
    let (with, notes) = told(&silent);
    assert!(
        with.contains("initContainers:\n        # the proxy\n") || with.contains("restartPolicy: Always"),
        "{with}"
    );
    assert!(notes.contains("so --how native, for what an image runs is not known"), "{notes}");
    assert_eq!(eject(&read(&with)).unwrap(), silent);
    // Where it cannot be moved either, a request; and what that leaves open is said.
    let held = silent.replace("name: envoy\n", "name: envoy\n          restartPolicy: Never\n");
    let refusal = inject(&read(&held), &auto).unwrap_err().to_string();
    assert!(refusal.contains("has a restartPolicy already"), "{refusal}");
    let mixed =
        silent.replace("      # what runs", "      initContainers: [{name: first, image: f}]\n      # what runs");
    let (with, notes) = told(&mixed);
    assert_eq!(words(&with, "load")[..5], ["exeunt", "--mode", "main", "--mesh", "envoy"]);
    assert!(notes.contains("so --how mesh, for what its image runs is not known"), "{notes}");
    // What ends is left alone.
    let ended = there_and_back(JOB, &wish(Deliver::Path));
    let by_hand = ended.lines().filter(|line| !line.contains("exeunt.dev/injected")).collect::<Vec<_>>().join("\n");
    let by_hand = by_hand.replace("    metadata:\n      annotations:\n", "");
    assert_eq!(told(&by_hand).0, by_hand);
    assert!(told(&by_hand).1.contains("ends without exeunt: nothing was put in"), "{}", told(&by_hand).1);
}

/// A proxy that a mesh will put in stands in no manifest, and is asked all the same.
#[test]
fn an_injected_proxy_is_asked() {
    let one = &JOB[..JOB.find("        # the proxy").unwrap()];
    for (label, wanted) in [
        ("labels: {sidecar.istio.io/inject: \"true\"}", "istio"),
        ("annotations:\n        linkerd.io/inject: enabled", "linkerd"),
    ] {
        let text = one.replacen("    spec:\n", &format!("    metadata:\n      {label}\n    spec:\n"), 1);
        for how in [How::Mesh, How::Auto] {
            let with = there_and_back(&text, &Wish { how, ..wish(Deliver::Path) });
            assert_eq!(words(&with, "load")[..5], ["exeunt", "--mode", "main", "--mesh", wanted]);
        }
        match inject(&read(&text), &wish(Deliver::Init)) {
            Ok(Injected::Text(with, notes)) => {
                assert_eq!(with, text);
                assert!(notes[0].contains(&format!("{wanted}-proxy, is not in the manifest")), "{notes:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    // Who has no known address needs one.
    let vault =
        one.replacen("    spec:\n", "    metadata:\n      annotations: {dapr.io/enabled: \"true\"}\n    spec:\n", 1);
    assert!(matches!(inject(&read(&vault), &Wish { how: How::Mesh, ..wish(Deliver::Init) }), Ok(Injected::Missing(_))));
}

/// A volume that all of them mount at the directory is used; if it outlives the Pod, its records get the Pod's name.
#[test]
fn a_shared_volume_that_is_there_is_used() {
    let mount = |text: &str, extra: &str| {
        text.replace("          image: load:1\n", &format!("          image: load:1\n          volumeMounts: [{{name: data, mountPath: /tmp/pod/{extra}}}]\n"))
            .replace("          name: envoy\n", &format!("          name: envoy\n          volumeMounts:\n            - {{name: data, mountPath: /tmp/pod{extra}}}\n"))
    };
    let with_volume = |kind: &str, extra: &str| {
        mount(JOB, extra).replace(
            "      # what runs",
            &format!("      volumes:\n        - name: data\n          {kind}\n      # what runs"),
        )
    };
    for deliver in [Deliver::Init, Deliver::Image, Deliver::Path] {
        let short = there_and_back(&with_volume("emptyDir: {}", ""), &wish(deliver));
        assert!(!short.contains("exeunt-pod") && !short.contains("EXEUNT_RUN_ID"), "{short}");
        let claim = with_volume("persistentVolumeClaim: {claimName: data}", ", subPath: runs");
        let long = there_and_back(&claim, &wish(deliver));
        let variable = "{name: EXEUNT_RUN_ID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}";
        assert_eq!(long.matches(variable).count(), 2, "{long}");
        assert_eq!(
            long.contains("{name: data, mountPath: /tmp/pod, subPath: runs}]"),
            deliver == Deliver::Init,
            "{long}"
        );
        let file = read(&long);
        let judged = kubectl_exeunt::judge::judge(&file, &[]).unwrap();
        assert_eq!(judged[0].verdict.name(), "ends", "{}\n{long}", judged[0].why);
        assert!(judged[0].findings.is_empty(), "{:?}", judged[0].findings);
        // Who has such a name already keeps it.
        let named =
            claim.replace("command: [sh,", "env: [{name: EXEUNT_RUN_ID, value: mine}]\n          command: [sh,");
        assert_eq!(there_and_back(&named, &wish(deliver)).matches("EXEUNT_RUN_ID").count(), 2);
    }
    for (text, wanted) in [
        (with_volume("configMap: {name: x}", ""), "nobody can write /tmp/pod"),
        (mount(JOB, ""), "there is no volume data"),
        (with_volume("emptyDir: {}", ", readOnly: true"), "load must be able to write"),
        (with_volume("emptyDir: {}", ", subPathExpr: $(A)"), "subPathExpr"),
        (
            with_volume("emptyDir: {}", "").replace(
                "            - {name: data, mountPath: /tmp/pod}\n",
                "            - {name: data, mountPath: /else}\n",
            ),
            "envoy has to mount data at /tmp/pod, too",
        ),
    ] {
        let refusal = inject(&read(&text), &wish(Deliver::Init)).unwrap_err().to_string();
        assert!(refusal.contains(wanted) && refusal.contains("--dir PATH"), "{refusal}");
    }
}

/// What somebody has asked for stands behind what the manifest tells, and instead of it where both say the same.
#[test]
fn options_that_are_asked_for_are_written() {
    let text = JOB.replace("restartPolicy: Never", "restartPolicy: Never\n      terminationGracePeriodSeconds: 90").replacen(
        "    spec:\n",
        "    metadata:\n      annotations:\n        exeunt.dev/options.load: --wait-for 'exec:test -e /up'\n        \
         exeunt.dev/options.envoy: --name envoy --grace=5s\n    spec:\n",
        1,
    );
    let with = there_and_back(&text, &wish(Deliver::Path));
    assert_eq!(words(&with, "load")[..6], ["exeunt", "--mode", "main", "--wait-for", "exec:test -e /up", "--"]);
    assert_eq!(words(&with, "envoy")[..7], ["exeunt", "--mode", "sidecar", "--name", "envoy", "--grace=5s", "--"]);
    let output = run(&["inject", "--options", "load=--stop-with envoy", "--options", "envoy=--name envoy", "-"], JOB);
    assert_eq!(words(text_of(&output), "load")[3..5], ["--stop-with", "envoy"]);
    // exeunt's own reader says what it would refuse, at the place of it.
    for (from, to, wanted) in [
        ("--name envoy --grace=5s", "--grace=5x", "job.yaml:"),
        ("--name envoy --grace=5s", "--mesh envoy", "--mesh"),
        ("'exec:test -e /up'", "'exec:test", "a quote that is not closed"),
    ] {
        let refusal = inject(&read(&text.replace(from, to)), &wish(Deliver::Path)).unwrap_err().to_string();
        assert!(refusal.contains(wanted), "{refusal}");
    }
    let output = run(&["inject", "--options", "load", "-"], JOB);
    assert_eq!(output.status.code(), Some(2));
    assert!(text_of_error(&output).contains("--options load: wanted is NAME="), "{output:?}");
}

fn text_of(output: &Output) -> &str {
    text(&output.stdout)
}

fn text_of_error(output: &Output) -> &str {
    text(&output.stderr)
}

/// Jobs with names of their own, in one file.
#[test]
fn each_object_has_its_own_job() {
    // Of neither is it known otherwise which container is the job.
    let one = JOB.replace("envoy:1", "x").replace("name: envoy", "name: b").replace("- envoy\n", "- b\n");
    let other = one.replace("name: load", "name: report").replace("name: nightly", "name: weekly");
    let both = format!("{one}---\n{other}");
    let unknown = inject(&read(&both), &Wish { main: vec!["load".to_owned()], ..wish(Deliver::Path) });
    assert!(
        matches!(unknown, Ok(Injected::Missing(missing)) if missing[0].starts_with("Job/weekly: which of report, b"))
    );
    let wish =
        |main: &[&str]| Wish { main: main.iter().map(|name| (*name).to_owned()).collect(), ..wish(Deliver::Path) };
    let with = there_and_back(&both, &wish(&["load", "report"]));
    assert_eq!(with.matches("\"--mode\", \"main\"").count(), 2, "{with}");
    match inject(&read(&both), &wish(&["load", "reprot"])) {
        Ok(Injected::Missing(missing)) => assert!(missing[0].contains("no container is called reprot"), "{missing:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_entrypoint_must_be_known_or_nothing_is_done() {
    let text =
        JOB.replace("          command: [sh, -c, 'echo hi']   # flow\n", "          args: [a]\n") + "---\n" + JOB;
    match inject(&read(&text), &wish(Deliver::Init)) {
        Ok(Injected::Missing(missing)) => {
            assert_eq!(missing.len(), 1);
            assert!(missing[0].contains("--entrypoint 'load="), "{missing:?}");
            assert!(missing[0].ends_with("or --lookup docker"), "a job is no sidecar: {missing:?}");
        }
        other => panic!("{other:?}"),
    }
    // What is advised for a helper works.
    let silent = JOB[..JOB.find("          command:\n").unwrap()].to_owned();
    match inject(&read(&silent), &wish(Deliver::Init)) {
        Ok(Injected::Missing(missing)) => {
            assert!(missing[0].ends_with("or --how native (Kubernetes 1.29)"), "{missing:?}")
        }
        other => panic!("{other:?}"),
    }
    there_and_back(&silent, &Wish { how: How::Native, ..wish(Deliver::Init) });
    let entrypoints = BTreeMap::from([("load".to_owned(), vec!["/load".to_owned(), "$(X)".to_owned()])]);
    let with = there_and_back(&text, &Wish { entrypoints, ..wish(Deliver::Init) });
    assert_eq!(words(&with, "load")[4..], ["/load", "$$(X)"]);
    let annotated = text.replacen(
        "    spec:\n",
        "    metadata:\n      annotations:\n        exeunt.dev/entrypoint.load: '[\"/load\"]'\n    spec:\n",
        1,
    );
    assert_eq!(words(&there_and_back(&annotated, &wish(Deliver::Init)), "load")[4..], ["/load"]);
}

#[test]
fn nothing_is_put_where_it_does_not_belong() {
    let untouched = [
        JOB.replace("Never", "Always"),
        JOB.replace("[sh,", "[exeunt, --mode, main, --, sh,"),
        JOB.replace("'echo hi'", "exec /x/exeunt --mode main -- x"),
        JOB.replace("[sh,", "[/tools/entrypoint, sh,"),
        JOB.replace("name: envoy", "name: airflow-xcom-sidecar"),
        JOB.replace("kind: Job", "kind: Workflow"),
        JOB[..JOB.find("        # the proxy").unwrap()].to_owned(),
        String::new(),
        "# nothing\n".to_owned(),
    ];
    for text in untouched {
        match inject(&read(&text), &wish(Deliver::Init)) {
            Ok(Injected::Text(with, _)) => assert_eq!(with, text),
            other => panic!("{other:?}\n{text}"),
        }
        assert_eq!(eject(&read(&text)).unwrap(), text);
    }
}

#[test]
fn what_must_not_be_touched_is_refused_in_one_line() {
    let anchored = JOB.replace("command: [sh,", "command: &c [sh,") + "          env: []\n          args: *c\n";
    let twice = JOB.replace("name: envoy\n", "name: envoy\n          image: other\n");
    let merged = JOB
        .replace("metadata: {name", "x: &x {image: y}\nmetadata: {name")
        .replace("          image: load:1\n", "          <<: *x\n");
    let aliased = JOB
        .replace("metadata: {name", "x: &x [work]\nmetadata: {name")
        .replace("command: [sh, -c, 'echo hi']", "command: *x");
    let taken = JOB.replace(
        "          image: load:1\n",
        "          image: load:1\n          volumeMounts: [{name: a, mountPath: /tmp/pod/}]\n",
    );
    for (text, wanted) in [
        (anchored, "job.yaml:5:"),
        (twice, "the key image stands here twice"),
        (merged, "a merge key (<<)"),
        (aliased, "an alias stands here"),
        (taken, "--dir PATH"),
        (JOB.replace("name: load", "name: {{ .Values.name }}"), "helm template"),
        (JOB.replace("      # what runs", "      volumes: [{name: exeunt-pod}]"), "job.yaml:8:"),
    ] {
        let refusal = inject(&read(&text), &wish(Deliver::Init)).unwrap_err().to_string();
        assert!(refusal.contains(wanted) || refusal.contains("mean something else"), "{refusal}");
        assert_eq!(refusal.lines().count(), 1);
    }
}

#[test]
fn what_was_changed_since_is_not_taken_out_by_guess() {
    let with = there_and_back(JOB, &wish(Deliver::Init));
    let edited = with.replace("command: [\"/tmp/pod/exeunt\"", "command: [\"nice\", \"/tmp/pod/exeunt\"");
    assert_ne!(edited, with);
    let refusal = eject(&read(&edited)).unwrap_err().to_string();
    assert!(refusal.contains("was changed since"), "{refusal}");
    // What does not concern us may change as it likes.
    let edited = with.replace("image: load:1", "image: load:2\n          env: [{name: A, value: b}]");
    assert_eq!(
        eject(&read(&edited)).unwrap(),
        JOB.replace("image: load:1", "image: load:2\n          env: [{name: A, value: b}]")
    );
}

/// A generator without a package: what it makes depends on the seed alone.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len() as u64) as usize]
    }

    fn is(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }
}

/// A Job in some style, with comments where nobody wants them.
fn some_job(dice: &mut Dice) -> String {
    let mut out = String::new();
    if dice.is(20) {
        out += "---\n";
    }
    if dice.is(30) {
        out += "# a head: with - signs\n\n";
    }
    let dash = dice.one(&["", "  ", "    "]);
    out += "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec:\n";
    let step = dice.one(&["  ", "    ", " "]);
    let comment = |dice: &mut Dice, out: &mut String, pad: &str| {
        if dice.is(15) {
            *out += &format!("{pad}# about: [this]\n");
        }
        if dice.is(8) {
            *out += "\n";
        }
        if dice.is(4) {
            *out += "# at the margin\n";
        }
    };
    let tail = |dice: &mut Dice| dice.one(&["", "", "", " # tail", "   "]);
    let two = step.repeat(2);
    let three = step.repeat(3);
    out += &format!("{step}template:{}\n", tail(dice));
    match dice.roll(5) {
        0 => out += &format!("{two}metadata: {{}}\n"),
        1 => out += &format!("{two}metadata: {{labels: {{a: b}}}}\n"),
        2 => out += &format!("{two}metadata:\n{three}annotations:\n{three}  # ours\n{three}  a: \"b\" # c\n"),
        _ => {}
    }
    out += &format!("{two}spec:{}\n", tail(dice));
    if dice.is(50) {
        out += &format!("{three}restartPolicy: OnFailure\n");
    }
    comment(dice, &mut out, &three);
    match dice.roll(5) {
        0 => out += &format!("{three}volumes: []\n"),
        1 => out += &format!("{three}volumes: [{{name: a, emptyDir: {{}}}}]{}\n", tail(dice)),
        2 => out += &format!("{three}volumes:\n{three}{dash}- name: a # v\n{three}{dash}  emptyDir: {{}}\n"),
        _ => {}
    }
    out += &format!("{three}containers:{}\n", tail(dice));
    let item = format!("{three}{dash}");
    for (name, program) in [("load", "load"), ("envoy", "envoy")] {
        comment(dice, &mut out, &item);
        let gap = dice.one(&[" ", "   "]);
        let pad = format!("{item}{}", " ".repeat(1 + gap.len()));
        if dice.is(15) {
            out += &format!("{item}-{gap}{{name: {name}, command: [{program}, 'a b'], image: \"i\"}}{}\n", tail(dice));
            continue;
        }
        out += &format!("{item}-{gap}name: {name}{}\n", tail(dice));
        if dice.is(30) {
            out += &format!(
                "{pad}env:\n{pad}- name: T\n{pad}  value: |{}\n{pad}    some text\n\n{pad}      more\n",
                dice.one(&["", "-", "+"])
            );
            if dice.is(50) {
                out += "\n\n";
            }
        }
        comment(dice, &mut out, &pad);
        match dice.roll(5) {
            0 => out += &format!("{pad}command: [{program}, \"x\\ty\", 'it''s']{}\n", tail(dice)),
            1 => out += &format!("{pad}command: [\n{pad}  {program}, # why\n{pad}  b,\n{pad}]\n"),
            2 => {
                out += &format!(
                    "{pad}command:{}\n{pad}{dash}- {program}\n{pad}{dash}- >\n{pad}{dash}    folded\n{pad}{dash}    text\n",
                    tail(dice)
                )
            }
            3 => out += &format!("{pad}command:\n{pad}# above\n{pad}- &a {program}\n{pad}- ! tagged\n"),
            _ => out += &format!("{pad}command: [ {program} ]\n{pad}args:\n{pad}- \"--\"\n"),
        }
        if dice.is(30) {
            out += &format!(
                "{pad}volumeMounts: {}\n",
                dice.one(&[
                    "[]",
                    "[ ]",
                    "[{name: a, mountPath: /a}]",
                    "[\n          {name: a, mountPath: /a},\n          ]"
                ])
            );
        }
        out += &format!("{pad}image: i{}\n", tail(dice));
    }
    if !out.contains("OnFailure") {
        comment(dice, &mut out, &three);
        out += &format!("{three}restartPolicy: Never\n");
    }
    if dice.is(20) {
        out += "\n# the end\n";
    }
    if dice.is(15) {
        out += &out.clone().replace("---\n", "").replacen("apiVersion", "---\napiVersion", 1);
    }
    if dice.is(15) {
        out.truncate(out.trim_end().len());
    }
    if dice.is(20) {
        out = out.replace('\n', "\r\n");
    }
    if dice.is(5) {
        out.insert(0, '\u{feff}');
    }
    out
}

/// The same data to somebody else's reader.
fn second_opinion(text: &str) {
    // It knows no byte order mark, and keeps the carriage return of a folded line.
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let theirs: yaml_edit::YamlFile = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(theirs.to_string(), text);
    let file = read(&text);
    let ours = file.documents().filter_map(|document| document.root());
    for (theirs, ours) in theirs.documents().filter(|document| document.as_mapping().is_some()).zip(ours) {
        let get = |keys: &[&str]| {
            let mut node = theirs.as_mapping().and_then(|map| map.get(keys[0]));
            for key in &keys[1..] {
                node = node.and_then(|node| node.get(*key));
            }
            node
        };
        for list in ["containers", "initContainers", "volumes"] {
            let theirs = get(&["spec", "template", "spec", list]);
            let ours = ours.path(&["spec", "template", "spec", list]);
            assert_eq!(theirs.is_some(), ours.is_some(), "{list}\n{text}");
            for (index, item) in ours.into_iter().flat_map(|list| list.items()).enumerate() {
                let other = theirs
                    .as_ref()
                    .and_then(|list| list.get_item(index))
                    .unwrap_or_else(|| panic!("{list} {index}\n{text}"));
                let name = other.get("name").map(|name| name.to_string().trim().to_owned());
                let name = name.as_deref().map(|name| name.trim_matches('"'));
                assert_eq!(name, item.get("name").and_then(|name| name.text()), "{list} {index}\n{text}");
                for list in ["command", "volumeMounts"] {
                    let (theirs, ours) = (other.get(list), item.get(list));
                    let count = theirs.as_ref().and_then(|list| list.as_sequence().map(|list| list.len()));
                    assert_eq!(count, ours.map(|list| list.items().len()), "{list}\n{text}");
                }
            }
        }
    }
}

#[test]
fn generated_manifests_come_back_byte_for_byte() {
    let mut dice = Dice(0x5eed_cafe_f00d);
    let mut refused = Vec::new();
    for round in 0..250 {
        let text = some_job(&mut dice);
        let deliver = [Deliver::Image, Deliver::Init, Deliver::Path][round % 3];
        let with = there_and_back(&text, &wish(deliver));
        assert!(words(&with, "envoy").contains(&"envoy".to_owned()));
        // Refused is only what has no neighbour to be put beside.
        match inject(&read(&text), &Wish { how: How::Native, ..wish(deliver) }) {
            Ok(_) => drop(there_and_back(&text, &Wish { how: How::Native, ..wish(deliver) })),
            Err(refusal) => refused.push(format!("{refusal}\n{text}")),
        }
        if round % 10 == 0 {
            second_opinion(&with);
        }
    }
    assert!(refused.len() < 12, "{}: {}", refused.len(), refused.join("\n\n"));
}

#[test]
fn json_and_kyaml_are_manifests_too() {
    let json = read(JOB).documents().next().and_then(|d| d.root()).unwrap().json().unwrap();
    let pretty = serde_json::to_string_pretty(&json).unwrap();
    for text in [json.to_string(), pretty.clone(), pretty + "\n"] {
        let with = there_and_back(&text, &wish(Deliver::Image));
        let data: serde_json::Value = serde_json::from_str(&with).unwrap_or_else(|error| panic!("{error}\n{with}"));
        assert_eq!(data["spec"]["template"]["spec"]["containers"][0]["command"][0], "/exeunt/exeunt");
    }
    let kyaml = "---\n{\n  kind: \"Job\",\n  spec: {\n    template: {\n      spec: {\n        restartPolicy: \"Never\",\n        containers: [{\n          name: \"load\", # one\n          command: [\n            \"load\",\n          ],\n        }, {\n          name: \"envoy\",\n          command: [\"envoy\"],\n        }],\n      },\n    },\n  },\n}\n";
    let with = there_and_back(kyaml, &wish(Deliver::Init));
    assert!(with.contains("volumes: [{name: \"exeunt-pod\", emptyDir: {}}],\n"), "{with}");
    let cron = JOB.replace("kind: Job", "kind: CronJob").replace("spec:\n  template:\n    spec:\n", "spec: {jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, command: [a]}, {name: nginx, command: [b]}]}}}}}\n");
    let cron = &cron[..cron.find("      restartPolicy: Never\n").unwrap()];
    let list =
        format!("kind: List\nitems:\n- kind: List\n  items:\n  -   {}", cron.trim_end().replace('\n', "\n      "));
    assert!(
        there_and_back(&list, &wish(Deliver::Path)).contains("command: [\"exeunt\", \"--mode\", \"main\", \"--\", a]")
    );
}

fn run(words: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its options is gone before it has read.
    _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_program_says_by_its_code_what_it_has_done() {
    let with = run(&["inject", "-"], JOB);
    assert_eq!((with.status.code(), text(&with.stderr)), (Some(0), "standard input: Job/nightly: exeunt is in\n"));
    let back = run(&["eject", "-"], text(&with.stdout));
    assert_eq!((back.status.code(), text(&back.stdout)), (Some(0), JOB));
    let unknown = run(
        &["inject", "-"],
        &JOB.replace("envoy:1", "x").replace("name: envoy", "name: b").replace("- envoy\n", "- b\n"),
    );
    assert_eq!((unknown.status.code(), text(&unknown.stdout)), (Some(1), ""));
    assert!(text(&unknown.stderr).contains("which of load, b is the job is not known: --main NAME"), "{unknown:?}");
    for (words, input) in [
        (&["inject", "-"][..], "a: ["),
        (&["inject", "/nowhere"], ""),
        (&["inject", "--entrypoint", "a=/b", "-"], JOB),
        (&["inject", "--dir", "pod", "-"], JOB),
        (&["inject", "-i", "-"], JOB),
        (&["inject"], ""),
    ] {
        let refused = run(words, input);
        assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(2), ""), "{words:?}");
        assert!(text(&refused.stderr).contains("error: "), "{refused:?}");
    }
}

const SILENT: &str = "\
kind: Job
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: load, image: IMAGE, args: [a]}
      - {name: envoy, image: IMAGE}
";

/// Makes a program of a file. Another process writes it: a child that another test starts at that moment would hold what this
/// one has open for writing, and what is open for writing cannot be executed.
#[cfg(unix)]
fn install(from: &std::path::Path, to: &std::path::Path) {
    assert!(Command::new("install").args(["-m", "755"]).args([from, to]).status().unwrap().success());
}

/// A stand-in for a tool, found by PATH.
#[cfg(unix)]
fn with_tool(tool: &str, script: &str, input: &str) -> Output {
    let directory = tempdir();
    let text = directory.join("script");
    std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
    install(&text, &directory.join(tool));
    let manifest = directory.join("job.yaml");
    std::fs::write(&manifest, input).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"))
        .args(["inject", "--lookup", tool, manifest.to_str().unwrap()])
        .env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
        .output()
        .unwrap();
    std::fs::remove_dir_all(directory).unwrap();
    output
}

#[cfg(unix)]
#[test]
fn tools_tell_what_an_image_runs() {
    let input = SILENT.replace("IMAGE", "x:1");
    for (tool, script) in [
        (
            "crane",
            r#"case $* in 'manifest x:1') echo '{}' ;; 'config x:1') echo '{"config":{"Entrypoint":["/e","$(A)"],"Cmd":["c"]}}' ;; *) exit 1 ;; esac"#,
        ),
        (
            "skopeo",
            r#"case $* in 'inspect --raw docker://x:1') echo '{}' ;; 'inspect --config docker://x:1') echo '{"config":{"Entrypoint":["/e","$(A)"],"Cmd":["c"]}}' ;; *) exit 1 ;; esac"#,
        ),
        (
            "docker",
            r#"[ "$*" = 'image inspect x:1' ] && echo '[{"Id":"1","Config":{"Entrypoint":["/e","$(A)"],"Cmd":["c"]}}]'"#,
        ),
    ] {
        let output = with_tool(tool, script, &input);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(words(text(&output.stdout), "load")[4..], ["/e", "$$(A)"]);
        assert_eq!(words(text(&output.stdout), "envoy")[4..], ["/e", "$$(A)", "c"]);
        let told =
            format!("what envoy runs is from {tool}, of the image x:1, whose tag can move: [\"/e\",\"$(A)\",\"c\"]");
        assert!(text(&output.stderr).contains(&told), "{output:?}");
        assert_eq!(eject(&read(text(&output.stdout))).unwrap(), input);
    }
    // Without ENTRYPOINT the arguments are the program; without both there is none.
    let output = with_tool("crane", r#"echo '{"config":{"Cmd":["/c"]}}'"#, &input);
    assert_eq!(words(text(&output.stdout), "load").last().map(String::as_str), Some("--"));
    assert_eq!(words(text(&output.stdout), "envoy").last().map(String::as_str), Some("/c"));
    for script in [
        "echo no such image >&2; exit 1",
        "echo nothing",
        r#"echo '{"config":{}}'"#,
        "echo '[]'",
        r#"echo '{"config":{"Cmd":"c"}}'"#,
    ] {
        let output = with_tool("crane", script, &input);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""), "{output:?}");
        assert!(text(&output.stderr).contains("--entrypoint"), "{output:?}");
    }
}

/// A registry may have an image for several platforms, and the node chooses: they must run the same.
#[cfg(unix)]
#[test]
fn all_platforms_of_an_image_must_agree() {
    let input = SILENT.replace("IMAGE", "x:1");
    let index = r#"{"manifests":[{"platform":{"os":"linux","architecture":"amd64"}},{"platform":{"os":"unknown","architecture":"unknown"}},{"platform":{"os":"linux","architecture":"arm64","variant":"v8"}},{"platform":{"os":"windows","architecture":"amd64"}}]}"#;
    let config = |on: &str, word: &str| {
        format!(r#"{{"os":"linux","architecture":"{on}","config":{{"Entrypoint":["{word}"]}}}}"#)
    };
    for (word, code) in [("/e", 0), ("/other", 1)] {
        let (amd, arm) = (config("amd64", "/e"), config("arm64", word));
        let crane = format!(
            "case $* in 'manifest x:1') echo '{index}' ;; '--platform linux/amd64 config x:1') echo '{amd}' ;; '--platform linux/arm64/v8 config \
             x:1') echo '{arm}' ;; *) exit 1 ;; esac"
        );
        let skopeo = format!(
            "case $* in 'inspect --raw docker://x:1') echo '{index}' ;; '--override-os linux --override-arch amd64 inspect --config \
             docker://x:1') echo '{amd}' ;; '--override-os linux --override-arch arm64 --override-variant v8 inspect --config docker://x:1') \
             echo '{arm}' ;; *) exit 1 ;; esac"
        );
        for (tool, script) in [("crane", crane), ("skopeo", skopeo)] {
            let output = with_tool(tool, &script, &input);
            assert_eq!(output.status.code(), Some(code), "{output:?}");
            let said = text(&output.stderr);
            if code == 0 {
                assert!(said.contains("of the image x:1 for linux/amd64, linux/arm64, whose tag can move"), "{said}");
            } else {
                assert_eq!(text(&output.stdout), "");
                assert!(said.contains("x:1 runs another program on linux/arm64/v8 than on linux/amd64"), "{said}");
            }
        }
    }
}

/// The engines themselves, with an image that is nothing but its configuration.
#[cfg(unix)]
#[test]
fn engines_tell_what_an_image_runs() {
    let required = std::env::var_os("EXEUNT_REQUIRE_ENGINES").is_some_and(|value| value == "1");
    for engine in ["docker", "podman"] {
        if !Command::new(engine).arg("info").output().is_ok_and(|output| output.status.success()) {
            assert!(!required, "{engine} does not work here");
            eprintln!("NOT TRIED: {engine} does not work here");
            continue;
        }
        let image = format!("localhost/kubectl-exeunt-{}:1", std::process::id());
        let mut import = Command::new(engine)
            .args(["import", "--change", r#"ENTRYPOINT ["/e","-x"]"#, "--change", r#"CMD ["c"]"#, "-", &image])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The end of an archive with nothing in it.
        std::io::Write::write_all(&mut import.stdin.take().unwrap(), &[0; 10240]).unwrap();
        let imported = import.wait_with_output().unwrap();
        assert!(imported.status.success(), "{imported:?}");
        let input = SILENT.replace("IMAGE", &image);
        let output = run(&["inject", "--lookup", engine, "-"], &input);
        let removed = Command::new(engine).args(["rmi", "--force", &image]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(removed.status.success(), "{removed:?}");
        assert_eq!(words(text(&output.stdout), "load")[4..], ["/e", "-x"]);
        assert_eq!(words(text(&output.stdout), "envoy")[4..], ["/e", "-x", "c"]);
    }
}

#[test]
fn a_diff_has_what_is_new_and_nothing_else() {
    let directory = tempdir();
    for deliver in ["init", "image"] {
        let path = directory.join("job.yaml");
        std::fs::write(&path, JOB).unwrap();
        let name = path.to_str().unwrap();
        let diff = run(&["inject", "--deliver", deliver, "--diff", name], "");
        let with = run(&["inject", "--deliver", deliver, name], "");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), JOB);
        let added: Vec<&str> =
            text(&diff.stdout).lines().filter(|line| line.starts_with('+') && !line.starts_with("+++")).collect();
        let removed: Vec<&str> =
            text(&diff.stdout).lines().filter(|line| line.starts_with('-') && !line.starts_with("---")).collect();
        assert_eq!(removed, ["-          command: [sh, -c, 'echo hi']   # flow"]);
        assert_eq!(added.len(), text(&with.stdout).lines().count() - JOB.lines().count() + 1);
    }
    std::fs::remove_dir_all(directory).unwrap();
}

/// What a reviewer sees is what git makes of it, for files of every kind, there and back.
#[test]
fn a_diff_is_one_that_git_applies() {
    let directory = tempdir();
    let path = directory.join("job.yaml");
    let plugin = |words: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"));
        let output = program.args(words).arg("job.yaml").current_dir(&directory).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        output.stdout
    };
    let apply = |diff: &[u8]| {
        std::fs::write(directory.join("change.diff"), diff).unwrap();
        let mut git = Command::new("git");
        let output = git.args(["apply", "-p0", "change.diff"]).current_dir(&directory).output().unwrap();
        assert!(output.status.success(), "{output:?}\n{}", String::from_utf8_lossy(diff));
        std::fs::read(&path).unwrap()
    };
    let json = read(JOB).documents().next().and_then(|d| d.root()).unwrap().json().unwrap();
    let list = format!("kind: List\nitems:\n- {}", JOB.trim_end().replace('\n', "\n  "));
    let spread = JOB
        .replace("          image: load:1\n", &format!("          image: load:1\n{}", "          # more\n".repeat(9)));
    let whole = [JOB.to_owned(), JOB.trim_end().to_owned(), JOB.replace('\n', "\r\n"), list, spread];
    let json = [json.to_string(), serde_json::to_string_pretty(&json).unwrap()];
    for before in whole.iter().chain(&json) {
        for how in [&["--deliver=init"][..], &["--deliver=image"], &["--how=native"]] {
            std::fs::write(&path, before).unwrap();
            let words = |word| [&["inject", "--main=load"], how, word].concat();
            let with = plugin(&words(&[]));
            let diff = plugin(&words(&["--diff"]));
            assert!(apply(&diff) == with, "{how:?}\n{before}");
            assert!(apply(&plugin(&["eject", "--diff"])) == before.as_bytes(), "{how:?}\n{before}");
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
}

/// Who reads the output through a pipe, or as a file, must not take a part of it for all.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_one_line_and_nothing_is_claimed() {
    let directory = tempdir();
    let file = directory.join("job.yaml");
    std::fs::write(&file, there_and_back(JOB, &wish(Deliver::Init))).unwrap();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    std::fs::write(directory.join("bare.yaml"), JOB).unwrap();
    for words in [&["inject", "bare.yaml"][..], &["inject", "--diff", "bare.yaml"], &["eject", "job.yaml"], &["policy"]]
    {
        let mut program = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"));
        let output = program.args(words).current_dir(&directory).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let wanted = "error: standard output cannot be written: No space left on device (os error 28)\n";
        assert_eq!(text(&output.stderr), wanted, "{words:?}");
        // Without a reader for the notes the work is done all the same.
        let mut program = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"));
        let output = program.args(words).current_dir(&directory).stderr(full()).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(0), false), "{words:?}");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

/// What would be nothing, or about nobody, is said.
#[test]
fn what_is_about_nothing_is_said() {
    let none = run(&["inject", "-"], "kind: Service\n");
    assert_eq!((none.status.code(), text(&none.stdout)), (Some(0), "kind: Service\n"));
    assert_eq!(text(&none.stderr), "standard input: there is no Job, CronJob or Pod in it; nothing was put in\n");
    let bare = run(&["eject", "-"], JOB);
    assert_eq!((bare.status.code(), text(&bare.stdout)), (Some(0), JOB));
    assert_eq!(text(&bare.stderr), "standard input: nothing is in it that inject has put in\n");
    for option in ["--main=envy", "--options=envy=--grace 5s", "--entrypoint=envy=[\"/e\"]"] {
        let nobody = run(&["inject", option, "-"], JOB);
        assert_eq!((nobody.status.code(), text(&nobody.stdout)), (Some(1), ""), "{option}");
        assert!(text(&nobody.stderr).contains("no container is called envy; there are load, envoy: --"), "{nobody:?}");
    }
}

/// A comment stays with what it is about.
#[test]
fn a_comment_above_an_annotation_stays_above_it() {
    let annotated = |annotations: &str| {
        JOB.replacen("    spec:\n", &format!("    metadata:\n      annotations:\n{annotations}    spec:\n"), 1)
    };
    let with = there_and_back(&annotated("        # why\n        a: b\n        c: d\n"), &wish(Deliver::Init));
    assert!(with.contains("        # why\n        a: b\n        exeunt.dev/injected: "), "{with}");
}

/// Where a file cannot be replaced it stays, and the line names it.
#[cfg(unix)]
#[test]
fn what_cannot_be_replaced_stays() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let directory = tempdir();
    let file = directory.join("job.yaml");
    std::fs::write(&file, JOB).unwrap();
    // Root may write everywhere, so it steps down, and takes the program along.
    let program = directory.join("kubectl-exeunt");
    install(env!("CARGO_BIN_EXE_kubectl-exeunt").as_ref(), &program);
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o555)).unwrap();
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let mut command = if root { Command::new("setpriv") } else { Command::new(&program) };
    if root {
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
    }
    let output = command.args(["inject", "-i"]).arg(&file).output().unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    let wanted = "job.yaml: error: this file cannot be replaced, and is as it was: Permission denied (os error 13)\n";
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).ends_with(wanted) && text(&output.stderr).lines().count() == 1, "{output:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), JOB);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2);
    std::fs::remove_dir_all(directory).unwrap();
}

/// What is read once, from a pipe, has nothing that could be replaced.
#[cfg(unix)]
#[test]
fn a_pipe_is_not_replaced() {
    use std::os::unix::fs::FileTypeExt as _;
    let directory = tempdir();
    let pipe = directory.join("job.yaml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (writer, path) = (pipe.clone(), pipe.clone());
    let writer = std::thread::spawn(move || std::fs::write(writer, JOB).unwrap());
    let output = run(&["inject", "-i", path.to_str().unwrap()], "");
    writer.join().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let wanted = "error: this file cannot be replaced, and is as it was: it is no regular file; leave out -i\n";
    assert!(text(&output.stderr).ends_with(wanted) && text(&output.stderr).lines().count() == 1, "{output:?}");
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    std::fs::remove_dir_all(directory).unwrap();
}

#[cfg(unix)]
#[test]
fn in_place_keeps_the_owner_the_mode_and_what_a_link_points_to() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let directory = tempdir();
    let (file, link) = (directory.join("job.yaml"), directory.join("link.yaml"));
    std::fs::write(&file, JOB).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("job.yaml", &link).unwrap();
    // Only root can give a file away; whoever else runs this keeps it.
    let own = std::fs::metadata(&file).unwrap();
    let (user, group) = if own.uid() == 0 { (12345, 12346) } else { (own.uid(), own.gid()) };
    std::os::unix::fs::chown(&file, Some(user), Some(group)).unwrap();
    let done = run(&["inject", "-i", link.to_str().unwrap()], "");
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(0), ""));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    let now = std::fs::metadata(&file).unwrap();
    assert_eq!((now.uid(), now.gid(), now.mode() & 0o7777), (user, group, 0o640));
    assert!(std::fs::read_to_string(&file).unwrap().contains("/tmp/pod/exeunt"));
    assert_eq!(run(&["eject", "-i", file.to_str().unwrap()], "").status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), JOB);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2);
    std::fs::remove_dir_all(directory).unwrap();
}

fn tempdir() -> std::path::PathBuf {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("kubectl-exeunt-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir(&path).unwrap();
    path
}

/// Who is the job inject knows as check does: by the command, by what a shell waits for, by an annotation.
#[test]
fn the_job_is_who_check_says_it_is() {
    let pod = |helper: &str, note: &str| {
        format!(
            "kind: Job\nmetadata: {{name: n}}\nspec:\n  template:\n    metadata: {{annotations: {{{note}}}}}\n    spec:\n      \
             restartPolicy: Never\n      containers:\n      - {{name: load, image: nginx, command: [/load]}}\n      \
             - {{name: other, image: x, command: {helper}}}\n"
        )
    };
    for (helper, note) in [
        ("[/usr/bin/envoy]", ""),
        ("[sh, -c, 'while ! [ -f /pod/over ]; do sleep 1; done']", ""),
        ("[tail, -f, /var/log/x]", ""),
        ("[/other]", "exeunt.dev/sidecars: other"),
    ] {
        let output = run(&["inject", "-"], &pod(helper, note));
        let (said, complaint) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{helper}: {complaint}");
        let load = said.lines().find(|line| line.contains("name: load")).unwrap();
        assert!(load.contains("main") && !load.contains("sidecar"), "{said}");
    }
    let unknown = run(&["inject", "-"], &pod("[/other]", ""));
    assert!(text(&unknown.stderr).contains("which of load, other is the job is not known"), "{unknown:?}");
}
