//! Programs that serve until they are told to stop: data, one line each, with its source.
//!
//! Of an endpoint, an argument or an annotation the source is the file of the program's own code that was read for it. Where a
//! line claims no more than a name, the source is where that program is at home.

/// A well-known helper.
#[derive(Clone, Copy, Debug)]
pub struct Helper {
    /// What it is called.
    pub name: &'static str,
    /// Names of containers, last parts of images, and programs.
    pub known: &'static [&'static str],
    /// Port and path of the endpoint that ends it, and whether only a POST does.
    pub quit: Option<(u16, &'static str, bool)>,
    /// An argument without which the endpoint is off, and the variable that says the same.
    pub needs: Option<(&'static str, &'static str)>,
    /// The option and the variable that name another port for it.
    pub port: Option<(&'static str, &'static str)>,
    /// Arguments with which it ends by itself when its work is done.
    pub once: &'static [&'static str],
    /// Variables that say the same.
    pub once_by: &'static [&'static str],
    /// Those of `known` that, as a program, are no server: a client, or many things in one.
    pub clients: &'static [&'static str],
    /// Where that is written.
    pub source: &'static str,
}

const fn plain(name: &'static str, known: &'static [&'static str], source: &'static str) -> Helper {
    Helper { name, known, quit: None, needs: None, port: None, once: &[], once_by: &[], clients: &[], source }
}

impl Helper {
    const fn quits(self, port: u16, path: &'static str, post: bool) -> Helper {
        Helper { quit: Some((port, path, post)), ..self }
    }

    const fn needs(self, argument: &'static str, variable: &'static str) -> Helper {
        Helper { needs: Some((argument, variable)), ..self }
    }

    const fn port(self, option: &'static str, variable: &'static str) -> Helper {
        Helper { port: Some((option, variable)), ..self }
    }

    const fn once(self, words: &'static [&'static str]) -> Helper {
        Helper { once: words, ..self }
    }

    const fn once_by(self, variables: &'static [&'static str]) -> Helper {
        Helper { once_by: variables, ..self }
    }

    const fn clients(self, programs: &'static [&'static str]) -> Helper {
        Helper { clients: programs, ..self }
    }
}

