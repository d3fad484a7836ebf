//! Working together with the real things: Envoy, nginx, redis, and a log shipper at the deletion of a Pod.
//!
//! Stand-ins do what the documentation of their originals says. Here the originals themselves say when they are ready, how
//! they want to be ended, and with which code they go. Their ports are fixed (Envoy's admin port has to be), so each test plays
//! in a network namespace of its own, where only the loopback address is.

mod house;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use house::scene::mkfifo;
use house::{House, Process, Run, here, proc, wait_until};

// --- Envoy, with the configuration of the example: a listener on 10000, a service behind it, and the admin port 9901

/// It can be neither wrapped nor signalled by us: another image, with another container's processes.
#[test]
fn a_job_starts_when_the_real_envoy_is_ready_goes_through_it_and_tells_it_to_quit() {
    let Some(envoy) = here::envoy() else { return };
    let house = House::new();
    let net = namespace(&house);
    let mut job = beside(house.main().args(["--mesh", "envoy"]).command(&through_envoy(3)), &net).start();
    // It has looked for Envoy before there was one.
    wait_until("a connection to port 9901 that is refused", || refused(&net) >= 1);
    assert_eq!(job.out(), "", "the job was started before Envoy was");
    let mut envoy = beside(house.run(&envoy).args(envoy_options()), &net).start();
    job.expect("LIVE");
    job.expect("job: fetched 10 pages");
    assert_eq!((job.code(), job.err()), (3, String::new()));
    assert_eq!(envoy.code(), 0);
    assert_eq!(pages(&envoy), 10, "{}", envoy.out());
    assert!(envoy.err().contains("shutting down server instance"), "Envoy has not said that it leaves");
    assert!(!envoy.err().contains("caught "), "it was not the request that ended Envoy, but a signal");
}

/// The control: it is our request that ends this Envoy, and no habit of its own.
#[test]
fn an_envoy_that_nobody_tells_to_quit_serves_on_after_the_job() {
    let Some(envoy) = here::envoy() else { return };
    let house = House::new();
    let net = namespace(&house);
    let mut envoy = beside(house.run(&envoy).args(envoy_options()), &net).start();
    let wait = ["--wait-for", "http://127.0.0.1:9901/ready"];
    let mut job = beside(house.main().args(wait).command(&through_envoy(0)), &net).finish();
    assert_eq!((job.code(), job.err()), (0, String::new()));
    let after = beside(house.sh("curl -sS --noproxy '*' http://127.0.0.1:9901/ready"), &net).finish();
    assert_eq!(after.out(), "LIVE\n", "{}", after.err());
    assert!(envoy.try_ended().is_none());
}

#[test]
fn a_wrapped_envoy_says_that_it_is_ready_and_ends_by_the_sentinel() {
    let Some(envoy) = here::envoy() else { return };
    let house = House::new();
    let net = namespace(&house);
    let mut job = beside(house.main().args(["--wait-for", "envoy"]).command(&through_envoy(3)), &net).start();
    house.appears("main-job-running");
    let options = ["--name", "envoy", "--ready-when", "http://127.0.0.1:9901/ready", "--exit-with", "child", "--"];
    let mut sidecar = beside(house.sidecar().args(options).arg(&envoy).args(envoy_options()), &net).start();
    job.expect("LIVE");
    job.expect("job: fetched 10 pages");
    // The code of the sidecar is Envoy's own here.
    assert_eq!((job.code(), sidecar.code()), (3, 0), "{}", sidecar.err());
    assert_eq!(job.err(), "");
    assert_eq!(pages(&sidecar), 10, "{}", sidecar.out());
    assert!(sidecar.err().contains("exeunt sidecar: ") && sidecar.err().contains("caught ENVOY_SIGTERM"));
    assert_eq!(house.listing(), ["envoy-terminated", "main-job-terminated"]);
}

/// The same as somebody would try it.
#[test]
fn the_example_of_an_envoy_that_cannot_be_wrapped_shows_what_its_head_says() {
    let Some(envoy) = here::envoy() else { return };
    let house = House::new();
    let net = namespace(&house);
    let example = |envoy: &Path| {
        let script = house.run(here::path("examples/envoy/mesh.sh"));
        beside(script.env("EXEUNT", house::EXEUNT).env("ENVOY", envoy), &net).finish()
    };
    let mut all_well = example(&envoy);
    assert_eq!((all_well.code(), all_well.err()), (0, String::new()));
    assert!(all_well.out().starts_with("job: fetched 10 pages\n"), "{}", all_well.out());
    // The control: the same Envoy, and no word of it of what it has done.
    let mute = house.path("envoy");
    fs::write(&mute, format!("#!/bin/sh\nexec '{}' \"$@\" >/dev/null\n", envoy.display())).unwrap();
    fs::set_permissions(&mute, fs::Permissions::from_mode(0o755)).unwrap();
    let mut unheard = example(&mute);
    assert_eq!(unheard.code(), 1, "{}", unheard.out());
    assert!(unheard.err().starts_with("It should be 0, 0 and 10."), "{}", unheard.err());
}

