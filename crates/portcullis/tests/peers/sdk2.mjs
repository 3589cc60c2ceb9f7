// The TypeScript SDK's second generation, `@modelcontextprotocol/client`: both eras.

import path from 'node:path';
import { pathToFileURL } from 'node:url';

export async function load(npm) {
  const from = file => import(pathToFileURL(path.join(npm, '@modelcontextprotocol/client/dist', file)));
  const [{ Client, StreamableHTTPClientTransport }, { StdioClientTransport }] = await Promise.all([
    from('index.mjs'),
    from('stdio.mjs'),
  ]);
  return {
    generation: 2,
    client: (info, capabilities, era) => new Client(info, { capabilities, versionNegotiation: { mode: era } }),
    answer: (client, method, handler) => client.setRequestHandler(method, handler),
    stdio: parameters => new StdioClientTransport(parameters),
    http: url => new StreamableHTTPClientTransport(url),
  };
}
