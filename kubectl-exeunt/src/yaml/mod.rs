//! Bytes to spans, spans to edits, edits to bytes. This room knows YAML and nothing of Kubernetes.
//!
//! [`File::read`] turns the bytes of a file into documents of [`Node`]s that know their exact place. Nothing is expanded:
//! an alias is followed when somebody looks, so that no bomb goes off. JSON and KYAML are YAML in flow style.

mod edit;
mod load;
mod place;
mod scalar;
mod tree;

/// What is said of a template.
pub const TEMPLATE: &str = "a template that is not rendered ({{ }}); render it first: helm template … | kubectl exeunt … -; a chart has Helm's post-renderer or the library chart";

pub use edit::{Change, Data, Edit, Gap, Moved, Step, apply, is_above_comments, may_touch, moving};
pub use load::{Limits, Text};
pub use place::{Place, Refusal};
pub use scalar::Kind;
pub use tree::{Comment, Document, Entry, File, Node, Shape, Span, Style};
