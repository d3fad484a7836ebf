//! `policy`: admission policies that put exeunt into Pods in the cluster, without a server.
//!
//! There is one text, `policy.yaml`; `deploy/` holds it with the default image, and a test compares.

use anyhow::{anyhow, ensure};
use clap::{Arg, ArgMatches, Command};
use std::io::Write as _;

/// The policies, with `IMAGE` where the image stands.
const POLICY: &str = include_str!("policy/policy.yaml");

pub(super) fn options() -> Command {
    Command::new("policy")
        .about("Admission policies that inject in the cluster, no server needed")
        .arg(
            Arg::new("image")
                .long("image")
                .value_name("REF")
                .default_value("exeunt")
                .help("The image that holds /exeunt; best with its digest"),
        )
        .arg(
            Arg::new("api")
                .long("api")
                .value_name("VERSION")
                .value_parser(["v1", "v1beta1"])
                .default_value("v1")
                .help("v1: Kubernetes 1.36\nv1beta1: 1.34 and 1.35, where MutatingAdmissionPolicy is switched on"),
        )
}

/// The policies for an image and a version of the API.
///
/// # Errors
/// The text is not the name of an image: it would end the string that it stands in.
pub fn policy(image: &str, beta: bool) -> anyhow::Result<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    ensure!(!image.is_empty() && image.chars().all(allowed), "--image: {image:?} is not the name of an image");
    let text = POLICY.replace("image: \"IMAGE\"", &format!("image: \"{image}\""));
    if !beta {
        return Ok(text);
    }
    // Only the mutating half was young then; its guard is v1 since Kubernetes 1.30.
    let documents = text.split("---\n").map(|document| {
        if document.contains("kind: Mutating") {
            document.replace("admissionregistration.k8s.io/v1\n", "admissionregistration.k8s.io/v1beta1\n").replace(
                "# For Kubernetes 1.36; for 1.34 and 1.35: kubectl exeunt policy --api v1beta1.\n",
                "# For Kubernetes 1.34 and 1.35 with the feature gate MutatingAdmissionPolicy and this API switched on.\n",
            )
        } else {
            document.to_owned()
        }
    });
    Ok(documents.collect::<Vec<_>>().join("---\n"))
}

pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<u8> {
    let image = matches.get_one::<String>("image").ok_or_else(|| anyhow!("--image has no value"))?;
    let beta = matches.get_one::<String>("api").is_some_and(|api| api == "v1beta1");
    std::io::stdout().write_all(policy(image, beta)?.as_bytes())?;
    Ok(0)
}
