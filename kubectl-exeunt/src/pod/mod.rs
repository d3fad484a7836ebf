//! What a Pod template says, each fact with its place in the manifest.
