// Starts the language server and offers two commands. Everything else is the server's.

import { execFile } from "node:child_process";
import * as vscode from "vscode";
import { LanguageClient, type LanguageClientOptions, type ServerOptions } from "vscode-languageclient/node";

let client: LanguageClient | undefined;

function command(): string {
  return vscode.workspace.getConfiguration("d365map").get<string>("path") || "d365map";
}

async function start(): Promise<void> {
  const server: ServerOptions = { command: command(), args: ["lsp"] };
  const options: LanguageClientOptions = { documentSelector: [{ language: "d365map" }] };
  client = new LanguageClient("d365map", "d365map", server, options);
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    const answer = await vscode.window.showErrorMessage(
      `The d365map command could not be started: ${error instanceof Error ? error.message : String(error)}`,
      "Open the settings",
    );
    if (answer) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "d365map.path");
    }
  }
}

async function stop(): Promise<void> {
  const running = client;
  client = undefined;
  await running?.stop();
}

/** Asks for a code, that of the finding under the cursor first, and shows its page. */
async function explain(): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  const here = editor && vscode.languages.getDiagnostics(editor.document.uri).find((d) => d.range.contains(editor.selection.active));
  const code = await vscode.window.showInputBox({
    prompt: "The code of a finding",
    value: typeof here?.code === "string" ? here.code : "D",
    validateInput: (text) => (/^[Dd]\d{3}$/.test(text) ? undefined : "A code is a D and three digits, such as D201"),
  });
  if (!code) {
    return;
  }
  execFile(command(), ["explain", code], async (error, stdout, stderr) => {
    if (error) {
      await vscode.window.showErrorMessage(stderr.trim() || error.message);
      return;
    }
    const document = await vscode.workspace.openTextDocument({ language: "markdown", content: stdout });
    await vscode.window.showTextDocument(document, { preview: true, viewColumn: vscode.ViewColumn.Beside });
  });
}

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const restart = async (): Promise<void> => {
    await stop();
    await start();
  };
  context.subscriptions.push(
    vscode.commands.registerCommand("d365map.restart", restart),
    vscode.commands.registerCommand("d365map.explain", explain),
    vscode.workspace.onDidChangeConfiguration((change) => (change.affectsConfiguration("d365map.path") ? restart() : undefined)),
  );
  await start();
}

export async function deactivate(): Promise<void> {
  await stop();
}
