// Adobe's client (@adobe/aio-lib-campaign-standard) against the emulated instance: what it can do, it must be able to do here. The client
// knows one server, mc.adobe.io; it is told of another by the server list of the API description that it holds. Nothing else of it is touched.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import readline from 'node:readline'

const [, , program, work] = process.argv
const here = path.dirname(fileURLToPath(import.meta.url))
const client = createRequire(path.join(work, 'package.json'))('@adobe/aio-lib-campaign-standard')

const emulator = spawn(program, ['emulate', '--format', 'json', '--contacts', '0', '--seed', path.join(here, 'seed.json')], {
  stdio: ['ignore', 'pipe', 'inherit']
})
// A check that hangs is a check that fails.
const alarm = setTimeout(() => {
  console.error('error: no end after two minutes')
  emulator.kill('SIGKILL')
  process.exit(1)
}, 120_000)

async function started () {
  for await (const line of readline.createInterface({ input: emulator.stdout })) return JSON.parse(line)
  throw new Error('the emulator did not start')
}

const checks = []
function check (name, run) {
  checks.push([name, run])
}

/** A call that must be refused: what the client says of it. */
async function refused (promise) {
  try {
    await promise
  } catch (error) {
    return String(error.message)
  }
  assert.fail('it was not refused')
}

let instance, token, sdk

async function connect (tenant, key, bearer) {
  const made = await client.init(tenant, key, bearer)
  const root = new URL(instance.url)
  for (const spec of [made.sdk.spec, made.sdk.originalSpec]) {
    spec.servers = [{ url: `${root.origin}/{ORGANIZATION}/campaign`, variables: { ORGANIZATION: { default: 'none' } } }]
  }
  return made
}

const organization = () => new URL(instance.url).pathname.split('/').filter(Boolean)[0]

check('a bad token is refused with 401, a bad key with 403, a bad organization somehow', async () => {
  assert.match(await refused((await connect(organization(), instance.client_id, 'bad_access_token')).getAllProfiles()), /401/)
  assert.match(await refused((await connect(organization(), 'bad_api_key', token)).getAllProfiles()), /403/)
  await refused((await connect('bad_tenant_id', instance.client_id, token)).getAllProfiles())
})

check('a profile is created, changed and read by the PKey of the answer', async () => {
  const first = 'ACSSDK_Test_First_1a2b3c4d'
  const made = await sdk.createProfile({ email: `${first}@notanemail.net`, firstName: first, lastName: 'Test' })
  assert.equal(made.status, 201)
  // Longer than a first name may be, as in the vendor's own tests.
  const changed = await sdk.updateProfile(made.body.PKey, { firstName: `UPDATED_${first}` })
  assert.equal(changed.status, 200)
  const read = await sdk.getProfile(changed.body.PKey)
  assert.equal(read.status, 200)
  assert.equal(read.body.firstName, `UPDATED_${first}`.slice(0, 30))
})

check('profiles are listed, filtered, ordered, and followed to their end by the addresses of answers', async () => {
  for (let n = 0; n < 60; n++) {
    await sdk.createProfile({ email: `p${n}@example.com`, lastName: `Name${String(n).padStart(2, '0')}` })
  }
  assert.ok((await sdk.getAllProfiles({ limit: 5, page: 0 })).ok)
  const found = await sdk.getAllProfiles({ filters: ['byText'], text: 'Name07' })
  assert.deepEqual(found.body.content.map(row => row.lastName), ['Name07'])
  const both = await sdk.getAllProfiles({ filters: ['byEmail', 'byText'], email: 'p8@example.com', text: 'Name' })
  assert.equal(both.body.content.length, 1)
  const custom = await sdk.getAllProfiles({ filters: ['byUnit'], hasCustomFilter: true, last_parameter: 'Name09' })
  assert.equal(custom.body.content.length, 1)

  let page = await sdk.getAllProfiles({ lineCount: 25, order: 'lastName' })
  const names = []
  for (let n = 0; n < 10; n++) {
    names.push(...page.body.content.map(row => row.lastName))
    if (!page.body.next) break
    page = await follow(page.body.next.href)
  }
  assert.equal(names.length, 62)
  assert.deepEqual(names, [...names].sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)))
  const count = await follow(found.body.count.href)
  assert.equal(count.body.count, 1)
})

check('metadata of profile, service and history, and the list of custom resources', async () => {
  for (const resource of ['profile', 'service', 'history']) {
    const metadata = await sdk.getMetadataForResource(resource)
    assert.equal(metadata.body.name, resource)
    assert.ok(metadata.body.content && metadata.body.filters.href)
  }
  const filters = await follow((await sdk.getMetadataForResource('profile')).body.filters.href)
  assert.match(filters.body.byText.data, /byText\?text=\$value$/)
  const resources = (await sdk.getCustomResources()).body
  assert.equal(resources.cusTransaction.name, 'cusTransaction')
  assert.equal(resources.cusBrand, undefined)
})

