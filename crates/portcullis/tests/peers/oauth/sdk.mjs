// Takes the official TypeScript SDKs' clients through the whole of OAuth against the gateway.
//
//   node sdk.mjs --gateway URL --person URL --life SECONDS
//
// URL is the gateway's base; behind it is the server `memory`, and what its scopes open is in scopes.json. `--life` is
// how long an access token is accepted. Each scenario is one application; they run side by side, so that they wait
// for the end of their tokens together. Exit status: 0 all went well, 1 something did not.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { Application, Memory, ask } from './application.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: { gateway: { type: 'string' }, person: { type: 'string' }, life: { type: 'string' } },
});
const endpoint = `${options.gateway}/servers/memory/mcp`;
const scopes = JSON.parse(readFileSync(path.join(here, 'scopes.json'), 'utf8'));
const READ = [scopes['memory:read']];
const BOTH = [scopes['memory:read'], scopes['memory:write']];

const from = file => import(pathToFileURL(path.join(process.env.PEERS_NPM, 'node_modules', file)));
const sdks = {
  1: {
    ...(await from('@modelcontextprotocol/sdk/dist/esm/client/index.js')),
    ...(await from('@modelcontextprotocol/sdk/dist/esm/client/streamableHttp.js')),
    ...(await from('@modelcontextprotocol/sdk/dist/esm/client/auth.js')),
  },
  2: await from('@modelcontextprotocol/client/dist/index.mjs'),
};

const SCENARIOS = [
  { name: 'ts1-document', generation: 1, era: 'legacy', documented: true },
  { name: 'ts1-registered', generation: 1, era: 'legacy', documented: false },
  { name: 'ts2-document', generation: 2, era: 'auto', documented: true },
  { name: 'ts2-registered', generation: 2, era: 'auto', documented: false },
  { name: 'ts2-legacy', generation: 2, era: 'legacy', documented: false },
];

