//! `{{ … }}` in a file: a template of Helm or another tool is refused, and a manifest that holds a program's own template is not.

mod house;

use house::Place;
use std::path::Path;
use std::process::{Command, Output};

/// A manifest that is one, with places where braces are nobody's business but a program's.
const JOB: &str = r#"apiVersion: batch/v1
kind: Job
metadata:
  name: nightly
  annotations:
    summary: "{{ $labels.instance }} is down"
    note: {for: "{{ $value }}"}
spec:
  template:
    metadata:
      labels: {app: nightly}
      annotations:
        vault.hashicorp.com/agent-inject-template-db: |
          {{- with secret "database/creds/db" -}}
          postgres://{{ .Data.username }}:{{ .Data.password }}@db
          {{- end }}
    spec:
      # {{ of no account }}
      restartPolicy: Never
      containers:
        - name: load
          image: load:1
          command: [load, --format, "{{ .Names }}", "--also={{inputs.parameters.x}}"]
          env:
            - {name: PROMPT, value: "{{ user }}"}
            - name: MESSAGE
              value: Dear {{ name }}, hello
        - name: proxy
          image: envoy:1
          command: [envoy]
          args:
            - |
              cat >templates/job.yaml <<.
              image: {{ .Values.image }}
              .
"#;

fn run(words: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt")).args(words).arg(file).output().unwrap()
}

const CALLS: [&[&str]; 4] = [
    &["check"],
    &["rehearse", "--main", "load"],
    &["inject", "--main", "load"],
    &["inject", "--how", "auto", "--diff"],
];

fn refused(file: &Path, place: &str) {
    for words in CALLS {
        let output = run(words, file);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{words:?}: {said}");
        let wanted = format!("{}:{place}: error: a template that is not rendered", file.display());
        assert!(said.starts_with(&wanted), "{words:?}: wanted {wanted}: {said}");
        assert!(said.contains("helm template") && said.contains("post-renderer or the library chart"), "{said}");
        assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
    }
}

fn taken(file: &Path) {
    for words in CALLS {
        let output = run(words, file);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)) && !output.stdout.is_empty(), "{words:?}: {said}");
    }
}

#[test]
fn what_a_program_fills_in_is_no_template_of_ours() {
    let place = Place::new("free");
    taken(&place.write("job.yaml", JOB));
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- {}", JOB.trim_end().replace('\n', "\n  "));
    taken(&place.write("list.yaml", &list));
    // What is not ours to read may be anything: rules of Prometheus, a workflow of Argo.
    let others = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: \"{{x}}\"}\nspec: {image: \"{{inputs.parameters.image}}\"}\n";
    taken(&place.write("both.yaml", &format!("{others}---\n{JOB}")));
}

#[test]
fn what_helm_fills_in_is_refused_even_where_it_is_yaml() {
    let place = Place::new("template");
    for (number, (from, to, at)) in [
        ("name: nightly", "name: \"{{ .Release.Name }}-nightly\"", "4:9"),
        ("name: nightly", "name: {{ .Release.Name }}", "4:9"),
        ("image: load:1", "image: '{{ .Values.image }}:{{ .Values.tag }}'", "22:18"),
        ("image: load:1", "image: registry/{{ image }}", "22:18"),
        ("restartPolicy: Never", "restartPolicy: Never\n      activeDeadlineSeconds: \"{{ deadline }}\"", "20:30"),
        ("labels: {app: nightly}", "labels: {app: nightly, \"{{ key }}\": x}", "11:30"),
        ("value: Dear {{ name }}, hello", "value: \"{{ .Values.message | quote }}\"", "27:22"),
        ("command: [envoy]", "command: [envoy, '{{- include \"x.args\" . }}']", "30:28"),
        ("  name: nightly", "  name: nightly\n  {{- include \"labels\" . | nindent 2 }}", "5:3"),
        ("apiVersion: batch/v1", "{{- if .Values.job }}\napiVersion: batch/v1", "1:1"),
    ]
    .into_iter()
    .enumerate()
    {
        let text = JOB.replacen(from, to, 1);
        assert_ne!(text, JOB);
        refused(&place.write(&format!("{number}.yaml"), &text), at);
    }
}

/// Below `templates` of a chart every brace is Helm's; what has none may well be a manifest.
#[test]
fn a_file_of_a_chart_is_a_template_wherever_its_braces_are() {
    let place = Place::new("chart");
    let file = place.write("chart/templates/jobs/job.yaml", JOB);
    let plain = place.write("chart/templates/plain.yaml", &JOB.replace("{{", "((").replace("}}", "))"));
    taken(&file);
    place.write("chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n");
    refused(&file, "6:15");
    taken(&plain);
    // What an earlier version has put in there can still be taken out.
    let output = run(&["eject"], &file);
    assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap()), (Some(0), JOB.to_owned()));
}
