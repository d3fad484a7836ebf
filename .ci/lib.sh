# Words that the scripts of this directory share. Sourced, not run.

# A heading line for each step, with the time it has taken. The step runs in this shell and with `set -e` in force
# (`step … || …` would switch it off, and a step with three commands would fail only by its last).
step() {
	local title=$1 began=$SECONDS
	shift
	current_step=$title
	printf '\n=== %s %s: %s\n' "$(date -u +%H:%M:%S)" "$title" "$*"
	"$@"
	printf '=== done: %s, %d s\n' "$title" "$((SECONDS - began))"
	current_step=
}

# For the EXIT trap: whoever reads the log of a failed run looks at its end.
say_which_step_failed() {
	[[ -z ${current_step:-} ]] || printf '=== FAILED: %s (exit code %d)\n' "$current_step" "$1" >&2
}

fail() {
	printf '.ci: %s\n' "$*" >&2
	exit 1
}

# Waits for a fact, never for a time: the deadline is there to name what did not come true.
wait_until() {
	local deadline=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		((SECONDS < deadline)) || {
			printf '.ci: waited in vain for: %s\n' "$what" >&2
			return 1
		}
		sleep 0.1
	done
}
