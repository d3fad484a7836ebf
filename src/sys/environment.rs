//! The environment as the kernel gave it to us. Nothing in exeunt changes it.
#![allow(unsafe_code, reason = "libc's list of strings")]

use std::ffi::c_char;

/// One entry: `NAME=VALUE` as a rule, whatever it is otherwise, and a NUL at its end.
#[derive(Clone, Copy, Debug)]
pub struct Entry(*const c_char);

impl Entry {
    /// Where it stands.
    pub fn as_ptr(self) -> *const c_char {
        self.0
    }

    /// Whether it begins with these bytes; one that begins with a text and its NUL is that text.
    pub fn starts_with(self, bytes: &[u8]) -> bool {
        bytes.iter().enumerate().all(|(at, byte)| {
            // SAFETY: the bytes before it were as wanted, and none of them was the NUL at the end.
            let found = unsafe { *self.0.cast::<u8>().add(at) };
            found == *byte && (found != 0 || at + 1 == bytes.len())
        })
    }
}

/// All of it. std would make a copy of each entry, sixty pieces of memory in a Pod.
pub fn entries() -> impl Iterator<Item = Entry> {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: the list lives as long as the process, and a null pointer ends it.
    let mut next = unsafe { environ };
    std::iter::from_fn(move || {
        // SAFETY: the end has not been reached yet, and a list that is not there has none.
        let entry = unsafe { next.as_ref() }.filter(|entry| !entry.is_null())?;
        // SAFETY: as above.
        next = unsafe { next.add(1) };
        Some(Entry(*entry))
    })
}
