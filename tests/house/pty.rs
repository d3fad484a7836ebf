//! A terminal that a test holds in its hands.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::house::{PATIENCE, Run, wait_for};

pub const ALL: &[i32] = &[0, 1, 2];
pub const STDIN: &[i32] = &[0];
pub const CTRL_C: &str = "\x03";
pub const CTRL_Z: &str = "\x1a";
pub const CTRL_BACKSLASH: &str = "\x1c";

/// A pseudo-terminal: what is typed into it, and what has been shown on it.
pub struct Pty {
    master: File,
    slave: File,
    shown: RefCell<Vec<u8>>,
}

impl Pty {
    pub fn open() -> Pty {
        let mut name = [0; 64];
        // SAFETY: the buffer's own length is given; the new descriptor is nobody else's.
        let master = unsafe {
            let master = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NONBLOCK);
            assert!(master >= 0, "a pseudo-terminal: {}", io::Error::last_os_error());
            assert_eq!(libc::grantpt(master), 0);
            assert_eq!(libc::unlockpt(master), 0);
            assert_eq!(libc::ptsname_r(master, name.as_mut_ptr(), name.len()), 0);
            File::from_raw_fd(master)
        };
        // SAFETY: ends in NUL, says the C library.
        let name = unsafe { std::ffi::CStr::from_ptr(name.as_ptr()) }.to_str().unwrap().to_owned();
        // It must not become the terminal of the tests themselves.
        let slave = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(name).unwrap();
        Pty { master, slave, shown: RefCell::default() }
    }

    /// The descriptor of its far end.
    pub fn end(&self) -> File {
        self.slave.try_clone().unwrap()
    }

    pub fn keys(&self, text: &str) {
        (&self.master).write_all(text.as_bytes()).expect("typing");
    }

    /// Waits until `text` is on the screen, below all that was waited for before.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.until(text);
    }

    /// The rest of the line below what was waited for before.
    #[track_caller]
    pub fn line(&self) -> String {
        self.until("\r\n")
    }

    #[track_caller]
    fn until(&self, text: &str) -> String {
        let mut shown = self.shown.borrow_mut();
        let at = wait_for(&format!("{text:?} on the terminal"), PATIENCE, || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = (&self.master).read(&mut buffer) {
                // Shown when the test fails.
                print!("{}", String::from_utf8_lossy(&buffer[..length]));
                shown.extend_from_slice(&buffer[..length]);
            }
            shown.windows(text.len()).position(|window| window == text.as_bytes())
        });
        let before = String::from_utf8_lossy(&shown[..at]).into_owned();
        shown.drain(..at + text.len());
        before
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the kernel reads a live local.
        assert_eq!(unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }, 0);
    }

    /// The foreground process group.
    pub fn foreground(&self) -> i32 {
        let mut group = 0;
        // SAFETY: the kernel writes one int. From this end it is asked without being of the session.
        assert_eq!(unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCGPGRP, &raw mut group) }, 0);
        group
    }

    /// Somebody pulls the plug.
    pub fn hang_up(self) {}
}

impl Run {
    /// Leads a session of its own whose terminal this is, with `descriptors` open on it: what `docker run -it` does. A
    /// shell that has put the tests into the background may have them ignore what is typed; not so here.
    pub fn on(self, pty: &Pty, descriptors: &'static [i32]) -> Self {
        let slave = pty.slave.as_raw_fd();
        // SAFETY: plain system calls.
        self.signals(0, 0).hook(move || unsafe {
            super::check(libc::setsid())?;
            super::check(libc::ioctl(slave, libc::TIOCSCTTY, 0))?;
            for descriptor in descriptors {
                super::check(libc::dup2(slave, *descriptor))?;
            }
            Ok(())
        })
    }
}

/// As PID 1 that leads the session: `docker run -it`.
pub fn in_a_container(run: Run, pty: &Pty) -> Run {
    // setsid makes standard input the terminal of the new session.
    run.behind(["setsid", "--ctty"]).pid_1().stdin(pty.end()).signals(0, 0)
}
