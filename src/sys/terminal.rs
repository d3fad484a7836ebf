//! The terminal: who is its foreground group.
#![allow(unsafe_code, reason = "tcsetpgrp(3) on descriptor 0, which may be anything")]

use nix::unistd::Pid;
use std::os::fd::BorrowedFd;

fn stdin() -> BorrowedFd<'static> {
    // SAFETY: descriptor 0 is never closed by exeunt; if it was closed for us, a placeholder stands there.
    unsafe { BorrowedFd::borrow_raw(0) }
}

/// Whether standard input is a terminal whose foreground group is ours, so that it is ours to give.
pub fn is_ours() -> bool {
    nix::unistd::tcgetpgrp(stdin()).is_ok_and(|group| group == nix::unistd::getpgrp())
}

/// Whether standard input is our terminal at all.
pub fn is_there() -> bool {
    nix::unistd::tcgetpgrp(stdin()).is_ok()
}

/// Makes a process group the foreground group. Async-signal-safe. SIGTTOU is blocked wherever this is called; an error
/// (no terminal, hung up, not our session) is harmless: the terminal then stays with whoever has it.
pub fn give_to(group: Pid) {
    let _ = nix::unistd::tcsetpgrp(stdin(), group);
}

/// Takes the terminal back.
pub fn take_back() {
    give_to(nix::unistd::getpgrp());
}

/// Whether nobody above us could continue us: we lead the session, as PID 1 of `docker run -it` does.
pub fn leads_session() -> bool {
    nix::unistd::getsid(None).is_ok_and(|session| session == nix::unistd::getpid())
}
