//! The options: what can be set, and what it can be set to.

use crate::machine::choice;

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
