"""What runs in a task besides the program: an init and a health check, in the shell that every run image has."""

from __future__ import annotations

SECRET = "/run/secrets/env"  # noqa: S105 - a path; holds NAME=value, each ended by a zero byte
HOLD_S = 5
OUT_OF_MEMORY = "skypanel: ended because the memory limit was reached"
DISK_FULL = "skypanel: ended because the disk limit was reached"

# A word to each network, to nobody there. The engine makes a container's hardware address of its IP address, and when
# another machine had that one in the last five minutes, the network's bridge goes on looking for it there until the
# container itself says something; a web server never does (moby/moby#35401). In a shell of its own: an application may
# have a variable `part` too.
GREET = """\
(while read -r name net gateway rest; do
  [[ $gateway == 00000000 && $net =~ ^(..)(..)(..)(..)$ ]] || continue
  part=("${BASH_REMATCH[@]}")
  echo >"/dev/udp/$((16#${part[4]})).$((16#${part[3]})).$((16#${part[2]})).$((16#${part[1]} + 1))/9"
done </proc/net/route 2>/dev/null)
"""

# PID 1: greets, reads the variables, starts the program as a group of its own, passes signals on. SIGTERM comes from
# the engine whenever a task has to go (a retired release, fewer replicas, a drained machine), about when it leaves the
# routes: so it goes on serving for HOLD seconds, then until no connection to PORT is open, both within DRAIN seconds.
INIT = f"""\
{GREET}
while IFS= read -r -d '' pair; do export "$pair"; done 2>/dev/null <{SECRET}
setsid "$@" & main=$!
exec 3>&2 2>/dev/null
exec {{never}}<> <(:)
port=$(printf ':%04X' "${{PORT:-0}}")
busy() {{
  local file place state rest
  for file in /proc/net/tcp /proc/net/tcp6; do
    while read -r rest place rest state rest; do [[ $place == *$port && $state == 01 ]] && return 0; done <$file
  done
  return 1
}}
pass() {{ kill -"$1" -- -$main || kill -"$1" $main; }}
term() {{
  trap '' TERM
  local end=$((SECONDS + SKYPANEL_DRAIN_S)) hold=$((SECONDS + {HOLD_S}))
  while ((SECONDS < end)) && kill -0 $main && {{ ((SECONDS < hold)) || busy; }}; do read -rt 0.1 -u $never; done
  pass TERM
}}
trap term TERM
for name in INT HUP QUIT USR1 USR2; do trap "pass $name" $name; done
while :; do wait $main; code=$?; kill -0 $main || break; done
if ((code == 137)); then
  for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    while read -r key count; do
      [[ $key == oom_kill && $count != 0 ]] && echo "{OUT_OF_MEMORY}" >&3
    done <$file
  done
fi
exit $code
"""

# Beside it: ends all but the init, which has kept the output as 3.
END_DISK_HOG = f"""\
echo "{DISK_FULL}" >/proc/1/fd/3
kill -KILL -1
"""

# $1 port, $2 path ("" for TCP), $3 host, $4 seconds. The same answers count as healthy as in deployments/health.py.
PROBE = """\
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
[[ -z $2 ]] && exit 0
printf 'GET %s HTTP/1.1\\r\\nHost: %s\\r\\nUser-Agent: skypanel-health\\r\\nX-Forwarded-Proto: https\\r\\n\
Connection: close\\r\\n\\r\\n' "$2" "$3" >&3
read -r -t "$4" version status rest <&3
for ((line = 0; line < 500; line++)); do read -r -t 1 -n 4096 rest <&3 || break; done
case $status in 2??|3??|401|403|405|429) exit 0 ;; esac
exit 1
"""
