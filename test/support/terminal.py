"""Runs a command on a terminal of its own, and types at it.

usage: terminal.py '{"columns": 150, "waitFor": "text", "type": "\\u0003"}' command [argument...]

Types once `waitFor` has been printed, and prints as JSON what the terminal got and how the command ended. A terminal is
what no pipe is: programs draw on it, and Control-C there is a signal to all that run on it. Node has none to offer.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time

DEADLINE_SECONDS = 90

settings = json.loads(sys.argv[1])
command = sys.argv[2:]

pid, terminal = pty.fork()
if pid == 0:
    # The size is set before the program looks.
    sys.stdin.readline()
    os.execvp(command[0], command)

fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, settings["columns"], 0, 0))
os.write(terminal, b"\n")

printed = b""
typed = False
deadline = time.monotonic() + DEADLINE_SECONDS
while time.monotonic() < deadline:
    readable, _, _ = select.select([terminal], [], [], 0.1)
    if readable:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not part:
            break
        printed += part
    if not typed and "type" in settings and settings["waitFor"].encode() in printed:
        os.write(terminal, settings["type"].encode())
        typed = True
else:
    os.kill(pid, 9)

_, status = os.waitpid(pid, 0)
json.dump(
    {
        "output": printed.decode(errors="replace"),
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
    },
    sys.stdout,
)
