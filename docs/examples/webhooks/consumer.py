"""A receiver of Switchover's webhooks: checks each message, and takes each once.

    WEBHOOK_SECRET=whsec_... python3 consumer.py 9000
"""
import base64, hashlib, hmac, json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ.get("WEBHOOK_SECRET", "")
if not SECRET.startswith("whsec_") or len(SECRET) < 32:
    # With an empty key anybody could sign.
    sys.exit("set WEBHOOK_SECRET to the secret, whsec_..., as `switchover webhook add` shows it")
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
taken = set()  # keep these for four days where it matters, beyond this process


def verified(headers, body):
    name, at = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(at)) > 300:
        return False
    signed = f"{name}.{at}.".encode() + body
    expected = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    return any(
        hmac.compare_digest(signature, f"v1,{expected}")
        for signature in headers["webhook-signature"].split()
    )


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            good = verified(self.headers, body)
        except (TypeError, ValueError):
            good = False
        self.send_response(204 if good else 401)
        self.end_headers()
        name = self.headers["webhook-id"]
        if good and name not in taken:
            taken.add(name)
            message = json.loads(body)
            print(message["type"], json.dumps(message["data"]), flush=True)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
