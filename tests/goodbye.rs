//! `--on-exit` and `--mesh`: what is said to a sidecar that cannot be wrapped, when, and how often.
//!
//! The stand-ins behave as the documented endpoints of the real ones do: methods, codes, refusals. Their ports are fixed, so
//! each of these tests plays in a network namespace of its own, where only the loopback address is.

mod house;
mod stand_in;

use std::fs;
use std::time::{Duration, Instant};

use house::role::role;
use house::{EXEUNT, House, PATIENCE, Process, Run, proc, wait_for, wait_until};
use stand_in::{Answer, Server, closed_port, meshes};

roles! {
    fn istio() { meshes::istio(); }
    fn linkerd() { meshes::linkerd(); }
    fn cloud_sql_proxy() { meshes::cloud_sql_proxy(); }
    fn envoy() { meshes::envoy(); }
    fn nobody() { meshes::nobody(); }
}

/// A stand-in in a network namespace of its own, with only the loopback device.
fn stand_in(house: &House, name: &str) -> Process {
    let run = role(house, name).current_dir(house.path(""));
    let mut process = run.behind(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]).unshare(["--net"]).start();
    process.ready();
    process
}

fn beside(run: Run, other: &Process) -> Run {
    run.inside(other, &["--net"])
}

/// How many connections were refused there (RFC 1213, tcpAttemptFails).
fn refused(process: &Process) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/net/snmp", process.pid)).unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|name| name == "AttemptFails").unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

// --- --mesh

#[test]
fn with_each_mesh_the_job_starts_when_it_serves_and_it_is_told_to_quit_after_the_sentinel() {
    for (mesh, name, ready, quit) in [
        ("istio", "istio", "GET /healthz/ready", "POST /quitquitquit"),
        ("linkerd", "linkerd", "GET /ready", "POST /shutdown"),
        ("cloud-sql-proxy", "cloud_sql_proxy", "GET /startup", "POST /quitquitquit"),
        ("envoy", "envoy", "GET /ready", "POST /quitquitquit"),
    ] {
        let house = House::new();
        let mut proxy = stand_in(&house, name);
        let mut job = beside(house.main().args(["--mesh", mesh]).command("echo ready; exit 3"), &proxy).start();
        proxy.expect(ready);
        proxy.expect(ready);
        assert_eq!(job.out(), "", "{mesh}: the job has started before the proxy serves");
        fs::write(house.path("serves"), "").unwrap();
        job.ready();
        assert_eq!((job.code(), job.err()), (3, String::new()), "{mesh}");
        // What was asked, in order: nothing between the last question and the goodbye, and nothing after it.
        let asked = proxy.out();
        let asked: Vec<_> = asked.lines().skip(1).skip_while(|line| *line == ready).collect();
        assert_eq!(asked, [quit, "told to quit, the sentinel is there"], "{mesh}");
    }
}

#[test]
fn with_a_mesh_in_the_environment_the_same_is_done() {
    let house = House::new();
    fs::write(house.path("serves"), "").unwrap();
    let proxy = stand_in(&house, "istio");
    let mut job = beside(house.main().env("EXEUNT_MESH", "istio").args(["--", "true"]), &proxy).finish();
    assert_eq!((job.code(), job.err()), (0, String::new()));
    assert!(proxy.out().contains("POST /quitquitquit"), "{}", proxy.out());
}

/// The default of Linkerd since 2024. The job has done its work all the same.
/// The proxy does not quit, and the Job is repeated although it has passed: linkerd/linkerd2#8033.
#[test]
fn a_mesh_that_refuses_to_quit_is_a_warning() {
    let house = House::new();
    fs::write(house.path("serves"), "").unwrap();
    fs::write(house.path("closed"), "").unwrap();
    let proxy = stand_in(&house, "linkerd");
    let mut job = beside(house.main().args(["--mesh", "linkerd", "--", "true"]), &proxy).finish();
    assert_eq!(job.code(), 0);
    assert_eq!(job.err(), "exeunt main: warning: POST http://127.0.0.1:4191/shutdown: 404\n");
}

