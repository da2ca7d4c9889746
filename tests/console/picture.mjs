// Takes the picture of the README: callers for some minutes before an upstream server as slow as Graph, and a throttle at the
// end. Usage: picture.mjs BINARY FILE [SECONDS].
import { ADMIN_TOKEN, call, file, mint, mintUser, passed, serve, upstream, withBrowser } from "./harness.mjs";

const [binary, path, seconds = "300"] = process.argv.slice(2);
const USERS = 12, FLOWS = 12;
// The first ones are chosen most often.
const any = (count) => Math.floor(Math.random() ** 2 * count);

await withBrowser(async (context) => {
  upstream.delay = 120;
  const { data, url } = await serve(binary, { ADMIN__TOKEN_FILE: file("token", ADMIN_TOKEN), CACHE__TTL: "60s", CACHE__PROOF_TTL: "60s" });
  const tokens = Array.from({ length: USERS }, (_, number) => mintUser(number));
  const end = performance.now() + Number(seconds) * 1000, responses = [];
  const send = (...request) => responses.push(call(data, ...request).then((response) => response.arrayBuffer()));
  for (let round = 0; performance.now() < end; round++) {
    send(`B2X_1_${any(FLOWS)}`, tokens[any(USERS)]);
    if (round % 90 === 0) send("B2X_1_0", tokens[0], "?$top=1");
    if (round % 400 === 0) send("B2X_1_0", "");
    const rate = 70 + 40 * Math.sin(round / 800);
    await new Promise((done) => setTimeout(done, 1000 / rate));
  }
  upstream.retryAfter = 45;
  send("B2X_1_new", mint({ appid: "eeeeeeee-1111-4222-8333-000000000009" }));
  await Promise.all(responses);
  const page = await context.newPage();
  await page.goto(url);
  await page.fill("#sign-in-token", ADMIN_TOKEN);
  await page.click("#sign-in-form button");
  await page.locator("#gates .gate").waitFor();
  await page.screenshot({ path, fullPage: true });
  passed(`the picture ${path}`);
});
