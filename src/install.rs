//! The subcommand `install`: copies this binary into a volume, for images that cannot be rebuilt.

use anyhow::{Context, Result, ensure};
use nix::sys::statvfs::{FsFlags, statvfs};
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const EXECUTABLE: u32 = 0o755;

/// Copies this binary to `target`; into it, under our own name, if it is a directory. Whoever runs the old copy keeps it:
/// the new one is moved into its place complete (a copy over a binary that runs fails with ETXTBSY,
/// scylladb/scylla-operator#573).
///
/// # Errors
/// One line that names the file. A volume that is mounted noexec is an error: in an init container the Pod must not go on
/// to containers whose commands cannot be executed.
pub fn run(target: &Path) -> Result<()> {
    let target = if target.is_dir() { target.join("exeunt") } else { target.to_owned() };
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    ensure!(
        !statvfs(directory).is_ok_and(|volume| volume.flags().contains(FsFlags::ST_NOEXEC)),
        "{} is on a volume that is mounted noexec, where nothing can be executed; choose another volume, or mount it \
         without noexec",
        target.display()
    );
    let name = target.file_name().with_context(|| format!("\"{}\" is no file name", target.display()))?;
    let temporary: PathBuf = directory.join(format!(".{}.new.{}", name.to_string_lossy(), std::process::id()));
    let copied = copy(&temporary).and_then(|()| Ok(std::fs::rename(&temporary, &target)?));
    if copied.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    copied.with_context(|| format!("exeunt cannot be copied to {}", target.display()))?;
    Ok(())
}

fn copy(to: &Path) -> Result<()> {
    let started_in = std::env::current_dir().unwrap_or_default();
    let [by_kernel, by_path] = crate::sys::ourselves::paths(&started_in);
    let mut from = File::open(&by_kernel)
        .or_else(|error| File::open(by_path).map_err(|_| error))
        .with_context(|| by_kernel.display().to_string())?;
    let _ = std::fs::remove_file(to);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(EXECUTABLE).custom_flags(libc::O_NOFOLLOW).open(to)?;
    std::io::copy(&mut from, &mut file)?;
    // Whatever the umask.
    file.set_permissions(Permissions::from_mode(EXECUTABLE))?;
    // Unlike the files of the stage, a binary may lie on a volume that outlives the node.
    file.sync_all()?;
    Ok(())
}
