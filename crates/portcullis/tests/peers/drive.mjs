// Asks one endpoint everything, and keeps what came over the wire.

const LEGACY = /^202[45]-/;

/** A form's answer that depends on its schema alone: the default, else the first thing allowed. */
export function fillForm(schema) {
  const value = field => {
    if (field.default !== undefined) return field.default;
    if (field.enum) return field.enum[0];
    if (field.oneOf) return field.oneOf[0].const;
    switch (field.type) {
      case 'boolean':
        return true;
      case 'integer':
      case 'number':
        return field.minimum ?? 7;
      case 'array':
        return [value({ type: 'string', ...field.items, oneOf: field.items?.oneOf ?? field.items?.anyOf })];
      default:
        return { email: 'peer@example.com', uri: 'https://example.com/', date: '2026-01-02', 'date-time': '2026-01-02T03:04:05Z' }[
          field.format
        ] ?? 'peer';
    }
  };
  return Object.fromEntries(Object.entries(schema?.properties ?? {}).map(([name, field]) => [name, value(field)]));
}

function answers(dir) {
  return {
    'roots/list': () => ({ roots: [{ uri: `file://${dir}`, name: 'Peer' }] }),
    'sampling/createMessage': request => ({
      model: 'peer-model',
      role: 'assistant',
      stopReason: 'endTurn',
      content: { type: 'text', text: `The peer read ${request.params.messages.length} message(s).` },
    }),
    'elicitation/create': request =>
      request.params.mode === 'url' ? { action: 'accept' } : { action: 'accept', content: fillForm(request.params.requestedSchema) },
  };
}

/** Sits between a transport and its client and keeps the messages of the step under way. */
class Recorder {
  #sent = new Map();
  #waiting = [];
  notifications = [];
  asked = new Set();

  begin() {
    this.step = { answers: [], asked: [], progress: [] };
  }

