// The parts of the extension that need no editor, and that the bundle is one that an editor can load.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import esbuild from "esbuild";

const here = import.meta.dirname;
const root = join(here, "..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** A module of `src/`, with stand-ins for the modules that only an editor has. */
function load(file, standIns = {}) {
  const options = { bundle: true, write: false, platform: "node", format: "cjs", external: Object.keys(standIns) };
  const built = esbuild.buildSync({ entryPoints: [join(root, "src", file)], ...options });
  const module = { exports: {} };
  const require = createRequire(import.meta.url);
  new Function("module", "exports", "require", built.outputFiles[0].text)(module, module.exports, (name) => standIns[name] ?? require(name));
  return module.exports;
}

const { commandOf, codesOf, explain } = load("server.ts");

test("the command is the setting, found from home and workspace", () => {
  assert.equal(commandOf(undefined, "/w"), "d365map");
  assert.equal(commandOf("  ", undefined), "d365map");
  assert.equal(commandOf("d365map-nightly", "/w"), "d365map-nightly");
  assert.equal(commandOf("/opt/d365map", "/w"), "/opt/d365map");
  assert.equal(commandOf("~/bin/d365map", "/w"), join(homedir(), "bin/d365map"));
  assert.equal(commandOf("${workspaceFolder}/bin/d365map", "/w"), "/w/bin/d365map");
  assert.equal(commandOf("tools/d365map", "/w"), join("/w", "tools/d365map"));
});

test("codes are read from the list that explain prints, and nothing else", () => {
  assert.deepEqual(codesOf("D001  the file is not valid UTF-8\r\nD103  no such field\n\nerror: x\n"), [
    { name: "D001", title: "the file is not valid UTF-8" },
    { name: "D103", title: "no such field" },
  ]);
});

test("explain gives what the command prints, or why it failed", { skip: process.platform === "win32" && "the stand-in is a shell script" }, async () => {
  const command = join(mkdtempSync(join(tmpdir(), "d365map-")), "d365map");
  writeFileSync(command, '#!/bin/sh\n[ "$2" = D999 ] && { echo "error: there is no code" >&2; exit 2; }\necho "$@"\n');
  chmodSync(command, 0o755);
  assert.equal(await explain(command), "explain\n");
  assert.equal(await explain(command, "D103"), "explain D103\n");
  await assert.rejects(explain(command, "D999"), /^Error: error: there is no code$/);
  await assert.rejects(explain(`${command}-absent`), /ENOENT/);
});

test("what the manifest names is there", () => {
  const { languages, grammars, snippets, commands, configuration } = manifest.contributes;
  for (const path of [languages[0].configuration, grammars[0].path, snippets[0].path]) JSON.parse(readFileSync(join(root, path), "utf8"));
  assert.deepEqual([languages[0].id, languages[0].extensions], ["d365map", [".d365map"]]);
  assert.equal(configuration.properties["d365map.path"].default, "d365map");
  const source = readFileSync(join(root, "src/extension.ts"), "utf8");
  for (const { command } of commands) assert.ok(source.includes(`registerCommand("${command}"`), command);
});

test("the patterns of the language configuration are expressions that fit what they are for", () => {
  const { wordPattern, indentationRules, onEnterRules } = JSON.parse(readFileSync(join(root, "language-configuration.json"), "utf8"));
  assert.deepEqual("firstname -> location.city @initial $origin".match(new RegExp(wordPattern, "g")), ["firstname", "location", "city", "@initial", "$origin"]);
  const more = new RegExp(indentationRules.increaseIndentPattern);
  for (const line of ["mapping a: d365.b -> campaign.c {", "  filter all { # why", 'test a "b" {']) assert.match(line, more);
  for (const line of ['  "{firstname}" -> b', "  any { a = 1 }", "# a {", '  "{" -> a']) assert.doesNotMatch(line, more);
  for (const rule of onEnterRules) [rule.beforeText, rule.afterText].filter(Boolean).forEach((text) => new RegExp(text));
  assert.doesNotMatch("  # allow(D304): why", new RegExp(onEnterRules[0].beforeText));
});

test("every snippet has a name to type, and what it inserts is closed", () => {
  const snippets = Object.values(JSON.parse(readFileSync(join(root, "snippets/d365map.json"), "utf8")));
  assert.equal(new Set(snippets.map((s) => s.prefix)).size, snippets.length);
  for (const { prefix, body } of snippets) {
    const text = [body].flat().join("\n").replace(/\$\{\d+:([^}]*)\}/g, "$1").replace(/\$\{\d+\|([^,|]*)[^}]*\|\}/g, "$1").replace(/\$\d+/g, "");
    assert.equal(text.split("{").length, text.split("}").length, `${prefix}: ${text}`);
    assert.ok(!text.includes("$"), `${prefix}: ${text}`);
  }
});