/// All that are known.
pub const HELPERS: &[Helper] = &[
    plain(
        "cloud-sql-proxy",
        &["cloud-sql-proxy", "cloudsql-proxy", "cloud-sql-auth-proxy", "cloud_sql_proxy", "gce-proxy"],
        "GoogleCloudPlatform/cloud-sql-proxy v2.28.0 cmd/root.go, cmd/errors.go: off by default, GET or POST; SIGTERM is 143",
    )
    .quits(9091, "/quitquitquit", false)
    .port("admin-port", "CSQL_PROXY_ADMIN_PORT")
    .needs("--quitquitquit", "CSQL_PROXY_QUITQUITQUIT"),
    plain(
        "alloydb-auth-proxy",
        &["alloydb-auth-proxy"],
        "GoogleCloudPlatform/alloydb-auth-proxy v1.17.2 cmd/root.go: off by default, GET or POST; SIGTERM is 143",
    )
    .quits(9091, "/quitquitquit", false)
    .port("admin-port", "ALLOYDB_PROXY_ADMIN_PORT")
    .needs("--quitquitquit", "ALLOYDB_PROXY_QUITQUITQUIT"),
    plain(
        "istio-proxy",
        &["istio-proxy", "proxyv2", "pilot-agent"],
        "istio/istio pilot/cmd/pilot-agent/status/server.go: on, POST only",
    )
    .quits(15020, "/quitquitquit", true),
    plain("linkerd-proxy", &["linkerd-proxy"], "linkerd/linkerd2-proxy#811; off by default since linkerd/linkerd2 35fb2d6").quits(4191, "/shutdown", true),
    plain("envoy", &["envoy", "envoy-proxy"], "envoyproxy.io/docs/envoy/latest/operations/admin; 9901 is the port of its examples, there is no default").quits(
        9901,
        "/quitquitquit",
        true,
    ),
    plain("vault-agent", &["vault-agent"], "hashicorp/vault v1.15.0 command/agent.go: POST, where agent_api.enable_quit of its configuration says so")
        .once(&["-exit-after-auth", "--exit-after-auth"])
        .quits(8200, "/agent/v1/quit", true),
    plain("dapr", &["daprd"], "dapr/dapr v1.14.0 pkg/api/http/shutdown.go; docs.dapr.io kubernetes-job: on, POST").quits(
        3500,
        "/v1.0/shutdown",
        true,
    ),
    plain("fluent-bit", &["fluent-bit"], "docs.fluentbit.io"),
    plain("fluentd", &["fluentd"], "docs.fluentd.org"),
    plain("filebeat", &["filebeat"], "elastic/beats filebeat/beater/filebeat.go").once(&["--once", "-once"]),
    plain("metricbeat", &["metricbeat"], "elastic.co/guide/en/beats/metricbeat"),
    plain("vector", &["vector"], "vector.dev/docs"),
    plain("promtail", &["promtail"], "grafana.com/docs/loki"),
    plain("alloy", &["alloy", "grafana-agent"], "grafana.com/docs/alloy"),
    plain(
        "OpenTelemetry collector",
        &[
            "opentelemetry-collector",
            "opentelemetry-collector-contrib",
            "otel-collector",
            "otelcol",
            "otelcol-contrib",
            "otc-container",
        ],
        "opentelemetry.io/docs/collector",
    ),
    plain("jaeger-agent", &["jaeger-agent"], "jaegertracing.io/docs"),
    plain("datadog agent", &["datadog-agent", "dd-agent"], "docs.datadoghq.com/containers/kubernetes"),
    plain("cloudwatch agent", &["cloudwatch-agent"], "docs.aws.amazon.com/AmazonCloudWatch"),
    plain("X-Ray daemon", &["aws-xray-daemon", "xray-daemon"], "docs.aws.amazon.com/xray"),
    plain("haproxy", &["haproxy"], "docs.haproxy.org"),
    plain("nginx", &["nginx", "nginx-unprivileged"], "nginx.org/en/docs"),
    plain("traefik", &["traefik"], "doc.traefik.io"),
    plain("squid", &["squid"], "squid-cache.org"),
    plain("oauth2-proxy", &["oauth2-proxy"], "oauth2-proxy.github.io"),
    plain("ghostunnel", &["ghostunnel"], "github.com/ghostunnel/ghostunnel"),
    plain("redis", &["redis", "redis-server", "valkey", "valkey-server"], "redis.io/docs")
        .clients(&["redis", "valkey"]),
    plain("memcached", &["memcached"], "memcached.org"),
    plain("postgres", &["postgres", "postgresql"], "postgresql.org/docs").clients(&["postgresql"]),
    plain("mysql", &["mysql", "mysqld", "mariadb"], "dev.mysql.com/doc").clients(&["mysql", "mariadb"]),
    plain("mongo", &["mongo", "mongod", "mongodb"], "mongodb.com/docs").clients(&["mongo", "mongodb"]),
    plain("rabbitmq", &["rabbitmq"], "rabbitmq.com/docs").clients(&["rabbitmq"]),
    plain("minio", &["minio"], "min.io/docs"),
    plain("pgbouncer", &["pgbouncer"], "pgbouncer.org"),
    plain("proxysql", &["proxysql"], "proxysql.com"),
    plain("statsd-exporter", &["statsd-exporter", "statsd_exporter"], "github.com/prometheus/statsd_exporter"),
    plain("node-exporter", &["node-exporter", "node_exporter"], "github.com/prometheus/node_exporter"),
    plain("pushgateway", &["pushgateway"], "github.com/prometheus/pushgateway"),
    plain("docker daemon", &["dind", "dockerd"], "hub.docker.com/_/docker"),
    plain("buildkit", &["buildkitd"], "github.com/moby/buildkit"),
    plain("consul", &["consul", "consul-agent", "consul-dataplane"], "developer.hashicorp.com/consul")
        .clients(&["consul"]),
    plain(
        "gcsfuse",
        &["gke-gcsfuse-sidecar", "gcs-fuse-csi-driver-sidecar-mounter"],
        "cloud.google.com/kubernetes-engine/docs/how-to/persistent-volumes/cloud-storage-fuse-csi-driver",
    ),
    plain("git-sync", &["git-sync"], "kubernetes/git-sync main.go")
        .once(&["--one-time", "-one-time"])
        .once_by(&["GITSYNC_ONE_TIME", "GIT_SYNC_ONE_TIME"]),
    plain("tailscale", &["tailscale", "tailscaled"], "tailscale.com/kb/1185/kubernetes").clients(&["tailscale"]),
    plain("wireguard", &["wireguard", "gluetun"], "github.com/qdm12/gluetun"),
    plain("ngrok", &["ngrok"], "ngrok.com/docs"),
    plain("cloudflared", &["cloudflared"], "developers.cloudflare.com/cloudflare-one"),
];

