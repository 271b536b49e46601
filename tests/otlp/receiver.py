"""What arrives by OTLP/HTTP, decoded by code that is not ours and printed as one JSON object a line.

Listens on a free port of the loopback and prints it first, as {"port": N}. Then, for each request:
{"signal": "logs" or "metrics", "encoding": the Content-Encoding, "message": the request as protobuf's own JSON}.
A request that cannot be decoded is printed as {"fault": why} and answered with 400.
"""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

SIGNALS = {
    "/v1/logs": ("logs", ExportLogsServiceRequest, ExportLogsServiceResponse),
    "/v1/metrics": ("metrics", ExportMetricsServiceRequest, ExportMetricsServiceResponse),
}


def tell(thing):
    sys.stdout.write(json.dumps(thing) + "\n")
    sys.stdout.flush()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(self.chunks())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            signal, request, response = SIGNALS[self.path]
            encoding = self.headers.get("Content-Encoding")
            if self.headers.get("Content-Type") != "application/x-protobuf":
                raise ValueError("content type " + str(self.headers.get("Content-Type")))
            if encoding == "gzip":
                body = gzip.decompress(body)
            elif encoding is not None:
                raise ValueError("content encoding " + encoding)
            message = MessageToDict(request.FromString(body), preserving_proto_field_name=True)
            tell({"signal": signal, "encoding": encoding, "message": message})
            status, answer = 200, response().SerializeToString()
        except Exception as wrong:
            tell({"fault": self.path + ": " + repr(wrong)})
            status, answer = 400, b""
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def chunks(self):
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
tell({"port": server.server_port})
server.serve_forever()
