// Gives every request of a program to one server a token, for programs that have no way of being told one:
//
//   BEARER=TOKEN BEARER_HOST=127.0.0.1:PORT node --import bearer.mjs PROGRAM
//
// `undici` is found through PEERS_NPM (a directory that has `node_modules`).

import http from 'node:http';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import path from 'node:path';

const { BEARER: token, BEARER_HOST: host, PEERS_NPM: npm } = process.env;
const { Agent, setGlobalDispatcher } = createRequire(path.join(npm, 'package.json'))('undici');
const bearer = `Bearer ${token}`;

function add(headers) {
  if (!headers) return { authorization: bearer };
  if (Array.isArray(headers)) return [...headers, 'authorization', bearer];
  if (typeof headers[Symbol.iterator] === 'function') return Object.fromEntries([...headers, ['authorization', bearer]]);
  return { ...headers, authorization: bearer };
}

const attach = dispatch => (options, handler) => {
  const meant = new URL(options.origin).host === host;
  return dispatch(meant ? { ...options, headers: add(options.headers) } : options, handler);
};
setGlobalDispatcher(new Agent().compose(attach));

// Some requests spoof their `Host`, and so are made without `fetch`.
const request = http.request;
http.request = (first, second, third) => {
  const url = typeof first === 'string' || first instanceof URL;
  const options = url ? second : first;
  const there = url ? new URL(first).host : `${options.hostname ?? options.host}:${options.port}`;
  if (there !== host) return request.call(http, first, second, third);
  if (!url) return request.call(http, { ...options, headers: add(options.headers) }, second, third);
  if (typeof second === 'function') return request.call(http, first, { headers: add() }, second);
  return request.call(http, first, { ...second, headers: add(second?.headers) }, third);
};
syncBuiltinESMExports();
