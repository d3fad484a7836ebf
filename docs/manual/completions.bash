# bash completion for exeunt

_exeunt() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words= first=${COMP_WORDS[1]} i
    COMPREPLY=()

    # Where the command begins that is to be run, its own completions do.
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --)
            _exeunt_command $((i + 1))
            return
            ;;
        @TAKES_VALUE@)
            # bash splits --mode=main at the equals sign.
            [[ ${COMP_WORDS[i + 1]} != = ]] || ((i++))
            ((i++))
            ;;
        @OPTIONAL@)
            [[ ${COMP_WORDS[i + 1]} != = ]] || ((i += 2))
            ;;
        -*) ;;
        *)
            case " @FIRST@ " in
            *" $first "*) break ;;
            esac
            _exeunt_command "$i"
            return
            ;;
        esac
    done

    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $previous in
@VALUES@
        --dir)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$current")
            return
            ;;
        @OPTIONAL@) [[ ${COMP_WORDS[COMP_CWORD - 1]} != = ]] || return ;;
        @FREE@) return ;;
    esac
    if [[ -z $words ]]; then
        case $first in
@SUBCOMMANDS@
        *) words='@OPTIONS@ --' ;;
        esac
        if ((COMP_CWORD == 1)); then
            words="@FIRST@ $words"
        elif [[ $first == install && $current != -* ]]; then
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
        fi
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    [[ ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
}

# bash-completion knows the completions of other commands; without it, there are the names of commands and of files.
_exeunt_command() {
    if declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif (($1 == COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
    fi
}

complete -F _exeunt exeunt
