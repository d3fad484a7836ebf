//! The record: one line of JSON in the file of a life. Written by us, read by anybody; what others wrote is untrusted.

use crate::machine::{Codes, RestartPolicy, Status};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The size that a record takes from its first moment on, so that its end needs no new block on a full disk.
pub const RESERVED: usize = 2048;
/// How much of a record that somebody else wrote is read.
const READ_AT_MOST: usize = 2 * RESERVED;
const PROTOCOL: u32 = 1;

/// What is known of one life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Version of this form.
    pub protocol: u32,
    /// Whose life.
    pub name: String,
    /// The run it belongs to (`--run-id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The Pod, as the container knows it.
    pub hostname: String,
    /// When this attempt started (RFC 3339, UTC).
    pub started: String,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// 1 + that of the record before.
    pub attempt: u32,
    /// The Pod's restart policy, as the kubelet will apply it.
    pub restart_policy: Policy,
    /// The exit codes after which the kubelet starts the container again, where that is not said by the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_on: Option<String>,
    /// Boot id of the kernel that the writer runs on.
    pub boot_id: String,
    /// Device of this very file, as its writer sees it.
    pub device: u64,
    /// Inode number of this very file.
    pub inode: u64,
    /// How the command ended, if by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// How the command ended, if by a signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// Whether that was the end for good.
    #[serde(rename = "final", skip_serializing_if = "Option::is_none")]
    pub last: Option<bool>,
}

/// The restart policy in a record. What is not known is taken for `never`, the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// An end that is not 0 is not final.
    #[serde(rename = "on-failure")]
    OnFailure,
    /// Every end is final.
    #[default]
    #[serde(rename = "never", other)]
    Never,
}

impl Policy {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Policy::OnFailure => "on-failure",
            Policy::Never => "never",
        }
    }

    fn codes(self) -> Codes {
        match self {
            Policy::OnFailure => RestartPolicy::OnFailure.codes(),
            Policy::Never => RestartPolicy::Never.codes(),
        }
    }
}

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
            started: super::now(),
            attempt,
            restart_policy,
            restart_on: (restart_on != restart_policy.codes()).then(|| restart_on.to_string()),
            boot_id: boot_id(),
            ..Record::default()
        }
    }

    /// How the command ended, as far as the record says.
    pub fn status(&self) -> Option<Status> {
        match (self.exit_code, self.signal) {
            (Some(code), _) => Some(Status::Exited(code)),
            (None, Some(signal @ 1..=64)) => Some(Status::Killed(signal)),
            (None, _) => None,
        }
    }

    /// Whether the kubelet starts the container again after such an end: as the record says, or as its codes say. Whoever
    /// has left none was killed together with exeunt, and the kubelet saw 137.
    pub fn is_repeated(&self) -> bool {
        const KILLED: u8 = 137;
        let named = self.restart_on.as_deref().and_then(|text| Codes::parse(text).ok());
        let codes = self.restart_policy.codes().union(named.unwrap_or_default());
        self.last.map_or_else(|| codes.contains(self.status().map_or(KILLED, Status::code)), |last| !last)
    }

    /// Notes the end.
    pub fn end(&mut self, status: Status, last: bool) {
        self.ended = Some(super::now());
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
            match file.read_at(rest, filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        Record::parse(buffer.get(..filled)?)
    }

    /// Understands the bytes of a record. `None` for whatever is none.
    pub fn parse(bytes: &[u8]) -> Option<Record> {
        serde_json::from_slice(bytes).ok()
    }
}

/// The identity of the running kernel: changes with every boot (random(4)). Empty where /proc does not tell.
pub fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim_end().to_owned()
}
