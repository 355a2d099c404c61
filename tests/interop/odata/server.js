// Serves the model from memory on a free port of this machine and writes its address to the file that is named as the argument.
const cds = require('@sap/cds')
const express = require('express')
const fs = require('node:fs')

// Two things of a batch are as legal as they are documented for Dataverse, and this server knows only their plainer forms: a boundary in
// quotation marks (RFC 2046), and requests by their absolute path (OData 4.0, 11.7.2). Nothing else is touched.
const plain = text => text.replace(/boundary="([^"]+)"/g, 'boundary=$1')

function plainBatch(request, response, next) {
  if (!request.path.endsWith('/$batch')) return next()
  request.headers['content-type'] = plain(request.headers['content-type'] ?? '')
  express.text({ type: 'multipart/mixed', limit: '10mb' })(request, response, error => {
    // The body counts as read, so it is not read again.
    if (!error) request.body = plain(request.body).replace(/^(GET|POST|PATCH|DELETE) \/api\/data\/v9\.2\//gm, '$1 ')
    next(error)
  })
}

async function main() {
  cds.root = __dirname
  const csn = await cds.load('model.cds')
  cds.model = cds.compile.for.nodejs(csn)
  await cds.connect.to('db')
  await cds.deploy(csn).to('db')
  const app = express()
  // Dataverse wants a token; which one is the token service's affair.
  app.use((request, response, next) => {
    if (/^Bearer .+/.test(request.headers.authorization ?? '')) return next()
    response.status(401).json({ error: { code: '401', message: 'a token is missing' } })
  })
  app.use(plainBatch)
  await cds.serve('all').from(cds.model).in(app)
  const server = app.listen(0, '127.0.0.1', () => {
    const file = process.argv[2]
    fs.writeFileSync(`${file}.new`, `http://127.0.0.1:${server.address().port}/`)
    fs.renameSync(`${file}.new`, file)
  })
}

main().catch(error => { console.error(error); process.exit(1) })
