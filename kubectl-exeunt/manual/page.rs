//! kubectl-exeunt(1). What an option means is said by the program's own help; the rest is here.

#[path = "../../docs/manual/markdown.rs"]
#[allow(dead_code, reason = "the page of the init uses more of it")]
mod markdown;

use clap::{Arg, Command};
use kubectl_exeunt::command;
use markdown::{Page, escaped, inline, roff};

/// They ask the program itself what fits, so there is nothing in them that could grow old.
pub const COMPLETIONS: [(&str, &str); 3] = [
    ("completions/kubectl-exeunt.bash", include_str!("kubectl-exeunt.bash")),
    ("completions/_kubectl-exeunt", include_str!("kubectl-exeunt.zsh")),
    ("completions/kubectl-exeunt.fish", include_str!("kubectl-exeunt.fish")),
];

const DESCRIPTION: &str = "\
A Kubernetes Job is complete when every container of its Pod has exited. A sidecar that serves never does, and the Job
hangs. `kubectl exeunt` tells from a manifest whether that will happen, plays every way in which the Pod can end, and puts
the init exeunt(1) in front of the commands, with which they leave together.

It is for laptops, CI and GitOps. It writes to no cluster, and speaks to one only where it is asked to, through the user's
own kubectl. Manifests are YAML, KYAML or JSON; all that is not changed on purpose stays as it is, byte for byte.
";

const EXIT_STATUS: &str = "\
- `0`: done; nothing at or above the threshold was found
- `1`: something was found (check); a life does not end or breaks a promise (rehearse); something is not known, and nothing was put in (inject)
- `2`: what was given cannot be read, judged or touched; one line says what, where, and what to do
";

const EXAMPLES: &str = "\
Would it end, and how?

```
kubectl exeunt check nightly.yaml
kubectl exeunt rehearse nightly.yaml
```

Put exeunt in, look at what would change first, take it out again:

```
kubectl exeunt inject --diff nightly.yaml
kubectl exeunt inject -i nightly.yaml
kubectl exeunt eject -i nightly.yaml
```

What a chart or a kustomization makes:

```
helm template chart | kubectl exeunt inject - | kubectl apply -f -
kustomize build | kubectl exeunt check -
```

One policy for a cluster:

```
kubectl exeunt policy --image registry.example/exeunt:0.1.0 | kubectl apply -f -
```
";

/// The page.
pub fn page() -> String {
    let command = command::options("kubectl exeunt");
    let mut page = Page::new("KUBECTL-EXEUNT", env!("CARGO_PKG_VERSION"));
    let visible: Vec<&Command> = command.get_subcommands().filter(|one| !one.is_hide_set()).collect();
    page.section(
        "NAME",
        "kubectl\\-exeunt \\- would this Job ever end? judges manifests, plays Pods, puts exeunt in\n",
    );
    let lines: Vec<String> = visible.iter().map(|one| usage(one)).collect();
    page.section("SYNOPSIS", &format!(".nf\n{}\n.fi\n", lines.join("\n")));
    page.section("DESCRIPTION", &roff(DESCRIPTION));
    page.section("COMMANDS", &visible.iter().map(|one| subcommand(one)).collect::<String>());
    page.section("EXIT STATUS", &roff(EXIT_STATUS));
    page.section("EXAMPLES", &roff(EXAMPLES));
    page.section("SEE ALSO", ".BR exeunt (1),\n.BR kubectl (1)\n");
    page.text()
}

fn usage(command: &Command) -> String {
    let place = |argument: &Arg| {
        let name = argument.get_value_names().and_then(|names| names.first()).map_or("FILE", |name| name.as_str());
        let name = format!("\\fI{}\\fR", escaped(name));
        let name = if argument.is_required_set() { name } else { format!("[{name}]") };
        let many = argument.get_num_args().is_some_and(|range| range.max_values() > 1);
        if many { format!(" {name}...") } else { format!(" {name}") }
    };
    let places: String = command.get_positionals().map(place).collect();
    format!("\\fBkubectl exeunt {}\\fR [\\fIOPTIONS\\fR]{places}", command.get_name())
}

fn subcommand(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut out = format!(".SS {}\n{}.\n", usage(command), inline(&about));
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set() && argument.get_id() != "help") {
        let long = argument.get_long();
        let mut head = argument.get_short().map(|short| format!("\\fB\\-{short}\\fR, ")).unwrap_or_default();
        let value = argument.get_value_names().and_then(|names| names.first()).map(|name| name.as_str());
        let value = value.filter(|_| argument.get_action().takes_values()).unwrap_or("");
        head += &match long {
            Some(long) => format!("\\fB{}\\fR", escaped(&format!("--{long}"))),
            None => String::new(),
        };
        if !value.is_empty() {
            head += &format!("{}\\fI{}\\fR", if long.is_some() { " " } else { "" }, escaped(value));
        }
        let mut lines: Vec<String> =
            argument.get_help().map(ToString::to_string).unwrap_or_default().lines().map(inline).collect();
        let values: Vec<_> = argument
            .get_possible_values()
            .iter()
            .map(|value| format!("\\fB{}\\fR", escaped(value.get_name())))
            .collect();
        if argument.get_action().takes_values() && !values.is_empty() {
            lines.push(format!("One of {}.", values.join(", ")));
        }
        if let Some(default) =
            argument.get_default_values().first().and_then(|value| value.to_str()).filter(|_| !value.is_empty())
        {
            lines.push(format!("Default: \\fB{}\\fR.", escaped(default)));
        }
        out += &format!(".TP\n{head}\n{}\n", lines.join("\n.br\n"));
    }
    out
}
