// Drives the console in Chromium. Starts the proxy before an upstream server of its own, so that a test decides what Graph
// answers. Usage: browser.mjs BINARY [SCREENSHOT_DIRECTORY]. CHROMIUM names the browser (default: /usr/bin/chromium).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTcp } from "node:net";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

// tests/console/prepare installs the modules there, apart from the sources.
const modules = createRequire(new URL("../../target/console/package.json", import.meta.url));
const { chromium } = modules("playwright-core");
const [binary, pictures] = process.argv.slice(2);
const ADMIN_TOKEN = "console-test-token";
const axe = readFileSync(modules.resolve("axe-core/axe.min.js"), "utf8");

const listen = (server) => new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));
async function freePort() {
  const server = createTcp(), port = await listen(server);
  await new Promise((done) => server.close(done));
  return port;
}

let retryAfter = null;
const graph = createServer((request, response) => {
  if (retryAfter) return response.writeHead(429, { "retry-after": String(retryAfter), "content-type": "application/json" }).end('{"error":{"code":"TooManyRequests","message":"slow down"}}');
  response.writeHead(200, { "content-type": "application/json" }).end('{"@odata.context":"c"}');
});
const graphPort = await listen(graph);
const [dataPort, adminPort] = [await freePort(), await freePort()];
const directory = mkdtempSync(join(tmpdir(), "console-"));
writeFileSync(join(directory, "token"), ADMIN_TOKEN);

const settings = { LISTEN__ADDRESS: `127.0.0.1:${dataPort}`, ADMIN__ADDRESS: `127.0.0.1:${adminPort}`, ADMIN__TOKEN_FILE: join(directory, "token"), GRAPH__BASE_URL: `http://127.0.0.1:${graphPort}`, DRAIN__DELAY: "2s" };
const proxy = spawn(binary, ["serve"], { env: Object.fromEntries(Object.entries(settings).map(([key, value]) => [`CONNECTOR_CACHE__${key}`, value])), stdio: ["ignore", "ignore", "inherit"] });

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const claims = { tid: "aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb", oid: "cccccccc-1111-4222-8333-dddddddddddd", appid: "eeeeeeee-1111-4222-8333-ffffffffffff", exp: Math.floor(Date.now() / 1000) + 3600 };
const token = `${part({ alg: "none" })}.${part(claims)}.AAAA`;
const call = (flow) => fetch(`http://127.0.0.1:${dataPort}/beta/identity/b2xUserFlows/${flow}/apiConnectorConfiguration`, { headers: { authorization: `Bearer ${token}` } });

async function until(what, check) {
  for (let left = 300; left > 0; left--) {
    if (await check().catch(() => false)) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.fail(`not within 15 s: ${what}`);
}

const passed = (name) => console.log(`ok ${name}`);
const problems = [];
let browser;
try {
  await until("the proxy serves", async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
  const page = await context.newPage();
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) problems.push(message.text()); });
  page.on("pageerror", (error) => problems.push(String(error)));

  // Load before the page is opened, so that the history has it.
  for (let round = 0; round < 40; round++) { await call("B2X_1_one"); await call(`B2X_1_${round % 5}`); }
  await new Promise((done) => setTimeout(done, 2200));

  await page.goto(`http://127.0.0.1:${adminPort}/`);
  await page.locator("#sign-in").waitFor();
  await page.fill("#sign-in-token", "wrong");
  await page.click("#sign-in-form button");
  await page.getByText("The token is not the one").waitFor();
  // Chromium itself reports a response of 401.
  assert.ok(problems.splice(0).every((text) => text.includes("401")));
  passed("a wrong token is refused");

  await page.fill("#sign-in-token", ADMIN_TOKEN);
  const painted = await page.evaluate(() => new Promise((done) => {
    const begun = performance.now();
    new MutationObserver(() => requestAnimationFrame(() => done(performance.now() - begun))).observe(document.body, { attributes: true, attributeFilter: ["data-frames"] });
    document.querySelector("#sign-in-form button").click();
  }));
  assert.ok(painted < 300, `first paint with data after ${painted} ms`);
  const path = (id) => page.locator(`${id} path`).first();
  assert.ok(Number(await page.evaluate(() => document.body.dataset.points)) >= 3);
  assert.match(await page.locator("#chart-requests svg").getAttribute("aria-label"), /Highest: [1-9]/);
  passed(`the history is there at the first paint (${Math.round(painted)} ms)`);

  const before = await page.locator("#chart-requests path.s0").getAttribute("d");
  for (let round = 0; round < 200; round++) await call("B2X_1_one");
  await until("the chart moves", async () => await page.locator("#chart-requests path.s0").getAttribute("d") !== before);
  assert.ok(await path("#chart-requests").getAttribute("d"));
  passed("charts move under load");

  await page.fill("#purge-flow", "B2X_1_one");
  await page.click("#look");
  await page.getByText("1 responses match").waitFor();
  await page.click("#ask");
  await page.click("#confirm-yes");
  await page.getByText("Removed 1 responses.").waitFor();
  await page.click("#look");
  await page.getByText("0 responses match").waitFor();
  passed("a purge looks, asks, and removes");

  retryAfter = 40;
  assert.equal((await call("B2X_1_one")).status, 429);
  await page.locator("#gates .gate").waitFor();
  const left = async () => (await page.locator("#gates .gate td").last().textContent()).split(":").reduce((all, one) => 60 * all + Number(one), 0);
  const first = await left();
  assert.ok(first > 30 && first <= 40, String(first));
  await until("the gate counts down", async () => await left() < first - 1);
  await page.getByText("Graph throttles 1 application").waitFor();
  await page.locator("#banner button").first().click();
  await page.locator("#runbook[open]").waitFor();
  assert.match(await page.locator("#runbook-text").textContent(), /\w{20}|\w+ \w+/);
  await page.keyboard.press("Escape");
  passed("a gate shows, counts down, and leads to the runbook");

  for (const theme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: theme });
    for (const width of [360, 800, 1440]) {
      await page.setViewportSize({ width, height: 1000 });
      if (width === 1440) await page.locator("#chart-requests summary").click();
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(overflow <= 0, `${theme} ${width}: ${overflow} px wider than the window`);
      await page.evaluate(`(()=>{${axe}})()`).catch(() => {});
      const { violations } = await page.evaluate(() => window.axe.run(document));
      const found = violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(" | ")}`);
      assert.deepEqual(found, [], `${theme} ${width}`);
      if (width === 1440) await page.locator("#chart-requests summary").click();
      if (pictures) await page.screenshot({ path: join(pictures, `console-${theme}-${width}.png`), fullPage: true });
    }
  }
  passed("axe-core finds nothing in both themes at three widths");

  await page.click("#theme");
  assert.equal(await page.locator("html").getAttribute("data-theme"), "light");
  assert.deepEqual(problems, [], "no error and no violation of the policy");
  proxy.kill("SIGTERM");
  await until("the page shows the drain", async () => await page.evaluate(() => document.body.dataset.live) === "no");
  await until("the process ends", async () => proxy.exitCode !== null);
  assert.equal(proxy.exitCode, 0);
  passed("the stream ends on drain");
} finally {
  await browser?.close();
  if (proxy.exitCode === null) proxy.kill("SIGKILL");
  graph.closeAllConnections();
  graph.close();
}
