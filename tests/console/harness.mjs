// The parts that the console's scripts share: an upstream server whose responses a script chooses, proxies before it, and a
// browser. Chromium is the one that CHROMIUM names (default: /usr/bin/chromium).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTcp } from "node:net";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

// tests/console/prepare installs the modules there, apart from the sources.
export const modules = createRequire(new URL("../../target/console/package.json", import.meta.url));
const { chromium } = modules("playwright-core");
export const ADMIN_TOKEN = "console-test-token";

const listen = (server) => new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));
export async function freePort() {
  const server = createTcp(), port = await listen(server);
  await new Promise((done) => server.close(done));
  return port;
}

const connector = (number) => ({
  id: `${number}`, displayName: `Connector ${number}`, targetUrl: `https://api${number}.example/check`,
  authenticationConfiguration: { "@odata.type": "#microsoft.graph.basicAuthentication", username: "service", password: "not for callers" },
});
const body = JSON.stringify({ "@odata.context": "c", id: "c", postFederationSignup: connector(1), postAttributeCollection: connector(2) });
// The upstream server: its status, the body of a success, seconds of a 429's Retry-After, and milliseconds before each response.
export const upstream = { status: 200, body, retryAfter: null, delay: 0 };
const graph = createServer(async (request, response) => {
  const { status, retryAfter, delay } = upstream;
  if (delay) await new Promise((done) => setTimeout(done, delay * (0.8 + 0.6 * Math.random())));
  if (retryAfter) return response.writeHead(429, { "retry-after": String(retryAfter), "content-type": "application/json" }).end('{"error":{"code":"TooManyRequests","message":"slow down"}}');
  response.writeHead(status, { "content-type": "application/json" }).end(upstream.body);
});
const graphPort = await listen(graph);
export const directory = mkdtempSync(join(tmpdir(), "console-"));
export const file = (name, text) => { writeFileSync(join(directory, name), text); return join(directory, name); };

const processes = [];
export function start(program, args, env) {
  const started = spawn(program, args, { env, stdio: ["ignore", "ignore", "inherit"] });
  processes.push(started);
  return started;
}

// Starts a proxy with these settings, and waits until it is ready.
export async function serve(binary, settings, args = []) {
  const [data, admin] = [await freePort(), await freePort()];
  const all = { LISTEN__ADDRESS: `127.0.0.1:${data}`, ADMIN__ADDRESS: `127.0.0.1:${admin}`, GRAPH__BASE_URL: `http://127.0.0.1:${graphPort}`, ...settings };
  const child = start(binary, ["serve", ...args], Object.fromEntries(Object.entries(all).map(([key, value]) => [`CONNECTOR_CACHE__${key}`, value])));
  const url = `http://127.0.0.1:${admin}`;
  await until("the proxy serves", async () => (await fetch(`${url}/readyz`)).ok);
  return { child, data, url };
}

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const claims = { tid: "aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb", oid: "cccccccc-1111-4222-8333-dddddddddddd", appid: "eeeeeeee-1111-4222-8333-ffffffffffff", exp: Math.floor(Date.now() / 1000) + 3600 };
// A token with these claims in place of the usual ones.
export const mint = (more = {}) => `${part({ alg: "none" })}.${part({ ...claims, ...more })}.AAAA`;
// The token of one of several users of an application.
export const mintUser = (number) => mint({ oid: `cccccccc-1111-4222-8333-${String(number).padStart(12, "0")}` });
export const call = (port, flow, token = mint(), query = "") =>
  fetch(`http://127.0.0.1:${port}/beta/identity/b2xUserFlows/${flow}/apiConnectorConfiguration${query}`, { headers: token ? { authorization: `Bearer ${token}` } : {} });

export async function until(what, check) {
  for (let left = 300; left > 0; left--) {
    if (await check().catch(() => false)) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.fail(`not within 15 s: ${what}`);
}

export const passed = (name) => console.log(`ok ${name}`);

// Runs `play` with a window of the browser, and ends all that was started.
export async function withBrowser(play) {
  let browser;
  try {
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
    await play(await browser.newContext({ viewport: { width: 1440, height: 1000 } }));
  } finally {
    await browser?.close();
    processes.filter(({ exitCode }) => exitCode === null).forEach((one) => one.kill("SIGKILL"));
    graph.closeAllConnections();
    graph.close();
  }
}
