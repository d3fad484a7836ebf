//! Every exit code that is exeunt's own. All others are the command's.

/// A wait timed out, as timeout(1) says it.
pub const TIMED_OUT: u8 = 124;
/// exeunt itself failed, bad usage included, as docker(1), env(1) and chroot(1) say it.
pub const OURS: u8 = 125;
/// The command was found and could not be executed (POSIX shell, "Exit Status for Commands").
pub const NOT_EXECUTABLE: u8 = 126;
/// The command was not found (same place).
pub const NOT_FOUND: u8 = 127;
