// The TypeScript SDK's first generation, `@modelcontextprotocol/sdk`: legacy eras only.

import path from 'node:path';
import { pathToFileURL } from 'node:url';

export async function load(npm) {
  const from = file => import(pathToFileURL(path.join(npm, '@modelcontextprotocol/sdk/dist/esm', file)));
  const [{ Client }, { StdioClientTransport }, { StreamableHTTPClientTransport }, types] = await Promise.all([
    from('client/index.js'),
    from('client/stdio.js'),
    from('client/streamableHttp.js'),
    from('types.js'),
  ]);
  const schemas = {
    'roots/list': types.ListRootsRequestSchema,
    'sampling/createMessage': types.CreateMessageRequestSchema,
    'elicitation/create': types.ElicitRequestSchema,
  };
  return {
    generation: 1,
    client(info, capabilities, era) {
      if (era !== 'legacy') throw new Error('this SDK speaks the legacy eras only; use --era legacy');
      return new Client(info, { capabilities });
    },
    answer: (client, method, handler) => client.setRequestHandler(schemas[method], handler),
    stdio: parameters => new StdioClientTransport(parameters),
    http: url => new StreamableHTTPClientTransport(url),
  };
}