/// Says first what Envoy answers in the moment in which the job starts, and then does its work.
fn through_envoy(code: u8) -> String {
    let job = here::path("examples/envoy/job.sh");
    format!("curl -sS --noproxy '*' http://127.0.0.1:9901/ready && '{}' && exit {code}", job.display())
}

/// One worker, because the machine is small, and no part in the hot restarts of other Envoys.
fn envoy_options() -> [&'static str; 7] {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/envoy/envoy.json");
    ["--config-path", config, "--log-level", "info", "--concurrency", "1", "--disable-hot-restart"]
}

/// How many pages Envoy says it has fetched.
fn pages(envoy: &Process) -> usize {
    let fetched =
        |line: &&str| line.starts_with("envoy: GET /pages/") && line.ends_with(" -> service 127.0.0.1:8080: 200");
    envoy.out().lines().filter(fetched).count()
}

// --- nginx and redis as wrapped sidecars

/// nginx wants SIGQUIT for the graceful end (`--stop-signal`): it stops to listen, and finishes what it has begun. The same with
/// its fast end, SIGTERM, shows that the option makes the difference.
#[test]
fn the_real_nginx_finishes_a_download_when_it_is_stopped_with_its_own_signal() {
    let Some(nginx) = here::program("nginx", "nginx (nginx-light in Debian)") else { return };
    // More than all the buffers between the two can hold.
    const SIZE: u64 = 64 << 20;
    for (signal, whole) in [("QUIT", true), ("TERM", false)] {
        let house = House::new();
        let net = namespace(&house);
        fs::create_dir(house.path("www")).unwrap();
        fs::write(house.path("www/page"), "a page\n").unwrap();
        fs::File::create(house.path("www/large")).unwrap().set_len(SIZE).unwrap();
        fs::write(house.path("nginx.conf"), NGINX).unwrap();
        let line = r#"curl -sS --noproxy '*' http://127.0.0.1:8081/page; read code <"$CUE"; exit "$code""#;
        let mut job = beside(house.main().args(["--wait-for", "nginx"]).command(line), &net).start();
        house.appears("main-job-running");
        let options = ["--name", "nginx", "--ready-when", "tcp://127.0.0.1:8081", "--stop-signal", signal];
        let sidecar = house.sidecar().args(options).args(["--exit-with", "child", "--"]).arg(&nginx);
        let sidecar = sidecar.args(["-g", "daemon off;", "-c", "nginx.conf", "-p"]).arg(house.path(""));
        let mut sidecar = beside(sidecar, &net).start();
        job.expect("a page");
        // Reads the beginning, waits for its own cue, and then counts what still comes.
        mkfifo(&house.path("go"));
        let download = beside(house.run("bash").args(["-c", DOWNLOAD]).env("CUE", house.path("go")), &net);
        let mut download = download.start();
        download.expect("HTTP/1.1 200 OK");
        house.cue(4);
        assert_eq!(job.code(), 4, "{}", job.err());
        wait_until("nginx to listen no more", || !listens(&net, 8081));
        if !whole {
            sidecar.ended();
        }
        house.cue_at("go", 0);
        let came: u64 = download.line().parse().expect("a count");
        assert_eq!(came >= SIZE, whole, "{came} of {SIZE} bytes after SIG{signal}");
        assert_eq!(sidecar.code(), 0, "{}", sidecar.err());
        assert_eq!(house.listing(), ["main-job-terminated", "nginx-terminated"]);
    }
}

// In a user namespace there is nobody to become but root.
const NGINX: &str = "
user root root;
pid nginx.pid;
error_log stderr notice;
worker_processes 1;
events {}
http {
    access_log off;
    client_body_temp_path tmp-body;
    proxy_temp_path tmp-proxy;
    fastcgi_temp_path tmp-fastcgi;
    uwsgi_temp_path tmp-uwsgi;
    scgi_temp_path tmp-scgi;
    server {
        listen 127.0.0.1:8081;
        root www;
    }
}
";

const DOWNLOAD: &str = r#"
exec 3<>/dev/tcp/127.0.0.1/8081
printf 'GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r line <&3
echo "${line%?}"
read -r code <"$CUE"
cat <&3 | wc -c
"#;

