#!/usr/bin/env bash
# The problem and the cure, on this machine: no container engine, no root, nothing but bash and coreutils.
#
#     examples/demo.sh                     builds exeunt if need be, then takes a few seconds
#     EXEUNT=/path/to/exeunt examples/demo.sh      shows that binary instead
#
# A "Pod" is two processes here that share a directory, and it is over when both have exited: this is the kubelet's rule.
# The exit status is 0 only if everything went as the text claims.
set -euo pipefail
((BASH_VERSINFO[0] >= 5)) || { echo 'demo.sh: bash 5 or later, please: its clock is used' >&2; exit 1; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exeunt=${EXEUNT:-${EXEUNT_BIN:-}}
# The settings of the caller's shell must not decide what the demonstration shows.
for variable in "${!EXEUNT_@}"; do unset "$variable"; done
unset EXEUNT

if [[ -z $exeunt ]]; then
	echo 'Building exeunt: half a minute, if it has not been built yet.' >&2
	(cd "$here/.." && cargo build --quiet --release --locked -p exeunt)
	exeunt=${CARGO_TARGET_DIR:-$here/../target}/release/exeunt
fi
exeunt=$(realpath -- "$exeunt")
[[ -x $exeunt ]] || { echo "demo.sh: there is no program at $exeunt" >&2; exit 1; }

work=$(mktemp -d)
started=()
wrong=0
finish() {
	# Only what was started here, by its number, and the files.
	for pid in ${started[@]+"${started[@]}"}; do kill -KILL "$pid" 2>/dev/null || true; done
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM
# A demonstration of hanging must not hang: a watchdog ends it, whatever goes wrong.
# shellcheck disable=SC2034 # nobody reads from it: its end is all that is wanted
coproc watchdog {
	status=0
	read -r -t 60 || status=$?
	# More than 128 is the time that ran out; 1 is the end of the demonstration, seen as the end of its pipe.
	((status <= 128)) || { echo 'demo.sh: still not over after 60 s' >&2; kill -TERM $$; }
}

# ---- the two containers of the Pod -----------------------------------------------------------------------------------

# The sidecar serves until it is told to stop, then says goodbye in its own way: as Envoy would, with 143.
sidecar_script='trap "exit 143" TERM; exec {never}<> <(:); echo "$$" >"$1"; read -r -u "$never"'
# The job works until there is a file to tell it to end, notes the time as its last act, and ends as it was told.
job_script='echo "$$" >"$1.pid"; until [[ -e $1.go ]]; do sleep 0.01; done; echo "$EPOCHREALTIME" >"$1.end"; exit "$2"'

# Starts one container of the Pod in directory $pod; its number is then in $pid.
start() {
	"$@" &
	pid=$!
	started+=("$pid")
}
start_sidecar() { start "$exeunt" --mode sidecar --dir "$pod" -- bash -c "$sidecar_script" sidecar "$pod.sidecar"; sidecar=$pid; }
start_job() { start "$exeunt" --mode main --dir "$pod" "${@:2}" -- bash -c "$job_script" job "$pod" "$1"; job=$pid; }

new_pod() { pod=$work/$1; mkdir "$pod"; }
# Waits for a fact, and says which one did not come true.
await() {
	local deadline=$((SECONDS + 10)) what=$1
	shift
	until "$@" 2>/dev/null; do
		((SECONDS < deadline)) || { echo "demo.sh: waited in vain for $what" >&2; exit 1; }
		sleep 0.01
	done
}
# The exit code of a container, once it is over, in $code.
leave() { code=0; wait "$1" || code=$?; }
gone() { [[ ! -e /proc/$1/stat ]] || [[ $(<"/proc/$1/stat") == *") Z "* ]]; }
microseconds() { echo $((10#${1/[.,]/})); }
since() { local us=$(($(microseconds "$EPOCHREALTIME") - $(microseconds "$1"))); printf '%d.%d ms' $((us / 1000)) $((us % 1000 / 100)); }
claim() {
	if [[ $2 == "$3" ]]; then
		printf '    %-58s %s\n' "$1" "$2"
	else
		printf '    %-58s %s, and it should be %s\n' "$1" "$2" "$3"
		wrong=1
	fi
}

# ---- what a Pod does -------------------------------------------------------------------------------------------------

echo 'The problem: the job ends, its sidecar does not, and the Pod waits for both.'
new_pod problem
start bash -c "$sidecar_script" sidecar "$pod.sidecar"
sidecar=$pid
start bash -c "$job_script" job "$pod" 3
job=$pid
await 'the sidecar to serve' test -s "$pod.sidecar"
touch "$pod.go"
leave "$job"
claim 'job, exit code' "$code" 3
ended=$(<"$pod.end")
sleep 2
state=gone
kill -0 "$sidecar" 2>/dev/null && state='still running'
claim "sidecar, $(since "$ended") after the job's end" "$state" 'still running'
kill -TERM "$sidecar"
leave "$sidecar"
echo '    Nobody would ever have stopped it, so we did.'
echo

echo 'The cure: the same two commands, each with exeunt in front.'
for expected in 0 3; do
	new_pod "cure$expected"
	start_sidecar
	start_job "$expected"
	await 'the sidecar to serve' test -s "$pod.sidecar"
	await 'the job to work' test -s "$pod.pid"
	touch "$pod.go"
	leave "$job"; job_code=$code
	leave "$sidecar"
	took=$(since "$(<"$pod.end")")
	claim 'job, exit code (its own)' "$job_code" "$expected"
	claim 'sidecar, exit code (it was we who stopped it)' "$code" 0
	echo "    from the job's last act until both were gone: $took"
done
echo

echo 'kill -9 of the wrapper itself: nobody is left to say goodbye, but the kernel lets go of its lock.'
new_pod killed
start_sidecar
start_job 0
await 'the sidecar to serve' test -s "$pod.sidecar"
await 'the job to work' test -s "$pod.pid"
below=$(<"$pod.pid")
killed=$EPOCHREALTIME
# What bash has to say about a child that was killed is no part of the show.
{ kill -KILL "$job"; leave "$job"; } 2>/dev/null
job_code=$code
leave "$sidecar"
took=$(since "$killed")
claim 'job, exit code (128 + 9)' "$job_code" 137
claim 'sidecar, exit code' "$code" 0
await 'the orphaned job to be ended' gone "$below"
claim 'the job below the wrapper' gone gone
echo "    from kill -9 until both were gone: $took"
echo

echo "A job that will be restarted (restartPolicy: OnFailure) keeps its sidecar until it succeeds."
new_pod restarted
start_sidecar
start_job 1 --restart-policy on-failure
await 'the sidecar to serve' test -s "$pod.sidecar"
served_by=$(<"$pod.sidecar")
touch "$pod.go"
leave "$job"
claim 'first attempt, exit code' "$code" 1
rm "$pod.go" "$pod.pid"
start_job 0 --restart-policy on-failure
await 'the second attempt to work' test -s "$pod.pid"
state=gone
kill -0 "$served_by" 2>/dev/null && state='still serving'
claim 'sidecar, during the second attempt' "$state" 'still serving'
touch "$pod.go"
leave "$job"; job_code=$code
leave "$sidecar"
took=$(since "$(<"$pod.end")")
claim 'second attempt, exit code' "$job_code" 0
claim 'sidecar, exit code' "$code" 0
echo "    from the job's last act until both were gone: $took"
echo

echo 'A sidecar that comes late is not started any more; one that fails by itself says so.'
rm "$pod.sidecar"
start_sidecar
leave "$sidecar"
claim 'sidecar that starts after the end, exit code' "$code" 0
state='not started'
[[ -e $pod.sidecar ]] && state=started
claim 'its command' "$state" 'not started'
new_pod failing
start "$exeunt" --mode sidecar --dir "$pod" -- bash -c 'exit 7'
leave "$pid"
claim 'sidecar that fails while it waits for the job, exit code' "$code" 7
echo

if ((wrong)); then
	echo 'Not everything was as claimed.' >&2
	exit 1
fi
echo 'All as claimed.'
