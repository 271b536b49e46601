"""A collector of NDJSON on 127.0.0.1:8080: answers 200 and prints each line that it gets; what is no such request is a
line {"fault": why}."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if (self.path, self.headers.get("Content-Type")) == ("/events", "application/x-ndjson"):
            print(body.decode(), end="", flush=True)
        else:
            print(json.dumps({"fault": self.path + " " + str(self.headers)}), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", 8080), Collector).serve_forever()
