#compdef kubectl-exeunt
# Completion of kubectl-exeunt for zsh: the program itself says what fits.

_kubectl_exeunt() {
  local line
  local -a lines found
  lines=("${(@f)$(command kubectl-exeunt __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in $lines; do
    case $line in
    (:0) _files ;;
    (:*) ;;
    (*) found+=("${line/$'\t'/:}") ;;
    esac
  done
  (($#found == 0)) || _describe -V 'kubectl-exeunt' found
}

if [[ $funcstack[1] == _kubectl-exeunt ]]; then
  _kubectl_exeunt "$@"
else
  compdef _kubectl_exeunt kubectl-exeunt
fi
