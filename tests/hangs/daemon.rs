//! A file system in memory, one flat directory, that answers by FUSE's own protocol (linux/fuse.h) and hangs where it is told
//! to: it has read a request by then, so the kernel cannot take it back from it, as with any daemon that has died inside.
//!
//! It is a process of its own, in a mount namespace of its own. When it is killed, the kernel ends the connection, and
//! nobody waits any more.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Where it is mounted, and the file that says what is not answered, as long as it does.
pub const TARGET: &str = "HANGS_TARGET";
pub const ORDER: &str = "HANGS_ORDER";

/// In seconds: longer than a test takes.
const LIFE: u32 = 120;

/// A directory below it, in which the same files are.
pub const BELOW: &str = "below";

const ROOT: u64 = 1;
const BELOW_NODE: u64 = 2;
const DIRECTORY: u32 = libc::S_IFDIR | 0o777;
const ENOENT: i32 = -libc::ENOENT;
const ENOSYS: i32 = -libc::ENOSYS;

#[derive(Default)]
struct Files {
    names: BTreeMap<String, u64>,
    contents: BTreeMap<u64, (u32, Vec<u8>)>,
    last: u64,
}

/// One request: what it is about, and the rest of it.
struct Request<'a> {
    opcode: u32,
    node: u64,
    rest: &'a [u8],
}

/// The life of the daemon: "ready", and for each request that it does not answer "hangs" and which.
pub fn run() {
    // Whatever becomes of the test, it has an end.
    // SAFETY: plain system calls.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::alarm(LIFE);
    }
    let path = |name: &str| PathBuf::from(std::env::var_os(name).expect("a path"));
    let (target, order) = (path(TARGET), path(ORDER));
    let mut device = File::options().read(true).write(true).open("/dev/fuse").expect("/dev/fuse");
    mount(&target, &device);
    println!("ready");
    let mut files = Files { last: BELOW_NODE, ..Files::default() };
    let mut buffer = vec![0; 1 << 18];
    loop {
        let length = match device.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => continue,
            // It is not mounted any more.
            Err(_) => return,
        };
        let head = &buffer[..length];
        let request = Request { opcode: u32_at(head, 4), node: u64_at(head, 16), rest: &head[40..] };
        // FORGET, INTERRUPT, BATCH_FORGET: nobody waits for an answer.
        if [2, 36, 42].contains(&request.opcode) {
            continue;
        }
        let what = describe(&files, &request);
        let hangs = || fs::read_to_string(&order).is_ok_and(|order| !order.is_empty() && what.contains(order.trim()));
        if hangs() {
            println!("hangs {what}");
            while hangs() {
                thread::sleep(Duration::from_millis(2));
            }
        }
        let (error, body) = match files.answer(&request) {
            Ok(body) => (0, body),
            Err(error) => (error, Vec::new()),
        };
        let mut answer = (16 + body.len() as u32).to_ne_bytes().to_vec();
        answer.extend(error.to_ne_bytes());
        answer.extend(&head[8..16]);
        answer.extend(body);
        // Whoever asked may have gone.
        let _ = device.write(&answer);
    }
}

fn mount(target: &std::path::Path, device: &File) {
    let text = |bytes: &[u8]| CString::new(bytes).expect("no NUL");
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
    let (target, options) = (text(target.as_os_str().as_bytes()), text(options.as_bytes()));
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: four strings that live until the call is over.
    let result =
        unsafe { libc::mount(c"hangs".as_ptr(), target.as_ptr(), c"fuse".as_ptr(), flags, options.as_ptr().cast()) };
    assert_eq!(result, 0, "mount: {}", std::io::Error::last_os_error());
}

/// `LOOKUP main-job-running`, `GETATTR /`: an operation and whom it is about.
fn describe(files: &Files, request: &Request) -> String {
    let node = |node: u64| match node {
        ROOT => "/".to_owned(),
        node => files.names.iter().find(|(_, own)| **own == node).map_or("gone".into(), |(name, _)| name.clone()),
    };
    match request.opcode {
        1 => format!("LOOKUP {}", name_at(request.rest, 0)),
        3 => format!("GETATTR {}", node(request.node)),
        4 => format!("SETATTR {}", node(request.node)),
        10 => format!("UNLINK {}", name_at(request.rest, 0)),
        12 => format!("RENAME {}", name_at(request.rest, 8)),
        14 => format!("OPEN {}", node(request.node)),
        15 => format!("READ {}", node(request.node)),
        16 => format!("WRITE {}", node(request.node)),
        17 => "STATFS /".to_owned(),
        27 => "OPENDIR /".to_owned(),
        28 => "READDIR /".to_owned(),
        35 => format!("CREATE {}", name_at(request.rest, 16)),
        45 => format!("RENAME {}", name_at(request.rest, 16)),
        other => format!("{other} {}", node(request.node)),
    }
}

