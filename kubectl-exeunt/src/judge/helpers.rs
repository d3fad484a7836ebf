//! Programs that serve until they are told to stop: data, one line each, with its source.
//!
//! The source is what was read for the line: a file of the program's own repository, or a page of its own documentation. Of an
//! image it is the file that makes it, which names the program that runs and what it runs by default.

use super::shell::{Method, base};

/// A well-known helper.
#[derive(Clone, Copy, Debug)]
pub struct Helper {
    /// What it is called.
    pub name: &'static str,
    /// Names of containers, last parts of images, and programs.
    pub known: &'static [&'static str],
    /// Those of `known` that, as a program, are no server: a client, or many things in one.
    pub clients: &'static [&'static str],
    /// Programs and images that are many things in one, and the words of which one makes them this. The empty word: an image
    /// also without any, by what it runs then.
    pub by: &'static [(&'static str, &'static [&'static str])],
    /// An image that is this by a part of its tag.
    pub tag: Option<(&'static str, &'static str)>,
    /// The endpoint that ends it.
    pub quit: Option<Quit>,
    /// What it exits with after a signal.
    pub signalled: Signalled,
    /// How it is told to end by itself when its work is done.
    pub once: Once,
    /// What its configuration may say about its end, where no manifest tells.
    pub settings: Option<&'static str>,
    /// Where that is written.
    pub source: &'static str,
}

/// What a helper exits with after a signal that asks it to end.
#[derive(Clone, Copy, Debug)]
pub struct Signalled {
    /// After SIGTERM, and others of its kind.
    pub code: u8,
    /// After SIGINT.
    pub interrupted: u8,
    /// The argument that makes it 0 after SIGTERM, and the variable that says the same.
    pub zero: Option<(&'static str, &'static str)>,
}

/// An endpoint that ends a helper.
#[derive(Clone, Copy, Debug)]
pub struct Quit {
    /// Where it listens, if nothing else is said.
    pub port: u16,
    /// Another port that does the same.
    pub also: Option<u16>,
    /// The path, with its first `/`.
    pub path: &'static str,
    /// What it answers to; none: anything.
    pub methods: &'static [Method],
    /// An argument without which it is off, and the variable that says the same.
    pub needs: Option<(&'static str, &'static str)>,
    /// The option and the variable that name another port.
    pub option: Option<(&'static str, &'static str)>,
}

/// What makes a helper end by itself.
#[derive(Clone, Copy, Debug)]
pub struct Once {
    /// Arguments.
    pub words: &'static [&'static str],
    /// Variables, and the values that say so.
    pub variables: &'static [(&'static str, &'static [&'static str])],
    /// What it tries for ever until it comes.
    pub until: Option<&'static str>,
}

const TRUE: &[&str] = &["1", "t", "T", "true", "TRUE", "True"];

