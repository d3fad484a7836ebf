//! The options: what can be set, and what it can be set to.
//!
//! One table. From it come the definition of the command line, the variables, the hints for what is misspelt, the check of
//! the mode, what can be read of a bad command line, the manual page and the completions; the pages are held against it.

use crate::machine::{ExitWith, Restart, RestartPolicy, Role, choice};

/// Whose option it is: a mode's, or a subcommand's.
pub type Whose = u8;
/// `--mode main`.
pub const MAIN: Whose = 1;
/// `--mode sidecar`.
pub const SIDECAR: Whose = 1 << 1;
/// The subcommand.
pub const PROBE: Whose = 1 << 2;
/// The subcommand.
pub const INSTALL: Whose = 1 << 3;
/// The subcommand.
pub const RESET: Whose = 1 << 4;
/// The subcommand.
pub const STATUS: Whose = 1 << 5;
/// The subcommand that a main calls for itself.
pub const GOODBYE: Whose = 1 << 6;
const BOTH: Whose = MAIN | SIDECAR;
const EVERYBODY: Whose = BOTH | PROBE | INSTALL | RESET | STATUS | GOODBYE;

/// What an option takes.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// Nothing, and it has no variable: it asks for something else than usual, here and now.
    Flag,
    /// Nothing; its variable says yes or no.
    Switch,
    /// A value, which is shown as this word.
    Value(&'static str),
    /// A directory.
    Directory(&'static str),
    /// One of these words; shown as the first.
    Word(&'static str, &'static [&'static str]),
}

/// What counts where an option is not given.
#[derive(Clone, Copy, Debug)]
pub enum Otherwise {
    /// Nothing that could be named.
    Nothing,
    /// This value.
    Value(&'static str),
    /// What is said here for people.
    Said(&'static str),
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// `--NAME`.
    pub name: &'static str,
    /// `-C`.
    pub short: Option<char>,
    /// Whose it is.
    pub whose: Whose,
    /// What it takes.
    pub takes: Takes,
    /// What counts where it is not given.
    pub otherwise: Otherwise,
    /// Whether it may be given several times.
    pub repeatable: bool,
    /// Whether its value may be left out; it then stands behind an equals sign only.
    pub optional: bool,
    /// Whether the words of Kubernetes count as well (`OnFailure`).
    pub as_in_kubernetes: bool,
    /// Whether it says whose end is to be published, where, and whether for good: what must be known of a main that fails.
    pub decides: bool,
    /// What `--help` says of it. `{}` stands for the words that it takes.
    pub help: &'static str,
}

/// The rows. A new option is a new row, and whoever asks for its value.
macro_rules! table {
    ($($constant:ident = $row:expr;)+) => {
        $(
            #[doc = concat!("The row of ", stringify!($constant), ".")]
            pub const $constant: Opt = $row;
        )+
        /// Every option, in the order in which it is shown.
        pub static ALL: &[Opt] = &[$($constant,)+];
    };
}

table! {
    MODE = opt("mode", BOTH, Takes::Word("MODE", Role::WORDS), "main: run the job, tell the others when it is over\nsidecar: run a helper, stop it when the job is over").decides();
    DIR = opt("dir", BOTH | PROBE | INSTALL | RESET | STATUS, Takes::Directory("DIR"), "The directory that the containers share").or("/tmp/pod").decides();
    NAME = opt("name", BOTH, Takes::Value("NAME"), "What this container is called there").or_rather("main: main-job").decides();
    RUN_ID = opt("run-id", BOTH | PROBE | STATUS, Takes::Value("ID"), "Count only records of this run: for volumes that outlive the Pod").decides();
    RESTART_POLICY = opt("restart-policy", BOTH, Takes::Word("POLICY", RestartPolicy::WORDS), "The Pod's restartPolicy: {}").or("never").as_in_kubernetes().decides();
    RESTART_ON = opt("restart-on", BOTH, Takes::Value("CODES"), "Codes after which this container is started again whatever the\npolicy (restartPolicyRules): 42,43, 40-49, !0,1 for all but these").decides();
    WAIT_FOR = opt("wait-for", BOTH, Takes::Value("CONDITION"), "Start the command when this holds (repeatable): http://, tcp://,\nunix:///, file:///, exec:COMMAND, or a NAME that is ready").repeatable();
    WAIT_TIMEOUT = opt("wait-timeout", BOTH, Takes::Value("TIME"), "Give up waiting after this, with 124").or("5m");
    READY_WHEN = opt("ready-when", BOTH, Takes::Value("CONDITION"), "Publish NAME-ready when this holds").or_rather("the command has started");
    STOP_SIGNAL = opt("stop-signal", BOTH, Takes::Value("SIGNAL"), "What asks the command to end").or("SIGTERM");
    GRACE = opt("grace", BOTH, Takes::Value("TIME"), "Between that and SIGKILL").or("30s");
    GROUP = opt("group", BOTH, Takes::Switch, "Signal the command's whole process group and wait for it").short('g');
    WATCH = opt("watch", BOTH, Takes::Word("HOW", How::WORDS), "inotify, or poll: look once a second").or("inotify");
    LOG_LEVEL = opt("log-level", EVERYBODY, Takes::Word("LEVEL", Level::WORDS), "{}").or("info");
    LOG_FORMAT = opt("log-format", EVERYBODY, Takes::Word("FORMAT", Format::WORDS), "{}").or("text");
    HELP = opt("help", EVERYBODY, Takes::Flag, "Print this help").short('h');
    VERSION = opt("version", BOTH, Takes::Flag, "Print the version").short('V');

    ON_EXIT = opt("on-exit", MAIN, Takes::Value("URL"), "POST here after the command has ended (repeatable)").repeatable();
    MESH = opt("mesh", MAIN, Takes::Word("MESH", Mesh::WORDS), "Wait for and end one of {}");
    STOP_WITH = opt("stop-with", MAIN, Takes::Value("NAME"), "Stop the command if this sidecar ends before it");

    UNTIL = opt("until", SIDECAR, Takes::Value("NAME[,NAME...]"), "The job: over when all of these are").or("main-job");
    UNTIL_ANY = opt("until-any", SIDECAR, Takes::Switch, "Over when one of them is");
    EXIT_WITH = opt("exit-with", SIDECAR, Takes::Word("WHOSE", ExitWith::WORDS), "Exit code after a stop because the job ended:\n{}").or("zero");
    OUTLIVE_MAIN = opt("outlive-main", SIDECAR, Takes::Value("TIME"), "Hold SIGTERM until the job is over, at most this long").or("20s").optional();
    LINGER = opt("linger", SIDECAR, Takes::Value("TIME"), "Wait so long between the job's end and the stop signal").or("0s");
    ABSENCE_TIMEOUT = opt("absence-timeout", SIDECAR, Takes::Value("TIME"), "Give up, with 124, when the job has not been there so long").or_rather("off");
    RESTART = opt("restart", SIDECAR, Takes::Word("WHEN", Restart::WORDS), "Start the command again while the job runs:\n{}").or("never").as_in_kubernetes();

    TIMEOUT = opt("timeout", PROBE, Takes::Value("TIME"), "How long all of it may take").or("5s");
    BEGIN_ANEW = opt("reset", INSTALL, Takes::Flag, "Begin anew in the shared directory first, as exeunt reset does");
    JSON = opt("json", STATUS, Takes::Flag, "As JSON, one object a name");
    KEEP_WATCHING = opt("watch", STATUS, Takes::Flag, "Show it again whenever it changes");
}

const fn opt(name: &'static str, whose: Whose, takes: Takes, help: &'static str) -> Opt {
    let otherwise = Otherwise::Nothing;
    let (short, repeatable, optional, as_in_kubernetes, decides) = (None, false, false, false, false);
    Opt { name, short, whose, takes, otherwise, repeatable, optional, as_in_kubernetes, decides, help }
}

impl Opt {
    const fn short(self, short: char) -> Opt {
        Opt { short: Some(short), ..self }
    }

    const fn or(self, value: &'static str) -> Opt {
        Opt { otherwise: Otherwise::Value(value), ..self }
    }

    const fn or_rather(self, said: &'static str) -> Opt {
        Opt { otherwise: Otherwise::Said(said), ..self }
    }

    const fn repeatable(self) -> Opt {
        Opt { repeatable: true, ..self }
    }

    const fn optional(self) -> Opt {
        Opt { optional: true, ..self }
    }

    const fn as_in_kubernetes(self) -> Opt {
        Opt { as_in_kubernetes: true, ..self }
    }

    const fn decides(self) -> Opt {
        Opt { decides: true, ..self }
    }

    /// Whether it is among the options of one of these.
    pub const fn is_of(&self, whose: Whose) -> bool {
        self.whose & whose != 0
    }

    /// What is shown for its value, if it takes one.
    pub const fn value(&self) -> Option<&'static str> {
        match self.takes {
            Takes::Flag | Takes::Switch => None,
            Takes::Value(shown) | Takes::Directory(shown) | Takes::Word(shown, _) => Some(shown),
        }
    }

    /// What each of its words means. Not in the table: the program itself never says it, and need not carry it.
    pub fn meanings(&self) -> &'static [&'static str] {
        match self.name {
            "mode" => Role::MEANINGS,
            "restart-policy" => RestartPolicy::MEANINGS,
            "watch" if self.is_of(BOTH) => How::MEANINGS,
            "log-level" => Level::MEANINGS,
            "log-format" => Format::MEANINGS,
            "mesh" => Mesh::MEANINGS,
            "exit-with" => ExitWith::MEANINGS,
            "restart" => Restart::MEANINGS,
            _ => &[],
        }
    }

    /// The words that it takes, if it is a choice.
    pub const fn words(&self) -> &'static [&'static str] {
        match self.takes {
            Takes::Word(_, words) => words,
            Takes::Flag | Takes::Switch | Takes::Value(_) | Takes::Directory(_) => &[],
        }
    }

    /// Its variable, if it has one.
    pub fn variable(&self) -> Option<String> {
        let own = || format!("{PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"));
        (!matches!(self.takes, Takes::Flag)).then(own)
    }

    /// What `--help` says of it, its lines with what counts otherwise at their end.
    pub fn help(&self) -> String {
        let help = self.help.replace("{}", &self.words().join(", "));
        match self.otherwise {
            Otherwise::Nothing => help,
            Otherwise::Value(text) | Otherwise::Said(text) => format!("{help} [{text}]"),
        }
    }

    /// The value that counts where none is given.
    pub const fn default(&self) -> Option<&'static str> {
        match self.otherwise {
            Otherwise::Value(value) => Some(value),
            Otherwise::Nothing | Otherwise::Said(_) => None,
        }
    }
}

