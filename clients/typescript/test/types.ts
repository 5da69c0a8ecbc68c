/* Errors that the types must find; tsc fails where a marked line has none. */

import { Client, type Answer } from "../src/index.js";

const service = new Client("http://127.0.0.1:8000", { key: "sk_…", patience: 5 });

export async function example(): Promise<string> {
  const answer: Answer = await service.ask("Where does the cat sleep?", { top_k: 3, history: ["Why?"] });
  // @ts-expect-error -- the answer is null if nothing was found
  answer.answer.text;
  // @ts-expect-error -- no such option
  await service.ask("x", { topk: 3 });
  // @ts-expect-error -- a verdict is one of three words
  answer.verdict === "perhaps";
  // @ts-expect-error -- of a document, text is read by source()
  for await (const document of service.sources()) document.text;
  return answer.answer?.text ?? answer.reason?.message ?? "Not in these documents.";
}
