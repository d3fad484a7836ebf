//! The node under a Pod: its volume is slow, its inotify instances are used up, somebody mounts at the same moment.
//!
//! The kernel stops the caller at the call and asks us (seccomp_unotify(2), Linux 5.5); we let it go on a moment later, or
//! answer for the kernel. Should we die, the calls fail with ENOSYS: nobody is left waiting, which cannot be said of a file
//! system that is frozen.

use super::script::Dice;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// What is the matter with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Every call that changes the shared directory, or asks it for a lock or for what is there, takes some milliseconds.
    pub slow_volume: bool,
    /// Its users have all the inotify instances that they may have.
    pub without_inotify: bool,
    /// Somebody mounts, again and again: what the kernel's caches know of a path has to be asked for more than once.
    pub somebody_mounts: bool,
}

/// The longest that one call takes.
const SLOWEST_MS: u64 = 6;
/// So often in a row is the answer EAGAIN while somebody mounts. Beside two processes that did nothing but mount and unmount
/// it was three times at most, in three million calls.
const MOUNTS_IN_A_ROW: u64 = 3;
const SLOW: [libc::c_long; 6] = [
    libc::SYS_renameat,
    libc::SYS_unlinkat,
    libc::SYS_pwrite64,
    libc::SYS_fchmod,
    libc::SYS_flock,
    libc::SYS_newfstatat,
];
/// The most calls that are asked about.
const MOST: usize = SLOW.len() + 2;

impl Node {
    /// Whether there is nothing the matter with it.
    fn is_well(self) -> bool {
        self == Node::default()
    }

    /// The calls that are asked about. One that nobody makes stands for each that is not.
    fn calls(self) -> [libc::c_long; MOST] {
        let mut calls = [libc::c_long::from(u32::MAX); MOST];
        if self.slow_volume {
            calls[..SLOW.len()].copy_from_slice(&SLOW);
        }
        if self.without_inotify {
            calls[SLOW.len()] = libc::SYS_inotify_init1;
        }
        if self.somebody_mounts {
            calls[SLOW.len() + 1] = libc::SYS_openat2;
        }
        calls
    }
}

/// Starts a process on this node, and all that it starts.
pub fn spawn(mut command: Command, node: Node, seed: u64) -> io::Result<Child> {
    if node.is_well() {
        return command.spawn();
    }
    let calls = node.calls();
    let (ours, theirs) = UnixDatagram::pair()?;
    let descriptor = theirs.as_raw_fd();
    // SAFETY: system calls on data that is on the child's own stack; nothing is allocated.
    unsafe { command.pre_exec(move || send(descriptor, listener(&calls)?)) };
    let child = command.spawn()?;
    drop(theirs);
    let listener = receive(&ours)?;
    std::thread::spawn(move || answer(&listener, &mut Dice::new(seed)));
    Ok(child)
}

/// In the child: from now on these calls are asked about. The descriptor is the one to listen at.
fn listener(calls: &[libc::c_long; MOST]) -> io::Result<RawFd> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    // The number stands first in `struct seccomp_data`. One jump for each call, to the last line.
    let mut program = [step(LOAD, 0, 0); MOST + 3];
    for (index, number) in calls.iter().enumerate() {
        program[1 + index] = step(JUMP, (MOST - index) as u8, *number as u32);
    }
    program[MOST + 1] = step(RETURN, 0, libc::SECCOMP_RET_ALLOW);
    program[MOST + 2] = step(RETURN, 0, libc::SECCOMP_RET_USER_NOTIF);
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program is alive, and has as many lines as it says.
    let listener = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    if listener < 0 { Err(io::Error::last_os_error()) } else { Ok(listener as RawFd) }
}

/// In the child: gives the descriptor to the parent. The child's own is gone at exec(2).
fn send(to: RawFd, descriptor: RawFd) -> io::Result<()> {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    let descriptors = [descriptor];
    let control = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<()>(to, &[io::IoSlice::new(b"!")], &control, MsgFlags::empty(), None)?;
    Ok(())
}

fn receive(from: &UnixDatagram) -> io::Result<OwnedFd> {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    let mut byte = [0; 1];
    let mut parts = [io::IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!(RawFd);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(from.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control
            && let Some(descriptor) = descriptors.first()
        {
            // SAFETY: the kernel has just made it, for us.
            return Ok(unsafe { OwnedFd::from_raw_fd(*descriptor) });
        }
    }
    Err(io::Error::other("no descriptor came"))
}

/// Answers each call as such a node does, until nobody is left who could make one.
fn answer(listener: &OwnedFd, dice: &mut Dice) {
    let mut in_a_row = 0;
    let mut poll = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    loop {
        // SAFETY: one live local.
        let count = unsafe { libc::poll(&raw mut poll, 1, -1) };
        if count < 0 || poll.revents & libc::POLLIN == 0 {
            return;
        }
        // SAFETY: plain numbers, and the kernel wants zeros.
        let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes into a live local of the type that it takes the request for.
        if unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) } < 0 {
            // Whoever asked has been killed meanwhile.
            continue;
        }
        let goes_on = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        let (error, flags) = match libc::c_long::from(asked.data.nr) {
            libc::SYS_inotify_init1 => (-libc::EMFILE, 0),
            libc::SYS_openat2 => {
                in_a_row = if in_a_row < MOUNTS_IN_A_ROW { in_a_row + 1 } else { 0 };
                if in_a_row > 0 { (-libc::EAGAIN, 0) } else { (0, goes_on) }
            }
            _ => {
                std::thread::sleep(dice.ms(SLOWEST_MS));
                (0, goes_on)
            }
        };
        let answer = libc::seccomp_notif_resp { id: asked.id, val: 0, error, flags };
        // SAFETY: the kernel reads a live local. ENOENT: killed while it waited.
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) };
    }
}
