// The grammar by which VS Code colours a file, run by VS Code's own engine.

import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const oniguruma = require("vscode-oniguruma");
const textmate = require("vscode-textmate");
const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..", "..");

const wasm = readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm"));
const engine = oniguruma.loadWASM(wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength)).then(() => ({
  createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
  createOnigString: (text) => new oniguruma.OnigString(text),
}));
const source = readFileSync(join(here, "..", "syntaxes", "d365map.tmLanguage.json"), "utf8");
const registry = new textmate.Registry({ onigLib: engine, loadGrammar: async () => textmate.parseRawGrammar(source, "d365map.tmLanguage.json") });
const grammar = await registry.loadGrammar("source.d365map");

/** Every token of a text as [word, scopes behind the first]. */
function tokens(text) {
  let stack = textmate.INITIAL;
  const found = [];
  for (const line of text.split("\n")) {
    const result = grammar.tokenizeLine(line, stack);
    stack = result.ruleStack;
    for (const token of result.tokens) {
      const word = line.slice(token.startIndex, token.endIndex);
      if (word.trim()) found.push([word.trim(), token.scopes.slice(1).map((s) => s.replace(/\.d365map$/, ""))]);
    }
  }
  return found;
}

function scope(text, word) {
  const token = tokens(text).find(([w]) => w === word);
  assert.ok(token, `${word} is no token of ${text}: ${JSON.stringify(tokens(text))}`);
  return token[1].at(-1);
}

const expectations = [
  ["mapping contacts: d365.contact -> campaign.profile {", { mapping: "keyword.declaration", contacts: "entity.name.class", d365: "support.type.system", profile: "entity.name.type.table", "->": "keyword.operator.arrow" }],
  ["mapping a: partner.referral <-> d365.opportunity {", { "<->": "keyword.operator.arrow" }],
  ["  key contactid -> externalId", { key: "keyword.control.block", contactid: "variable.other.field" }],
  ["  firstname -> firstName | trim | truncate(30) @initial", { trim: "support.function.step", truncate: "support.function.step", 30: "constant.numeric", "@initial": "storage.modifier.flag" }],
  ['  "{firstname} x\\"" -> a.b', { firstname: "variable.other.field", '\\"': "constant.character.escape", "a.b": "variable.other.field" }],
  ['  jobtitle -> birthDate | date("dd.MM.yyyy") or null', { or: "keyword.control.or", null: "keyword.other.outcome" }],
  ["  parent -> cusAccount | link accounts", { link: "support.function.step", accounts: "entity.name.function.table" }],
  ["  coalesce(a, b) -> c", { coalesce: "support.function" }],
  ["  $origin -> cusOrigin", { $origin: "variable.other.constant" }],
  ["  `odd name` -> x", { "`odd name`": "variable.other.field" }],
  ["  replace gendercode with genders", { replace: "keyword.control.replace", with: "keyword.control.with", genders: "entity.name.function.table" }],
  ["    Male => male", { "=>": "keyword.operator.arrow" }],
  ["    else => keep", { else: "keyword.control.else", keep: "keyword.other.outcome" }],
  ["  filter all {", { filter: "keyword.control.block", all: "keyword.operator.word" }],
  ["    createdon >= now - 30d", { ">=": "keyword.operator.comparison", now: "constant.language.moment", "30d": "constant.other.duration" }],
  ["    createdon between 2020-01-01 and 2020-01-31T10:00:00Z", { between: "keyword.operator.word", "2020-01-01": "constant.other.date", "2020-01-31T10:00:00Z": "constant.other.instant" }],
  ["    not lastname starts with \"x\"", { not: "keyword.operator.word", "starts with": "keyword.operator.word" }],
  ["    filtered-out delete", { "filtered-out": "variable.other.option", delete: "constant.other.option" }],
  ["  # allow(D304): why", { allow: "keyword.other.allow", D304: "constant.other.code" }],
  ["optout contacts {", { optout: "keyword.declaration", contacts: "entity.name.class" }],
  ["  direction bidirectional", { direction: "variable.other.option", bidirectional: "constant.other.option" }],
  ["  followemail <-> not denyList", { not: "keyword.operator.word", denyList: "variable.other.field" }],
  ['test contacts "a # title" {', { test: "keyword.declaration", "a # title": "string.quoted.double" }],
  ["  expect rejected \"D901\"", { expect: "keyword.control.block", rejected: "keyword.control.block" }],
  ['let origin = "crm"', { let: "keyword.declaration", origin: "variable.other.constant" }],
  ['include "a.d365map"', { include: "keyword.control.import" }],
];

for (const [line, words] of expectations) {
  test(line.trim(), () => {
    for (const [word, wanted] of Object.entries(words)) assert.equal(scope(line, word), wanted, `${word} in ${line}`);
  });
}

function files(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : path.endsWith(".d365map") ? [path] : [];
  });
}

test("every token of our own files has a scope, and none is invalid", () => {
  const all = ["examples", "mappings", "tests/corpus/accepted"].flatMap((folder) => files(join(root, folder)));
  assert.ok(all.length > 5);
  for (const path of all) {
    for (const [word, scopes] of tokens(readFileSync(path, "utf8"))) {
      assert.ok(scopes.length > 0 && !scopes.some((s) => s.startsWith("invalid")), `${path}: ${word} ${scopes}`);
    }
  }
});

test("what the extension contributes is there", () => {
  const manifest = JSON.parse(readFileSync(join(here, "..", "package.json"), "utf8"));
  const { languages, grammars, snippets } = manifest.contributes;
  for (const path of [languages[0].configuration, grammars[0].path, snippets[0].path, manifest.main]) {
    assert.ok(statSync(join(here, "..", path)).isFile(), path);
  }
});
