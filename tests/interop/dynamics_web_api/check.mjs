// What DynamicsWebApi does, done against the emulator: run by run.sh with the path of `d365map` and the folder of the package.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [program, work] = process.argv.slice(2);
const library = path.join(work, "node_modules/dynamics-web-api/dist/esm/dynamics-web-api.mjs");
const { DynamicsWebApi } = await import(pathToFileURL(library));

const emulator = spawn(program, ["emulate", "--contacts", "120", "--page-cap", "50", "--format", "json"], { stdio: ["ignore", "pipe", "inherit"] });
const said = JSON.parse(
  await new Promise((resolve, reject) => {
    let text = "";
    emulator.on("exit", () => reject(new Error(`${program} did not start`)));
    emulator.stdout.on("data", (data) => {
      text += data;
      if (text.includes("\n")) resolve(text);
    });
  }),
);
const { dataverse, admin } = said;

async function token() {
  const form = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: dataverse.client_id,
    client_secret: dataverse.client_secret,
    scope: `${dataverse.url}/.default`,
  });
  const answer = await fetch(dataverse.token_url, { method: "POST", body: form });
  return (await answer.json()).access_token;
}

const api = new DynamicsWebApi({ serverUrl: dataverse.url, dataApi: { version: "9.2" }, onTokenRefresh: token });
const contacts = "contacts";
const dump = async (table) => (await fetch(`${admin.url}/dump/table/${table}`)).json();
const find = async (lastname) => (await dump("contact")).filter((row) => row.lastname === lastname);
const long = "x".repeat(51);

