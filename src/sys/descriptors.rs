//! Descriptors: none of ours for the child, none of the child's kept by us.
#![allow(unsafe_code, reason = "fcntl(2) and close(2) on descriptors that were inherited and have no owner in Rust")]

use nix::errno::Errno;
use std::mem::ManuallyDrop;
use std::os::fd::{OwnedFd, RawFd};

/// Makes sure that nothing we open can become standard input, output or error of the child: where one of them is closed,
/// a placeholder is put that exec(2) closes again, so the child finds it closed, as we did.
pub fn keep_standard_numbers_free() {
    for number in 0..3 {
        // SAFETY: plain system calls. open(2) gives the lowest free number, which is this one: the lower are in use.
        unsafe {
            if libc::fcntl(number, libc::F_GETFD) == -1 {
                libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
            }
        }
    }
}

/// More descriptors than exeunt ever has open at once.
const OURS_AT_MOST: usize = 32;

/// Closes what was inherited for the command (socket activation, a lock of a shell): once it runs, exeunt must not keep
/// pipes and mounts busy. Ours are close-on-exec, and nothing that was inherited through exec(2) can be.
pub fn close_inherited() {
    // open(2) takes the lowest free number. So below one of ours no number is free but those that were ours at the same time
    // and are closed by now, and behind more free numbers than that there is nothing of ours: close_range(2), Linux 5.9,
    // takes it all. A list of what is open costs twenty times as much.
    let mut number = 3;
    let mut free = 0;
    while free <= OURS_AT_MOST {
        free += usize::from(!close_unless_ours(number));
        number += 1;
    }
    // SAFETY: a plain system call; nobody in here uses what it closes.
    if unsafe { libc::syscall(libc::SYS_close_range, number, libc::c_uint::MAX, 0) } == 0 {
        return;
    }
    match open_numbers() {
        Some(numbers) => numbers.into_iter().filter(|other| *other >= number).for_each(|number| {
            close_unless_ours(number);
        }),
        // Without /proc the usual range is gone through number by number.
        None => (number..256).for_each(|number| {
            close_unless_ours(number);
        }),
    }
}

/// Closes a descriptor if it is not close-on-exec, and says whether there was one.
fn close_unless_ours(number: RawFd) -> bool {
    // SAFETY: a descriptor that is not close-on-exec is none of ours, so nobody in here uses it.
    unsafe {
        let flags = libc::fcntl(number, libc::F_GETFD);
        if flags != -1 && flags & libc::FD_CLOEXEC == 0 {
            libc::close(number);
        }
        flags != -1
    }
}

/// The numbers of all open descriptors, that of the list itself among them, which is closed by then.
///
/// By the system call itself: opendir(3) takes its memory from libc, which nobody else has asked for any yet, and its first
/// piece costs seven system calls and page faults while the command may be over already.
fn open_numbers() -> Option<Vec<RawFd>> {
    use std::os::fd::AsRawFd;
    /// Of `struct linux_dirent64` (getdents64(2)): where its length and its name stand.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    let list = std::fs::File::open("/proc/thread-self/fd").ok()?;
    let mut numbers = Vec::new();
    let mut buffer = [0u64; 256];
    loop {
        let size = size_of_val(&buffer);
        // SAFETY: the kernel writes at most `size` bytes into a live local.
        let filled = unsafe { libc::syscall(libc::SYS_getdents64, list.as_raw_fd(), buffer.as_mut_ptr(), size) };
        let filled = usize::try_from(filled).ok()?;
        if filled == 0 {
            return Some(numbers);
        }
        // SAFETY: the same bytes, all of them initialised.
        let mut rest = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), filled) };
        while let Some(length) = rest.get(LENGTH..LENGTH + 2).and_then(|bytes| bytes.try_into().ok()) {
            let (entry, after) = rest.split_at_checked(usize::from(u16::from_ne_bytes(length)))?;
            let name = std::ffi::CStr::from_bytes_until_nul(entry.get(NAME..)?).ok()?;
            numbers.extend(name.to_str().ok().and_then(|name| name.parse::<RawFd>().ok()));
            rest = after;
        }
    }
}

