// Compares how two endpoints of one MCP server answer the official TypeScript SDK.
//
//   node compare.mjs --server NAME --left ENDPOINT --right ENDPOINT --dir DIRECTORY --out DIRECTORY
//                    [--sdk 1|2] [--era legacy|auto] [--page URL] [--venv DIRECTORY]
//
// An endpoint is `stdio` (the server's own command from servers.json), an `http://` URL, or a JSON
// array with a command, in which "@" stands for the server's own command. Everything that the server
// lists and everything in servers.json is asked of both; what came over the wire is written to
// left.json and right.json, and diff.py judges it. Exit status: 0 equal, 1 different, 2 broken.
//
// The npm packages are found through PEERS_NPM (a directory that has `node_modules`).

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { drive } from './drive.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

const { values: options } = parseArgs({
  options: {
    server: { type: 'string' },
    left: { type: 'string' },
    right: { type: 'string' },
    dir: { type: 'string' },
    out: { type: 'string' },
    sdk: { type: 'string', default: '2' },
    era: { type: 'string', default: 'auto' },
    page: { type: 'string', default: 'http://127.0.0.1:9' },
    venv: { type: 'string', default: '' },
  },
});
for (const name of ['server', 'left', 'right', 'dir', 'out']) {
  if (!options[name]) {
    console.error(`compare.mjs: --${name} is missing`);
    process.exit(2);
  }
}

const npm = path.join(process.env.PEERS_NPM ?? path.join(here, '../../../../target/peers/npm'), 'node_modules');
const python = options.venv ? path.join(options.venv, 'bin/python3') : 'python3';

const places = { node: process.execPath, npm, venv: options.venv, dir: options.dir, page: options.page };
const fill = value => {
  if (typeof value === 'string') return value.replace(/\{(\w+)\}/g, (all, name) => places[name] ?? all);
  if (Array.isArray(value)) return value.map(fill);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fill(inner)]));
  }
  return value;
};

const server = fill(JSON.parse(readFileSync(path.join(here, 'servers.json'), 'utf8'))[options.server]);
const sdk = await (await import(`./sdk${options.sdk}.mjs`)).load(npm);

const endpoint = text => {
  if (text.startsWith('http')) return { url: text };
  const command = text === 'stdio' ? server.command : JSON.parse(text).flatMap(word => (word === '@' ? server.command : [word]));
  return { command, env: server.env ?? {} };
};

const python3 = (...words) => {
  const done = spawnSync(python, words, { stdio: 'inherit' });
  return done.status ?? 2;
};

mkdirSync(options.out, { recursive: true });
const files = [];
for (const side of ['left', 'right']) {
  if (python3(path.join(here, 'prepare.py'), options.server, options.dir) !== 0) process.exit(2);
  const transcript = await drive(sdk, endpoint(options[side]), server, { era: options.era, dir: options.dir });
  const file = path.join(options.out, `${side}.json`);
  writeFileSync(file, JSON.stringify(transcript, null, 1));
  files.push(file);
}
process.exit(python3(path.join(here, 'diff.py'), options.server, ...files));
