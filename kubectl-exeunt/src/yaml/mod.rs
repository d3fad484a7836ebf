//! Bytes to spans, spans to edits, edits to bytes. This room knows YAML and nothing of Kubernetes.
