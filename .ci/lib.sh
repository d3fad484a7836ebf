# shellcheck shell=bash
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

# clone_working_tree DIRECTORY: a repository with what is in the working tree, committed or not, as its one commit. Not a
# clone: whoever owns the working tree need not be who runs this, and it may have come without its history.
clone_working_tree() {
	mkdir -p "$1"
	if git -c safe.directory='*' rev-parse --git-dir >/dev/null 2>&1; then
		git -c safe.directory='*' ls-files --cached --others --exclude-standard -z | while IFS= read -r -d '' file; do
			[[ ! -e $file ]] || printf '%s\0' "$file"
		done | tar --null --files-from=- -c | tar -x --no-same-owner -C "$1"
	else
		tar --exclude=./target --exclude=./.git -c . | tar -x --no-same-owner -C "$1"
	fi
	git -C "$1" -c init.defaultBranch=main init --quiet
	commit_in "$1" 'as it is'
}

# commit_in DIRECTORY MESSAGE: everything that is there.
commit_in() {
	git -C "$1" add --all
	git -C "$1" -c user.name=test -c user.email=test@localhost commit --quiet --allow-empty --message "$2"
}
