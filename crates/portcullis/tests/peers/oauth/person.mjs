// The person at the browser: logs in and answers the consent page, in Chromium without JavaScript.
//
//   node person.mjs --chromium PROGRAM --profile DIRECTORY --shots DIRECTORY
//                   --account NAME --password TEXT --invitation URL --code pci_…
//
// Takes up the invitation, prints `ready URL`, and then takes one request after the other as JSON posted to that URL:
//
//   { "do": "answer", "url": URL, "decision": "allow" | "deny", "shot": NAME,
//     "expect": { "client": …, "host": … | null, "vouched": "operator" | "site" | "nobody",
//                 "redirect": …, "local": bool,
//                 "scopes": [{ "name", "words", "tools": […] }] } }
//                                                       goes where an application sends it
//   { "do": "frame", "url": URL }                       opens a page of another site that frames URL
//
// The answer is { "faults": […], "url": where the browser is in the end, "text": what the page said }. A fault is
// something on a page that a person should have been told, or that should not have been there.
//
// The npm packages are found through PEERS_NPM (a directory that has `node_modules`).

import { mkdirSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    chromium: { type: 'string' },
    shots: { type: 'string' },
    profile: { type: 'string' },
    account: { type: 'string' },
    password: { type: 'string' },
    invitation: { type: 'string' },
    code: { type: 'string' },
  },
});
const PATIENCE_MS = 60_000;

/** What the consent page says of an application's name, by who vouches for it; nothing if the operator does. */
const VOUCHERS = { site: 'The name is what the site below calls it.', nobody: 'nobody has verified it' };

const puppeteer = await import(
  pathToFileURL(path.join(process.env.PEERS_NPM, 'node_modules/puppeteer-core/lib/puppeteer/puppeteer-core.js'))
).then(module => module.default);
mkdirSync(options.shots, { recursive: true });
const browser = await puppeteer.launch({
  executablePath: options.chromium,
  userDataDir: options.profile,
  // Chromium does not sandbox itself for root, as in a container.
  args: process.getuid() === 0 ? ['--no-sandbox'] : [],
  defaultViewport: { width: 800, height: 1100 },
});

/** Opens a page without JavaScript, which keeps the headers of each document that it shows. */
async function open({ script = false } = {}) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.setJavaScriptEnabled(script);
  page.documents = new Map();
  page.on('response', response => {
    if (response.request().isNavigationRequest()) page.documents.set(response.url(), response);
  });
  return page;
}

/** Follows an action that leads to another page. */
async function go(page, action) {
  const [response] = await Promise.all([page.waitForNavigation(), action()]);
  return response;
}

/** What is wrong with a page of the gateway, whatever it is about. */
async function judge(page, faults) {
  const where = new URL(page.url()).pathname;
  const fault = text => faults.push(`${where}: ${text}`);
  const headers = page.documents.get(page.url())?.headers() ?? {};
  const policy = headers['content-security-policy'] ?? '';
  for (const directive of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]) {
    if (!policy.includes(directive)) fault(`its policy lacks ${directive}: ${policy}`);
  }
  if (headers['cache-control'] !== 'no-store') fault('a browser may keep it');
  if (headers['referrer-policy'] !== 'no-referrer') fault('it sends a referrer');

  const wide = page.viewport();
  await page.setViewport({ ...wide, width: 320 });
  const overflows = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  if (overflows) fault('it does not fit a window of 320 pixels');
  await page.setViewport(wide);

  const found = await page.evaluate(() => ({
    language: document.documentElement.lang,
    title: document.title,
    headings: document.querySelectorAll('h1').length,
    scripts: document.querySelectorAll('script').length,
    foreign: [...document.querySelectorAll('[src],link')].length,
    unnamed: [...document.querySelectorAll('input:not([type=hidden]),select')].filter(field => field.labels.length === 0).length,
    small: [...document.querySelectorAll('main *:not([type=hidden])')].filter(one => Number.parseFloat(getComputedStyle(one).fontSize) < 14).length,
  }));
  if (found.language !== 'en') fault('it does not say its language');
  if (!found.title) fault('it has no title');
  if (found.headings !== 1) fault(`it has ${found.headings} main headings`);
  if (found.scripts) fault('it has scripts');
  if (found.foreign) fault('it loads something');
  if (found.unnamed) fault(`${found.unnamed} fields have no label`);
  if (found.small) fault('it has text smaller than 14 pixels');
}