const checks = {
  async "create, retrieve, update with a representation, one column, delete"() {
    const key = await api.create({ collection: contacts, data: { lastname: "O'Brien" } });
    assert.equal((await api.retrieve({ collection: contacts, key, select: ["lastname"] })).lastname, "O'Brien");
    const changed = await api.update({ collection: contacts, key, data: { lastname: "B" }, returnRepresentation: true, select: ["lastname"] });
    assert.equal(changed.lastname, "B");
    await api.updateSingleProperty({ collection: contacts, key, fieldValuePair: { lastname: "F" } });
    assert.equal((await find("F")).length, 1);
    await api.deleteRecord({ collection: contacts, key });
    await assert.rejects(api.retrieve({ collection: contacts, key }), { status: 404, code: "0x80040217" });
  },
  async "upsert, and what If-Match and If-None-Match forbid"() {
    const key = "c0000000-0000-4000-8000-000000000009";
    const row = await api.upsert({ collection: contacts, key, data: { lastname: "U" }, returnRepresentation: true, select: ["lastname"] });
    assert.equal(row.contactid, key);
    assert.equal(await api.upsert({ collection: contacts, key, data: { lastname: "V" }, ifnonematch: "*" }), null);
    const other = "c0000000-0000-4000-8000-000000000008";
    assert.equal(await api.upsert({ collection: contacts, key: other, data: { lastname: "V" }, ifmatch: "*" }), null);
    assert.equal((await find("V")).length, 0);
    await api.deleteRecord({ collection: contacts, key });
  },
  async "all pages, counts, filters, order, labels"() {
    assert.equal((await api.retrieveAll({ collection: contacts, select: ["lastname"] })).value.length, 120);
    assert.equal(await api.count({ collection: contacts }), 120);
    const page = await api.retrieveMultiple({ collection: contacts, select: ["lastname"], filter: "statecode eq 1", orderBy: ["lastname asc"], count: true, maxPageSize: 3 });
    assert.equal(page.oDataCount, (await dump("contact")).filter((row) => row.statecode === 1).length);
    assert.ok(page.value.length <= 3);
    const labelled = await api.retrieveMultiple({ collection: contacts, select: ["statecode"], includeAnnotations: "*", top: 1 });
    assert.ok(["Active", "Inactive"].includes(labelled.value[0].statecode_Formatted));
  },
  async "changes by a delta link"() {
    let page = await api.retrieveMultiple({ collection: contacts, select: ["lastname"], trackChanges: true });
    while (page.oDataNextLink) page = await api.retrieveMultiple({ collection: contacts }, page.oDataNextLink);
    const key = await api.create({ collection: contacts, data: { lastname: "Delta" } });
    const delta = await api.retrieveMultiple({ collection: contacts }, page["@odata.deltaLink"]);
    assert.deepEqual(delta.value.map((row) => row.contactid), [key]);
    await api.deleteRecord({ collection: contacts, key });
    const gone = await api.retrieveMultiple({ collection: contacts }, delta["@odata.deltaLink"]);
    assert.deepEqual(gone.value.map((row) => [row.id, row.reason]), [[key, "deleted"]]);
  },
  async "a batch with a change set: references, answers, rollback"() {
    api.startBatch();
    api.create({ collection: "accounts", data: { name: "Batch" }, contentId: "1" });
    api.create({ collection: contacts, data: { lastname: "C", "parentcustomerid_account@odata.bind": "$1" }, contentId: "2" });
    const [account, contact] = await api.executeBatch();
    assert.equal((await find("C"))[0]._parentcustomerid_value, account);
    await api.deleteRecord({ collection: contacts, key: contact });
    api.startBatch();
    api.create({ collection: contacts, data: { lastname: "undone" }, contentId: "1" });
    api.create({ collection: contacts, data: { lastname: long }, contentId: "2" });
    await assert.rejects(api.executeBatch(), ([error]) => error.status === 400 && error.error.code === "0x80044331");
    assert.equal((await find("undone")).length, 0);
  },
  async "a batch without a change set: reads, writes, going on after errors"() {
    const key = await api.create({ collection: contacts, data: { lastname: "known" } });
    api.startBatch();
    api.create({ collection: contacts, data: { lastname: "first" } });
    api.retrieve({ collection: contacts, key, select: ["lastname"] });
    api.count({ collection: contacts });
    api.deleteRecord({ collection: contacts, key });
    const [made, row, count] = await api.executeBatch({ inChangeSet: false });
    assert.equal(row.lastname, "known");
    assert.equal(count, 122);
    await api.deleteRecord({ collection: contacts, key: made });
    api.startBatch();
    api.create({ collection: contacts, data: { lastname: long } });
    api.create({ collection: contacts, data: { lastname: "after" } });
    const [failed, after] = await api.executeBatch({ inChangeSet: false, continueOnError: true });
    assert.equal(failed.error.code, "0x80044331");
    await api.deleteRecord({ collection: contacts, key: after });
  },
  async "rows are associated and expanded"() {
    const account = await api.create({ collection: "accounts", data: { name: "Adatum" } });
    const contact = await api.create({ collection: contacts, data: { lastname: "E" } });
    const one = { collection: contacts, primaryKey: contact, navigationProperty: "parentcustomerid_account" };
    await api.associateSingleValued({ ...one, relatedCollection: "accounts", relatedKey: account });
    const row = await api.retrieve({ collection: contacts, key: contact, select: ["lastname"], expand: [{ property: "parentcustomerid_account", select: ["name"] }] });
    assert.equal(row.parentcustomerid_account.name, "Adatum");
    await api.disassociateSingleValued(one);
    const many = { collection: "accounts", primaryKey: account, relationshipName: "contact_customer_accounts" };
    await api.associate({ ...many, relatedCollection: contacts, relatedKey: contact });
    const parent = await api.retrieve({ collection: "accounts", key: account, select: ["name"], expand: [{ property: "contact_customer_accounts", select: ["lastname"] }] });
    assert.deepEqual(parent.contact_customer_accounts.map((child) => child.lastname), ["E"]);
    await api.disassociate({ ...many, relatedKey: contact });
    assert.equal((await find("E"))[0]._parentcustomerid_value, undefined);
    await api.deleteRecord({ collection: contacts, key: contact });
  },
  async "functions, actions, metadata"() {
    assert.ok((await api.callFunction("WhoAmI")).UserId);
    const targets = [{ "@odata.type": "Microsoft.Dynamics.CRM.contact", lastname: "G" }];
    const made = await api.callAction({ collection: contacts, actionName: "Microsoft.Dynamics.CRM.CreateMultiple", action: { Targets: targets } });
    assert.equal(made.Ids.length, 1);
    const entity = await api.retrieveEntity({ key: "LogicalName='contact'", select: ["EntitySetName"], expand: [{ property: "Attributes", select: ["LogicalName"] }] });
    assert.deepEqual([entity.EntitySetName, entity.Attributes.length], ["contacts", 314]);
    const cast = "Microsoft.Dynamics.CRM.PicklistAttributeMetadata";
    const choices = await api.retrieveAttributes({ entityKey: "LogicalName='contact'", castType: cast, select: ["LogicalName"], expand: [{ property: "OptionSet" }] });
    assert.ok(choices.value.find((column) => column.LogicalName === "gendercode").OptionSet.Options.length === 2);
    const relations = await api.retrieveRelationships({ filter: "SchemaName eq 'contact_customer_accounts'" });
    assert.equal(relations.value[0].ReferencingEntity, "contact");
    const csdl = await api.retrieveCsdlMetadata({ addAnnotations: true });
    assert.match(csdl, /<EntityType Name="contact" BaseType="mscrm.crmbaseentity">/);
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}`);
    console.log(error);
  }
}
emulator.removeAllListeners("exit");
emulator.kill();
process.exit(failed === 0 ? 0 : 1);
