// A receiver of Switchover's webhooks: checks each message, and takes each once.
//
//     WEBHOOK_SECRET=whsec_... node consumer.mjs 9000
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const secret = process.env.WEBHOOK_SECRET ?? "";
if (!/^whsec_.{24}/.test(secret)) {
  // With an empty key anybody could sign.
  console.error("set WEBHOOK_SECRET to the secret, whsec_..., as `switchover webhook add` shows it");
  process.exit(1);
}
const key = Buffer.from(secret.slice("whsec_".length), "base64");
const taken = new Set(); // keep these for four days where it matters, beyond this process

function verified(headers, body) {
  const { "webhook-id": name, "webhook-timestamp": at, "webhook-signature": signatures = "" } = headers;
  if (!(Math.abs(Date.now() / 1000 - Number(at)) <= 300)) return false;
  const mac = createHmac("sha256", key).update(`${name}.${at}.`).update(body).digest("base64");
  const expected = Buffer.from(`v1,${mac}`);
  return signatures.split(" ").some((signature) => {
    const given = Buffer.from(signature);
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);
  const good = verified(request.headers, body);
  response.writeHead(good ? 204 : 401).end();
  const name = request.headers["webhook-id"];
  if (good && !taken.has(name)) {
    taken.add(name);
    const { type, data } = JSON.parse(body);
    console.log(type, JSON.stringify(data));
  }
}).listen(Number(process.argv[2]), "127.0.0.1");
