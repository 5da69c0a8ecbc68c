/* Compiled, never run: every line marked as an error must be one. */

import { QaChat, type Answer, type QaChatAttributes } from "qa-service-chat";
import type { components } from "qa-service-chat/openapi";

const chat = document.querySelector("qa-chat")!;
const made: QaChat = document.createElement("qa-chat");
made.strings = { send: "Go", errors: { offline: "No network." } };
made.filters = { document_id: "3f" };
// @ts-expect-error there is no such filter
made.filters = { colour: "red" };
// @ts-expect-error it is read-only
chat.isOpen = true;
// @ts-expect-error a string is missing
chat.ask();

const answer: Answer | null = await chat.ask("Where does the cat sleep?");
const title: string | null | undefined = answer?.results[0]?.citation.title;
const result: components["schemas"]["ResultBody"] | undefined = answer?.results[0];
// @ts-expect-error the verdict is one of three
if (answer?.verdict === "perhaps") console.log(title, result);

chat.addEventListener("qa-answer", ({ detail }) => console.log(detail.answer.verdict, detail.question.length));
document.addEventListener("qa-feedback", ({ detail: { useful } }) => {
  const yes: boolean = useful;
  console.log(yes);
});
// @ts-expect-error a source click has no answer
chat.addEventListener("qa-source-click", ({ detail }) => detail.answer);

const attributes: QaChatAttributes = { endpoint: "https://qa.example.org", mode: "dialog", "no-feedback": "" };
// @ts-expect-error there is no such mode
attributes.mode = "popup";
