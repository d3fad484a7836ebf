//! docs/timelines.svg, the picture of the README, is drawn from a run: one Pod without exeunt, one with it.
//!
//! `EXEUNT_RENEW=1` writes the picture that was drawn; each run holds the one that is there to what it has seen.

mod house;

use house::{EXEUNT, House, here, wait_until};
use std::fmt::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the job works, and how long after its end the Pod is looked at.
const WORK: Duration = Duration::from_millis(600);
const AFTER: Duration = Duration::from_millis(600);

/// When the containers of one Pod were over, since its start, and with what.
struct Pod {
    main: (Duration, i32),
    sidecar: Option<(Duration, i32)>,
    looked: Duration,
}

#[test]
fn the_picture_shows_what_a_run_shows() {
    let (without, with) = (play(false), play(true));
    assert_eq!(without.main.1, 0);
    assert!(without.sidecar.is_none(), "a sidecar without exeunt has left");
    let (end, code) = with.sidecar.expect("the sidecar leaves with its job");
    assert_eq!((with.main.1, code), (0, 0));
    assert!(end < with.looked);

    let picture = draw(&without, &with);
    let path = here::path("docs/timelines.svg");
    if std::env::var_os("EXEUNT_RENEW").is_some_and(|value| value == "1") {
        std::fs::write(&path, &picture).expect("the picture is written");
    }
    // The same but for the times: another run has others.
    assert_eq!(without_numbers(&here::read("docs/timelines.svg")), without_numbers(&picture));
}

fn play(with_exeunt: bool) -> Pod {
    let house = House::new();
    let start = |mode: &str, line: &str| -> Child {
        let mut command = Command::new(if with_exeunt { EXEUNT } else { "sh" });
        if with_exeunt {
            command.args(["--mode", mode, "--dir"]).arg(house.pod("")).args(["--", "sh"]);
        }
        command.args(["-c", line]).current_dir(house.path("")).stdin(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("a container")
    };
    // As Envoy: it serves until it is told to stop.
    let mut sidecar = start("sidecar", "trap 'exit 143' TERM; echo $$ > serves; while :; do sleep 0.01; done");
    wait_until("the sidecar to serve", || house.path("serves").exists());
    let began = Instant::now();
    let mut main = start("main", &format!("sleep {}", WORK.as_secs_f64()));
    let code = main.wait().expect("our own child").code().expect("a code");
    let main = (began.elapsed(), code);
    // With exeunt its end is awaited, however slow the machine; without, there is none to wait for.
    let mut end = None;
    if with_exeunt {
        wait_until("the sidecar to leave", || sidecar.try_wait().expect("our own child").is_some());
        end = Some((began.elapsed(), sidecar.wait().expect("our own child").code().expect("a code")));
    }
    std::thread::sleep((main.0 + AFTER).saturating_sub(began.elapsed()));
    let left = sidecar.try_wait().expect("our own child").is_some();
    assert_eq!(left, with_exeunt);
    if !left {
        sidecar.kill().and_then(|()| sidecar.wait().map(drop)).expect("our own child");
    }
    Pod { main, sidecar: end, looked: began.elapsed() }
}

/// Plain shapes and text, readable on a light page and on a dark one.
fn draw(without: &Pod, with: &Pod) -> String {
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 236\" font-family=\"sans-serif\" font-size=\"14\">\n\
         <title>A job and its sidecar, without exeunt and with it: times of a real run, in milliseconds</title>\n\
         <rect width=\"760\" height=\"236\" fill=\"#fff\"/>\n",
    );
    for (pod, title, top) in [(without, "without exeunt", 22), (with, "with exeunt in front of both", 132)] {
        let scale = 420.0 / pod.looked.as_secs_f64();
        let _ = writeln!(svg, "<text x=\"10\" y=\"{top}\" font-weight=\"bold\" fill=\"#222\">{title}</text>");
        let rows = [("main", Some(pod.main), "#3465a4"), ("sidecar", pod.sidecar, "#c17d11")];
        for (row, (name, end, colour)) in rows.into_iter().enumerate() {
            let y = top + 12 + 28 * row;
            let width = end.map_or(420.0, |(at, _)| at.as_secs_f64() * scale);
            let words = end.map_or("runs on".to_owned(), |(at, code)| format!("exit {code} at {} ms", at.as_millis()));
            let _ = writeln!(svg, "<text x=\"10\" y=\"{}\" fill=\"#222\">{name}</text>", y + 15);
            let _ = writeln!(svg, "<rect x=\"90\" y=\"{y}\" width=\"{width:.0}\" height=\"20\" fill=\"{colour}\"/>");
            let _ = writeln!(svg, "<text x=\"{:.0}\" y=\"{}\" fill=\"#222\">{words}</text>", 98.0 + width, y + 15);
        }
        let job = if pod.sidecar.is_some() { "Job: complete" } else { "Job: running for ever" };
        let _ = writeln!(svg, "<text x=\"10\" y=\"{}\" fill=\"#222\">{job}</text>", top + 83);
    }
    svg + "</svg>\n"
}

/// Each number as one sign.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !out.ends_with('0') {
            out.push('0');
        }
    }
    out
}