const fn plain(name: &'static str, known: &'static [&'static str], source: &'static str) -> Helper {
    let once = Once { words: &[], variables: &[], until: None };
    let signalled = Signalled { code: 0, interrupted: 0, zero: None };
    Helper { name, known, clients: &[], by: &[], tag: None, quit: None, signalled, once, settings: None, source }
}

impl Helper {
    const fn quits(self, port: u16, path: &'static str, methods: &'static [Method]) -> Helper {
        Helper { quit: Some(Quit { port, also: None, path, methods, needs: None, option: None }), ..self }
    }

    const fn needs(self, argument: &'static str, variable: &'static str) -> Helper {
        match self.quit {
            Some(quit) => Helper { quit: Some(Quit { needs: Some((argument, variable)), ..quit }), ..self },
            None => self,
        }
    }

    const fn port(self, option: &'static str, variable: &'static str) -> Helper {
        match self.quit {
            Some(quit) => Helper { quit: Some(Quit { option: Some((option, variable)), ..quit }), ..self },
            None => self,
        }
    }

    const fn also(self, port: u16) -> Helper {
        match self.quit {
            Some(quit) => Helper { quit: Some(Quit { also: Some(port), ..quit }), ..self },
            None => self,
        }
    }

    const fn signalled(self, code: u8, interrupted: u8, argument: &'static str, variable: &'static str) -> Helper {
        Helper { signalled: Signalled { code, interrupted, zero: Some((argument, variable)) }, ..self }
    }

    const fn once(self, words: &'static [&'static str]) -> Helper {
        Helper { once: Once { words, ..self.once }, ..self }
    }

    const fn once_by(self, variables: &'static [(&'static str, &'static [&'static str])]) -> Helper {
        Helper { once: Once { variables, ..self.once }, ..self }
    }

    const fn until(self, what: &'static str) -> Helper {
        Helper { once: Once { until: Some(what), ..self.once }, ..self }
    }

    const fn settings(self, what: &'static str) -> Helper {
        Helper { settings: Some(what), ..self }
    }

    const fn clients(self, programs: &'static [&'static str]) -> Helper {
        Helper { clients: programs, ..self }
    }

    const fn tag(self, image: &'static str, part: &'static str) -> Helper {
        Helper { tag: Some((image, part)), ..self }
    }

    const fn by(self, by: &'static [(&'static str, &'static [&'static str])]) -> Helper {
        Helper { by, ..self }
    }
}

impl Helper {
    /// Does the ENTRYPOINT of its image become what stands behind it, where that is no option?
    pub fn runs_words(&self) -> bool {
        ["redis", "postgres", "mysql", "mongo", "nginx", "haproxy", "memcached", "rabbitmq", "envoy", "squid"]
            .contains(&self.name)
    }
}

const POST: &[Method] = &[Method::Post];
const PUT_OR_POST: &[Method] = &[Method::Put, Method::Post];

