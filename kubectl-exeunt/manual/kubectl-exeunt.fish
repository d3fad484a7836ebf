# Completion of kubectl-exeunt for fish: the program itself says what fits.
function __kubectl_exeunt_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (command kubectl-exeunt __complete -- $words[2..-1] 2>/dev/null)
    for line in $lines
        switch $line
            case ':0'
                __fish_complete_path (commandline -ct)
            case ':*'
            case '*'
                echo $line
        end
    end
end
complete -c kubectl-exeunt -f -a '(__kubectl_exeunt_complete)'
