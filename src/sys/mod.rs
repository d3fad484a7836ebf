//! Doors to the kernel, one file each. They decide nothing; only the one to processes uses others, in the child.

pub mod child;
pub mod descriptors;
pub mod environment;
pub mod lookup;
pub mod memory;
pub mod mounts;
pub mod ourselves;
pub mod signals;
pub mod terminal;
