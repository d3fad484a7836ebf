//! The duties of PID 1 in a container, each beside a container without exeunt that shows what is missing there.

use crate::engine::{Container, docker, until};

use crate::pair::Recipe;

/// Leaves children behind whose parent is gone; the kernel gives them to PID 1.
const ORPHANS: &str = "i=0; while [ $i -lt 50 ]; do (sleep 0 &); i=$((i+1)); done";

fn processes(container: &Container, pattern: &str) -> usize {
    let count = container.shell(&format!("grep -l '{pattern}' /proc/[0-9]*/status 2>/dev/null | wc -l"));
    count.trim().parse().expect("a number")
}

/// Zombies: who waits for a pid to vanish waits for ever: argoproj/argo-workflows#7259, argoproj/argo-workflows#8246,
/// argoproj/argo-workflows#9446.
#[test]
fn orphans_are_reaped_and_without_exeunt_they_stay() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    let wrapped = Recipe::new(engine, &volume).main("echo working; exec sleep 1000");
    wrapped.wait_for_log("working");
    wrapped.shell(ORPHANS);
    // One child of PID 1 is left, the command: not one orphan, alive or dead.
    until("all orphans reaped", || (processes(&wrapped, "^PPid:[^0-9]1$") == 1).then_some(()));
    assert_eq!(processes(&wrapped, "^State:.Z"), 0);

    let bare = engine.start(&[&engine.shell, "/bin/sh", "-c", "echo working; exec sleep 1000"]);
    bare.wait_for_log("working");
    bare.shell(ORPHANS);
    until("fifty zombies under a PID 1 that is no init", || (processes(&bare, "^State:.Z") == 50).then_some(()));
}

#[test]
fn term_ends_a_command_that_has_no_handler_and_without_exeunt_it_does_not() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    let wrapped = Recipe::new(engine, &volume).main("echo working; exec sleep 1000");
    let bare = engine.start(&[&engine.shell, "/bin/sh", "-c", "echo working; exec sleep 1000"]);
    for container in [&wrapped, &bare] {
        container.wait_for_log("working");
        container.signal("TERM");
    }
    assert_eq!(wrapped.exit_code(), 143, "{}", wrapped.log());
    // The kernel drops the signal while it is sent, so it cannot come after this.
    assert_eq!(bare.shell("echo alive"), "alive");
}

#[test]
fn signals_arrive_each_by_its_own_name_and_real_time_ones_too() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    let main = Recipe::new(engine, &volume).main(
        "for signal in HUP INT QUIT USR1 USR2 WINCH CONT 37; do trap \"echo got $signal\" $signal; done
         trap 'echo got TERM; exit 4' TERM
         echo working
         while :; do sleep 1000 & wait; kill $!; done",
    );
    main.wait_for_log("working");
    for (sent, seen) in [
        ("HUP", "HUP"),
        ("INT", "INT"),
        ("QUIT", "QUIT"),
        ("USR1", "USR1"),
        ("USR2", "USR2"),
        ("WINCH", "WINCH"),
        ("CONT", "CONT"),
        ("RTMIN+3", "37"),
    ] {
        main.signal(sent);
        main.wait_for_log(&format!("got {seen}"));
    }
    main.signal("TERM");
    assert_eq!(main.exit_code(), 4, "{}", main.log());
    assert_eq!(main.log().matches("got ").count(), 9, "each once:\n{}", main.log());
}

#[test]
fn exeunt_is_pid_1_and_its_command_starts_as_without_it() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    // What a process inherits: its identity, its limits, its masks, its directory, its descriptors.
    let look = "grep -E '^(Uid|Gid|Groups|Sig(Blk|Ign|Cgt)|Cap|NoNewPrivs|Seccomp):' /proc/self/status
                umask; pwd; ulimit -a; ls /proc/self/fd | wc -l; cat /proc/self/oom_score_adj";
    let options = ["--user", "1001:1002", "--workdir", "/bin", "--ulimit", "nofile=100:200"];
    let wrapped = Recipe { engine_options: &options, ..Recipe::new(engine, &volume) }
        .main(&format!("tr '\\0' '\\n' </proc/1/cmdline | head -n 1; {look}"));
    assert_eq!(wrapped.exit_code(), 0, "{}", wrapped.log());
    let bare = engine.start(&[&options[..], &[&engine.shell, "/bin/sh", "-c", look]].concat());
    assert_eq!(bare.exit_code(), 0, "{}", bare.log());
    assert_eq!(wrapped.log(), format!("/exeunt\n{}", bare.log()));
}
