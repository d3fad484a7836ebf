//! A filter of system calls (seccomp(2)), as engines and hardened hosts put one around a container.

#![allow(dead_code, reason = "each test file is a program of its own and uses its own part of the house")]

use super::Run;
use std::io;

/// A system call by its name, with the values of one argument that are refused, the third as a rule; none of them: whatever they
/// are.
pub type Refused = (&'static str, libc::c_long, &'static [u32]);

/// A filter that answers `errno` to these calls and lets all others pass (seccomp(2), and Linux's filter.rst).
fn filter(calls: &[Refused], errno: i32) -> Vec<libc::sock_filter> {
    let step = |code: u32, jt: usize, jf: usize, k: u32| libc::sock_filter {
        code: code as u16,
        jt: jt as u8,
        jf: jf as u8,
        k,
    };
    let load = |offset| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    let is = |value, yes, no| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes, no, value);
    let answer = |value| step(libc::BPF_RET | libc::BPF_K, 0, 0, value);
    // struct seccomp_data: the number, the architecture, the instruction, and six arguments of eight bytes.
    const NUMBER: u32 = 0;
    let argument = |number: libc::c_long| 16 + 8 * if number == libc::SYS_newfstatat { 3 } else { 2 };
    let refused = libc::SECCOMP_RET_ERRNO | errno as u32;
    let mut program = vec![load(NUMBER)];
    for (_, number, values) in calls {
        if values.is_empty() {
            program.extend([is(*number as u32, 0, 1), answer(refused)]);
            continue;
        }
        program.extend([is(*number as u32, 0, values.len() + 3), load(argument(*number))]);
        for (at, value) in values.iter().enumerate() {
            program.push(is(*value, values.len() - at, 0));
        }
        program.extend([answer(libc::SECCOMP_RET_ALLOW), answer(refused)]);
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}

/// A run under a filter.
pub trait Filtered {
    fn filtered(self, calls: &[Refused], errno: i32) -> Self;
}

impl Filtered for Run {
    fn filtered(self, calls: &[Refused], errno: i32) -> Self {
        let mut program = filter(calls, errno);
        self.hook(move || {
            let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
            // SAFETY: the kernel reads the program, which lives in this closure.
            unsafe {
                check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
                check(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter))
            }
        })
    }
}

fn check(result: i32) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