/// All that are known.
#[rustfmt::skip]
pub const HELPERS: &[Helper] = &[
    // Ways to a database.
    plain("cloud-sql-proxy", &["cloud-sql-proxy", "cloudsql-proxy", "cloud-sql-auth-proxy"], "GoogleCloudPlatform/cloud-sql-proxy v2.28.0 cmd/root.go, cmd/errors.go, Dockerfile: off by default, POST; SIGTERM is 143, SIGINT 130; CHANGELOG.md: GET too since 2.7.0, 0 by an option since 2.6.0")
        .quits(9091, "/quitquitquit", &[Method::Get, Method::Post])
        .port("admin-port", "CSQL_PROXY_ADMIN_PORT")
        .needs("--quitquitquit", "CSQL_PROXY_QUITQUITQUIT")
        .signalled(143, 130, "--exit-zero-on-sigterm", "CSQL_PROXY_EXIT_ZERO_ON_SIGTERM"),
    plain("cloud_sql_proxy", &["cloud_sql_proxy", "gce-proxy"], "GoogleCloudPlatform/cloud-sql-proxy 1.29 cmd/cloud_sql_proxy/cloud_sql_proxy.go, proxy/proxy/client.go: no endpoint; after a signal 0, or 2 where a connection is still open"),
    plain("alloydb-auth-proxy", &["alloydb-auth-proxy"], "GoogleCloudPlatform/alloydb-auth-proxy v1.17.2 cmd/root.go, cmd/errors.go: off by default, POST; SIGTERM is 143, SIGINT 130; CHANGELOG.md: GET too since 1.12.0, 0 by an option since 1.11.0")
        .quits(9091, "/quitquitquit", &[Method::Get, Method::Post])
        .port("admin-port", "ALLOYDB_PROXY_ADMIN_PORT")
        .needs("--quitquitquit", "ALLOYDB_PROXY_QUITQUITQUIT")
        .signalled(143, 130, "--exit-zero-sigterm", "ALLOYDB_PROXY_EXIT_ZERO_SIGTERM"),
    plain("pgbouncer", &["pgbouncer"], "edoburu/docker-pgbouncer Dockerfile: /usr/bin/pgbouncer, in the foreground"),
    plain("proxysql", &["proxysql"], "sysown/proxysql RUNNING.md: designed to run for as long as possible; --foreground"),
    // Meshes and their proxies.
    plain("istio-proxy", &["istio-proxy", "proxyv2", "pilot-agent"], "istio/istio pilot/cmd/pilot-agent/status/server.go: on, POST only, from the own Pod; pkg/config/mesh/mesh.go: 15020, Envoy's own at 15000")
        .quits(15020, "/quitquitquit", POST)
        .once(&["istio-iptables", "istio-clean-iptables"])
        .also(15000),
    plain("linkerd-proxy", &["linkerd-proxy"], "linkerd/linkerd2-proxy linkerd/app/admin/src/server.rs: POST, from the loopback address; off by default since linkerd/linkerd2 35fb2d6")
        .quits(4191, "/shutdown", POST),
    plain("kuma-sidecar", &["kuma-sidecar", "kuma-dp"], "kumahq/kuma pkg/plugins/runtime/k8s/controllers/pod_status_controller.go: Envoy's quitquitquit; its control plane calls it, too")
        .quits(9901, "/quitquitquit", POST)
        .clients(&["kuma-dp"])
        .by(&[("kuma-dp", &["run"])]),
    plain("consul-dataplane", &["consul-dataplane"], "hashicorp/consul-dataplane pkg/consuldp/lifecycle.go: on, any method, 20300; hashicorp/consul-k8s control-plane/connect-inject/constants/constants.go: 20600")
        .quits(20300, "/graceful_shutdown", &[])
        .also(20600)
        .port("graceful-port", ""),
    plain("dapr", &["daprd"], "dapr/dapr pkg/api/http/shutdown.go; docs.dapr.io/operations/hosting/kubernetes/kubernetes-job, docs.dapr.io/reference/arguments-annotations-overview: on, POST, 3500")
        .quits(3500, "/v1.0/shutdown", POST)
        .port("dapr-http-port", ""),
    plain("envoy", &["envoy", "envoy-proxy"], "envoyproxy/envoy docs/root/operations/admin.rst: POST, a GET is answered by 400; 9901 is the port of its examples, there is no default; docs/root/operations/cli.rst: --mode validate checks and exits")
        .once(&["validate", "--mode=validate"])
        .quits(9901, "/quitquitquit", POST),
    plain("skupper-router", &["skupper-router", "skrouterd"], "skupperproject/skupper-router scripts/launch.sh: execs skrouterd, in the foreground"),
    // Secrets and identities.
    plain("vault-agent", &["vault-agent"], "hashicorp/vault v1.15.0 command/agent.go: POST, where agent_api.enable_quit of its configuration says so; developer.hashicorp.com/vault/docs/agent/autoauth: on failure it backs off and tries again")
        .quits(8200, "/agent/v1/quit", POST)
        .by(&[("vault", &["agent", "proxy"]), ("bao", &["agent", "proxy"]), ("openbao", &["agent", "proxy"])])
        .once(&["-exit-after-auth", "--exit-after-auth"])
        .until("Vault has let it in")
        .settings("exit_after_auth ends it, and without agent_api.enable_quit its endpoint is off"),
    plain("spire-agent", &["spire-agent"], "spiffe/spire Dockerfile: spire-agent run"),
    plain("spiffe-helper", &["spiffe-helper"], "spiffe/spiffe-helper README.md: daemon_mode is true by default; its configuration decides")
        .once(&["-exitWhenReady", "-daemon-mode=false"])
        .settings("daemon_mode = false ends it once it has what it asked for"),
    plain("tbot", &["tbot"], "gravitational/teleport lib/tbot/cli/start_shared.go: start --oneshot quits after the first renewal")
        .clients(&["tbot"])
        .by(&[("tbot", &["start"])])
        .once(&["--oneshot"]),
    // Logs, metrics and traces.
    plain("fluent-bit", &["fluent-bit"], "fluent/fluent-bit dockerfiles/Dockerfile; src/fluent-bit.c: -D, --dry-run checks its configuration and exits")
        .once(&["--dry-run", "-D"]),
    plain("fluentd", &["fluentd"], "fluent/fluentd-docker-image v1.16/debian/Dockerfile"),
    plain("filebeat", &["filebeat"], "elastic/beats filebeat/beater/filebeat.go: once, until all harvesters reach EOF; its Elasticsearch output tries again for ever; elastic.co/guide/en/beats/filebeat/7.9/command-line-options.html: setup, test and export beside run, its default")
        .once(&["--once", "-once", "setup", "test", "export"])
        .until("what it has read is delivered"),
    plain("metricbeat", &["metricbeat"], "elastic/beats dev-tools/packaging/templates/docker/Dockerfile.tmpl; elastic.co/guide/en/beats/metricbeat/8.15/command-line-options.html: setup, test and export beside run, its default")
        .once(&["setup", "test", "export"]),
    plain("vector", &["vector"], "vectordotdev/vector distribution/docker/debian/Dockerfile; src/cli.rs: validate and test exit")
        .once(&["validate", "test"]),
    plain("promtail", &["promtail"], "grafana/loki clients/cmd/promtail/Dockerfile"),
    plain("alloy", &["alloy", "grafana-agent"], "grafana/alloy Dockerfile: alloy run; grafana/agent cmd/grafana-agent/Dockerfile")
        .clients(&["alloy"])
        .by(&[("alloy", &["", "run"])]),
    plain("telegraf", &["telegraf"], "influxdata/telegraf docs/COMMANDS_AND_FLAGS.md: --once and --test gather once and end")
        .once(&["--once", "-once", "--test", "-test"]),
    plain("OpenTelemetry collector", &["opentelemetry-collector", "opentelemetry-collector-contrib", "otel-collector", "otelcol", "otelcol-contrib", "otc-container", "splunk-otel-collector", "aws-otel-collector", "awscollector"], "open-telemetry/opentelemetry-collector-releases distributions/otelcol-contrib/Dockerfile; open-telemetry/opentelemetry-operator pkg/naming/main.go: otc-container; signalfx/splunk-otel-collector cmd/otelcol/Dockerfile; aws-observability/aws-otel-collector cmd/awscollector/Dockerfile; open-telemetry/opentelemetry-collector otelcol/command_validate.go, otelcol/command_components.go: both end")
        .once(&["validate", "components"]),
    plain("New Relic infrastructure agent", &["newrelic-infra", "newrelic-infra-service", "newrelic-infrastructure", "infrastructure-bundle", "k8s-events-forwarder"], "newrelic/infrastructure-agent build/container/Dockerfile: newrelic-infra-service; newrelic/infrastructure-bundle Dockerfile"),
    plain("jaeger-agent", &["jaeger-agent"], "jaegertracing/jaeger cmd/agent/Dockerfile"),
    plain("datadog agent", &["datadog-agent", "datadog-agent-injected", "dd-agent"], "DataDog/datadog-agent Dockerfiles/agent/Dockerfile; pkg/clusteragent/admission/mutate/agent_sidecar/constants.go: datadog-agent-injected"),
    plain("cloudwatch agent", &["cloudwatch-agent", "start-amazon-cloudwatch-agent"], "aws/amazon-cloudwatch-agent amazon-cloudwatch-container-insights/cloudwatch-agent-dockerfile/Dockerfile"),
    plain("X-Ray daemon", &["aws-xray-daemon", "xray-daemon", "xray"], "aws/aws-xray-daemon Dockerfile: /xray"),
    plain("prometheus", &["prometheus"], "prometheus/prometheus docs/management_api.md: off by default, PUT or POST")
        .quits(9090, "/-/quit", PUT_OR_POST)
        .port("web.listen-address", "")
        .needs("--web.enable-lifecycle", ""),
    plain("pushgateway", &["pushgateway"], "prometheus/pushgateway README.md, main.go: off by default, PUT or POST")
        .quits(9091, "/-/quit", PUT_OR_POST)
        .port("web.listen-address", "")
        .needs("--web.enable-lifecycle", ""),
    plain("statsd-exporter", &["statsd-exporter", "statsd_exporter"], "prometheus/statsd_exporter Dockerfile"),
    plain("node-exporter", &["node-exporter", "node_exporter"], "prometheus/node_exporter Dockerfile"),
    plain("postgres-exporter", &["postgres-exporter", "postgres_exporter"], "prometheus-community/postgres_exporter Dockerfile"),
    plain("redis-exporter", &["redis-exporter", "redis_exporter"], "oliver006/redis_exporter Dockerfile"),
    plain("mysqld-exporter", &["mysqld-exporter", "mysqld_exporter"], "prometheus/mysqld_exporter Dockerfile"),
    // Servers that a job or its tests use.
    plain("haproxy", &["haproxy"], "docker-library/haproxy Dockerfile.template: in the foreground, STOPSIGNAL SIGUSR1; haproxy/haproxy doc/management.txt: -c checks and exits, -v and -vv report")
        .once(&["-c", "-v", "-vv"]),
    plain("nginx", &["nginx", "nginx-unprivileged"], "nginxinc/docker-nginx mainline/debian/Dockerfile; nginxinc/docker-nginx-unprivileged mainline/debian/Dockerfile: daemon off; nginx.org/en/docs/switches.html")
        .once(&["-t", "-T", "-tq", "-v", "-V", "-s"]),
    plain("traefik", &["traefik"], "traefik/traefik Dockerfile"),
    plain("squid", &["squid"], "squid-cache/squid src/squid.8.in: a caching server; -k and -z end")
        .once(&["-k", "-z"]),
    plain("oauth2-proxy", &["oauth2-proxy"], "oauth2-proxy/oauth2-proxy Dockerfile"),
    plain("ghostunnel", &["ghostunnel"], "ghostunnel/ghostunnel README.md: in the foreground, as a server and as a client"),
    plain("redis", &["redis", "redis-server", "valkey", "valkey-server"], "redis/docker-library-redis debian/Dockerfile; valkey-io/valkey-container 9.0/debian/Dockerfile")
        .clients(&["redis", "valkey"]),
    plain("memcached", &["memcached"], "docker-library/memcached Dockerfile.template"),
    plain("postgres", &["postgres", "postgresql"], "docker-library/postgres Dockerfile-debian.template")
        .clients(&["postgresql"]),
    plain("mysql", &["mysql", "mysqld", "mariadb", "mariadbd"], "docker-library/mysql template/Dockerfile.oracle: mysqld")
        .clients(&["mysql", "mariadb"]),
    plain("mongo", &["mongo", "mongod", "mongodb"], "docker-library/mongo Dockerfile-linux.template: mongod")
        .clients(&["mongo", "mongodb"]),
    plain("elasticsearch", &["elasticsearch", "elasticsearch-oss"], "elastic/elasticsearch distribution/docker/src/docker/bin/docker-entrypoint.sh: execs elasticsearch, in the foreground")
        .clients(&["elasticsearch-oss"]),
    plain("selenium", &["selenium", "standalone-chrome", "standalone-chromium", "standalone-edge", "standalone-firefox", "node-chrome", "node-firefox"], "SeleniumHQ/docker-selenium Base/Dockerfile, Base/entry_point.sh, Base/supervisord.conf: supervisord, which stays")
        .clients(&["selenium"]),
    plain("rabbitmq", &["rabbitmq", "rabbitmq-server"], "docker-library/rabbitmq Dockerfile-ubuntu.template: rabbitmq-server")
        .clients(&["rabbitmq"]),
    plain("nats", &["nats", "nats-server"], "nats-io/nats-docker 2.10.x/scratch/Dockerfile: nats-server")
        .clients(&["nats"]),
    plain("minio", &["minio"], "minio/minio Dockerfile.release: minio alone prints its help, minio server serves")
        .clients(&["minio"])
        .by(&[("minio", &["server"])]),
    plain("docker daemon", &["dind", "dockerd", "dockerd-entrypoint.sh"], "docker-library/docker dockerd-entrypoint.sh")
        .clients(&["dind"])
        .tag("docker", "dind"),
    plain("buildkit", &["buildkitd"], "moby/buildkit examples/kubernetes/pod.rootless.yaml: buildkitd; examples/buildctl-daemonless/buildctl-daemonless.sh ends"),
    plain("consul", &["consul-agent"], "hashicorp/consul Dockerfile: agent -dev without words")
        .by(&[("consul", &["", "agent"])]),
    // Files, ways out and in.
    plain("gcsfuse", &["gke-gcsfuse-sidecar", "gcs-fuse-csi-driver-sidecar-mounter"], "GoogleCloudPlatform/gcs-fuse-csi-driver cmd/sidecar_mounter/main.go: leaves when the driver writes an exit file, after all others"),
    plain("git-sync", &["git-sync"], "kubernetes/git-sync README.md: --one-time exits after the first sync; the first sync must succeed or it fails")
        .once(&["--one-time", "-one-time"])
        .once_by(&[("GITSYNC_ONE_TIME", TRUE), ("GIT_SYNC_ONE_TIME", TRUE)]),
    plain("k8s-sidecar", &["k8s-sidecar"], "kiwigrid/k8s-sidecar README.md: METHOD LIST lists and exits, anything else goes on")
        .once_by(&[("METHOD", &["LIST"])]),
    plain("tailscale", &["tailscale", "tailscaled", "containerboot"], "tailscale/tailscale docs/k8s/sidecar.yaml")
        .clients(&["tailscale"]),
    plain("gluetun", &["gluetun"], "qdm12/gluetun Dockerfile: /gluetun-entrypoint"),
    plain("ngrok", &["ngrok"], "ngrok/docker-ngrok README.md: http; scripts/entrypoint.sh: start --all without words; ngrok.com/docs/agent/cli: tcp; ngrok.com/docs/guides/share-localhost/tunnels: tls; ngrok/ngrok-docs docs/agent/cli.mdx: tunnel, deprecated; ngrok.com/docs/agent/changelog: no longer in its help since 3.36.0")
        .clients(&["ngrok"])
        .by(&[("ngrok", &["", "http", "tcp", "tls", "start", "tunnel"])]),
    plain("cloudflared", &["cloudflared"], "cloudflare/cloudflared Dockerfile: version without words")
        .clients(&["cloudflared"])
        .by(&[("cloudflared", &["tunnel", "access", "proxy-dns"])]),
];

