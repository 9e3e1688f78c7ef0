#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A server that keeps running: its start is recorded while it runs, its next cold
# start up to the first answer is prefetched, and then nothing of the module is
# in its way any more: no recorder, no probe on page faults, nothing that keeps
# its disk busy once it is gone.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 180

defaults=yes
. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
use_real_files "$MNT"
python=$(realpath /usr/bin/python3)
cat >"$MNT/server.py" <<'P'
import http.server, json, os, socketserver

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"path": self.path}).encode())
    def address_string(self):
        return "local"
    def log_message(self, *arguments):
        pass

if os.path.exists("/tmp/socket"):
    os.unlink("/tmp/socket")
with socketserver.UnixStreamServer("/tmp/socket", Answer) as server:
    server.serve_forever()
P
cat >"$WORK/ask.py" <<'P'
import socket, sys, time
for _ in range(1000):
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect(sys.argv[1])
        break
    except OSError:
        time.sleep(0.02)
client.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
answer = b""
while part := client.recv(1000):
    answer += part
print(answer.split(b"\r\n\r\n")[1].decode())
P

# Its first answer; $faults is how many major faults it had until then.
server=
start() {
	rm -f "$MNT/tmp/socket"
	cold
	chroot "$MNT" /usr/bin/true
	mark
	chroot "$MNT" "$python" -I -B /server.py &
	server=$!
	jobs_started+=("$server")
	is "$case: the first answer" '{"path": "/hello"}' "$(python3 "$WORK/ask.py" "$MNT/tmp/socket")"
	faults=$(cut -d' ' -f12 "/proc/$server/stat")
}

end() {
	kill "$server"
	wait "$server" 2>/dev/null
	true # (it was killed)
}

# wait_for WHAT COUNTER VALUE - until a counter is that
wait_for() {
	local i
	for i in $(seq 400); do
		[ "$(counter "$2")" = "$3" ] && break
		sleep 0.05
	done
	is "$case: $1" "$3" "$(counter "$2")"
}

case='not annotated'
start
without=$faults
end
annotate "$MNT$python"

case='first'
start
is "$case: it is recorded" 1 "$(counter recorders_live)"
is "$case: faults are looked at" 1 "$(counter faults_watched)"
wait_for 'live recorders when the start is over' recorders_live 0
wait_for 'faults are looked at' faults_watched 0
wait_for 'recordings that wait' work_pending 0
is "$case: written while it runs" 1 "$(delta writes)"
at_least "$case: files" 10 "$(recorded_files "$MNT$python" | wc -l)"
end

case='second'
start
is "$case: refused" 0 "$(delta 'refused_*')"
at_least "$case: major faults without" 30 "$without"
# (3 and 4 where nothing else ran, 13 beside another guest: then the program is now and then
# ahead of the threads that read for it)
at_most "$case: major faults until the first answer" $((without / 5)) "$faults"
wait_for 'live recorders when the start is over' recorders_live 0
note "$(grown)"
at_least "$case: of 100 pages that were wanted, touched" 90 "$(percent "$(delta hits)" "$(delta hits waste)")"

# It goes on to run without the module, and the module goes while it runs.
is "$case: the second answer" '{"path": "/hello"}' "$(python3 "$WORK/ask.py" "$MNT/tmp/socket")"
holds "$case: rmmod while it runs" module_unload
is "$case: the third answer" '{"path": "/hello"}' "$(python3 "$WORK/ask.py" "$MNT/tmp/socket")"
end
holds 'umount right after' umount "$MNT"

# The module goes while the probe is there.
module_load
mount_at "$MNT" "$SCRATCH_DEV"
case='third'
start
is "$case: faults are looked at" 1 "$(counter faults_watched)"
holds "$case: rmmod while it is recorded" module_unload
is "$case: the second answer" '{"path": "/hello"}' "$(python3 "$WORK/ask.py" "$MNT/tmp/socket")"
end
