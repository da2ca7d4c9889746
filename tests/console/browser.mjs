// Tests the console in Chromium. Usage: browser.mjs BINARY [SCREENSHOT_DIRECTORY].
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { ADMIN_TOKEN, call, directory, file, freePort, mintUser, modules, passed, serve, start, until, upstream, withBrowser } from "./harness.mjs";

const [binary, pictures] = process.argv.slice(2);
const axe = readFileSync(modules.resolve("axe-core/axe.min.js"), "utf8");

const problems = [];

// Seconds of processor time that a process has used.
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

// Looks for findings of axe-core and for overflow, in both themes at three widths, and takes pictures.
async function inspect(page, name) {
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
      assert.deepEqual(found, [], `${name} ${theme} ${width}`);
      if (width === 1440) await page.locator("#chart-requests summary").click();
      if (pictures) await page.screenshot({ path: join(pictures, `${name}-${theme}-${width}.png`), fullPage: true });
    }
  }
}

// The figures of docs/console.md: size, first paint, and the processor time of an open console without load.
async function figures(context) {
  const { child, url } = await serve(binary, {});
  const page = await context.newPage();
  await page.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!document.body?.dataset.frames) return;
      observer.disconnect();
      requestAnimationFrame(() => { window.painted = performance.now(); });
    }).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-frames"] });
  });
  const paints = [];
  let bytes;
  for (let round = 0; round < 5; round++) {
    await page.goto(url);
    await page.waitForFunction(() => window.painted);
    paints.push(await page.evaluate(() => window.painted));
    // A later round has the page in the cache of the browser.
    bytes ??= await page.evaluate(() => ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type)).filter((one) => !one.name.endsWith("/console/stream")).reduce((sum, one) => sum + one.encodedBodySize, 0));
  }
  // The best round: the others measure what else the machine does.
  assert.ok(Math.min(...paints) < 300, `first paint with data after ${paints} ms`);
  assert.ok(bytes > 5000 && bytes <= 60000, `${bytes} bytes`);
  const frames = () => page.evaluate(() => Number(document.body.dataset.frames));
  const [begin, used, begun] = [await frames(), cpuSeconds(child.pid), performance.now()];
  await page.waitForFunction((target) => Number(document.body.dataset.frames) >= target, begin + 20, { timeout: 60000 });
  const percent = 100 * (cpuSeconds(child.pid) - used) / ((performance.now() - begun) / 1000);
  assert.ok(percent < 1, `${percent} % of a core`);
  await page.close();
  child.kill("SIGTERM");
  passed(`the figures: page ${bytes} bytes compressed, first paint with data ${paints.map(Math.round).join(", ")} ms, an open console without load ${percent.toFixed(2)} % of a core over 20 frames`);
}

// A proxy without admin.token_file, with one request: the page counts, and shows the command that purges.
async function withoutToken(context) {
  const { child, data, url } = await serve(binary, {});
  const page = await context.newPage();
  await page.setViewportSize({ width: 1280, height: 1000 });
  await call(data, "B2X_1_one");
  await page.goto(url);
  await page.getByText("no proof for this token yet (no-proof)").waitFor();
  await page.click("#look");
  await page.getByText("1 responses are in memory.").waitFor();
  assert.ok(await page.locator("#ask").isDisabled());
  await page.fill("#purge-flow", "B2X_1_one");
  assert.equal(await page.locator("#purge-command").textContent(), `connector-cache purge --admin ${url} --flow B2X_1_one`);
  await page.click("#look");
  await page.getByText("The command above counts those of the selection, and asks.").waitFor();
  // A frame keeps the result.
  const frames = Number(await page.evaluate(() => document.body.dataset.frames));
  await page.waitForFunction((seen) => Number(document.body.dataset.frames) > seen + 1, frames);
  assert.match(await page.locator("#purge-result").textContent(), /1 responses are in memory/);
  await page.locator("#figures").getByText("≤ ").first().waitFor();
  assert.match(await page.locator("#chart-latency path.s0").getAttribute("d"), /h[1-9]/, "one sample is a line");
  assert.deepEqual(await page.locator("#graph th").allTextContents(), ["status", "15 min"]);
  const height = (text) => page.locator("#reasons th").getByText(text).evaluate((head) => head.getClientRects()[0].height);
  assert.equal(await height("share"), await height("15 min"), "a heading is not broken within a word");
  await page.close();
  child.kill("SIGTERM");
  passed("without an admin token the page counts, and shows the command that purges");
}

