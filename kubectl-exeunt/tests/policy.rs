//! The admission policies: one text, wherever it stands.

mod house;

use house::{Place, pass_over};
use kubectl_exeunt::command::policy::policy;
use kubectl_exeunt::yaml::File;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn documents(text: &str) -> Vec<Value> {
    let file = File::read("policy", text.as_bytes().to_vec()).unwrap();
    file.documents().filter_map(|document| document.root()).map(|root| root.json().unwrap()).collect()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt")).arg("policy").args(arguments).output().unwrap()
}

fn component() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize")
}

#[test]
fn deploy_holds_what_the_command_prints() {
    let components = [("init", component()), ("image", component().with_file_name("kustomize-image-volume"))];
    for (deliver, component) in &components {
        let output = run(&["--deliver", deliver]);
        assert_eq!(output.status.code(), Some(0));
        let stored = std::fs::read_to_string(component.join("policy.yaml")).unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), stored);
    }
    // Two ways to bring exeunt, and one to ask for it.
    let data =
        components.map(|(_, path)| documents(&std::fs::read_to_string(path.join("kustomization.yaml")).unwrap()));
    assert_eq!(data[0], data[1]);
}

/// Nothing that is to be filled in is left over, and what is the same for both is the same.
#[test]
fn both_ways_of_delivery_come_from_one_text() {
    for by_volume in [false, true] {
        let text = policy("IMG", by_volume, false).unwrap();
        assert!(!["DELIVERY", "MOUNTS", "PROGRAM", "IMAGE"].iter().any(|word| text.contains(word)), "{text}");
        let program = if by_volume { "[\"/exeunt/exeunt\"," } else { "[\"/tmp/pod/exeunt\"," };
        assert_eq!(text.matches(program).count(), 1, "{text}");
        assert_eq!(text.matches("\"IMG\"").count(), 1);
    }
    let guard = |by_volume| documents(&policy("exeunt", by_volume, false).unwrap()).split_off(1);
    assert_eq!(guard(false), guard(true));
}

