// What an MCP client is besides the SDK: a place for its metadata document and for the answer of the authorization
// server, a store for its tokens, and a person to be sent to the browser.

import { strict as assert } from 'node:assert';
import http from 'node:http';

/** Asks the person at the browser, and fails with what that person was not told. */
export async function ask(person, request) {
  const response = await fetch(person, { method: 'POST', body: JSON.stringify(request) });
  const outcome = await response.json();
  assert.deepEqual(outcome.faults, [], `${request.do}: ${outcome.text}`);
  return outcome;
}

/** An application with an HTTP server of its own on loopback. */
export class Application {
  /** The redirects that came back, as their parameters, the oldest first. */
  answers = [];

  constructor(name, { documented }) {
    this.name = name;
    this.documented = documented;
  }

  async start() {
    this.server = http.createServer((request, response) => {
      const url = new URL(request.url, this.origin);
      if (url.pathname === '/client.json') {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ client_id: this.clientId, ...this.metadata }));
        return;
      }
      response.setHeader('content-type', 'text/html; charset=utf-8');
      if (url.pathname === '/callback') {
        assert.equal(request.method, 'GET');
        this.answers.push(url.searchParams);
        response.end('<!doctype html><title>Done</title><p>You can close this page.');
        return;
      }
      response.statusCode = 404;
      response.end();
    });
    await new Promise(done => this.server.listen(0, '127.0.0.1', done));
    this.origin = `http://127.0.0.1:${this.server.address().port}`;
    this.clientId = `${this.origin}/client.json`;
    this.redirectUri = `${this.origin}/callback`;
    this.metadata = {
      client_name: this.name,
      redirect_uris: [this.redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
    return this;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  /** Sends the person to the address that the SDK made; what came back to the application. */
  async send(person, url, decision, shot, scopes) {
    const before = this.answers.length;
    await ask(person, {
      do: 'answer',
      url: String(url),
      decision,
      shot,
      expect: {
        client: this.name,
        host: this.documented ? '127.0.0.1' : null,
        vouched: this.documented ? 'site' : 'nobody',
        // Without the port, which is another each time.
        redirect: 'http://127.0.0.1',
        local: true,
        scopes,
      },
    });
    assert.equal(this.answers.length, before + 1, 'the answer did not come');
    return this.answers[before];
  }
}

/** The SDK's store of what one application knows of one authorization server. */
export class Memory {
  constructor(application) {
    this.application = application;
    this.asked = [];
    this.registered = 0;
    // The SDKs take the address of a metadata document by https alone, so it is put where they keep it.
    if (application.documented) this.information = { client_id: application.clientId };
  }

  get redirectUrl() {
    return this.application.redirectUri;
  }

  get clientMetadata() {
    return this.application.metadata;
  }

  state() {
    return (this.expectedState = crypto.randomUUID());
  }

  clientInformation() {
    return this.information;
  }

  saveClientInformation(information) {
    if (information.client_id !== this.information?.client_id) this.registered += 1;
    this.information = information;
  }

  tokens() {
    return this.held;
  }

  saveTokens(tokens) {
    this.held = tokens;
  }

  redirectToAuthorization(url) {
    this.asked.push(url);
  }

  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }

  codeVerifier() {
    return this.verifier;
  }

  invalidateCredentials(what) {
    if (what === 'all' || what === 'tokens') this.held = undefined;
    if (what === 'all' || what === 'verifier') this.verifier = undefined;
  }

  discoveryState() {
    return this.discovered;
  }

  saveDiscoveryState(state) {
    this.discovered = state;
  }
}
