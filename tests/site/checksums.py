"""Checksums are made by the system and not left to the card: checksums.py INTERFACE."""

import array
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
SET_TX_CHECKSUMS = 0x17

command = array.array("B", struct.pack("II", SET_TX_CHECKSUMS, 0))
request = struct.pack("16sP", sys.argv[1].encode(), command.buffer_info()[0])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
    fcntl.ioctl(asker.fileno(), SIOCETHTOOL, request)
