import type { components } from "./openapi.js";

/** The answer of `POST /ask`. */
export type Answer = components["schemas"]["AskResponse"];

/** The attributes of `<qa-chat>`; docs/widget.md describes them. */
export interface QaChatAttributes {
  endpoint?: string;
  key?: string;
  /** As `key`, which React and Vue keep for themselves. */
  "publishable-key"?: string;
  collection?: string;
  mode?: "inline" | "launcher" | "page" | "dialog" | "sidebar";
  corner?: "bottom-right" | "bottom-left" | "top-right" | "top-left";
  theme?: "auto" | "light" | "dark";
  "theme-selector"?: string;
  preset?: "auto" | "none" | "material" | "docusaurus" | "furo" | "starlight";
  shortcut?: string;
  "no-button"?: "";
  lang?: string;
  heading?: string;
  placeholder?: string;
  greeting?: string;
  /** At most eight questions, separated by `|`. */
  suggestions?: string;
  "top-k"?: number | string;
  history?: "session";
  "share-param"?: string;
  "no-feedback"?: "";
  /** JSON in an attribute; an object as a property. */
  strings?: string;
}

/** Single strings of the interface, such as `{send: "Go"}`, some of them nested. */
export interface QaChatStrings {
  [name: string]: string | QaChatStrings;
}

/** Events bubble and cross the shadow root, so that a listener on the document receives them too. */
export interface QaChatEventMap {
  /** `preventDefault()` cancels the question. */
  "qa-ask": CustomEvent<{ question: string }>;
  "qa-answer": CustomEvent<{ question: string; answer: Answer }>;
  "qa-error": CustomEvent<{ question: string; kind: string; seconds: number }>;
  "qa-source-click": CustomEvent<{ url: string; title: string }>;
  "qa-feedback": CustomEvent<{ answerId: string; useful: boolean; note: string }>;
}

/** The element. Importing `qa-service-chat/define` registers it as `<qa-chat>`; this module registers nothing. */
export class QaChat extends HTMLElement {
  static readonly observedAttributes: readonly string[];
  /** Replaces single strings. */
  strings: QaChatStrings | null;
  /** Restricts which passages may be results. */
  filters: components["schemas"]["FiltersBody"] | null;
  readonly isOpen: boolean;
  /** Ask as if the question had been typed; `null` if there is no answer. */
  ask(question: string): Promise<Answer | null>;
  open(): void;
  close(): void;
  /** Clear the history. */
  clear(): void;
  /** Use a key that the user has typed; it stays in memory. */
  trust(key: string): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "qa-chat": QaChat;
  }
  interface GlobalEventHandlersEventMap extends QaChatEventMap {}
}
