/* JSX of React 19: <qa-chat mode="dialog" onqa-answer={…}>. */

import type { HTMLAttributes, RefAttributes } from "react";
import type { QaChat, QaChatAttributes, QaChatEventMap } from "./index.js";

type Listeners = { [Name in keyof QaChatEventMap as `on${Name}`]?: (event: QaChatEventMap[Name]) => void };

/** `key` is React's own; a publishable key is `publishable-key`. */
export type QaChatProps = Omit<QaChatAttributes, "key" | "strings"> & { strings?: QaChat["strings"] } & Listeners &
  Omit<HTMLAttributes<QaChat>, keyof QaChatAttributes> &
  RefAttributes<QaChat>;

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "qa-chat": QaChatProps;
    }
  }
}