/// References that are on their way through a socket from which nobody receives. Dropped, they stay so until the exit, lest
/// one be the last while somebody else could still drop it before us.
#[derive(Debug)]
pub struct Adrift(ManuallyDrop<[OwnedFd; 2]>);

impl Adrift {
    /// Leaves them to the kernel's garbage collector, now that nobody else has any. The receiving socket goes first: it is
    /// garbage then, and the closing of the other sends for the collector.
    pub fn sink(self) {
        drop(ManuallyDrop::into_inner(self.0));
    }
}

/// Lets the kernel close our inotify instances on its own time.
///
/// Closing one takes 5 to 15 ms (the kernel waits for an SRCU grace period), and so would our exit. A descriptor that is
/// on its way through a Unix socket is closed by the kernel's garbage collector, in a worker of its own (Linux 6.9;
/// before, whoever sends for the collector is the collector, and it costs what it costs without this). So a reference to each
/// instance, and one to the receiving socket itself, are sent and never received. The sockets have higher numbers than the
/// instances, so should we exit first, the reference under way is the last all the same.
pub fn leave_inotify_to_the_kernel() -> Option<Adrift> {
    use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};
    use std::os::fd::AsRawFd;
    let mut adrift = open_numbers()?;
    adrift.retain(|number| {
        let what = std::fs::read_link(format!("/proc/thread-self/fd/{number}"));
        what.is_ok_and(|what| what.as_os_str() == "anon_inode:inotify")
    });
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (from, to) = socketpair(AddressFamily::Unix, SockType::Datagram, None, flags).ok()?;
    adrift.push(to.as_raw_fd());
    let message = [std::io::IoSlice::new(b"!")];
    let sent =
        sendmsg::<()>(from.as_raw_fd(), &message, &[ControlMessage::ScmRights(&adrift)], MsgFlags::empty(), None);
    sent.is_ok().then(|| Adrift(ManuallyDrop::new([to, from])))
}

/// Gives the calling thread, and those it starts, a table of descriptors of its own: what it opens is not open for the others,
/// nor for their children. Two ways: engines' own filters refuse the first to whoever has no right to make namespaces, and
/// kernels before 5.9 do not know the second, which closes numbers that nobody has. Where both are refused, all is as it would
/// be without.
pub fn have_a_table_of_our_own() {
    let (none, unshare) = (libc::c_int::MAX, libc::CLOSE_RANGE_UNSHARE);
    // SAFETY: plain system calls; nothing is open behind the greatest number.
    unsafe {
        if libc::unshare(libc::CLONE_FILES) != 0 {
            libc::syscall(libc::SYS_close_range, none, none, unshare);
        }
    }
}

/// Whether epoll_wait(2) may be called at all. Where a filter refuses it, a thread that relies on it ends the process.
///
/// # Errors
/// The answer of the filter.
pub fn ask_whether_epoll_waits() -> Result<(), Errno> {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: writes into a live local at most; there is no descriptor -1, and that is the answer.
    unsafe { libc::epoll_wait(-1, &raw mut event, 1, 0) };
    match Errno::last() {
        Errno::EBADF => Ok(()),
        refused => Err(refused),
    }
}

/// A pipe on which a child tells us something.
#[derive(Debug)]
pub struct Pipe {
    reader: std::fs::File,
    writer: Option<OwnedFd>,
}

/// How much of what a child tells is listened to.
const TELL_AT_MOST: usize = 4096;

impl Pipe {
    /// A pipe, close-on-exec on both ends and non-blocking on ours.
    ///
    /// # Errors
    /// If there is no descriptor left.
    pub fn new() -> std::io::Result<Pipe> {
        let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        Ok(Pipe { reader: reader.into(), writer: Some(writer) })
    }

    /// The end that the child gets.
    pub fn writer(&self) -> RawFd {
        use std::os::fd::AsRawFd;
        self.writer.as_ref().map_or(-1, |writer| writer.as_raw_fd())
    }

    /// The pipe once the child has its end.
    #[must_use]
    pub fn reading(mut self) -> Pipe {
        self.writer = None;
        self
    }

    /// What has been told so far.
    pub fn read(mut self) -> String {
        use std::io::Read;
        let mut buffer = [0; TELL_AT_MOST];
        let count = self.reader.read(&mut buffer).unwrap_or(0);
        String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned()
    }
}
