// Which command is started, and what it says about codes. Nothing here needs the editor, so that it can be tested without one.

import { execFile } from "node:child_process";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/** The command of the setting `d365map.path`, with `~` and `${workspaceFolder}` in it replaced. */
export function commandOf(setting: string | undefined, workspace: string | undefined): string {
  const text = setting?.trim() || "d365map";
  const home = text === "~" || text.startsWith("~/") || text.startsWith("~\\") ? join(homedir(), text.slice(1)) : text;
  const named = home.replaceAll("${workspaceFolder}", workspace ?? "");
  // A relative path with a folder in it is meant from the workspace, not from wherever the editor was started.
  const relative = !isAbsolute(named) && /[\\/]/.test(named);
  return relative && workspace !== undefined ? join(workspace, named) : named;
}

/** A code with its title, as `d365map explain` lists them. */
export interface Code {
  name: string;
  title: string;
}

/** The codes of a list with one code and its title in each line. */
export function codesOf(list: string): Code[] {
  return list.split(/\r?\n/).flatMap((line) => {
    const found = /^(D\d{3})\s+(.+)$/.exec(line.trim());
    return found?.[1] && found[2] ? [{ name: found[1], title: found[2] }] : [];
  });
}

/** What `d365map explain` prints: the list of all codes, or the page of one. */
export function explain(command: string, code?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const args = code === undefined ? ["explain"] : ["explain", code];
    execFile(command, args, { timeout: 10_000, windowsHide: true }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(stderr.trim() || error.message));
    });
  });
}
