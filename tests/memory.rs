//! The allocator of the program: pieces that do not overlap, zero where zero is promised, and libc when the area is full.
#![allow(unsafe_code, reason = "an allocator is asked for raw memory")]

use exeunt::sys::memory::Memory;
use std::alloc::{GlobalAlloc, Layout};

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 1).expect("a size")
}

#[test]
fn pieces_are_aligned_as_malloc_aligns_them_and_do_not_overlap_however_many_threads_ask() {
    static MEMORY: Memory = Memory::new();
    let threads: Vec<_> = (1..=4u8)
        .map(|mark| {
            std::thread::spawn(move || {
                // More than the area holds, so that some come from libc.
                let pieces: Vec<_> = (1..400)
                    .map(|size| {
                        // SAFETY: the size is not zero, and the piece is that long.
                        let piece = unsafe { MEMORY.alloc(layout(size)) };
                        unsafe { piece.write_bytes(mark, size) };
                        (piece.expose_provenance(), size)
                    })
                    .collect();
                for (address, size) in &pieces {
                    let piece = std::ptr::with_exposed_provenance::<u8>(*address);
                    assert_eq!(address % 16, 0);
                    // SAFETY: nobody has given it back.
                    assert!((0..*size).all(|index| unsafe { piece.add(index).read() } == mark));
                }
                pieces
            })
        })
        .collect();
    let mut all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().expect("its own pieces")).collect();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
}

#[test]
fn a_piece_that_was_used_before_is_zero_when_zero_is_asked_for() {
    static MEMORY: Memory = Memory::new();
    // SAFETY: the sizes are those of the layouts.
    unsafe {
        let first = MEMORY.alloc(layout(100));
        first.write_bytes(7, 100);
        MEMORY.dealloc(first, layout(100));
        let second = MEMORY.alloc_zeroed(layout(200));
        assert_eq!(first, second, "the last piece is used again");
        assert!((0..200).all(|index| second.add(index).read() == 0));
    }
}

#[test]
fn a_piece_keeps_its_content_when_it_grows_in_place_or_moves_or_leaves_the_area() {
    static MEMORY: Memory = Memory::new();
    // SAFETY: the sizes are those of the layouts.
    unsafe {
        let mut piece = MEMORY.alloc(layout(10));
        piece.write_bytes(9, 10);
        let in_place = MEMORY.realloc(piece, layout(10), 50);
        assert_eq!(in_place, piece);
        let in_the_way = MEMORY.alloc(layout(1));
        piece = MEMORY.realloc(in_place, layout(50), 100);
        assert!(piece > in_the_way);
        piece = MEMORY.realloc(piece, layout(100), 1 << 20);
        assert!((0..10).all(|index| piece.add(index).read() == 9));
        MEMORY.dealloc(piece, layout(1 << 20));
    }
}
