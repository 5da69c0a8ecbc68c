/* Registers <qa-chat>, unless the page has one already. */

import { QaChat } from "./qa-chat.js";

if (!customElements.get("qa-chat")) customElements.define("qa-chat", QaChat);
