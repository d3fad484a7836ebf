//! The least that a container can have: a user id out of nowhere, no capability, no new privileges, the engine's seccomp
//! profile, a root that cannot be written to, and a volume that two users share by their group alone. And neighbours who
//! mean harm, from a user of their own.

use crate::engine::{Container, Engine, Volume, docker};
use crate::images;
use crate::pair::{SERVER, job_that_ends};

/// The group that the containers of a Pod share, as `fsGroup` of a Pod says.
const GROUP: u32 = 54321;

const STRICT: &[&str] = &["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];

/// What the kernel says of PID 1, which is exeunt, and of a way to write.
const PROOF: &str = "id -u; id -g; umask; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/1/status; \
                     touch /file 2>/dev/null || echo read-only;";

/// A user that no image knows. Another one for each call.
fn somebody() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    100_000 + std::process::id() % 50_000 * 10 + NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A volume that belongs to the group, with this mode: 2770 is what a kubelet makes of `fsGroup`.
fn group_volume(engine: &'static Engine, mode: &str) -> Volume {
    let volume = engine.volume(&[]);
    let mount = format!("{}:/tmp/pod:nocopy", volume.name);
    let line = format!("chown 0:{GROUP} /tmp/pod && chmod {mode} /tmp/pod");
    engine.run(&["run", "--rm", "--network", "none", "--volume", &mount, &engine.shell, "/bin/sh", "-c", &line]);
    volume
}

/// A container of somebody in the group, strictly; `command` is what PID 1 is.
fn start(engine: &'static Engine, volume: &Volume, user: u32, options: &[&str], command: &[&str]) -> Container {
    // Without "nocopy" Docker would give an empty volume the mode of the directory in the image, with every container.
    let mount = format!("{}:/tmp/pod:nocopy", volume.name);
    let user = format!("{user}:{GROUP}");
    let image = images::of(engine).job.as_str();
    engine.start(&[STRICT, options, &["--user", &user, "--volume", &mount, image], command].concat())
}

fn wrapped(engine: &'static Engine, volume: &Volume, options: &[&str], exeunt: &[&str], script: &str) -> Container {
    // A umask that lets nobody read what is made: exeunt's own files are 0644 all the same.
    let line = "umask 0077; exec /exeunt \"$@\"";
    let command = [&["/bin/sh", "-c", line, "sh"], exeunt, &["--", "/bin/sh", "-c", script]].concat();
    start(engine, volume, somebody(), options, &command)
}

#[track_caller]
fn assert_least_privilege(container: &Container) {
    let log = container.log();
    let lines: Vec<_> = log.lines().take(8).collect();
    let rights =
        ["CapBnd:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "read-only"];
    let mut found = lines[3..].to_vec();
    found.sort_unstable();
    assert_eq!(found, rights, "{log}");
    assert!(lines[0].parse::<u32>().is_ok_and(|user| user >= 100_000), "{log}");
    assert_eq!(lines[1..3], [&GROUP.to_string(), "0077"], "{log}");
}

#[test]
fn a_pair_without_any_right_that_shares_a_volume_by_its_group_ends_together_in_every_way_of_ending() {
    let Some(engine) = docker() else { return };
    let memory: &[&str] = &["--memory", "48m", "--memory-swap", "48m"];
    let glutton = "food=0123456789; while :; do food=$food$food; done";
    for (way, options, code, told) in [
        ("exit 7", &[][..], 7, 7),
        ("kill -9 $$", &[], 137, 137),
        (glutton, memory, 137, 137),
        ("SIGKILL for exeunt itself", &[], 137, 137),
    ] {
        let volume = group_volume(engine, "2770");
        let sidecar_script = format!("{PROOF} {SERVER}");
        let sidecar = wrapped(engine, &volume, &[], &["--mode", "sidecar", "--exit-with", "main"], &sidecar_script);
        let by_hand = way.starts_with("SIGKILL");
        let job = format!("{PROOF} {}", job_that_ends(if by_hand { "exit 0" } else { way }));
        let main = wrapped(engine, &volume, options, &["--mode", "main"], &job);
        main.wait_for_log("working");
        sidecar.wait_for_log("serving");
        assert!(sidecar.is_running(), "{way}: it has left early:\n{}", sidecar.log());
        for container in [&main, &sidecar] {
            assert_least_privilege(container);
        }
        if by_hand {
            main.signal("KILL");
        } else {
            main.shell("touch /tmp/pod/go");
        }
        assert_eq!(main.exit_code(), code, "{way}: {}", main.log());
        // Main's code, which the sidecar has read as another user.
        assert_eq!(sidecar.exit_code(), told, "{way}: {}", sidecar.log());
        assert!(sidecar.log().contains("told to stop"), "{way}: {}", sidecar.log());
        assert!(!sidecar.log().contains("warning"), "{way}: {}", sidecar.log());
    }
}

/// One who may not even read the directory: one line, and nothing is run.
#[test]
fn a_user_who_is_not_in_the_group_is_told_so_and_nothing_is_run() {
    let Some(engine) = docker() else { return };
    let volume = group_volume(engine, "2770");
    let mount = format!("{}:/tmp/pod:nocopy", volume.name);
    let user = format!("{0}:{0}", somebody());
    let image = images::of(engine).job.as_str();
    for mode in ["main", "sidecar"] {
        let command = ["/exeunt", "--mode", mode, "--", "/bin/echo", "started"];
        let stranger = engine.start(&[STRICT, &["--user", &user, "--volume", &mount, image], &command[..]].concat());
        assert_eq!(stranger.exit_code(), 125, "{mode}: {}", stranger.log());
        let log = stranger.log();
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("/tmp/pod") && !log.contains("started"), "{log}");
    }
}

/// Everything that a job without rights can put in the place of its own files, while exeunt in the other container looks.
const HOSTILE_JOB: &str = r#"
    cd /tmp/pod
    umask 0
    mknod device c 1 5 2>/dev/null && echo has made a device
    for_each() { rm -rf main-job-running main-job-ready; for file in main-job-running main-job-ready; do "$@"; done; }
    link() { ln -s "$1" $file; }
    fifo() { mkfifo $file; }
    holes() { truncate -s 1T $file; }
    brackets() { yes '[' | head -c 200000 >$file; }
    directory() { mkdir $file; }
    n=0
    while [ $n -lt 30 ]; do
        n=$((n + 1))
        for target in /dev/zero /proc/1/environ /tmp/pod/main-job-ready /proc/self/fd/0; do for_each link $target; done
        for_each fifo; for_each holes; for_each brackets; for_each directory
    done
    rm -rf main-job-running main-job-ready
    echo '{"protocol":1,"name":"main-job","pid":1,"exit_code":0,"signal":9,"final":true}' >main-job-running
    while :; do head -c 100000 /dev/zero >>main-job-ready; sleep 0.05; done & growing=$!
    echo has tried it all
    until [ -e go ]; do sleep 0.05; done
    kill $growing; rm -f main-job-ready
    exit 7
"#;

#[test]
fn a_hostile_main_of_another_user_neither_misleads_nor_hurts_the_sidecar() {
    let Some(engine) = docker() else { return };
    let volume = group_volume(engine, "2770");
    let sidecar = wrapped(engine, &volume, &[], &["--mode", "sidecar", "--exit-with", "main"], SERVER);
    sidecar.wait_for_log("serving");
    let main = wrapped(engine, &volume, &[], &["--mode", "main"], HOSTILE_JOB);
    main.wait_for_log("has tried it all");
    assert!(sidecar.is_running(), "{}", sidecar.log());
    // What exeunt has open over there leads to nothing of what was put before it, and its memory has not grown.
    let open = sidecar.shell("ls -l /proc/1/fd; grep VmHWM /proc/1/status");
    for bait in ["zero", "environ", "main-job-ready"] {
        assert!(!open.contains(bait), "{open}");
    }
    let most = open.split_whitespace().rev().nth(1).and_then(|number| number.parse::<u32>().ok()).expect("VmHWM");
    assert!(most < 32 * 1024, "{most} kB");
    main.shell("touch /tmp/pod/go");
    assert_eq!(main.exit_code(), 7, "{}", main.log());
    assert_eq!(sidecar.exit_code(), 7, "{}", sidecar.log());
    assert!(!main.log().contains("has made a device"), "{}", main.log());
    assert!(sidecar.log().contains("told to stop"), "{}", sidecar.log());
}

/// A sidecar that is in the group may remove and make what it likes. The job runs on and keeps its code, and its good
/// sidecar, which has the lock to go by, stays as long as the job does.
#[test]
fn a_hostile_sidecar_of_another_user_changes_neither_the_job_nor_its_code() {
    let Some(engine) = docker() else { return };
    let volume = group_volume(engine, "2770");
    let main = wrapped(engine, &volume, &[], &["--mode", "main"], &job_that_ends("exit 7"));
    main.wait_for_log("working");
    let good = wrapped(engine, &volume, &[], &["--mode", "sidecar", "--exit-with", "main"], SERVER);
    good.wait_for_log("serving");
    let script = r#"
        cd /tmp/pod
        if flock -n main-job-running true; then echo has the lock; fi
        n=0; while [ $n -lt 3000 ]; do n=$((n + 1)); : >"flood-$n-running"; done
        rm -f main-job-running main-job-ready; mkdir main-job-running; : >main-job-running/file
        echo has tried it all; sleep 1000"#;
    let hostile = start(engine, &volume, somebody(), &[], &["/bin/sh", "-c", script]);
    hostile.wait_for_log("has tried it all");
    assert!(!hostile.log().contains("has the lock"), "{}", hostile.log());
    for container in [&main, &good] {
        assert!(container.is_running(), "{}", container.log());
    }
    main.shell("touch /tmp/pod/go");
    assert_eq!(main.exit_code(), 7, "{}", main.log());
    assert_eq!(good.exit_code(), 7, "{}", good.log());
}

/// The sticky bit: what belongs to another user cannot be removed or replaced. It can be made first.
#[test]
fn with_the_sticky_bit_a_hostile_sidecar_cannot_remove_what_is_the_jobs_but_it_can_be_first() {
    let Some(engine) = docker() else { return };
    let volume = group_volume(engine, "3770");
    let main = wrapped(engine, &volume, &[], &["--mode", "main"], &job_that_ends("exit 7"));
    main.wait_for_log("working");
    let script = "cd /tmp/pod; rm -f main-job-running; mv -f main-job-running away; : >trap; mv -f trap main-job-running; \
                  ls; echo has tried it all; until [ -e main-job-terminated ]; do sleep 0.05; done; rm -f main-job-terminated; \
                  ls; : >second-terminated; echo is first; sleep 1000";
    let hostile = start(engine, &volume, somebody(), &[], &["/bin/sh", "-c", script]);
    hostile.wait_for_log("has tried it all");
    assert!(hostile.log().lines().any(|line| line == "main-job-running"), "{}", hostile.log());
    main.shell("touch /tmp/pod/go");
    assert_eq!(main.exit_code(), 7, "{}", main.log());
    hostile.wait_for_log("is first");
    assert!(hostile.log().lines().any(|line| line == "main-job-terminated"), "{}", hostile.log());
    // A name that is still to come has no owner: its job is not started, and told whose file is in the way.
    let second = wrapped(engine, &volume, &[], &["--mode", "main", "--name", "second"], "echo started");
    assert_eq!(second.exit_code(), 125, "{}", second.log());
    let log = second.log();
    assert!(log.contains("/tmp/pod/second-terminated") && !log.contains("started"), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
}

/// Whoever is there first and holds the name has it: the job waits ten seconds, says so, and has not been started.
#[test]
fn a_hostile_sidecar_that_claims_the_name_first_keeps_the_job_from_starting_and_is_named() {
    let Some(engine) = docker() else { return };
    let volume = group_volume(engine, "2770");
    let hostile = wrapped(engine, &volume, &[], &["--mode", "main"], "echo serving; sleep 1000");
    hostile.wait_for_log("serving");
    let main = wrapped(engine, &volume, &[], &["--mode", "main"], "echo started");
    assert_eq!(main.exit_code(), 125, "{}", main.log());
    let log = main.log();
    assert!(log.contains("/tmp/pod/main-job-running") && !log.contains("started"), "{log}");
}
