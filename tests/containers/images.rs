//! The images of the tests. Nothing is pulled: one holds a static busybox, one is the product of our Dockerfile, and one
//! is made of both, as a user would make it.

use crate::engine::{Engine, call, image_name, is_static, unique};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

pub struct Images {
    /// What our Dockerfile makes of the binary that is shipped; `.ci/compile-image` lets it compile.
    pub exeunt: String,
    /// The shell image with `COPY --from=exeunt /exeunt /exeunt`.
    pub job: String,
}

pub fn of(engine: &'static Engine) -> &'static Images {
    static DOCKER: OnceLock<Images> = OnceLock::new();
    static PODMAN: OnceLock<Images> = OnceLock::new();
    let cell = if engine.program == "docker" { &DOCKER } else { &PODMAN };
    cell.get_or_init(|| build(engine))
}

/// The binary that is shipped, built here if it is not there yet: the one that cargo builds for the tests is, as a rule,
/// linked dynamically and does not run in an empty image.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
        let output = Command::new(cargo)
            .args(["build", "--release", "--locked", "-p", "exeunt", "--bin", "exeunt", "--message-format", "json"])
            .args(["--target", &triple, "--manifest-path", manifest])
            .stdin(Stdio::null())
            .output()
            .expect("run cargo");
        assert!(output.status.success(), "the static binary: {}", String::from_utf8_lossy(&output.stderr));
        let path = output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .expect("cargo names the executable");
        assert!(is_static(&fs::read(&path).expect("read the binary")), "{} is not static", path.display());
        path
    })
}

fn build(engine: &'static Engine) -> Images {
    let [exeunt, job] = ["image", "job"].map(image_name);
    for image in [&exeunt, &job] {
        remove_at_exit(engine.program, image);
    }
    let directory = scratch(engine.program);
    build_ours(engine, &exeunt, &directory.join("exeunt"));

    let context = directory.join("job");
    fs::create_dir_all(&context).expect("make a build context");
    let recipe = format!("FROM {}\nCOPY --from={exeunt} /exeunt /exeunt\n", engine.shell);
    fs::write(context.join("Dockerfile"), recipe).expect("write a Dockerfile");
    engine.run(&["build", "--quiet", "--tag", &job, context.to_str().expect("a plain path")]);
    fs::remove_dir_all(&directory).expect("remove the build contexts");
    Images { exeunt, job }
}

fn scratch(kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique(kind))
}

/// Makes the engine's shell image of a static busybox.
pub fn import_shell(engine: &Engine, busybox: &Path) {
    let directory = scratch(engine.program);
    let root = directory.join("root");
    for (name, mode) in [("bin", 0o755), ("dev", 0o755), ("proc", 0o755), ("tmp", 0o1777), ("tmp/pod", 0o1777)] {
        fs::create_dir_all(root.join(name)).expect("make the tree");
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).expect("set a mode");
    }
    fs::copy(busybox, root.join("bin/busybox")).expect("copy busybox");
    let list = call(busybox.to_str().expect("a plain path"), &["--list"]).stdout;
    for applet in list.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).expect("link an applet");
    }
    let archive = directory.join("root.tar");
    let [root, archive] = [&root, &archive].map(|path| path.to_str().expect("a plain path"));
    let tar = call("tar", &["-C", root, "--owner=0", "--group=0", "--numeric-owner", "-cf", archive, "."]);
    assert_eq!(tar.code, Some(0), "tar: {}", tar.stderr);
    // An imported image has no environment, and runc looks commands up in the PATH of the image.
    engine.run(&["import", "--change", "ENV PATH=/bin", archive, &engine.shell]);
    fs::remove_dir_all(&directory).expect("remove the tree");
}

fn build_ours(engine: &Engine, tag: &str, context: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = format!("target/{}-unknown-linux-musl/release/exeunt", std::env::consts::ARCH);
    let target = context.join(&place);
    fs::create_dir_all(target.parent().expect("a parent")).expect("make a build context");
    fs::copy(binary(), &target).expect("copy the binary");
    for file in ["Dockerfile", ".dockerignore"] {
        fs::copy(source.join(file), context.join(file)).expect("copy a file of the repository");
    }
    let base = format!("BUILD_IMAGE={}", engine.shell);
    let prebuilt = format!("PREBUILT={place}");
    let context = context.to_str().expect("a plain path");
    engine.run(&["build", "--quiet", "--build-arg", &base, "--build-arg", &prebuilt, "--tag", tag, context]);
}

static MADE: Mutex<Vec<(&'static str, String)>> = Mutex::new(Vec::new());

/// Statics are never dropped, and a test cannot know that it is the last one.
pub fn remove_at_exit(program: &'static str, image: &str) {
    extern "C" fn remove() {
        for (program, image) in MADE.lock().map(|made| made.clone()).unwrap_or_default() {
            // The second one is for the stage that builds, which the engine keeps as a cache.
            let stage = format!("label=exeunt.build-image={image}");
            for arguments in [&["rmi", "--force", &image][..], &["image", "prune", "--force", "--filter", &stage]] {
                // A panic cannot leave this function; the engine's opinion does not matter any more.
                let _ = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
            }
        }
    }
    let mut made = MADE.lock().expect("a whole list");
    if made.is_empty() {
        // SAFETY: the function takes nothing, unwinds never, and lives as long as the program.
        unsafe { libc::atexit(remove) };
    }
    made.push((program, image.to_owned()));
}
