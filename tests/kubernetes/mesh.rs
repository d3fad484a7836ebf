//! Injectors of a mesh, in small: an admission policy that puts the stand-in of a proxy into the Pods that ask for it.

use crate::row::{Row, in_time, not_run};
use serde_json::{Value, json};

/// Injects from now on, in the namespace of the row; false where Kubernetes cannot: such policies are in v1 since 1.36, and in
/// v1beta1, where that is served, before. `kind` says where the Pod has its `key`.
#[track_caller]
pub fn injects(row: &Row, mesh: &str, kind: &str, key: &str) -> bool {
    let serves = |version: &&str| {
        let all = row.try_kubectl(&["get", "--raw", &format!("/apis/admissionregistration.k8s.io/{version}")]);
        all.is_ok_and(|all| all.contains("\"mutatingadmissionpolicies\""))
    };
    let Some(version) = ["v1", "v1beta1"].into_iter().find(serves) else {
        not_run("this Kubernetes serves no MutatingAdmissionPolicy");
        return false;
    };
    row.apply(&policy(row, version, mesh, kind, key));
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
    // The API server takes a moment until a policy is in force, and says nowhere when it is; meanwhile it may refuse the Pod.
    let mut seen = Ok(Value::Null);
    let in_force = in_time(|| {
        seen = row.would_be(&pod);
        seen.as_ref().is_ok_and(|pod| pod.to_string().contains("-proxy"))
    });
    assert!(in_force, "the policy of {mesh} injects nothing: {seen:?}");
    true
}

/// It belongs to the namespace, and is deleted with it.
fn policy(row: &Row, version: &str, mesh: &str, kind: &str, key: &str) -> String {
    let namespace = row.namespace();
    let uid = row.kubectl(&["get", "namespace", namespace, "--output", "jsonpath={.metadata.uid}"]);
    let owner = format!("[{{ apiVersion: v1, kind: Namespace, name: {namespace}, uid: {uid} }}]");
    let name = format!("{mesh}-for-{namespace}");
    format!(
        r#"
apiVersion: admissionregistration.k8s.io/{version}
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
apiVersion: admissionregistration.k8s.io/{version}
kind: MutatingAdmissionPolicyBinding
metadata: {{ name: {name}, ownerReferences: {owner} }}
spec: {{ policyName: {name} }}
"#
    )
}