/** The extension with stand-ins for editor and client; the client does what `start` does. */
function extension(start) {
  const seen = { commands: new Map(), shown: [], clients: [], stopped: 0, providers: [] };
  const disposable = { dispose() {} };
  const vscode = {
    window: {
      createOutputChannel: () => ({ error() {}, dispose() {} }),
      showErrorMessage: async (text) => void seen.shown.push(text),
    },
    commands: { registerCommand: (name, run) => (seen.commands.set(name, run), disposable) },
    workspace: {
      workspaceFolders: [{ uri: { fsPath: "/w" } }],
      getConfiguration: () => ({ get: (key) => ({ path: "tools/d365map" })[key] }),
      registerTextDocumentContentProvider: (scheme) => (seen.providers.push(scheme), disposable),
      onDidChangeConfiguration: () => disposable,
      onDidGrantWorkspaceTrust: () => disposable,
    },
  };
  class LanguageClient {
    constructor(id, name, server, options) {
      seen.clients.push({ id, server, options });
    }
    async start() {
      start();
      this.state = 2;
    }
    async stop() {
      seen.stopped += 1;
    }
  }
  const client = { LanguageClient, State: { Stopped: 1, Running: 2, Starting: 3 } };
  return { seen, ...load("extension.ts", { vscode, "vscode-languageclient/node": client }) };
}

test("the extension starts `d365map lsp` without a further argument, and stops it", async () => {
  const { seen, activate, deactivate } = extension(() => {});
  await activate({ subscriptions: [] });
  assert.deepEqual([...seen.commands.keys()].sort(), manifest.contributes.commands.map((c) => c.command).sort());
  assert.deepEqual(seen.clients.map((c) => c.server), [{ command: join("/w", "tools/d365map"), args: ["lsp"] }]);
  // The client reads `<id>.trace.server`.
  assert.ok(manifest.contributes.configuration.properties[`${seen.clients[0].id}.trace.server`]);
  assert.deepEqual(seen.clients[0].options.documentSelector.map((d) => d.language), ["d365map", "d365map"]);
  await seen.commands.get("d365map.restartServer")();
  assert.deepEqual([seen.clients.length, seen.stopped], [2, 1]);
  await deactivate();
  assert.equal(seen.stopped, 2);
});

test("a server that cannot be started is said with its command, and is not asked to stop", async () => {
  const { seen, activate, deactivate } = extension(() => {
    throw new Error("spawn ENOENT");
  });
  await activate({ subscriptions: [] });
  assert.ok(seen.shown.length === 1 && seen.shown[0].includes(`${join("/w", "tools/d365map")} lsp`) && seen.shown[0].includes("ENOENT"), seen.shown.join());
  await deactivate();
  assert.equal(seen.stopped, 0);
});

test("the bundle is there, for an editor to load", () => {
  const bundle = readFileSync(join(root, manifest.main), "utf8");
  assert.match(bundle, /require\("vscode"\)/);
  assert.doesNotMatch(bundle, /require\("vscode-languageclient/);
});