/// Programs that wrap a command and end it by rules of their own, and whose.
pub const WRAPPERS: &[(&str, &str)] = &[
    ("kubexit", "kubexit"),
    ("scuttle", "scuttle"),
    ("linkerd-await", "linkerd-await"),
    ("envoy-preflight", "envoy-preflight"),
    ("argoexec", "Argo Workflows"),
    ("/tekton/bin/entrypoint", "Tekton"),
    ("/tools/entrypoint", "prow"),
];

/// Containers that another controller puts in and ends, and whose.
pub const CONTROLLED: &[(&str, &str)] = &[("airflow-xcom-sidecar", "Airflow")];

/// A helper that an injector puts in when the Pod is made.
#[derive(Clone, Copy, Debug)]
pub struct Injected {
    /// The container, as the table of helpers knows it.
    pub name: &'static str,
    /// The label or annotation that asks for it, and the values that do; none: any.
    pub asked: (&'static str, &'static [&'static str]),
    /// The label or annotation that asks for a native sidecar, or for none; without it the version decides, where there is one.
    pub native: Option<&'static str>,
    /// The annotation without which its endpoint is off.
    pub needs: Option<&'static str>,
    /// The annotation that names another port for it.
    pub port: Option<&'static str>,
    /// Where that is written.
    pub source: &'static str,
}

const YES: &[&str] = &["true", "enabled", "yes", "on"];

const fn injected(
    name: &'static str,
    key: &'static str,
    values: &'static [&'static str],
    native: Option<&'static str>,
    needs: Option<&'static str>,
    port: Option<&'static str>,
    source: &'static str,
) -> Injected {
    Injected { name, asked: (key, values), native, needs, port, source }
}

/// All injectors that a template can be seen to ask.
#[rustfmt::skip]
pub const INJECTED: &[Injected] = &[
    injected("istio-proxy", "sidecar.istio.io/inject", YES, Some("sidecar.istio.io/nativeSidecar"), None, None, "istio/istio pkg/kube/inject/inject.go"),
    injected("linkerd-proxy", "linkerd.io/inject", &["enabled", "ingress"], Some("config.linkerd.io/proxy-enable-native-sidecar"), Some("config.linkerd.io/proxy-admin-shutdown"), Some("config.linkerd.io/admin-port"), "linkerd.io/2/reference/proxy-configuration; linkerd/linkerd2 pkg/k8s/labels.go; commit 35fb2d6"),
    injected("vault-agent", "vault.hashicorp.com/agent-inject", YES, None, Some("vault.hashicorp.com/agent-enable-quit"), Some("vault.hashicorp.com/agent-cache-listener-port"), "hashicorp/vault-k8s agent-inject/agent/annotations.go"),
    injected("daprd", "dapr.io/enabled", YES, None, None, None, "dapr/dapr v1.14.0 pkg/injector/annotations/annotations.go"),
    injected("datadog-agent", "agent.datadoghq.com/sidecar", &[], None, None, None, "DataDog/integrations-core eks_fargate/README.md"),
    injected("consul-dataplane", "consul.hashicorp.com/connect-inject", YES, None, None, None, "developer.hashicorp.com/consul/docs/k8s/annotations-and-labels"),
    injected("otc-container", "sidecar.opentelemetry.io/inject", &[], None, None, None, "open-telemetry/opentelemetry-operator README"),
];

/// The helper of this name or image.
pub fn helper(word: &str) -> Option<&'static Helper> {
    HELPERS.iter().find(|helper| helper.known.contains(&word))
}

/// The helper that this program is; a client of its is none.
pub fn program(word: &str) -> Option<&'static Helper> {
    helper(word).filter(|helper| !helper.clients.contains(&word))
}
