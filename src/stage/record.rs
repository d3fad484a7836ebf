//! The record: one line of JSON in the file of a life, and what it means. How it is written and read: `file.rs`.

use crate::machine::{Codes, RestartPolicy, Status};
use serde::{Deserialize, Serialize};

/// The size that a record takes from its first moment on, so that its end needs no new block on a full disk.
pub const RESERVED: usize = 2048;

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

    pub(super) fn codes(self) -> Codes {
        match self {
            Policy::OnFailure => RestartPolicy::OnFailure.codes(),
            Policy::Never => RestartPolicy::Never.codes(),
        }
    }
}

impl Record {
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

    /// Understands the bytes of a record. `None` for whatever is none.
    pub fn parse(bytes: &[u8]) -> Option<Record> {
        serde_json::from_slice(bytes).ok()
    }
}
