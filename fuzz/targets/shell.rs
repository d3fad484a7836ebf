#![no_main]

// Not in the library, which the tests of the init replay: they must not need the plugin.
#[path = "../src/shell.rs"]
mod shell;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    shell::laws(input);
});
