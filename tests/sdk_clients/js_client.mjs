// Graph's client for JavaScript before the proxy, used as by a service.
//
// tests/sdk_clients/main.rs runs this script and is connected to its stdin and stdout: each output line is a command, in
// JSON, to the stand-in for Graph, and each input line is the result. The client attaches tokens only over https and for
// configured hosts; for plain loopback the script has its own middleware. Failures go to stderr.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const { PLAIN_URL, TLS_URL, CLIENTS } = process.env;
const require = createRequire(`${CLIENTS}/js/`);
const {
    Client,
    HTTPMessageHandler,
    RetryHandler,
} = require("@microsoft/microsoft-graph-client");

const [SIGN_UP, INVITATIONS] = ["B2X_1_signup", "B2X_1_invitations"];
const BOTH = "postFederationSignup,postAttributeCollection";
const MASK = "******";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function order(what, more = {}) {
    process.stdout.write(`${JSON.stringify({ do: what, ...more })}\n`);
    return JSON.parse((await lines.next()).value);
}

const calls = async () => (await order("calls")).calls;

/** Keeps what went over the wire last: the client itself hands out bodies alone. */
class Witness {
    async execute(context) {
        await this.next.execute(context);
        this.said = context.response.headers.get("cache-status");
        this.etag = context.response.headers.get("etag");
        this.status = context.response.status;
        this.coding = context.response.headers.get("content-encoding");
    }
    setNext(next) {
        this.next = next;
    }
}

/** What one writes to have a token sent over http. */
class Bearer {
    constructor(token) {
        this.token = token;
    }
    async execute(context) {
        context.options.headers = { ...context.options.headers, Authorization: `Bearer ${this.token}` };
        await this.next.execute(context);
    }
    setNext(next) {
        this.next = next;
    }
}

/** One user's client. */
class Service {
    static async over(scheme, user) {
        const service = new Service();
        service.token = (await order("token", { user })).token;
        service.witness = new Witness();
        const common = { defaultVersion: "beta" };
        if (scheme === "https") {
            const authProvider = { getAccessToken: async () => service.token };
            const { host, hostname } = new URL(TLS_URL);
            const customHosts = new Set([hostname, host]);
            service.client = Client.initWithMiddleware({ ...common, baseUrl: `${TLS_URL}/`, authProvider, customHosts });
            // The default chain, with the witness behind its last link but one.
            const before = (link) => (link.nextMiddleware?.nextMiddleware ? before(link.nextMiddleware) : link);
            const last = before(service.client.httpClient.middleware);
            service.witness.setNext(last.nextMiddleware);
            last.setNext(service.witness);
        } else {
            const middleware = [new Bearer(service.token), new RetryHandler(), service.witness, new HTTPMessageHandler()];
            service.client = Client.initWithMiddleware({ ...common, baseUrl: `${PLAIN_URL}/`, middleware });
        }
        return service;
    }

    read(flow, expand = BOTH, headers = {}) {
        const path = `/identity/b2xUserFlows/${flow}/apiConnectorConfiguration`;
        return this.client.api(path).expand(expand).headers(headers).get();
    }

    async refused(...request) {
        let answer;
        try {
            answer = await this.read(...request);
        } catch (error) {
            return error;
        }
        assert.fail(`an answer instead of an error: ${JSON.stringify(answer)}`);
    }
}

const stories = {
    async "the first read is a miss and the second a hit"(service) {
        const before = await calls();
        for (const said of ["fwd=uri-miss; fwd-status=200; stored", "hit; ttl="]) {
            const answer = await service.read(SIGN_UP);
            assert.ok(service.witness.said.startsWith(`connector-cache; ${said}`), service.witness.said);
            assert.equal(service.witness.coding, "gzip");
            assert.equal(answer.postFederationSignup.displayName, "Fraud check");
        }
        assert.equal((await calls()) - before, 1);
    },

    async "both connectors come without their credentials"(service) {
        const answer = await service.read(SIGN_UP);
        for (const connector of [answer.postFederationSignup, answer.postAttributeCollection]) {
            const credential = connector.authenticationConfiguration;
            assert.equal(credential["@odata.type"], "#microsoft.graph.basicAuthentication");
            assert.deepEqual([credential.username, credential.password], [MASK, MASK]);
        }
        for (const secret of (await order("secrets")).secrets) {
            assert.ok(!JSON.stringify(answer).includes(secret), "a planted credential came out");
        }
    },

    async "a revoked token's challenge reaches the caller"(service) {
        await service.read(SIGN_UP);
        await order("revoke", { token: service.token });
        const error = await service.refused(INVITATIONS);
        assert.deepEqual([error.statusCode, error.code], [401, "InvalidAuthenticationToken"]);
        assert.match(error.headers.get("www-authenticate"), /error="insufficient_claims", claims="/);
    },

    async "a flow that is not there is a GraphError"(service) {
        const error = await service.refused("B2X_1_nowhere");
        assert.deepEqual([error.statusCode, error.code], [404, "ResourceNotFound"]);
    },

    async "a refusal of the cache's own is a GraphError"(service) {
        const before = await calls();
        const error = await service.refused(SIGN_UP, "nonsense");
        assert.deepEqual([error.statusCode, error.code], [400, "BadRequest"]);
        assert.match(error.requestId, /^[0-9a-f-]{36}$/);
        assert.match(error.message, /^connector-cache: /);
        const { innerError } = JSON.parse(error.body);
        assert.deepEqual([innerError.source, innerError.reason], ["connector-cache", "query"]);
        await order("show", { client: "JavaScript client, String(error)", text: String(error) });
        assert.ok(!Number.isNaN(error.date.getTime()), "the date can be read");
        assert.equal((await calls()) - before, 0);
    },

    async "a 429 is retried after the time it says"(service) {
        const [before, start] = [await calls(), Date.now()];
        await order("fail", { count: 1, status: 429, wait: 1 });
        const answer = await service.read(SIGN_UP);
        assert.equal(answer.postFederationSignup.displayName, "Fraud check");
        assert.equal((await calls()) - before, 2);
        assert.ok(Date.now() - start >= 1000, "it came back too early");
    },

    async "a nested select goes raw and is answered"(service) {
        const answer = await service.read(SIGN_UP, "postFederationSignup($select=id,displayName)");
        assert.deepEqual(Object.keys(answer.postFederationSignup).sort(), ["displayName", "id"]);
    },
};

let failed = false;
for (const scheme of ["http", "https"]) {
    for (const [name, story] of Object.entries(stories)) {
        try {
            // Each scenario has its own user, and so its own cache entries.
            await story(await Service.over(scheme, `${name} ${scheme}`));
        } catch (error) {
            failed = true;
            console.error(`\n${name}, over ${scheme}\n`, error);
        }
    }
}
process.exit(failed ? 1 : 0);
