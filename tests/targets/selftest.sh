#!/bin/bash
# Do the test targets and the shop tell the truth about themselves, as the tests that rely on them assume? Builds
# them with the host's Go release (or the one given) and drives each through its protocol.
#
#   tests/targets/selftest.sh [RELEASE [VARIANT [OUTDIR]]]
#
# Prints a line per check; status 1 if one failed.
# shellcheck disable=SC2317 # functions are called through check
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
release=${1:-host}
variant=${2:-default}

scratch=$(mktemp -d)
outdir=${3:-${TMPDIR:-/tmp}/gosonde-targets-$(id -u)}
failed=0
running=

cleanup() {
	[ -z "$running" ] || kill "$running" 2>/dev/null
	rm -rf "$scratch"
}
trap cleanup EXIT

check() { # WHAT COMMAND...
	local what=$1
	shift
	if "$@"; then
		echo "ok   $what"
	else
		echo "FAIL $what"
		failed=1
	fi
}

skip() { echo "skip $1"; }

# --- the protocol -----------------------------------------------------------------------------------

start() { # PROGRAM ARGUMENTS...: sets ready, pid, and the channels of ask
	local program=$1
	shift
	mkfifo "$scratch/in" "$scratch/out"
	(cd "$scratch" && exec "$bin/$program" "$@" <"$scratch/in" >"$scratch/out" 2>"$scratch/err") &
	running=$!
	exec 3>"$scratch/in" 4<"$scratch/out"
	rm -f "$scratch/in" "$scratch/out"
	ready=
	read -r -t 90 -u 4 ready
	pid=$(key pid "$ready")
}

ask() { # COMMAND: sets answer, and the file raw if bytes follow
	echo "$1" >&3
	answer=
	read -r -t 60 -u 4 answer
	local bytes
	bytes=$(key "$1_bytes" "$answer")
	: >"$scratch/raw"
	[ -z "$bytes" ] || head -c "$bytes" <&4 >"$scratch/raw"
}

finish() { # sets status
	exec 3>&-
	wait "$running"
	status=$?
	running=
	exec 4<&-
}

key() { # NAME LINE: the number behind the first key of that name
	grep -o "\"$1\":[0-9]*" <<<"$2" | sed -n '1s/.*://p'
}

# --- checks -----------------------------------------------------------------------------------------

# "ID STATE" of all goroutines, as the ready line and as a traceback have them.
of_ready() {
	grep -o '"id":[0-9]*,"role":"[^"]*","state":"[^"]*"' <<<"$ready" |
		sed 's/"id":\([0-9]*\),"role":"[^"]*","state":"\(.*\)"/\1 \2/' | sort
}

of_stack() {
	sed -n 's/^goroutine \([0-9]*\) .*\[\([^],]*\).*/\1 \2/p' "$scratch/raw" | sed 's/ (scan)$//' | sort
}

# The command loop runs while it is asked; in between it waits for a command.
same_as_stack() {
	diff <(of_ready | grep -v '^1 ') <(of_stack | grep -v '^1 ') >&2
}

cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

idle() { # PID: nearly no CPU in a second
	local before
	before=$(cpu_ticks "$1")
	sleep 1
	[ $(($(cpu_ticks "$1") - before)) -le 1 ]
}

is_gzip() { [ "$(head -c 2 "$scratch/raw" | od -An -tx1 | tr -d ' ')" = 1f8b ]; }

check_states() {
	start states
	check "states: steady state" test -n "$pid"
	[ -n "$pid" ] || { cat "$scratch/err"; finish; return; }
	check "states: more than 100 roles" test "$(of_ready | wc -l)" -gt 100
	ask stack
	check "states: a traceback agrees with the ready line" same_as_stack
	check "states: idle" idle "$pid"
	ask profile
	check "states: a goroutine profile" is_gzip
	ask gc
	check "states: gc" test -n "$(key gc "$answer")"
	ask stats
	check "states: stats" test "$(key goroutines "$answer")" -gt 100
	ask nonsense
	check "states: an unknown command is refused" grep -q '"error"' <<<"$answer"
	ask stack
	check "states: still the same" same_as_stack
	finish
	check "states: ends with its stdin" test "$status" = 0
}

