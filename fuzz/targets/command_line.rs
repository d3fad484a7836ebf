#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| exeunt_fuzz::command_line(input));
