//! `policy`: admission policies that put exeunt into Pods in the cluster, without a server.
//!
//! There is one text, `policy.yaml`, and one piece for each way in which exeunt comes; `deploy/` holds what comes of them with
//! the default image, and a test compares.

use super::files;
use anyhow::{anyhow, ensure};
use clap::{Arg, ArgMatches, Command};

/// The policies, with `PROGRAM`, `DELIVERY` and `MOUNTS` where they differ.
const POLICY: &str = include_str!("policy/policy.yaml");

/// How exeunt comes into the Pod: the program in the containers, what brings it, and what mounts that. `IMAGE` is the image.
struct Delivery {
    program: &'static str,
    delivery: &'static str,
    mounts: &'static str,
}

const INIT: Delivery = Delivery { program: "/tmp/pod/exeunt", delivery: include_str!("policy/init.cel"), mounts: "" };
const VOLUME: Delivery = Delivery {
    program: "/exeunt/exeunt",
    delivery: include_str!("policy/image.cel"),
    mounts: include_str!("policy/mounts.cel"),
};

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
            Arg::new("deliver")
                .long("deliver")
                .value_name("HOW")
                .value_parser(["init", "image"])
                .default_value("init")
                .help("init: by an init container\nimage: by an image volume (Kubernetes 1.35)"),
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

/// The policies for an image, which comes by a volume or by an init container, and a version of the API.
///
/// # Errors
/// The text is not the name of an image: it would end the string that it stands in.
pub fn policy(image: &str, by_volume: bool, beta: bool) -> anyhow::Result<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    ensure!(!image.is_empty() && image.chars().all(allowed), "--image: {image:?} is not the name of an image");
    let by = if by_volume { VOLUME } else { INIT };
    let text = POLICY.replace("DELIVERY\n", by.delivery).replace("MOUNTS\n", by.mounts).replace("PROGRAM", by.program);
    let text = text.replace("\"IMAGE\"", &format!("\"{image}\""));
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
    let by_volume = matches.get_one::<String>("deliver").is_some_and(|deliver| deliver == "image");
    files::say(&policy(image, by_volume, beta)?)?;
    Ok(0)
}
