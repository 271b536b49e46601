"""TLS in front of a collector that has none: `front.py CERT KEY CLIENTS TO_PORT`.

Listens on 127.0.0.2:4318, shows CERT, wants to see a certificate of CLIENTS, and hands what it gets on to that port of
127.0.0.1. Prints one JSON object for each connection: {"client": the name in its certificate, "authorization": that of
its first request}.
"""

import json
import socket
import ssl
import sys
import threading


def relay(source, sink):
    try:
        while block := source.recv(65536):
            sink.sendall(block)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(plain, context, to):
    try:
        stream = context.wrap_socket(plain, server_side=True)
        names = [value for field in stream.getpeercert()["subject"] for key, value in field if key == "commonName"]
        head = b""
        while b"\r\n\r\n" not in head and (block := stream.recv(65536)):
            head += block
        lines = head.split(b"\r\n\r\n")[0].decode().split("\r\n")
        given = [line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("authorization:")]
        print(json.dumps({"client": names, "authorization": given}), flush=True)
        collector = socket.create_connection(("127.0.0.1", to))
        collector.sendall(head)
        threading.Thread(target=relay, args=(stream, collector), daemon=True).start()
        relay(collector, stream)
    except OSError as wrong:
        print(json.dumps({"fault": repr(wrong)}), flush=True)


def main(cert, key, clients, to):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(clients)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.2", 4318))
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=serve, args=(plain, context, int(to)), daemon=True).start()


main(*sys.argv[1:])
