//! Signals as people write them, with the numbers of Linux (signal(7), x86 and ARM): a container's, wherever they are read.

/// The highest signal number (signal(7)).
pub const MAX: u8 = 64;
/// What stops by default.
pub const TERM: u8 = 15;
/// What cannot be caught, and so cannot ask.
pub const KILL: u8 = 9;
/// The same.
pub const STOP: u8 = 19;
/// What tells a parent of its children.
pub const CHLD: u8 = 17;

/// The names from 1 on.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// `SIGTERM`, or `signal 42` for one that has no name.
pub fn name(signal: u8) -> String {
    let place = usize::from(signal).checked_sub(1);
    match place.and_then(|place| NAMES.get(place)) {
        Some(name) => format!("SIG{name}"),
        None => format!("signal {signal}"),
    }
}

/// The number of a signal as people write it: `SIGTERM`, `term`, `15`, `RTMIN+3` (counted from 34, as kill(1) does).
pub fn number(text: &str) -> Option<u8> {
    let upper = text.to_ascii_uppercase();
    if let Ok(number @ 1..=MAX) = upper.parse::<u8>() {
        return Some(number);
    }
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str| text.parse::<u8>().ok().filter(|offset| *offset <= 30);
    match short {
        "RTMIN" => return Some(34),
        "RTMAX" => return Some(MAX),
        _ => {}
    }
    if let Some(rest) = short.strip_prefix("RTMIN+") {
        return offset(rest).map(|offset| 34 + offset);
    }
    if let Some(rest) = short.strip_prefix("RTMAX-") {
        return offset(rest).map(|offset| MAX - offset);
    }
    (1..).zip(NAMES).find(|(_, name)| *name == short).map(|(number, _)| number)
}
