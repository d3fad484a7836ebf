//! What is no command line, and what nobody can be given: one line on standard error, and exit code 2.

mod house;

use house::Place;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-exeunt");

const JOB: &str = "\
apiVersion: batch/v1
kind: Job
metadata: {name: nightly}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - {name: load, image: load:1, command: [load]}
        - {name: proxy, image: envoy:1, command: [envoy]}
";

const LIST: &str = "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems: []\n";

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_wrong_word_is_one_line_that_says_what_to_do() {
    for (words, wanted) in [
        ("chek", "kubectl exeunt: there is no command 'chek'; did you mean check?"),
        ("zzz", "there is no command 'zzz'; there are check, rehearse, inject, eject, policy, fn"),
        ("--strict check x", "'--strict' found; an option stands behind what it is of: kubectl exeunt check --strict"),
        ("check --formt json x", "kubectl exeunt check: unexpected argument '--formt' found; did you mean --format?"),
        ("check -o json x", "unexpected argument '-o' found; write --format"),
        ("check --format yaml x", "--format: 'yaml' is not known; wanted is one of text, json, sarif, junit, github"),
        ("check --filename=x", "unexpected argument '--filename' found; name the FILE alone"),
        ("check --strict=yes x", "--strict takes no value, and 'yes' stands there; write --strict alone"),
        ("check -n", "--namespace: its value is missing; wanted is NS"),
        ("rehearse", "kubectl exeunt rehearse: FILE|-|KIND/NAME is missing: a manifest, - for standard input, or"),
        ("rehearse a b", "one FILE|-|KIND/NAME is taken, and 'b' stands there, too; call it once for each"),
        ("inject", "kubectl exeunt inject: FILE is missing: a manifest, or - for standard input"),
        ("inject -f x", "kubectl exeunt inject: unexpected argument '-f' found; name the FILE alone"),
        ("inject -main load x", "unexpected argument '-main' found; did you mean --main?"),
        ("inject --zzzzz x", "unexpected argument '--zzzzz' found; see kubectl exeunt inject --help"),
        ("inject --how", "--how: its value is missing; wanted is one of wrap, native, mesh, auto"),
        ("inject --how wrap --how mesh x", "--how is given more than once; give it once"),
        ("inject --diff -i x", "--diff and --in-place exclude each other; give one of them"),
        ("inject --how wrap --on-exit http://a/ x", "--on-exit is for --how mesh"),
        ("inject --path /x x", "--path is for --deliver path"),
        ("inject --image= x", "--image: \"\" is not the name of an image"),
        ("help inject", "kubectl exeunt: there is no command 'help'; did you mean --help?"),
        ("version", "there is no command 'version'; did you mean --version?"),
        ("eject", "kubectl exeunt eject: FILE is missing"),
        ("eject --how wrap x", "unexpected argument '--how' found; see kubectl exeunt eject --help"),
        ("policy x", "kubectl exeunt policy: no word is taken, and 'x' stands there; leave it out"),
        ("policy --api v2", "--api: 'v2' is not known; wanted is one of v1, v1beta1"),
        ("fn --main load", "kubectl exeunt fn: unexpected argument '--main' found; see kubectl exeunt fn --help"),
    ] {
        let output = Command::new(PROGRAM).args(words.split(' ')).stdin(Stdio::null()).output().unwrap();
        let said = said(&output);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{words}: {said}");
        assert!(said.lines().count() == 1 && said.starts_with("error: ") && said.contains(wanted), "{words}: {said}");
    }
}

/// A verdict that is asked for one job would be given for another.
#[test]
fn a_job_that_no_container_is_is_refused() {
    let place = Place::new("nobody");
    let job = place.write("job.yaml", JOB);
    let other = place.write("other.yaml", &JOB.replace("load", "other"));
    for words in [&["check"][..], &["check", "--format", "json"], &["rehearse"]] {
        let ask = |main: &str, files: &[&Path]| {
            let output = Command::new(PROGRAM).args(words).args(["--main", main]).args(files).output().unwrap();
            (output.status.code(), output.stdout.len(), said(&output))
        };
        let wanted = "error: no container is called laod: --main NAME\n".to_owned();
        assert_eq!(ask("laod", &[&job]), (Some(2), 0, wanted), "{words:?}");
        // With several, it is enough that one has it.
        let several: &[&Path] = if words[0] == "check" { &[&job, &other] } else { &[&job] };
        let (code, length, complaint) = ask("load", several);
        assert!(code < Some(2) && length > 0 && complaint.is_empty(), "{words:?}: {complaint}");
    }
}

/// Every subcommand, and every page of help, with what it needs.
fn calls(place: &Place) -> Vec<Vec<String>> {
    let job = place.write("job.yaml", JOB).to_string_lossy().into_owned();
    let all = [
        "check JOB",
        "check --exit-zero --format json JOB",
        "check --format sarif JOB",
        "rehearse JOB",
        "rehearse --format svg JOB",
        "inject --main load JOB",
        "inject --main load --diff JOB",
        "eject JOB",
        "policy",
        "fn",
        "__complete inj",
        "--help",
        "inject --help",
        "--version",
    ];
    all.iter().map(|words| words.split(' ').map(|word| word.replace("JOB", &job)).collect()).collect()
}

fn run(words: &[String], place: &Place, out: Stdio) -> Output {
    let list = place.write("list.yaml", LIST);
    Command::new(PROGRAM).args(words).stdin(File::open(list).unwrap()).stdout(out).output().unwrap()
}

#[test]
fn what_cannot_be_written_is_no_success() {
    let place = Place::new("written");
    for words in calls(&place) {
        // It is only the place of writing that makes the difference.
        let code = run(&words, &place, Stdio::piped()).status.code();
        assert!(matches!(code, Some(0 | 1)), "{words:?}: {code:?}");
        if Path::new("/dev/full").exists() {
            let full = File::options().write(true).open("/dev/full").unwrap();
            let output = run(&words, &place, full.into());
            let said = said(&output);
            assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
            assert!(said.starts_with("error: standard output cannot be written: No space left"), "{words:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
        }
        let list = place.path("list.yaml");
        let mut closed = Command::new("sh");
        closed.arg("-c").arg("exec \"$0\" \"$@\" >&-").arg(PROGRAM).args(&words);
        let output = closed.stdin(File::open(list).unwrap()).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.starts_with("error: standard output is closed"), "{words:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
    }
}

/// `kubectl exeunt check x | head -1` is nothing to complain about, and no success either.
#[test]
fn a_reader_who_has_gone_is_told_nothing() {
    let place = Place::new("gone");
    for words in calls(&place) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run(&words, &place, writer.into());
        assert_eq!(said(&output), "", "{words:?}");
        assert!(!output.status.success(), "{words:?}");
    }
}

/// No file that is opened becomes standard output or error, where these are closed: what is said would be written into it.
#[test]
fn closed_files_are_not_mistaken_for_the_manifest() {
    let place = Place::new("closed");
    let job = place.write("job.yaml", JOB);
    let closed = "exec \"$0\" inject -i --main load \"$1\" <&- >&- 2>&-";
    let output = Command::new("sh").arg("-c").arg(closed).arg(PROGRAM).arg(&job).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let with = std::fs::read_to_string(&job).unwrap();
    assert!(with.contains("exeunt.dev/injected"), "{with}");
    let back = Command::new(PROGRAM).args(["eject".as_ref(), job.as_os_str()]).output().unwrap();
    assert_eq!(String::from_utf8(back.stdout).unwrap(), JOB);
}
