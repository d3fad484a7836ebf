# Completion of kubectl-exeunt for bash: the program itself says what fits. (For `kubectl exeunt` it is kubectl's own
# completion that asks, through kubectl_complete-exeunt.)
_kubectl_exeunt() {
	local lines line
	COMPREPLY=()
	mapfile -t lines < <(command kubectl-exeunt __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	for line in "${lines[@]}"; do
		case $line in
		:0) compopt -o default ;;
		:*) ;;
		*) COMPREPLY+=("${line%%$'\t'*}") ;;
		esac
	done
}
complete -F _kubectl_exeunt kubectl-exeunt
