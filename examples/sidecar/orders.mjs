// Reads and writes an order through a sidecar, with nothing but Node's standard library: node orders.mjs SOCKET

import http from "node:http";

const socketPath = process.argv[2];
const agent = new http.Agent({ keepAlive: true });

/** One call. An error's `reason` says what became of a write: NOT_APPLIED or UNKNOWN_OUTCOME. */
function call(method, request) {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const sent = http.request({ socketPath, agent, method: "POST", path: `/api/v1/${method}`, headers, timeout: 30_000 });
    sent.on("timeout", () => sent.destroy(new Error("no answer in 30 s")));
    // Without a connection nothing was sent.
    const reasonOf = ({ code }) => (["ENOENT", "ECONNREFUSED"].includes(code) ? "NOT_APPLIED" : "UNKNOWN_OUTCOME");
    sent.on("error", (error) => reject(Object.assign(error, { reason: reasonOf(error) })));
    sent.on("response", (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("error", (error) => reject(Object.assign(error, { reason: "UNKNOWN_OUTCOME" })));
      answer.on("end", () => {
        const body = JSON.parse(Buffer.concat(parts));
        if (answer.statusCode === 200) return resolve(body);
        const reason = body.reason ?? (answer.statusCode < 500 ? "NOT_APPLIED" : "UNKNOWN_OUTCOME");
        reject(Object.assign(new Error(body.message), { reason, status: answer.statusCode }));
      });
    });
    sent.end(JSON.stringify(request));
  });
}

const get = async (tenant, key) => {
  const answer = await call("Get", { tenant, key });
  return answer.found ? JSON.parse(answer.json) : null;
};
const put = (tenant, key, record) => call("Put", { tenant, key, json: JSON.stringify(record) });
const remove = (tenant, key) => call("Delete", { tenant, key });

console.log("acme is at", (await call("Decide", { tenant: "acme" })).rung);

await put("acme", "order-1", { items: 3, total: 12.5 });
const order = await get("acme", "order-1");
console.log("order-1:", JSON.stringify(order));

await put("acme", "order-1", { ...order, items: order.items + 1 });
console.log("order-1:", JSON.stringify(await get("acme", "order-1")));

await remove("acme", "order-1");
console.log("order-1:", JSON.stringify(await get("acme", "order-1")));

await put("acme", "order-1", []).catch((error) => console.log("refused:", error.reason));
agent.destroy();