/// The same image must work where there is no proxy: linkerd/linkerd2#8758. Whether there is one, a variable of the Pod says; an
/// empty one is none.
#[test]
fn where_the_pod_names_no_mesh_the_same_command_line_waits_for_none() {
    let house = House::new();
    let proxy = stand_in(&house, "istio");
    let run = |mesh: Option<&str>| {
        let run = house.main().args(["--wait-timeout", "300ms", "--", "sh", "-c", "exit 7"]);
        let run = mesh.into_iter().fold(run, |run, mesh| run.env("EXEUNT_MESH", mesh));
        beside(run, &proxy).finish()
    };
    for none in [None, Some("")] {
        house.anew();
        let mut job = run(none);
        assert_eq!((job.code(), job.err()), (7, String::new()), "{none:?}");
    }
    assert!(!proxy.out().contains("GET") && !proxy.out().contains("POST"), "{}", proxy.out());
    house.anew();
    assert_eq!(run(Some("istio")).code(), 124);
    assert!(proxy.out().contains("GET"), "{}", proxy.out());
}

/// And a wait for one that never comes has an end.
#[test]
fn a_mesh_that_never_comes_is_given_up_and_told_to_quit_even_so() {
    let house = House::new();
    let proxy = stand_in(&house, "istio");
    let mut job =
        beside(house.main().args(["--mesh", "istio", "--wait-timeout", "300ms", "--", "true"]), &proxy).finish();
    assert_eq!(job.code(), 124);
    let said = "exeunt main: http://127.0.0.1:15021/healthz/ready: 503; given up after 300ms (--wait-timeout); true is not started\n";
    assert_eq!(job.err(), said);
    assert!(proxy.out().ends_with("POST /quitquitquit\ntold to quit, the sentinel is there\n"), "{}", proxy.out());
}

#[test]
fn a_mesh_beside_conditions_and_requests_of_one_s_own_adds_to_them() {
    let house = House::new();
    fs::write(house.path("serves"), "").unwrap();
    let proxy = stand_in(&house, "envoy");
    let condition = format!("file://{}", house.path("own").display());
    let options = ["--mesh", "envoy", "--wait-for", &condition, "--on-exit", "http://127.0.0.1:9901/own"];
    let mut job = beside(house.main().args(options).command("echo ready"), &proxy).start();
    let mut proxy = proxy;
    proxy.expect("GET /ready");
    assert_eq!(job.out(), "");
    fs::write(house.path("own"), "").unwrap();
    job.ready();
    assert_eq!(job.code(), 0);
    assert_eq!(job.err(), "exeunt main: warning: POST http://127.0.0.1:9901/own: 404\n");
    assert!(proxy.out().contains("POST /own\n") && proxy.out().contains("POST /quitquitquit\n"), "{}", proxy.out());
}

// --- when it is sent

/// A server that notes whether the sentinel was there when it was told.
fn witness(house: &House) -> Server {
    let sentinel = house.pod("main-job-terminated");
    Server::new(move |_| Answer::Status(if sentinel.exists() { 200 } else { 409 }, ""))
}

#[test]
fn the_request_is_a_post_without_a_body_and_comes_after_the_sentinel() {
    let house = House::new();
    let server = witness(&house);
    let mut job = house.main().args(["--on-exit", &server.url("/quit?now=1")]).command("exit 9").finish();
    // 409 would have been a warning.
    assert_eq!((job.code(), job.err()), (9, String::new()));
    assert_eq!(server.asked(), ["POST /quit?now=1"]);
    server.answers(|request| {
        let head = request.head.to_ascii_lowercase();
        Answer::Status(
            if head.contains("\r\ncontent-length: 0\r\n") && head.contains("\r\nhost: ") { 200 } else { 411 },
            "",
        )
    });
    house.anew();
    let mut job = house.main().args(["--on-exit", &server.url("/"), "--", "true"]).finish();
    assert_eq!((job.code(), job.err()), (0, String::new()));
}

/// A wrapped sidecar does not wait for the answers that the other one owes.
#[test]
fn a_wrapped_sidecar_leaves_while_the_goodbye_is_still_under_way() {
    let house = House::new();
    let silent = Server::new(|_| Answer::Silence);
    let mut sidecar = house.sidecar().command(house::scene::HELPER).start();
    sidecar.ready();
    let mut job = house.main().args(["--on-exit", &silent.url("/"), "--", "true"]).start();
    sidecar.expect("term");
    assert_eq!(sidecar.code(), 0, "{}", sidecar.err());
    wait_until("the request", || !silent.asked().is_empty());
    assert!(job.try_ended().is_none(), "the goodbye was over before the sidecar had left");
    // Whoever wants us gone now does not wait for it.
    job.signal(libc::SIGTERM);
    assert_eq!(job.code(), 0, "{}", job.err());
}

