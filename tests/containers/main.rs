//! The promises under real container engines: Docker, and Podman with a Kubernetes Pod manifest.
//!
//! Where no engine is found the tests say SKIPPED on standard error and pass; with CI or EXEUNT_REQUIRE_ENGINES set
//! they fail instead. `.ci/machine cargo test --test containers` brings the engines.

mod docker;
mod engine;
mod examples;
#[path = "../house/here.rs"]
mod here;
mod image;
mod images;
mod kube;
mod pair;
mod pid1;
mod privilege;
