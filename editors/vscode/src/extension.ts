// Starts `d365map lsp` and talks to it over standard input and output. Everything about the language is the server's.

import * as vscode from "vscode";
import { LanguageClient, State, type LanguageClientOptions, type ServerOptions } from "vscode-languageclient/node";

import { codesOf, commandOf, explain } from "./server";

/** The scheme of pages that `d365map explain` prints. */
const PAGES = "d365map-explain";

let client: LanguageClient | undefined;
let output: vscode.LogOutputChannel | undefined;

function command(): string {
  const setting = vscode.workspace.getConfiguration("d365map").get<string>("path");
  return commandOf(setting, vscode.workspace.workspaceFolders?.[0]?.uri.fsPath);
}

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  output = vscode.window.createOutputChannel("d365map", { log: true });
  context.subscriptions.push(
    output,
    vscode.commands.registerCommand("d365map.restartServer", restart),
    vscode.commands.registerCommand("d365map.explainCode", explainCode),
    vscode.workspace.registerTextDocumentContentProvider(PAGES, {
      provideTextDocumentContent: (uri) => explain(command(), uri.path.replace(/^\/?|\.md$/g, "")),
    }),
    vscode.workspace.onDidChangeConfiguration(async (change) => {
      if (change.affectsConfiguration("d365map.path")) await restart();
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(restart),
  );
  await start();
}

export async function deactivate(): Promise<void> {
  await stop();
}

async function start(): Promise<void> {
  const program = command();
  // Without a transport named, the client uses standard input and output and adds no argument of its own.
  const run: ServerOptions = { command: program, args: ["lsp"] };
  const options: LanguageClientOptions = {
    documentSelector: [{ language: "d365map", scheme: "file" }, { language: "d365map", scheme: "untitled" }],
    outputChannel: output,
  };
  client = new LanguageClient("d365map", "d365map", run, options);
  try {
    await client.start();
  } catch (error) {
    // Not awaited: the editor's other extensions do not wait for somebody to answer.
    void notStarted(program, error);
  }
}

/** Says why there is no server, and offers the place to set it right. */
async function notStarted(program: string, error: unknown): Promise<void> {
  const reason = error instanceof Error ? error.message : String(error);
  output?.error(`${program} lsp: ${reason}`);
  const settings = "Open Settings";
  const text = `\`${program} lsp\` cannot be started: ${reason}. Install d365map, or set d365map.path.`;
  if ((await vscode.window.showErrorMessage(text, settings)) === settings) {
    await vscode.commands.executeCommand("workbench.action.openSettings", "d365map.path");
  }
}

async function stop(): Promise<void> {
  const old = client;
  client = undefined;
  // A server that never came up cannot be asked to stop.
  if (old?.state === State.Running) await old.stop();
}

async function restart(): Promise<void> {
  await stop();
  await start();
}

/** The code of the finding under the cursor, or one that is picked, and its page beside the editor. */
async function explainCode(given?: unknown): Promise<void> {
  try {
    const code = typeof given === "string" ? given : (codeAtCursor() ?? (await pickCode()));
    if (code === undefined) return;
    const uri = vscode.Uri.from({ scheme: PAGES, path: `/${code}.md` });
    await vscode.workspace.openTextDocument(uri);
    await vscode.commands.executeCommand("markdown.showPreviewToSide", uri);
  } catch (error) {
    void notStarted(command(), error);
  }
}

function codeAtCursor(): string | undefined {
  const editor = vscode.window.activeTextEditor;
  if (editor?.document.languageId !== "d365map") return undefined;
  const here = vscode.languages.getDiagnostics(editor.document.uri).find((d) => d.source === "d365map" && d.range.contains(editor.selection.active));
  const code = typeof here?.code === "object" ? here.code.value : here?.code;
  return code === undefined ? undefined : String(code);
}

async function pickCode(): Promise<string | undefined> {
  const codes = codesOf(await explain(command()));
  const items = codes.map(({ name, title }) => ({ label: name, description: title }));
  const picked = await vscode.window.showQuickPick(items, { placeHolder: "A code of a finding", matchOnDescription: true });
  return picked?.label;
}