/// What somebody else runs and ends, and who.
#[derive(Clone, Copy, Debug)]
pub struct Foreign {
    /// A program, a container or a label.
    pub name: &'static str,
    /// Whose it is.
    pub whose: &'static str,
    /// Where that is written.
    pub source: &'static str,
}

const fn foreign(name: &'static str, whose: &'static str, source: &'static str) -> Foreign {
    Foreign { name, whose, source }
}

/// Programs that wrap a command and end it by rules of their own.
#[rustfmt::skip]
pub const WRAPPERS: &[Foreign] = &[
    foreign("kubexit", "kubexit", "karlkfi/kubexit README.md"),
    foreign("scuttle", "scuttle", "kvij/scuttle README.md: goes on from redboxllc/scuttle, which nobody maintains any more"),
    foreign("linkerd-await", "linkerd-await", "linkerd/linkerd-await README.md: --shutdown"),
    foreign("envoy-preflight", "envoy-preflight", "redboxllc/scuttle README.md (forked from it)"),
    foreign("argoexec", "Argo Workflows", "argoproj/argo-workflows workflow/controller/workflowpod.go: argoexec emissary, argoexec wait"),
    foreign("/tekton/bin/entrypoint", "Tekton", "tektoncd/pipeline pkg/pod/entrypoint.go"),
    foreign("/tools/entrypoint", "prow", "kubernetes-sigs/prow pkg/pod-utils/decorate/testdata/TestProwJobToPod_4.yaml"),
];

