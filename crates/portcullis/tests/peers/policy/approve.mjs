// Has a person asked about calls by the official TypeScript SDK's clients: a yes lets one call through, a no none.
//
//   node approve.mjs --gateway URL
//
// The npm packages are found through PEERS_NPM. Exit status: 0 all went well, 1 something did not.

import path from 'node:path';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({ options: { gateway: { type: 'string' } } });
const npm = path.join(process.env.PEERS_NPM, 'node_modules');

const CASES = [
  [1, 'legacy'],
  [2, 'legacy'],
  [2, 'auto'],
];

let wrong = 0;
for (const [generation, era] of CASES) {
  const sdk = await (await import(`../sdk${generation}.mjs`)).load(npm);
  for (const decision of ['allow', 'deny']) {
    const asked = [];
    const client = sdk.client({ name: 'portcullis-peer', version: '1.0.0' }, { elicitation: { form: {} } }, era);
    sdk.answer(client, 'elicitation/create', request => {
      asked.push(request.params.message);
      return { action: 'accept', content: { decision } };
    });
    await client.connect(sdk.http(new URL(`${options.gateway}/servers/asked/mcp`)));
    const words = `typescript ${generation} ${era} ${decision}`;
    const result = await client.callTool({ name: 'say', arguments: { text: words } });
    await client.close();
    const text = JSON.stringify(result);
    const passed = text.includes(`said: ${words}`);
    const refused = text.includes('approval-denied');
    const well = asked.length === 1 && asked[0].includes('the call is on trial') && passed === (decision === 'allow') && refused === !passed;
    console.log(`approval by the TypeScript SDK ${generation}, ${era}, ${decision}: ${well ? 'as it should be' : `asked ${asked.length} times: ${text}`}`);
    if (!well) wrong += 1;
  }
}
process.exit(wrong ? 1 : 0);