  attach(transport) {
    const send = transport.send.bind(transport);
    transport.send = (message, ...rest) => {
      for (const one of [message].flat()) if (one.method !== undefined && one.id !== undefined) this.#sent.set(one.id, one.method);
      return send(message, ...rest);
    };
    let handler;
    Object.defineProperty(transport, 'onmessage', {
      configurable: true,
      get: () => handler,
      set: inner => {
        handler = inner && ((message, ...rest) => (this.#keep(message), inner(message, ...rest)));
      },
    });
    return transport;
  }

  #keep(message) {
    if (message.method !== undefined && message.id !== undefined) this.#ask(message);
    else if (message.method === 'notifications/progress') {
      const { progressToken: _, ...progress } = message.params;
      this.step.progress.push(progress);
    } else if (message.method !== undefined) this.notifications.push({ method: message.method, params: message.params });
    else if (message.result?.inputRequests) Object.values(message.result.inputRequests).forEach(one => this.#ask(one));
    else this.step.answers.push({ method: this.#sent.get(message.id), ...('error' in message ? { error: message.error } : { result: message.result }) });
  }

  // When a server asks for roots is its own affair, so that is kept apart from the steps.
  #ask({ method, params }) {
    if (method === 'roots/list') this.asked.add(method);
    else if (method !== 'ping') this.step.asked.push({ method, params });
    this.#waiting = this.#waiting.filter(one => (one.method === method ? (one.resolve(), false) : true));
  }

  /** Resolves once the server has asked for `method`; gives up after ten seconds, which the comparison then shows. */
  async askedFor(method) {
    if (this.asked.has(method)) return;
    let timer;
    const expired = new Promise(resolve => (timer = setTimeout(resolve, 10_000)));
    await Promise.race([new Promise(resolve => this.#waiting.push({ method, resolve })), expired]);
    clearTimeout(timer);
  }
}

async function pages(list, key) {
  const all = [];
  let cursor;
  do {
    const page = await list(cursor === undefined ? undefined : { cursor });
    all.push(...page[key]);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return all;
}

export async function drive(sdk, endpoint, server, { era, dir }) {
  const client = sdk.client({ name: 'portcullis-peer', version: '1.0.0' }, { sampling: {}, elicitation: { form: {}, url: {} }, roots: { listChanged: true } }, era);
  for (const [method, handler] of Object.entries(answers(dir))) sdk.answer(client, method, handler);
  const recorder = new Recorder();
  const transport = endpoint.url
    ? sdk.http(new URL(endpoint.url))
    : sdk.stdio({ command: endpoint.command[0], args: endpoint.command.slice(1), env: { PATH: process.env.PATH, HOME: process.env.HOME ?? '/', ...endpoint.env }, stderr: 'inherit' });

  const steps = [];
  const step = async (name, action) => {
    recorder.begin();
    let outcome;
    try {
      outcome = await action();
    } catch (error) {
      if (recorder.step.answers.length === 0) recorder.step.thrown = String(error?.message ?? error);
      else if (!recorder.step.answers.some(one => one.error)) recorder.step.refused = String(error?.message ?? error);
    }
    steps.push({ name, ...recorder.step });
    return outcome;
  };

  recorder.begin();
  await client.connect(recorder.attach(transport));
  const revision = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? recorder.step.answers.find(one => one.result?.protocolVersion)?.result.protocolVersion;
  const legacy = LEGACY.test(revision);
  const capabilities = client.getServerCapabilities() ?? {};
  const hello = {
    capabilities,
    serverInfo: client.getServerVersion(),
    instructions: client.getInstructions(),
  };
  if (legacy) for (const method of server.awaits ?? []) await recorder.askedFor(method);

  const fresh = { cacheMode: 'refresh' };
  if (legacy) await step('ping', () => client.ping());
  if (legacy && capabilities.logging) await step('logging/setLevel debug', () => client.setLoggingLevel('debug'));

  const tools = (await step('tools/list', () => pages(page => client.listTools(page, fresh), 'tools'))) ?? [];
  const known = new Set([...server.calls.map(([name]) => name), ...Object.keys(server.uncalled ?? {})]);
  for (const { name } of tools) if (!known.has(name)) steps.push({ name: `servers.json has no arguments for the tool ${name}` });
  const prompts = (capabilities.prompts && (await step('prompts/list', () => pages(page => client.listPrompts(page, fresh), 'prompts')))) || [];
  const resources = (capabilities.resources && (await step('resources/list', () => pages(page => client.listResources(page, fresh), 'resources')))) || [];
  if (capabilities.resources) await step('resources/templates/list', () => pages(page => client.listResourceTemplates(page, fresh), 'resourceTemplates'));

  for (const [name, args] of server.calls) {
    await step(`tools/call ${name} ${JSON.stringify(args)}`, () => client.callTool({ name, arguments: args }, ...callOptions(sdk)));
  }
  for (const { name } of prompts) {
    for (const args of server.prompts?.[name] ?? [{}]) await step(`prompts/get ${name} ${JSON.stringify(args)}`, () => client.getPrompt({ name, arguments: args }));
  }
  for (const uri of [...resources.map(one => one.uri), ...(server.reads ?? [])]) {
    await step(`resources/read ${uri}`, () => client.readResource({ uri }, fresh));
  }
  for (const params of server.completions ?? []) await step(`completion/complete ${JSON.stringify(params)}`, () => client.complete(params));
  if (legacy && capabilities.resources?.subscribe && resources.length > 0) {
    await step('resources/subscribe', () => client.subscribeResource({ uri: resources[0].uri }));
    await step('resources/unsubscribe', () => client.unsubscribeResource({ uri: resources[0].uri }));
  }

  await step('tools/call of an unknown tool', () => client.callTool({ name: 'no-such-tool', arguments: {} }, ...callOptions(sdk)));
  if (tools.length > 0) await step('tools/call without arguments', () => client.callTool({ name: tools[0].name }, ...callOptions(sdk)));
  if (capabilities.prompts) await step('prompts/get of an unknown prompt', () => client.getPrompt({ name: 'no-such-prompt' }));
  if (capabilities.resources) await step('resources/read of an unknown resource', () => client.readResource({ uri: 'demo://no/such/resource' }, fresh));

  await client.close();
  return { transport: endpoint.url ? 'http' : 'stdio', revision, era: legacy ? 'legacy' : 'modern', hello, steps, asked: [...recorder.asked], notifications: recorder.notifications };

  // The first generation takes the result's schema before the options.
  function callOptions({ generation }) {
    const options = { onprogress: () => {}, timeout: 30_000 };
    return generation === 1 ? [undefined, options] : [options];
  }
}
