// One question a line on standard input, one answer a line on standard output, both JSON.

import { createInterface } from "node:readline";

export async function answer(evaluate, refused) {
    console.log(JSON.stringify({ ready: true, refused }));
    for await (const line of createInterface({ input: process.stdin })) {
        const details = await evaluate(JSON.parse(line));
        console.log(
            JSON.stringify({
                value: details.value,
                variant: details.variant,
                reason: details.reason,
                metadata: details.flagMetadata,
                error: details.errorCode,
                message: details.errorMessage,
            }),
        );
    }
    process.exit(0);
}

/** Boolean or text, as the default is. */
export function ask(client, flag, fallback, ...context) {
    return typeof fallback === "boolean"
        ? client.getBooleanDetails(flag, fallback, ...context)
        : client.getStringDetails(flag, fallback, ...context);
}