// The row of the fleet, and the settings after a reload.
async function fleet(context) {
  const folders = [fileURLToPath(new URL("../../target/tools/usr/bin", import.meta.url)), ...(process.env.PATH ?? "").split(":")];
  const redis = folders.map((folder) => join(folder, "redis-server")).find(existsSync);
  if (!redis) throw new Error("redis-server is neither in target/tools nor in PATH: make setup installs it");
  const port = await freePort();
  start(redis, ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory, "--logfile", join(directory, "redis.log")], {});
  const config = file("cache.toml", 'cache.ttl = "5m"\n');
  const settings = { ADMIN__TOKEN_FILE: file("token", ADMIN_TOKEN), SHARED__URL: `redis://127.0.0.1:${port}`, SHARED__SECRET_FILE: file("secret", "s".repeat(40)) };
  const replicas = [await serve(binary, settings, ["--config", config]), await serve(binary, settings)];
  const page = await context.newPage();
  await page.goto(replicas[0].url);
  await page.fill("#sign-in-token", ADMIN_TOKEN);
  await page.click("#sign-in-form button");
  await page.getByText("● × 2 · live").waitFor();
  await page.getByText("last purge none through this replica").waitFor();
  await call(replicas[0].data, "B2X_1_one");
  await page.click("#look");
  await page.getByText("1 responses match").waitFor();
  await page.click("#ask");
  await page.click("#confirm-yes");
  await page.getByText("2 of 2 replicas confirmed.").waitFor();
  await page.getByText(/last purge 2\/2 in [\d.]+ ms, 00:\d\d ago/).waitFor();
  await page.getByText(/store [\d.]+ ms · log read \d/).waitFor();
  passed("the fleet has the round trip of the store, the age of the log and the last purge");

  const rows = page.locator("#settings tbody tr");
  file("cache.toml", "cache.ttl = 7\n");
  replicas[0].child.kill("SIGHUP");
  await page.getByText("the old configuration stays in use").waitFor();
  await page.locator("#banner button").first().click();
  await page.locator("#runbook[open]").waitFor();
  assert.equal(await page.locator("#runbook-title").textContent(), "ConnectorCacheReloadFailed");
  await page.keyboard.press("Escape");
  await inspect(page, "fleet");
  file("cache.toml", 'cache.ttl = "7m"\nscrub.mask = "#"\n');
  replicas[0].child.kill("SIGHUP");
  await rows.filter({ hasText: "cache.ttl" }).getByText('"7m"').waitFor();
  await rows.filter({ hasText: "scrub.mask" }).getByText('after a restart: "#"').waitFor();
  await page.getByText("the old configuration stays in use").waitFor({ state: "detached" });
  const sources = await rows.locator("td:last-child").allTextContents();
  const changed = sources.filter((text) => text.startsWith("changed: "));
  assert.ok(changed.length >= 6 && sources.slice(0, changed.length).every((text) => text.startsWith("changed: ")), sources.join());
  await page.close();
  replicas.forEach(({ child }) => child.kill("SIGTERM"));
  passed("a reload shows its settings, the changed ones first, and a refused one a sentence");
}

