// Starts three services on free ports of this machine and writes their addresses to the files that are named as arguments.
import fs from 'node:fs'
import http from 'node:http'
import { OAuth2Server } from 'oauth2-mock-server'
import { Provider } from 'oidc-provider'

const [mockFile, oidcFile, peopleFile] = process.argv.slice(2)

function tell(file, address) {
  fs.writeFileSync(`${file}.new`, address)
  fs.renameSync(`${file}.new`, file)
}

// Gives a token to whoever asks in the right form: it knows no secrets, so one word is refused by hand.
const mock = new OAuth2Server()
await mock.issuer.keys.generate('RS256')
await mock.start(0, '127.0.0.1')
mock.service.on('beforeResponse', (answer, request) => {
  const form = request.body
  const missing = ['grant_type', 'client_id', 'client_secret', 'scope'].filter(name => !form[name])
  if (form.client_secret === 'wrong') {
    answer.statusCode = 401
    answer.body = { error: 'invalid_client', error_description: 'the secret is not the right one' }
  } else if (missing.length > 0) {
    answer.statusCode = 400
    answer.body = { error: 'invalid_request', error_description: `missing: ${missing.join(' ')}` }
  } else if (form.client_id.startsWith('brief-')) {
    answer.body.expires_in = 1
  }
})

// Verifies secrets and assertions for real; clients register themselves with their public keys.
const server = http.createServer()
await new Promise(done => server.listen(0, '127.0.0.1', done))
const issuer = `http://127.0.0.1:${server.address().port}`
const provider = new Provider(issuer, {
  clientAuthMethods: ['client_secret_post', 'private_key_jwt'],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    registration: { enabled: true },
  },
  ttl: { ClientCredentials: 3600 },
})
provider.on('server_error', (context, error) => console.error(error))
server.on('request', provider.callback())

// People sign in with a name and any password; the name is their role as well. Claims are in the id token.
const peopleServer = http.createServer()
await new Promise(done => peopleServer.listen(0, '127.0.0.1', done))
const peopleIssuer = `http://127.0.0.1:${peopleServer.address().port}`
const people = new Provider(peopleIssuer, {
  claims: { openid: ['sub'], profile: ['preferred_username'], roles: ['roles'] },
  conformIdTokenClaims: false,
  cookies: { keys: ['a key of this test'] },
  features: { devInteractions: { enabled: true }, registration: { enabled: true } },
  findAccount: (context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: `${id}@contoso.com`, roles: [id] }),
  }),
  pkce: { required: () => true },
  scopes: ['openid', 'profile', 'roles'],
})
people.on('server_error', (context, error) => console.error(error))
peopleServer.on('request', people.callback())

tell(mockFile, mock.issuer.url)
tell(peopleFile, peopleIssuer)
tell(oidcFile, issuer)