/** What the consent page fails to say of a request, or says too much. */
async function judgeConsent(page, expect, faults) {
  const text = await page.evaluate(() => document.querySelector('main').innerText);
  const says = (what, words) => text.includes(words) || faults.push(`consent: ${what} is missing: ${words}`);
  says('the client', expect.client);
  says('where the answer goes', expect.redirect);
  if (expect.host) says("the client's host", expect.host);
  else if (text.includes('Published by')) faults.push('consent: an unpublished client is shown as published');
  for (const [who, words] of Object.entries(VOUCHERS)) {
    if (text.includes(words) !== (expect.vouched === who)) faults.push(`consent: who vouches for the name is not ${expect.vouched}`);
  }
  if (expect.local !== text.includes('Only go on if you have just started this yourself.')) {
    faults.push(`consent: the warning about programs on this computer ${expect.local ? 'is missing' : 'should not be there'}`);
  }
  for (const scope of expect.scopes) {
    says('a scope in words', scope.words);
    for (const tool of scope.tools) says('a tool', tool);
  }
  const names = await page.evaluate(() => [...document.querySelectorAll('main > ul > li > .hint > code')].map(code => code.textContent));
  const wanted = expect.scopes.map(scope => scope.name);
  if (names.toSorted().join() !== wanted.toSorted().join()) faults.push(`consent: asks for ${names}, not for ${wanted}`);

  // As a screen reader has it.
  const tree = JSON.stringify(await page.accessibility.snapshot());
  for (const name of ['Allow', 'Deny', 'When it asks again for the same']) {
    if (!tree.includes(`"name":"${name}"`)) faults.push(`consent: nothing is called ${name}`);
  }
  return text;
}

async function shoot(page, name) {
  await page.screenshot({ path: path.join(options.shots, `${name}.png`), fullPage: true });
}

/** Chooses the password, by the invitation. */
async function join() {
  const faults = [];
  const page = await open();
  await page.goto(options.invitation);
  await judge(page, faults);
  await page.type('#code', options.code);
  await page.type('#password', options.password);
  await page.type('#repeat', options.password);
  await shoot(page, 'invitation');
  await go(page, () => page.click('button[type=submit]'));
  await judge(page, faults);
  await shoot(page, 'account');
  const text = await page.evaluate(() => document.querySelector('main').innerText);
  if (!text.includes(options.account)) faults.push('join: the account is not shown after the password was chosen');
  const cookies = await browser.cookies();
  for (const cookie of cookies) {
    if (!cookie.httpOnly || cookie.sameSite !== 'Lax' || cookie.path !== '/') faults.push(`join: the cookie ${cookie.name} is loose`);
  }
  if (cookies.length === 0) faults.push('join: there is no session');
  // The first application meets somebody who is not logged in.
  await go(page, () => page.click('form[action="/oauth/logout"] button'));
  await page.close();
  if (faults.length > 0) {
    console.log(`faults: ${faults.join('; ')}`);
    await browser.close();
    process.exit(1);
  }
}

async function answer({ url, decision, shot, expect }) {
  const faults = [];
  const page = await open();
  await page.goto(url);
  if (new URL(page.url()).pathname === '/oauth/login') {
    await judge(page, faults);
    await page.type('#account', options.account);
    await page.type('#password', options.password);
    await shoot(page, `${shot}-login`);
    await go(page, () => page.click('button[type=submit]'));
  }
  if (new URL(page.url()).pathname !== '/oauth/authorize') {
    faults.push('consent: the page did not come');
    await shoot(page, shot);
    const text = await page.evaluate(() => document.body.innerText);
    return { faults, text, ...(await end(page)) };
  }
  await judge(page, faults);
  const text = await judgeConsent(page, expect, faults);
  await shoot(page, shot);
  await go(page, () => page.click(`button[value=${decision}]`));
  return { faults, text, ...(await end(page)) };
}

/** A page of another site, with its own scripts, that shows the consent page inside itself. */
async function frame({ url }) {
  const faults = [];
  const site = http.createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(`<iframe width="700" height="700" src="${url.replaceAll('&', '&amp;')}"></iframe>`);
  });
  await new Promise(done => site.listen(0, '127.0.0.1', done));
  const page = await open({ script: true });
  await page.goto(`http://127.0.0.1:${site.address().port}/`, { waitUntil: 'networkidle0' });
  const inner = page.frames().find(one => one !== page.mainFrame());
  const text = inner ? await inner.evaluate(() => document.body.innerText).catch(() => '') : '';
  if (text.includes('Allow') || text.includes('Log in')) faults.push('another site can frame the consent page');
  site.close();
  return { faults, text, ...(await end(page)) };
}

async function end(page) {
  const url = page.url();
  await page.close();
  return { url };
}

const actions = { answer, frame };

process.on('SIGTERM', async () => {
  await browser.close();
  process.exit(0);
});
await join();

// One person does one thing at a time.
let last = Promise.resolve();
const server = http.createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  const wanted = JSON.parse(body);
  const done = last.then(() => actions[wanted.do](wanted));
  last = done.catch(() => {});
  const outcome = await done.catch(error => ({ faults: [`the browser: ${error.message}`], url: '', text: '' }));
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(outcome));
});
server.listen(0, '127.0.0.1', () => console.log(`ready http://127.0.0.1:${server.address().port}/`));
