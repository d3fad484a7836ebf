//! Real servers as sidecars, in images that nobody has rebuilt: exeunt comes from an init container.

use crate::pod::{container, first, pod, spec};
use crate::row::Row;
use serde_json::{Value, json};

/// A Job of these containers, each with its own image and exeunt from the shared volume in front of its command.
fn unchanged(containers: &[(&str, &str, &[&str], &[&str])]) -> Value {
    let containers: Vec<_> = containers
        .iter()
        .map(|(name, image, options, command)| {
            let mut made = container(name, &[], "");
            made["image"] = json!(image);
            made["command"] = json!([&["/tmp/pod/exeunt"], *options, &["--"], *command].concat());
            made
        })
        .collect();
    let mut spec = spec(&containers);
    let mut init = first(&["/exeunt", "install", "--reset", "/tmp/pod/exeunt"]);
    init["image"] = json!("exeunt");
    pod(&mut spec)["initContainers"] = json!([init]);
    spec
}

const REDIS: &str = "redis:8";

#[test]
fn redis() {
    let Some(row) = Row::with_images(&[REDIS]) else { return };
    let job = "redis-cli set greeting hello && redis-cli get greeting";
    let main = ["--mode", "main", "--wait-for", "cache", "--stop-with", "cache"];
    let cache = ["--mode", "sidecar", "--name", "cache", "--ready-when", "tcp://127.0.0.1:6379"];
    let server = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"];
    let spec = unchanged(&[("job", REDIS, &main, &["sh", "-c", job]), ("cache", REDIS, &cache, &server)]);
    let over = row.play(&spec);
    over.says(&["Complete", "first: 0 Completed*", "job: 0 Completed: hello", "cache: 0 Completed*"]);
    assert!(over.log("cache").contains("ready to exit, bye bye"), "{}", over.log("cache"));
}

const NGINX: &str = "nginx:1";

/// Its SIGTERM is "now"; SIGQUIT ends what is being answered first.
#[test]
fn nginx() {
    let Some(row) = Row::with_images(&[NGINX]) else { return };
    let site = "daemon off; pid /tmp/nginx.pid; error_log stderr notice; events {}
        http { access_log off; client_body_temp_path /tmp; proxy_temp_path /tmp; fastcgi_temp_path /tmp;
        uwsgi_temp_path /tmp; scgi_temp_path /tmp; server { listen 127.0.0.1:8080; return 200 'nginx says hello'; } }";
    let serve = "printf '%s' \"$SITE\" >/tmp/nginx.conf; exec nginx -e stderr -c /tmp/nginx.conf";
    let main = ["--mode", "main", "--wait-for", "http://127.0.0.1:8080/", "--stop-with", "nginx"];
    let options = ["--mode", "sidecar", "--name", "nginx", "--stop-signal", "QUIT"];
    let get = ["wget", "-q", "-O", "-", "http://127.0.0.1:8080/"];
    let mut spec = unchanged(&[("job", "busybox", &main, &get), ("nginx", NGINX, &options, &["sh", "-c", serve])]);
    pod(&mut spec)["containers"][1]["env"] = json!([{"name": "SITE", "value": site}]);
    pod(&mut spec)["containers"][1]["securityContext"] = json!({"runAsUser": 10001, "runAsNonRoot": true});
    let over = row.play(&spec);
    over.says(&["Complete", "first: 0 Completed*", "job: 0 Completed: nginx says hello", "nginx: 0 Completed*"]);
    assert!(over.log("nginx").contains("gracefully shutting down"), "{}", over.log("nginx"));
}

const ENVOY: &str = "envoyproxy/envoy:distroless-v1.40.0";

/// Envoy answers by itself, so that no other service is needed.
fn envoy_configuration() -> Value {
    let address = |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    let network =
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let manager = json!({
        "@type": network, "stat_prefix": "egress",
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{
            "match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "Envoy says hello"}},
        }]}]},
    });
    let filter = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
    json!({
        "admin": {"address": address(9901)},
        "static_resources": {"listeners": [{"address": address(10000), "filter_chains": [{"filters": [filter]}]}]},
    })
}

const GET: [&str; 5] = ["wget", "-q", "-O", "-", "http://127.0.0.1:10000/"];

#[track_caller]
fn with_envoy(options: &[&str], wrap: bool) {
    let Some(row) = Row::with_images(&[ENVOY]) else { return };
    let server =
        ["/usr/local/bin/envoy", "--config-yaml", "$(CONFIGURATION)", "--concurrency", "1", "--log-level", "info"];
    let mut spec = unchanged(&[
        ("job", "busybox", &[&["--mode", "main"], options].concat(), &GET),
        ("envoy", ENVOY, &["--mode", "sidecar"], &server),
    ]);
    let envoy = &mut pod(&mut spec)["containers"][1];
    envoy["env"] = json!([{"name": "CONFIGURATION", "value": envoy_configuration().to_string()}]);
    envoy["securityContext"] = json!({"runAsUser": 10002, "runAsNonRoot": true});
    if !wrap {
        envoy["command"] = json!(server);
    }
    let over = row.play(&spec);
    over.says(&["Complete", "first: 0 Completed*", "job: 0 Completed: Envoy says hello", "envoy: 0 Completed*"]);
    let log = over.log("envoy");
    assert_eq!(log.contains("caught ENVOY_SIGTERM"), wrap, "{log}");
    assert!(log.contains("exiting"), "{log}");
}

#[test]
fn envoy_with_exeunt_in_front() {
    with_envoy(&["--wait-for", "http://127.0.0.1:9901/ready"], true);
}

/// Nobody wraps it: main asks it to quit.
#[test]
fn envoy_as_it_comes() {
    with_envoy(&["--mesh", "envoy"], false);
}
