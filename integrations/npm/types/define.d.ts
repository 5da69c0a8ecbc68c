/** Registers `<qa-chat>`, unless the page has one already. */
export type * from "./index.js";
