//! Children that cost next to nothing, so that what is measured is what stands in front of them: a static program of a
//! hundred and fifty bytes, written by hand, because every language's own start would be the larger part of the time.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// `exit_group(0)`.
#[cfg(target_arch = "x86_64")]
const NO_OP: &[u8] = &[0x31, 0xff, 0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05];
/// `pause()`, again and again.
#[cfg(target_arch = "x86_64")]
const PAUSE: &[u8] = &[0xb8, 0x22, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;

/// `exit_group(0)`: mov w8, 94; mov w0, 0; svc 0.
#[cfg(target_arch = "aarch64")]
const NO_OP: &[u8] = &[0xc8, 0x0b, 0x80, 0x52, 0, 0, 0x80, 0x52, 1, 0, 0, 0xd4];
/// `ppoll` of nothing for ever: mov w8, 73; mov w0..w3, 0; svc 0; and back.
#[cfg(target_arch = "aarch64")]
const PAUSE: &[u8] = &[
    0x28, 0x09, 0x80, 0x52, 0, 0, 0x80, 0x52, 1, 0, 0x80, 0x52, 2, 0, 0x80, 0x52, 3, 0, 0x80, 0x52, 1, 0, 0, 0xd4,
    0xfa, 0xff, 0xff, 0x17,
];
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// A program that ends at once with 0.
pub fn no_op(directory: &Path) -> PathBuf {
    write(&directory.join("no-op"), NO_OP)
}

/// A program that never does anything.
pub fn pause(directory: &Path) -> PathBuf {
    write(&directory.join("pause"), PAUSE)
}

/// Writes an ELF file (elf(5)) of one segment: headers and code.
fn write(path: &Path, code: &[u8]) -> PathBuf {
    const ADDRESS: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let halves = |file: &mut Vec<u8>, values: &[u16]| file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    let words = |file: &mut Vec<u8>, values: &[u32]| file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    let longs = |file: &mut Vec<u8>, values: &[u64]| file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    halves(&mut file, &[2, MACHINE]);
    words(&mut file, &[1]);
    longs(&mut file, &[ADDRESS + HEADERS, 64, 0]);
    words(&mut file, &[0]);
    halves(&mut file, &[64, 56, 1, 64, 0, 0]);
    // One segment to load, to be read and executed.
    words(&mut file, &[1, 5]);
    let size = HEADERS + code.len() as u64;
    longs(&mut file, &[0, ADDRESS, ADDRESS, size, size, 4096]);
    file.extend(code);
    std::fs::write(path, file).expect("a program");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("an executable program");
    path.to_owned()
}
