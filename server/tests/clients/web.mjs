// OpenFeature's client for browsers: it keeps all flags of one context. Arguments: the server, the SDK key,
// and how it hears of changes: `events` or `polling`.

import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
import { OpenFeature } from "@openfeature/web-sdk";
import { EventSource } from "eventsource";
import { answer, ask } from "./lines.mjs";


const [baseUrl, sdkKey, how] = process.argv.slice(2);
const asked = { bulk: 0, unchanged: 0, streams: 0 };

const counting = async (request) => {
    const response = await fetch(request);
    asked.bulk += 1;
    asked.unchanged += response.status === 304 ? 1 : 0;
    return response;
};

// What browsers have and Node.js lacks.
class CountingEventSource extends EventSource {
    constructor(url) {
        super(url);
        this.addEventListener("open", () => (asked.streams += 1));
    }
}
globalThis.EventSource = CountingEventSource;

const provider = new OFREPWebProvider({
    baseUrl,
    headers: [["Authorization", `Bearer ${sdkKey}`]],
    fetchImplementation: counting,
    cacheMode: "disabled",
    ...(how === "polling"
        ? { changeDetection: "polling", pollInterval: 100 }
        : { changeDetection: "sse" }),
});
let context = {};
await OpenFeature.setContext(context);
let refused;
await OpenFeature.setProviderAndWait(provider).catch((error) => (refused = error.code));
const client = OpenFeature.getClient();
await answer(async ({ flag, default: fallback, key }) => {
    // Setting the context asks for all flags, so it is set only where it is another.
    if (key !== context.targetingKey) {
        context = key === undefined ? {} : { targetingKey: key };
        await OpenFeature.setContext(context);
    }
    if (flag === "asked") {
        return { value: asked };
    }
    return ask(client, flag, fallback);
}, refused);
