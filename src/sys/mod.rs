//! Doors to the kernel, one file each. They decide nothing and do not know each other.

pub mod child;
pub mod descriptors;
pub mod memory;
pub mod signals;
pub mod terminal;
