// A consumer of ours that is somebody else's: openid-client, unchanged. For each line that it reads, ["COMMAND", {arguments}], it
// does what that says and answers with a line of JSON. It ends when its standard input does, and remembers nothing.
//
// Of every command: `issuer`, `client_id`, and either `metadata` (the server's, as of RFC 8414) or `discovery`: "oidc" or "oauth2",
// which asks the issuer for it. `client_secret` or `key` (a private JWK with `kid` and `alg`) authenticate it; `client` is what
// else it is registered with; `assertion` ({header, payload}) goes over what openid-client would sign.
// What was refused comes back as {"error": …, "error_description": …, "status": …}.

import { createInterface } from 'node:readline';

import * as openid from 'openid-client';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

async function authentication({ key, client_secret: secret, auth_method: method, assertion = {} }) {
  if (key !== undefined) {
    const hash = `SHA-${key.alg.slice(2)}`;
    const imported = await crypto.subtle.importKey('jwk', key, { name: 'RSASSA-PKCS1-v1_5', hash }, false, ['sign']);
    return openid.PrivateKeyJwt({ key: imported, kid: key.kid }, {
      [openid.modifyAssertion](header, payload) {
        Object.assign(header, assertion.header);
        Object.assign(payload, assertion.payload);
      },
    });
  }
  if (secret === undefined) return openid.None();
  return method === 'client_secret_post' ? openid.ClientSecretPost(secret) : openid.ClientSecretBasic(secret);
}

async function configured(given) {
  const { issuer, client_id: id, client, metadata, discovery } = given;
  if (metadata !== undefined) {
    const configuration = new openid.Configuration({ issuer, ...metadata }, id, client, await authentication(given));
    openid.allowInsecureRequests(configuration);
    return configuration;
  }
  const options = { algorithm: discovery, execute: [openid.allowInsecureRequests] };
  return openid.discovery(new URL(issuer), id, client, await authentication(given), options);
}

const COMMANDS = {
  async 'authorize-url'(configuration, given) {
    const verifier = openid.randomPKCECodeVerifier();
    const [state, nonce] = [openid.randomState(), openid.randomNonce()];
    const url = openid.buildAuthorizationUrl(configuration, {
      redirect_uri: given.redirect_uri,
      scope: given.scope,
      code_challenge: await openid.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
      ...given.parameters,
    });
    return { url: url.href, code_verifier: verifier, state, nonce };
  },

  async exchange(configuration, given) {
    const tokens = await openid.authorizationCodeGrant(configuration, new URL(given.url), {
      pkceCodeVerifier: given.code_verifier,
      expectedState: given.state,
      expectedNonce: given.nonce,
      idTokenExpected: given.nonce !== undefined,
    }, given.parameters);
    return { ...tokens, claims: tokens.claims() };
  },

  refresh: (configuration, given) => openid.refreshTokenGrant(configuration, given.refresh_token, given.parameters),

  userinfo: (configuration, given) => openid.fetchUserInfo(configuration, given.access_token, given.sub ?? openid.skipSubjectCheck),

  'token-exchange': (configuration, given) => (
    openid.genericGrantRequest(configuration, given.grant_type ?? EXCHANGE, given.parameters)
  ),

  'end-session-url': async (configuration, given) => ({ url: openid.buildEndSessionUrl(configuration, given.parameters).href }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [command, given] = JSON.parse(line);
  let found;
  try {
    found = await COMMANDS[command](await configured(given), given);
  } catch (error) {
    const { error: name, code, error_description: description, status, message, cause } = error;
    found = { error: name ?? code ?? error.name, error_description: description ?? message, status, cause: cause?.message };
  }
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
