// OpenFeature's client for Node.js servers: one request an evaluation. Arguments: the server, the SDK key.

import { OFREPProvider } from "@openfeature/ofrep-provider";
import { OpenFeature } from "@openfeature/server-sdk";
import { answer, ask } from "./lines.mjs";

const [baseUrl, sdkKey] = process.argv.slice(2);
const headers = [["X-API-Key", sdkKey]];
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers }));
const client = OpenFeature.getClient();
await answer(({ flag, default: fallback, key }) =>
    ask(client, flag, fallback, key === undefined ? {} : { targetingKey: key }),
);
