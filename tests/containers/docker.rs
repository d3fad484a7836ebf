//! A main and a sidecar container that share a volume under Docker, and every way in which the main one can end.

use crate::engine::{Container, docker, until};
use crate::images;
use crate::pair::{Recipe, SERVER, STUBBORN, both_run, job_that_ends, sentinel};
use std::io::Write;
use std::process::{Command, Stdio};

const ON_TMPFS: &[&str] = &["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=mode=1777"];

fn let_go(job: &Container) {
    job.shell("touch /tmp/pod/go");
}

fn assert_told(sidecar: &Container) {
    let log = sidecar.log();
    assert!(log.contains("told to stop"), "the sidecar was not asked to end:\n{log}");
    assert!(log.contains("exeunt sidecar: "), "the sidecar does not say why it ends:\n{log}");
}

#[test]
fn a_job_and_its_sidecar_leave_together_and_each_with_its_own_code() {
    let Some(engine) = docker() else { return };
    for options in [&[], ON_TMPFS] {
        let volume = engine.volume(options);
        let recipe = Recipe::new(engine, &volume);
        let sidecar = recipe.sidecar(SERVER);
        let main = recipe.main(&job_that_ends("exit 7"));
        both_run(&main, &sidecar);
        let_go(&main);
        assert_eq!(main.exit_code(), 7);
        assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
        assert_told(&sidecar);
        if options.is_empty() {
            // Nothing holds a volume of memory once its last container is gone.
            let record = sentinel(engine, &volume);
            assert_eq!(record["exit_code"], 7);
            assert_eq!(record["final"], true);
        }
    }
}

#[test]
fn a_sidecar_that_comes_when_the_job_is_over_is_not_started() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    let recipe = Recipe::new(engine, &volume);
    assert_eq!(recipe.main("exit 0").exit_code(), 0);
    let sidecar = recipe.sidecar("echo here I am");
    assert_eq!(sidecar.exit_code(), 0);
    assert!(!sidecar.log().contains("here I am"), "{}", sidecar.log());
}

#[test]
fn a_sidecar_that_ignores_term_is_killed_after_the_grace() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    let recipe = Recipe::new(engine, &volume);
    let sidecar = Recipe { options: &["--grace", "500ms"], ..recipe }.sidecar(STUBBORN);
    let main = Recipe::new(engine, &volume).main(&job_that_ends("exit 0"));
    both_run(&main, &sidecar);
    let_go(&main);
    assert_eq!(main.exit_code(), 0);
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    let log = sidecar.log();
    assert!(log.contains("not now"), "killed without having been asked:\n{log}");
    assert!(log.contains("exeunt sidecar: warning: "), "killed without a word:\n{log}");
}

/// Since 1.28 the kubelet has the whole container killed, wrapper included: kubernetes/kubernetes#117793,
/// kubernetes-sigs/prow#210.
#[test]
fn docker_kill_of_the_main_container_ends_the_sidecar() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    let recipe = Recipe::new(engine, &volume);
    let sidecar = recipe.sidecar(SERVER);
    let main = recipe.main(&job_that_ends("exit 0"));
    both_run(&main, &sidecar);
    // PID 1 of the container is exeunt: nobody is left to say anything.
    main.signal("KILL");
    assert_eq!(main.exit_code(), 137);
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    assert_told(&sidecar);
}

#[test]
fn a_job_of_unknown_code_can_fail_its_sidecar() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    let sidecar = Recipe { options: &["--exit-with", "main"], ..Recipe::new(engine, &volume) }.sidecar(SERVER);
    let main = Recipe::new(engine, &volume).main(&job_that_ends("exit 0"));
    both_run(&main, &sidecar);
    main.signal("KILL");
    assert_eq!(sidecar.exit_code(), 137, "{}", sidecar.log());
}

/// Doubles a string for ever: it is the container's limit that ends this.
const GLUTTON: &str = "food=0123456789; while :; do food=$food$food; done";

/// Several of them, each much smaller than the limit, so that size does not decide which process has to go.
fn gluttons() -> String {
    format!("({GLUTTON}) & ({GLUTTON}) & ({GLUTTON}) & ({GLUTTON}) & wait")
}

const MEMORY: &[&str] = &["--memory", "48m", "--memory-swap", "48m"];

/// 137 with another reason: the steps after it hang: tektoncd/pipeline#8170, tektoncd/pipeline#10371.
#[test]
fn a_job_that_runs_out_of_memory_ends_with_137_and_its_sidecar_with_it() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    let recipe = Recipe::new(engine, &volume);
    let sidecar = recipe.sidecar(SERVER);
    let main = Recipe { engine_options: MEMORY, ..Recipe::new(engine, &volume) }.main(&job_that_ends(GLUTTON));
    both_run(&main, &sidecar);
    let_go(&main);
    assert_eq!(main.exit_code(), 137, "{}", main.log());
    assert!(main.log().contains("exeunt main: "), "no word about the signal:\n{}", main.log());
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    assert_told(&sidecar);
    // The kernel took the largest process, the job; exeunt lived to write it down.
    let record = sentinel(engine, &volume);
    assert_eq!(record["signal"], 9, "{record}");
}

