"""OpenFeature's client for Python, asked line by line. Arguments: the server, the SDK key."""

import json
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

base_url, sdk_key = sys.argv[1:3]
headers = {"Authorization": f"Bearer {sdk_key}"}
api.set_provider(OFREPProvider(base_url, headers_factory=lambda: headers))
client = api.get_client()
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    context = EvaluationContext(targeting_key=asked["key"]) if "key" in asked else None
    if isinstance(asked["default"], bool):
        evaluate = client.get_boolean_details
    else:
        evaluate = client.get_string_details
    details = evaluate(asked["flag"], asked["default"], context)
    answer = {
        "value": details.value,
        "variant": details.variant,
        "reason": details.reason,
        "metadata": details.flag_metadata,
        "error": details.error_code,
        "message": details.error_message,
    }
    print(json.dumps({name: value for name, value in answer.items() if value is not None}), flush=True)