/// Containers that another controller puts in and ends.
#[rustfmt::skip]
pub const CONTROLLED: &[Foreign] = &[
    foreign("airflow-xcom-sidecar", "Airflow", "apache/airflow providers/cncf/kubernetes/src/airflow/providers/cncf/kubernetes/utils/xcom_sidecar.py"),
];

/// Pods that another controller makes and takes away, by the label that it gives them.
#[rustfmt::skip]
pub const OWNED: &[Foreign] = &[
    foreign("kubernetes_pod_operator", "Airflow", "apache/airflow providers/cncf/kubernetes/src/airflow/providers/cncf/kubernetes/operators/pod.py: _get_ti_pod_labels"),
    foreign("job.runner.gitlab.com/pod", "GitLab Runner", "docs.gitlab.com/runner/executors/kubernetes: default labels for job pods"),
];

/// A helper that an injector puts in when the Pod is made.
#[derive(Clone, Copy, Debug)]
pub struct Injected {
    /// The container, as the table of helpers knows it.
    pub name: &'static str,
    /// The label or annotation that asks for it, and the values that do; none: any.
    pub asked: (&'static str, &'static [&'static str]),
    /// A label asks as well; else an annotation alone.
    pub label: bool,
    /// The annotation that asks for a native sidecar, or for none; without it the version decides, where there is one.
    pub native: Option<&'static str>,
    /// No version of it makes a native sidecar.
    pub regular: bool,
    /// The annotation without which its endpoint is off.
    pub needs: Option<&'static str>,
    /// The annotation that names another port for it.
    pub port: Option<&'static str>,
    /// Who else may end it: what a person should know of its versions.
    pub note: Option<&'static str>,
    /// Where that is written.
    pub source: &'static str,
}

const fn injected(
    name: &'static str,
    key: &'static str,
    values: &'static [&'static str],
    source: &'static str,
) -> Injected {
    let asked = (key, values);
    Injected { name, asked, label: false, native: None, regular: false, needs: None, port: None, note: None, source }
}

impl Injected {
    const fn label(self) -> Injected {
        Injected { label: true, ..self }
    }

