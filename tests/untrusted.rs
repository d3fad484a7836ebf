//! What others put into the shared directory: it may be anything, and it is believed only as far as it goes.

mod house;

use std::fs::{self, File};

use house::scene::{FOREIGN, STUBBORN};
use house::{House, proc};

/// Makes one of `FOREIGN` at a path.
#[track_caller]
fn make(house: &House, line: &str, name: &str) {
    assert_eq!(house.sh(line).arg(house.pod(name)).finish().code(), 0);
}

#[test]
fn whatever_kind_of_file_the_sentinel_is_it_is_there() {
    for (kind, line) in FOREIGN {
        let house = House::new();
        let mut sidecar = house.helper(&["--exit-with", "main"]);
        make(&house, line, "main-job-terminated");
        assert_eq!(sidecar.code(), 0, "{kind}: over, code unknown");
        let mut late = house.sidecar().command("echo started").finish();
        assert_eq!((late.code(), late.out()), (0, String::new()), "{kind}");
    }
}

#[test]
fn a_socket_as_the_sentinel_or_the_life_is_no_danger() {
    let house = House::new();
    let _life = std::os::unix::net::UnixListener::bind(house.pod("main-job-running")).expect("a socket");
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    let _sentinel = std::os::unix::net::UnixListener::bind(house.pod("main-job-terminated")).expect("a socket");
    assert_eq!(sidecar.code(), 0);
}

#[test]
fn whatever_kind_of_file_the_life_is_it_neither_ends_nor_stops_the_sidecar() {
    for (kind, line) in FOREIGN {
        let house = House::new();
        make(&house, line, "main-job-running");
        let mut early = house.helper(&["--exit-with", "main"]);
        fs::rename(house.pod("main-job-running"), house.path("away")).expect("a file moved");
        let mut late = house.helper(&["--exit-with", "main"]);
        make(&house, line, "main-job-running");
        house.touch("main-job-terminated");
        assert_eq!((early.code(), late.code()), (0, 0), "{kind}");
    }
}

#[test]
fn whatever_kind_of_file_is_in_our_place_is_replaced_or_named_and_never_followed() {
    for (kind, line) in FOREIGN {
        for name in ["main-job-running", "main-job-terminated", "main-job-ready", ".main-job-running.new"] {
            let house = House::new();
            make(&house, line, name);
            let mut main = house.main().command("touch \"$CUE.started\"; exit 3").finish();
            let started = house.path("cue.started").exists();
            if kind.contains("directory") {
                // rename(2) does not put a file in the place of a directory, and whose it is we do not know.
                assert!(
                    main.code() == 125 && !started || main.code() == 3 && started,
                    "{kind} as {name}: {}",
                    main.err()
                );
                if main.code() == 125 {
                    assert!(main.err().contains(name), "{kind} as {name}: {}", main.err());
                    assert_eq!(main.err().lines().count(), 1, "{kind} as {name}: {}", main.err());
                }
            } else {
                assert_eq!((main.code(), started), (3, true), "{kind} as {name}: {}", main.err());
                assert_eq!(house.record("main-job-terminated")["exit_code"], 3);
                let sentinel = fs::symlink_metadata(house.pod("main-job-terminated")).expect("the sentinel");
                assert!(sentinel.is_file(), "{kind} as {name}");
            }
            if let Ok(precious) = fs::read_to_string(house.pod(format!("{name}.target"))) {
                assert_eq!(precious, "precious\n", "{kind} as {name} was followed");
            }
        }
    }
}

#[test]
fn what_the_job_puts_in_the_place_of_our_files_does_not_change_its_code_nor_keep_the_sidecar() {
    for (kind, line) in FOREIGN {
        for name in ["main-job-running", "main-job-terminated"] {
            let house = House::new();
            let script = format!("echo ready; read code <\"$CUE\"; rm -f \"$1\"; {line}; exit \"$code\"");
            let mut main = house.main().args(["--", "sh", "-c", &script, "sh"]).arg(house.pod(name)).start();
            main.ready();
            let mut sidecar = house.helper(&[]);
            house.cue(3);
            assert_eq!(main.code(), 3, "{kind} as {name}: {}", main.err());
            assert_eq!(sidecar.code(), 0, "{kind} as {name}");
        }
    }
}

#[test]
fn a_link_to_a_life_that_is_over_is_not_that_life() {
    let house = House::new();
    drop(house.life("other", |record| record["name"] = "main-job".into()));
    for link in ["main-job-running", "third-running"] {
        std::os::unix::fs::symlink(house.pod("other-running"), house.pod(link)).expect("a link");
    }
    let mut sidecar = house.helper(&["--until=main-job,third", "--until-any", "--exit-with=main"]);
    house.touch("third-terminated");
    // 137 if the link had been followed.
    assert_eq!(sidecar.code(), 0);
    sidecar.expect("term");
}

