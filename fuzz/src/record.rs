//! The record: one line of JSON that another container wrote.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use exeunt::machine::{Codes, Status};
use exeunt::stage::names;
use exeunt::stage::record::{RESERVED, Record};

/// The input is what stands in the file of a life.
pub fn record(input: &[u8]) {
    let file = nameless();
    file.write_all_at(input, 0).expect("a file in memory can be written");
    let read = Record::read(&file);
    assert_eq!(read, Record::parse(&input[..input.len().min(2 * RESERVED)]), "no more is read than twice a record");
    if let Some(record) = read {
        survives_a_rewriting(record);
    }
    if let Ok(text) = str::from_utf8(input) {
        let (name, run_id) = text.split_once('\n').unwrap_or((text, ""));
        has_room(name, run_id);
    }
}

fn survives_a_rewriting(mut record: Record) {
    if let Some(Status::Killed(signal)) = record.status() {
        assert!((1..=64).contains(&signal), "signal {signal}");
    }
    let file = nameless();
    record.write(&file).expect("a file in memory can be written");
    let mut bytes = vec![0; file.metadata().expect("its size").len() as usize];
    file.read_exact_at(&mut bytes, 0).expect("what was written");
    assert!(bytes.len() >= RESERVED && bytes.ends_with(b"\n"));
    assert_eq!(Record::parse(&bytes).as_ref(), Some(&record));
    // What a record of before said of its end does not come through.
    (record.exit_code, record.signal) = (None, None);
    record.end(Status::Killed(9), true);
    assert_eq!((record.status(), record.last), (Some(Status::Killed(9)), Some(true)));
}

/// Whatever the command line lets through as a name and a run id has room in what is reserved at the start, so that the
/// end needs no new block; and it is read again as it was written.
fn has_room(name: &str, run_id: &str) {
    let fits = !run_id.is_empty() && run_id.len() <= 256 && !run_id.contains(char::is_control);
    if names::check(name).is_err() || !fits {
        return;
    }
    let mut record = Record::new(name, Some(run_id), u32::MAX, Codes::FAILURES);
    (record.device, record.inode) = (u64::MAX, u64::MAX);
    record.end(Status::Exited(255), false);
    let file = nameless();
    record.write(&file).expect("a file in memory can be written");
    assert_eq!(file.metadata().expect("its size").len(), RESERVED as u64);
    assert_eq!(Record::read(&file), Some(record));
}

fn nameless() -> File {
    let options = OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).clone();
    options.open("/dev/shm").or_else(|_| options.open(std::env::temp_dir())).expect("a file without a name")
}
