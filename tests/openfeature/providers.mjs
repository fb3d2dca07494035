// Asks a controller through OpenFeature's providers for Node.js: node providers.mjs PACKAGES GRPC_PORT HTTP_URL
//
// The first line has what each answers: a flag, one that does not exist, one without a tenant, one of a wrong type. The
// second has the flags that flagd's provider said had changed when the tenant acme went to dual.
import { createRequire } from "node:module";

const [packages, port, url] = process.argv.slice(2);
const require = createRequire(`${packages}/`);
const { OpenFeature, ProviderEvents } = require("@openfeature/server-sdk");
const { OFREPProvider } = require("@openfeature/ofrep-provider");
const { FlagdProvider } = require("@openfeature/flagd-provider");

const acme = { targetingKey: "acme" };
const options = { host: "127.0.0.1", port: Number(port), resolverType: "rpc", deadlineMs: 5000 };
await OpenFeature.setProviderAndWait("ofrep", new OFREPProvider({ baseUrl: url }));
await OpenFeature.setProviderAndWait("flagd", new FlagdProvider(options));

const list = ({ value, variant, reason, errorCode, flagMetadata }) =>
  [value, variant ?? null, reason, errorCode ?? null, flagMetadata];
const clients = { ofrep: OpenFeature.getClient("ofrep"), flagd: OpenFeature.getClient("flagd") };
const said = {};
for (const [name, client] of Object.entries(clients)) {
  said[name] = [
    list(await client.getStringDetails("orders", "none", acme)),
    list(await client.getStringDetails("payments", "none", acme)),
    list(await client.getStringDetails("orders", "none", {})),
    list(await client.getBooleanDetails("orders", false, acme)),
  ];
}
said.object = list(await clients.flagd.getObjectDetails("orders", {}, acme));

setTimeout(() => process.exit(1), 30_000).unref();
const changed = new Promise((resolve) => {
  clients.flagd.addHandler(ProviderEvents.ConfigurationChanged, async ({ flagsChanged }) => {
    if ((await clients.flagd.getStringValue("orders", "none", acme)) === "dual") resolve(flagsChanged);
  });
});
console.log(JSON.stringify(said));
console.log(JSON.stringify(await changed));
await OpenFeature.close();