check('a service is created, read and listed', async () => {
  const made = await sdk.createService({ name: 'SVC1', label: 'Sport Newsletter', messageType: 'email', mode: 'newsletter' })
  assert.equal(made.status, 201)
  assert.equal((await sdk.getService(made.body.PKey)).body.title, 'Sport Newsletter (SVC1)')
  const found = await sdk.getAllServices({ filters: ['byChannel', 'byText'], channel: 'email', text: 'sport' })
  assert.equal(found.body.content.length, 1)
})

check('a custom resource is created, changed, listed and deleted, and linked to a profile', async () => {
  const profile = (await sdk.getAllProfiles({ filters: ['byText'], text: 'Name07' })).body.content[0]
  const made = await sdk.createCustomResource('cusTransaction', { code: 'T1', buyer: { PKey: profile.PKey } })
  assert.equal(made.status, 201)
  assert.equal(made.body.buyer.title, profile.title)
  await sdk.updateCustomResource('cusTransaction', made.body.PKey, { buyer: null })
  const listed = await sdk.getAllProfileAndServicesExt('cusTransaction', { order: 'code' })
  assert.deepEqual(listed.body.content.map(row => [row.code, row.buyer]), [['T1', undefined]])
  assert.ok((await sdk.deleteCustomResource('cusTransaction', made.body.PKey)).ok)
  assert.equal((await sdk.getAllProfileAndServicesExt('cusTransaction')).body.content.length, 0)
  assert.equal((await sdk.getAllBasicCustomResources('cusBrand')).body.content[0].name, 'Acme')
  await refused(sdk.createCustomResource('1a2b3c4d', {}))
  assert.match(await refused(sdk.updateCustomResource('cusTransaction', '@gibberish', {})), /'@gibberish' is not a valid constant/)
})

check('organizational units are listed, changed, and given to a profile', async () => {
  const units = (await sdk.getAllOrgUnits({ limit: 5, page: 0 })).body.content
  const unit = units.find(unit => unit.name === 'brand4')
  assert.ok((await sdk.updateOrgUnit(unit.PKey, { label: 'Brand four' })).ok)
  const made = await sdk.createProfile({ lastName: 'Unit' })
  assert.ok((await sdk.updateProfileOrgUnit(made.body.PKey, unit.PKey)).ok)
  assert.equal((await sdk.getProfileWithOrgUnit(made.body.PKey)).body.orgUnit.title, 'Brand four (brand4)')
})

check('the history of a profile leads to its events and their mirror pages', async () => {
  const profile = (await sdk.getAllProfiles({ filters: ['byText'], text: 'History' })).body.content[0]
  const history = await sdk.getHistoryOfProfile(profile.PKey)
  const events = (await follow(history.body.events.href)).body.content
  assert.equal(events.length, 3)
  assert.deepEqual([events[2].category, events[2].date, events[2].type], ['email', '2018-05-17 08:44:49.366Z', 'outbound'])
  assert.ok((await follow(events[0].mirrorPage.href)).ok)
})

/** An address of an answer, as it is. The client's own way (`getDataFromRelativeUrl`) encodes an address' slashes and question mark. */
async function follow (href) {
  assert.ok(href.startsWith(`${instance.url}/campaign/`), href)
  const answer = await fetch(href, { headers: { authorization: `Bearer ${token}`, 'x-api-key': instance.client_id } })
  assert.ok(answer.ok, `${answer.status} ${href}`)
  return { ok: true, body: await answer.json() }
}

let failed = 0
try {
  const told = await started()
  instance = told.campaign
  const form = { grant_type: 'client_credentials', client_id: instance.client_id, client_secret: instance.client_secret, scope: 'openid' }
  const answer = await fetch(instance.token_url, { method: 'POST', body: new URLSearchParams(form) })
  token = (await answer.json()).access_token
  sdk = await connect(organization(), instance.client_id, token)
  for (const [name, run] of checks) {
    try {
      await run()
      console.log(`ok    ${name}`)
    } catch (error) {
      failed += 1
      console.log(`FAIL  ${name}\n${error.stack}`)
    }
  }
} finally {
  emulator.kill('SIGTERM')
  clearTimeout(alarm)
}
console.log(`${checks.length - failed} of ${checks.length} checks hold`)
process.exitCode = failed === 0 ? 0 : 1
