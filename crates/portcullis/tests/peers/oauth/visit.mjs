// Sends the person at the browser to one address, and lets it allow what is asked for there.
//
//   node visit.mjs --person URL --url URL --shot NAME --expect JSON
//
// `--expect` is what the consent page has to say; see person.mjs. Exit status: 0 allowed, 1 something was wrong.

import { parseArgs } from 'node:util';

import { ask } from './application.mjs';

const { values: options } = parseArgs({
  options: { person: { type: 'string' }, url: { type: 'string' }, shot: { type: 'string' }, expect: { type: 'string' } },
});
const { url, shot } = options;
const outcome = await ask(options.person, { do: 'answer', url, decision: 'allow', shot, expect: JSON.parse(options.expect) });
const { origin, pathname } = new URL(outcome.url);
console.log(`the browser is at ${origin}${pathname}`);