check_many() {
	start many -n 20000 -floor 200ms
	check "many: starts" test -n "$pid"
	ask reset
	ask pause
	check "many: a pause meter" test -n "$(key max_pause_ns "$answer")"
	ask stack
	check "many: 20000 goroutines" test "$(grep -c '^main.wait(' "$scratch/raw")" = 20000
	ask pause
	check "many: a traceback of them is a pause" test "$(key max_pause_ns "$answer")" -gt 5000000
	ask exit
	finish
	check "many: ends" test "$status" = 0
}

check_churn() {
	start churn
	sleep 1
	ask stack
	ask check
	check "churn: thousands are born" test "$(key born "$answer")" -gt 2000
	ask exit
	check "churn: no check failed" test "$(key failures "$answer")" = 0
	finish
	check "churn: ends" test "$status" = 0
}

check_with_c() {
	local program
	for program in cgo plugin; do
		[ -x "$bin/$program" ] || { skip "$program: not built"; continue; }
		start $program
		ask stack
		check "$program: a traceback agrees with the ready line" same_as_stack
		check "$program: idle" idle "$pid"
		finish
	done
}

check_crash() {
	start crash -truth "$scratch/truth"
	check "crash: starts" test -n "$pid"
	echo segv >&3
	finish 2>/dev/null
	check "crash: aborts" test "$status" = 134
	check "crash: a last traceback" grep -q '^main.crasher' "$scratch/truth"
	check "crash: goroutines of the runtime on stderr" grep -q '^runtime.bgsweep' "$scratch/err"
	rm -f "$scratch"/core*
}

check_vanishing() {
	start short -after 100ms
	sleep 0.5
	check "short: is gone" test ! -e "/proc/$pid/maps" -o ! -s "/proc/$pid/maps"
	finish
	start short -zombie
	check "short: a zombie" grep -q '^State:.Z' "/proc/$(key zombie "$ready")/status"
	finish
	start exec -after 100ms
	local old=$pid
	read -r -t 10 -u 4 ready
	check "exec: another program, the same PID" test "$(key pid "$ready")" = "$old" -a "$(key n "$ready")" = 10
	finish
}

get() { # PATH: HTTP by hand, as curl may not be there
	exec 5<>"/dev/tcp/127.0.0.1/$port"
	printf '%s %s HTTP/1.0\r\n\r\n' "${2:-GET}" "$1" >&5
	cat <&5
	exec 5>&-
}

check_shop() {
	mkfifo "$scratch/in"
	"$bin/shop" -addr 127.0.0.1:0 -until-eof <"$scratch/in" >"$scratch/shop" &
	running=$!
	exec 3>"$scratch/in"
	for _ in $(seq 100); do
		grep -q listening "$scratch/shop" && break
		sleep 0.1
	done
	port=$(sed -n 's/.*127.0.0.1:\([0-9]*\) pid=.*/\1/p' "$scratch/shop")
	check "shop: listens" test -n "$port"
	check "shop: healthy" grep -q '^ok' <(get /healthz)
	check "shop: idle" idle "$running"
	get '/debug/trouble?name=ledger,upstream,leak,mmap,hotmap,allocs,faults,leaktimer&on=1' POST >/dev/null
	check "shop: serves with all troubles" grep -q '"failed":0.*/checkout' \
		<("$bin/shop" -drive "http://127.0.0.1:$port" -rate 10 -duration 2s)
	get /debug/truth >"$scratch/truth"
	check "shop: leaks" grep -q '"leaked_goroutines": [1-9]' "$scratch/truth"
	check "shop: knows its goroutines" grep -q '"role": "payment-accept"' "$scratch/truth"
	local data
	data=$(sed -n 's/.*"data_dir": "\(.*\)".*/\1/p' "$scratch/truth")
	exec 3>&-
	wait "$running"
	status=$?
	running=
	rm -f "$scratch/in"
	check "shop: ends with its stdin and leaves nothing behind" test "$status" = 0 -a ! -e "$data"
}

# --- main -------------------------------------------------------------------------------------------

bin=$outdir/$release/$variant
"$root/tools/build_targets" "$outdir" "$release" "$variant" \
	states many churn crash short exec shop >/dev/null || exit 1
if command -v gcc >/dev/null 2>&1; then
	with_c='cgo plugin'
	case $variant in *static-pie*) with_c=cgo ;; esac # a plugin host has to be dynamic
	# shellcheck disable=SC2086
	"$root/tools/build_targets" "$outdir" "$release" "$variant" $with_c >/dev/null || failed=1
fi

check_states
check_many
check_churn
check_with_c
check_crash
check_vanishing
check_shop
exit $failed
