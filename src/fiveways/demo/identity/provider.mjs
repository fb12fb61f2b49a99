// An OpenID Connect provider for tests and the demo, as NHS CIS2 or NHS login behaves: oidc-provider, set up, with a login page.
// It believes whatever name is typed in, and listens on 127.0.0.1 only. It is never for anything but tests and demos.
//
//   node provider.mjs SETTINGS.json
//
// SETTINGS.json (only `kind` and `accounts` are needed):
//   kind              "nhs-cis2" or "nhs-login"
//   accounts          {login name: {claim: value, …}}: what the ID token and userinfo say of a person, over what KINDS says;
//                     null takes a claim away, and `acr` or `amr` says how that person signs in
//   clients           as in OpenID Connect Dynamic Client Registration: client_id, redirect_uris, token_endpoint_auth_method,
//                     client_secret or jwks, backchannel_logout_uri, post_logout_redirect_uris
//   port              0, or left out, is a free one
//   alg               RS256 (default), RS384 or RS512: what ID tokens and logout tokens are signed with
//   id_token_seconds  how long an ID token is good (600)
//   jwks              private keys to sign with, as a JWKS; left out, one is made
//
// It says {"issuer": …, "port": …} on one line when it listens, and ends when its standard input does: with whoever started it.
// POST /_control/rotate   puts a new signing key in the place of all there were, says {"kid": …}; sessions and codes stay good
// POST /_control/clients  a client, as JSON: known from now on

import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

// Node.js 20 has all that oidc-provider uses but this.
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);
// It tells whoever sets it up for the world to see what to do before; this is no such thing.
console.info = console.warn = () => {};
const { default: Provider } = await import('oidc-provider');

const KINDS = {
  'nhs-cis2': {
    title: 'NHS CIS2 (stand-in)',
    path: '/openid',
    acr: ['AAL3_ANY', 'AAL2_OR_AAL3_ANY', 'AAL2_ANY', 'AAL1_USERPASS'],
    amr: ['N3_SMARTCARD'],
    scope: 'nationalrbacaccess',
    // What is in the ID token; anything else that an account has is userinfo's.
    idToken: ['authentication_assurance_level', 'id_assurance_level'],
    both: [],
    claims: (sub) => ({ authentication_assurance_level: '3', id_assurance_level: '3', nhsid_useruid: sub }),
  },
  'nhs-login': {
    title: 'NHS login (stand-in)',
    path: '',
    acr: [],
    amr: [],
    scope: 'profile',
    idToken: ['vot', 'vtm'],
    both: ['identity_proofing_level', 'nhs_number'],
    claims: (sub, issuer) => ({ identity_proofing_level: 'P9', vot: 'P9.Cp.Cd', vtm: `${issuer}/trustmark` }),
  },
};

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { kind, clients = [], alg = 'RS256', id_token_seconds: idTokenSeconds = 600 } = settings;
const { title, path, acr, amr, scope, idToken, both, claims: given } = KINDS[kind];

// The port is part of the issuer, and a free one is known once it is taken.
let answer;
const server = createServer((request, response) => answer(request, response));
await new Promise((listening) => server.listen(settings.port ?? 0, '127.0.0.1', listening));
const { port } = server.address();
const origin = `http://127.0.0.1:${port}`;
const issuer = origin + path;

// --- who may sign in -------------------------------------------------------------------------------------------------

const people = new Map();
const logins = new Map();
for (const [login, said] of Object.entries(settings.accounts)) {
  const sub = said.sub ?? login;
  const all = Object.entries({ ...given(sub, issuer), ...said, sub }).filter(([, value]) => value !== null);
  const { acr: level, amr: means, ...claims } = Object.fromEntries(all);
  people.set(sub, { level, means, claims });
  logins.set(login, sub);
}
const inIdToken = (name) => idToken.includes(name) || both.includes(name);
const inUserinfo = (name) => !idToken.includes(name);
const named = [...new Set([...people.values()].flatMap(({ claims }) => Object.keys(claims)))];

async function findAccount(context, sub, source) {
  const person = people.get(sub);
  return person && {
    accountId: sub,
    async claims(use) {
      const wanted = use === 'id_token' ? inIdToken : inUserinfo;
      const claims = Object.fromEntries(Object.entries(person.claims).filter(([name]) => name === 'sub' || wanted(name)));
      // oidc-provider names the session to those clients only that are told of its end.
      const session = use === 'id_token' && source?.sessionUid && (await provider.Session.findByUid(source.sessionUid));
      return session ? { ...claims, sid: session.sidFor(context.oidc.client.clientId) } : claims;
    },
  };
}

async function loadExistingGrant(context) {
  const { client, session, provider: { Grant } } = context.oidc;
  const grant = new Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(`openid ${scope}`);
  await grant.save();
  return grant;
}

// --- what it remembers: kept here, for a change of keys makes another Provider ---------------------------------------

const kept = new Map();
const REVOCABLE = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken']);

class Memory {
  constructor(model) {
    this.model = model;
  }

  async upsert(id, payload) {
    kept.set(`${this.model}:${id}`, payload);
  }

  async find(id) {
    return kept.get(`${this.model}:${id}`);
  }

  async findByUid(uid) {
    return [...kept].find(([key, payload]) => key.startsWith(`${this.model}:`) && payload.uid === uid)?.[1];
  }

