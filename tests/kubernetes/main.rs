//! The promises under a real Kubernetes: what a user of `kubectl` sees of a Job, row by row.
//!
//! `.ci/cluster cargo test --test kubernetes` makes a cluster and plays them; KUBECONFIG may name any other whose nodes
//! have the images `exeunt` and `busybox` of `.ci/cluster`. Each row has a namespace of its own, so they run side by side.

#[path = "../house/here.rs"]
mod here;
mod row;
mod rows;