/// A command that is misspelt: the proxy is never told to quit: linkerd/linkerd-await#362.
#[test]
fn it_is_sent_however_the_job_ends() {
    let house = House::new();
    let server = witness(&house);
    let text = house.path("text");
    fs::write(&text, "no program").unwrap();
    let commands: [(&[&str], i32); 6] = [
        (&["true"], 0),
        (&["false"], 1),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["sh", "-c", "kill -TERM $PPID; sleep 1000"], 143),
        (&["no-such-command"], 127),
        (&[text.to_str().unwrap()], 126),
    ];
    for (number, (command, code)) in commands.into_iter().enumerate() {
        let mut job = house.main().args(["--on-exit", &server.url("/"), "--"]).args(command).finish();
        assert_eq!(job.code(), code, "{command:?}: {}", job.err());
        assert_eq!(server.asked().len(), number + 1, "{command:?}: {}", job.err());
        assert!(!job.err().contains("409"), "{command:?}: before the sentinel");
    }
}

#[test]
fn it_is_sent_when_a_signal_ended_the_wait() {
    let house = House::new();
    let server = witness(&house);
    let mut job = house.main().args(["--on-exit", &server.url("/"), "--wait-for", "proxy", "--", "true"]).start();
    house.appears("main-job-running");
    job.signal(libc::SIGTERM);
    assert_eq!(job.code(), 143);
    assert_eq!(job.err(), "exeunt main: SIGTERM while waiting for proxy: not ready; true is not started\n");
    assert_eq!(server.asked(), ["POST /"]);
}

/// The proxy would be there for ever, beside a container that failed for a volume that was forgotten.
#[test]
fn it_is_sent_when_the_directory_is_missing() {
    let house = House::new();
    let server = Server::new(|_| Answer::Status(200, ""));
    let mut job = house
        .run(EXEUNT)
        .args(["--mode", "main", "--on-exit", &server.url("/"), "--dir", "/no/such/directory", "--", "true"])
        .finish();
    assert_eq!(job.code(), 125, "{}", job.err());
    assert_eq!(server.asked(), ["POST /"]);
}

#[test]
fn it_is_not_sent_by_one_whose_name_is_held_by_another() {
    let house = House::new();
    let server = Server::new(|_| Answer::Status(200, ""));
    let _other = house.life("main-job", |_| {});
    let mut job = house.main().args(["--on-exit", &server.url("/"), "--", "true"]).finish();
    assert_eq!(job.code(), 125, "{}", job.err());
    assert_eq!(server.asked(), [""; 0]);
}

/// The job fails, the proxy is told to quit, the repeated job has none: redboxllc/scuttle#13.
#[test]
fn with_on_failure_it_is_sent_at_the_final_end_only() {
    let house = House::new();
    let server = witness(&house);
    let url = server.url("/");
    let options = ["--restart-policy", "on-failure", "--on-exit", &url, "--wait-timeout", "0"];
    let run = |more: &[&str]| house.main().args(options).args(more).finish();
    assert_eq!(run(&["--", "false"]).code(), 1);
    assert_eq!(run(&["--", "no-such-command"]).code(), 127);
    assert_eq!(run(&["--wait-for", "proxy", "--", "true"]).code(), 124);
    assert_eq!(run(&["--dir", "/no/such/directory", "--", "true"]).code(), 125);
    assert_eq!(server.asked(), [""; 0], "the next attempt would wait for a proxy that was told to quit");
    let mut last = run(&["--", "true"]);
    assert_eq!((last.code(), last.err()), (0, String::new()));
    assert_eq!(server.asked(), ["POST /"]);
}

// --- what can go wrong

#[test]
fn several_requests_are_all_sent_and_one_that_fails_does_not_keep_the_others() {
    let house = House::new();
    let server = Server::new(|request| Answer::Status(if request.path == "/b" { 500 } else { 200 }, ""));
    let urls = ["/a", "/b", "/c"].map(|path| server.url(path));
    let run = urls.iter().fold(house.main(), |run, url| run.args(["--on-exit", url]));
    let mut job = run.args(["--", "true"]).finish();
    assert_eq!(job.code(), 0);
    assert_eq!(job.err(), format!("exeunt main: warning: POST {}: 500\n", urls[1]));
    let mut asked = server.asked();
    asked.sort();
    assert_eq!(asked, ["POST /a", "POST /b", "POST /c"]);
    // And so in the environment.
    let mut job = house.main().env("EXEUNT_ON_EXIT", urls.join(" ")).args(["--", "true"]).finish();
    assert_eq!((job.code(), server.asked().len()), (0, 6));
}