  async destroy(id) {
    kept.delete(`${this.model}:${id}`);
  }

  async consume(id) {
    kept.get(`${this.model}:${id}`).consumed = Math.floor(Date.now() / 1000);
  }

  async revokeByGrantId(grantId) {
    for (const [key, payload] of kept) if (REVOCABLE.has(payload.kind) && payload.grantId === grantId) kept.delete(key);
  }
}

// --- pages -----------------------------------------------------------------------------------------------------------

const safe = (text) => String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
const page = (heading, body) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${title}: ${heading}</title>
<h1>${title}</h1>
${body}
</html>
`;

function loginPage(response, unknown) {
  const complaint = unknown === undefined ? '' : `<p role="alert">unknown user: ${safe(unknown)}</p>\n`;
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  response.end(page('sign in', `${complaint}<form method="post">
  <label>Login name <input name="login" autocomplete="off" required autofocus></label>
  <button type="submit">Sign in</button>
</form>`));
}

async function body(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

async function interaction(request, response) {
  const { params } = await provider.interactionDetails(request, response);
  if (request.method !== 'POST') return loginPage(response);
  const login = new URLSearchParams(await body(request)).get('login') ?? '';
  const sub = logins.get(login);
  if (sub === undefined) return loginPage(response, login);
  const { level, means } = people.get(sub);
  const asked = params.acr_values?.split(' ').find((value) => acr.includes(value));
  const result = { accountId: sub, acr: level ?? asked ?? acr[0], amr: means ?? (amr.length ? amr : undefined) };
  return provider.interactionFinished(request, response, { login: result });
}

// --- the provider ----------------------------------------------------------------------------------------------------

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg };
}

const withDefaults = (client) => ({
  id_token_signed_response_alg: alg,
  ...(client.backchannel_logout_uri && { backchannel_logout_session_required: true }),
  ...client,
});
const cookieKeys = [randomBytes(32).toString('hex')];
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'ES256'];
const configuration = (jwks) => ({
  jwks,
  adapter: Memory,
  clients: clients.map(withDefaults),
  findAccount,
  loadExistingGrant,
  acrValues: acr,
  claims: {
    openid: ['sub', 'sid', 'auth_time', 'acr', 'amr', ...named.filter(inIdToken)],
    [scope]: named.filter((name) => inUserinfo(name) && name !== 'sub'),
  },
  scopes: ['openid', scope],
  responseTypes: ['code'],
  conformIdTokenClaims: false, // the ID token carries claims of its own, as those of CIS2 and NHS login do
  enabledJWA: { idTokenSigningAlgValues: algorithms, clientAuthSigningAlgValues: ['HS256', ...algorithms] },
  // A cookie knows hosts, not ports: each provider on this machine has names of its own.
  cookies: {
    keys: cookieKeys,
    names: Object.fromEntries(['session', 'interaction', 'resume'].map((name) => [name, `${kind}-${port}-${name}`])),
  },
  interactions: { url: (_, { uid }) => `${path}/interaction/${uid}` },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      logoutSource(context, form) {
        const button = '<button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>';
        context.body = page('sign out', `${form}\n${button}`);
      },
      postLogoutSuccessSource(context) {
        context.body = page('signed out', '<p>You are signed out.</p>');
      },
    },
  },
  renderError(context, out) {
    context.type = 'html';
    context.body = page('error', Object.entries(out).map(([name, value]) => `<p>${safe(name)}: ${safe(value)}</p>`).join('\n'));
  },
  // Its own dispatcher lets nothing go to this machine's addresses, where all that it talks to is.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  ttl: { IdToken: idTokenSeconds, AccessToken: 3600, Grant: 86400, Interaction: 3600, Session: 86400 },
});

let provider;
let callback;

function sign(jwks) {
  provider = new Provider(issuer, configuration(jwks));
  provider.on('server_error', (_, error) => process.stderr.write(`${error.stack}\n`));
  provider.on('backchannel.error', (_, error, client) => process.stderr.write(`no logout at ${client.clientId}: ${error}\n`));
  callback = provider.callback();
}

async function control(request, response) {
  const said = await body(request);
  let found;
  if (request.method === 'POST' && request.url === '/_control/rotate') {
    const key = newKey();
    sign({ keys: [key] });
    found = { kid: key.kid };
  } else if (request.method === 'POST' && request.url === '/_control/clients') {
    const client = withDefaults(JSON.parse(said));
    kept.set(`Client:${client.client_id}`, client);
    found = { client_id: (await provider.Client.find(client.client_id)).clientId };
  }
  response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' });
  response.end(JSON.stringify(found ?? {}));
}

answer = async (request, response) => {
  try {
    if (request.url.startsWith('/_control/')) {
      await control(request, response);
    } else if (request.url.startsWith(`${path}/interaction/`)) {
      await interaction(request, response);
    } else if (request.url.startsWith(`${path}/`)) {
      request.originalUrl = request.url;
      request.url = request.url.slice(path.length);
      await callback(request, response);
    } else {
      response.writeHead(404).end();
    }
  } catch (error) {
    response.writeHead(400, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(`${error.message}: ${error.error_description ?? ''}\n`);
  }
};

sign(settings.jwks ?? { keys: [newKey()] });
process.stdin.on('end', () => process.exit()).resume();
process.stdout.write(`${JSON.stringify({ issuer, port })}\n`);