    const fn native(self, key: &'static str) -> Injected {
        Injected { native: Some(key), ..self }
    }

    const fn regular(self) -> Injected {
        Injected { regular: true, ..self }
    }

    const fn needs(self, key: &'static str) -> Injected {
        Injected { needs: Some(key), ..self }
    }

    const fn port(self, key: &'static str) -> Injected {
        Injected { port: Some(key), ..self }
    }

    const fn note(self, note: &'static str) -> Injected {
        Injected { note: Some(note), ..self }
    }
}

const MESH: &str =
    "Istio does from 1.27 where all nodes have Kubernetes 1.33, Linkerd from 2.20; before, the Job never completes";

/// All injectors that a template can be seen to ask.
#[rustfmt::skip]
pub const INJECTED: &[Injected] = &[
    injected("istio-proxy", "sidecar.istio.io/inject", &["true", "True", "TRUE", "y", "yes", "on"], "istio/istio pkg/kube/inject/inject.go: only true now, y, yes and on as well in older versions; pkg/kube/inject/webhook.go, releasenotes/notes/native-sidecar-default.yaml, istio/istio.io content/en/news/releases/1.27.x/announcing-1.27/change-notes/index.md: 1.27; pilot/cmd/pilot-agent/config/config.go: the port")
        .label().native("sidecar.istio.io/nativeSidecar").port("status.sidecar.istio.io/port").note(MESH),
    injected("linkerd-proxy", "linkerd.io/inject", &["enabled", "ingress"], "linkerd.io/2/reference/proxy-configuration; linkerd/linkerd2 pkg/k8s/labels.go; commit 35fb2d6")
        .native("config.linkerd.io/proxy-enable-native-sidecar").needs("config.linkerd.io/proxy-admin-shutdown").port("config.linkerd.io/admin-port").note(MESH),
    injected("kuma-sidecar", "kuma.io/sidecar-injection", &["true", "yes", "enabled"], "kumahq/kuma pull request 1497, pkg/plugins/runtime/k8s/controllers/pod_status_controller.go, pkg/plugins/runtime/k8s/metadata/annotations.go")
        .label().note("Kuma's control plane asks it to quit once all others are over: one request, and none if it is away just then"),
    injected("vault-agent", "vault.hashicorp.com/agent-inject", TRUE, "hashicorp/vault-k8s agent-inject/agent/annotations.go, agent.go: a regular container (issue 620 is open); CHANGELOG.md: the endpoint since 0.16.0")
        .regular().needs("vault.hashicorp.com/agent-enable-quit").port("vault.hashicorp.com/agent-cache-listener-port"),
    injected("daprd", "dapr.io/enabled", &["y", "yes", "true", "True", "t", "on", "1"], "dapr/dapr pkg/injector/annotations/annotations.go, pkg/injector/patcher/sidecar_patcher.go; dapr/kit strings/strings.go; docs.dapr.io/reference/arguments-annotations-overview, dapr/dapr pkg/injector/patcher/sidecar.go: no annotation for its HTTP port")
        .native("dapr.io/enable-native-sidecar"),
    injected("datadog-agent-injected", "agent.datadoghq.com/sidecar", &[], "DataDog/integrations-core eks_fargate/README.md; DataDog/datadog-agent pkg/clusteragent/admission/mutate/agent_sidecar/agent_sidecar.go: a regular container")
        .label().regular(),
    injected("consul-dataplane", "consul.hashicorp.com/connect-inject", TRUE, "hashicorp/consul-k8s control-plane/connect-inject/constants/annotations_and_labels.go, control-plane/connect-inject/webhook/consul_dataplane_sidecar.go; developer.hashicorp.com/consul/docs/k8s/annotations-and-labels")
        .native("consul.hashicorp.com/enable-consul-dataplane-as-sidecar").port("consul.hashicorp.com/sidecar-proxy-lifecycle-graceful-port"),
    injected("otc-container", "sidecar.opentelemetry.io/inject", &[], "open-telemetry/opentelemetry-operator README"),
];

/// The helper of this name, or of this image with these words behind its ENTRYPOINT.
pub fn helper(word: &str, words: &[String]) -> Option<&'static Helper> {
    by(word, words, true).unwrap_or_else(|| HELPERS.iter().find(|helper| helper.known.contains(&word)))
}

