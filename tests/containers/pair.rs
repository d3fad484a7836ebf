//! How the tests start a main and a sidecar container, and what these run.

use crate::engine::{Container, Engine, Volume};
use crate::images;

/// Serves until it is told to stop, as Envoy does, and answers with 143, as Envoy does.
pub const SERVER: &str = "
    trap 'echo told to stop; exit 143' TERM
    echo serving
    sleep 1000 &
    wait";

/// Does not listen.
pub const STUBBORN: &str = "
    trap 'echo not now' TERM
    echo serving
    while :; do sleep 1000 & wait; done";

/// Works until it finds /tmp/pod/go, then ends as told.
pub fn job_that_ends(how: &str) -> String {
    format!("echo working; until [ -e /tmp/pod/go ]; do sleep 0.05; done; {how}")
}

/// One container of the pair.
pub struct Recipe<'a> {
    pub engine: &'static Engine,
    pub volume: &'a Volume,
    /// Options of the engine's `run`.
    pub engine_options: &'a [&'a str],
    /// Options of exeunt, the mode excepted.
    pub options: &'a [&'a str],
}

impl<'a> Recipe<'a> {
    pub fn new(engine: &'static Engine, volume: &'a Volume) -> Self {
        Recipe { engine, volume, engine_options: &[], options: &[] }
    }

    pub fn main(&self, script: &str) -> Container {
        self.start("main", "", script)
    }

    /// The sidecar gets the volume read-only: it has nothing to say there.
    pub fn sidecar(&self, script: &str) -> Container {
        self.start("sidecar", ":ro", script)
    }

    /// A sidecar with something to write: a name of its own, an answer.
    pub fn sidecar_that_writes(&self, script: &str) -> Container {
        self.start("sidecar", "", script)
    }

    fn start(&self, mode: &str, mount: &str, script: &str) -> Container {
        let mount = format!("{}:/tmp/pod{mount}", self.volume.name);
        let image = &images::of(self.engine).job;
        let wrapper = ["/exeunt", "--mode", mode];
        let command = ["--", "/bin/sh", "-c", script];
        self.engine.start(
            &[self.engine_options, &["--volume", &mount, image.as_str()], &wrapper, self.options, &command].concat(),
        )
    }
}

/// A sidecar that ends early must not pass for one that ends in time.
pub fn both_run(main: &Container, sidecar: &Container) {
    main.wait_for_log("working");
    sidecar.wait_for_log("serving");
    for container in [main, sidecar] {
        assert!(container.is_running(), "{} has left early:\n{}", container.name, container.log());
    }
}

/// What the sentinel says, read as a user would, from the volume.
pub fn sentinel(engine: &'static Engine, volume: &Volume) -> serde_json::Value {
    let mount = format!("{}:/tmp/pod:ro", volume.name);
    let shell = &engine.shell;
    let text = engine.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--volume",
        &mount,
        shell,
        "/bin/cat",
        "/tmp/pod/main-job-terminated",
    ]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in the record {text:?}"))
}
