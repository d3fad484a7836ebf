//! What must hold of everything that reads what others wrote, whatever they wrote. Each function takes any bytes and
//! panics if a law is broken. libFuzzer looks for such bytes (`.ci/fuzz`); `tests/corpus.rs`, which includes this file,
//! replays those that are kept in `fuzz/corpus`.

mod answers;
mod command_line;
mod record;
mod script;
mod stage;
mod words;

pub use answers::answers;
pub use command_line::command_line;
pub use record::record;
pub use stage::stage;
pub use words::words;

use exeunt::options::{Format, Level};
use exeunt::report::Report;

/// A law, by the name of its target and of its corpus.
pub type Law = fn(&[u8]);

/// All of them.
pub const LAWS: [(&str, Law); 5] =
    [("answers", answers), ("command_line", command_line), ("record", record), ("stage", stage), ("words", words)];

/// What is said of it is one line that a log can take, in both forms.
fn is_sayable(message: &str) {
    for format in [Format::Text, Format::Json] {
        let report = Report { level: Level::Info, format, mode: "sidecar" };
        let line = String::from_utf8(report.line(Level::Warning, message)).expect("a line is text");
        let text = line.strip_suffix('\n').expect("a line ends");
        // What a pipe takes at once (pipe(7)).
        assert!(line.len() <= 4096, "{} bytes", line.len());
        assert!(!text.contains(char::is_control), "{text:?}");
        if format == Format::Json {
            let value: serde_json::Value = serde_json::from_str(text).expect("a line is JSON");
            assert_eq!(value["level"], "warning");
        }
    }
}
