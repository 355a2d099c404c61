// What fixtures cannot say of every file: in all mapping files of the repository each sign has a scope of its own, and nothing is invalid.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { test } from "node:test";
import oniguruma from "vscode-oniguruma";
import textmate from "vscode-textmate";

const here = import.meta.dirname;
const root = join(here, "../../..");
const path = join(here, "../syntaxes/d365map.tmLanguage.json");

await oniguruma.loadWASM(readFileSync(createRequire(import.meta.url).resolve("vscode-oniguruma/release/onig.wasm")));
const registry = new textmate.Registry({
  onigLib: Promise.resolve({
    createOnigScanner: (sources) => new oniguruma.OnigScanner(sources),
    createOnigString: (text) => new oniguruma.OnigString(text),
  }),
  loadGrammar: async (scope) => (scope === "source.d365map" ? textmate.parseRawGrammar(readFileSync(path, "utf8"), path) : null),
});
const grammar = await registry.loadGrammar("source.d365map");

/** The tokens of a text: the line, the words, the scopes below that of the file. */
function tokens(text) {
  const found = [];
  let state = textmate.INITIAL;
  text.split(/\r?\n/).forEach((line, index) => {
    const result = grammar.tokenizeLine(line, state, 1000);
    assert.ok(!result.stoppedEarly, `line ${index + 1} takes too long`);
    state = result.ruleStack;
    for (const token of result.tokens) {
      found.push({ line: index + 1, words: line.slice(token.startIndex, token.endIndex), scopes: token.scopes.slice(1) });
    }
  });
  return found;
}

/** What is wrong with the tokens of a text that follows the grammar. */
function faults(text) {
  return tokens(text).flatMap(({ line, words, scopes }) => {
    if (scopes.some((s) => s.startsWith("invalid"))) return [`${line}: invalid: ${words}`];
    // `meta` says where something stands, not what it is.
    return words.trim() !== "" && scopes.every((s) => s.startsWith("meta.")) ? [`${line}: without a scope: ${words}`] : [];
  });
}

function files(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".d365map"))
    .map((entry) => join(entry.parentPath, entry.name));
}

for (const folder of ["examples", "mappings", "tests/corpus/accepted"]) {
  test(`every sign in ${folder} has a scope and none is invalid`, () => {
    const all = files(join(root, folder));
    assert.ok(all.length > 0, `no mapping file in ${folder}`);
    for (const file of all) assert.deepEqual(faults(readFileSync(file, "utf8")), [], relative(root, file));
  });
}

test("every example in the document of the language has scopes, and none is invalid", () => {
  const text = readFileSync(join(root, "docs/language.md"), "utf8");
  const blocks = [...text.matchAll(/^```d365map[^\n]*\n(.*?)^```$/gms)].map((found) => found[1]);
  assert.ok(blocks.length > 10);
  for (const block of blocks) {
    // Entries by themselves stand for those of a mapping.
    const whole = /^(?:#.*\n)*(?:mapping|test|optout|events|table|let|include|replace \w+ \{)/.test(block) && /^(?:mapping|table|let|include)\b/m.test(block);
    assert.deepEqual(faults(whole ? block : `mapping a: d365.b -> campaign.c {\n${block}}\n`), [], block);
  }
});

// The words that the language's own grammar knows, each in a place where it is a word of the language.
const words = readFileSync(join(root, "grammar/d365map.pest"), "utf8").matchAll(/^kw_\w+\s*=\s*@\{ "(\w+)"/gm);
const fixtures = files(join(here, "fixtures")).flatMap((file) => tokens(readFileSync(file, "utf8").replace(/^#.*\^.*$|^# <-.*$/gm, "")));
for (const [, word] of words) {
  test(`the word ${word} is highlighted as one`, () => {
    const kinds = /^(?:keyword|storage|support\.(?:constant|function)|constant\.language)\./;
    const as = fixtures.filter((t) => t.words === word && t.scopes.some((s) => kinds.test(s)));
    assert.ok(as.length > 0, `no fixture shows \`${word}\` as a word of the language`);
  });
}

test("the steps of the document are known to the grammar", () => {
  const section = readFileSync(join(root, "docs/language.md"), "utf8").split("### Steps\n")[1].split("\n###")[0];
  const steps = section.split("\n").filter((line) => line.startsWith("| `")).flatMap((line) => [...line.split("|")[1].matchAll(/`(\w+)/g)].map((m) => m[1]));
  assert.ok(steps.length > 25);
  for (const step of new Set(steps)) {
    const argument = ["map", "link", "lookup"].includes(step) ? " name" : "(1)";
    const line = tokens(`mapping a: d365.b -> campaign.c {\n  x -> y | ${step}${argument}\n}`);
    assert.ok(line.some((t) => t.words === step && t.scopes.includes("support.function.step.d365map")), step);
  }
});

test("a string that is not closed ends with its line, whatever it stands in", () => {
  for (const open of ['  "open', '  a -> b | replace_text("open', '  a -> b | matches("open', '  filter all { a matches "open']) {
    const after = tokens(`mapping a: d365.b -> campaign.c {\n${open}\n  lastname -> lastName\n`).filter((t) => t.line === 3);
    assert.ok(after.every((t) => t.scopes.every((s) => !s.startsWith("string."))), open);
  }
});

test("faulty files are read to their end, each line in its time", () => {
  const all = [...files(join(root, "tests/corpus/rejected")), ...files(join(root, "fuzz/corpus"))];
  assert.ok(all.length > 0);
  const long = `mapping a: d365.b -> campaign.c {\n  ${"x | ".repeat(2000)}\n  "${"{a} ".repeat(2000)}\n  ${"(".repeat(500)}\n  filter all { ${"not ".repeat(2000)}\n`;
  for (const text of [...all.map((file) => readFileSync(file, "utf8")), long]) assert.ok(tokens(text).length > 0 || text === "");
});