/// What the job has stored last is saved by redis on its way out, so it was not killed.
/// A sidecar is stopped without time to finish its work: tektoncd/pipeline#1131, tektoncd/pipeline#4445.
#[test]
fn the_real_redis_saves_what_the_job_has_stored_before_it_leaves() {
    let called = "redis-server and redis-cli (redis-server in Debian)";
    let (Some(redis), Some(client)) = (here::program("redis-server", called), here::program("redis-cli", called))
    else {
        return;
    };
    let house = House::new();
    let net = namespace(&house);
    let line = r#""$0" ping; "$0" set last words; exit 5"#;
    let job = house.main().args(["--wait-for", "redis", "--", "sh", "-c", line]).arg(&client);
    let mut job = beside(job, &net).start();
    house.appears("main-job-running");
    let options = ["--name", "redis", "--ready-when", "tcp://127.0.0.1:6379", "--exit-with", "child", "--"];
    // Saved after an hour, or at the end.
    let redis_options = ["--bind", "127.0.0.1", "--save", "3600 1", "--dir"];
    let sidecar = house.sidecar().args(options).arg(&redis).args(redis_options).arg(house.path(""));
    let mut sidecar = beside(sidecar, &net).start();
    job.expect("PONG");
    job.expect("OK");
    assert_eq!((job.code(), sidecar.code()), (5, 0), "{}", sidecar.err());
    let dump = fs::read(house.path("dump.rdb")).expect("what redis has saved");
    assert!(dump.windows(5).any(|bytes| bytes == b"words"), "{dump:?}");
    assert!(sidecar.out().contains("Redis is now ready to exit"), "{}", sidecar.out());
    assert_eq!(house.listing(), ["main-job-terminated", "redis-terminated"]);
}

// --- the deletion of a Pod

/// Every container gets SIGTERM in the same moment. The job works on and says its last line later, to a shipper that has
/// outlived it; without the option the shipper is gone by then, and the line is lost.
#[test]
fn a_log_shipper_has_the_last_line_of_a_job_that_works_on_after_the_pod_was_deleted() {
    for outlives in [true, false] {
        let house = House::new();
        let [log, shipped] = [house.pod("job.log"), house.path("shipped")];
        let mut job = house.main().command(JOB).arg("sh").arg(&log).start();
        let options: &[&str] = if outlives { &["--outlive-main=1h"] } else { &[] };
        let run = house.sidecar().args(options).args(["--exit-with", "child"]).command(SHIPPER).arg("sh");
        let mut shipper = run.arg(&log).arg(&shipped).start();
        job.ready();
        wait_until("the first line to be shipped", || read(&shipped) == "at work\n");
        for process in [&shipper, &job] {
            process.signal(libc::SIGTERM);
        }
        job.expect("asked to end");
        if outlives {
            // Three hundred milliseconds' worth of work, and the shipper ships it as ever.
            for number in 1..=10 {
                house.cue(number);
                wait_until("what the job still does to be shipped", || {
                    read(&shipped).ends_with(&format!("still at work: {number}\n"))
                });
            }
            assert_eq!(shipper.out(), "", "the shipper was told to stop before the job was over");
        } else {
            shipper.expect("told to stop");
            assert_eq!(shipper.code(), 0, "{}", shipper.err());
        }
        house.cue(0);
        assert_eq!((job.code(), shipper.code()), (6, 0), "{}", shipper.err());
        assert_eq!(shipper.out(), "told to stop\n");
        assert!(read(&log).ends_with("the last line\n"));
        assert_eq!(read(&shipped).ends_with("the last line\n"), outlives, "{}", read(&shipped));
        if outlives {
            assert_eq!(read(&shipped), read(&log));
        }
    }
}

/// A job that, once it was asked to end, works on for as long as it gets other cues than 0. It keeps both ends of the pipe, so
/// that there is no end of file between two cues.
const JOB: &str = r#"
log=$1
finish() {
    echo "asked to end"
    exec 4<>"$CUE"
    while read -r number <&4 && [ "$number" != 0 ]; do echo "still at work: $number" >>"$log"; done
    echo "the last line" >>"$log"
    exit 6
}
trap finish TERM
echo "at work" >>"$log"
echo ready
while :; do sleep 1000 & wait $!; done
"#;

/// As tail -F, and with a last look when it is told to stop.
const SHIPPER: &str = r#"
log=$1 shipped=$2 stop=
trap 'echo "told to stop"; stop=1' TERM
: >"$shipped"
while :; do
    last=$stop
    [ ! -e "$log" ] || tail -c "+$(($(wc -c <"$shipped") + 1))" "$log" >>"$shipped"
    [ -z "$last" ] || exit 0
    [ -n "$stop" ] || { sleep 0.02 & wait $!; }
done
"#;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

// --- the network namespace, and what is in it

/// Whoever keeps the namespace; all others are put into it with `beside`.
fn namespace(house: &House) -> Process {
    let mut keeper = house.sh("ip link set lo up && echo ready && exec sleep 1000").unshare(["--net"]).start();
    keeper.ready();
    keeper
}

fn beside(run: Run, net: &Process) -> Run {
    run.inside(net, &["--net"])
}

/// How many connections were refused there (RFC 1213, tcpAttemptFails).
fn refused(net: &Process) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/net/snmp", net.pid)).unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|name| name == "AttemptFails").unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

/// Whether somebody listens on this port there: state 0A in /proc/net/tcp.
fn listens(net: &Process, port: u16) -> bool {
    assert!(proc::alive(net.pid), "the namespace is gone");
    let text = fs::read_to_string(format!("/proc/{}/net/tcp", net.pid)).unwrap();
    text.lines().any(|line| line.contains(&format!(":{port:04X} 00000000:0000 0A")))
}
