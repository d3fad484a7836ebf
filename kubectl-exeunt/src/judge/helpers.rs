//! Programs that serve until they are told to stop: data, one line each, with its source.

/// A well-known helper.
#[derive(Clone, Copy, Debug)]
pub struct Helper {
    /// What it is called.
    pub name: &'static str,
    /// Names of containers, last parts of images, and programs.
    pub known: &'static [&'static str],
    /// Port and path of the endpoint that ends it, and whether only a POST does.
    pub quit: Option<(u16, &'static str, bool)>,
    /// An argument without which the endpoint is off.
    pub needs: Option<&'static str>,
    /// Where that is written.
    pub source: &'static str,
}

const fn plain(name: &'static str, known: &'static [&'static str], source: &'static str) -> Helper {
    Helper { name, known, quit: None, needs: None, source }
}

/// All that are known.
pub const HELPERS: &[Helper] = &[
    Helper {
        name: "cloud-sql-proxy",
        known: &["cloud-sql-proxy", "cloudsql-proxy", "cloud-sql-auth-proxy", "cloud_sql_proxy", "gce-proxy"],
        quit: Some((9091, "/quitquitquit", false)),
        needs: Some("--quitquitquit"),
        source: "github.com/GoogleCloudPlatform/cloud-sql-proxy README",
    },
    Helper {
        name: "alloydb-auth-proxy",
        known: &["alloydb-auth-proxy"],
        quit: Some((9091, "/quitquitquit", false)),
        needs: Some("--quitquitquit"),
        source: "github.com/GoogleCloudPlatform/alloydb-auth-proxy README",
    },
    Helper {
        name: "istio-proxy",
        known: &["istio-proxy", "proxyv2", "pilot-agent"],
        quit: Some((15020, "/quitquitquit", true)),
        needs: None,
        source: "istio.io/latest/docs/reference/commands/pilot-agent",
    },
    Helper {
        name: "linkerd-proxy",
        known: &["linkerd-proxy"],
        quit: Some((4191, "/shutdown", true)),
        needs: None,
        source: "linkerd.io/2/tasks/graceful-shutdown",
    },
    Helper {
        name: "envoy",
        known: &["envoy", "envoy-proxy"],
        quit: Some((9901, "/quitquitquit", true)),
        needs: None,
        source: "envoyproxy.io/docs/envoy/latest/operations/admin",
    },
    Helper {
        name: "vault-agent",
        known: &["vault-agent"],
        quit: Some((8200, "/agent/v1/quit", true)),
        needs: None,
        source: "developer.hashicorp.com/vault/docs/agent-and-proxy/agent#quit",
    },
    Helper {
        name: "dapr",
        known: &["daprd"],
        quit: Some((3500, "/v1.0/shutdown", true)),
        needs: None,
        source: "docs.dapr.io/operations/hosting/kubernetes/kubernetes-job",
    },
    plain("fluent-bit", &["fluent-bit"], "docs.fluentbit.io"),
    plain("fluentd", &["fluentd"], "docs.fluentd.org"),
    plain("filebeat", &["filebeat"], "elastic.co/guide/en/beats/filebeat"),
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
    plain("redis", &["redis", "redis-server", "valkey", "valkey-server"], "redis.io/docs"),
    plain("memcached", &["memcached"], "memcached.org"),
    plain("postgres", &["postgres", "postgresql"], "postgresql.org/docs"),
    plain("mysql", &["mysql", "mysqld", "mariadb"], "dev.mysql.com/doc"),
    plain("mongo", &["mongo", "mongod", "mongodb"], "mongodb.com/docs"),
    plain("rabbitmq", &["rabbitmq"], "rabbitmq.com/docs"),
    plain("minio", &["minio"], "min.io/docs"),
    plain("pgbouncer", &["pgbouncer"], "pgbouncer.org"),
    plain("proxysql", &["proxysql"], "proxysql.com"),
    plain("statsd-exporter", &["statsd-exporter", "statsd_exporter"], "github.com/prometheus/statsd_exporter"),
    plain("node-exporter", &["node-exporter", "node_exporter"], "github.com/prometheus/node_exporter"),
    plain("pushgateway", &["pushgateway"], "github.com/prometheus/pushgateway"),
    plain("docker daemon", &["dind", "dockerd"], "hub.docker.com/_/docker"),
    plain("buildkit", &["buildkitd"], "github.com/moby/buildkit"),
    plain("consul", &["consul", "consul-agent", "consul-dataplane"], "developer.hashicorp.com/consul"),
    plain(
        "gcsfuse",
        &["gke-gcsfuse-sidecar", "gcs-fuse-csi-driver-sidecar-mounter"],
        "cloud.google.com/kubernetes-engine/docs/how-to/persistent-volumes/cloud-storage-fuse-csi-driver",
    ),
    plain("git-sync", &["git-sync"], "github.com/kubernetes/git-sync"),
    plain("tailscale", &["tailscale", "tailscaled"], "tailscale.com/kb/1185/kubernetes"),
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

/// The helper of this name, image or program.
pub fn helper(word: &str) -> Option<&'static Helper> {
    HELPERS.iter().find(|helper| helper.known.contains(&word))
}
