#!/usr/bin/env bash
# An Envoy that cannot be wrapped, as one that a mesh has put into the Pod: run.sh wraps Envoy, here only the job is wrapped.
#
#     examples/envoy/mesh.sh                        with the envoy on the PATH
#     ENVOY=/path/to/envoy examples/envoy/mesh.sh   with that one (the head of run.sh says how to get one)
#
# --mesh envoy is all that it needs: the job starts when http://127.0.0.1:9901/ready says so, though Envoy is started after
# it, and a POST to /quitquitquit on the same port ends Envoy when the job is over. That port is fixed, and this script uses
# those of envoy.json as they are, so 9901, 10000 and 8080 must be free.
#
# exeunt is built if need be; EXEUNT=/path/to/exeunt names another.
# The exit status is 0 only if the job did all its requests through Envoy and both have left with code 0.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exeunt=${EXEUNT:-${EXEUNT_BIN:-}}
for variable in "${!EXEUNT_@}"; do unset "$variable"; done
unset EXEUNT

envoy=$(command -v "${ENVOY:-envoy}") || {
	echo "mesh.sh: there is no ${ENVOY:-envoy} here; the head of run.sh says how to get one" >&2
	exit 1
}
for port in 9901 10000 8080; do
	if (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
		echo "mesh.sh: somebody else serves on port $port already, and it has to be this one" >&2
		exit 1
	fi
done
if [[ -z $exeunt ]]; then
	(cd "$here/../.." && cargo build --release --locked -p exeunt)
	exeunt=${CARGO_TARGET_DIR:-$here/../../target}/release/exeunt
fi
exeunt=$(realpath -- "$exeunt")

work=$(mktemp -d)
job='' proxy=''
finish() {
	for pid in $job $proxy; do kill -KILL "$pid" 2>/dev/null || true; done
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

mkdir "$work/pod"
"$exeunt" --mode main --dir "$work/pod" --mesh envoy --wait-timeout 30s -- "$here/job.sh" &
job=$!
# One worker is enough here, and several Envoys on one machine must not take part in each other's hot restarts.
"$envoy" --config-path "$here/envoy.json" --log-level info --concurrency 1 --disable-hot-restart \
	>"$work/envoy.out" 2>"$work/envoy.err" &
proxy=$!

job_code=0 proxy_code=0
wait "$job" || job_code=$?
# exeunt returns when Envoy has answered the request. That Envoy goes is what is shown here; a watchdog ends the wait if not.
# shellcheck disable=SC2034 # nobody reads from it: its end is all that is wanted
coproc watchdog {
	status=0
	read -r -t 30 || status=$?
	((status <= 128)) || { echo 'mesh.sh: Envoy is still there after 30 s' >&2; kill -KILL "$proxy"; }
}
wait "$proxy" || proxy_code=$?
job='' proxy=''

pages=$(grep -c '^envoy: GET /pages/[0-9]* -> service 127.0.0.1:8080: 200$' "$work/envoy.out" || true)
cat "$work/envoy.out"
echo
printf '%-52s %s\n' \
	'job, exit code' "$job_code" \
	'Envoy, exit code' "$proxy_code" \
	'pages that Envoy has fetched for the job' "$pages"
if [[ $job_code != 0 || $proxy_code != 0 || $pages != 10 ]]; then
	echo 'It should be 0, 0 and 10. Envoy said:' >&2
	cat "$work/envoy.err" >&2
	exit 1
fi
