#compdef exeunt

_exeunt() {
  # The completion system has variables of its own, which a function sees: "name" is one.
  local subcommand=
  local -a subcommands
  local -i word=$CURRENT
  subcommands=(
@FIRST@
  )
  if ((CURRENT > 2)); then
    case $words[2] in
    (@NAMES@)
      subcommand=$words[2]
      shift words
      ((CURRENT--))
      ;;
    esac
    case $subcommand in
@SUBCOMMANDS@
    esac
    [[ -z $subcommand ]] || return
  fi
  # Behind the first word that is no option, and behind --, the completions of the command that is to be run.
  _arguments -s -S \
@OPTIONS@
        '*::: :_exeunt_command'
}

_exeunt_command() {
  # At the first word subcommands and options are offered; all programs of the machine are not, unless one has been begun.
  if ((word == 2)); then
    _describe -t subcommands subcommand subcommands
    [[ -n $PREFIX ]] || return 0
  fi
  _normal
}

_exeunt "$@"