/// The helper that this command is; a client of its is none.
pub fn program(words: &[String]) -> Option<&'static Helper> {
    let (first, rest) = words.split_first()?;
    let first = base(first);
    by(first, rest, false).unwrap_or_else(|| {
        HELPERS.iter().find(|helper| helper.known.contains(&first) && !helper.clients.contains(&first))
    })
}

/// Of what is many things in one: which of them, by its words. The outer nothing: it is not.
fn by(word: &str, words: &[String], image: bool) -> Option<Option<&'static Helper>> {
    let all = || HELPERS.iter().flat_map(|helper| helper.by.iter().map(move |(name, wanted)| (helper, *name, *wanted)));
    all().any(|(_, name, _)| name == word).then(|| {
        let asked = |wanted: &[&str]| match words {
            [] => image && wanted.contains(&""),
            words => words.iter().any(|word| wanted.contains(&word.as_str())),
        };
        all().find(|(_, name, wanted)| *name == word && asked(wanted)).map(|(helper, ..)| helper)
    })
}

/// The helper that an image is by its tag.
pub fn tagged(image: &str, tag: &str) -> Option<&'static Helper> {
    HELPERS.iter().find(|helper| helper.tag.is_some_and(|(its, part)| its == image && tag.contains(part)))
}

/// What is known of a container by its name alone.
pub fn named(name: &str) -> Option<&'static Helper> {
    HELPERS.iter().find(|helper| helper.known.contains(&name))
}
