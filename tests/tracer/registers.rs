//! Where the kernel keeps the number, the arguments and the result of a system call, for the architectures we ship.

/// The number and the arguments of the system call whose entry a tracee stands at.
pub fn call(pid: i32) -> Option<(i64, [u64; 6])> {
    // The type of a request is another one for each libc.
    const PTRACE_GET_SYSCALL_INFO: u16 = 0x420e;
    // `struct ptrace_syscall_info` (ptrace(2), Linux 5.3): op, arch, instruction and stack pointer, then the entry.
    let mut info = [0u64; 11];
    let size = size_of_val(&info);
    // SAFETY: the kernel writes at most `size` bytes into a live local.
    let filled = unsafe { libc::ptrace(PTRACE_GET_SYSCALL_INFO.into(), pid, size, info.as_mut_ptr()) };
    let entry = info[0] & 0xff == PTRACE_SYSCALL_INFO_ENTRY;
    (filled > 0 && entry).then(|| (info[3].cast_signed(), [info[4], info[5], info[6], info[7], info[8], info[9]]))
}

#[cfg(target_arch = "x86_64")]
mod here {
    /// Makes the kernel pass over the call: there is none with the number -1.
    pub fn skip(pid: i32) {
        poke(pid, libc::ORIG_RAX, -1);
    }

    /// Replaces what the call returns. For a tracee at the exit of a system call.
    pub fn set_result(pid: i32, result: i64) {
        poke(pid, libc::RAX, result);
    }

    fn poke(pid: i32, register: i32, value: i64) {
        // SAFETY: a stopped tracee of this thread; the kernel writes into its saved registers.
        unsafe { libc::ptrace(libc::PTRACE_POKEUSER, pid, 8 * i64::from(register), value) };
    }
}

#[cfg(target_arch = "aarch64")]
mod here {
    const NT_PRSTATUS: usize = 1;
    const NT_ARM_SYSTEM_CALL: usize = 0x404;

    /// Makes the kernel pass over the call: there is none with the number -1.
    pub fn skip(pid: i32) {
        let mut number = -1i32;
        let mut part = libc::iovec { iov_base: (&raw mut number).cast(), iov_len: size_of::<i32>() };
        // SAFETY: a stopped tracee of this thread, and a live local of the size that is named.
        unsafe { libc::ptrace(libc::PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &raw mut part) };
    }

    /// Replaces what the call returns. For a tracee at the exit of a system call.
    pub fn set_result(pid: i32, result: i64) {
        // x0 to x30, sp, pc, pstate.
        let mut registers = [0u64; 34];
        let mut part = libc::iovec { iov_base: registers.as_mut_ptr().cast(), iov_len: size_of_val(&registers) };
        // SAFETY: as above.
        unsafe {
            libc::ptrace(libc::PTRACE_GETREGSET, pid, NT_PRSTATUS, &raw mut part);
            registers[0] = result.cast_unsigned();
            libc::ptrace(libc::PTRACE_SETREGSET, pid, NT_PRSTATUS, &raw mut part);
        }
    }
}

pub use here::{set_result, skip};

const PTRACE_SYSCALL_INFO_ENTRY: u64 = 1;