/** One application, from its first request without a token to the end of its grant. */
async function run({ name, generation, era, documented }) {
  const sdk = sdks[generation];
  const application = await new Application(`Notes ${name}`, { documented }).start();
  const memory = new Memory(application);
  const seen = [];
  const tapped = async (url, init) => {
    const response = await fetch(url, init);
    const request = { method: init?.method ?? 'GET', path: new URL(url).pathname, body: init?.body };
    const revision = new Headers(init?.headers).get('mcp-protocol-version');
    seen.push({ ...request, revision, status: response.status, challenge: response.headers.get('www-authenticate') });
    return response;
  };
  const say = text => console.log(`${name}: ${text}`);
  const open = () => {
    const transport = new sdk.StreamableHTTPClientTransport(new URL(endpoint), { authProvider: memory, fetch: tapped });
    const client = new sdk.Client({ name, version: '1' }, generation === 2 ? { versionNegotiation: { mode: era } } : {});
    client.onerror = () => {};
    return { transport, client };
  };
  const finish = (transport, answer) => transport.finishAuth(generation === 2 ? answer : answer.get('code'));
  const refused = (action, what) => assert.rejects(action, error => error instanceof sdk.UnauthorizedError || Promise.reject(error), what);

  // Without a token: the way from the challenge to the authorization endpoint.
  let { client, transport } = open();
  await refused(client.connect(transport), 'a client without a token was let in');
  const paths = seen.map(one => `${one.method} ${one.path} ${one.status}`);
  say(paths.join(', '));
  assert.match(seen[0].challenge, /^Bearer .*resource_metadata="/);
  assert.equal(seen[0].status, 401);
  assert.ok(paths.includes('GET /.well-known/oauth-protected-resource/servers/memory/mcp 200'));
  assert.ok(paths.includes('GET /.well-known/oauth-authorization-server 200'));
  assert.equal(paths.includes('POST /oauth/register 201'), !documented, 'registration');
  assert.equal(memory.asked.length, 1);
  const query = memory.asked[0].searchParams;
  assert.equal(query.get('code_challenge_method'), 'S256');
  assert.equal(query.get('resource'), endpoint);
  assert.equal(query.get('scope'), 'memory:read');

  // The person says no, and then yes.
  const denied = await application.send(options.person, memory.asked[0], 'deny', `${name}-deny`, READ);
  assert.equal(denied.get('error'), 'access_denied');
  assert.equal(denied.get('iss'), options.gateway);
  assert.equal(denied.get('state'), memory.expectedState);
  assert.equal(denied.get('code'), null);
  const allowed = await application.send(options.person, memory.asked[0], 'allow', `${name}-allow`, READ);
  assert.equal(allowed.get('iss'), options.gateway);
  assert.equal(allowed.get('state'), memory.expectedState);
  await finish(transport, allowed);
  assert.equal(memory.held.scope, 'memory:read');
  assert.equal(memory.held.token_type, 'Bearer');

  // With it: a call.
  ({ client, transport } = open());
  await client.connect(transport);
  const tools = (await client.listTools()).tools.map(tool => tool.name);
  assert.ok(tools.includes('create_entities'));
  const read = () => client.callTool({ name: 'read_graph', arguments: {} });
  assert.ok((await read()).structuredContent.entities);
  const revision = seen.at(-1).revision;
  assert.equal(revision > '2026', era === 'auto', `the era is that of ${revision}`);
  say(`calls at ${revision}`);

  // A tool that needs more: the same again, with the further scope.
  const write = () =>
    client.callTool({
      name: 'create_entities',
      arguments: { entities: [{ name, entityType: 'application', observations: ['was here'] }] },
    });
  if (generation === 1) {
    // With a refresh token this SDK refreshes, gets the same scopes, and gives up.
    await assert.rejects(write(), error => error.code === 403);
    assert.match(seen.findLast(one => one.challenge)?.challenge, /error="insufficient_scope"/);
    const { refresh_token: kept, ...rest } = memory.held;
    assert.ok(kept);
    memory.held = rest;
    // It tries no second time what was refused last.
    await client.ping();
  }
  await refused(write(), 'a call was let through without its scope');
  const challenge = seen.findLast(one => one.status === 403).challenge;
  assert.match(challenge, /error="insufficient_scope"/);
  assert.match(challenge, /scope="memory:read memory:write"/);
  assert.equal(memory.asked.length, 2);
  assert.equal(memory.asked[1].searchParams.get('scope'), 'memory:read memory:write');
  const further = await application.send(options.person, memory.asked[1], 'allow', `${name}-further`, BOTH);
  await finish(transport, further);
  assert.ok(!(await write()).isError);
  assert.match(JSON.stringify(await read()), new RegExp(name));
  say('stepped up');

  // After its end: a new token without the person, and a new refresh token with it.
  const before = memory.held;
  await pause(Number(options.life) * 1000);
  assert.ok((await read()).structuredContent.entities);
  assert.notEqual(memory.held.access_token, before.access_token);
  assert.notEqual(memory.held.refresh_token, before.refresh_token);
  assert.equal(memory.asked.length, 2, 'the person was asked for a refresh');
  assert.ok(seen.some(one => one.status === 401 && /error="invalid_token"/.test(one.challenge)));
  say('refreshed');

  // Somebody has the old refresh token: whoever uses the new one loses it too.
  const stolen = await fetch(`${options.gateway}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: before.refresh_token,
      client_id: memory.information.client_id,
      resource: endpoint,
    }),
  });
  assert.equal(stolen.status, 400);
  assert.equal((await stolen.json()).error, 'invalid_grant');
  await refused(read(), 'a call was let through after its grant was revoked');
  assert.equal(memory.asked.length, 3);
  say('revoked');
  await transport.close();
  application.stop();
  return memory.asked[2];
}

const outcomes = await Promise.allSettled(SCENARIOS.map(run));
let failed = 0;
outcomes.forEach((outcome, index) => {
  if (outcome.status === 'fulfilled') return;
  failed += 1;
  console.log(`FAILED ${SCENARIOS[index].name}: ${outcome.reason?.stack ?? outcome.reason}`);
});
const pending = outcomes.find(outcome => outcome.status === 'fulfilled')?.value;
if (pending) {
  await ask(options.person, { do: 'frame', url: String(pending) });
  console.log('not framed');
}
console.log(`${SCENARIOS.length - failed} of ${SCENARIOS.length} applications`);
process.exit(failed === 0 ? 0 : 1);
