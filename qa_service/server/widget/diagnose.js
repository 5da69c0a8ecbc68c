/* Tells developers in the console, in one line each, why the service refuses a page or can't be reached, and what to do. */

const told = new Set();

/** Explain a failed request to `url`: its `response`, or none if it failed before one could be read. */
export async function diagnose({ url, key, response }) {
  const line = response ? await refusal(url, key, response) : await silence(new URL(url));
  if (!told.has(line)) console.error(`qa-chat: ${line}`);
  told.add(line);
}

const command = () => `qa-service keys create "${location.hostname || "my site"}" --publishable --origin ${location.origin}`;

const baseOf = (url) => url.replace(/\/(ask|starters|feedback)\b[^/]*$/, "");

async function refusal(url, key, response) {
  const { detail = "" } = await response.json().catch(() => ({}));
  const says = detail ? ` The service says: ${String(detail).slice(0, 200)}.` : "";
  if (response.status === 404) return `nothing answers at ${baseOf(url)}; check the attributes endpoint and collection.${says}`;
  if (response.status === 403) return `${new URL(url).origin} refuses this page.${says} A key for it: ${command()}`;
  if (!key) return `the service needs a key, and the attribute key is missing. A key for this page: ${command()}`;
  const id = key.split("_").slice(0, 2).join("_");
  return `the key ${id}_… is unknown: revoked, of another service, or cut when it was copied. A new one: ${command()}`;
}

/** Requests without a readable response: the browser hides why, so the public files of the service are asked for. */
async function silence({ origin, href }) {
  let blocked = false;
  const watch = ({ blockedURI }) => (blocked ||= blockedURI.startsWith(origin));
  document.addEventListener("securitypolicyviolation", watch);
  const base = baseOf(href).replace(/\/collections\/[^/]*$/, "");
  const answers = (mode, path) => fetch(base + path, { mode, credentials: "omit", cache: "no-store" }).then((found) => found.ok || mode === "no-cors", () => false);
  const isService = await answers("cors", "/widget/qa-chat-define.js");
  const isThere = isService || (await answers("no-cors", "/readyz"));
  await new Promise((resolve) => setTimeout(resolve)); // events of the policy come after the refusal
  document.removeEventListener("securitypolicyviolation", watch);
  if (blocked) return `the Content-Security-Policy of this page blocks the service; add ${origin} to connect-src`;
  if (isService && globalThis.origin === "null") return "pages without an origin (files, sandboxed frames) can't use the service; open the page over http";
  if (isService) return `the service allows no pages of ${location.origin}. A key for them: ${command()} (without keys: QA_ORIGINS=${location.origin})`;
  if (isThere) return `${base} answers, but not as qa_service does: check the path of the attribute endpoint, and that no proxy redirects or removes headers`;
  const mixed = location.protocol === "https:" && origin.startsWith("http:") ? "; this page is https, and browsers may block http from it" : "";
  return `nothing answers at ${base}: check the attribute endpoint, and that the service runs${mixed}`;
}
