/** The pieces of code in a README.md, and what it says that they print. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** A piece of code. */
export interface Piece {
  readonly code: string;
  /** What it prints, where that is shown right after it. */
  readonly output: string | undefined;
}

export const run = promisify(execFile);

/** The path of a file of the package. */
export function packageFile(name: string): string {
  return fileURLToPath(new URL(`../${name}`, import.meta.url));
}

/** All pieces of a file, in their order; of the package's README where nothing is said. */
export function pieces(name = "README.md"): Piece[] {
  const readme = readFileSync(packageFile(name), "utf8");
  const fences = [...readme.matchAll(/^```(\w*)\n(.*?)^```$/gms)];
  return fences.flatMap(([, language, code = ""], i) => {
    const [, next, output] = fences[i + 1] ?? [];
    return language === "js" ? [{ code, output: next === "" ? output : undefined }] : [];
  });
}

/** Runs a module as if it were a file of the package, and returns what it prints. */
export async function outputOf(
  name: string,
  code: string,
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const file = packageFile(`build/${name}.mjs`);
  writeFileSync(file, code);
  const { stdout, stderr } = await run(process.execPath, [file], options);
  assert.equal(stderr, "");
  return stdout;
}