#[test]
fn every_answer_but_2xx_is_a_warning_and_the_job_s_code_stays() {
    let house = House::new();
    let server = Server::new(|_| Answer::Silence);
    for (status, warned) in
        [(200, false), (202, false), (204, false), (301, true), (403, true), (405, true), (503, true)]
    {
        server.answers(move |_| Answer::Status(status, ""));
        house.anew();
        let url = server.url("/");
        let mut job = house.main().args(["--on-exit", &url]).command("exit 5").finish();
        assert_eq!(job.code(), 5);
        let said = format!("exeunt main: warning: POST {url}: {status}\n");
        assert_eq!(job.err(), if warned { said } else { String::new() });
    }
    for garbage in ["", "\r\n\r\n", "nonsense\r\n\r\n", "HTTP/1.1 what\r\n\r\n"] {
        server.answers(move |_| Answer::Raw(garbage.as_bytes().to_vec()));
        house.anew();
        let mut job = house.main().args(["--on-exit", &server.url("/")]).command("exit 5").finish();
        assert_eq!((job.code(), job.err().lines().count()), (5, 1), "{garbage:?}: {}", job.err());
        assert!(job.err().starts_with("exeunt main: warning: POST http://"), "{garbage:?}: {}", job.err());
    }
    // A request that was answered is never sent twice.
    assert_eq!(server.asked().len(), 11);
}

/// The proxy may still be starting while a short job is over already.
#[test]
fn a_refused_connection_is_tried_again() {
    let house = House::new();
    let net = stand_in(&house, "nobody");
    let mut job =
        beside(house.main().args(["--on-exit", "http://127.0.0.1:15020/quitquitquit", "--", "true"]), &net).start();
    wait_until("a refused connection", || refused(&net) >= 1);
    let mut proxy = beside(role(&house, "istio").current_dir(house.path("")), &net).start();
    proxy.ready();
    proxy.expect("POST /quitquitquit");
    proxy.expect("told to quit, the sentinel is there");
    assert_eq!((job.code(), job.err()), (0, String::new()));
}

#[test]
fn a_connection_that_is_refused_each_time_is_given_up_after_a_few() {
    let house = House::new();
    let net = stand_in(&house, "nobody");
    let url = "http://127.0.0.1:15020/quitquitquit";
    let mut job = beside(house.main().args(["--on-exit", url]).command("exit 6"), &net).finish();
    assert_eq!(job.code(), 6);
    let said = but_for_the_wait(&job.err());
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.starts_with(&format!("exeunt main: warning: POST {url}: "))
            && said.contains("Connection refused (ECONNREFUSED)"),
        "{said}"
    );
    let tries = refused(&net);
    assert!((3..=10).contains(&tries), "{tries} tries");
}

#[test]
fn a_request_that_is_not_answered_is_a_warning_after_five_seconds() {
    for (name, answer) in [
        ("silence", (|| Answer::Silence) as fn() -> Answer),
        ("a head without end", || Answer::Drip("HTTP/1.1 200 OK\r\nX-Header: ", b"and so on")),
    ] {
        let house = House::new();
        let server = Server::new(move |_| answer());
        let url = server.url("/");
        let begun = Instant::now();
        let mut job = house.main().args(["--on-exit", &url]).command("exit 5").finish();
        let took = begun.elapsed();
        assert_eq!(job.code(), 5, "{name}");
        let wait = "exeunt main: waiting for the answers to --on-exit; gives up after 7s\n";
        let said = format!("{wait}exeunt main: warning: POST {url}: no answer within 5s\n");
        assert_eq!(job.err(), said, "{name}");
        assert!(took > Duration::from_millis(3900), "{name}: given up after {took:?}");
        assert!(took < Duration::from_secs(7), "{name}: it took {took:?}");
        assert_eq!(server.asked().len(), 1, "{name}: sent again");
    }
}

