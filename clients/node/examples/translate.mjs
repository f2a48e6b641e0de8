// Translates texts, and shows one of them as it grows.
// Usage: node examples/translate.mjs [HOST:PORT [FROM [TO [TEXT...]]]]

import { AttendantError, Client } from "attendant";

const [target = "localhost:50051", sourceLanguage = "en", targetLanguage = "de", ...texts] =
  process.argv.slice(2);
if (texts.length === 0) texts.push("Two dogs are playing.", "A man is riding a bicycle.");

const client = new Client(target);
try {
  await client.waitUntilServing({ timeoutMs: 10_000 });
  const translations = await client.translate(texts, { sourceLanguage, targetLanguage });
  for (const [i, { text }] of translations.entries()) {
    console.log(`${sourceLanguage}  ${texts[i]}\n${targetLanguage}  ${text}\n`);
  }
  for await (const part of client.translateStream(texts[0], { sourceLanguage, targetLanguage })) {
    process.stdout.write(
      part.translation ? `   [${part.translation.targetTokens} tokens]\n` : part.text,
    );
  }
} catch (error) {
  if (!(error instanceof AttendantError)) throw error;
  console.error(`${error.name}: ${error.message}`);
  process.exitCode = 1;
} finally {
  client.close();
}
