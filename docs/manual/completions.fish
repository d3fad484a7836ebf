# fish completion for exeunt

# Where on the command line the cursor is: at the first word ("first", and also "options"), among the options, behind a
# subcommand (its name), or in the command that is to be run ("command").
function __exeunt_at
    set -l tokens (commandline -opc)[2..]
    if contains -- "$tokens[1]" @FIRST@
        test "$argv[1]" = "$tokens[1]"
        return
    end
    if test (__exeunt_command_begins) -gt 0
        test "$argv[1]" = command
        return
    end
    test "$argv[1]" = options; and return
    test "$argv[1]" = first -a (count $tokens) -eq 0
end

# The index of the token at which the command begins, 0 if it has not begun.
function __exeunt_command_begins
    set -l tokens (commandline -opc)
    set -l at 2
    while test $at -le (count $tokens)
        switch $tokens[$at]
            case '--'
                echo (math $at + 1)
                return
            case @SWITCHES@ '--*=*'
            case '--*'
                set at (math $at + 1)
            case '*'
                echo $at
                return
        end
        set at (math $at + 1)
    end
    echo 0
end

function __exeunt_complete_command
    set -l tokens (commandline -opc)
    set -l rest $tokens[(__exeunt_command_begins)..]
    set -l line (string escape -- $rest) (commandline -ct)
    complete -C "$(string join ' ' -- $line)"
end

complete -c exeunt -n '__exeunt_at command' -f -a '(__exeunt_complete_command)'
complete -c exeunt -n '__exeunt_at options; and not __exeunt_at command' -f -a '--' -d 'The command follows'
complete -c exeunt -n '__exeunt_at install' -F
