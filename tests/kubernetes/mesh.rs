//! Injectors of a mesh, in small: an admission policy that puts the stand-in of a proxy into the Pods that ask for it.

use crate::row::Row;
use serde_json::json;
use std::io::Write;
use std::time::Duration;

/// Injects from now on, in the namespace of the row; false where Kubernetes cannot: such policies are in v1 since 1.36. `kind`
/// says where the Pod has its `key`.
#[track_caller]
pub fn injects(row: &Row, mesh: &str, kind: &str, key: &str) -> bool {
    let served = row.kubectl(&["get", "--raw", "/apis/admissionregistration.k8s.io/v1"]);
    if !served.contains("\"mutatingadmissionpolicies\"") {
        let text = format!("SKIPPED {mesh}: this Kubernetes has no MutatingAdmissionPolicy in v1\n");
        let _ = std::io::stderr().write_all(text.as_bytes());
        return false;
    }
    row.apply(&policy(row, mesh, kind, key));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "asked", kind: {key: "true"}},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "asked", "image": "busybox",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    // The API server takes a moment until a policy is in force, and says nowhere when it is.
    let in_force = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        row.would_be(&pod).to_string().contains("-proxy")
    });
    assert!(in_force, "the policy of {mesh} injects nothing");
    true
}

/// It belongs to the namespace, and is deleted with it.
fn policy(row: &Row, mesh: &str, kind: &str, key: &str) -> String {
    let namespace = row.namespace();
    let uid = row.kubectl(&["get", "namespace", namespace, "--output", "jsonpath={.metadata.uid}"]);
    let owner = format!("[{{ apiVersion: v1, kind: Namespace, name: {namespace}, uid: {uid} }}]");
    let name = format!("{mesh}-for-{namespace}");
    format!(
        r#"
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{ name: {name}, ownerReferences: {owner} }}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    namespaceSelector: {{ matchLabels: {{ kubernetes.io/metadata.name: {namespace} }} }}
    resourceRules: [{{ apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods] }}]
  matchConditions:
    - name: asks-for-it
      expression: "has(object.metadata.{kind}) && '{key}' in object.metadata.{kind}"
  mutations:
    - patchType: JSONPatch
      jsonPatch:
        expression: >
          [JSONPatch{{op: "add", path: "/spec/containers/-", value: Object.spec.containers{{
            name: "{mesh}-proxy", image: "exeunt-stand-in-{mesh}",
            securityContext: Object.spec.containers.securityContext{{
              allowPrivilegeEscalation: false,
              capabilities: Object.spec.containers.securityContext.capabilities{{drop: ["ALL"]}}}}}}}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {{ name: {name}, ownerReferences: {owner} }}
spec: {{ policyName: {name} }}
"#
    )
}