// The first sentence of five incidents on the rendered page. tests/operations/incidents.rs plays them with the data alone.
async function incidents(context) {
  const [key, certificate] = [join(directory, "key.pem"), join(directory, "certificate.pem")];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-days", "1"], { stdio: "ignore" });
  const requests = (of) => async ({ data }, round) => { for (let number = 0; number < 5; number++) await of(data, 5 * round + number); };
  const usual = { ...upstream };
  for (const [sentence, section, settings, play] of [
    ["Graph throttles 1 application", "ConnectorCacheThrottled", {}, async ({ data }) => {
      await call(data, "B2X_1_one");
      upstream.retryAfter = 60;
      await call(data, "B2X_1_two");
    }],
    ["Graph fails", "ConnectorCacheGraphFails", {}, async (proxy, round) => {
      upstream.status = 500;
      await requests((data, number) => call(data, "B2X_1_one", mintUser(number)))(proxy, round);
    }],
    ["The certificate ends in", "ConnectorCacheCertificateEndsNow", { LISTEN__TLS__CERTIFICATE: certificate, LISTEN__TLS__KEY: key }, async () => {}],
    ["have a token that may not use the cache, mostly token-opaque", "ConnectorCacheBypass", {}, requests((data, number) => call(data, "B2X_1_one", `opaque-token-${number}`))],
    ["Memory is full", "ConnectorCacheFull", { CACHE__MAX_BYTES: "1MiB" }, async (proxy, round) => {
      upstream.body = JSON.stringify({ displayName: "x".repeat(50_000) });
      await requests((data, number) => call(data, `B2X_1_${number}`))(proxy, round);
    }],
  ]) {
    const proxy = await serve(binary, settings);
    const page = await context.newPage();
    await page.goto(proxy.url);
    for (let round = 0; round < 60 && !await page.locator("#banner").getByText(sentence).first().isVisible(); round++) {
      await play(proxy, round);
      // The page has a new state each second.
      const frames = Number(await page.evaluate(() => document.body.dataset.frames));
      await page.waitForFunction((seen) => Number(document.body.dataset.frames) > seen, frames);
    }
    const first = page.locator("#banner li").first();
    assert.ok((await first.textContent()).includes(sentence), `${sentence}: ${await page.locator("#banner").textContent()}`);
    await first.locator("button").click();
    await page.locator("#runbook[open]").waitFor();
    assert.equal(await page.locator("#runbook-title").textContent(), section);
    await page.close();
    proxy.child.kill("SIGTERM");
    Object.assign(upstream, usual);
  }
  passed("five incidents are the first sentence of the page, and lead to their sections of the runbook");
}

await withBrowser(async (context) => {
  const main = await serve(binary, { ADMIN__TOKEN_FILE: file("token", ADMIN_TOKEN), DRAIN__DELAY: "2s" });
  const proxy = main.child;
  const page = await context.newPage();
  // Of all pages.
  context.on("console", (message) => { if (["error", "warning"].includes(message.type())) problems.push(message.text()); });
  context.on("weberror", (event) => problems.push(String(event.error())));

  // Load before the page is opened, so that the history has it.
  for (let round = 0; round < 40; round++) { await call(main.data, "B2X_1_one"); await call(main.data, `B2X_1_${round % 5}`); }
  await new Promise((done) => setTimeout(done, 2200));

  await page.goto(`${main.url}/`);
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
  for (let round = 0; round < 200; round++) await call(main.data, "B2X_1_one");
  await until("the chart moves", async () => await page.locator("#chart-requests path.s0").getAttribute("d") !== before);
  assert.ok(await path("#chart-requests").getAttribute("d"));
  passed("charts move under load");

  assert.equal(await page.locator("input[type=password]:visible").count(), 0, "the token is entered once");
  assert.ok(await page.locator("#purge-note").isHidden());
  await page.fill("#purge-flow", "B2X_1_one");
  await page.click("#look");
  await page.getByText("1 responses match").waitFor();
  await page.click("#ask");
  await page.click("#confirm-yes");
  await page.getByText("Removed 1 responses.").waitFor();
  await page.click("#look");
  await page.getByText("0 responses match").waitFor();
  passed("a purge looks, asks, and removes");

  upstream.retryAfter = 40;
  assert.equal((await call(main.data, "B2X_1_one")).status, 429);
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

  await inspect(page, "console");
  passed("axe-core finds nothing in both themes at three widths");

  await page.click("#theme");
  assert.equal(await page.locator("html").getAttribute("data-theme"), "light");
  upstream.retryAfter = null;
  await figures(context);
  await withoutToken(context);
  await incidents(context);
  assert.deepEqual(problems, [], "no error and no violation of the policy");
  await fleet(context);
  // The first request of a page without a token.
  assert.ok(problems.splice(0).every((text) => text.includes("401")));
  proxy.kill("SIGTERM");
  await until("the page shows the drain", async () => await page.evaluate(() => document.body.dataset.live) === "no");
  await until("the process ends", async () => proxy.exitCode !== null);
  assert.equal(proxy.exitCode, 0);
  passed("the stream ends on drain");
});