impl Files {
    fn answer(&mut self, request: &Request) -> Result<Vec<u8>, i32> {
        let rest = request.rest;
        match request.opcode {
            // LOOKUP
            1 if name_at(rest, 0) == BELOW => self.entry(BELOW_NODE),
            1 => self.entry(*self.names.get(&name_at(rest, 0)).ok_or(ENOENT)?),
            // GETATTR
            3 => self.attributes(request.node),
            // SETATTR: mode and size.
            4 => {
                let valid = u32_at(rest, 0);
                let (mode, data) = self.contents.get_mut(&request.node).ok_or(ENOENT)?;
                if valid & 1 != 0 {
                    *mode = u32_at(rest, 68);
                }
                if valid & 8 != 0 {
                    data.resize(u64_at(rest, 16) as usize, 0);
                }
                self.attributes(request.node)
            }
            // UNLINK
            10 => self.names.remove(&name_at(rest, 0)).map(|_| Vec::new()).ok_or(ENOENT),
            // RENAME, RENAME2
            12 => self.rename(rest, 8),
            45 => self.rename(rest, 16),
            // OPEN: with no cache of its contents; OPENDIR
            14 => Ok(opened(1)),
            27 => Ok(opened(0)),
            // READ
            15 => {
                let (_, data) = self.contents.get(&request.node).ok_or(ENOENT)?;
                let from = data.len().min(u64_at(rest, 8) as usize);
                let to = data.len().min(from + u32_at(rest, 16) as usize);
                Ok(data[from..to].to_vec())
            }
            // WRITE
            16 => {
                let (from, size) = (u64_at(rest, 8) as usize, u32_at(rest, 16));
                let (_, data) = self.contents.get_mut(&request.node).ok_or(ENOENT)?;
                let to = from + size as usize;
                data.resize(data.len().max(to), 0);
                data[from..to].copy_from_slice(&rest[40..40 + size as usize]);
                Ok([size.to_ne_bytes(), [0; 4]].concat())
            }
            // STATFS
            17 => {
                let mut body: Vec<u8> = [1u64 << 20; 5].iter().flat_map(|number| number.to_ne_bytes()).collect();
                body.extend([4096u32, 255, 4096, 0, 0, 0, 0, 0, 0, 0].iter().flat_map(|number| number.to_ne_bytes()));
                Ok(body)
            }
            // INIT: 7.31, no flags, 64 KiB at once.
            26 => {
                let mut body: Vec<u8> = [7u32, 31, 0, 0].iter().flat_map(|number| number.to_ne_bytes()).collect();
                body.extend([16u16, 12].iter().flat_map(|number| number.to_ne_bytes()));
                body.extend([65536u32, 1].iter().flat_map(|number| number.to_ne_bytes()));
                body.resize(64, 0);
                Ok(body)
            }
            // READDIR
            28 => {
                let (from, size) = (u64_at(rest, 8) as usize, u32_at(rest, 16) as usize);
                let mut body = Vec::new();
                for (index, (name, node)) in self.names.iter().enumerate().skip(from) {
                    let mut one: Vec<u8> = [*node, index as u64 + 1].iter().flat_map(|it| it.to_ne_bytes()).collect();
                    one.extend([name.len() as u32, 8].iter().flat_map(|it| it.to_ne_bytes()));
                    one.extend(name.as_bytes());
                    one.resize(one.len().next_multiple_of(8), 0);
                    if body.len() + one.len() > size {
                        break;
                    }
                    body.extend(one);
                }
                Ok(body)
            }
            // CREATE
            35 => {
                self.last += 1;
                let mode = libc::S_IFREG | u32_at(rest, 4) & 0o777;
                self.contents.insert(self.last, (mode, Vec::new()));
                self.names.insert(name_at(rest, 16), self.last);
                Ok([self.entry(self.last)?, opened(1)].concat())
            }
            // RELEASE, FSYNC, FLUSH, RELEASEDIR, DESTROY
            18 | 20 | 25 | 29 | 38 => Ok(Vec::new()),
            _ => Err(ENOSYS),
        }
    }

    fn rename(&mut self, rest: &[u8], at: usize) -> Result<Vec<u8>, i32> {
        let old = name_at(rest, at);
        let node = self.names.remove(&old).ok_or(ENOENT)?;
        self.names.insert(name_at(rest, at + old.len() + 1), node);
        Ok(Vec::new())
    }

    /// Nothing of it is kept by the kernel: every question reaches us.
    fn attributes(&self, node: u64) -> Result<Vec<u8>, i32> {
        Ok([vec![0; 16], self.attr(node)?].concat())
    }

    fn entry(&self, node: u64) -> Result<Vec<u8>, i32> {
        Ok([node.to_ne_bytes().to_vec(), vec![0; 32], self.attr(node)?].concat())
    }

    fn attr(&self, node: u64) -> Result<Vec<u8>, i32> {
        let (mode, size) = match self.contents.get(&node) {
            Some((mode, data)) => (*mode, data.len() as u64),
            None if node == ROOT || node == BELOW_NODE => (DIRECTORY, 0),
            None => return Err(ENOENT),
        };
        let mut body: Vec<u8> =
            [node, size, size.div_ceil(512), 0, 0, 0].iter().flat_map(|it| it.to_ne_bytes()).collect();
        body.extend([0u32, 0, 0, mode, 1, 0, 0, 0, 4096, 0].iter().flat_map(|it| it.to_ne_bytes()));
        Ok(body)
    }
}

fn opened(flags: u32) -> Vec<u8> {
    [&[0; 8][..], &flags.to_ne_bytes(), &[0; 4]].concat()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn name_at(bytes: &[u8], at: usize) -> String {
    let name = bytes[at..].split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
