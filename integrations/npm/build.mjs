/* Copies the widget's modules from the service into dist/; the playground, which is a page of the service, stays there. */

import { cp, rm } from "node:fs/promises";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";

const from = fileURLToPath(new URL("../../qa_service/server/widget", import.meta.url));
const to = fileURLToPath(new URL("dist", import.meta.url));
const isModule = (path) => [".js", ""].includes(extname(path)) && !/^(playground|__pycache__)/.test(basename(path));

await rm(to, { recursive: true, force: true });
await cp(from, to, { recursive: true, filter: isModule });