/// Who is asked for longer than a second is spoken of while he is.
fn but_for_the_wait(err: &str) -> String {
    let lines = err.lines().filter(|line| !line.contains("waiting for the answers to --on-exit"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Several that hang take no longer than one.
#[test]
fn requests_that_hang_do_not_add_up_and_keep_none_from_being_sent() {
    let house = House::new();
    let server = Server::new(|request| if request.path == "/last" { Answer::Status(200, "") } else { Answer::Silence });
    let urls = ["/1", "/2", "/3", "/4", "/last"].map(|path| server.url(path));
    let run = urls.iter().fold(house.main(), |run, url| run.args(["--on-exit", url]));
    let begun = Instant::now();
    let mut job = run.args(["--", "true"]).finish();
    assert_eq!((job.code(), but_for_the_wait(&job.err()).lines().count()), (0, 4), "{}", job.err());
    assert!(begun.elapsed() < Duration::from_secs(7), "it took {:?}", begun.elapsed());
    assert!(server.asked().contains(&"POST /last".to_owned()));
}

#[test]
fn nobody_is_left_who_still_asks() {
    let house = House::new();
    let server = Server::new(|_| Answer::Silence);
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        let asked = server.asked().len();
        let mut job = house.main().args(["--on-exit", &server.url("/"), "--", "true"]).start();
        wait_until("the request", || server.asked().len() > asked);
        let messenger = wait_for("who sends it", PATIENCE, || proc::children(job.pid).first().copied());
        job.signal(signal);
        job.ended();
        wait_until("the end of who sends it", || !proc::alive(messenger));
    }
}

#[test]
fn the_warnings_of_the_goodbye_look_as_the_others_do() {
    let house = House::new();
    let server = Server::new(|_| Answer::Status(500, ""));
    let url = server.url("/");
    for by_flag in [true, false] {
        let run = house.main().args(["--on-exit", &url]);
        let run = if by_flag { run.args(["--log-format", "json"]) } else { run.env("EXEUNT_LOG_FORMAT", "json") };
        let job = run.args(["--", "true"]).finish();
        let line: serde_json::Value =
            serde_json::from_str(&job.err()).unwrap_or_else(|error| panic!("{error}: {}", job.err()));
        assert_eq!((line["level"].as_str(), line["mode"].as_str()), (Some("warning"), Some("main")), "{line}");
        assert_eq!(line["message"].as_str(), Some(format!("POST {url}: 500").as_str()), "{line}");
    }
    let job = house.main().args(["--on-exit", &url, "--log-level", "error", "--", "true"]).finish();
    assert_eq!(job.err(), "");
}

#[test]
fn the_answer_in_a_message_is_text_whatever_the_format_of_the_log_is() {
    let house = House::new();
    let url = format!("http://127.0.0.1:{}/", closed_port());
    for by_flag in [true, false] {
        house.anew();
        let run = house.main().args(["--wait-for", &url, "--wait-timeout", "1s"]);
        let run = if by_flag { run.args(["--log-format", "json"]) } else { run.env("EXEUNT_LOG_FORMAT", "json") };
        let job = run.args(["--", "true"]).finish();
        let line: serde_json::Value =
            serde_json::from_str(&job.err()).unwrap_or_else(|error| panic!("{error}: {}", job.err()));
        let message = line["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{url}: ")) && !message.contains('{'), "{message}");
        assert!(message.contains("Connection refused"), "{message}");
    }
}

/// A second of CPU time is what it may cost to wait five for an answer, with whatever else was waited for before the end.
#[test]
fn a_slow_goodbye_is_waited_for_without_spending_cpu_time() {
    let silent = Server::new(|_| Answer::Silence);
    let never = format!("tcp://127.0.0.1:{}", closed_port());
    let second = || {
        let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
        // SAFETY: reads a live local.
        let set = unsafe { libc::setrlimit(libc::RLIMIT_CPU, &raw const limit) };
        if set == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    let house = House::new();
    let start = |name: &str, options: &[&str]| {
        let run = house.main().args(["--name", name, "--on-exit", &silent.url("/")]).args(options);
        run.args(["--", "true"]).hook(second).start()
    };
    let mut jobs =
        [start("one", &["--ready-when", &never]), start("two", &["--stop-with", "proxy", "--watch", "poll"])];
    for job in &mut jobs {
        assert_eq!(job.code(), 0, "{}", job.err());
    }
}