/// The wrapper is killed with its job by the out-of-memory killer, what it would have said at its end is never said, the
/// rest waits for ever: argoproj/argo-workflows#8680, argoproj/argo-workflows#8456, argoproj/argo-workflows#9083,
/// argoproj/argo-workflows#10063, buildkite/agent-stack-k8s#182.
#[test]
fn an_out_of_memory_kill_of_the_whole_main_container_ends_the_sidecar() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    let recipe = Recipe::new(engine, &volume);
    let sidecar = recipe.sidecar(SERVER);
    let main = Recipe { engine_options: MEMORY, ..Recipe::new(engine, &volume) }.main(&job_that_ends(&gluttons()));
    both_run(&main, &sidecar);
    // The kubelet sets memory.oom.group on unified cgroups, so that everything in the container dies at once. On the
    // older hierarchy the same is had by making PID 1 the first choice of the kernel: what is left dies with it.
    main.shell("echo 1000 > /proc/1/oom_score_adj");
    let_go(&main);
    assert_eq!(main.exit_code(), 137, "{}", main.log());
    assert_eq!(main.ask("{{.State.OOMKilled}}"), "true");
    assert!(!main.log().contains("exeunt main: "), "it was the job that was killed, not exeunt:\n{}", main.log());
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    assert_told(&sidecar);
}

#[test]
fn docker_stop_reaches_the_job_and_its_code_comes_back() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    let recipe = Recipe::new(engine, &volume);
    let sidecar = recipe.sidecar(SERVER);
    let main = recipe.main("trap 'echo saving; exit 3' TERM; echo working; sleep 1000 & wait");
    both_run(&main, &sidecar);
    engine.run(&["stop", "--time", "50", &main.name]);
    assert_eq!(main.exit_code(), 3, "{}", main.log());
    assert!(main.log().contains("saving"));
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    assert_told(&sidecar);
}

#[test]
fn docker_stop_of_a_sidecar_gives_the_code_of_its_command() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    let sidecar = Recipe::new(engine, &volume).sidecar(SERVER);
    sidecar.wait_for_log("serving");
    engine.run(&["stop", "--time", "50", &sidecar.name]);
    // Not 0: it was not the end of the job that stopped it.
    assert_eq!(sidecar.exit_code(), 143, "{}", sidecar.log());
    assert!(sidecar.log().contains("told to stop"));
}

#[test]
fn a_sidecar_stays_while_docker_restarts_the_main_container() {
    let Some(engine) = docker() else { return };
    let volume = engine.volume(&[]);
    let recipe = Recipe::new(engine, &volume);
    // Answers the second attempt, and only a sidecar that has outlived the first one can.
    let sidecar = Recipe { options: &["--name", "helper"], ..recipe }.sidecar_that_writes(
        "trap 'echo told to stop; exit 143' TERM
         echo serving
         until [ -e /tmp/pod/second ]; do sleep 0.05; done
         echo still here | tee /tmp/pod/answer
         sleep 1000 & wait",
    );
    sidecar.wait_for_log("serving");
    let main = Recipe {
        engine_options: &["--restart", "on-failure:3"],
        options: &["--restart-policy", "on-failure"],
        ..Recipe::new(engine, &volume)
    }
    .main(
        "if [ ! -e /tmp/pod/first ]; then touch /tmp/pod/first; echo failing; exit 5; fi
         touch /tmp/pod/second
         until [ -e /tmp/pod/answer ]; do sleep 0.05; done
         echo answered",
    );
    main.wait_for_log("answered");
    assert_eq!(main.exit_code(), 0, "{}", main.log());
    assert_eq!(main.ask("{{.RestartCount}}"), "1");
    assert_eq!(sidecar.exit_code(), 0, "{}", sidecar.log());
    assert_told(&sidecar);
    assert_eq!(sidecar.log().matches("serving").count(), 1);
    let record = sentinel(engine, &volume);
    assert_eq!([&record["attempt"], &record["exit_code"]], [2, 0], "{record}");
    assert_eq!(record["final"], true, "{record}");
}

#[test]
fn a_terminal_works_as_without_exeunt_and_an_interrupt_reaches_the_command() {
    let Some(engine) = docker() else { return };
    let images = images::of(engine);
    let volume = engine.volume(&[]);
    let name = crate::engine::unique("terminal");
    let main = Container { engine, name: name.clone() };
    let line = format!(
        "docker run --interactive --tty --network none --name {name} --volume {}:/tmp/pod {} /exeunt --mode main -- \
         /bin/sh -c \"trap 'echo interrupted; exit 9' INT; tty; echo working; read word; echo read \\$word;
                       while :; do sleep 0.05; done\"",
        volume.name, images.job
    );
    // `script` is the person at the terminal: its standard input is the keyboard.
    let mut person = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("start script");
    until(&format!("container {name}"), || (engine.attempt(&["inspect", &name]).code == Some(0)).then_some(()));
    main.wait_for_log("working");
    let mut keyboard = person.stdin.take().expect("a pipe");
    // Only the foreground group may read from the terminal; any other is stopped (SIGTTIN).
    keyboard.write_all(b"hello\n").expect("type a word");
    main.wait_for_log("read hello");
    keyboard.write_all(b"\x03").expect("press ctrl-C");
    assert_eq!(main.exit_code(), 9, "{}", main.log());
    let log = main.log();
    assert!(log.contains("/dev/pts/0") || log.contains("/dev/console"), "no terminal:\n{log}");
    assert!(log.contains("interrupted"), "{log}");
    until("the end of script", || person.try_wait().expect("wait for script"));
}
