/// Makes what is linked for a target that has no static position-independent programs such a program all the same.
///
/// rustc knows them for x86_64 alone (`static-position-independent-executables` of its targets); for aarch64 it would take
/// `crt1.o`, which adjusts no addresses. Where `.cargo/config.toml` has kept it from taking any start-up files
/// (`-Clink-self-contained=no`), the right ones of the same directory are named here, with the flags that rustc gives on x86_64.
fn static_pie() {
    let setting = |name| std::env::var(name).unwrap_or_default();
    if !setting("CARGO_ENCODED_RUSTFLAGS").contains("link-self-contained=no") {
        return;
    }
    let asked = std::process::Command::new(setting("RUSTC"))
        .args(["--print", "target-libdir", "--target", &setting("TARGET")])
        .output()
        .expect("cargo names the compiler in RUSTC");
    let libraries = String::from_utf8(asked.stdout).expect("rustc prints a path in UTF-8");
    let own = format!("{}/self-contained", libraries.trim_end());
    println!("cargo::rustc-link-search=native={own}");
    for argument in ["-pie", "--no-dynamic-linker", "-ztext"] {
        println!("cargo::rustc-link-arg={argument}");
    }
    for object in ["rcrt1.o", "crti.o", "crtn.o"] {
        println!("cargo::rustc-link-arg={own}/{object}");
    }
}
