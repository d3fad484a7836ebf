//! The promises under a real Kubernetes: what a user of `kubectl` sees of a Job, row by row.
//!
//! `.ci/cluster cargo test --test kubernetes` makes a cluster and plays them; KUBECONFIG may name any other whose nodes
//! have the images of `.ci/images`. Each row has a namespace of its own, so they run side by side.

#[path = "../house/here.rs"]
mod here;

mod examples;
mod mesh;
mod row;
mod rows;
