//! The record in its file. Written by us, read by anybody; what others wrote is untrusted.

use super::directory::now;
use super::record::{Policy, RESERVED, Record};
use crate::machine::{Codes, Status};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// How much of a record that somebody else wrote is read.
const READ_AT_MOST: usize = 2 * RESERVED;
const PROTOCOL: u32 = 1;

impl Record {
    /// A record of a life that begins now. Its place (`device`, `inode`) is filled in when there is a file.
    pub fn new(name: &str, run_id: Option<&str>, attempt: u32, restart_on: Codes) -> Record {
        let on_failure = restart_on.union(Codes::FAILURES) == restart_on;
        let restart_policy = if on_failure { Policy::OnFailure } else { Policy::Never };
        Record {
            protocol: PROTOCOL,
            name: name.to_owned(),
            run_id: run_id.map(str::to_owned),
            hostname: nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            started: now(),
            attempt,
            restart_policy,
            restart_on: (restart_on != restart_policy.codes()).then(|| restart_on.to_string()),
            boot_id: boot_id(),
            ..Record::default()
        }
    }

    /// Notes the end.
    pub fn end(&mut self, status: Status, last: bool) {
        self.ended = Some(now());
        self.last = Some(last);
        match status {
            Status::Exited(code) => self.exit_code = Some(code),
            Status::Killed(signal) => self.signal = Some(signal),
        }
    }

    /// Writes the record over the whole reserved room.
    ///
    /// # Errors
    /// What write(2) says.
    pub fn write(&self, file: &File) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        // Names, run ids and host names are bounded, so this is always room enough; if it were not, the room grows.
        let padding = RESERVED.saturating_sub(text.len() + 1);
        text.extend_from_slice(&vec![b' '; padding]);
        text.push(b'\n');
        file.write_all_at(&text, 0)
    }

    /// Reads a record that anybody may have written. `None` for whatever is none.
    pub fn read(file: &File) -> Option<Record> {
        let mut buffer = [0u8; READ_AT_MOST];
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match read_at(file, rest, filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        Record::parse(buffer.get(..filled)?)
    }
}

/// pread(2), and where a filter refuses it the two calls that were there before it: the position is nobody else's.
fn read_at(mut file: &File, buffer: &mut [u8], from: u64) -> std::io::Result<usize> {
    match file.read_at(buffer, from) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {
            file.seek(SeekFrom::Start(from))?;
            file.read(buffer)
        }
        answer => answer,
    }
}

/// The identity of the running kernel: changes with every boot (random(4)). Empty where /proc does not tell.
pub fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim_end().to_owned()
}
