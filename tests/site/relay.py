"""A bad cable: frames that come in at one end go out at the other, lost, doubled and late by chance.

relay.py ONE OTHER LOST% DOUBLED% DELAY_MS; ends with its standard input. The seed is fixed, so that runs are alike.
"""

import heapq
import random
import select
import socket
import sys
import time

one, other, lost, doubled, delay = sys.argv[1], sys.argv[2], *(int(text) for text in sys.argv[3:6])
chance = random.Random(7)
EVERY_PROTOCOL = 3
OUTGOING = 4


def end_of(name):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERY_PROTOCOL))
    end.bind((name, EVERY_PROTOCOL))
    end.setblocking(False)
    return end


ends = [end_of(one), end_of(other)]
toward = {ends[0]: ends[1], ends[1]: ends[0]}
waiting, number = [], 0
while True:
    rest = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    ready, _, _ = select.select([*ends, sys.stdin], [], [], rest)
    if sys.stdin in ready:
        break
    for end in ready:
        try:
            frame, place = end.recvfrom(65535)
        except OSError:
            continue
        if place[2] == OUTGOING or chance.randrange(100) < lost:
            continue
        for _ in range(2 if chance.randrange(100) < doubled else 1):
            number += 1
            heapq.heappush(waiting, (time.monotonic() + chance.random() * delay / 1000, number, toward[end], frame))
    while waiting and waiting[0][0] <= time.monotonic():
        _, _, end, frame = heapq.heappop(waiting)
        try:
            end.send(frame)
        except OSError:
            pass
