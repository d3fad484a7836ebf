//! Memory for a short life: a small area from which pieces are cut one after the other, and libc's allocator after that.
//!
//! Most of what exeunt allocates, it allocates once, before the command is started: the definition of the command line
//! above all. musl's allocator maps and unmaps a region for nearly each size of piece as it grows: fifty pairs of system
//! calls and twice as many page faults, 0.4 ms of a start that takes 0.6. What is freed in here is lost, unless it was the
//! last piece; so once the area is used up, for the rest of a sidecar's life, everything is libc's business.
#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};

/// Somewhat more than the start of either mode takes. Pages that are never touched cost nothing.
const SIZE: usize = 128 * 1024;
/// As malloc(3) aligns whatever is asked for. Some packages have come to rely on it: nix 0.31 builds the control message
/// of sendmsg(2) in a vector of bytes.
const ALIGNMENT: usize = 16;
/// What the start of main mode takes.
const USUAL: usize = 52 * 1024;

/// The allocator of the program.
#[derive(Debug)]
pub struct Memory {
    area: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
    /// How much of the area has ever been handed out: what lies behind it is still zero.
    seen: AtomicUsize,
}

// SAFETY: a piece of the area belongs to whoever has moved `used` beyond it, in one atomic step.
unsafe impl Sync for Memory {}

impl Memory {
    /// All of it free.
    #[expect(clippy::new_without_default, reason = "there is one, and it is static")]
    pub const fn new() -> Memory {
        Memory { area: UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0), seen: AtomicUsize::new(0) }
    }

    fn base(&self) -> *mut u8 {
        self.area.get().cast()
    }

    /// Where in the area a piece lies, if it is ours.
    fn offset(&self, piece: *mut u8) -> Option<usize> {
        let offset = piece.addr().wrapping_sub(self.base().addr());
        (offset < SIZE).then_some(offset)
    }

    /// Asks the kernel for the pages that every start needs, all at once: a page fault costs five times as much.
    pub fn prepare(&self) {
        const MADV_POPULATE_WRITE: libc::c_int = 23;
        let page = self.base().map_addr(|address| address & !4095);
        // SAFETY: it writes nothing; a kernel before 5.14 does not know it, and the pages come one by one.
        unsafe { libc::madvise(page.cast(), USUAL, MADV_POPULATE_WRITE) };
    }

    /// A piece of the area and whether it is known to be zero, or `None` if there is no room.
    fn cut(&self, layout: Layout) -> Option<(*mut u8, bool)> {
        loop {
            let used = self.used.load(Relaxed);
            let start =
                (self.base().addr() + used).next_multiple_of(layout.align().max(ALIGNMENT)) - self.base().addr();
            let end = start.checked_add(layout.size()).filter(|end| *end <= SIZE)?;
            if self.swap(used, end) {
                let fresh = self.seen.fetch_max(end, Relaxed) <= start;
                // SAFETY: within the area.
                return Some((unsafe { self.base().add(start) }, fresh));
            }
        }
    }

    /// Moves the end of what is in use, if nobody has moved it meanwhile. What was written into a piece by the thread that
    /// gave it back comes before what the next owner does.
    fn swap(&self, from: usize, to: usize) -> bool {
        to <= SIZE && self.used.compare_exchange(from, to, AcqRel, Relaxed).is_ok()
    }
}

// SAFETY: pieces do not overlap, see `Sync`; they are aligned, and never moved.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.cut(layout) {
            Some((piece, _)) => piece,
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match self.cut(layout) {
            Some((piece, true)) => piece,
            Some((piece, false)) => {
                // SAFETY: it is that long.
                unsafe { piece.write_bytes(0, layout.size()) };
                piece
            }
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match self.offset(piece) {
            // Anything but the last piece is lost.
            Some(offset) => drop(self.swap(offset + layout.size(), offset)),
            // SAFETY: it came from there.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(offset) = self.offset(piece) else {
            // SAFETY: it came from there.
            return unsafe { System.realloc(piece, layout, size) };
        };
        let fits = size <= SIZE - offset;
        if size <= layout.size() {
            return piece;
        }
        if fits && self.swap(offset + layout.size(), offset + size) {
            self.seen.fetch_max(offset + size, Relaxed);
            return piece;
        }
        // SAFETY: the caller's promise: the size is not zero and does not overflow with this alignment.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: two different pieces, each at least as long as the shorter one.
            unsafe { std::ptr::copy_nonoverlapping(piece, new, layout.size().min(size)) };
        }
        new
    }
}
