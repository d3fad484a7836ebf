//! Flags for the linker of the static binaries. What is for the shipped program alone stands here and not in
//! `.cargo/config.toml`: a test unwinds when it fails, and needs the tables.

include!("static-pie.rs");

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=static-pie.rs");
    println!("cargo::rerun-if-changed=unwind-tables.ld");
    static_pie();
    let setting = |name| std::env::var(name).unwrap_or_default();
    let shipped = setting("CARGO_CFG_TARGET_ENV") == "musl" && setting("PROFILE") == "release";
    // GNU ld refuses to throw away what its own start-up files refer to.
    if !shipped || !setting("RUSTC_LINKER").ends_with("rust-lld") {
        return;
    }
    let script = format!("--script={}/unwind-tables.ld", setting("CARGO_MANIFEST_DIR"));
    // Functions that compile to the same bytes are kept once: nothing here compares the addresses of functions.
    // The addresses that are adjusted at the start of a position-independent program come as a bitmap of 500 bytes and not as
    // a table of 40,000 (musl 1.2.4, in rustup's target, can read it).
    for argument in [script.as_str(), "--no-eh-frame-hdr", "-zpack-relative-relocs", "--icf=all", "-O2"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
