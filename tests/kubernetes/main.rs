//! The promises under a real Kubernetes: what a user of `kubectl` sees of a Job, row by row.
//!
//! `.ci/cluster cargo test --test kubernetes` makes a cluster and plays them; KUBECONFIG may name any other whose nodes
//! have the images of `.ci/images`. Each row has a namespace of its own, so they run side by side; those of `against`
//! disturb the node, and each of them has the cluster to itself.

#[path = "../house/mod.rs"]
mod house;
#[allow(dead_code, reason = "there the lives are decided by a seed, here they are written down")]
#[path = "../kubelet_plays/mod.rs"]
mod plays;
use house::here;

mod again;
mod against;
mod earlier;
mod ends;
mod examples;
mod lives;
mod mesh;
mod node;
mod orders;
mod places;
mod pod;
mod real;
mod row;
mod several;
