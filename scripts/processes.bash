# Sourced by scripts that start processes and end them later, from a file, perhaps in another run. A number alone may be
# somebody else's by then, so the file holds when the process started as well.

# process_started PID: when the process started, in the kernel's ticks; nothing if there is none.
process_started() {
    local stat
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
    # The name is in parentheses and may contain anything; what follows it begins with the third field.
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    # A zombie has ended.
    [ "$1" = Z ] || echo "${20}"
}

# process_note FILE PID
process_note() { echo "$2 $(process_started "$2")" >"$1"; }

# process_of FILE: the process that was noted there, if it still runs.
process_of() {
    local pid started
    [ -f "$1" ] && read -r pid started <"$1" || return 0
    [ -n "$started" ] && [ "$(process_started "$pid")" = "$started" ] && echo "$pid" || true
}

# process_end FILE SECONDS: ends it with SIGTERM and waits. Fails if it is still there after that.
process_end() {
    local pid
    pid=$(process_of "$1")
    [ -n "$pid" ] || return 0
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 1 $(($2 * 10))); do
        [ -n "$(process_of "$1")" ] || return 0
        sleep 0.1
    done
    return 1
}
