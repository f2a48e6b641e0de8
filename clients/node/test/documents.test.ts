/** What README.md and the example say is what happens. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { outputOf, packageFile, pieces, run } from "./readme.js";
import { type RunningServer, startServer } from "./server.js";

let server: RunningServer;

before(async () => {
  server = await startServer();
});

after(() => server.stop());

const shown = pieces().filter(({ output }) => output !== undefined);

test("all code is run: here, but for the piece on TLS, which security.test.ts runs", () => {
  const others = pieces().filter(({ output }) => output === undefined);
  assert.equal(shown.length, 3);
  assert.deepEqual(
    others.map(({ code }) => code.includes("ca.pem")),
    [true],
  );
});

for (const [i, { code, output }] of shown.entries()) {
  test(`piece ${i + 1} of the README prints what is shown`, async () => {
    const here = code.replaceAll("localhost:50051", server.target);
    assert.equal(await outputOf(`readme-${i + 1}`, here), output);
  });
}

test("the repository's README translates, in each of its languages", async () => {
  const [code = "", ...others] = ["README.md", "README.zh-TW.md"].flatMap((name) =>
    pieces(`../../${name}`).map((piece) => piece.code),
  );
  assert.deepEqual(others, [code]);
  const here = code.replace("127.0.0.1:50051", server.target);
  assert.equal(await outputOf("readme-root", here), "Zwei Hunde spielen.\n");
});

test("the example translates, streams, and tells what is wrong", async () => {
  const example = packageFile("examples/translate.mjs");
  const { stdout } = await run(process.execPath, [example, server.target]);
  assert.match(
    stdout,
    /^en {2}Two dogs are playing\.\nde {2}Zwei Hunde .*\n\nen {2}A man .*\nde {2}Ein Mann .*\n\nZwei .*\[\d+ tokens\]\n$/,
  );
  await assert.rejects(run(process.execPath, [example, server.target, "en", "xx"]), {
    code: 1,
    stderr: /^NotFoundError: target_language: /,
  });
});
