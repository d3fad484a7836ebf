#![no_main]

use std::fs::File;
use std::os::fd::AsRawFd;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // The lowest free descriptor: the same before and after, or one has leaked. Only here, where there is one thread.
    let lowest = || File::open("/dev/null").expect("a descriptor").as_raw_fd();
    let before = lowest();
    exeunt_fuzz::stage(input);
    assert_eq!(lowest(), before, "a descriptor has leaked");
});