#[test]
fn four_objects_that_belong_together() {
    let all = documents(&policy("exeunt", false, false).unwrap());
    let kinds: Vec<_> = all.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    let wanted = [
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    assert_eq!(kinds, wanted);
    for (of, binding) in [(0, 1), (2, 3)] {
        assert_eq!(all[of]["metadata"]["name"], all[binding]["spec"]["policyName"]);
        assert_eq!(all[of]["spec"]["failurePolicy"], "Fail");
        // Pods, not Jobs: a Job's template must not change after its creation, and an apply of the same file would try to.
        assert_eq!(all[of]["spec"]["matchConstraints"]["resourceRules"][0]["resources"], serde_json::json!(["pods"]));
    }
}

#[test]
fn the_traps_of_the_api_server_are_kept_out() {
    let all = documents(&policy("exeunt", false, false).unwrap());
    let mutations = all[0]["spec"]["mutations"].as_array().unwrap();
    assert_eq!(mutations.len(), 1, "an empty list does not survive from one mutation to the next");
    let expression = mutations[0]["jsonPatch"]["expression"].as_str().unwrap();
    // A patch whose value is a list with an object in it makes API server 1.36.2 panic.
    assert!(!expression.contains("value: [Object"), "{expression}");
    let (mut round, mut curly, mut square) = (0, 0, 0);
    for c in expression.chars() {
        match c {
            '(' => round += 1,
            ')' => round -= 1,
            '{' => curly += 1,
            '}' => curly -= 1,
            '[' => square += 1,
            ']' => square -= 1,
            _ => {}
        }
    }
    assert_eq!((round, curly, square), (0, 0, 0), "{expression}");
}

/// A Pod of a manifest that `inject` has changed, or a person, may carry the label as well.
#[test]
fn nothing_is_wrapped_twice() {
    let manifest = "kind: Job\nmetadata: {name: n}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      \
                    - {name: load, image: a, command: [load]}\n      - {name: envoy, image: b, command: [envoy]}\n";
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"))
        .args(["inject", "--main", "load", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), manifest.as_bytes()).unwrap();
    let injected = documents(std::str::from_utf8(&child.wait_with_output().unwrap().stdout).unwrap()).remove(0);
    let volume = injected["spec"]["template"]["spec"]["volumes"][0]["name"].as_str().unwrap();
    let all = documents(&policy("exeunt", false, false).unwrap());
    let condition = |index: usize| all[0]["spec"]["matchConditions"][index]["expression"].as_str().unwrap();
    assert!(condition(0).contains(&format!("'{volume}'")), "{volume}");
    assert!(condition(1).contains("endsWith('/exeunt')"));
    // What the policy itself puts in is known by the same name.
    let expression = all[0]["spec"]["mutations"][0]["jsonPatch"]["expression"].as_str().unwrap();
    assert!(expression.contains(&format!("Object.spec.volumes{{name: \"{volume}\"")), "{expression}");
}

#[test]
fn the_guard_leaves_injected_proxies_alone() {
    let all = documents(&policy("exeunt", false, false).unwrap());
    assert_eq!(all[2]["spec"]["variables"][0]["name"], "own");
    let bare = all[2]["spec"]["variables"][0]["expression"].as_str().unwrap();
    for proxy in ["istio-proxy", "linkerd-proxy", "vault-agent"] {
        assert!(bare.contains(&format!("'{proxy}'")), "{bare}");
    }
}

#[test]
fn the_older_api_is_for_the_mutating_half_only() {
    let all = documents(&policy("exeunt", false, true).unwrap());
    let versions: Vec<_> =
        all.iter().map(|one| one["apiVersion"].as_str().unwrap().rsplit('/').next().unwrap()).collect();
    assert_eq!(versions, ["v1beta1", "v1beta1", "v1", "v1"]);
}

/// By the schemas of Kubernetes itself. What an API server makes of them is tried in admission.rs, by the version it has.
#[test]
fn each_kubernetes_knows_every_word_that_is_printed_for_it() {
    let Some(validate) = std::env::var_os("EXEUNT_KUBERNETES_VALIDATE").filter(|path| !path.is_empty()) else {
        return pass_over("it needs EXEUNT_KUBERNETES_VALIDATE, a kubernetes-validate (.ci/machine COMMAND brings it)");
    };
    let place = Place::new("policy");
    let known = |version: &str, text: &str| {
        let file = place.write("policy.yaml", text);
        let mut command = Command::new(&validate);
        let output = command.args(["--strict", "--kubernetes-version", version]).arg(file).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (said.matches(" passed for resource ").count(), said)
    };
    for by_volume in [false, true] {
        // An API that a version has not yet is no error to it: its two objects are only not known.
        for (beta, version, wanted) in
            [(true, "1.34", 4), (true, "1.35", 4), (false, "1.35", 2), (false, "1.36", 4), (false, "1.37", 4)]
        {
            let (passed, said) = known(version, &policy("exeunt", by_volume, beta).unwrap());
            assert_eq!(passed, wanted, "{version}: {said}");
        }
        let misspelt = policy("exeunt", by_volume, true).unwrap().replace("reinvocationPolicy", "reinvocationPolic");
        let (passed, said) = known("1.35", &misspelt);
        assert!(passed == 3 && said.contains("'reinvocationPolic' was unexpected"), "{said}");
    }
}

#[test]
fn an_image_with_a_digest_and_none_that_breaks_out() {
    let text = policy("registry.example:5000/a/exeunt@sha256:00ff", false, false).unwrap();
    assert!(text.contains("image: \"registry.example:5000/a/exeunt@sha256:00ff\""));
    for wrong in ["", "a\"}", "a b", "a\nb"] {
        let output = run(&["--image", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn the_component_labels_the_pod_template() {
    let text = std::fs::read_to_string(component().join("kustomization.yaml")).unwrap();
    let component = documents(&text).remove(0);
    for (patch, path) in component["patches"]
        .as_array()
        .unwrap()
        .iter()
        .zip(["/spec/template/metadata/labels", "/spec/jobTemplate/spec/template/metadata/labels"])
    {
        let object = documents(patch["patch"].as_str().unwrap()).remove(0);
        assert_eq!(object["kind"], patch["target"]["kind"]);
        assert_eq!(object.pointer(path).unwrap(), &serde_json::json!({"exeunt.dev/inject": "true"}));
    }
}