#[test]
fn the_name_of_a_foreign_file_cannot_put_a_line_or_a_colour_into_our_log() {
    let house = House::new();
    for name in ["a\nexeunt sidecar: all is well-running", "b\u{1b}[31m-running", "c\r-terminated", "plain-running"] {
        house.touch(name);
    }
    let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"d\xff\x07-running");
    File::create(house.pod(bytes)).expect("a file");
    let mut sidecar = house.helper(&["--watch=poll"]);
    sidecar.says("spelt");
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0);
    let text = sidecar.err();
    assert!(text.contains("plain"), "{text:?}");
    assert!(!text.replace('\n', "").contains(char::is_control), "{text:?}");
    assert!(
        text.lines().all(|line| line.starts_with("exeunt sidecar: ") && !line.starts_with("exeunt sidecar: all")),
        "{text:?}"
    );
}

/// Contents that are no record of ours, or only nearly.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let long = "9".repeat(2000);
    let near = |change: &str| format!("{{\"protocol\":1,\"name\":\"main-job\",{change}}}\n").into_bytes();
    vec![
        ("nothing", vec![]),
        ("a newline", b"\n".to_vec()),
        ("NULs", vec![0; 4096]),
        ("garbage", (0..8192u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        (
            "no UTF-8",
            near("\"hostname\":\"\u{0}\"").into_iter().map(|byte| if byte == 0 { 0xff } else { byte }).collect(),
        ),
        ("deep arrays", vec![b'['; 4096]),
        ("deep objects", b"{\"a\":".repeat(4000)),
        ("deep in a field", near(&format!("\"more\":{}", "[".repeat(1900)))),
        ("an array", b"[1,\"main-job\",null]\n".to_vec()),
        ("a number", long.clone().into_bytes()),
        ("null", b"null\n".to_vec()),
        ("half a record", b"{\"protocol\":1,\"name\":\"main-".to_vec()),
        ("wrong types", near("\"attempt\":\"two\",\"exit_code\":[],\"final\":3,\"boot_id\":{},\"inode\":-1")),
        ("numbers out of range", near(&format!("\"attempt\":{long},\"exit_code\":300,\"signal\":-4,\"inode\":1e999"))),
        ("a later protocol", near("\"protocol\":4000000000,\"restart_policy\":\"sometimes\"")),
        ("two of everything", near("\"exit_code\":1,\"exit_code\":2")),
        ("a record with a tail", [near("\"exit_code\":9"), b"and more".to_vec()].concat()),
    ]
}

#[test]
fn hostile_content_of_a_life_ends_nobody_and_stops_nobody() {
    for (kind, content) in hostile() {
        let house = House::new();
        fs::write(house.pod("main-job-running"), &content).expect("a file");
        let mut sidecar = house.helper(&["--exit-with", "main"]);
        fs::write(house.pod("main-job-running"), &content).expect("a file");
        // A job that starts on top of it.
        let mut main = house.job(&[]);
        assert_eq!(house.record("main-job-running")["attempt"], 1, "{kind}");
        assert_eq!(sidecar.try_ended(), None, "{kind}");
        house.cue(3);
        assert_eq!((main.code(), sidecar.code()), (3, 3), "{kind}");
        assert!(!sidecar.err().contains("panicked"), "{kind}: {}", sidecar.err());
    }
}

#[test]
fn hostile_content_of_a_sentinel_is_the_end_with_an_unknown_code() {
    for (kind, content) in hostile() {
        let house = House::new();
        let mut sidecar = house.helper(&["--exit-with", "main"]);
        fs::write(house.path("sentinel"), &content).expect("a file");
        fs::rename(house.path("sentinel"), house.pod("main-job-terminated")).expect("the sentinel");
        let code = sidecar.code();
        assert!(code == 0, "{kind}: {code}");
        let mut late = house.sidecar().command("echo started").finish();
        assert_eq!((late.code(), late.out()), (0, String::new()), "{kind}");
    }
}

#[test]
fn a_number_of_attempts_that_cannot_grow_does_not_stop_the_next() {
    for attempt in [u64::from(u32::MAX), u64::MAX] {
        let house = House::new();
        drop(house.life("main-job", |record| record["attempt"] = attempt.into()));
        assert_eq!(house.main().command("exit 3").finish().code(), 3);
    }
}

#[test]
fn a_file_without_end_is_read_no_further_than_a_record() {
    let house = House::new();
    for name in ["main-job-running", "main-job-terminated", "other-running"] {
        let file = File::create(house.pod(name)).expect("a file");
        file.set_len(1 << 40).expect("a file with holes");
    }
    let mut sidecar = house.sidecar().args(["--until", "main-job,other"]).command(STUBBORN).start();
    sidecar.ready();
    let most: u64 =
        proc::status(sidecar.pid, "VmHWM").expect("its memory").trim_end_matches(" kB").parse().expect("a number");
    assert!(most < 32 * 1024, "{most} kB");
    drop(sidecar);
    let mut main = house.main().command("exit 3").finish();
    assert_eq!(main.code(), 3);
}