/// What the names of exeunt's own variables begin with.
pub const PREFIX: &str = "EXEUNT_";

/// The options of one of these.
pub fn of(whose: Whose) -> impl Iterator<Item = &'static Opt> {
    ALL.iter().filter(move |option| option.is_of(whose))
}

choice! {
    /// How much is said. Each level includes those before it.
    #[derive(PartialOrd, Ord)]
    Level {
        /// What ends exeunt itself.
        Error = "error",
        /// What did not work and is survived.
        Warning = "warning",
        /// What a person would want to know: a sidecar is stopped and why, a command was killed.
        Info = "info",
        /// Every event and every action, in order: a replay.
        Debug = "debug",
    }
}

choice! {
    /// The form of a message.
    Format {
        /// `exeunt sidecar: …`
        Text = "text",
        /// One JSON object.
        Json = "json",
    }
}

choice! {
    /// How the directory is watched.
    How {
        /// By inotify, and once in five seconds in case it loses something.
        Inotify = "inotify",
        /// Once a second.
        Poll = "poll",
    }
}

choice! {
    /// The well-known sidecars that cannot be wrapped.
    Mesh {
        /// Istio's pilot-agent.
        Istio = "istio",
        /// Linkerd 2.
        Linkerd = "linkerd",
        /// Envoy by itself.
        Envoy = "envoy",
        /// Cloud SQL Auth Proxy 2.
        CloudSqlProxy = "cloud-sql-proxy",
    }
}

impl Mesh {
    /// Where it says that it is ready, and what ends it. All on the loopback address that the containers of a Pod share.
    pub const fn addresses(self) -> (&'static str, &'static str) {
        match self {
            // Readiness through Envoy on 15021, the agent's own port for the end (POST only).
            Mesh::Istio => ("http://127.0.0.1:15021/healthz/ready", "http://127.0.0.1:15020/quitquitquit"),
            // The end must be allowed (config.linkerd.io/proxy-admin-shutdown: enabled).
            Mesh::Linkerd => ("http://127.0.0.1:4191/ready", "http://127.0.0.1:4191/shutdown"),
            // With the admin port of its documentation.
            Mesh::Envoy => ("http://127.0.0.1:9901/ready", "http://127.0.0.1:9901/quitquitquit"),
            // With --health-check and --quitquitquit.
            Mesh::CloudSqlProxy => ("http://127.0.0.1:9090/startup", "http://127.0.0.1:9091/quitquitquit"),
        }
    }
}
